#include "server/engine/keyspace.h"

#include <algorithm>
#include <utility>

#include "core/clock.h"

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

Counter& Leases(Registry& registry, const std::string& name, const char* result) {
  return registry.AddCounter("cache_leases_total", "Leases to load a key, by what became of them here.",
                             {{"namespace", name}, {"result", result}});
}

Counter& Waits(Registry& registry, const std::string& name, const char* result) {
  return registry.AddCounter("cache_waits_total", "Gets that were to wait for what somebody else was loading.",
                             {{"namespace", name}, {"result", result}});
}

Counter& Fills(Registry& registry, const std::string& name, const char* result) {
  return registry.AddCounter("cache_fills_total", "Loaded values that were to be stored.",
                             {{"namespace", name}, {"result", result}});
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
      invalidated_keys_deferred(Invalidations(registry, name, "key", "deferred")),
      invalidated_all_deferred(Invalidations(registry, name, "all", "deferred")),
      invalidated_groups_deferred(Invalidations(registry, name, "group", "deferred")),
      near_aged(registry.AddCounter(kEvictions, kEvictionsHelp, {{"namespace", name}, {"reason", "aged"}})),
      stale_hits(registry.AddCounter("cache_stale_serves_total", "Hits that were answered with a stale value.",
                                     {{"namespace", name}})),
      absent_hits(registry.AddCounter("cache_absent_serves_total",
                                      "Hits that said that it is known that there is none.", {{"namespace", name}})),
      degraded_hits(registry.AddCounter("cache_degraded_serves_total",
                                        "Hits answered from the near tier because the store could not be asked.",
                                        {{"namespace", name}})),
      leases(Leases(registry, name, "granted")),
      waits(Waits(registry, name, "waited")),
      waits_refused(Waits(registry, name, "refused")),
      fills(Fills(registry, name, "ok")),
      fills_aborted(Fills(registry, name, "aborted")),
      releases(Leases(registry, name, "released")),
      sliding_touches(Writes(registry, name, "slide", "ok")),
      invalidated_groups(Invalidations(registry, name, "group", "ok")),
      invalidated_groups_errors(Invalidations(registry, name, "group", "error")),
      collapses(Invalidations(registry, name, "group", "collapsed")),
      swept(registry.AddCounter("cache_swept_total", "Entries that a sweep of this replica removed.",
                                {{"namespace", name}})),
      fill_latency(registry.AddHistogram("cache_fill_seconds", "Time that the origin took to load a value.",
                                         {{"namespace", name}})),
      near_hit_latency(Latency(registry, name, "get", "near_hit")),
      store_hit_latency(Latency(registry, name, "get", "store_hit")),
      miss_latency(Latency(registry, name, "get", "miss")),
      set_latency(Latency(registry, name, "set", "ok")) {}

Keyspace::Keyspace(NamespacePolicy policy, size_t near_bytes, Registry& registry)
    : name_(policy.name),
      near_({.capacity_bytes = near_bytes}),
      clock_(2 * (policy.max_live_tags + policy.max_live_patterns)),
      metrics_(registry, policy.name),
      policy_(nullptr) {
  if (const size_t hottest = HottestWanted(policy); hottest > 0) hot_keys_ = std::make_unique<HotKeys>(hottest);
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
  registry.AddCounterCallback(kInvalidations, kInvalidationsHelp,
                              {{"namespace", name_}, {"kind", "group"}, {"result", "folded"}},
                              [this] { return static_cast<double>(clock_.folds()); });
  registry.AddGauge("cache_waiting", "Gets that wait for what somebody else is loading.", {{"namespace", name_}},
                    [this] { return loader_ == nullptr ? 0.0 : static_cast<double>(loader_->waiting()); });
  registry.AddGauge("cache_live_tags", "Invalidated tags that are remembered.", {{"namespace", name_}},
                    [this] { return static_cast<double>(clock_.tags()); });
  registry.AddGauge("cache_live_patterns", "Invalidated patterns that are remembered.", {{"namespace", name_}},
                    [this] { return static_cast<double>(clock_.patterns()); });
  registry.AddGauge("cache_near_entries", "Entries in the near tier.", {{"namespace", name_}},
                    [this] { return static_cast<double>(near_.Stats().entries); });
  registry.AddGauge("cache_near_bytes", "Bytes that the near tier takes, overhead included.", {{"namespace", name_}},
                    [this] { return static_cast<double>(near_.Stats().bytes); });
  registry.AddGauge("cache_near_capacity_bytes", "Bytes that the near tier may take.", {{"namespace", name_}},
                    [this] { return static_cast<double>(near_.Stats().capacity_bytes); });
}

Keyspace::~Keyspace() = default;

void Keyspace::SetLoader(std::unique_ptr<Loader> loader) { loader_ = std::move(loader); }

void Keyspace::Absorb(const ControlUpdate& update) {
  // COHERENCE C4.
  if (clock_.Apply(update, &changes_)) {
    ForgetNear();
    // Once more: what was read here since the first gap may have been served by what is dropped only now.
    changes_.OnGap(Change::Gap::kSwept);
  }
  changes_.Tell();
}

void Keyspace::AllowAge(int64_t until_nanos, int64_t bound_nanos) {
  age_bound_nanos_.store(bound_nanos);
  age_until_nanos_.store(until_nanos);
}

int64_t Keyspace::NearAge(int64_t now_nanos) const {
  if (now_nanos >= age_until_nanos_.load()) return 0;
  return std::min(age_bound_nanos_.load(), policy().near_max_age_ms * kNanosPerMilli);
}

void Keyspace::ForgetNear() {
  marks_.MarkAll();
  near_.Clear();
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
  if (!next->enabled) changes_.OnGap(Change::Gap::kGeneration);
  policies_.push_back(std::move(next));
}

}  // namespace larder
