// Durations counted in log-linear buckets, for one thread.
#ifndef LARDER_CLIENT_CLI_LATENCY_HISTOGRAM_H_
#define LARDER_CLIENT_CLI_LATENCY_HISTOGRAM_H_

#include <cstdint>
#include <vector>

namespace larder {

// From 1 ns to over an hour, each bucket at most 1/128 as wide as where it lies. Not thread-safe; Record allocates
// nothing.
class LatencyHistogram {
 public:
  LatencyHistogram();

  void Record(int64_t nanos);  // negative counts as 0
  void Merge(const LatencyHistogram& other);

  uint64_t count() const { return count_; }
  int64_t max_nanos() const { return max_nanos_; }

  // The duration that the share `q` (0..1) of the records do not exceed, to within 1 %, and never above the longest
  // one; 0 if there are none.
  int64_t QuantileNanos(double q) const;

 private:
  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  int64_t max_nanos_ = 0;
};

}  // namespace larder

#endif  // LARDER_CLIENT_CLI_LATENCY_HISTOGRAM_H_
