// A TCP proxy that can be told to misbehave.
#ifndef LARDER_TESTS_CHAOS_TCP_PROXY_H_
#define LARDER_TESTS_CHAOS_TCP_PROXY_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/mutex.h"
#include "tests/chaos/rewriter.h"

namespace larder::chaos {

// Accepts on loopback at a free port and passes bytes on to a port there, in order and whole, until told otherwise.
// What it is told holds for the connections there are and for those to come, until Heal(). Thread-safe; no call blocks
// for long, but for the destructor, which closes all and waits for the proxy's own thread.
class TcpProxy {
 public:
  // A connection is marked once its client has sent one of the proxy's markers.
  enum class Which { kAll, kMarked, kUnmarked };
  enum class Direction { kToServer, kToClient, kBoth };

  // Of what the client is sent: where a server names an address, the client is to be told that of a proxy. `to` is as
  // long as `from`, so that lengths hold that are told besides.
  using Substitution = Rewriter::Substitution;

  // `markers`: not empty each; without any, no connection is marked.
  static absl::StatusOr<std::unique_ptr<TcpProxy>> Start(int target_port, std::vector<std::string> markers,
                                                         std::vector<Substitution> substitutions = {});
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  int port() const { return port_; }

  // Instead of those there are, for connections to come: where proxies are named that had yet to be started.
  absl::Status Substitute(std::vector<Substitution> substitutions);

  // Every byte is passed on so much later.
  void Delay(Which which, Direction direction, int64_t nanos);
  // No byte is passed on: a one-way black hole, or with kBoth a half-open connection. Nothing is lost: Heal() passes on
  // what was held, as a network does that sends it again.
  void Hold(Which which, Direction direction);
  // New connections are closed as soon as they are accepted.
  void Refuse();
  // Ends Delay, Hold and Refuse, and what is left of Truncate.
  void Heal();

  // Of the connections there are; each returns how many that were.
  int Close(Which which);                                        // in order: what was accepted is passed on first
  int Reset(Which which);                                        // at once, what was on its way is lost
  int Truncate(Which which, Direction direction, size_t bytes);  // passes on so many more, then resets

 private:
  struct Chunk {
    int64_t arrived = 0;
    std::string bytes;
  };
  // One direction of one connection.
  struct Pipe {
    int from = -1;
    int to = -1;
    std::deque<Chunk> chunks;
    size_t queued = 0;
    std::optional<size_t> left;  // to be passed on before the connection is reset
    bool ended = false;          // nothing more comes
    bool shut = false;           // the end was passed on
  };
  struct Connection {
    explicit Connection(std::vector<Substitution> substitutions) : rewriter(std::move(substitutions)) {}

    std::array<Pipe, 2> pipes;  // to the server, to the client
    Rewriter rewriter;          // of what comes from the server
    std::string seen;           // the last bytes from the client, to find a marker in
    bool marked = false;
    bool closing = false;  // once nothing is queued
    bool over = false;
  };
  // By [marked][to the client].
  template <typename T>
  using ByPipe = std::array<std::array<T, 2>, 2>;

  TcpProxy(int target_port, std::vector<std::string> markers)
      : target_port_(target_port), markers_(std::move(markers)) {}

  absl::Status Listen();
  void Run();
  void Accept() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Receive(Connection& connection, Pipe& pipe) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void Queue(Pipe& pipe, std::string bytes);
  void Pass(Connection& connection, Pipe& pipe, int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LookForMarker(Connection& connection, std::string_view bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // When the pipe's first bytes may go; none: not before something changes.
  std::optional<int64_t> Due(const Connection& connection, const Pipe& pipe) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void End(Connection& connection, bool reset);
  void Wake();
  template <typename Do>
  int ForConnections(Which which, Do what);

  const int target_port_;
  const std::vector<std::string> markers_;
  int port_ = 0;
  int listener_ = -1;
  int wake_ = -1;  // an eventfd
  std::atomic<bool> stopping_{false};

  Mutex mutex_;
  std::list<Connection> connections_ ABSL_GUARDED_BY(mutex_);
  std::vector<Substitution> substitutions_ ABSL_GUARDED_BY(mutex_);
  ByPipe<int64_t> delay_ ABSL_GUARDED_BY(mutex_) = {};
  ByPipe<bool> held_ ABSL_GUARDED_BY(mutex_) = {};
  bool refusing_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_TCP_PROXY_H_
