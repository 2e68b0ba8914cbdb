#include "client/examples/bookings/comparison.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"

namespace bookings {
namespace {

// Of sorted nanoseconds, in microseconds; 0 if there are none.
double Percentile(const std::vector<int64_t>& sorted, double fraction) {
  if (sorted.empty()) return 0;
  const auto index = static_cast<size_t>(fraction * static_cast<double>(sorted.size() - 1));
  return static_cast<double>(sorted[index]) / 1000.0;
}

double Ratio(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

int64_t Sum(const std::array<int64_t, kEndpoints>& values) {
  return std::accumulate(values.begin(), values.end(), int64_t{0});
}

std::string Times(double factor) {
  if (factor < 1) return absl::StrFormat("%.2fx", factor);
  return factor < 10 ? absl::StrFormat("%.1fx", factor) : absl::StrFormat("%.0fx", factor);
}

std::string Percent(int64_t part, int64_t whole) {
  return whole == 0 ? "" : absl::StrFormat("%.1f%%", 100 * Ratio(part, whole));
}

std::string RunSummary(const char* name, const Measured& run) {
  int64_t calls = 0;
  for (const std::vector<int64_t>& latencies : run.workload.nanoseconds)
    calls += static_cast<int64_t>(latencies.size());
  std::string text = absl::StrFormat(
      "%s: %d calls in %.1f s, %.0f a second; %d queries; %d writes found the time taken", name, calls,
      run.workload.seconds, static_cast<double>(calls) / run.workload.seconds, Sum(run.queries), run.workload.lost);
  if (run.workload.failed != 0) {
    text += absl::StrFormat("; %d FAILED, first %s", run.workload.failed, run.workload.first_failure);
  }
  return text + "\n";
}

std::string TableHead() {
  return absl::StrFormat("%-13s %6s | %9s %9s | %9s %9s | %8s | %6s | %s\n", "", "", "p50 us", "p99 us", "p50 us",
                         "p99 us", "speed-up", "hit", "database queries") +
         absl::StrFormat("%-13s %6s | %9s %9s | %9s %9s | %8s | %6s | %8s %8s %6s\n", "endpoint", "calls", "without",
                         "without", "cached", "cached", "at p50", "ratio", "without", "cached", "saved");
}

std::string CacheSummary(const CachedBookings::Counts& cache) {
  return absl::StrFormat("cache: %d reads, %d fills and %d invalidations failed; %d reads waited for the origin\n",
                         cache.failed_reads, cache.failed_fills, cache.failed_invalidations, Sum(cache.origin_loads));
}

std::string CheckSummary(const Checker::Summary& checks, const NextReads& next_reads) {
  std::string text = absl::StrFormat("checker: %d reads, %d of them of what had been written to, %d stale\n",
                                     checks.checked, checks.after_a_write, checks.stale);
  for (const std::string& example : checks.examples) text += "  STALE " + example + "\n";
  text += absl::StrFormat("next reads: %d writes, %d answers compared with the database's, %d wrong\n",
                          next_reads.writes, next_reads.compared, next_reads.wrong.size());
  for (size_t i = 0; i < std::min<size_t>(5, next_reads.wrong.size()); ++i) {
    text += "  WRONG " + next_reads.wrong[i] + "\n";
  }
  return text;
}

bool IsCorrectRun(const Measured& run) { return run.workload.failed == 0 && run.checks.stale == 0; }

}  // namespace

double Comparison::SpeedUp(Endpoint endpoint) const {
  if (!with_cache.has_value()) return 0;
  const double before = Percentile(without_cache.workload.nanoseconds[IndexOf(endpoint)], 0.5);
  const double after = Percentile(with_cache->workload.nanoseconds[IndexOf(endpoint)], 0.5);
  return after == 0 ? 0 : before / after;
}

double Comparison::QueriesSaved() const {
  if (!with_cache.has_value()) return 0;
  const int64_t before = Sum(without_cache.queries);
  return Ratio(before - Sum(with_cache->queries), before);
}

bool Comparison::IsCorrect() const {
  if (!IsCorrectRun(without_cache)) return false;
  if (!with_cache.has_value()) return true;
  return IsCorrectRun(*with_cache) && next_reads.writes > 0 && next_reads.wrong.empty() &&
         cache.failed_invalidations == 0;
}

std::string Comparison::ToTable() const {
  std::string text = TableHead();
  for (size_t i = 0; i < kEndpoints; ++i) {
    const std::vector<int64_t>& before = without_cache.workload.nanoseconds[i];
    text += absl::StrFormat("%-13s %6d | %9.0f %9.0f |", kEndpointNames[i], before.size(), Percentile(before, 0.5),
                            Percentile(before, 0.99));
    if (with_cache.has_value()) {
      const std::vector<int64_t>& after = with_cache->workload.nanoseconds[i];
      const int64_t saved = without_cache.queries[i] - with_cache->queries[i];
      text += absl::StrFormat(" %9.0f %9.0f | %8s | %6s | %8d %8d %6s", Percentile(after, 0.5), Percentile(after, 0.99),
                              Times(SpeedUp(static_cast<Endpoint>(i))),
                              Percent(cache.hits[i], cache.hits[i] + cache.misses[i]), without_cache.queries[i],
                              with_cache->queries[i], Percent(saved, without_cache.queries[i]));
    }
    text += "\n";
  }
  text += "\n" + RunSummary("without cache", without_cache);
  if (!with_cache.has_value()) return text;
  text += RunSummary("with cache   ", *with_cache);
  text += absl::StrFormat("queries saved: %.1f%% of all, writes included\n", 100 * QueriesSaved());
  return text + CacheSummary(cache) + CheckSummary(with_cache->checks, next_reads);
}

std::string Comparison::ToJson() const {
  nlohmann::ordered_json json;
  json["threads"] = threads;
  json["cores"] = cores;
  json["rows"] = population.rows;
  json["locations"] = population.locations;
  json["correct"] = IsCorrect();
  json["queries_saved"] = QueriesSaved();
  if (with_cache.has_value()) {
    json["reads_checked"] = with_cache->checks.checked;
    json["reads_checked_after_a_write"] = with_cache->checks.after_a_write;
    json["stale_reads"] = with_cache->checks.stale;
    json["wrong_next_reads"] = next_reads.wrong.size();
    json["next_reads_compared"] = next_reads.compared;
    json["near_hits"] = near_hits;
    json["origin_loads"] = Sum(cache.origin_loads);
  }
  for (size_t i = 0; i < kEndpoints; ++i) {
    nlohmann::ordered_json& endpoint = json["endpoints"][std::string(kEndpointNames[i])];
    const auto add = [&](const std::string& run, const Measured& measured) {
      const std::vector<int64_t>& latencies = measured.workload.nanoseconds[i];
      endpoint[run] = {{"calls", latencies.size()},
                       {"p50_us", Percentile(latencies, 0.5)},
                       {"p99_us", Percentile(latencies, 0.99)},
                       {"queries", measured.queries[i]}};
    };
    add("without_cache", without_cache);
    if (!with_cache.has_value()) continue;
    add("with_cache", *with_cache);
    endpoint["hit_ratio"] = Ratio(cache.hits[i], cache.hits[i] + cache.misses[i]);
    endpoint["speed_up"] = SpeedUp(static_cast<Endpoint>(i));
  }
  return json.dump(2) + "\n";
}

}  // namespace bookings
