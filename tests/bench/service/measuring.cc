#include "tests/bench/service/measuring.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/clock.h"

namespace larder::bench {
namespace {

constexpr double kMicrosPerSecond = 1e6;

double Micros(int64_t nanos) { return static_cast<double>(nanos) / static_cast<double>(kNanosPerMicro); }

}  // namespace

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

absl::StatusOr<std::map<std::string, Figures>> Interleave(const Settings& settings, const std::string& what,
                                                          const std::vector<Side>& sides, Report& report) {
  std::map<std::string, std::map<std::string, std::vector<double>>> values;
  for (int run = 0; run < settings.runs; ++run) {
    for (const Side& side : sides) {
      absl::StatusOr<Figures> figures = side.run();
      if (!figures.ok()) {
        return absl::Status(figures.status().code(),
                            absl::StrCat(what, ", ", side.name, ": ", std::string(figures.status().message())));
      }
      for (const auto& [name, value] : *figures) values[side.name][name].push_back(value);
    }
  }
  std::map<std::string, Figures> medians;
  for (const auto& [side, figures] : values) {
    for (const auto& [name, all] : figures) {
      medians[side][name] = Median(all);
      report.Absolute(absl::StrCat(what, ".", side, ".", name), medians[side][name]);
    }
  }
  return medians;
}

absl::StatusOr<Figures> Measure(const Load& load, const std::vector<std::pair<std::string, pid_t>>& watched) {
  std::vector<pid_t> pids;
  for (const auto& [name, pid] : watched) pids.push_back(pid);
  absl::StatusOr<LoadResult> result = RunLoad(load, pids);
  if (!result.ok()) return result.status();
  if (absl::Status status = result->Check(); !status.ok()) return status;
  if (result->seen.misses > 0) {
    return absl::DataLossError(absl::StrCat(result->seen.misses, " keys were not there"));
  }
  if (result->calls == 0) return absl::UnavailableError("no call was answered in time");
  const auto batch = static_cast<double>(load.batch);
  const double operations = static_cast<double>(result->calls) * batch;
  Figures figures = {{"per_s", result->PerSecond() * batch},
                     {"p50_us", Micros(result->latency.QuantileNanos(0.5))},
                     {"p99_us", Micros(result->latency.QuantileNanos(0.99))},
                     {"near_share", static_cast<double>(result->seen.near) /
                                        static_cast<double>(std::max<uint64_t>(result->seen.hits, 1))}};
  for (size_t i = 0; i < watched.size(); ++i) {
    figures[watched[i].first + "_cpu_us_per_op"] = result->cpu_seconds[i] * kMicrosPerSecond / operations;
  }
  figures["client_cpu_us_per_op"] = result->cpu_seconds.back() * kMicrosPerSecond / operations;
  return figures;
}

}  // namespace larder::bench
