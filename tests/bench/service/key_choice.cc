#include "tests/bench/service/key_choice.h"

#include <cmath>

namespace larder::bench {

// Vose's method: a column that has less than its weight is filled up from one that has more.
KeyChoice::KeyChoice(uint64_t keys, double exponent) : keys_(keys) {
  if (exponent == 0) return;
  columns_.resize(keys);
  double sum = 0;
  for (uint64_t key = 0; key < keys; ++key) sum += std::pow(static_cast<double>(key + 1), -exponent);
  std::vector<double> weights(keys);
  std::vector<uint64_t> small;
  std::vector<uint64_t> large;
  for (uint64_t key = 0; key < keys; ++key) {
    weights[key] = std::pow(static_cast<double>(key + 1), -exponent) * static_cast<double>(keys) / sum;
    (weights[key] < 1 ? small : large).push_back(key);
  }
  while (!small.empty() && !large.empty()) {
    const uint64_t filled = small.back();
    const uint64_t filler = large.back();
    small.pop_back();
    columns_[filled] = {.share = weights[filled], .alias = filler};
    weights[filler] -= 1 - weights[filled];
    if (weights[filler] >= 1) continue;
    large.pop_back();
    small.push_back(filler);
  }
  // What is left is 1 but for rounding, and keeps a whole column.
}

}  // namespace larder::bench
