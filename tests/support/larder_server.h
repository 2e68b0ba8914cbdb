// A real larderd for tests.
#ifndef LARDER_TESTS_SUPPORT_LARDER_SERVER_H_
#define LARDER_TESTS_SUPPORT_LARDER_SERVER_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/support/child_process.h"

namespace larder {

// The program that the environment variable LARDERD names, on loopback at free ports, with its log in a temporary
// folder. Not thread-safe; every call blocks.
class LarderServer {
 public:
  struct Options {
    std::string config = {};                    // YAML; empty: none
    std::vector<std::string> environment = {};  // "NAME=value"
    std::string program = {};                   // empty: what LARDERD names
  };

  // Returns once it serves.
  static absl::StatusOr<std::unique_ptr<LarderServer>> Start(Options options);
  static absl::StatusOr<std::unique_ptr<LarderServer>> Start() { return Start(Options{}); }

  ~LarderServer();
  LarderServer(const LarderServer&) = delete;
  LarderServer& operator=(const LarderServer&) = delete;

  std::string address() const;
  int port() const { return port_; }
  pid_t pid() const { return process_->pid(); }
  // It has not ended.
  bool running() const { return process_->running(); }

  void Kill();    // SIGKILL
  void Pause();   // SIGSTOP
  void Resume();  // SIGCONT
  void Stop();    // SIGTERM; does not wait
  // Waits for its end; the exit code, or an error if it has not ended in time or was killed.
  absl::StatusOr<int> AwaitEnd();

  // Starts it again, once it has ended, on the same port; another program, if one is named.
  absl::Status Restart(const std::string& program = "");

  // The sum of a metric's samples that have all of `labels` ("name=\"value\""); 0 if there are none.
  double Metric(const std::string& name, const std::vector<std::string>& labels) const;

 private:
  explicit LarderServer(Options options) : options_(std::move(options)), program_(options_.program) {}

  absl::Status Launch();
  absl::Status AwaitServing();
  std::string log_path() const { return folder_ + "/larderd.log"; }

  const Options options_;
  std::string program_;  // empty: what LARDERD names
  std::string folder_;
  int port_ = 0;
  int operations_port_ = 0;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace larder

#endif  // LARDER_TESTS_SUPPORT_LARDER_SERVER_H_
