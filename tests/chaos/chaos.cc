// Replicas under faults, from seeds, and whether what they answered was right. Ends with 1 if it was not, or if a run
// was too weak to tell. Needs a larderd, or one with a bug planted in it, which must then be found. See docs/chaos.md.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/clock.h"
#include "tests/chaos/run.h"
#include "tests/chaos/store_form.h"

namespace larder::chaos {
namespace {

struct Settings {
  RunOptions run;
  int seeds = 10;
  uint64_t first_seed = 1;
  int64_t at_most_millis = 0;
};

void Print(const RunOptions& run, const RunResult& result) {
  std::printf(
      "seed %lu, %s: %zu answers, %zu STRONG; before the faults %.0f/s, %.0f %% hits, %.0f %% near; %s%s%s: %zu "
      "violations%s%s\n",
      run.seed, run.form.c_str(), result.answers, result.strong, result.calm.rate, 100 * result.calm.hits,
      100 * result.calm.near_hits, absl::StrJoin(result.faults, ", ").c_str(), result.proof.empty() ? "" : "; ",
      result.proof.c_str(), result.violations.size(), result.counts() ? "" : "; TOO WEAK TO COUNT ",
      std::string(result.form.message()).c_str());
  if (result.rolls) {
    std::printf("  while replicas were replaced: %zu calls of the client library, %zu errors%s%s\n",
                result.library_calls, result.errors.size(), result.errors.empty() ? "" : ": ",
                result.errors.empty() ? "" : result.errors.front().c_str());
  }
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
  size_t errors = 0;
  bool broken = false;  // a run could not be made
};

// One bug breaks no rule, but makes the cache useless.
bool IsFound(const Settings& settings, const Totals& totals) {
  return settings.run.bug == "always-miss" ? totals.useless > 0 : totals.violations > 0;
}

void Add(const RunResult& result, Totals& totals) {
  ++totals.runs;
  totals.violations += result.violations.size();
  totals.errors += result.errors.size();
  if (result.counts()) {
    totals.answers += result.answers;
  } else {
    ++totals.weak;
    totals.useless += !result.calm.is_slow() && result.calm.is_useless() ? 1 : 0;
  }
}

// The forms in turn, of which each comes to every configuration.
RunOptions RunOf(const Settings& settings, const std::vector<std::string>& forms, uint64_t seed) {
  RunOptions run = settings.run;
  run.seed = seed;
  run.form = forms[seed % forms.size()];
  run.turn = forms.size() == 1 ? seed : seed / forms.size() + seed % forms.size();
  return run;
}

Totals RunAll(const Settings& settings, const std::vector<std::string>& forms) {
  Totals totals;
  const int64_t began = SystemClock().NowNanos();
  for (int i = 0; i < settings.seeds; ++i) {
    if (settings.at_most_millis > 0 && SystemClock().NowNanos() - began > settings.at_most_millis * kNanosPerMilli)
      break;
    const RunOptions run = RunOf(settings, forms, settings.first_seed + static_cast<uint64_t>(i));
    const RunResult result = Run(run);
    if (!result.status.ok()) {
      std::printf("seed %lu, %s: %s\n", run.seed, run.form.c_str(), std::string(result.status.message()).c_str());
      totals.broken = true;
      break;
    }
    Print(run, result);
    Add(result, totals);
    if (!settings.run.bug.empty() && IsFound(settings, totals)) break;
  }
  const double seconds = static_cast<double>(SystemClock().NowNanos() - began) / static_cast<double>(kNanosPerSecond);
  std::printf("%d runs, %zu answers checked, %d runs too weak to count, %zu violations, %zu errors, %.1f s\n",
              totals.runs, totals.answers, totals.weak, totals.violations, totals.errors, seconds);
  return totals;
}

// The one that was named, or those in which one of the faults can be made.
std::vector<std::string> FormsOf(const Settings& settings) {
  if (!settings.run.form.empty()) return {settings.run.form};
  std::vector<std::string> forms;
  for (std::string_view name : StoreFormNames()) {
    if (!FaultsOf(std::string(name), settings.run.only).empty()) forms.emplace_back(name);
  }
  return forms;
}

std::set<std::string> AllFaults() {
  std::set<std::string> names;
  for (std::string_view form : StoreFormNames()) {
    for (std::string_view fault : FaultsOf(std::string(form), {})) names.emplace(fault);
  }
  return names;
}

int Main(int argc, char** argv) {
  Settings settings;
  RunOptions& run = settings.run;
  const std::vector<std::string_view> form_names = StoreFormNames();
  CLI::App app("Runs three replicas on one Redis under faults and checks every answer.");
  app.add_option("--server", run.program, "the larderd to run")->required()->check(CLI::ExistingFile);
  app.add_option("--other-server", run.other_program,
                 "another larderd: replicas are replaced one by one, by the one or by the other, and no call may fail")
      ->check(CLI::ExistingFile);
  app.add_option("--bug", run.bug, "planted in it (a larderd-faulty): must be found");
  app.add_option("--form", run.form, "of Redis; all in turn where none is named")
      ->check(CLI::IsMember(std::vector<std::string>(form_names.begin(), form_names.end())));
  app.add_option("--seeds", settings.seeds, "how many runs")->check(CLI::Range(1, 100'000));
  app.add_option("--first-seed", settings.first_seed, "of the first run; the next ones follow");
  app.add_option("--faults", run.faults, "made in each run")->check(CLI::Range(0, 100));
  app.add_option("--lease-ms", run.lease_millis, "near.lease, and so delta")->check(CLI::Range(100, 60'000));
  app.add_option("--store-timeout-ms", run.store_timeout_millis, "store.redis.operation_timeout; 0: by the seed")
      ->check(CLI::Range(0, 60'000));
  app.add_option("--calm-ms", run.calm_millis, "before the first fault")->check(CLI::Range(100, 60'000));
  app.add_option("--at-most-ms", settings.at_most_millis, "no run begins after this");
  app.add_option("--coherence", run.coherence, "near.coherence; with pubsub nobody writes behind Larder's back")
      ->check(CLI::IsMember({"tracking", "pubsub"}));
  app.add_option("--only", run.only, "of these faults alone")->delimiter(',')->check(CLI::IsMember(AllFaults()));
  CLI11_PARSE(app, argc, argv);
  const std::vector<std::string> forms = FormsOf(settings);
  if (FaultsOf(forms.front(), run.only).empty()) {
    std::printf("none of these faults can be made in this form\n");
    return 1;
  }
  const Totals totals = RunAll(settings, forms);
  if (totals.broken) return 1;
  if (!run.bug.empty()) {
    const bool found = IsFound(settings, totals);
    std::printf("%s: %s\n", run.bug.c_str(), found ? "found" : "NOT FOUND");
    return found ? 0 : 1;
  }
  return totals.violations > 0 || totals.errors > 0 || totals.weak > 0 ? 1 : 0;
}

}  // namespace
}  // namespace larder::chaos

int main(int argc, char** argv) { return larder::chaos::Main(argc, argv); }
