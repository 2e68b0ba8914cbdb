// What several scenarios begin with.
#ifndef LARDER_TESTS_BENCH_SERVICE_SETUP_H_
#define LARDER_TESTS_BENCH_SERVICE_SETUP_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/bench/report.h"
#include "tests/bench/service/load.h"
#include "tests/bench/service/measuring.h"
#include "tests/bench/service/processes.h"
#include "tests/support/larder_server.h"
#include "tests/support/redis_server.h"

namespace larder::bench {

inline constexpr size_t kSmallValue = 100;  // bytes, as redis-benchmark is told

// The keys and values of one scenario.
struct Data {
  Data(uint64_t keys, size_t value_bytes, double exponent = 0) : choice(keys, exponent), values(value_bytes) {}

  KeyChoice choice;
  Values values;
};

// With the settings' configuration and these variables, and all of the data in it.
absl::StatusOr<std::unique_ptr<LarderServer>> StartLarderd(const Settings& settings, const Data& data,
                                                           const std::vector<std::string>& environment);

// Closed loop, of reads.
Load LoadOf(const Settings& settings, const std::string& target, const Data& data, size_t in_flight);

// OK if at least 99 of 100 hits came from the near tier; a key that the tier has no room for is another measurement.
absl::Status CheckNear(const Figures& larderd);

// An echo that does so little means that the machine was not quiet, and no ratio is worth anything.
void JudgeEcho(double per_s, Report& report);

// As the figure `per_s`.
absl::StatusOr<Figures> PerSecond(absl::StatusOr<double> rate);

// RedisBenchmark for about as long as the settings say.
absl::StatusOr<Figures> RedisFigures(int port, int pipeline, const Settings& settings);

}  // namespace larder::bench

#endif  // LARDER_TESTS_BENCH_SERVICE_SETUP_H_
