#include "server/redis/redis_options.h"

#include <charconv>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

constexpr int kMaxDatabase = 16'383;

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

absl::Status ParseHostAndPort(std::string_view text, RedisOptions& options) {
  std::string_view port;
  if (!text.empty() && text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return Refuse("an IPv6 address must end with ]");
    options.host = std::string(text.substr(1, close - 1));
    port = text.substr(close + 1);
    if (!port.empty() && port.front() != ':') return Refuse("only a port may follow an IPv6 address");
  } else {
    const size_t colon = text.find(':');
    std::optional<std::string> host = PercentDecode(text.substr(0, colon));
    if (!host.has_value()) return Refuse("% must be followed by two hexadecimal digits in the host");
    options.host = *std::move(host);
    port = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
  }
  if (options.host.empty()) return Refuse("it has no host");
  if (port.empty()) return absl::OkStatus();
  const std::optional<int> number = ParseNumber(port.substr(1), 1, 65'535);
  if (!number.has_value()) return Refuse("the port must be a number from 1 to 65535");
  options.port = *number;
  return absl::OkStatus();
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
  if (separator == std::string_view::npos) return Refuse("it must begin with redis:// or unix://");
  const std::string_view scheme = url.substr(0, separator);
  std::string_view rest = url.substr(separator + 3);
  if (rest.find_first_of("?#") != std::string_view::npos) return Refuse("it must not have a query or a fragment");
  if (scheme == "unix") return ParseUnix(rest);
  if (scheme != "redis") return Refuse("this release supports the schemes redis:// and unix:// only");

  RedisOptions options;
  // The last one: a password may hold an @ that was not encoded.
  if (const size_t at = rest.rfind('@'); at != std::string_view::npos) {
    if (absl::Status status = ParseUserInfo(rest.substr(0, at), options); !status.ok()) return status;
    rest.remove_prefix(at + 1);
  }
  const size_t slash = rest.find('/');
  if (slash != std::string_view::npos && slash + 1 < rest.size()) {
    const std::optional<int> database = ParseNumber(rest.substr(slash + 1), 0, kMaxDatabase);
    if (!database.has_value()) return Refuse(absl::StrCat("the database must be a number from 0 to ", kMaxDatabase));
    options.database = *database;
  }
  if (absl::Status status = ParseHostAndPort(rest.substr(0, slash), options); !status.ok()) return status;
  return options;
}

absl::Status CheckRedisOptions(const RedisOptions& options) {
  if (!options.user.empty() && options.password.empty()) return absl::InvalidArgumentError("user: needs a password");
  return absl::OkStatus();
}

std::string RedisAddress(const RedisOptions& options) {
  if (!options.unix_path.empty()) return options.unix_path;
  const bool is_ipv6 = options.host.find(':') != std::string::npos;
  return is_ipv6 ? absl::StrCat("[", options.host, "]:", options.port) : absl::StrCat(options.host, ":", options.port);
}

}  // namespace larder
