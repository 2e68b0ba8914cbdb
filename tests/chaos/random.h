// What faults and clients choose by.
#ifndef LARDER_TESTS_CHAOS_RANDOM_H_
#define LARDER_TESTS_CHAOS_RANDOM_H_

#include <chrono>
#include <random>
#include <thread>

#include "core/clock.h"

namespace larder::chaos {

using Random = std::mt19937_64;

// From `low` to `high`, both included.
inline int Between(Random& random, int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); }

inline bool Chance(Random& random, double share) {
  return std::uniform_real_distribution<double>(0, 1)(random) < share;
}

inline void SleepMillis(int64_t millis) { std::this_thread::sleep_for(std::chrono::milliseconds(millis)); }

inline int64_t Millis(int64_t millis) { return millis * kNanosPerMilli; }

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_RANDOM_H_
