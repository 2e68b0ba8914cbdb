#include "core/clock.h"

#include <ctime>

namespace larder {
namespace {

int64_t ReadNanos(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return now.tv_sec * kNanosPerSecond + now.tv_nsec;
}

}  // namespace

int64_t SystemClock::NowNanos() const { return ReadNanos(CLOCK_BOOTTIME); }

int64_t SystemClock::WallMillis() const { return ReadNanos(CLOCK_REALTIME) / kNanosPerMilli; }

}  // namespace larder
