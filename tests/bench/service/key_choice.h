// Which key is asked for next.
#ifndef LARDER_TESTS_BENCH_SERVICE_KEY_CHOICE_H_
#define LARDER_TESTS_BENCH_SERVICE_KEY_CHOICE_H_

#include <cstdint>
#include <vector>

namespace larder::bench {

// SplitMix64: a few nanoseconds a number, and different seeds never give the same first one. Not thread-safe.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = state_ += 0x9e37'79b9'7f4a'7c15;
    z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9;
    z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11eb;
    return z ^ (z >> 31);
  }
  // From 0 up to, but without, `bound`; its bias, bound / 2^64, is too small to be seen.
  uint64_t Below(uint64_t bound) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>((static_cast<Wide>(Next()) * bound) >> 64);
  }
  // From 0 up to, but without, 1.
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

 private:
  uint64_t state_;
};

// Draws keys 0 to keys - 1, of which key k has a probability in proportion to (k + 1)^-exponent, by an alias table:
// exact, and as cheap for a skewed choice as for an even one. Thread-safe once made.
class KeyChoice {
 public:
  // An exponent of 0 draws evenly. At least one key.
  KeyChoice(uint64_t keys, double exponent);

  uint64_t keys() const { return keys_; }
  uint64_t Draw(Random& random) const {
    const uint64_t column = random.Below(keys_);
    if (columns_.empty() || random.Unit() < columns_[column].share) return column;
    return columns_[column].alias;
  }

 private:
  // Each column has the same weight: `share` of it is its own key's, the rest the alias's.
  struct Column {
    double share = 1;
    uint64_t alias = 0;
  };
  const uint64_t keys_;
  std::vector<Column> columns_;  // empty: even
};

}  // namespace larder::bench

#endif  // LARDER_TESTS_BENCH_SERVICE_KEY_CHOICE_H_
