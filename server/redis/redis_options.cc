#include "server/redis/redis_options.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace larder {
namespace {

constexpr int kMaxDatabase = 16'383;
constexpr int kSentinelPort = 26'379;
constexpr char kSchemes[] =
    "redis://, rediss://, redis+sentinel://, rediss+sentinel://, redis+cluster://, rediss+cluster:// or unix://";

absl::Status Refuse(std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("Redis URL: ", std::string(why)));
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = HexDigit(text[i + 1]);
    const int low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    decoded.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return decoded;
}

std::optional<int> ParseNumber(std::string_view text, int min, int max) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < min || number > max) return std::nullopt;
  return number;
}

absl::Status ParseUserInfo(std::string_view text, RedisOptions& options) {
  const size_t colon = text.find(':');
  std::optional<std::string> user = PercentDecode(text.substr(0, colon));
  std::optional<std::string> password =
      colon == std::string_view::npos ? std::string() : PercentDecode(text.substr(colon + 1));
  if (!user.has_value() || !password.has_value()) {
    return Refuse("% must be followed by two hexadecimal digits in user and password");
  }
  options.user = *std::move(user);
  options.password = *std::move(password);
  return absl::OkStatus();
}

// `endpoint` holds the port that it has where none is given.
absl::Status ParseHostAndPort(std::string_view text, RedisEndpoint& endpoint) {
  std::string_view port;
  if (!text.empty() && text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return Refuse("an IPv6 address must end with ]");
    endpoint.host = std::string(text.substr(1, close - 1));
    port = text.substr(close + 1);
    if (!port.empty() && port.front() != ':') return Refuse("only a port may follow an IPv6 address");
  } else {
    const size_t colon = text.find(':');
    std::optional<std::string> host = PercentDecode(text.substr(0, colon));
    if (!host.has_value()) return Refuse("% must be followed by two hexadecimal digits in the host");
    endpoint.host = *std::move(host);
    port = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
  }
  if (endpoint.host.empty()) return Refuse("it has no host");
  if (port.empty()) return absl::OkStatus();
  const std::optional<int> number = ParseNumber(port.substr(1), 1, 65'535);
  if (!number.has_value()) return Refuse("the port must be a number from 1 to 65535");
  endpoint.port = *number;
  return absl::OkStatus();
}

// What follows the host. Empty: none.
absl::Status ParseDatabase(std::string_view text, RedisOptions& options) {
  if (text.empty()) return absl::OkStatus();
  const std::optional<int> database = ParseNumber(text, 0, kMaxDatabase);
  if (!database.has_value()) return Refuse(absl::StrCat("the database must be a number from 0 to ", kMaxDatabase));
  options.database = *database;
  return absl::OkStatus();
}

// Of hosts with commas between them; `port` is of those that name none.
absl::Status ParseHosts(std::string_view hosts, int port, std::vector<RedisEndpoint>& endpoints) {
  while (true) {
    const size_t comma = hosts.find(',');
    RedisEndpoint endpoint{"", port};
    if (absl::Status status = ParseHostAndPort(hosts.substr(0, comma), endpoint); !status.ok()) return status;
    endpoints.push_back(std::move(endpoint));
    if (comma == std::string_view::npos) return absl::OkStatus();
    hosts.remove_prefix(comma + 1);
  }
}

// `master-name[/database]`.
absl::Status ParseMaster(std::string_view path, RedisOptions& options) {
  const size_t slash = path.find('/');
  std::optional<std::string> name = PercentDecode(path.substr(0, slash));
  if (!name.has_value()) return Refuse("% must be followed by two hexadecimal digits in the master's name");
  if (name->empty()) return Refuse("the sentinels must be followed by /, and the name of the master that they watch");
  options.master_name = *std::move(name);
  return ParseDatabase(slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1), options);
}

absl::StatusOr<RedisOptions> ParseUnix(std::string_view path) {
  std::optional<std::string> decoded = PercentDecode(path);
  if (!decoded.has_value()) return Refuse("% must be followed by two hexadecimal digits in the path");
  if (decoded->size() < 2 || decoded->front() != '/') return Refuse("unix:// must be followed by an absolute path");
  RedisOptions options;
  options.unix_path = *std::move(decoded);
  return options;
}

}  // namespace

absl::StatusOr<RedisOptions> ParseRedisUrl(std::string_view url) {
  const size_t separator = url.find("://");
  if (separator == std::string_view::npos) return Refuse(absl::StrCat("it must begin with ", kSchemes));
  const std::string_view scheme = url.substr(0, separator);
  std::string_view rest = url.substr(separator + 3);
  if (rest.find_first_of("?#") != std::string_view::npos) return Refuse("it must not have a query or a fragment");
  if (scheme == "unix") return ParseUnix(rest);
  const bool is_secure = scheme.starts_with("rediss");
  const std::string_view kind = scheme.substr(is_secure ? 6 : std::min<size_t>(5, scheme.size()));
  if (!scheme.starts_with("redis") || (!kind.empty() && kind != "+sentinel" && kind != "+cluster")) {
    return Refuse(absl::StrCat("this release supports the schemes ", kSchemes));
  }

  RedisOptions options;
  options.tls.enabled = is_secure;
  // The last one: a password may hold an @ that was not encoded.
  if (const size_t at = rest.rfind('@'); at != std::string_view::npos) {
    if (absl::Status status = ParseUserInfo(rest.substr(0, at), options); !status.ok()) return status;
    rest.remove_prefix(at + 1);
  }
  const size_t slash = rest.find('/');
  const std::string_view hosts = rest.substr(0, slash);
  const std::string_view path = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  if (kind == "+sentinel") {
    if (absl::Status status = ParseHosts(hosts, kSentinelPort, options.sentinels); !status.ok()) return status;
    if (absl::Status status = ParseMaster(path, options); !status.ok()) return status;
    return options;
  }
  if (kind == "+cluster") {
    if (absl::Status status = ParseHosts(hosts, options.port, options.cluster); !status.ok()) return status;
    if (!path.empty() && path != "0") return Refuse("a Cluster has no databases");
    return options;
  }
  if (absl::Status status = ParseDatabase(path, options); !status.ok()) return status;
  RedisEndpoint endpoint{"", options.port};
  if (absl::Status status = ParseHostAndPort(hosts, endpoint); !status.ok()) return status;
  return OptionsFor(options, endpoint);
}

absl::Status CheckRedisOptions(const RedisOptions& options) {
  if (!options.user.empty() && options.password.empty()) return absl::InvalidArgumentError("user: needs a password");
  if (!options.sentinel_user.empty() && options.sentinel_password.empty()) {
    return absl::InvalidArgumentError("sentinel.user: needs a password");
  }
  const bool has_credentials = !options.sentinel_user.empty() || !options.sentinel_password.empty();
  if (has_credentials && options.sentinels.empty()) {
    return absl::InvalidArgumentError("sentinel: the URL names no sentinels");
  }
  const RedisTlsOptions& tls = options.tls;
  if (!options.cluster.empty() && options.database != 0) {
    return absl::InvalidArgumentError("database: a Cluster has no databases");
  }
  if (tls.enabled && !options.unix_path.empty()) {
    return absl::InvalidArgumentError("tls.enabled: there is no TLS on a unix socket");
  }
  const bool says_more = !tls.ca_file.empty() || !tls.ca_path.empty() || !tls.cert_file.empty() ||
                         !tls.key_file.empty() || !tls.server_name.empty();
  if (says_more && !tls.enabled) {
    return absl::InvalidArgumentError("tls: is not in use; write rediss:// in the URL or set tls.enabled");
  }
  if (tls.cert_file.empty() != tls.key_file.empty()) {
    return absl::InvalidArgumentError(tls.cert_file.empty() ? "tls.key_file: needs cert_file, which it is the key of"
                                                            : "tls.cert_file: needs key_file, its key");
  }
  return absl::OkStatus();
}

std::string EndpointText(const RedisEndpoint& endpoint) {
  const bool is_ipv6 = endpoint.host.find(':') != std::string::npos;
  return is_ipv6 ? absl::StrCat("[", endpoint.host, "]:", endpoint.port)
                 : absl::StrCat(endpoint.host, ":", endpoint.port);
}

std::string EndpointsText(const std::vector<RedisEndpoint>& endpoints) {
  return absl::StrJoin(endpoints, ", ", [](std::string* text, const RedisEndpoint& endpoint) {
    absl::StrAppend(text, EndpointText(endpoint));
  });
}

std::string RedisAddress(const RedisOptions& options) {
  if (!options.unix_path.empty()) return options.unix_path;
  if (!options.cluster.empty()) return absl::StrCat("Cluster (", EndpointsText(options.cluster), ")");
  if (options.sentinels.empty()) return EndpointText({options.host, options.port});
  return absl::StrCat("master \"", options.master_name, "\" (sentinels ", EndpointsText(options.sentinels), ")");
}

RedisOptions OptionsFor(const RedisOptions& options, const RedisEndpoint& master) {
  RedisOptions result = options;
  result.host = master.host;
  result.port = master.port;
  return result;
}

RedisOptions OptionsForSentinel(const RedisOptions& options, const RedisEndpoint& sentinel) {
  RedisOptions result = OptionsFor(options, sentinel);
  result.user = options.sentinel_user;
  result.password = options.sentinel_password;
  result.database = 0;
  return result;
}

}  // namespace larder
