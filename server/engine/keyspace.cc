#include "server/engine/keyspace.h"

#include <utility>

namespace larder {
namespace {

constexpr char kRequests[] = "cache_requests_total";
constexpr char kRequestsHelp[] = "Keys asked for, by the tier that answered and the result.";
constexpr char kWrites[] = "cache_writes_total";
constexpr char kWritesHelp[] = "Entries written or touched, by operation and result.";
constexpr char kInvalidations[] = "cache_invalidations_total";
constexpr char kInvalidationsHelp[] = "Invalidations, by kind and result.";
constexpr char kEvictions[] = "cache_evictions_total";
constexpr char kEvictionsHelp[] = "Entries that left the near tier, or never came in, by reason.";
constexpr char kLatency[] = "cache_operation_seconds";
constexpr char kLatencyHelp[] = "Time that an operation took inside the engine, by what it found.";

Counter& Requests(Registry& registry, const std::string& name, const char* tier, const char* result) {
  return registry.AddCounter(kRequests, kRequestsHelp, {{"namespace", name}, {"tier", tier}, {"result", result}});
}

Counter& Writes(Registry& registry, const std::string& name, const char* operation, const char* result) {
  return registry.AddCounter(kWrites, kWritesHelp, {{"namespace", name}, {"operation", operation}, {"result", result}});
}

Counter& Invalidations(Registry& registry, const std::string& name, const char* kind, const char* result) {
  return registry.AddCounter(kInvalidations, kInvalidationsHelp,
                             {{"namespace", name}, {"kind", kind}, {"result", result}});
}

Histogram& Latency(Registry& registry, const std::string& name, const char* operation, const char* result) {
  return registry.AddHistogram(kLatency, kLatencyHelp,
                               {{"namespace", name}, {"operation", operation}, {"result", result}});
}

}  // namespace

KeyspaceMetrics::KeyspaceMetrics(Registry& registry, const std::string& name)
    : near_hits(Requests(registry, name, "near", "hit")),
      store_hits(Requests(registry, name, "store", "hit")),
      misses(Requests(registry, name, "none", "miss")),
      get_errors(Requests(registry, name, "none", "error")),
      refused(Requests(registry, name, "none", "refused")),
      sets(Writes(registry, name, "set", "ok")),
      sets_aborted(Writes(registry, name, "set", "aborted")),
      set_errors(Writes(registry, name, "set", "error")),
      touches(Writes(registry, name, "touch", "ok")),
      touch_misses(Writes(registry, name, "touch", "miss")),
      touch_errors(Writes(registry, name, "touch", "error")),
      invalidated_keys(Invalidations(registry, name, "key", "ok")),
      invalidated_all(Invalidations(registry, name, "all", "ok")),
      invalidated_keys_errors(Invalidations(registry, name, "key", "error")),
      invalidated_all_errors(Invalidations(registry, name, "all", "error")),
      near_aged(registry.AddCounter(kEvictions, kEvictionsHelp, {{"namespace", name}, {"reason", "aged"}})),
      near_hit_latency(Latency(registry, name, "get", "near_hit")),
      store_hit_latency(Latency(registry, name, "get", "store_hit")),
      miss_latency(Latency(registry, name, "get", "miss")),
      set_latency(Latency(registry, name, "set", "ok")) {}

Keyspace::Keyspace(NamespacePolicy policy, size_t near_bytes, Registry& registry)
    : name_(policy.name), near_({.capacity_bytes = near_bytes}), metrics_(registry, policy.name), policy_(nullptr) {
  ReplacePolicy(std::move(policy), BeginPolicyChange());
  using Field = uint64_t NearCacheStats::*;
  const auto evictions = [&](const char* reason, Field field) {
    registry.AddCounterCallback(kEvictions, kEvictionsHelp, {{"namespace", name_}, {"reason", reason}},
                                [this, field] { return static_cast<double>(near_.Stats().*field); });
  };
  evictions("capacity", &NearCacheStats::evicted);
  evictions("expired", &NearCacheStats::expired);
  evictions("invalidated", &NearCacheStats::erased);
  evictions("oversized", &NearCacheStats::oversized);
  registry.AddGauge("cache_near_entries", "Entries in the near tier.", {{"namespace", name_}},
                    [this] { return static_cast<double>(near_.Stats().entries); });
  registry.AddGauge("cache_near_bytes", "Bytes that the near tier takes, overhead included.", {{"namespace", name_}},
                    [this] { return static_cast<double>(near_.Stats().bytes); });
  registry.AddGauge("cache_near_capacity_bytes", "Bytes that the near tier may take.", {{"namespace", name_}},
                    [this] { return static_cast<double>(near_.Stats().capacity_bytes); });
}

Counter& RefusedForNoNamespace(Registry& registry) {
  // No namespace can have this name.
  return Requests(registry, "(unknown)", "none", "refused");
}

uint64_t Keyspace::BeginPolicyChange() {
  MutexLock lock(&mutex_);
  return ++revision_;
}

void Keyspace::ReplacePolicy(NamespacePolicy policy, uint64_t revision) {
  auto next = std::make_unique<const NamespacePolicy>(std::move(policy));
  MutexLock lock(&mutex_);
  if (revision != revision_) return;
  policy_.store(next.get(), std::memory_order_release);
  policies_.push_back(std::move(next));
}

}  // namespace larder
