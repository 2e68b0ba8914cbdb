#include "core/clock.h"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>

#include "tests/support/manual_clock.h"

namespace larder {
namespace {

int64_t BootNanos() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * kNanosPerSecond + now.tv_nsec;
}

TEST(SystemClockTest, CountsTimeSinceBootSuspensionsIncluded) {
  const SystemClock clock;
  const int64_t before = BootNanos();
  const int64_t now = clock.NowNanos();
  EXPECT_LE(before, now);
  EXPECT_LE(now, BootNanos());
}

TEST(SystemClockTest, NeverGoesBack) {
  const SystemClock clock;
  int64_t last = clock.NowNanos();
  for (int i = 0; i < 10'000; ++i) {
    const int64_t now = clock.NowNanos();
    ASSERT_LE(last, now);
    last = now;
  }
}

TEST(SystemClockTest, WallTimeIsMillisecondsSinceTheUnixEpoch) {
  const auto millis = [] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  };
  const int64_t before = millis();
  const int64_t now = SystemClock().WallMillis();
  EXPECT_LE(before, now);
  EXPECT_LE(now, millis());
}

TEST(ManualClockTest, MovesOnlyWhenToldTo) {
  ManualClock clock(5 * kNanosPerMilli);
  EXPECT_EQ(clock.NowNanos(), 5 * kNanosPerMilli);
  EXPECT_EQ(clock.WallMillis(), 5);
  clock.Advance(1);
  EXPECT_EQ(clock.NowNanos(), 5 * kNanosPerMilli + 1);
}

}  // namespace
}  // namespace larder
