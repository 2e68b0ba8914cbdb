#include "tests/support/larder_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace larder {
namespace {

constexpr std::chrono::seconds kStartTimeout{30};
constexpr std::chrono::seconds kStopTimeout{20};
constexpr std::chrono::milliseconds kPoll{2};

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// The number after `"field":` in the last line that says "serving"; 0 if there is none.
int FieldOfServing(const std::string& log, const std::string& field) {
  const size_t line = log.rfind("\"message\":\"serving\"");
  if (line == std::string::npos) return 0;
  const std::string name = absl::StrCat("\"", field, "\":");
  const size_t at = log.find(name, line);
  if (at == std::string::npos) return 0;
  return std::atoi(log.c_str() + at + name.size());
}

std::string HttpGet(int port, const std::string& path) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval timeout{5, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  std::string answer;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    const std::string request = absl::StrCat("GET ", path, " HTTP/1.0\r\nHost: localhost\r\n\r\n");
    if (::write(fd, request.data(), request.size()) == static_cast<ssize_t>(request.size())) {
      char buffer[4096];
      for (ssize_t size; (size = ::read(fd, buffer, sizeof(buffer))) > 0;) answer.append(buffer, size);
    }
  }
  ::close(fd);
  return answer;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LarderServer>> LarderServer::Start(Options options) {
  std::unique_ptr<LarderServer> server(new LarderServer(std::move(options)));
  std::string path = (std::filesystem::temp_directory_path() / "larder-server-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) return absl::InternalError(absl::StrCat("mkdtemp: ", std::strerror(errno)));
  server->folder_ = path;
  if (absl::Status status = server->Launch(); !status.ok()) return status;
  return server;
}

LarderServer::~LarderServer() {
  process_.reset();
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

std::string LarderServer::address() const { return absl::StrCat("127.0.0.1:", port_); }

absl::Status LarderServer::Launch() {
  const char* const named = std::getenv("LARDERD");
  if (program_.empty() && named == nullptr) {
    return absl::FailedPreconditionError("LARDERD does not say where larderd is");
  }
  std::vector<std::string> args = {program_.empty() ? named : program_};
  if (!options_.config.empty()) {
    std::ofstream(folder_ + "/larder.yaml") << options_.config;
    args.insert(args.end(), {"--config", folder_ + "/larder.yaml"});
  }
  std::vector<std::string> environment = {absl::StrCat("LARDER_LISTEN=127.0.0.1:", port_),
                                          "LARDER_OPERATIONS_LISTEN=127.0.0.1:0", "LARDER_LOG_FORMAT=json"};
  environment.insert(environment.end(), options_.environment.begin(), options_.environment.end());
  std::filesystem::remove(log_path());
  auto process = ChildProcess::Start(args, environment, log_path());
  if (!process.ok()) return process.status();
  process_ = *std::move(process);
  return AwaitServing();
}

absl::Status LarderServer::AwaitServing() {
  const auto deadline = std::chrono::steady_clock::now() + kStartTimeout;
  while (std::chrono::steady_clock::now() < deadline) {
    const bool running = process_->running();
    const std::string log = ReadFile(log_path());
    if (const int port = FieldOfServing(log, "grpc_port"); port != 0) {
      port_ = port;
      operations_port_ = FieldOfServing(log, "operations_port");
      return absl::OkStatus();
    }
    if (!running) return absl::UnavailableError(absl::StrCat("larderd ended at once: ", log));
    std::this_thread::sleep_for(kPoll);
  }
  return absl::UnavailableError(absl::StrCat("larderd does not serve: ", ReadFile(log_path())));
}

void LarderServer::Kill() {
  process_->Signal(SIGKILL);
  process_->AwaitEnd(kStopTimeout);
}

void LarderServer::Pause() { process_->Pause(); }

void LarderServer::Resume() { process_->Signal(SIGCONT); }

void LarderServer::Stop() { process_->Signal(SIGTERM); }

absl::StatusOr<int> LarderServer::AwaitEnd() {
  if (!process_->AwaitEnd(kStopTimeout)) return absl::DeadlineExceededError("larderd has not ended");
  if (!WIFEXITED(process_->wait_status())) return absl::AbortedError("larderd was killed");
  return WEXITSTATUS(process_->wait_status());
}

absl::Status LarderServer::Restart(const std::string& program) {
  if (process_->running()) return absl::FailedPreconditionError("larderd is still running");
  if (!program.empty()) program_ = program;
  return Launch();
}

double LarderServer::Metric(const std::string& name, const std::vector<std::string>& labels) const {
  std::istringstream lines(HttpGet(operations_port_, "/metrics"));
  double sum = 0;
  for (std::string line; std::getline(lines, line);) {
    const size_t end = line.find_first_of("{ ");
    if (end == std::string::npos || line.compare(0, end, name) != 0) continue;
    bool matches = true;
    for (const std::string& label : labels) matches = matches && line.find(label) != std::string::npos;
    double value = 0;
    if (matches && absl::SimpleAtod(line.substr(line.rfind(' ') + 1), &value)) sum += value;
  }
  return sum;
}

}  // namespace larder
