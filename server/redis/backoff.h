// Pauses between attempts to connect.
#ifndef LARDER_SERVER_REDIS_BACKOFF_H_
#define LARDER_SERVER_REDIS_BACKOFF_H_

#include <cstdint>
#include <random>

namespace larder {

// Twice as long at most after each failure, and drawn at random: of many replicas that lost the same Redis, no two come
// back in step. Not thread-safe.
class Backoff {
 public:
  Backoff(int64_t min_nanos, int64_t max_nanos);

  // Before the next attempt.
  int64_t Next();
  // An attempt succeeded.
  void Reset() { failures_ = 0; }
  int64_t shortest() const { return min_nanos_; }

 private:
  const int64_t min_nanos_;
  const int64_t max_nanos_;
  int failures_ = 0;  // in a row
  std::minstd_rand random_;
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_BACKOFF_H_
