// What is measured.
#ifndef LARDER_TESTS_BENCH_SERVICE_SCENARIOS_H_
#define LARDER_TESTS_BENCH_SERVICE_SCENARIOS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/bench/report.h"
#include "tests/bench/service/measuring.h"

namespace larder::bench {

struct Scenario {
  // The ratios that it reports, all together; where it has none, its own name for absolute figures.
  std::vector<std::string> names;
  std::string about;
  // Blocks. NOT_FOUND, naming it, where a program that it needs is not installed.
  absl::Status (*run)(const Settings& settings, Report& report);
};

const std::vector<Scenario>& AllScenarios();

// scenarios_near.cc
absl::Status NearUnary(const Settings& settings, Report& report);
absl::Status NearTail(const Settings& settings, Report& report);
absl::Status NearH2Load(const Settings& settings, Report& report);
absl::Status NearBatch(const Settings& settings, Report& report);
absl::Status NearPipeline(const Settings& settings, Report& report);
absl::Status Mixes(const Settings& settings, Report& report);
// scenarios_store.cc
absl::Status StoreUnary(const Settings& settings, Report& report);
absl::Status StoreAlone(const Settings& settings, Report& report);
absl::Status RedisAlone(const Settings& settings, Report& report);
absl::Status MemcachedAlone(const Settings& settings, Report& report);
// scenarios_overload.cc
absl::Status Overload(const Settings& settings, Report& report);  // with a configuration of its own
absl::Status OverloadLarge(const Settings& settings, Report& report);

}  // namespace larder::bench

#endif  // LARDER_TESTS_BENCH_SERVICE_SCENARIOS_H_
