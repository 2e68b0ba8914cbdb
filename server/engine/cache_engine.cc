#include "server/engine/cache_engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

constexpr std::string_view kDefaultNamespace = "default";

GetAnswer Answer(EntryRef entry, Tier tier, int64_t now) {
  const int64_t age = std::max<int64_t>(0, now - entry->meta().created_nanos);
  const int64_t ttl = entry->meta().expires_nanos - now;
  return {.entry = std::move(entry), .tier = tier, .age_nanos = age, .ttl_nanos = ttl};
}

}  // namespace

absl::Status InElement(std::string_view field, size_t index, const absl::Status& status) {
  if (status.ok()) return status;
  return {status.code(), absl::StrCat(std::string(field), "[", index, "]: ", status.message())};
}

void KeyspaceStats::Add(const KeyspaceStats& other) {
  near_hits += other.near_hits;
  store_hits += other.store_hits;
  misses += other.misses;
  get_errors += other.get_errors;
  refused += other.refused;
  sets += other.sets;
  sets_aborted += other.sets_aborted;
  set_errors += other.set_errors;
  touches += other.touches;
  invalidated_keys += other.invalidated_keys;
  invalidated_all += other.invalidated_all;
  near_aged += other.near_aged;
  near.entries += other.near.entries;
  near.bytes += other.near.bytes;
  near.capacity_bytes += other.near.capacity_bytes;
  near.evicted += other.near.evicted;
  near.expired += other.near.expired;
  near.removed += other.near.removed;
  near.erased += other.near.erased;
  near.oversized += other.near.oversized;
  near_hit_latency.Merge(other.near_hit_latency);
  store_hit_latency.Merge(other.store_hit_latency);
  miss_latency.Merge(other.miss_latency);
  set_latency.Merge(other.set_latency);
}

CacheEngine::CacheEngine(Options options, Store* store, const Clock* clock, Registry* registry)
    : store_(store),
      clock_(clock),
      versions_(options.version_seed),
      refused_for_no_namespace_(RefusedForNoNamespace(*registry)) {
  for (NamespacePolicy& policy : options.namespaces) {
    const auto near_bytes = static_cast<size_t>(static_cast<double>(options.near_capacity_bytes) * policy.near_share);
    std::string name = policy.name;
    spaces_.emplace(std::move(name), std::make_unique<Keyspace>(std::move(policy), near_bytes, *registry));
  }
}

CacheEngine::~CacheEngine() = default;

absl::StatusOr<Keyspace*> CacheEngine::Find(std::string_view name_space) const {
  const auto found = spaces_.find(name_space.empty() ? kDefaultNamespace : name_space);
  if (found != spaces_.end()) return found->second.get();
  refused_for_no_namespace_.Add();
  if (!IsValidNamespaceName(name_space)) {
    return absl::InvalidArgumentError("namespace: must match [a-z0-9_-]{1,63}");
  }
  return absl::InvalidArgumentError(absl::StrCat("namespace: \"", std::string(name_space), "\" is not configured"));
}

absl::StatusOr<Keyspace*> CacheEngine::FindForKey(std::string_view name_space, std::string_view key) const {
  absl::StatusOr<Keyspace*> space = Find(name_space);
  if (!space.ok()) return space;
  if (absl::Status status = CheckKey((*space)->policy(), key); !status.ok()) {
    (*space)->metrics().refused.Add();
    return status;
  }
  return space;
}

// The near tier, else the store: one round trip that brings the entry and the stamps that judge it.
void CacheEngine::Get(const CallContext& call, const GetCommand& command, Done<GetAnswer> done) {
  const int64_t start = clock_->NowNanos();
  absl::StatusOr<Keyspace*> found = FindForKey(command.name_space, command.key);
  if (!found.ok()) return std::move(done)(found.status());
  Keyspace& space = **found;

  if (!space.policy().enabled) {
    space.metrics().misses.Add();
    return std::move(done)(GetAnswer{});
  }

  const uint64_t hash = NearCache::Hash(command.key);
  if (!command.from_store) {
    if (std::optional<GetAnswer> answer = FromNear(space, command.key, hash, start)) {
      space.metrics().near_hits.Add();
      space.metrics().near_hit_latency.Record(clock_->NowNanos() - start);
      return std::move(done)(*std::move(answer));
    }
  }

  const uint64_t mark = space.marks().Current(hash);
  ReadRequest read{.name_space = space.name(),
                   .keys = {std::string(command.key)},
                   .known = space.clock().known(),
                   .deadline_nanos = call.deadline_nanos};
  store_->Read(std::move(read), [this, &space, key = std::string(command.key), hash, mark, start,
                                 done = std::move(done)](absl::StatusOr<ReadResult> result) mutable {
    if (!result.ok()) {
      space.metrics().get_errors.Add();
      return std::move(done)(result.status());
    }
    space.clock().Apply(result->control);
    GetAnswer answer = FromStore(space, key, hash, mark, std::move(result->entries[0]));
    (answer.entry ? space.metrics().store_hit_latency : space.metrics().miss_latency)
        .Record(clock_->NowNanos() - start);
    std::move(done)(std::move(answer));
  });
}

std::optional<GetAnswer> CacheEngine::FromNear(Keyspace& space, std::string_view key, uint64_t hash,
                                               int64_t now) const {
  EntryRef entry = space.near().Find(key, hash, now);
  if (!entry || !space.clock().IsValid(*entry)) return std::nullopt;
  // Where others write to the store too, a near entry is trusted for a bounded time from the sending of the read that
  // brought it, with its stamps: a write that was acknowledged longer ago than that is in it.
  if (!store_->exclusive() && now - entry->meta().read_nanos >= space.policy().near_max_age_ms * kNanosPerMilli) {
    space.metrics().near_aged.Add();
    return std::nullopt;
  }
  return Answer(std::move(entry), Tier::kNear, now);
}

GetAnswer CacheEngine::FromStore(Keyspace& space, std::string_view key, uint64_t hash, uint64_t mark, EntryRef entry) {
  const int64_t now = clock_->NowNanos();
  if (!entry || entry->meta().expires_nanos <= now || !space.clock().IsValid(*entry)) {
    space.metrics().misses.Add();
    // A near entry that was found dead or too old would only take up room.
    space.near().Erase(key, hash);
    return GetAnswer{};
  }
  space.metrics().store_hits.Add();
  space.near().Admit(key, hash, entry, [&] { return space.marks().Current(hash) == mark; });
  return Answer(std::move(entry), Tier::kStore, now);
}

absl::StatusOr<std::vector<KeyspaceStats>> CacheEngine::Stats(absl::Span<const std::string_view> name_spaces) const {
  std::vector<Keyspace*> wanted;
  for (std::string_view name : name_spaces) {
    absl::StatusOr<Keyspace*> space = Find(name);
    if (!space.ok()) return space.status();
    wanted.push_back(*space);
  }
  if (wanted.empty()) {
    for (const auto& [name, space] : spaces_) wanted.push_back(space.get());
  }
  std::vector<KeyspaceStats> stats;
  stats.reserve(wanted.size());
  for (Keyspace* space : wanted) {
    const KeyspaceMetrics& from = space->metrics();
    stats.push_back({.name = space->name(),
                     .near_hits = from.near_hits.Value(),
                     .store_hits = from.store_hits.Value(),
                     .misses = from.misses.Value(),
                     .get_errors = from.get_errors.Value(),
                     .refused = from.refused.Value(),
                     .sets = from.sets.Value(),
                     .sets_aborted = from.sets_aborted.Value(),
                     .set_errors = from.set_errors.Value(),
                     .touches = from.touches.Value(),
                     .invalidated_keys = from.invalidated_keys.Value(),
                     .invalidated_all = from.invalidated_all.Value(),
                     .near_aged = from.near_aged.Value(),
                     .near = space->near().Stats(),
                     .near_hit_latency = from.near_hit_latency.Snapshot(),
                     .store_hit_latency = from.store_hit_latency.Snapshot(),
                     .miss_latency = from.miss_latency.Snapshot(),
                     .set_latency = from.set_latency.Snapshot()});
  }
  return stats;
}

}  // namespace larder
