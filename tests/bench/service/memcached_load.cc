#include "tests/bench/service/memcached_load.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/clock.h"
#include "tests/bench/service/lane.h"
#include "tests/support/eventually.h"

namespace larder::bench {
namespace {

constexpr std::string_view kEnd = "\r\nEND\r\n";
constexpr std::string_view kStored = "STORED\r\n";
constexpr int kPollMillis = 5'000;

class Connection {
 public:
  explicit Connection(int port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ok_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Connection() { ::close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return fd_; }
  bool ok() const { return ok_; }
  std::string_view received() const { return std::string_view(buffer_).substr(read_); }

  void Send(std::string_view text) {
    while (ok_ && !text.empty()) {
      const ssize_t sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      ok_ = sent > 0 || errno == EINTR;
      if (sent > 0) text.remove_prefix(static_cast<size_t>(sent));
    }
  }
  // Blocks until there is something.
  void Receive() {
    char piece[size_t{64} << 10];
    const ssize_t size = ::recv(fd_, piece, sizeof(piece), 0);
    ok_ = size > 0;
    if (size <= 0) return;
    buffer_.erase(0, std::exchange(read_, 0));
    buffer_.append(piece, static_cast<size_t>(size));
  }
  void Consume(size_t bytes) { read_ += bytes; }

 private:
  const int fd_;
  bool ok_ = false;
  std::string buffer_;
  size_t read_ = 0;  // of the buffer
};

// The keys that one connection has asked for, and what came back.
class Getter {
 public:
  Getter(const MemcachedLoad& load, uint64_t seed) : load_(load), connection_(load.port), random_(seed) {}

  const Connection& connection() const { return connection_; }

  void Ask() {
    std::string text;
    asked_.resize(load_.pipeline);
    answered_ = 0;
    for (uint64_t& key : asked_) {
      key = load_.choice->Draw(random_);
      absl::StrAppend(&text, "get ", KeyText(key), "\r\n");
    }
    connection_.Send(text);
  }

  // What has come; how many keys it answers. An answer that is not the key's value ends all.
  absl::StatusOr<size_t> Take() {
    connection_.Receive();
    if (!connection_.ok()) return absl::UnavailableError("memcached closed a connection");
    size_t taken = 0;
    while (answered_ < asked_.size()) {
      const uint64_t key = asked_[answered_];
      const std::string header = absl::StrCat("VALUE ", KeyText(key), " 0 ", load_.values->value_bytes(), "\r\n");
      const size_t size = header.size() + load_.values->value_bytes() + kEnd.size();
      const std::string_view received = connection_.received();
      if (received.size() < size) {
        if (received.substr(0, kEnd.size() - 2) == kEnd.substr(2)) return absl::DataLossError("a key is not there");
        break;
      }
      if (received.substr(0, header.size()) != header ||
          !load_.values->Matches(key, received.substr(header.size(), load_.values->value_bytes()))) {
        return absl::DataLossError(absl::StrCat("not what was written is under ", KeyText(key)));
      }
      connection_.Consume(size);
      ++answered_;
      ++taken;
    }
    return taken;
  }
  bool is_done() const { return answered_ == asked_.size(); }

 private:
  const MemcachedLoad& load_;
  Connection connection_;
  Random random_;
  std::vector<uint64_t> asked_;
  size_t answered_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MemcachedServer>> MemcachedServer::Start() {
  auto server = std::make_unique<MemcachedServer>();
  const std::string port_file = server->folder_.Path("port");
  auto process = ChildProcess::Start(
      {"memcached", "-l", "127.0.0.1", "-p", "-1", "-U", "0", "-m", "1024", "-u", ::getuid() == 0 ? "root" : "nobody",
       "-t", absl::StrCat(std::thread::hardware_concurrency())},
      {absl::StrCat("MEMCACHED_PORT_FILENAME=", port_file)}, server->folder_.Path("output"));
  if (!process.ok()) return process.status();
  server->process_ = *std::move(process);
  const bool listens = Eventually([&] {
    // `TCP INET: 12345`
    std::ifstream file(port_file);
    std::string line;
    const bool is_whole = std::getline(file, line) && !file.eof();
    return is_whole && absl::SimpleAtoi(line.substr(line.rfind(' ') + 1), &server->port_);
  });
  if (!listens) return absl::UnavailableError("memcached does not listen");
  return server;
}

absl::Status PopulateMemcached(int port, uint64_t keys, const Values& values) {
  Connection connection(port);
  for (uint64_t key = 0; key < keys && connection.ok(); ++key) {
    connection.Send(absl::StrCat("set ", KeyText(key), " 0 0 ", values.value_bytes(), "\r\n", values.Of(key), "\r\n"));
    while (connection.ok() && connection.received().size() < kStored.size()) connection.Receive();
    if (connection.received() != kStored) return absl::UnavailableError("memcached stores nothing");
    connection.Consume(kStored.size());
  }
  return connection.ok() ? absl::OkStatus() : absl::UnavailableError("memcached closed the connection");
}

absl::StatusOr<double> RunMemcachedLoad(const MemcachedLoad& load) {
  std::vector<std::unique_ptr<Getter>> getters;
  std::vector<pollfd> polled;
  for (size_t i = 0; i < load.connections; ++i) {
    getters.push_back(std::make_unique<Getter>(load, i + 1));
    getters.back()->Ask();
    polled.push_back({.fd = getters.back()->connection().fd(), .events = POLLIN, .revents = 0});
  }
  const int64_t start = SteadyNanos() + static_cast<int64_t>(load.warm_up_seconds * kNanosPerSecond);
  const int64_t end = start + static_cast<int64_t>(load.seconds * kNanosPerSecond);
  uint64_t keys = 0;
  for (int64_t now = 0; now < end;) {
    if (::poll(polled.data(), polled.size(), kPollMillis) <= 0) return absl::UnavailableError("memcached is silent");
    now = SteadyNanos();
    for (size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      const absl::StatusOr<size_t> taken = getters[i]->Take();
      if (!taken.ok()) return taken.status();
      if (now >= start && now < end) keys += *taken;
      if (getters[i]->is_done()) getters[i]->Ask();
    }
  }
  return static_cast<double>(keys) / load.seconds;
}

}  // namespace larder::bench
