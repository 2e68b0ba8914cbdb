#include "tests/bench/service/processes.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "hiredis/hiredis.h"
#include "tests/support/eventually.h"

namespace larder::bench {
namespace {

constexpr std::chrono::seconds kStartTimeout{20};
constexpr int kRedisBatch = 1'000;  // commands sent before their answers are read

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// The number that stands between `before` and `after` in the text; UNAVAILABLE with the text if there is none.
absl::StatusOr<double> NumberBetween(const std::string& text, const std::string& before, const std::string& after) {
  const size_t start = text.find(before);
  const size_t end = start == std::string::npos ? start : text.find(after, start + before.size());
  double number = 0;
  if (end == std::string::npos ||
      !absl::SimpleAtod(text.substr(start + before.size(), end - start - before.size()), &number)) {
    return absl::UnavailableError(absl::StrCat("no number after \"", before, "\" in: ", text));
  }
  return number;
}

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};
using RedisContext = std::unique_ptr<redisContext, FreeContext>;

absl::StatusOr<RedisContext> ConnectRedis(int port) {
  RedisContext context(redisConnect("127.0.0.1", port));
  if (context == nullptr || context->err != 0) return absl::UnavailableError("no connection to Redis");
  return context;
}

absl::StatusOr<std::string> NextAnswer(redisContext* context) {
  void* answer = nullptr;
  if (redisGetReply(context, &answer) != REDIS_OK) return absl::UnavailableError(context->errstr);
  auto* const reply = static_cast<redisReply*>(answer);
  std::string text = reply->str == nullptr ? "" : std::string(reply->str, reply->len);
  const bool is_error = reply->type == REDIS_REPLY_ERROR;
  freeReplyObject(reply);
  if (is_error) return absl::InternalError(text);
  return text;
}

// Reads that found no key, since the Redis started.
absl::StatusOr<double> KeyspaceMisses(int port) {
  auto context = ConnectRedis(port);
  if (!context.ok()) return context.status();
  redisAppendCommand(context->get(), "INFO stats");
  absl::StatusOr<std::string> info = NextAnswer(context->get());
  if (!info.ok()) return info.status();
  return NumberBetween(*info, "keyspace_misses:", "\r");
}

}  // namespace

double CpuSecondsOf(pid_t pid) {
  const std::string stat = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  // The second field, the name, may hold anything but ends with the last parenthesis; utime and stime are fields
  // 14, 15.
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  const std::vector<std::string> fields = absl::StrSplit(stat.substr(name_end + 2), ' ');
  uint64_t user = 0;
  uint64_t system = 0;
  if (fields.size() < 13 || !absl::SimpleAtoi(fields[11], &user) || !absl::SimpleAtoi(fields[12], &system)) return 0;
  return static_cast<double>(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

bool IsInstalled(const std::string& program) {
  const char* const path = std::getenv("PATH");
  const std::vector<std::string> folders = absl::StrSplit(path == nullptr ? "" : path, ':');
  return std::any_of(folders.begin(), folders.end(), [&program](const std::string& folder) {
    return ::access(absl::StrCat(folder, "/", program).c_str(), X_OK) == 0;
  });
}

TemporaryFolder::TemporaryFolder() : path_((std::filesystem::temp_directory_path() / "larder-bench-XXXXXX").string()) {
  if (::mkdtemp(path_.data()) == nullptr) std::perror("mkdtemp");
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

absl::StatusOr<std::string> RunProgram(const std::vector<std::string>& args, std::chrono::milliseconds timeout) {
  const TemporaryFolder folder;
  auto process = ChildProcess::Start(args, {}, folder.Path("output"));
  if (!process.ok()) return process.status();
  if (!(*process)->AwaitEnd(timeout)) return absl::DeadlineExceededError(absl::StrCat(args[0], " does not end"));
  const std::string output = ReadFile(folder.Path("output"));
  const int status = (*process)->wait_status();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return absl::InternalError(absl::StrCat(args[0], ": ", output));
  return output;
}

absl::StatusOr<std::unique_ptr<ListeningProcess>> ListeningProcess::Start(const std::vector<std::string>& args) {
  auto listening = std::make_unique<ListeningProcess>();
  const std::string output = listening->folder_.Path("output");
  auto process = ChildProcess::Start(args, {}, output);
  if (!process.ok()) return process.status();
  listening->process_ = *std::move(process);
  const bool is_decided = Eventually(
      [&] {
        const absl::StatusOr<double> port = NumberBetween(ReadFile(output), "port ", "\n");
        if (port.ok()) listening->port_ = static_cast<int>(*port);
        return port.ok() || !listening->process_->running();
      },
      kStartTimeout);
  if (!is_decided || listening->port_ == 0) {
    return absl::UnavailableError(absl::StrCat(args[0], " does not listen: ", ReadFile(output)));
  }
  return listening;
}

std::string ListeningProcess::address() const { return absl::StrCat("127.0.0.1:", port_); }

absl::StatusOr<std::unique_ptr<ListeningProcess>> StartReference(const std::vector<std::string>& args) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return absl::InternalError(error.message());
  std::vector<std::string> all = {(self.parent_path() / "reference_server").string()};
  all.insert(all.end(), args.begin(), args.end());
  return ListeningProcess::Start(all);
}

absl::Status PopulateRedis(int port, uint64_t keys, const Values& values) {
  auto context = ConnectRedis(port);
  if (!context.ok()) return context.status();
  for (uint64_t first = 0; first < keys; first += kRedisBatch) {
    const uint64_t end = std::min<uint64_t>(first + kRedisBatch, keys);
    for (uint64_t key = first; key < end; ++key) {
      const std::string value = values.Of(key);
      redisAppendCommand(context->get(), "SET %s %b", KeyText(key).c_str(), value.data(), value.size());
    }
    for (uint64_t key = first; key < end; ++key) {
      if (absl::StatusOr<std::string> answer = NextAnswer(context->get()); !answer.ok()) return answer.status();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<double> RedisBenchmark(int port, int pipeline, uint64_t keys, uint64_t requests) {
  const absl::StatusOr<double> misses_before = KeyspaceMisses(port);
  if (!misses_before.ok()) return misses_before.status();
  const absl::StatusOr<std::string> output =
      RunProgram({"redis-benchmark", "-p", absl::StrCat(port), "-t", "get", "-c", "64", "-d", "100", "-r",
                  absl::StrCat(keys), "-n", absl::StrCat(requests), "-P", absl::StrCat(pipeline), "--csv"},
                 std::chrono::minutes(2));
  if (!output.ok()) return output.status();
  const absl::StatusOr<double> misses = KeyspaceMisses(port);
  if (!misses.ok()) return misses.status();
  if (*misses != *misses_before)
    return absl::FailedPreconditionError("redis-benchmark asked for keys that are not there");
  return NumberBetween(*output, "\"GET\",\"", "\"");
}

absl::StatusOr<double> H2Load(int port, double warm_up_seconds, double seconds) {
  const TemporaryFolder folder;
  const std::string request = absl::StrCat("\x12", std::string(1, kKeyBytes), KeyText(0));
  {
    std::ofstream body(folder.Path("body"), std::ios::binary);
    body << std::string(4, '\0') << static_cast<char>(request.size()) << request;  // not compressed; its length
  }
  const int whole_seconds = std::max(1, static_cast<int>(std::lround(seconds)));
  const int warm_up = std::max(1, static_cast<int>(std::lround(warm_up_seconds)));
  const absl::StatusOr<std::string> output =
      RunProgram({"h2load", "-c", "4", "-m", "64", "-t", "1", "-D", absl::StrCat(whole_seconds), "--warm-up-time",
                  absl::StrCat(warm_up), "-d", folder.Path("body"), "-H", "content-type: application/grpc", "-H",
                  "te: trailers", absl::StrCat("http://127.0.0.1:", port, "/larder.v1.Cache/Get")},
                 std::chrono::minutes(1));
  if (!output.ok()) return output.status();
  const size_t summary = output->find("finished in");
  if (summary == std::string::npos) return absl::UnavailableError(*output);
  return NumberBetween(output->substr(summary), "s, ", " req/s");
}

}  // namespace larder::bench
