#ifndef LARDER_TESTS_SUPPORT_MANUAL_CLOCK_H_
#define LARDER_TESTS_SUPPORT_MANUAL_CLOCK_H_

#include <atomic>

#include "core/clock.h"

namespace larder {

// A clock that moves only when told to. Thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(int64_t now_nanos = kNanosPerSecond) : now_nanos_(now_nanos) {}

  int64_t NowNanos() const override { return now_nanos_.load(); }
  int64_t WallMillis() const override { return now_nanos_.load() / kNanosPerMilli; }
  void Advance(int64_t nanos) { now_nanos_.fetch_add(nanos); }

 private:
  std::atomic<int64_t> now_nanos_;
};

}  // namespace larder

#endif  // LARDER_TESTS_SUPPORT_MANUAL_CLOCK_H_
