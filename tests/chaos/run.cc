#include "tests/chaos/run.h"

#include <algorithm>
#include <numeric>

#include "core/clock.h"
#include "tests/chaos/faults.h"
#include "tests/chaos/fleet.h"
#include "tests/chaos/keys.h"
#include "tests/chaos/random.h"
#include "tests/chaos/workload.h"

namespace larder::chaos {
namespace {

constexpr int kLibraryCallers = 3;

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

// Every second turn, reads outlast what holds them up.
int64_t StoreTimeoutMillis(const RunOptions& options) {
  if (options.store_timeout_millis != 0) return options.store_timeout_millis;
  return options.turn % 2 == 0 ? 250 : 3'000;
}

// Of a rolling upgrade, or downgrade, the program that all replicas run before and after it.
const std::string& FirstProgram(const RunOptions& options) {
  return options.other_program.empty() || options.turn % 2 != 0 ? options.program : options.other_program;
}
const std::string& LastProgram(const RunOptions& options) {
  return options.turn % 2 != 0 ? options.other_program : options.program;
}

Fleet::Options FleetOf(const RunOptions& options) {
  return {.program = FirstProgram(options),
          .bug = options.bug,
          .form = options.form,
          .lease_nanos = Millis(options.lease_millis),
          .store_timeout_nanos = Millis(StoreTimeoutMillis(options)),
          // Often, so that stamps are retired while writes from before are still under way; or hardly ever, as what a
          // sweep removes is told of key by key.
          .sweep_interval_nanos = Millis(options.turn / 2 % 2 == 0 ? 100 : 60'000),
          .degraded_max_age_nanos = Millis(options.turn % 2 == 0 ? 700 : 60'000),
          .on_store_loss = options.turn % 3 == 0 ? "memory" : "near_only",
          .connections = options.other_program.empty() && options.turn / 4 % 2 != 0 ? 3 : 1,
          .coherence = options.coherence};
}

Window SleepFor(int64_t millis) {
  Window window{.begin = SystemClock().NowNanos()};
  SleepMillis(millis);
  window.end = SystemClock().NowNanos();
  return window;
}

// One after the other, in any order, with no other fault.
absl::Status ReplaceAll(const std::string& program, Fleet& fleet, Random& random) {
  std::vector<int> order(kReplicas);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  for (const int i : order) {
    if (absl::Status status = fleet.Replace(i, program); !status.ok()) return status;
    SleepMillis(Between(random, 100, 1'000));
  }
  return absl::OkStatus();
}

// What comes before the faults: then they meet a fleet of both programs.
absl::Status RollOver(const RunOptions& options, Fleet& fleet, const Workload& workload, RunResult& result) {
  Random random(options.seed);
  const size_t calls = workload.LibraryCalls();
  if (absl::Status status = ReplaceAll(LastProgram(options), fleet, random); !status.ok()) return status;
  result.library_calls = workload.LibraryCalls() - calls;
  result.errors = workload.LibraryErrors();
  return fleet.Replace(Between(random, 0, kReplicas - 1), FirstProgram(options));
}

// Those of `names` that are among `only`, or all if that is empty.
std::vector<std::string_view> Restricted(std::vector<std::string_view> names, const std::vector<std::string>& only) {
  if (!only.empty()) {
    std::erase_if(names,
                  [&](std::string_view name) { return std::find(only.begin(), only.end(), name) == only.end(); });
  }
  return names;
}

void Count(const std::vector<Operation>& history, RunResult& result) {
  for (const Operation& operation : history) {
    const bool done = operation.outcome == Outcome::kDone;
    result.answers += done && operation.kind == OperationKind::kGet ? 1 : 0;
    result.strong += done && operation.strong ? 1 : 0;
  }
}

}  // namespace

std::vector<std::string_view> FaultsOf(const std::string& form, const std::vector<std::string>& only) {
  return Restricted(FaultNames(*MakeStoreForm(form)), only);
}

RunResult Run(const RunOptions& options) {
  RunResult result;
  const Fleet::Options of_fleet = FleetOf(options);
  auto fleet = Fleet::Start(of_fleet);
  if (!fleet.ok()) {
    result.status = fleet.status();
    return result;
  }
  const FaultPlan plan = PlanFaults(options.seed, options.faults, FaultsOf(options.form, options.only),
                                    Restricted((*fleet)->store().MainFaultNames(), options.only));
  for (const FaultPlan::Step& step : plan.steps) result.faults.emplace_back(step.fault);

  result.rolls = !options.other_program.empty();
  Workload workload(fleet->get(), options.seed, result.rolls ? kLibraryCallers : 0);
  workload.Start();
  SleepMillis(options.calm_millis / 2);  // connections are made, the first values are stored
  const Window calm = SleepFor(options.calm_millis);
  if (result.rolls) result.status = RollOver(options, **fleet, workload, result);
  if (!result.status.ok()) return result;
  const absl::StatusOr<FaultTimes> times = MakeFaults(plan, **fleet);
  result.status = times.ok() ? (*fleet)->AwaitTracking() : times.status();
  if (!result.status.ok()) return result;
  // Now and then until nothing of the faults may be felt any more: then all must be as before.
  const bool recovers = options.turn % 4 == 0 && !times->windows.empty();
  if (recovers) SleepMillis((times->windows.back().end - SystemClock().NowNanos()) / kNanosPerMilli);
  const Window after = SleepFor(options.settle_millis + options.lease_millis);
  workload.Stop();
  result.status = (*fleet)->AwaitTracking();
  if (absl::StatusOr<std::string> proof = (*fleet)->store().Proof(); proof.ok()) {
    result.proof = *std::move(proof);
  } else {
    result.form = proof.status();
  }

  const std::vector<Operation> history = workload.TakeHistory();
  Count(history, result);
  result.calm = CalmOf(history, calm);
  result.after = recovers ? CalmOf(history, after) : result.calm;
  result.violations = CheckHistory(history, {.delta = of_fleet.lease_nanos,
                                             .degraded_max_age = of_fleet.degraded_max_age_nanos,
                                             .keys = kKeys,
                                             .replicas = kReplicas,
                                             .soft_keys = kSoftKeys,
                                             .faults = times->windows,
                                             .ends = times->ends});
  return result;
}

}  // namespace larder::chaos
