#include "server/redis/backoff.h"

#include <algorithm>

#include "server/store/random_bits.h"

namespace larder {
namespace {

constexpr int kMaxDoublings = 20;

}  // namespace

Backoff::Backoff(int64_t min_nanos, int64_t max_nanos)
    : min_nanos_(min_nanos),
      max_nanos_(max_nanos),
      random_(static_cast<std::minstd_rand::result_type>(RandomNonZeroBits())) {}

int64_t Backoff::Next() {
  int64_t longest = min_nanos_;
  for (int i = 0; i < std::min(failures_, kMaxDoublings) && longest < max_nanos_; ++i) longest *= 2;
  ++failures_;
  longest = std::max(min_nanos_, std::min(longest, max_nanos_));
  return std::uniform_int_distribution<int64_t>(min_nanos_, longest)(random_);
}

}  // namespace larder
