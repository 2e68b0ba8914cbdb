// The only file that knows prometheus-cpp.
#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "core/mutex.h"
#include "server/metrics/metrics.h"

namespace larder {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr std::array<int64_t, 19> kBoundsNanos = {
    10'000,      25'000,        50'000,        100'000,       250'000,       500'000,     1'000'000,
    2'500'000,   5'000'000,     10'000'000,    25'000'000,    50'000'000,    100'000'000, 250'000'000,
    500'000'000, 1'000'000'000, 2'500'000'000, 5'000'000'000, 10'000'000'000};

// A metric that is made twice or misnamed is an error of the program, not of its input.
void Require(bool held, std::string_view what, const std::string& name) {
  if (held) return;
  std::fprintf(stderr, "metric %s: %.*s\n", name.c_str(), static_cast<int>(what.size()), what.data());
  std::abort();
}

bool IsName(std::string_view name, bool colon) {
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name.front())) != 0) return false;
  return std::all_of(name.begin(), name.end(), [colon](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || (colon && c == ':');
  });
}

std::vector<ClientMetric::Label> Convert(const Labels& labels, const std::string& name) {
  std::vector<ClientMetric::Label> converted;
  for (const auto& [key, value] : labels) {
    Require(IsName(key, false) && key != "le", "not a name for a label", name);
    converted.push_back({key, value});
  }
  std::sort(converted.begin(), converted.end());
  const auto same_name = [](const auto& a, const auto& b) { return a.name == b.name; };
  Require(std::adjacent_find(converted.begin(), converted.end(), same_name) == converted.end(), "a label twice", name);
  return converted;
}

void FillHistogram(const HistogramSnapshot& snapshot, ClientMetric::Histogram& histogram) {
  histogram.sample_count = snapshot.count();
  histogram.sample_sum = snapshot.sum_seconds();
  for (const int64_t bound : kBoundsNanos) {
    histogram.bucket.push_back({snapshot.CountAtMost(bound), static_cast<double>(bound) / 1e9});
  }
}

}  // namespace

struct Registry::Impl {
  // Exactly one of counter, histogram and read is set.
  struct Series {
    std::vector<ClientMetric::Label> labels;  // sorted
    std::unique_ptr<Counter> counter;
    std::unique_ptr<Histogram> histogram;
    std::function<double()> read;
  };

  // Series are never removed or changed once they are in, so that a scrape may read them without the mutex.
  struct Family {
    std::string help;
    MetricType type = MetricType::Untyped;
    std::vector<std::shared_ptr<const Series>> series;
  };

  void Add(const std::string& name, const std::string& help, MetricType type, const Labels& labels,
           std::unique_ptr<Series> series) ABSL_LOCKS_EXCLUDED(mutex) {
    Require(IsName(name, true), "not a name", name);
    Require(type != MetricType::Counter || name.ends_with("_total"), "a counter must end in _total", name);
    Require(type == MetricType::Counter || !name.ends_with("_total"), "only a counter may end in _total", name);
    Require(type != MetricType::Histogram || name.ends_with("_seconds"), "a histogram must end in _seconds", name);
    Require(!help.empty(), "no help text", name);
    series->labels = Convert(labels, name);
    MutexLock lock(&mutex);
    const auto [found, is_new] = families.try_emplace(name, Family{help, type, {}});
    Family& family = found->second;
    Require(is_new || family.help == help, "another help text", name);
    Require(is_new || family.type == type, "another type", name);
    Require(made.emplace(name, series->labels).second, "made twice", name);
    family.series.push_back(std::move(series));
  }

  static ClientMetric Read(const Series& series, MetricType type) {
    ClientMetric metric;
    metric.label = series.labels;
    if (series.histogram != nullptr) {
      FillHistogram(series.histogram->Snapshot(), metric.histogram);
      return metric;
    }
    const double value = series.counter != nullptr ? static_cast<double>(series.counter->Value()) : series.read();
    (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    return metric;
  }

  mutable Mutex mutex;
  std::map<std::string, Family> families ABSL_GUARDED_BY(mutex);
  std::set<std::pair<std::string, std::vector<ClientMetric::Label>>> made ABSL_GUARDED_BY(mutex);
};

Registry::Registry() : impl_(std::make_unique<Impl>()) {}

Registry::~Registry() = default;

Counter& Registry::AddCounter(const std::string& name, const std::string& help, const Labels& labels) {
  auto series = std::make_unique<Impl::Series>();
  series->counter = std::make_unique<Counter>();
  Counter& counter = *series->counter;
  impl_->Add(name, help, MetricType::Counter, labels, std::move(series));
  return counter;
}

Histogram& Registry::AddHistogram(const std::string& name, const std::string& help, const Labels& labels) {
  auto series = std::make_unique<Impl::Series>();
  series->histogram = std::make_unique<Histogram>();
  Histogram& histogram = *series->histogram;
  impl_->Add(name, help, MetricType::Histogram, labels, std::move(series));
  return histogram;
}

void Registry::AddGauge(const std::string& name, const std::string& help, const Labels& labels,
                        std::function<double()> read) {
  auto series = std::make_unique<Impl::Series>();
  series->read = std::move(read);
  impl_->Add(name, help, MetricType::Gauge, labels, std::move(series));
}

void Registry::AddCounterCallback(const std::string& name, const std::string& help, const Labels& labels,
                                  std::function<double()> read) {
  auto series = std::make_unique<Impl::Series>();
  series->read = std::move(read);
  impl_->Add(name, help, MetricType::Counter, labels, std::move(series));
}

std::string Registry::RenderText() const {
  std::map<std::string, Impl::Family> families;
  {
    // The copy takes references to the series; their callbacks run outside the lock.
    MutexLock lock(&impl_->mutex);
    families = impl_->families;
  }
  std::vector<MetricFamily> rendered;
  for (const auto& [name, family] : families) {
    MetricFamily& out = rendered.emplace_back(MetricFamily{name, family.help, family.type, {}});
    for (const auto& series : family.series) out.metric.push_back(Impl::Read(*series, family.type));
  }
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, rendered);
  return text.str();
}

}  // namespace larder
