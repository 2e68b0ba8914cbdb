// Replicas under faults, from seeds, and whether what they answered was right. Ends with 1 if it was not, or if a run
// was too weak to tell. Needs a larderd, or one with a bug planted in it, which must then be found. See docs/chaos.md.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/clock.h"
#include "tests/chaos/faults.h"
#include "tests/chaos/fleet.h"
#include "tests/chaos/history.h"
#include "tests/chaos/workload.h"

namespace larder::chaos {
namespace {

struct Settings {
  std::string program;
  std::string bug;
  int seeds = 10;
  uint64_t first_seed = 1;
  int faults = 5;
  int calm_millis = 1'000;
  int settle_millis = 500;
  int lease_millis = 1'000;
  int store_timeout_millis = 0;  // 0: by the seed
  int64_t at_most_millis = 0;
  std::vector<std::string> only;
  std::string coherence = "tracking";
};

// A run that did less before its first fault proves too little to count.
constexpr double kLeastRate = 1'000;
constexpr double kLeastHits = 0.50;
constexpr double kLeastNearHits = 0.20;

// What the clients did and saw in a time without faults.
struct Calm {
  double rate = 0;
  double hits = 0;
  double near_hits = 0;

  bool is_slow() const { return rate < kLeastRate; }
  bool is_useless() const { return hits < kLeastHits || near_hits < kLeastNearHits; }
  bool counts() const { return !is_slow() && !is_useless(); }
};

struct RunResult {
  absl::Status status;
  size_t answers = 0;  // to Gets, each of which was checked
  size_t strong = 0;   // writes that were acknowledged as STRONG
  Calm calm;
  Calm after;
  std::vector<std::string> faults;
  std::vector<Violation> violations;

  bool counts() const { return calm.counts() && after.counts() && strong > 0; }
};

void SleepMillis(int64_t millis) { std::this_thread::sleep_for(std::chrono::milliseconds(millis)); }

Calm CalmOf(const std::vector<Operation>& history, Window window) {
  int64_t reads = 0, hits = 0, near_hits = 0;
  for (const Operation& operation : history) {
    if (operation.invoked < window.begin || operation.returned > window.end) continue;
    if (operation.kind != OperationKind::kGet || operation.outcome != Outcome::kDone) continue;
    ++reads;
    hits += operation.value != 0 ? 1 : 0;
    near_hits += operation.near ? 1 : 0;
  }
  const double seconds = static_cast<double>(window.end - window.begin) / static_cast<double>(kNanosPerSecond);
  const auto of_reads = [&](int64_t count) {
    return reads == 0 ? 0 : static_cast<double>(count) / static_cast<double>(reads);
  };
  return {.rate = static_cast<double>(reads) / seconds, .hits = of_reads(hits), .near_hits = of_reads(near_hits)};
}

// With the longer one, reads outlast what holds them up.
int64_t StoreTimeoutMillis(const Settings& settings, uint64_t seed) {
  if (settings.store_timeout_millis != 0) return settings.store_timeout_millis;
  return seed % 2 == 0 ? 250 : 3'000;
}

RunResult RunSeed(const Settings& settings, uint64_t seed) {
  RunResult result;
  const int64_t lease = settings.lease_millis * kNanosPerMilli;
  const int64_t degraded_max_age = (seed % 2 == 0 ? 700 : 60'000) * kNanosPerMilli;
  auto fleet = Fleet::Start({.program = settings.program,
                             .bug = settings.bug,
                             .lease_nanos = lease,
                             .store_timeout_nanos = StoreTimeoutMillis(settings, seed) * kNanosPerMilli,
                             // Often, so that stamps are retired while writes from before are still under way; or
                             // hardly ever, as what a sweep removes is told of key by key.
                             .sweep_interval_nanos = (seed / 2 % 2 == 0 ? 100 : 60'000) * kNanosPerMilli,
                             .degraded_max_age_nanos = degraded_max_age,
                             .on_store_loss = seed % 3 == 0 ? "memory" : "near_only",
                             .coherence = settings.coherence});
  if (!fleet.ok()) {
    result.status = fleet.status();
    return result;
  }
  const FaultPlan plan = PlanFaults(seed, settings.faults, settings.only);
  for (const FaultPlan::Step& step : plan.steps) result.faults.emplace_back(step.fault);

  Workload workload(fleet->get(), seed);
  workload.Start();
  SleepMillis(settings.calm_millis / 2);  // connections are made, the first values are stored
  Window calm{.begin = SystemClock().NowNanos()};
  SleepMillis(settings.calm_millis);
  calm.end = SystemClock().NowNanos();
  const absl::StatusOr<FaultTimes> times = MakeFaults(plan, **fleet);
  result.status = times.ok() ? (*fleet)->AwaitTracking() : times.status();
  if (!result.status.ok()) return result;
  // Now and then until nothing of the faults may be felt any more: then all must be as before.
  const bool recovers = seed % 4 == 0 && !times->windows.empty();
  if (recovers) SleepMillis((times->windows.back().end - SystemClock().NowNanos()) / kNanosPerMilli);
  Window after{.begin = SystemClock().NowNanos()};
  SleepMillis(settings.settle_millis + settings.lease_millis);
  after.end = SystemClock().NowNanos();
  workload.Stop();
  result.status = (*fleet)->AwaitTracking();

  const std::vector<Operation> history = workload.TakeHistory();
  for (const Operation& operation : history) {
    const bool done = operation.outcome == Outcome::kDone;
    result.answers += done && operation.kind == OperationKind::kGet ? 1 : 0;
    result.strong += done && operation.strong ? 1 : 0;
  }
  result.calm = CalmOf(history, calm);
  result.after = recovers ? CalmOf(history, after) : result.calm;
  result.violations = CheckHistory(history, {.delta = lease,
                                             .degraded_max_age = degraded_max_age,
                                             .keys = kKeys,
                                             .replicas = kReplicas,
                                             .soft_keys = kSoftKeys,
                                             .faults = times->windows,
                                             .ends = times->ends});
  return result;
}

void Print(uint64_t seed, const RunResult& result) {
  std::printf(
      "seed %lu: %zu answers, %zu STRONG; before the faults %.0f/s, %.0f %% hits, %.0f %% near; %s: %zu violations%s\n",
      seed, result.answers, result.strong, result.calm.rate, 100 * result.calm.hits, 100 * result.calm.near_hits,
      absl::StrJoin(result.faults, ", ").c_str(), result.violations.size(),
      result.counts() ? "" : "; TOO WEAK TO COUNT");
  for (size_t i = 0; i < std::min<size_t>(result.violations.size(), 5); ++i) {
    const Violation& violation = result.violations[i];
    std::printf("  key %d, replica %d%s%s: %s\n", violation.read.key, violation.read.replica,
                violation.read.near ? ", near" : ", store", violation.read.stale ? ", stale" : "",
                violation.what.c_str());
  }
  std::fflush(stdout);
}

struct Totals {
  int runs = 0;
  int weak = 0;     // do not count
  int useless = 0;  // of those: for want of hits
  size_t answers = 0;
  size_t violations = 0;
  bool broken = false;  // a run could not be made
};

// One bug breaks no rule, but makes the cache useless.
bool IsFound(const Settings& settings, const Totals& totals) {
  return settings.bug == "always-miss" ? totals.useless > 0 : totals.violations > 0;
}

Totals RunAll(const Settings& settings) {
  Totals totals;
  const int64_t began = SystemClock().NowNanos();
  for (int i = 0; i < settings.seeds; ++i) {
    if (settings.at_most_millis > 0 && SystemClock().NowNanos() - began > settings.at_most_millis * kNanosPerMilli)
      break;
    const uint64_t seed = settings.first_seed + static_cast<uint64_t>(i);
    const RunResult result = RunSeed(settings, seed);
    if (!result.status.ok()) {
      std::printf("seed %lu: %s\n", seed, std::string(result.status.message()).c_str());
      totals.broken = true;
      break;
    }
    Print(seed, result);
    ++totals.runs;
    if (!result.counts()) {
      ++totals.weak;
      totals.useless += !result.calm.is_slow() && result.calm.is_useless() ? 1 : 0;
    } else {
      totals.answers += result.answers;
    }
    totals.violations += result.violations.size();
    if (!settings.bug.empty() && IsFound(settings, totals)) break;
  }
  const double seconds = static_cast<double>(SystemClock().NowNanos() - began) / static_cast<double>(kNanosPerSecond);
  std::printf("%d runs, %zu answers checked, %d runs too weak to count, %zu violations, %.1f s\n", totals.runs,
              totals.answers, totals.weak, totals.violations, seconds);
  return totals;
}

int Main(int argc, char** argv) {
  Settings settings;
  const std::vector<std::string_view> names = FaultNames();
  CLI::App app("Runs three replicas on one Redis under faults and checks every answer.");
  app.add_option("--server", settings.program, "the larderd to run")->required()->check(CLI::ExistingFile);
  app.add_option("--bug", settings.bug, "planted in it (a larderd-faulty): must be found");
  app.add_option("--seeds", settings.seeds, "how many runs")->check(CLI::Range(1, 100'000));
  app.add_option("--first-seed", settings.first_seed, "of the first run; the next ones follow");
  app.add_option("--faults", settings.faults, "made in each run")->check(CLI::Range(0, 100));
  app.add_option("--lease-ms", settings.lease_millis, "near.lease, and so delta")->check(CLI::Range(100, 60'000));
  app.add_option("--store-timeout-ms", settings.store_timeout_millis, "store.redis.operation_timeout; 0: by the seed")
      ->check(CLI::Range(0, 60'000));
  app.add_option("--calm-ms", settings.calm_millis, "before the first fault")->check(CLI::Range(100, 60'000));
  app.add_option("--at-most-ms", settings.at_most_millis, "no run begins after this");
  app.add_option("--only", settings.only, "of these faults alone")
      ->delimiter(',')
      ->check(CLI::IsMember(std::vector<std::string>(names.begin(), names.end())));
  app.add_option("--coherence", settings.coherence, "near.coherence; with pubsub nobody writes behind Larder's back")
      ->check(CLI::IsMember({"tracking", "pubsub"}));
  CLI11_PARSE(app, argc, argv);
  const Totals totals = RunAll(settings);
  if (totals.broken) return 1;
  if (!settings.bug.empty()) {
    const bool found = IsFound(settings, totals);
    std::printf("%s: %s\n", settings.bug.c_str(), found ? "found" : "NOT FOUND");
    return found ? 0 : 1;
  }
  return totals.violations > 0 || totals.weak > 0 ? 1 : 0;
}

}  // namespace
}  // namespace larder::chaos

int main(int argc, char** argv) { return larder::chaos::Main(argc, argv); }
