// Random numbers that are the same everywhere for the same seed.
#ifndef CLIENT_EXAMPLES_BOOKINGS_RANDOM_H_
#define CLIENT_EXAMPLES_BOOKINGS_RANDOM_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace bookings {

// For one thread at a time.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  // Uniform in [0, 1).
  double Fraction() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  // Uniform in [0, bound).
  int64_t Below(int64_t bound) { return static_cast<int64_t>(Fraction() * static_cast<double>(bound)); }
  bool Chance(double probability) { return Fraction() < probability; }

 private:
  std::mt19937_64 engine_;
};

// Ranks by Zipf's law: rank r, from 0, comes up in proportion to (r + 1)^-skew. Thread-safe.
class Zipf {
 public:
  Zipf(int64_t ranks, double skew) {
    double sum = 0;
    for (int64_t rank = 0; rank < ranks; ++rank) {
      cumulated_.push_back(sum += std::pow(static_cast<double>(rank + 1), -skew));
    }
  }

  int64_t operator()(Random& random) const {
    const double wanted = random.Fraction() * cumulated_.back();
    return std::upper_bound(cumulated_.begin(), cumulated_.end() - 1, wanted) - cumulated_.begin();
  }

 private:
  std::vector<double> cumulated_;
};

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_RANDOM_H_
