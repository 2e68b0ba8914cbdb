// One replica of the service, and the choice among them.
#ifndef LARDER_CLIENT_SRC_REPLICA_H_
#define LARDER_CLIENT_SRC_REPLICA_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/types/span.h"
#include "client/src/get_lane.h"
#include "client/src/target.h"
#include "core/mutex.h"
#include "grpcpp/channel.h"
#include "larder/options.h"
#include "larder/v1/cache.grpc.pb.h"

namespace larder::internal {

// A connection to one address. gRPC watches the replica's health on it, so that a replica that is about to stop is left
// before it refuses calls. Thread-safe.
class Replica {
 public:
  // `id`: unlike that of any other replica of late; not WrittenKeys::kUnknownReplica.
  Replica(Address address, uint16_t id, const ClientOptions& options);

  const Address& address() const { return address_; }
  uint16_t id() const { return id_; }
  uint64_t hash() const { return hash_; }
  v1::Cache::Stub& stub() { return *stub_; }
  grpc::Channel& channel() { return *channel_; }

  // 0: ready; 1: may become so any moment; 2: the last attempt to reach it failed, or it says that it does not serve.
  int Distance();

  // Calls under way.
  std::atomic<int>& in_flight() { return in_flight_; }

  // Gathered Gets on their way here.
  GetLane& lane() { return lane_; }

 private:
  const Address address_;
  const uint16_t id_;
  const uint64_t hash_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::Cache::Stub> stub_;
  std::atomic<int> in_flight_{0};
  GetLane lane_;
};

// The same in every process and release: clients that route by key must agree. FNV-1a, then a finaliser.
uint64_t StableHash(std::string_view name_space, std::string_view key);

// The replicas that are known. Thread-safe.
class ReplicaSet {
 public:
  // Keeps `options`.
  explicit ReplicaSet(ClientOptions options) : options_(std::move(options)) {}

  // Connects to those that are new; forgets those that are gone, whose calls under way end as they would have. By one
  // thread at a time.
  void Update(const std::vector<Address>& addresses);

  // The replica for the next call, rather one that is not among `tried`; null if none is known.
  // Round robin takes the next. Affinity takes the first in the key's order of rendezvous hashing that can be reached
  // and has no more than its share of calls under way (Mirrokni, Thorup, Zadimoghaddam: Consistent Hashing with Bounded
  // Loads).
  std::shared_ptr<Replica> Pick(uint64_t key_hash, absl::Span<Replica* const> tried);

  bool by_key() const { return options_.routing == Routing::kKeyAffinity; }
  std::vector<std::shared_ptr<Replica>> All() const;
  size_t size() const { return size_.load(std::memory_order_relaxed); }
  // More than one replica has been known: another one than now may have answered, or may be behind.
  bool several() const { return several_.load(std::memory_order_relaxed); }

 private:
  using Replicas = std::vector<std::shared_ptr<Replica>>;

  std::shared_ptr<const Replicas> Snapshot() const;
  std::shared_ptr<Replica> PickInTurn(const Replicas& replicas, absl::Span<Replica* const> tried);
  std::shared_ptr<Replica> PickByKey(const Replicas& replicas, uint64_t key_hash, absl::Span<Replica* const> tried);

  const ClientOptions options_;
  std::atomic<uint32_t> turn_{0};
  std::atomic<size_t> size_{0};
  std::atomic<bool> several_{false};
  mutable Mutex mutex_;
  std::shared_ptr<const Replicas> replicas_ ABSL_GUARDED_BY(mutex_) = std::make_shared<Replicas>();
  uint16_t last_id_ = 0;  // Update's
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_REPLICA_H_
