#include "client/src/target.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace larder::internal {
namespace {

absl::Status BadTarget(std::string_view part, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("target: \"", std::string(part), "\" ", std::string(why)));
}

absl::StatusOr<Target> ParseHostPort(std::string_view part, std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return BadTarget(part, "has no port; write host:port");
  std::string_view host = text.substr(0, colon);
  const std::string port(text.substr(colon + 1));
  int number = 0;
  if (!absl::SimpleAtoi(port, &number) || number < 1 || number > 65535) {
    return BadTarget(part, "has no port from 1 to 65535");
  }
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return BadTarget(part, "has an IPv6 address without brackets; write [address]:port");
  }
  if (host.empty()) return BadTarget(part, "has no host; write host:port");
  return Target{std::string(host), port, {}};
}

absl::StatusOr<Target> ParseTarget(std::string_view part) {
  std::string_view text = part;
  if (text.starts_with("unix:")) {
    text.remove_prefix(5);
    if (text.starts_with("//")) text.remove_prefix(2);
    if (text.empty()) return BadTarget(part, "has no path; write unix:/path");
    return Target{{}, {}, std::string(text)};
  }
  if (text.starts_with("dns:")) {
    text.remove_prefix(4);
    if (text.starts_with("///")) text.remove_prefix(3);
    if (text.starts_with("/"))
      return BadTarget(part, "names a DNS server, which is not supported; write dns:///host:port");
  } else if (text.find("//") != std::string_view::npos) {
    return BadTarget(part, "has a scheme that is neither dns nor unix");
  }
  return ParseHostPort(part, text);
}

bool IsNumeric(const Target& target) {
  in6_addr ignored;
  return inet_pton(AF_INET, target.host.c_str(), &ignored) == 1 ||
         inet_pton(AF_INET6, target.host.c_str(), &ignored) == 1;
}

std::string ToUri(const addrinfo& info) {
  std::array<char, NI_MAXHOST> host;
  std::array<char, NI_MAXSERV> port;
  if (getnameinfo(info.ai_addr, info.ai_addrlen, host.data(), host.size(), port.data(), port.size(),
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return {};
  }
  if (info.ai_family == AF_INET6) return absl::StrCat("ipv6:[", host.data(), "]:", port.data());
  return absl::StrCat("ipv4:", host.data(), ":", port.data());
}

absl::Status Lookup(const Target& target, std::vector<Address>* addresses) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(target.host.c_str(), target.port.c_str(), &hints, &found);
  if (error != 0) return absl::UnavailableError(absl::StrCat(target.host, ": ", gai_strerror(error)));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
  // One family, so that a replica that has an address of each is not taken for two.
  bool has_v4 = false;
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) has_v4 |= info->ai_family == AF_INET;
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    if (info->ai_family != (has_v4 ? AF_INET : AF_INET6)) continue;
    std::string uri = ToUri(*info);
    if (!uri.empty()) addresses->push_back({std::move(uri), target.host});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Target>> ParseTargets(std::string_view text) {
  std::vector<Target> targets;
  for (const auto part : absl::StrSplit(absl::string_view(text.data(), text.size()), ',')) {
    const auto stripped = absl::StripAsciiWhitespace(part);
    absl::StatusOr<Target> target = ParseTarget(std::string_view(stripped.data(), stripped.size()));
    if (!target.ok()) return target.status();
    targets.push_back(*std::move(target));
  }
  return targets;
}

absl::StatusOr<std::vector<Address>> Resolve(const Target& target) {
  if (!target.path.empty()) return std::vector<Address>{{absl::StrCat("unix:", target.path), "localhost"}};
  std::vector<Address> addresses;
  if (absl::Status status = Lookup(target, &addresses); !status.ok()) return status;
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  return addresses;
}

bool NeedsResolving(const std::vector<Target>& targets) {
  return std::any_of(targets.begin(), targets.end(),
                     [](const Target& target) { return target.path.empty() && !IsNumeric(target); });
}

}  // namespace larder::internal
