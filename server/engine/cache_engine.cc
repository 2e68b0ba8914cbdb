#include "server/engine/cache_engine.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/planted.h"
#include "server/engine/own_write.h"
#include "server/engine/sweep_floor.h"

namespace larder {
namespace {

constexpr std::string_view kDefaultNamespace = "default";

// A sliding entry is given its time again once a tenth of it is gone, not on each read.
constexpr int64_t kSlidesPerTtl = 10;

// A caller ends its call by itself; this is how long the server goes on holding it.
constexpr int64_t kLookForOverdueEvery = 20 * kNanosPerMilli;

GetAnswer Answer(EntryRef entry, Tier tier, bool invalidated_soft, int64_t now) {
  const EntryMeta& meta = entry->meta();
  GetAnswer answer;
  answer.tier = tier;
  answer.age_nanos = std::max<int64_t>(0, now - meta.created_nanos);
  answer.hard_ttl_nanos = meta.expires_nanos - now;
  answer.ttl_nanos = invalidated_soft ? 0 : std::max<int64_t>(0, std::min(meta.stale_nanos, meta.expires_nanos) - now);
  answer.stale = answer.ttl_nanos == 0;
  answer.entry = std::move(entry);
  return answer;
}

// Whether what is being served should be loaded anew.
bool IsDue(const NamespacePolicy& policy, const GetAnswer& answer) {
  if (answer.stale) return true;
  if (policy.eager_refresh == 0 || answer.entry->meta().sliding_nanos != 0) return false;
  const int64_t life = answer.age_nanos + answer.ttl_nanos;
  return static_cast<double>(answer.age_nanos) >= policy.eager_refresh * static_cast<double>(life);
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
  stale_hits += other.stale_hits;
  absent_hits += other.absent_hits;
  leases += other.leases;
  waits += other.waits;
  fills += other.fills;
  fills_aborted += other.fills_aborted;
  origin_loads += other.origin_loads;
  origin_errors += other.origin_errors;
  invalidated_groups += other.invalidated_groups;
  swept += other.swept;
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

CacheEngine::CacheEngine(Options options, Store* store, const Clock* clock, Scheduler* scheduler, Registry* registry)
    : store_(store),
      clock_(clock),
      scheduler_(scheduler),
      versions_(options.version_seed),
      refused_for_no_namespace_(RefusedForNoNamespace(*registry)),
      strong_(store, clock, scheduler, registry, options.max_strong_waits) {
  for (NamespacePolicy& policy : options.namespaces) {
    const auto near_bytes = static_cast<size_t>(static_cast<double>(options.near_capacity_bytes) * policy.near_share);
    const std::string name = policy.name;
    auto space = std::make_unique<Keyspace>(std::move(policy), near_bytes, *registry);
    const auto origin = options.origins.find(name);
    Loader::Parts parts{.space = space.get(),
                        .store = store,
                        .clock = clock,
                        .scheduler = scheduler,
                        .versions = &versions_,
                        .origin = origin == options.origins.end() ? nullptr : origin->second,
                        .read_again = [this, at = space.get()](std::string key, PendingGets gets) {
                          const uint64_t hash = NearCache::Hash(key);
                          ReadStore(*at, std::move(key), hash, std::move(gets));
                        }};
    space->SetLoader(std::make_unique<Loader>(std::move(parts)));
    spaces_.emplace(name, std::move(space));
  }
  store_->SetWakeListener([this](std::string_view name_space, std::string_view key) {
    if (name_space.empty()) {
      for (const auto& [name, space] : spaces_) space->loader().Wake({});
    } else if (Keyspace* space = FindKeyspace(name_space)) {
      space->loader().Wake(key);
    }
  });
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

Keyspace* CacheEngine::FindKeyspace(std::string_view name_space) const {
  const auto found = spaces_.find(name_space.empty() ? kDefaultNamespace : name_space);
  return found == spaces_.end() ? nullptr : found->second.get();
}

std::vector<Keyspace*> CacheEngine::keyspaces() const {
  std::vector<Keyspace*> all;
  for (const auto& [name, space] : spaces_) all.push_back(space.get());
  return all;
}

void CacheEngine::StopWaiting() {
  for (const auto& [name, space] : spaces_) space->loader().StopWaiting();
  strong_.Stop();
}

absl::Status CacheEngine::CheckGet(const Keyspace& space, const GetCommand& command) const {
  if (command.wait_ms < 0) return absl::InvalidArgumentError("wait_ms: must not be negative");
  if (command.wants_lease && space.has_origin()) {
    return absl::InvalidArgumentError("want_lease: the namespace has an origin, which loads by itself");
  }
  return absl::OkStatus();
}

// The near tier, else what somebody is loading, else the store: one round trip that brings the entry and the stamps
// that judge it. What that does not answer is the loader's: a lease, a wait, or the origin.
void CacheEngine::Get(const CallContext& call, const GetCommand& command, Done<GetAnswer> done) {
  const int64_t start = clock_->NowNanos();
  absl::StatusOr<Keyspace*> found = FindForKey(command.name_space, command.key);
  if (!found.ok()) return std::move(done)(found.status());
  Keyspace& space = **found;
  if (absl::Status status = CheckGet(space, command); !status.ok()) {
    space.metrics().refused.Add();
    return std::move(done)(status);
  }
  if (!space.policy().enabled || Planted(Bug::kAlwaysMiss)) {
    space.metrics().misses.Add();
    return std::move(done)(GetAnswer{});
  }

  const uint64_t hash = NearCache::Hash(command.key);
  if (space.hot_keys() != nullptr && command.counts_as_read) space.hot_keys()->Count(command.key, hash, start);
  PendingGet get{.started_nanos = start,
                 .wait_until_nanos = WaitEnd(space, call, command.wait_ms, start),
                 .wants_lease = command.wants_lease,
                 .fresh_only = command.fresh_only,
                 .from_store = command.from_store,
                 .deadline_nanos = call.deadline_nanos,
                 .done = std::move(done)};
  if (!command.from_store) {
    std::optional<GetAnswer> answer = FromNear(space, command.key, hash, start, /*is_store_lost=*/false);
    if (answer && !(command.fresh_only && (answer->stale || answer->degraded))) {
      return AnswerHit(space, command.key, *std::move(answer), std::move(get));
    }
  }
  if (call.deadline_nanos <= start) {
    space.metrics().get_errors.Add();
    return std::move(get.done)(absl::DeadlineExceededError("the deadline passed before the store was asked"));
  }
  if (space.loader().Join(command.key, get)) return;
  JoinOrRead(space, command.key, hash, std::move(get));
}

int64_t CacheEngine::WaitEnd(const Keyspace& space, const CallContext& call, int64_t wait_ms, int64_t now) const {
  const NamespacePolicy& policy = space.policy();
  if (wait_ms == 0 && policy.origin.has_value()) wait_ms = policy.origin->soft_timeout_ms;
  const int64_t wait = std::min(wait_ms, policy.max_wait_ms) * kNanosPerMilli;
  return std::min(now + wait, call.deadline_nanos);
}

std::optional<GetAnswer> CacheEngine::FromNear(Keyspace& space, std::string_view key, uint64_t hash, int64_t now,
                                               bool is_store_lost) const {
  // Before the look: what the lease answers for has then been dropped and is known to who judges.
  const bool is_current = IsCurrent(space, now);
  const int64_t max_age = is_current ? 0 : space.NearAge(now);
  EntryRef entry = space.near().Find(key, hash, now);
  if (!entry) return std::nullopt;
  const Judgement judgement = space.clock().Judge(key, *entry);
  if (judgement == Judgement::kDead) return std::nullopt;
  // Where others write to the store too, a near entry is trusted while their writes are being told (COHERENCE N1), and
  // else for a bounded time from the sending of the read that brought it, with its stamps: a write that was
  // acknowledged longer ago than that is in it.
  // COHERENCE S1: by its age only while STRONG writes wait for as long.
  const bool trusted = !entry->meta().unshared && (is_current || now - entry->meta().read_nanos < max_age);
  if (!trusted) {
    const bool is_away = is_store_lost || store_->breaker() != BreakerState::kClosed;
    if (!is_away || !IsServableDegraded(space, *entry, now)) {
      space.metrics().near_aged.Add();
      return std::nullopt;
    }
  }
  GetAnswer answer = Answer(std::move(entry), Tier::kNear, judgement == Judgement::kStale, now);
  answer.degraded = !trusted;
  return answer;
}

bool CacheEngine::IsServableDegraded(const Keyspace& space, const Entry& entry, int64_t now) {
  const EntryMeta& meta = entry.meta();
  // The near tier is emptied before it is told of changes anew, so that all of it was current as of the last renewal.
  const int64_t current_at = meta.unshared ? meta.read_nanos : std::max(meta.read_nanos, space.near_as_of_nanos());
  return now - current_at < space.policy().degraded_max_age_ms * kNanosPerMilli;
}

void CacheEngine::AnswerWithoutStore(Keyspace& space, std::string_view key, uint64_t hash, const absl::Status& status,
                                     PendingGets gets) {
  std::optional<GetAnswer> near;
  if (absl::IsUnavailable(status)) near = FromNear(space, key, hash, clock_->NowNanos(), /*is_store_lost=*/true);
  for (PendingGet& get : gets) {
    const bool refuses = near && get.fresh_only && (near->stale || near->degraded);
    if (near && !refuses && !get.from_store) {
      AnswerHit(space, key, *near, std::move(get));
      continue;
    }
    space.metrics().get_errors.Add();
    std::move(get.done)(status);
  }
}

void CacheEngine::AnswerHit(Keyspace& space, std::string_view key, GetAnswer answer, PendingGet get) {
  KeyspaceMetrics& metrics = space.metrics();
  const bool near = answer.tier == Tier::kNear;
  (near ? metrics.near_hits : metrics.store_hits).Add();
  (near ? metrics.near_hit_latency : metrics.store_hit_latency).Record(clock_->NowNanos() - get.started_nanos);
  if (answer.stale) metrics.stale_hits.Add();
  if (answer.entry->meta().absent) metrics.absent_hits.Add();
  if (answer.degraded) {
    // Who could load it anew has to ask the store first.
    metrics.degraded_hits.Add();
    return std::move(get.done)(std::move(answer));
  }
  if (get.wants_lease && IsDue(space.policy(), answer)) {
    return space.loader().AnswerDue(key, std::move(answer), std::move(get));
  }
  KeepFresh(space, key, answer);
  std::move(get.done)(std::move(answer));
}

void CacheEngine::KeepFresh(Keyspace& space, std::string_view key, const GetAnswer& answer) {
  if (space.has_origin() && IsDue(space.policy(), answer)) space.loader().Refresh(key, *answer.entry);
  const int64_t sliding = answer.entry->meta().sliding_nanos;
  if (sliding != 0 && !answer.stale && answer.ttl_nanos <= sliding - sliding / kSlidesPerTtl) {
    Slide(space, key, *answer.entry, clock_->NowNanos());
  }
}

bool CacheEngine::IsCurrent(const Keyspace& space, int64_t now) const {
  return store_->exclusive() || (space.IsNearLeased(now + PlantedStepNanos()) && space.policy().near_max_age_ms > 0);
}

void CacheEngine::JoinOrRead(Keyspace& space, std::string_view key, uint64_t hash, PendingGet get) {
  // COHERENCE N4: in place of a near lease, the age that a near entry may have.
  const int64_t sent_from =
      IsCurrent(space, get.started_nanos) ? 0 : get.started_nanos - space.NearAge(get.started_nanos) + 1;
  if (!get.from_store && space.reads().Join(key, hash, space.marks().Current(hash), sent_from, get)) return;
  PendingGets gets;
  gets.push_back(std::move(get));
  ReadStore(space, std::string(key), hash, std::move(gets));
}

void CacheEngine::ReadStore(Keyspace& space, std::string key, uint64_t hash, PendingGets gets) {
  auto flight = std::make_shared<ReadFlight>();
  flight->key = std::move(key);
  flight->hash = hash;
  flight->mark = space.marks().Current(hash);
  flight->sent_nanos = clock_->NowNanos();
  flight->gets = std::move(gets);
  space.reads().Begin(flight);
  EndOverdueLater(space);
  // The store's own timeout is the flight's: each Get in it has a deadline of its own, and what comes too late for one
  // is there for the next.
  ReadRequest read{.name_space = space.name(),
                   .keys = {flight->key},
                   .known = space.clock().known(),
                   .deadline_nanos = std::numeric_limits<int64_t>::max()};
  store_->Read(std::move(read),
               [this, &space, flight](absl::StatusOr<ReadResult> result) { Land(space, *flight, std::move(result)); });
}

void CacheEngine::Land(Keyspace& space, ReadFlight& flight, absl::StatusOr<ReadResult> result) {
  PendingGets gets = space.reads().Land(flight);
  if (!result.ok()) return AnswerWithoutStore(space, flight.key, flight.hash, result.status(), std::move(gets));
  space.Absorb(result->control);
  EntryRef& entry = result->entries[0];
  if (MayBeSwept(entry, result->control)) {
    return ReadStore(space, flight.key, flight.hash, std::move(gets));
  }
  Loader::Found found;
  const GetAnswer answer = FromStore(space, flight.key, flight.hash, flight.mark, std::move(entry), &found);
  PendingGets unanswered;
  for (PendingGet& get : gets) {
    if (answer.entry && !(answer.stale && get.fresh_only)) {
      AnswerHit(space, flight.key, answer, std::move(get));
    } else {
      unanswered.push_back(std::move(get));
    }
  }
  if (!unanswered.empty()) space.loader().Miss(flight.key, found, std::move(unanswered));
}

// One task of the scheduler looks at all reads of the namespace, as long as there are any.
void CacheEngine::EndOverdueLater(Keyspace& space) {
  if (!space.reads().ClaimLook()) return;
  scheduler_->At(clock_->NowNanos() + kLookForOverdueEvery, [this, &space] {
    bool more = false;
    PendingGets overdue = space.reads().TakeOverdue(clock_->NowNanos(), &more);
    for (PendingGet& get : overdue) {
      space.metrics().get_errors.Add();
      std::move(get.done)(absl::DeadlineExceededError("the deadline passed while waiting for the store"));
    }
    if (more) EndOverdueLater(space);
  });
}

GetAnswer CacheEngine::FromStore(Keyspace& space, std::string_view key, uint64_t hash, uint64_t mark, EntryRef entry,
                                 Loader::Found* found) {
  const int64_t now = clock_->NowNanos();
  const Judgement judgement = entry ? space.clock().Judge(key, *entry) : Judgement::kDead;
  const bool dead = judgement == Judgement::kDead || entry->meta().expires_nanos <= now;
  if (entry) *found = {entry->meta().version, dead};
  if (dead) {
    // A near entry that was found dead or too old would only take up room.
    space.near().Erase(key, hash);
    return GetAnswer{};
  }
  space.near().Admit(key, hash, entry, [&] { return space.marks().Current(hash) == mark; });
  return Answer(std::move(entry), Tier::kStore, judgement == Judgement::kStale, now);
}

void CacheEngine::Slide(Keyspace& space, std::string_view key, const Entry& entry, int64_t now) {
  // Claimed by the entry's version for a tenth of its time, so that the reads of that time send one touch.
  const EntryMeta& meta = entry.meta();
  if (!space.slides().Claim(meta.version, now, now + meta.sliding_nanos / kSlidesPerTtl)) return;
  OwnWrite own(space, std::string(key));
  TouchRequest touch{.name_space = space.name(),
                     .key = own.key(),
                     .ttl_nanos = meta.sliding_nanos,
                     .max_life_nanos = space.policy().max_ttl_ms * kNanosPerMilli,
                     .version = meta.version,
                     .known = space.clock().known(),
                     .deadline_nanos = std::numeric_limits<int64_t>::max()};
  store_->Touch(std::move(touch), [&space, own = std::move(own)](absl::StatusOr<TouchResult> result) mutable {
    own.End();
    if (!result.ok()) return space.metrics().touch_errors.Add();
    space.Absorb(result->control);
    if (result->found) space.metrics().sliding_touches.Add();
  });
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
                     .stale_hits = from.stale_hits.Value(),
                     .absent_hits = from.absent_hits.Value(),
                     .leases = from.leases.Value(),
                     .waits = from.waits.Value(),
                     .fills = from.fills.Value(),
                     .fills_aborted = from.fills_aborted.Value(),
                     .origin_loads = from.origin_loads.Value(),
                     .origin_errors = from.origin_errors.Value(),
                     .invalidated_groups = from.invalidated_groups.Value(),
                     .swept = from.swept.Value(),
                     .near = space->near().Stats(),
                     .near_hit_latency = from.near_hit_latency.Snapshot(),
                     .store_hit_latency = from.store_hit_latency.Snapshot(),
                     .miss_latency = from.miss_latency.Snapshot(),
                     .set_latency = from.set_latency.Snapshot()});
  }
  return stats;
}

}  // namespace larder
