// Our store in Redis, without the service around it.
#ifndef LARDER_TESTS_BENCH_SERVICE_STORE_FETCH_H_
#define LARDER_TESTS_BENCH_SERVICE_STORE_FETCH_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/bench/service/key_choice.h"
#include "tests/bench/service/values.h"

namespace larder::bench {

struct StoreFetch {
  int redis_port = 0;
  const KeyChoice* choice = nullptr;  // these two must outlive the run
  const Values* values = nullptr;
  size_t in_flight = 1'024;  // reads of one key each
  double warm_up_seconds = 0;
  double seconds = 1;
};

// Keys read in a second through a RedisStore of this process, each checked. DATA_LOSS for a wrong value.
absl::StatusOr<double> RunStoreFetch(const StoreFetch& fetch);

// Writes all of the keys through a RedisStore.
absl::Status PopulateStore(int redis_port, uint64_t keys, const Values& values);

}  // namespace larder::bench

#endif  // LARDER_TESTS_BENCH_SERVICE_STORE_FETCH_H_
