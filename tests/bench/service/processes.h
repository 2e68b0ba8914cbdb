// The programs that a run needs beside larderd and redis-server.
#ifndef LARDER_TESTS_BENCH_SERVICE_PROCESSES_H_
#define LARDER_TESTS_BENCH_SERVICE_PROCESSES_H_

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/bench/service/values.h"
#include "tests/support/child_process.h"

namespace larder::bench {

// That the process has used since its start, in itself and in the kernel, to the operating system's 10 ms; 0 if there
// is no such process.
double CpuSecondsOf(pid_t pid);

// Is there such a program on the PATH?
bool IsInstalled(const std::string& program);

// A folder for a run's files, removed with all that is in it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string Path(const std::string& file) const { return path_ + "/" + file; }

 private:
  std::string path_;
};

// What a program writes until its end, on both its outputs. INTERNAL with that text if its exit code is not 0,
// DEADLINE_EXCEEDED if it has not ended in time.
absl::StatusOr<std::string> RunProgram(const std::vector<std::string>& args, std::chrono::milliseconds timeout);

// A program that says `port N` once it listens on loopback.
class ListeningProcess {
 public:
  static absl::StatusOr<std::unique_ptr<ListeningProcess>> Start(const std::vector<std::string>& args);

  std::string address() const;
  int port() const { return port_; }
  pid_t pid() const { return process_->pid(); }

 private:
  TemporaryFolder folder_;
  std::unique_ptr<ChildProcess> process_;
  int port_ = 0;
};

// reference_server, which lies beside this program, with these arguments.
absl::StatusOr<std::unique_ptr<ListeningProcess>> StartReference(const std::vector<std::string>& args);

// Writes the keys 0 to keys - 1 into the Redis, as they are, past Larder.
absl::Status PopulateRedis(int port, uint64_t keys, const Values& values);

// GETs in a second, as redis-benchmark counts them: `-c 64 -d 100` over keys 0 to keys - 1, so many in a pipeline, all
// of which must be there (FAILED_PRECONDITION otherwise).
absl::StatusOr<double> RedisBenchmark(int port, int pipeline, uint64_t keys, uint64_t requests);

// Calls of Get in a second, of key 0, as h2load counts them: four connections with 64 calls under way on each.
absl::StatusOr<double> H2Load(int port, double warm_up_seconds, double seconds);

}  // namespace larder::bench

#endif  // LARDER_TESTS_BENCH_SERVICE_PROCESSES_H_
