#include "tests/support/redis_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <system_error>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace larder {
namespace {

constexpr std::chrono::seconds kStartTimeout{20};
constexpr std::chrono::seconds kStopTimeout{10};
constexpr std::chrono::milliseconds kPoll{2};
constexpr int kPortAttempts = 20;

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};
struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using ContextPtr = std::unique_ptr<redisContext, FreeContext>;
using ReplyPtr = std::unique_ptr<redisReply, FreeReply>;

// The port of loopback that was bound for a moment, the given one or, for 0, any; 0 if it is taken.
absl::StatusOr<int> BindOnce(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::InternalError(absl::StrCat("socket: ", std::strerror(errno)));
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  const bool is_free = ::bind(fd, generic, size) == 0 && ::getsockname(fd, generic, &size) == 0;
  ::close(fd);
  return is_free ? ntohs(address.sin_port) : 0;
}

// Below the ports that the kernel gives to outgoing connections: one of those that connects again and again to a
// closed port among them may in the end connect to itself. Where there is no room for 1,000 below them, any. Another
// process may still take it before we do.
absl::StatusOr<int> PickPort() {
  int end = 0;
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> end;
  const int begin = std::max(1024, end / 2);
  std::random_device random;
  while (true) {
    const int wanted = end - begin >= 1000 ? std::uniform_int_distribution<int>(begin, end - 1)(random) : 0;
    absl::StatusOr<int> port = BindOnce(wanted);
    if (!port.ok() || *port != 0) return port;
  }
}

std::string Render(const redisReply& reply) {
  switch (reply.type) {
    case REDIS_REPLY_INTEGER:
      return absl::StrCat(reply.integer);
    case REDIS_REPLY_NIL:
      return "(nil)";
    case REDIS_REPLY_ARRAY: {
      std::vector<std::string> lines;
      for (size_t i = 0; i < reply.elements; ++i) lines.push_back(Render(*reply.element[i]));
      return absl::StrJoin(lines, "\n");
    }
    default:
      return std::string(reply.str, reply.len);
  }
}

absl::StatusOr<ReplyPtr> Run(redisContext* context, const std::vector<std::string>& args) {
  std::vector<const char*> pointers;
  std::vector<size_t> sizes;
  for (const std::string& arg : args) {
    pointers.push_back(arg.data());
    sizes.push_back(arg.size());
  }
  ReplyPtr reply(static_cast<redisReply*>(
      redisCommandArgv(context, static_cast<int>(args.size()), pointers.data(), sizes.data())));
  if (reply == nullptr) return absl::UnavailableError(context->errstr);
  if (reply->type == REDIS_REPLY_ERROR) return absl::InternalError(std::string(reply->str, reply->len));
  return reply;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RedisServer>> RedisServer::Start(const Options& options) {
  std::unique_ptr<RedisServer> server(new RedisServer(options));
  if (absl::Status status = server->MakeFolder(); !status.ok()) return status;
  absl::Status status = absl::UnknownError("no port was tried");
  for (int attempt = 0; attempt < kPortAttempts && !status.ok(); ++attempt) {
    absl::StatusOr<int> port = PickPort();
    if (!port.ok()) return port.status();
    server->port_ = *port;
    if (options.tls) {
      absl::StatusOr<int> tls_port = PickPort();
      if (!tls_port.ok()) return tls_port.status();
      server->tls_port_ = *tls_port;
    }
    if (options.cluster) {
      absl::StatusOr<int> bus_port = PickPort();
      if (!bus_port.ok()) return bus_port.status();
      server->bus_port_ = *bus_port;
      absl::StatusOr<int> known_port = options.known_as ? options.known_as(*port) : port;
      if (!known_port.ok()) return known_port.status();
      server->known_port_ = *known_port;
    }
    status = server->Launch();
  }
  if (!status.ok()) return status;
  return server;
}

RedisServer::~RedisServer() {
  Kill();
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

std::string RedisServer::url() const { return absl::StrCat("redis://127.0.0.1:", port_); }

absl::Status RedisServer::MakeFolder() {
  std::string path = (std::filesystem::temp_directory_path() / "larder-redis-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) return absl::InternalError(absl::StrCat("mkdtemp: ", std::strerror(errno)));
  folder_ = path;
  return absl::OkStatus();
}

std::vector<std::string> RedisServer::CommandLine() const {
  const char* const program = std::getenv("LARDER_REDIS_SERVER");
  std::vector<std::string> args = {program == nullptr ? "redis-server" : program};
  // A sentinel writes its file anew, and refuses options that have to do with data.
  if (options_.sentinel) {
    std::ofstream(sentinel_file(), std::ios::app).flush();
    args.insert(args.end(), {sentinel_file(), "--sentinel"});
  } else {
    args.insert(args.end(), {"--save", "", "--appendonly", "no"});
  }
  args.insert(args.end(), {"--bind", "127.0.0.1", "--port", absl::StrCat(port_), "--dir", folder_, "--logfile",
                           folder_ + "/redis.log", "--daemonize", "no"});
  if (options_.tls) args.insert(args.end(), {"--tls-port", absl::StrCat(tls_port_)});
  if (options_.cluster) {
    args.insert(args.end(), {"--cluster-enabled", "yes", "--cluster-config-file", folder_ + "/nodes.conf",
                             "--cluster-port", absl::StrCat(bus_port_)});
    if (options_.known_as) args.insert(args.end(), {"--cluster-announce-port", absl::StrCat(known_port_)});
  }
  if (options_.unix_socket) args.insert(args.end(), {"--unixsocket", unix_path()});
  if (!options_.password.empty()) args.insert(args.end(), {"--requirepass", options_.password});
  args.insert(args.end(), options_.extra_args.begin(), options_.extra_args.end());
  return args;
}

absl::Status RedisServer::Launch() {
  std::vector<std::string> args = CommandLine();
  // Everything the child needs is made before fork: after it, in a program with threads, it must not allocate.
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return absl::InternalError(absl::StrCat("fork: ", std::strerror(errno)));
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(126);
    const int null_fd = ::open("/dev/null", O_RDWR);
    ::dup2(null_fd, STDOUT_FILENO);
    ::dup2(null_fd, STDERR_FILENO);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  pid_ = pid;
  absl::Status status = AwaitAnswer();
  if (!status.ok()) Kill();
  return status;
}

absl::Status RedisServer::AwaitAnswer() {
  const auto deadline = std::chrono::steady_clock::now() + kStartTimeout;
  // It must be this server that answers, not another that was quicker to take the port.
  const std::string own = absl::StrCat("process_id:", pid_, "\r\n");
  absl::Status last;
  while (std::chrono::steady_clock::now() < deadline) {
    if (HasExited()) return absl::UnavailableError(absl::StrCat("redis-server ended at once on port ", port_));
    absl::StatusOr<std::string> ping = Command({"PING"});
    absl::StatusOr<std::string> info = Command({"INFO", "server"});
    if (ping.ok() && info.ok() && info->find(own) != std::string::npos) return absl::OkStatus();
    last = ping.status();
    std::this_thread::sleep_for(kPoll);
  }
  return absl::UnavailableError(absl::StrCat("redis-server does not answer: ", last.message()));
}

bool RedisServer::HasExited() {
  if (pid_ != 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = 0;
  return pid_ == 0;
}

void RedisServer::Signal(int signal) const {
  if (pid_ != 0) ::kill(pid_, signal);
}

void RedisServer::Reap() {
  while (pid_ != 0 && ::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
}

void RedisServer::Kill() {
  Signal(SIGKILL);
  Reap();
}

void RedisServer::Stop() {
  Signal(SIGCONT);
  Signal(SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + kStopTimeout;
  while (!HasExited() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(kPoll);
  Kill();
}

void RedisServer::Pause() { Signal(SIGSTOP); }

void RedisServer::Resume() { Signal(SIGCONT); }

absl::Status RedisServer::Restart() {
  if (pid_ != 0) return absl::FailedPreconditionError("redis-server is still running");
  return Launch();
}

absl::StatusOr<std::string> RedisServer::Command(const std::vector<std::string>& args) const {
  const timeval timeout{5, 0};
  ContextPtr context(redisConnectWithTimeout("127.0.0.1", port_, timeout));
  if (context == nullptr || context->err != 0) {
    return absl::UnavailableError(context == nullptr ? "no memory" : context->errstr);
  }
  redisSetTimeout(context.get(), timeout);
  if (!options_.password.empty()) {
    if (absl::StatusOr<ReplyPtr> reply = Run(context.get(), {"AUTH", options_.password}); !reply.ok()) {
      return reply.status();
    }
  }
  absl::StatusOr<ReplyPtr> reply = Run(context.get(), args);
  if (!reply.ok()) return reply.status();
  return Render(**reply);
}

}  // namespace larder
