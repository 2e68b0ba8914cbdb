// A master, its replicas, and the sentinels that watch them.
#ifndef LARDER_TESTS_SUPPORT_SENTINEL_FLEET_H_
#define LARDER_TESTS_SUPPORT_SENTINEL_FLEET_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/support/eventually.h"
#include "tests/support/redis_server.h"

namespace larder {

// Real servers on loopback. The master is named `mymaster`, and is first in `servers`. Not thread-safe; every call
// blocks.
class SentinelFleet {
 public:
  struct Options {
    int replicas = 2;
    int sentinels = 3;
    int quorum = 2;
    int down_after_ms = 500;
    std::string password;           // of the servers
    std::string sentinel_password;  // of the sentinels
    // Further arguments.
    std::vector<std::string> server_args;
    std::vector<std::string> sentinel_args;
    bool tls = false;
    // Run on each sentinel before it watches anything.
    std::vector<std::vector<std::string>> sentinel_commands;
    // From a server's port the one at which the others, and the sentinels, are to know it; none: the same. Not with
    // TLS.
    std::function<absl::StatusOr<int>(int port)> known_as;
  };

  // Returns once each sentinel knows the master, the replicas and the other sentinels.
  static absl::StatusOr<std::unique_ptr<SentinelFleet>> Start(const Options& options) {
    auto fleet = std::make_unique<SentinelFleet>();
    if (absl::Status status = fleet->StartServers(options); !status.ok()) return status;
    if (absl::Status status = fleet->StartSentinels(options); !status.ok()) return status;
    if (!Eventually([&] { return fleet->IsComplete(options); }, std::chrono::seconds(60))) {
      return absl::UnavailableError("the sentinels do not find each other");
    }
    return fleet;
  }

  // The server that the sentinel takes for the master; null if it is none of these.
  RedisServer* Master(size_t sentinel = 0) const {
    const absl::StatusOr<std::string> answer =
        sentinels[sentinel]->Command({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"});
    if (!answer.ok()) return nullptr;
    const std::string port = answer->substr(answer->find('\n') + 1);
    for (size_t i = 0; i < servers.size(); ++i) {
      if (std::to_string(ports[i]) == port) return servers[i].get();
    }
    return nullptr;
  }

  // For one that has just been started: others know it at `ports[i]`.
  absl::Status Announce(size_t i) const {
    return servers[i]
        ->Command(
            {"CONFIG", "SET", "replica-announce-ip", "127.0.0.1", "replica-announce-port", std::to_string(ports[i])})
        .status();
  }

  // All sentinels name the same master, and the other servers are its replicas.
  bool IsSettled() const {
    RedisServer* const master = Master();
    if (master == nullptr) return false;
    for (size_t i = 1; i < sentinels.size(); ++i) {
      if (Master(i) != master) return false;
    }
    for (const auto& server : servers) {
      const absl::StatusOr<std::string> info = server->Command({"INFO", "replication"});
      const std::string wanted = server.get() == master ? "role:master" : "master_link_status:up";
      if (!info.ok() || info->find(wanted) == std::string::npos) return false;
      const std::string replicas = "connected_slaves:" + std::to_string(servers.size() - 1);
      if (server.get() == master && info->find(replicas) == std::string::npos) return false;
    }
    return true;
  }

  std::vector<std::unique_ptr<RedisServer>> servers;
  std::vector<int> ports;  // at which the servers are known
  std::vector<std::unique_ptr<RedisServer>> sentinels;

 private:
  absl::Status StartServers(const Options& options) {
    for (int i = 0; i <= options.replicas; ++i) {
      RedisServer::Options server;
      server.password = options.password;
      server.tls = options.tls;
      server.extra_args = options.server_args;
      // Seconds that a test would only wait for.
      server.extra_args.insert(
          server.extra_args.end(),
          {"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", "--masterauth", options.password});
      absl::StatusOr<std::unique_ptr<RedisServer>> started = RedisServer::Start(server);
      if (!started.ok()) return started.status();
      servers.push_back(*std::move(started));
      ports.push_back(options.tls ? servers.back()->tls_port() : servers.back()->port());
      if (options.known_as) {
        const absl::StatusOr<int> known = options.known_as(ports.back());
        if (!known.ok()) return known.status();
        ports.back() = *known;
        if (absl::Status status = Announce(servers.size() - 1); !status.ok()) return status;
      }
      if (i == 0) continue;
      const std::string port = std::to_string(ports[0]);
      if (absl::Status status = servers.back()->Command({"REPLICAOF", "127.0.0.1", port}).status(); !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  absl::Status StartSentinels(const Options& options) {
    for (int i = 0; i < options.sentinels; ++i) {
      RedisServer::Options server;
      server.sentinel = true;
      server.password = options.sentinel_password;
      server.tls = options.tls;
      server.extra_args = options.sentinel_args;
      absl::StatusOr<std::unique_ptr<RedisServer>> started = RedisServer::Start(server);
      if (!started.ok()) return started.status();
      sentinels.push_back(*std::move(started));
      const RedisServer& sentinel = *sentinels.back();
      std::vector<std::vector<std::string>> commands = options.sentinel_commands;
      commands.push_back(
          {"SENTINEL", "MONITOR", "mymaster", "127.0.0.1", std::to_string(ports[0]), std::to_string(options.quorum)});
      commands.push_back({"SENTINEL", "SET", "mymaster", "down-after-milliseconds",
                          std::to_string(options.down_after_ms), "failover-timeout", "10000", "parallel-syncs", "2"});
      if (!options.password.empty()) commands.push_back({"SENTINEL", "SET", "mymaster", "auth-pass", options.password});
      // What they log in to each other with.
      if (!options.sentinel_password.empty()) {
        commands.push_back({"SENTINEL", "CONFIG", "SET", "sentinel-pass", options.sentinel_password});
      }
      for (const std::vector<std::string>& command : commands) {
        if (absl::Status status = sentinel.Command(command).status(); !status.ok()) return status;
      }
    }
    return absl::OkStatus();
  }

  bool IsComplete(const Options& options) const {
    for (const auto& sentinel : sentinels) {
      const absl::StatusOr<std::string> state = sentinel->Command({"SENTINEL", "MASTER", "mymaster"});
      if (!state.ok()) return false;
      const std::string text = "\n" + *state + "\n";
      if (text.find("\nnum-slaves\n" + std::to_string(options.replicas) + "\n") == std::string::npos) return false;
      const std::string others = std::to_string(options.sentinels - 1);
      if (text.find("\nnum-other-sentinels\n" + others + "\n") == std::string::npos) return false;
    }
    for (size_t i = 1; i < servers.size(); ++i) {
      const absl::StatusOr<std::string> info = servers[i]->Command({"INFO", "replication"});
      if (!info.ok() || info->find("master_link_status:up") == std::string::npos) return false;
    }
    return true;
  }
};

}  // namespace larder

#endif  // LARDER_TESTS_SUPPORT_SENTINEL_FLEET_H_
