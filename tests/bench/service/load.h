// Puts a gRPC server under load and says what came of it.
#ifndef LARDER_TESTS_BENCH_SERVICE_LOAD_H_
#define LARDER_TESTS_BENCH_SERVICE_LOAD_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/latency_histogram.h"
#include "tests/bench/service/key_choice.h"
#include "tests/bench/service/messages.h"
#include "tests/bench/service/values.h"

namespace larder::bench {

// Calls of larder.v1.Cache.
struct Load {
  std::string target;                 // host:port, plaintext
  const KeyChoice* choice = nullptr;  // these two must outlive the run
  const Values* values = nullptr;

  size_t threads = 2;   // a completion queue each
  size_t channels = 4;  // a connection each, shared out among the threads
  // Closed loop: so many calls under way at once; each answer is followed by the next call. A latency counts from the
  // moment a call is made.
  size_t in_flight = 64;
  // Above 0: open loop. So many calls a second at even intervals, however slowly they are answered; a latency counts
  // from the moment a call was to be made, so that what waits behind a slow answer is not left out.
  double rate = 0;

  double warm_up_seconds = 0;
  double seconds = 1;           // that count
  double deadline_seconds = 0;  // of each call, from when it is made; 0: none
  double connect_timeout_seconds = 10;

  size_t batch = 1;        // 1: Get; more: BatchGet of so many keys
  bool pipeline = false;   // Gets over Pipeline, one stream a connection; in a closed loop only
  double write_share = 0;  // so many of the calls are Sets instead
  bool from_store = false;
};

struct LoadResult {
  double seconds = 0;                // that were counted
  uint64_t calls = 0;                // answered with OK in that time
  uint64_t missed = 0;               // keys that were not there, in those answers
  Seen seen;                         // in all answers to reads, the warm-up's too
  uint64_t refused = 0;              // RESOURCE_EXHAUSTED
  uint64_t late = 0;                 // DEADLINE_EXCEEDED
  uint64_t failed = 0;               // any other code
  std::string failure;               // the message of one of them
  LatencyHistogram latency;          // of what was answered with OK
  LatencyHistogram refusal_latency;  // of what was refused
  std::vector<double> cpu_seconds;   // of each of the watched processes, and at the end of this one

  double PerSecond() const { return static_cast<double>(calls) / seconds; }
  // DATA_LOSS where a value was not its key's, INTERNAL where calls failed.
  absl::Status Check() const;
};

// Blocks for the whole time. `watched` are processes whose CPU time is taken. UNAVAILABLE if the server is not reached.
absl::StatusOr<LoadResult> RunLoad(const Load& load, const std::vector<pid_t>& watched);

// Writes the keys 0 to keys - 1, many in a call, and then reads all of them the same way, after which they are in the
// near tier, as far as they fit. Any answer but a hit with the right value is an error.
absl::Status Populate(const std::string& target, uint64_t keys, const Values& values);

}  // namespace larder::bench

#endif  // LARDER_TESTS_BENCH_SERVICE_LOAD_H_
