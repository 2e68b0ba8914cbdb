// Runs things in turn, several times each, and takes medians.
#ifndef LARDER_TESTS_BENCH_SERVICE_MEASURING_H_
#define LARDER_TESTS_BENCH_SERVICE_MEASURING_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/bench/report.h"
#include "tests/bench/service/load.h"

namespace larder::bench {

struct Settings {
  int runs = 3;                  // of each side
  double seconds = 2;            // of each run
  double warm_up_seconds = 0.5;  // before it
  uint64_t keys = 100'000;       // of values up to 1 KB
  uint64_t large_keys = 1'000;   // of larger values
  std::string config = {};       // of larderd, YAML; empty: its defaults
  uint64_t wrong_every = 0;      // as reference_server has it
};

// By name; the name ends with the unit.
using Figures = std::map<std::string, double>;

// One of the things that are compared.
struct Side {
  std::string name;
  std::function<absl::StatusOr<Figures>()> run;
};

// By side, the median of each figure. Runs A B C A B C …, so that what changes on the machine meanwhile meets all of
// them alike, and reports the medians as absolute `<what>.<side>.<figure>`.
absl::StatusOr<std::map<std::string, Figures>> Interleave(const Settings& settings, const std::string& what,
                                                          const std::vector<Side>& sides, Report& report);

// `per_s` (keys where a call has several), `p50_us`, `p99_us`, `<process>_cpu_us_per_op` for each watched process and
// `client` for this one, and `near_share` of the hits. An error where an answer was wrong, a key was
// not there, a call failed, or nothing was answered.
absl::StatusOr<Figures> Measure(const Load& load, const std::vector<std::pair<std::string, pid_t>>& watched);

// The middle one, or the mean of the two in the middle. At least one value.
double Median(std::vector<double> values);

}  // namespace larder::bench

#endif  // LARDER_TESTS_BENCH_SERVICE_MEASURING_H_
