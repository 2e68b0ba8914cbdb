// A program run for a test.
#ifndef LARDER_TESTS_SUPPORT_CHILD_PROCESS_H_
#define LARDER_TESTS_SUPPORT_CHILD_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace larder {

// Killed by its own pid when this goes, and when the thread that started it ends, however that comes about. Not
// thread-safe.
class ChildProcess {
 public:
  // `args[0]` is looked for on the PATH; `environment` ("NAME=value") comes on top of this process's. What it writes
  // goes to `output_path`.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(const std::vector<std::string>& args,
                                                             const std::vector<std::string>& environment,
                                                             const std::string& output_path);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  bool running();
  pid_t pid() const { return pid_; }  // 0: it is known to have ended
  void Signal(int signal) const;
  // SIGSTOP; returns once none of its threads runs any more.
  void Pause();
  // Waits for it to end; false if it has not within `timeout`.
  bool AwaitEnd(std::chrono::milliseconds timeout);
  // How it ended, as waitpid tells; meaningful once it has.
  int wait_status() const { return wait_status_; }

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}

  pid_t pid_;  // 0: it has ended
  int wait_status_ = 0;
};

}  // namespace larder

#endif  // LARDER_TESTS_SUPPORT_CHILD_PROCESS_H_
