#include "server/config/resolve.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/config/fields.h"
#include "server/config/text.h"
#include "server/config/units.h"

namespace larder {
namespace {

constexpr int64_t kKiB = int64_t{1} << 10;
constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kGiB = int64_t{1} << 30;
constexpr int64_t kSecond = 1'000;
constexpr int64_t kMinute = 60 * kSecond;
constexpr int64_t kHour = 60 * kMinute;

constexpr int64_t kMaxThreads = 256;

// `host:port` or `[IPv6 address]:port`. What the host's name leads to is not looked up here.
bool IsListenAddress(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view port = address.substr(colon + 1);
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string_view::npos) return false;
  int number = 0;
  if (!absl::SimpleAtoi(std::string(port), &number) || number > 65'535) return false;
  std::string host(address.substr(0, colon));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    in6_addr ignored{};
    return inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &ignored) == 1;
  }
  return !host.empty() && host.size() <= 253 &&
         std::all_of(host.begin(), host.end(), [](unsigned char c) { return std::isalnum(c) || c == '.' || c == '-'; });
}

std::string ResolveListen(const Section& section, const std::string& fallback, bool may_be_empty) {
  std::string address = section.Text("listen", fallback);
  if (!(may_be_empty && address.empty()) && !IsListenAddress(address)) {
    section.AddProblem("listen", absl::StrCat(Quote(address), " is not an address; write for example ", fallback));
  }
  return address;
}

ServerSettings::Grpc ResolveGrpc(const Section& section, const Resources& resources) {
  ServerSettings::Grpc grpc;
  grpc.listen = ResolveListen(section, "127.0.0.1:50051", false);
  const int64_t threads = std::clamp<int64_t>(resources.cpus, 1, kMaxThreads);
  grpc.threads = static_cast<int>(section.Integer("threads", {threads, 1, kMaxThreads}));
  grpc.max_request_bytes = section.Integer("max_request_bytes", {16 * kMiB, 128 * kKiB, kGiB});
  grpc.max_response_bytes = section.Integer("max_response_bytes", {4 * kMiB, 128 * kKiB, kGiB});
  grpc.max_concurrent_streams = static_cast<int>(section.Integer("max_concurrent_streams", {1'000, 1, 100'000}));
  grpc.max_connection_age_ms = section.Integer("max_connection_age", {30 * kMinute, kSecond, 365 * 24 * kHour});
  grpc.drain_timeout_ms = section.Integer("drain_timeout", {10 * kSecond, 0, kHour});
  grpc.max_pipeline_operations = static_cast<int>(section.Integer("max_pipeline_operations", {4'096, 1, 1'000'000}));
  grpc.max_pipeline_bytes = section.Integer("max_pipeline_bytes", {8 * kMiB, 128 * kKiB, kGiB});
  return grpc;
}

// Without the newline at the end that editors leave there.
std::optional<std::string> ReadPasswordFile(const std::string& path, const Section& section) {
  std::ifstream file(path);
  std::ostringstream content;
  if (file) content << file.rdbuf();
  if (!file) {
    section.AddProblem("password_file", absl::StrCat("cannot read ", Quote(path), ": ", std::strerror(errno)));
    return std::nullopt;
  }
  std::string password = content.str();
  if (absl::EndsWith(password, "\n")) password.pop_back();
  if (absl::EndsWith(password, "\r")) password.pop_back();
  if (password.empty()) section.AddProblem("password_file", absl::StrCat(Quote(path), " is empty"));
  return password;
}

void CheckRedisUrl(const Section& section, const std::string& url) {
  for (const char* scheme : {"redis://", "rediss://", "unix://", "redis+sentinel://", "rediss+sentinel://",
                             "redis+cluster://", "rediss+cluster://"}) {
    if (absl::StartsWith(url, scheme) && url.size() > std::strlen(scheme)) return;
  }
  section.AddProblem("url", absl::StrCat(Quote(MaskPassword(url)),
                                         " is not a URL of Redis; write for example redis://127.0.0.1:6379"));
}

std::optional<std::string> ResolvePassword(const Section& section) {
  if (section.IsSet("password") && section.IsSet("password_file")) {
    section.AddProblem("password_file", "contradicts password: only one of them may be given");
  } else if (section.IsSet("password")) {
    return section.Text("password", "");
  } else if (section.IsSet("password_file")) {
    return ReadPasswordFile(section.Text("password_file", ""), section);
  }
  return std::nullopt;
}

ServerSettings::RedisTls ResolveRedisTls(const Section& section, const std::string& url) {
  ServerSettings::RedisTls tls;
  if (section.IsSet("enabled")) tls.enabled = section.Flag("enabled", false);
  if (tls.enabled == false && absl::StartsWith(url, "rediss")) {
    section.AddProblem("enabled", "false, but store.redis.url begins with rediss, which means TLS");
  }
  tls.ca_file = section.Text("ca_file", "");
  tls.ca_path = section.Text("ca_path", "");
  tls.cert_file = section.Text("cert_file", "");
  tls.key_file = section.Text("key_file", "");
  tls.server_name = section.Text("server_name", "");
  return tls;
}

bool IsPrefix(std::string_view prefix) {
  return !prefix.empty() && prefix.size() <= 64 && std::all_of(prefix.begin(), prefix.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '.' || c == ':' || c == '-';
  });
}

ServerSettings::Redis ResolveRedis(const config::v1::RedisConfig& config, Findings& findings) {
  const Section section("store.redis", config, &findings);
  ServerSettings::Redis redis;
  redis.url = section.Text("url", "");
  if (!redis.url.empty()) CheckRedisUrl(section, redis.url);
  if (section.IsSet("user")) redis.user = section.Text("user", "");
  redis.password = ResolvePassword(section);
  const auto database = static_cast<int>(section.Integer("database", {0, 0, 65'535}));
  if (section.IsSet("database")) redis.database = database;
  redis.prefix = section.Text("prefix", "larder");
  if (!IsPrefix(redis.prefix)) {
    section.AddProblem("prefix", absl::StrCat(Quote(redis.prefix), ", must be 1 to 64 bytes of [A-Za-z0-9_.:-]"));
  }
  redis.connect_timeout_ms = section.Integer("connect_timeout", {kSecond, 1, kMinute});
  redis.operation_timeout_ms = section.Integer("operation_timeout", {250, 1, kMinute});
  // The default of one end gives way to what is set at the other.
  const int64_t default_max_backoff =
      section.IsSet("max_backoff") ? kSecond : std::max(kSecond, section.Integer("min_backoff", {50, 1, kMinute}));
  redis.max_backoff_ms = section.Integer("max_backoff", {default_max_backoff, 1, kMinute});
  redis.min_backoff_ms = section.Integer("min_backoff", {std::min<int64_t>(50, redis.max_backoff_ms), 1, kMinute});
  if (redis.min_backoff_ms > redis.max_backoff_ms) {
    section.AddProblem("min_backoff", absl::StrCat(FormatDuration(redis.min_backoff_ms), " is above max_backoff (",
                                                   FormatDuration(redis.max_backoff_ms), ")"));
  }
  redis.max_pending = static_cast<int>(section.Integer("max_pending", {65'536, 1, 16'777'216}));
  redis.connections = static_cast<int>(section.Integer("connections", {1, 1, 16}));
  redis.compress_from_bytes = section.Integer("compress_from_bytes", {4 * kKiB, 0, 4 * kGiB});
  redis.journal_entries = section.Integer("journal_entries", {100'000, 100, 10'000'000});
  redis.tls = ResolveRedisTls(Section("store.redis.tls", config.tls(), &findings), redis.url);
  const Section sentinel("store.redis.sentinel", config.sentinel(), &findings);
  redis.sentinel.user = sentinel.Text("user", "");
  redis.sentinel.password = ResolvePassword(sentinel);
  return redis;
}

ServerSettings::Near ResolveNear(const Section& section, const Resources& resources) {
  ServerSettings::Near near;
  const int64_t fallback = std::min(resources.memory_bytes / 4, kGiB);
  near.capacity_bytes = section.Integer("capacity_bytes", {fallback, 0, 1'024 * kGiB});
  const std::string coherence = section.Text("coherence", std::string(ToString(near.coherence)));
  if (const auto parsed = ParseNearCoherence(coherence); parsed.has_value()) {
    near.coherence = *parsed;
  } else {
    section.AddProblem("coherence", absl::StrCat(Quote(coherence), ", must be tracking, pubsub or age"));
  }
  near.lease_ms = section.Integer("lease", {near.lease_ms, 100, kMinute});
  near.max_strong_waits = section.Integer("max_strong_waits", {near.max_strong_waits, 1, 1'000'000});
  return near;
}

ServerSettings::Sweep ResolveSweep(const Section& section) {
  ServerSettings::Sweep sweep;
  sweep.interval_ms = section.Integer("interval", {sweep.interval_ms, 100, kHour});
  sweep.max_keys_per_second =
      static_cast<int>(section.Integer("max_keys_per_second", {sweep.max_keys_per_second, 100, 10'000'000}));
  sweep.step_keys = static_cast<int>(section.Integer("step_keys", {sweep.step_keys, 10, 10'000}));
  return sweep;
}

ServerSettings::Watch ResolveWatch(const Section& section) {
  ServerSettings::Watch watch;
  watch.buffer_events = static_cast<int>(section.Integer("buffer_events", {watch.buffer_events, 100, 10'000'000}));
  watch.max_watchers = static_cast<int>(section.Integer("max_watchers", {watch.max_watchers, 0, 100'000}));
  return watch;
}

Logger::Options ResolveLog(const Section& section) {
  Logger::Options log;
  const std::string level = section.Text("level", std::string(ToString(log.level)));
  const std::string format = section.Text("format", std::string(ToString(log.format)));
  if (!ParseLogLevel(level).has_value()) {
    section.AddProblem("level", absl::StrCat(Quote(level), ", must be debug, info, warning or error"));
  }
  if (!ParseLogFormat(format).has_value()) {
    section.AddProblem("format", absl::StrCat(Quote(format), ", must be json, text or auto"));
  }
  log.level = ParseLogLevel(level).value_or(log.level);
  log.format = ParseLogFormat(format).value_or(log.format);
  return log;
}

// Both tiers count what they hold; what grows beside them (connections, messages) is not in either bound.
void WarnOfMemory(const ServerSettings& settings, const Resources& resources, Findings& findings) {
  const int64_t embedded = settings.redis.url.empty() ? settings.embedded.capacity_bytes : 0;
  const int64_t tiers = settings.near.capacity_bytes + embedded;
  if (tiers <= resources.memory_bytes / 10 * 9) return;
  findings.AddWarning(
      findings.OriginOf("near.capacity_bytes"),
      absl::StrCat("near.capacity_bytes and store.embedded.capacity_bytes may take ", FormatBytes(tiers), " of the ",
                   FormatBytes(resources.memory_bytes), " that there are"));
}

}  // namespace

ServerSettings Resolve(const config::v1::ServerConfig& config, const Resources& resources, Findings& findings) {
  ServerSettings settings;
  const int64_t quarter = resources.memory_bytes / 4;
  settings.grpc = ResolveGrpc(Section("grpc", config.grpc(), &findings), resources);
  settings.operations.listen =
      ResolveListen(Section("operations", config.operations(), &findings), "127.0.0.1:9090", true);
  settings.near = ResolveNear(Section("near", config.near(), &findings), resources);
  settings.embedded.capacity_bytes =
      Section("store.embedded", config.store().embedded(), &findings)
          .Integer("capacity_bytes", {std::clamp(quarter, kMiB, 4 * kGiB), kMiB, 1'024 * kGiB});
  settings.redis = ResolveRedis(config.store().redis(), findings);
  settings.sweep = ResolveSweep(Section("sweep", config.sweep(), &findings));
  settings.watch = ResolveWatch(Section("watch", config.watch(), &findings));
  settings.log = ResolveLog(Section("log", config.log(), &findings));
  settings.namespaces = ResolveNamespaces(config, settings.grpc, findings);
  WarnOfMemory(settings, resources, findings);
  return settings;
}

}  // namespace larder
