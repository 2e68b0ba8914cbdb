// Counters, gauges and histograms that cost a hit no mutex, and their Prometheus form.
#ifndef LARDER_SERVER_METRICS_METRICS_H_
#define LARDER_SERVER_METRICS_METRICS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace larder {

using Labels = std::vector<std::pair<std::string, std::string>>;

// A count that only rises. Sharded over threads; Add is wait-free.
class Counter {
 public:
  Counter();
  ~Counter();
  void Add(uint64_t n = 1);
  uint64_t Value() const;

 private:
  struct Cell;
  std::unique_ptr<Cell[]> cells_;
};

// What a histogram held at one moment.
class HistogramSnapshot {
 public:
  uint64_t count() const;
  double sum_seconds() const;
  // The duration in nanoseconds below which the share `q` (0..1) of the recorded ones lie, to within 7 %; 0 if empty.
  double QuantileNanos(double q) const;
  // How many were at most `nanos` long, to within the same error.
  uint64_t CountAtMost(int64_t nanos) const;
  // Adds the other's records to this one's.
  void Merge(const HistogramSnapshot& other);

  // Implementation: log-linear buckets.
  std::vector<uint64_t> buckets;
  uint64_t sum_nanos = 0;
};

// Durations, in log-linear buckets from 1 ns to over an hour. Sharded over threads; Record is wait-free, but for a
// thread's first, which may allocate the thread's buckets.
class Histogram {
 public:
  Histogram();
  ~Histogram();
  void Record(int64_t nanos);  // negative counts as 0
  HistogramSnapshot Snapshot() const;

 private:
  struct Cell;
  std::unique_ptr<Cell[]> cells_;
};

// Owns every metric of the process. Metrics are made at start-up and live as long as the registry; thread-safe.
// Labels must come from configuration or constants: never a key, a token or free text.
class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // The same name must always come with the same help text; a (name, labels) pair may be made once only (checked).
  Counter& AddCounter(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram& AddHistogram(const std::string& name, const std::string& help, const Labels& labels = {});
  // `read` is called at each scrape, on the scraping thread.
  void AddGauge(const std::string& name, const std::string& help, const Labels& labels, std::function<double()> read);
  // A counter kept elsewhere, such as in the near tier.
  void AddCounterCallback(const std::string& name, const std::string& help, const Labels& labels,
                          std::function<double()> read);

  // The Prometheus text exposition format. Histograms are in seconds, with buckets from 10 µs to 10 s.
  std::string RenderText() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace larder

#endif  // LARDER_SERVER_METRICS_METRICS_H_
