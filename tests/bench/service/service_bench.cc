// Measures larderd against what bounds it and against what it is compared with. See docs/benchmarks.md.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "tests/bench/report.h"
#include "tests/bench/service/measuring.h"
#include "tests/bench/service/scenarios.h"

namespace larder::bench {
namespace {

struct Options {
  Settings settings;
  std::vector<std::string> only;
  std::string json_path;
  std::string config_path;
  bool list = false;
  bool is_short = false;
};

bool IsWanted(const Scenario& scenario, const std::vector<std::string>& only) {
  return only.empty() || std::find_first_of(scenario.names.begin(), scenario.names.end(), only.begin(), only.end()) !=
                             scenario.names.end();
}

// Empty if every name is one that --list says; else the first that is not.
std::string UnknownName(const std::vector<std::string>& only) {
  for (const std::string& name : only) {
    const auto& all = AllScenarios();
    if (std::none_of(all.begin(), all.end(),
                     [&name](const Scenario& scenario) { return IsWanted(scenario, {name}); })) {
      return name;
    }
  }
  return "";
}

void List() {
  for (const Scenario& scenario : AllScenarios()) {
    for (const std::string& name : scenario.names) std::printf("%-30s %s\n", name.c_str(), scenario.about.c_str());
  }
}

// False if any of them failed; one that cannot be run here is skipped, and said to be.
bool RunAll(const Options& options, Report& report) {
  bool all_ran = true;
  for (const Scenario& scenario : AllScenarios()) {
    if (!IsWanted(scenario, options.only)) continue;
    std::printf("== %s\n", scenario.about.c_str());
    std::fflush(stdout);
    const absl::Status status = scenario.run(options.settings, report);
    if (status.ok()) continue;
    const std::string why(status.message());
    std::fprintf(stderr, "%s: %s\n", scenario.names[0].c_str(), status.ToString().c_str());
    for (const std::string& name : scenario.names) {
      report.Append(absl::IsNotFound(status) ? "skipped" : "failed", absl::StrCat(name, ": ", why));
    }
    all_ran = all_ran && absl::IsNotFound(status);
  }
  return all_ran;
}

bool ReadConfig(Options& options) {
  if (options.config_path.empty()) return true;
  std::ostringstream text;
  text << std::ifstream(options.config_path).rdbuf();
  options.settings.config = text.str();
  return !options.settings.config.empty();
}

int Run(Options options) {
  if (options.list) {
    List();
    return 0;
  }
  if (const std::string name = UnknownName(options.only); !name.empty()) {
    std::fprintf(stderr, "--only: there is no \"%s\"; --list says what there is\n", name.c_str());
    return 2;
  }
  if (!ReadConfig(options)) {
    std::fprintf(stderr, "--config: nothing to be read in %s\n", options.config_path.c_str());
    return 2;
  }
  if (options.is_short) {
    options.settings.keys = 2'000;
    options.settings.large_keys = 20;
    options.settings.runs = 1;
    options.settings.seconds = 0.1;
    options.settings.warm_up_seconds = 0.05;
  }
  Report report;
#ifndef NDEBUG
  report.Void("this is no release build");
#endif
  bool succeeded = RunAll(options, report);
  if (!options.json_path.empty()) {
    const absl::Status status = report.WriteJson(options.json_path);
    if (!status.ok()) std::fprintf(stderr, "--json: %s\n", status.ToString().c_str());
    succeeded = succeeded && status.ok();
  }
  return succeeded ? 0 : 1;
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Measures larderd against its references. LARDERD says where it is.");
  app.add_flag("--list", options.list, "only say what is measured");
  app.add_option("--only", options.only, "only these, by the names that --list says")->delimiter(',');
  app.add_option("--json", options.json_path, "write the figures to this file too");
  app.add_option("--runs", options.settings.runs, "of each side; medians count")->check(CLI::Range(1, 100));
  app.add_option("--seconds", options.settings.seconds, "of each run")->check(CLI::Range(0.05, 600.0));
  app.add_option("--config", options.config_path, "a configuration for larderd instead of its defaults");
  app.add_flag("--short", options.is_short, "a fraction of a second each: whether it works, not how fast anything is");
  app.add_option("--wrong-every", options.settings.wrong_every,
                 "each so many answers of the echo are wrong, to see that it is noticed");
  CLI11_PARSE(app, argc, argv);
  return Run(options);
}

}  // namespace
}  // namespace larder::bench

int main(int argc, char** argv) { return larder::bench::Main(argc, argv); }
