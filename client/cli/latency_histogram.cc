#include "client/cli/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>

namespace larder {
namespace {

// Below 2^kLinearBits each nanosecond has a bucket; above, each power of two is cut into 2^kLinearBits buckets.
constexpr int kLinearBits = 7;
constexpr uint64_t kLinear = uint64_t{1} << kLinearBits;
constexpr int kMaxBits = 42;  // 2^42 ns are 73 minutes
constexpr size_t kBuckets = kLinear * (kMaxBits - kLinearBits + 1);

size_t BucketOf(uint64_t nanos) {
  if (nanos < kLinear) return nanos;
  const int shift = static_cast<int>(std::bit_width(nanos)) - 1 - kLinearBits;
  return std::min<size_t>(kLinear * static_cast<uint64_t>(shift) + (nanos >> shift), kBuckets - 1);
}

// The largest duration that falls into the bucket.
uint64_t UpperBound(size_t bucket) {
  if (bucket < kLinear) return bucket;
  const size_t shift = bucket / kLinear - 1;
  return ((bucket - kLinear * shift + 1) << shift) - 1;
}

}  // namespace

LatencyHistogram::LatencyHistogram() : buckets_(kBuckets) {}

void LatencyHistogram::Record(int64_t nanos) {
  nanos = std::max<int64_t>(nanos, 0);
  ++buckets_[BucketOf(static_cast<uint64_t>(nanos))];
  ++count_;
  max_nanos_ = std::max(max_nanos_, nanos);
}

void LatencyHistogram::Merge(const LatencyHistogram& other) {
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_nanos_ = std::max(max_nanos_, other.max_nanos_);
}

int64_t LatencyHistogram::QuantileNanos(double q) const {
  const auto rank = static_cast<uint64_t>(std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(count_)));
  uint64_t seen = 0;
  for (size_t i = 0; i + 1 < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen > 0 && seen >= rank) return std::min(static_cast<int64_t>(UpperBound(i)), max_nanos_);
  }
  return max_nanos_;
}

}  // namespace larder
