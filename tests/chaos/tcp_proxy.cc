#include "tests/chaos/tcp_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/clock.h"

namespace larder::chaos {
namespace {

// Of one direction of one connection; beyond that the sender has to wait, as on a network.
constexpr size_t kMaxQueued = size_t{4} << 20;

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

void SendAtOnce(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

absl::Status Failed(const char* call) { return absl::InternalError(absl::StrCat(call, ": ", std::strerror(errno))); }

bool IsOf(TcpProxy::Which which, bool marked) {
  return which == TcpProxy::Which::kAll || (which == TcpProxy::Which::kMarked) == marked;
}

bool IsOf(TcpProxy::Direction direction, bool to_client) {
  return direction == TcpProxy::Direction::kBoth || (direction == TcpProxy::Direction::kToClient) == to_client;
}

// As indexes of what is kept by [marked][to the client].
std::vector<std::pair<size_t, size_t>> PipesOf(TcpProxy::Which which, TcpProxy::Direction direction) {
  std::vector<std::pair<size_t, size_t>> pipes;
  for (const bool marked : {false, true}) {
    for (const bool to_client : {false, true}) {
      if (IsOf(which, marked) && IsOf(direction, to_client)) pipes.emplace_back(marked ? 1 : 0, to_client ? 1 : 0);
    }
  }
  return pipes;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TcpProxy>> TcpProxy::Start(int target_port, std::vector<std::string> markers,
                                                          std::vector<Substitution> substitutions) {
  std::unique_ptr<TcpProxy> proxy(new TcpProxy(target_port, std::move(markers)));
  if (absl::Status status = proxy->Substitute(std::move(substitutions)); !status.ok()) return status;
  if (absl::Status status = proxy->Listen(); !status.ok()) return status;
  proxy->thread_ = std::thread([raw = proxy.get()] { raw->Run(); });
  return proxy;
}

TcpProxy::~TcpProxy() {
  stopping_ = true;
  Wake();
  if (thread_.joinable()) thread_.join();
  MutexLock lock(&mutex_);
  for (Connection& connection : connections_) End(connection, /*reset=*/true);
  if (listener_ >= 0) ::close(listener_);
  if (wake_ >= 0) ::close(wake_);
}

absl::Status TcpProxy::Listen() {
  wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (wake_ < 0 || listener_ < 0) return Failed("socket");
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 64) != 0) return Failed("bind");
  if (::getsockname(listener_, generic, &size) != 0) return Failed("getsockname");
  port_ = ntohs(address.sin_port);
  return absl::OkStatus();
}

void TcpProxy::Wake() {
  const uint64_t one = 1;
  if (wake_ >= 0) static_cast<void>(::write(wake_, &one, sizeof(one)) == sizeof(one));
}

// --- What it is told ---

absl::Status TcpProxy::Substitute(std::vector<Substitution> substitutions) {
  for (const Substitution& one : substitutions) {
    if (one.from.empty() || one.from.size() != one.to.size()) {
      return absl::InvalidArgumentError(absl::StrCat(one.to, " cannot stand for ", one.from));
    }
  }
  MutexLock lock(&mutex_);
  substitutions_ = std::move(substitutions);
  return absl::OkStatus();
}

void TcpProxy::Delay(Which which, Direction direction, int64_t nanos) {
  MutexLock lock(&mutex_);
  for (const auto& [marked, to_client] : PipesOf(which, direction)) delay_[marked][to_client] = nanos;
  Wake();
}

void TcpProxy::Hold(Which which, Direction direction) {
  MutexLock lock(&mutex_);
  for (const auto& [marked, to_client] : PipesOf(which, direction)) held_[marked][to_client] = true;
  Wake();
}

void TcpProxy::Refuse() {
  MutexLock lock(&mutex_);
  refusing_ = true;
}

void TcpProxy::Heal() {
  MutexLock lock(&mutex_);
  delay_ = {};
  held_ = {};
  refusing_ = false;
  for (Connection& connection : connections_) {
    for (Pipe& pipe : connection.pipes) pipe.left.reset();
  }
  Wake();
}

template <typename Do>
int TcpProxy::ForConnections(Which which, Do what) {
  int count = 0;
  {
    MutexLock lock(&mutex_);
    for (Connection& connection : connections_) {
      if (connection.over || !IsOf(which, connection.marked)) continue;
      what(connection);
      ++count;
    }
  }
  Wake();
  return count;
}

int TcpProxy::Close(Which which) {
  return ForConnections(which, [](Connection& connection) {
    Queue(connection.pipes[1], connection.rewriter.End());
    connection.closing = true;
  });
}

int TcpProxy::Reset(Which which) {
  return ForConnections(which, [](Connection& connection) { End(connection, /*reset=*/true); });
}

int TcpProxy::Truncate(Which which, Direction direction, size_t bytes) {
  return ForConnections(which, [=](Connection& connection) {
    for (size_t i = 0; i < connection.pipes.size(); ++i) {
      if (IsOf(direction, i == 1)) connection.pipes[i].left = bytes;
    }
  });
}

// --- The proxy's thread ---

void TcpProxy::Run() {
  std::vector<pollfd> polled;
  std::vector<std::pair<Connection*, Pipe*>> owners;
  while (!stopping_) {
    polled.assign({{.fd = listener_, .events = POLLIN, .revents = 0}, {.fd = wake_, .events = POLLIN, .revents = 0}});
    owners.assign(2, {nullptr, nullptr});
    int64_t next = std::numeric_limits<int64_t>::max();
    const int64_t now = SystemClock().NowNanos();
    {
      MutexLock lock(&mutex_);
      connections_.remove_if([](const Connection& connection) { return connection.over; });
      for (Connection& connection : connections_) {
        for (Pipe& pipe : connection.pipes) {
          if (!pipe.ended && !connection.closing && pipe.queued < kMaxQueued) {
            polled.push_back({.fd = pipe.from, .events = POLLIN, .revents = 0});
            owners.emplace_back(&connection, &pipe);
          }
          const std::optional<int64_t> due = Due(connection, pipe);
          if (due && *due <= now) {
            polled.push_back({.fd = pipe.to, .events = POLLOUT, .revents = 0});
            owners.emplace_back(&connection, &pipe);
          } else if (due) {
            next = std::min(next, *due);
          }
        }
      }
    }
    const int64_t wait = next == std::numeric_limits<int64_t>::max() ? 1'000 : (next - now) / kNanosPerMilli + 1;
    if (::poll(polled.data(), polled.size(), static_cast<int>(std::min<int64_t>(wait, 1'000))) < 0) continue;
    MutexLock lock(&mutex_);
    uint64_t ignored = 0;
    while (::read(wake_, &ignored, sizeof(ignored)) > 0) {
    }
    if (polled[0].revents != 0) Accept();
    for (size_t i = 2; i < polled.size(); ++i) {
      auto [connection, pipe] = owners[i];
      if (polled[i].revents == 0 || connection->over) continue;
      if (polled[i].events == POLLIN) {
        Receive(*connection, *pipe);
      } else {
        Pass(*connection, *pipe, SystemClock().NowNanos());
      }
    }
  }
}

void TcpProxy::Accept() {
  while (true) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0) return;
    // To loopback it is made, or refused, at once.
    const int server = refusing_ ? -1 : ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Loopback(target_port_);
    if (server < 0 || ::connect(server, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      if (server >= 0) ::close(server);
      ::close(client);
      continue;
    }
    SendAtOnce(client);
    SendAtOnce(server);
    Connection& connection = connections_.emplace_back(substitutions_);
    connection.pipes[0].from = connection.pipes[1].to = client;
    connection.pipes[0].to = connection.pipes[1].from = server;
  }
}

void TcpProxy::Receive(Connection& connection, Pipe& pipe) {
  char buffer[65'536];
  const ssize_t size = ::recv(pipe.from, buffer, sizeof(buffer), MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size < 0) return End(connection, /*reset=*/true);
  const std::string_view bytes(buffer, static_cast<size_t>(size));
  if (&pipe == &connection.pipes[0]) {
    LookForMarker(connection, bytes);
    Queue(pipe, std::string(bytes));
  } else {
    Queue(pipe, size == 0 ? connection.rewriter.End() : connection.rewriter.Next(bytes));
  }
  pipe.ended = size == 0;
  Pass(connection, pipe, SystemClock().NowNanos());
}

void TcpProxy::Queue(Pipe& pipe, std::string bytes) {
  if (bytes.empty()) return;
  pipe.queued += bytes.size();
  pipe.chunks.push_back({SystemClock().NowNanos(), std::move(bytes)});
}

void TcpProxy::LookForMarker(Connection& connection, std::string_view bytes) {
  if (connection.marked || markers_.empty()) return;
  connection.seen += bytes;
  size_t longest = 0;
  for (const std::string& marker : markers_) {
    if (connection.seen.find(marker) != std::string::npos) connection.marked = true;
    longest = std::max(longest, marker.size());
  }
  if (connection.seen.size() > longest) connection.seen.erase(0, connection.seen.size() - longest);
}

std::optional<int64_t> TcpProxy::Due(const Connection& connection, const Pipe& pipe) const {
  const size_t marked = connection.marked ? 1 : 0;
  const size_t to_client = &pipe == &connection.pipes[1] ? 1 : 0;
  if (held_[marked][to_client]) return std::nullopt;
  if (!pipe.chunks.empty()) return pipe.chunks.front().arrived + delay_[marked][to_client];
  if ((pipe.ended && !pipe.shut) || connection.closing) return 0;
  return std::nullopt;
}

void TcpProxy::Pass(Connection& connection, Pipe& pipe, int64_t now) {
  for (std::optional<int64_t> due; (due = Due(connection, pipe)) && *due <= now && !pipe.chunks.empty();) {
    std::string& bytes = pipe.chunks.front().bytes;
    const size_t wanted = pipe.left ? std::min(*pipe.left, bytes.size()) : bytes.size();
    const ssize_t sent = wanted == 0 ? 0 : ::send(pipe.to, bytes.data(), wanted, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (sent < 0) return End(connection, /*reset=*/true);
    pipe.queued -= static_cast<size_t>(sent);
    if (pipe.left && (*pipe.left -= static_cast<size_t>(sent)) == 0) return End(connection, /*reset=*/true);
    bytes.erase(0, static_cast<size_t>(sent));
    if (!bytes.empty()) return;
    pipe.chunks.pop_front();
  }
  if (!pipe.chunks.empty() || !Due(connection, pipe)) return;
  if (pipe.ended && !pipe.shut) {
    pipe.shut = true;
    ::shutdown(pipe.to, SHUT_WR);
  }
  const bool both_shut = connection.pipes[0].shut && connection.pipes[1].shut;
  const bool empty = connection.pipes[0].chunks.empty() && connection.pipes[1].chunks.empty();
  if (both_shut || (connection.closing && empty)) End(connection, /*reset=*/false);
}

void TcpProxy::End(Connection& connection, bool reset) {
  if (std::exchange(connection.over, true)) return;
  for (const Pipe& pipe : connection.pipes) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    if (reset) ::setsockopt(pipe.from, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    ::close(pipe.from);
  }
}

}  // namespace larder::chaos
