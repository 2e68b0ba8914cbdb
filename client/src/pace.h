// When the next thing may be done that is to be done so and so often.
#ifndef LARDER_CLIENT_SRC_PACE_H_
#define LARDER_CLIENT_SRC_PACE_H_

#include <algorithm>
#include <cstdint>

#include "core/clock.h"

namespace larder::internal {

// Spreads starts evenly; time that was not used is not made up for. Not thread-safe.
class Pace {
 public:
  // 0: no limit.
  explicit Pace(double per_second)
      : gap_nanos_(per_second <= 0 ? 0 : static_cast<int64_t>(static_cast<double>(kNanosPerSecond) / per_second)) {}

  // Takes the next start, and returns its time.
  int64_t Take(int64_t now_nanos) {
    const int64_t start = std::max(now_nanos, next_nanos_);
    next_nanos_ = start + gap_nanos_;
    return start;
  }

 private:
  const int64_t gap_nanos_;
  int64_t next_nanos_ = 0;
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_PACE_H_
