// Puts memcached under load, by its text protocol.
#ifndef LARDER_TESTS_BENCH_SERVICE_MEMCACHED_LOAD_H_
#define LARDER_TESTS_BENCH_SERVICE_MEMCACHED_LOAD_H_

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/bench/service/key_choice.h"
#include "tests/bench/service/processes.h"
#include "tests/bench/service/values.h"

namespace larder::bench {

// On loopback at a free port, with as many threads as there are cores.
class MemcachedServer {
 public:
  static absl::StatusOr<std::unique_ptr<MemcachedServer>> Start();

  int port() const { return port_; }
  pid_t pid() const { return process_->pid(); }

 private:
  TemporaryFolder folder_;
  std::unique_ptr<ChildProcess> process_;
  int port_ = 0;
};

struct MemcachedLoad {
  int port = 0;
  const KeyChoice* choice = nullptr;  // these two must outlive the run
  const Values* values = nullptr;
  size_t connections = 64;
  size_t pipeline = 16;  // gets sent on a connection at once; the next when all are answered
  double warm_up_seconds = 0;
  double seconds = 1;
};

// Keys read in a second, each checked. DATA_LOSS for a wrong value or a miss.
absl::StatusOr<double> RunMemcachedLoad(const MemcachedLoad& load);

absl::Status PopulateMemcached(int port, uint64_t keys, const Values& values);

}  // namespace larder::bench

#endif  // LARDER_TESTS_BENCH_SERVICE_MEMCACHED_LOAD_H_
