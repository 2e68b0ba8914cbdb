// Time, injected: nothing in Larder reads a clock of the operating system directly.
#ifndef LARDER_CORE_CLOCK_H_
#define LARDER_CORE_CLOCK_H_

#include <cstdint>

namespace larder {

inline constexpr int64_t kNanosPerMicro = 1'000;
inline constexpr int64_t kNanosPerMilli = 1'000'000;
inline constexpr int64_t kNanosPerSecond = 1'000'000'000;

// Thread-safe; never blocks.
class Clock {
 public:
  virtual ~Clock() = default;

  // Nanoseconds since an arbitrary point. Never goes back, and counts time during which the machine was
  // suspended, so that what was cached before a suspension is not taken for young after it.
  virtual int64_t NowNanos() const = 0;

  // Milliseconds since the Unix epoch, for logs and people. May jump; no guarantee rests on it.
  virtual int64_t WallMillis() const = 0;
};

// The machine's clock (CLOCK_BOOTTIME and CLOCK_REALTIME).
class SystemClock final : public Clock {
 public:
  int64_t NowNanos() const override;
  int64_t WallMillis() const override;
};

}  // namespace larder

#endif  // LARDER_CORE_CLOCK_H_
