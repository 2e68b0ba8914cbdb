// A real redis-server for tests.
#ifndef LARDER_TESTS_SUPPORT_REDIS_SERVER_H_
#define LARDER_TESTS_SUPPORT_REDIS_SERVER_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace larder {

// Listens on 127.0.0.1 at a free port, works in a temporary folder, saves nothing by itself. Killed by its own pid when
// this goes, and when the thread that started it ends, however that comes about. Not thread-safe; every call blocks.
// The program is what LARDER_REDIS_SERVER says, `redis-server` by default.
class RedisServer {
 public:
  struct Options {
    std::string password = {};
    bool unix_socket = false;                  // listens on unix_path() too
    bool tls = false;                          // listens on tls_port() too; extra_args name the files
    bool sentinel = false;                     // is a sentinel, which watches nothing yet
    bool cluster = false;                      // is a node of a Cluster, which knows no other yet; Redis 7 or later
    std::vector<std::string> extra_args = {};  // as on redis-server's command line
    // Of a node of a Cluster: from its port the one at which others are to know it; none: the same.
    std::function<absl::StatusOr<int>(int port)> known_as = {};
  };

  // Returns once it answers.
  static absl::StatusOr<std::unique_ptr<RedisServer>> Start(const Options& options);
  static absl::StatusOr<std::unique_ptr<RedisServer>> Start() { return Start(Options{}); }

  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  int port() const { return port_; }
  int tls_port() const { return tls_port_; }
  int bus_port() const { return bus_port_; }      // of a node of a Cluster
  int known_port() const { return known_port_; }  // of a node of a Cluster, to others
  std::string url() const;                        // without the password
  std::string unix_path() const { return folder_ + "/redis.sock"; }
  std::string sentinel_file() const { return folder_ + "/sentinel.conf"; }
  pid_t pid() const { return pid_; }  // 0: not running
  bool running() const { return pid_ != 0; }

  void Kill();    // SIGKILL
  void Stop();    // SIGTERM: it ends in order
  void Pause();   // SIGSTOP: connections stay, nothing is answered
  void Resume();  // SIGCONT

  // Starts it again after Kill or Stop: same port, same folder, and so with what it saved. Returns once it answers.
  absl::Status Restart();

  // Runs one command on a connection of its own. Strings, statuses and numbers come as text, null as "(nil)", arrays
  // as one line for each element; Redis' errors as INTERNAL with its text.
  absl::StatusOr<std::string> Command(const std::vector<std::string>& args) const;

 private:
  explicit RedisServer(const Options& options) : options_(options) {}

  absl::Status MakeFolder();
  std::vector<std::string> CommandLine() const;
  absl::Status Launch();
  absl::Status AwaitAnswer();
  bool HasExited();
  void Signal(int signal) const;
  void Reap();

  const Options options_;
  std::string folder_;
  int port_ = 0;
  int tls_port_ = 0;
  int bus_port_ = 0;
  int known_port_ = 0;
  pid_t pid_ = 0;  // 0: not running
};

}  // namespace larder

#endif  // LARDER_TESTS_SUPPORT_REDIS_SERVER_H_
