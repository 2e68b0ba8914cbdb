// The nodes of a Redis Cluster.
#ifndef LARDER_TESTS_SUPPORT_REDIS_CLUSTER_H_
#define LARDER_TESTS_SUPPORT_REDIS_CLUSTER_H_

#include <algorithm>
#include <chrono>
#include <cstddef>
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

// Real servers on loopback: first the masters that share the slots in equal parts, then those that have none, then a
// replica of each master that has slots. Not thread-safe; every call blocks.
class RedisCluster {
 public:
  struct Options {
    int masters = 3;
    int empty_masters = 0;
    bool replicas = false;
    int node_timeout_ms = 15'000;
    std::vector<std::string> server_args = {};
    // From a node's port the one at which it is known to the others, which its replicas follow it by, and to whom they
    // send on; none: the same.
    std::function<absl::StatusOr<int>(int port)> known_as = {};
  };

  // Returns once every node says that the Cluster works.
  static absl::StatusOr<std::unique_ptr<RedisCluster>> Start(const Options& options) {
    auto cluster = std::make_unique<RedisCluster>();
    if (absl::Status status = cluster->StartNodes(options); !status.ok()) return status;
    if (absl::Status status = cluster->Meet(); !status.ok()) return status;
    if (absl::Status status = cluster->ShareOut(options); !status.ok()) return status;
    if (!Eventually([&] { return cluster->Works(); }, std::chrono::seconds(60))) {
      return absl::UnavailableError("the nodes do not make a Cluster");
    }
    return cluster;
  }

  RedisServer& node(size_t i) { return *nodes[i]; }
  // Empty where there is no answer.
  std::string Ask(size_t i, const std::vector<std::string>& command) const {
    return nodes[i]->Command(command).value_or("");
  }
  std::string IdOf(size_t i) const { return Ask(i, {"CLUSTER", "MYID"}); }

  // Moves a slot with its keys, a few at a time, as redis-cli --cluster reshard does.
  absl::Status Move(int slot, size_t from, size_t to, size_t keys_at_once = 10) const {
    const std::string number = std::to_string(slot);
    const std::string from_id = IdOf(from);
    const std::string to_id = IdOf(to);
    if (auto done = nodes[to]->Command({"CLUSTER", "SETSLOT", number, "IMPORTING", from_id}); !done.ok()) {
      return done.status();
    }
    if (auto done = nodes[from]->Command({"CLUSTER", "SETSLOT", number, "MIGRATING", to_id}); !done.ok()) {
      return done.status();
    }
    while (true) {
      const auto keys = nodes[from]->Command({"CLUSTER", "GETKEYSINSLOT", number, std::to_string(keys_at_once)});
      if (!keys.ok()) return keys.status();
      if (keys->empty()) break;
      std::vector<std::string> migrate = {"MIGRATE", "127.0.0.1", std::to_string(nodes[to]->port()), "", "0",
                                          "5000",    "KEYS"};
      size_t at = 0;
      while (at <= keys->size()) {
        const size_t end = std::min(keys->find('\n', at), keys->size());
        migrate.push_back(keys->substr(at, end - at));
        at = end + 1;
      }
      if (auto done = nodes[from]->Command(migrate); !done.ok()) return done.status();
    }
    // The new owner first, so that there is always one.
    for (const size_t i : {to, from}) {
      const auto done = nodes[i]->Command({"CLUSTER", "SETSLOT", number, "NODE", to_id});
      // One that has heard that it gave its last slot away is no master any more.
      const bool knows =
          !done.ok() && i == from && Ask(i, {"INFO", "replication"}).find("role:slave") != std::string::npos;
      if (!done.ok() && !knows) return done.status();
    }
    return absl::OkStatus();
  }

  std::vector<std::unique_ptr<RedisServer>> nodes;

 private:
  absl::Status StartNodes(const Options& options) {
    const int count = options.masters + options.empty_masters + (options.replicas ? options.masters : 0);
    for (int i = 0; i < count; ++i) {
      RedisServer::Options server;
      server.cluster = true;
      server.known_as = options.known_as;
      server.extra_args = {"--cluster-node-timeout",          std::to_string(options.node_timeout_ms),
                           "--cluster-require-full-coverage", "no",
                           "--repl-diskless-sync-delay",      "0",
                           "--repl-ping-replica-period",      "1"};
      server.extra_args.insert(server.extra_args.end(), options.server_args.begin(), options.server_args.end());
      absl::StatusOr<std::unique_ptr<RedisServer>> started = RedisServer::Start(server);
      if (!started.ok()) return started.status();
      nodes.push_back(*std::move(started));
      if (auto done = nodes.back()->Command({"CLUSTER", "SET-CONFIG-EPOCH", std::to_string(i + 1)}); !done.ok()) {
        return done.status();
      }
    }
    return absl::OkStatus();
  }

  absl::Status Meet() const {
    const std::string all = "cluster_known_nodes:" + std::to_string(nodes.size()) + "\r";
    auto next = std::chrono::steady_clock::now();
    const bool known = Eventually(
        [&] {
          // A handshake that took too long is forgotten.
          if (std::chrono::steady_clock::now() >= next) {
            for (size_t i = 1; i < nodes.size(); ++i) {
              Ask(0, {"CLUSTER", "MEET", "127.0.0.1", std::to_string(nodes[i]->known_port()),
                      std::to_string(nodes[i]->bus_port())});
            }
            next += std::chrono::seconds(5);
          }
          for (size_t i = 0; i < nodes.size(); ++i) {
            if (Ask(i, {"CLUSTER", "INFO"}).find(all) == std::string::npos) return false;
          }
          return true;
        },
        std::chrono::seconds(60));
    return known ? absl::OkStatus() : absl::UnavailableError("the nodes do not find each other");
  }

  absl::Status ShareOut(const Options& options) const {
    constexpr int kSlots = 16'384;
    for (int i = 0; i < options.masters; ++i) {
      const int first = kSlots * i / options.masters;
      const int last = kSlots * (i + 1) / options.masters - 1;
      const auto added = nodes[static_cast<size_t>(i)]->Command(
          {"CLUSTER", "ADDSLOTSRANGE", std::to_string(first), std::to_string(last)});
      if (!added.ok()) return added.status();
      if (!options.replicas) continue;
      const auto replica = static_cast<size_t>(options.masters + options.empty_masters + i);
      const std::string id = IdOf(static_cast<size_t>(i));
      // It may not have heard of its master yet.
      if (!Eventually(
              [&] {
                return nodes[replica]->Command({"CLUSTER", "REPLICATE", id}).ok();
              },
              std::chrono::seconds(30))) {
        return absl::UnavailableError("a node does not become a replica");
      }
    }
    return absl::OkStatus();
  }

  bool Works() const {
    for (size_t i = 0; i < nodes.size(); ++i) {
      const std::string info = Ask(i, {"CLUSTER", "INFO"});
      if (info.find("cluster_state:ok") == std::string::npos) return false;
      if (info.find("cluster_slots_assigned:16384") == std::string::npos) return false;
      const std::string replication = Ask(i, {"INFO", "replication"});
      if (replication.find("role:slave") != std::string::npos &&
          replication.find("master_link_status:up") == std::string::npos) {
        return false;
      }
    }
    return true;
  }
};

}  // namespace larder

#endif  // LARDER_TESTS_SUPPORT_REDIS_CLUSTER_H_
