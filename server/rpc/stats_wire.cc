#include "server/rpc/stats_wire.h"

#include <string>

namespace larder {
namespace {

void Fill(const HistogramSnapshot& from, v1::Latency* to) {
  constexpr double kNanosPerMicroAsDouble = 1'000.0;
  to->set_count(static_cast<int64_t>(from.count()));
  to->set_p50_us(from.QuantileNanos(0.5) / kNanosPerMicroAsDouble);
  to->set_p90_us(from.QuantileNanos(0.9) / kNanosPerMicroAsDouble);
  to->set_p99_us(from.QuantileNanos(0.99) / kNanosPerMicroAsDouble);
  to->set_p999_us(from.QuantileNanos(0.999) / kNanosPerMicroAsDouble);
}

std::string StateName(StoreInfo::State state) {
  switch (state) {
    case StoreInfo::State::kReady:
      return "ready";
    case StoreInfo::State::kConnecting:
      return "connecting";
    case StoreInfo::State::kDown:
      return "down";
  }
  return "";
}

}  // namespace

v1::CacheStats ToMessage(const KeyspaceStats& stats) {
  v1::CacheStats message;
  message.set_name(stats.name);
  message.set_near_hits(static_cast<int64_t>(stats.near_hits));
  message.set_store_hits(static_cast<int64_t>(stats.store_hits));
  message.set_misses(static_cast<int64_t>(stats.misses));
  message.set_get_errors(static_cast<int64_t>(stats.get_errors));
  const uint64_t hits = stats.near_hits + stats.store_hits;
  if (hits + stats.misses > 0) {
    message.set_hit_ratio(static_cast<double>(hits) / static_cast<double>(hits + stats.misses));
  }
  message.set_sets(static_cast<int64_t>(stats.sets));
  message.set_sets_aborted(static_cast<int64_t>(stats.sets_aborted));
  message.set_set_errors(static_cast<int64_t>(stats.set_errors));
  message.set_touches(static_cast<int64_t>(stats.touches));
  message.set_invalidated_keys(static_cast<int64_t>(stats.invalidated_keys));
  message.set_invalidated_all(static_cast<int64_t>(stats.invalidated_all));
  message.set_refused(static_cast<int64_t>(stats.refused));
  message.set_near_entries(static_cast<int64_t>(stats.near.entries));
  message.set_near_bytes(static_cast<int64_t>(stats.near.bytes));
  message.set_near_capacity_bytes(static_cast<int64_t>(stats.near.capacity_bytes));
  v1::NearEvictions* evictions = message.mutable_near_evictions();
  evictions->set_capacity(static_cast<int64_t>(stats.near.evicted));
  evictions->set_expired(static_cast<int64_t>(stats.near.expired));
  evictions->set_invalidated(static_cast<int64_t>(stats.near.erased));
  evictions->set_aged(static_cast<int64_t>(stats.near_aged));
  evictions->set_oversized(static_cast<int64_t>(stats.near.oversized));
  Fill(stats.near_hit_latency, message.mutable_near_hit_latency());
  Fill(stats.store_hit_latency, message.mutable_store_hit_latency());
  Fill(stats.miss_latency, message.mutable_miss_latency());
  Fill(stats.set_latency, message.mutable_set_latency());
  message.set_stale_hits(static_cast<int64_t>(stats.stale_hits));
  message.set_absent_hits(static_cast<int64_t>(stats.absent_hits));
  message.set_leases(static_cast<int64_t>(stats.leases));
  message.set_waits(static_cast<int64_t>(stats.waits));
  message.set_fills(static_cast<int64_t>(stats.fills));
  message.set_fills_aborted(static_cast<int64_t>(stats.fills_aborted));
  message.set_origin_loads(static_cast<int64_t>(stats.origin_loads));
  message.set_origin_errors(static_cast<int64_t>(stats.origin_errors));
  message.set_invalidated_groups(static_cast<int64_t>(stats.invalidated_groups));
  message.set_swept(static_cast<int64_t>(stats.swept));
  return message;
}

v1::StoreStats ToMessage(const StoreInfo& info, std::string_view coherence_mode) {
  v1::StoreStats message;
  message.set_kind(info.kind);
  message.set_state(StateName(info.state));
  message.set_detail(info.detail);
  message.set_round_trip_us(info.round_trip_micros);
  message.set_keys(info.keys);
  message.set_used_memory_bytes(info.used_memory_bytes);
  message.set_max_memory_bytes(info.max_memory_bytes);
  message.set_eviction_policy(info.eviction_policy);
  message.set_evictions(info.evictions);
  message.set_redis_version(info.redis_version);
  message.set_coherence_mode(std::string(coherence_mode));
  message.set_disconnects(info.disconnects);
  message.set_unreadable_entries(info.unreadable_entries);
  message.set_members(info.members);
  message.set_address(info.address);
  for (const std::string& sentence : info.advice) message.add_advice(sentence);
  return message;
}

}  // namespace larder
