// The addresses of a service's replicas.
#ifndef LARDER_CLIENT_SRC_TARGET_H_
#define LARDER_CLIENT_SRC_TARGET_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace larder::internal {

// One part of ClientOptions::target.
struct Target {
  std::string host;  // a name or an IP address without brackets; empty for a unix socket
  std::string port;
  std::string path;  // of a unix socket

  bool operator==(const Target&) const = default;
};

// INVALID_ARGUMENT naming the part that is none of `host:port`, `[v6]:port`, `dns:///host:port`, `unix:/path`.
absl::StatusOr<std::vector<Target>> ParseTargets(std::string_view text);

// An address that gRPC takes, and the name that its TLS certificate is to carry.
struct Address {
  std::string uri;   // "ipv4:127.0.0.1:50051", "ipv6:[::1]:50051", "unix:/path"
  std::string host;  // as it was written in the target

  bool operator==(const Address&) const = default;
  auto operator<=>(const Address&) const = default;
};

// Looks the name up; blocks for as long as the system's resolver takes. The IPv4 addresses, or where there are none the
// IPv6 ones; sorted, without doubles. UNAVAILABLE with the reason if it is not found.
absl::StatusOr<std::vector<Address>> Resolve(const Target& target);

// Whether looking up again can tell anything new.
bool NeedsResolving(const std::vector<Target>& targets);

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_TARGET_H_
