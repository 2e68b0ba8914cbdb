#include "client/src/replica.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"

namespace larder::internal {
namespace {

// One address a channel: round_robin is what makes gRPC watch the address' health. gRPC's own retries stay on, with no
// policy: it then sends again only what the server says it has not begun (COHERENCE P4 holds: such a Set had no
// effect).
constexpr char kServiceConfig[] =
    R"({"loadBalancingConfig":[{"round_robin":{}}],"healthCheckConfig":{"serviceName":""}})";

// A replica is passed over for the next in a key's order once it has more calls under way than this share of the mean,
// and than this many: below it, spreading load is worth less than the near tier.
constexpr double kLoadShare = 1.25;
constexpr int kLoadFloor = 32;

uint64_t Mix(uint64_t x) {  // the finaliser of splitmix64
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

uint64_t Fnv(uint64_t hash, std::string_view bytes) {
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

constexpr uint64_t kFnvBasis = 0xcbf29ce484222325;

std::shared_ptr<grpc::ChannelCredentials> Credentials(const ClientOptions& options) {
  if (!options.tls.has_value()) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs = options.tls->ca_certificates;
  ssl.pem_cert_chain = options.tls->certificate;
  ssl.pem_private_key = options.tls->private_key;
  return grpc::SslCredentials(ssl);
}

int Millis(std::chrono::milliseconds time) {
  return static_cast<int>(std::min<int64_t>(time.count(), std::numeric_limits<int>::max()));
}

std::shared_ptr<grpc::Channel> Connect(const Address& address, const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(kServiceConfig);
  // Channels with equal arguments would otherwise share one connection among clients.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // A cache is near; a proxy that the environment names for the web is not on the way to it.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
  arguments.SetInt(GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, std::numeric_limits<int>::max());
  arguments.SetMaxReceiveMessageSize(static_cast<int>(options.max_response_bytes));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, Millis(options.keepalive_time));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Millis(options.keepalive_timeout));
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // A replica that comes back is found again within a second; gRPC's own default goes up to two minutes.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, Millis(options.connect_timeout));
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  if (options.tls.has_value()) {
    // The connection goes to an address; the certificate is for the name.
    const std::string& name = options.tls->server_name.empty() ? address.host : options.tls->server_name;
    arguments.SetSslTargetNameOverride(name);
  }
  return grpc::CreateCustomChannel(address.uri, Credentials(options), arguments);
}

bool Contains(absl::Span<Replica* const> replicas, const Replica* replica) {
  return std::find(replicas.begin(), replicas.end(), replica) != replicas.end();
}

}  // namespace

Replica::Replica(Address address, uint16_t id, const ClientOptions& options)
    : address_(std::move(address)),
      id_(id),
      hash_(Mix(Fnv(kFnvBasis, address_.uri))),
      channel_(Connect(address_, options)),
      stub_(v1::Cache::NewStub(channel_)) {
  channel_->GetState(/*try_to_connect=*/true);
}

int Replica::Distance() {
  switch (channel_->GetState(/*try_to_connect=*/true)) {
    case GRPC_CHANNEL_READY:
      return 0;
    case GRPC_CHANNEL_IDLE:
    case GRPC_CHANNEL_CONNECTING:
      return 1;
    default:
      return 2;
  }
}

uint64_t StableHash(std::string_view name_space, std::string_view key) {
  return Mix(Fnv(Fnv(Fnv(kFnvBasis, name_space), std::string_view("\0", 1)), key));
}

void ReplicaSet::Update(const std::vector<Address>& addresses) {
  const std::shared_ptr<const Replicas> known = Snapshot();
  auto next = std::make_shared<Replicas>();
  for (const Address& address : addresses) {
    const auto same =
        std::find_if(known->begin(), known->end(), [&](const auto& replica) { return replica->address() == address; });
    if (same != known->end()) {
      next->push_back(*same);
    } else {
      if (++last_id_ == 0) ++last_id_;
      next->push_back(std::make_shared<Replica>(address, last_id_, options_));
    }
  }
  // Before anyone can pick the second one.
  if (next->size() > 1 || (!known->empty() && *next != *known)) several_.store(true, std::memory_order_relaxed);
  size_.store(next->size(), std::memory_order_relaxed);
  MutexLock lock(&mutex_);
  replicas_ = std::move(next);
}

std::shared_ptr<const ReplicaSet::Replicas> ReplicaSet::Snapshot() const {
  MutexLock lock(&mutex_);
  return replicas_;
}

std::vector<std::shared_ptr<Replica>> ReplicaSet::All() const { return *Snapshot(); }

std::shared_ptr<Replica> ReplicaSet::Pick(uint64_t key_hash, absl::Span<Replica* const> tried) {
  const std::shared_ptr<const Replicas> replicas = Snapshot();
  if (replicas->empty()) return nullptr;
  if (replicas->size() == 1) return replicas->front();
  return by_key() ? PickByKey(*replicas, key_hash, tried) : PickInTurn(*replicas, tried);
}

std::shared_ptr<Replica> ReplicaSet::PickInTurn(const Replicas& replicas, absl::Span<Replica* const> tried) {
  const size_t first = turn_.fetch_add(1, std::memory_order_relaxed);
  const std::shared_ptr<Replica>* best = nullptr;
  int best_cost = std::numeric_limits<int>::max();
  for (size_t i = 0; i < replicas.size() && best_cost > 0; ++i) {
    const std::shared_ptr<Replica>& replica = replicas[(first + i) % replicas.size()];
    // One that was tried and is ready may do better than one that was not and is away.
    const int cost = 2 * replica->Distance() + (Contains(tried, replica.get()) ? 1 : 0);
    if (cost < best_cost) {
      best = &replica;
      best_cost = cost;
    }
  }
  return *best;
}

std::shared_ptr<Replica> ReplicaSet::PickByKey(const Replicas& replicas, uint64_t key_hash,
                                               absl::Span<Replica* const> tried) {
  int under_way = 1;
  for (const auto& replica : replicas) under_way += replica->in_flight().load(std::memory_order_relaxed);
  const double share = kLoadShare * under_way / static_cast<double>(replicas.size());
  const int limit = std::max(kLoadFloor, static_cast<int>(share) + 1);

  struct Candidate {
    int cost;
    uint64_t score;
    const std::shared_ptr<Replica>* replica;
  };
  Candidate best = {std::numeric_limits<int>::max(), 0, nullptr};
  for (const auto& replica : replicas) {
    const bool loaded = replica->in_flight().load(std::memory_order_relaxed) >= limit;
    const int cost = 4 * replica->Distance() + (Contains(tried, replica.get()) ? 2 : 0) + (loaded ? 1 : 0);
    const uint64_t score = Mix(key_hash ^ replica->hash());
    if (cost < best.cost || (cost == best.cost && score > best.score)) best = {cost, score, &replica};
  }
  return *best.replica;
}

}  // namespace larder::internal
