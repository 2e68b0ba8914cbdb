#include "server/store/embedded_store.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/store/embedded_keys.h"

namespace larder {
namespace {

bool Holds(const Condition& condition, uint64_t current_version) {
  switch (condition.kind) {
    case Condition::Kind::kNone:
      return true;
    case Condition::Kind::kAbsent:
      return current_version == 0;
    case Condition::Kind::kPresent:
      return current_version != 0;
    case Condition::Kind::kVersion:
      return current_version != 0 && current_version == condition.version;
  }
  return false;
}

}  // namespace

EmbeddedStore::EmbeddedStore(const Clock* clock, const Options& options)
    : clock_(clock), cache_(NearCache::Options{options.capacity_bytes, 0}) {}

EmbeddedStore::Wakes::~Wakes() {
  if (!store_.wake_listener_) return;
  for (const std::string& cache_key : cache_keys_) {
    const SplitKey split = Split(cache_key);
    store_.wake_listener_(split.name_space, split.key);
  }
}

void EmbeddedStore::WakeAll(std::string_view name_space) const {
  if (wake_listener_) wake_listener_(name_space, "");
}

EmbeddedStore::Place EmbeddedStore::PlaceOf(std::string_view name_space, std::string_view key) {
  std::string cache_key = CacheKey(name_space, key);
  const uint64_t hash = NearCache::Hash(cache_key);
  return {key, std::move(cache_key), hash, records_.Of(name_space), stripes_[(hash >> 32) % kStripes]};
}

absl::Status EmbeddedStore::CheckCall(int64_t deadline_nanos) const {
  if (shut_down_.load()) return absl::UnavailableError("the store is shut down");
  if (deadline_nanos != 0 && clock_->NowNanos() >= deadline_nanos) {
    return absl::DeadlineExceededError("the deadline passed before the store was asked");
  }
  return absl::OkStatus();
}

EntryRef EmbeddedStore::FindLive(const Place& place, uint64_t dead_version) {
  EntryRef entry = cache_.Find(place.cache_key, place.hash, clock_->NowNanos());
  if (!entry) return nullptr;
  const bool said_dead = dead_version != 0 && entry->meta().version == dead_version;
  if (!said_dead && place.record.Judge(place.key, *entry) != Judgement::kDead) return entry;
  cache_.Erase(place.cache_key, place.hash);
  return nullptr;
}

// COHERENCE P2, C4: what is put in was judged by the record as it is at that moment. The sweep's walk takes the same
// lock of the cache after it has raised the fence, so it meets whatever was put in before, and nothing older comes
// after.
bool EmbeddedStore::Admit(const Place& place, uint64_t seen, EntryRef entry) {
  bool unchanged = false;
  cache_.Admit(place.cache_key, place.hash, std::move(entry),
               [&] { return unchanged = place.record.changes() == seen; });
  return unchanged;
}

absl::StatusOr<ReadResult> EmbeddedStore::DoRead(const ReadRequest& request) {
  if (absl::Status status = CheckCall(request.deadline_nanos); !status.ok()) return status;
  const int64_t now = clock_->NowNanos();
  ReadResult result;
  result.entries.reserve(request.keys.size());
  for (const std::string& key : request.keys) {
    const Place place = PlaceOf(request.name_space, key);
    EntryRef entry = cache_.Find(place.cache_key, place.hash, now);
    if (entry && place.record.Judge(key, *entry) == Judgement::kDead) {
      MutexLock lock(&place.stripe.mutex);
      // Another may be there by now.
      entry = FindLive(place, 0);
    }
    result.entries.push_back(std::move(entry));
  }
  // COHERENCE N4: the record is read after the entries, so that it is at least as new as they are.
  result.control = records_.Of(request.name_space).Update(request.known);
  return result;
}

absl::StatusOr<WriteResult> EmbeddedStore::DoWrite(const WriteRequest& request) {
  if (absl::Status status = CheckCall(request.deadline_nanos); !status.ok()) return status;
  const Place place = PlaceOf(request.name_space, request.key);
  if (!cache_.Fits(place.cache_key.size(), *request.entry)) {
    return absl::InvalidArgumentError(
        absl::StrCat("value: ", request.entry->value().size(), " bytes are larger than the embedded store can hold"));
  }
  WriteResult result;
  Wakes wakes(this);
  MutexLock lock(&place.stripe.mutex);
  while (!TryWrite(request, place, &wakes, &result)) continue;
  result.control = place.record.Update(request.known);
  return result;
}

bool EmbeddedStore::TryWrite(const WriteRequest& request, const Place& place, Wakes* wakes, WriteResult* result) {
  const uint64_t seen = place.record.changes();
  const EntryRef current = FindLive(place, request.dead_version);
  result->current_version = current ? current->meta().version : 0;
  result->current_epoch = current ? current->meta().epoch : 0;

  // COHERENCE E3: the epoch at which the value was read, or that of now.
  ClockPosition position = place.record.position();
  if (request.fill.has_value()) {
    if (!MayFill(request, place, current, wakes)) return true;
    position = request.fill->as_of;
  } else if (!Holds(request.condition, result->current_version)) {
    return true;
  } else if (request.as_of.has_value()) {
    // COHERENCE E4.
    if (!place.record.Allows(*request.as_of, place.key, request.entry->tags())) return true;
    position = *request.as_of;
  }
  request.entry->Stamp(position.generation, position.epoch);
  if (!Admit(place, seen, request.entry)) return false;
  EndLease(place, wakes);
  result->applied = true;
  result->current_version = request.entry->meta().version;
  result->current_epoch = position.epoch;
  return true;
}

absl::StatusOr<TouchResult> EmbeddedStore::DoTouch(const TouchRequest& request) {
  if (absl::Status status = CheckCall(request.deadline_nanos); !status.ok()) return status;
  const Place place = PlaceOf(request.name_space, request.key);
  TouchResult result;
  MutexLock lock(&place.stripe.mutex);
  while (!TryTouch(request, place, &result)) continue;
  result.control = place.record.Update(request.known);
  return result;
}

// COHERENCE E6: compare-and-set on a valid entry; the whole life is capped. E5: what an invalidation made stale is not
// made fresh again: that by a group goes by the epoch, and what was softened was never fresh.
bool EmbeddedStore::TryTouch(const TouchRequest& request, const Place& place, TouchResult* result) {
  const uint64_t seen = place.record.changes();
  const EntryRef current = FindLive(place, 0);
  if (!current) return true;
  EntryMeta meta = current->meta();
  const int64_t now = clock_->NowNanos();
  if (request.version != 0 && meta.version != request.version) return true;
  if (IsSoftened(meta)) return true;

  const int64_t life_left = request.max_life_nanos - (now - meta.created_nanos);
  const int64_t ttl = std::min(request.ttl_nanos, life_left);
  if (ttl <= 0) {
    cache_.Erase(place.cache_key, place.hash);
    return true;
  }
  const bool becomes_stale = meta.stale_nanos < meta.expires_nanos;
  const int64_t stale_window = becomes_stale ? meta.expires_nanos - meta.stale_nanos : 0;
  meta.stale_nanos = becomes_stale ? now + ttl : std::numeric_limits<int64_t>::max();
  meta.expires_nanos = now + std::min(ttl + stale_window, life_left);
  meta.read_nanos = now;
  if (!Admit(place, seen, WithMeta(*current, meta))) return false;
  result->found = true;
  result->version = meta.version;
  result->epoch = meta.epoch;
  result->ttl_nanos = ttl;
  return true;
}

absl::StatusOr<EraseResult> EmbeddedStore::DoErase(const EraseRequest& request) {
  if (absl::Status status = CheckCall(request.deadline_nanos); !status.ok()) return status;
  EraseResult result;
  for (size_t i = 0; i < request.keys.size(); ++i) {
    const Place place = PlaceOf(request.name_space, request.keys[i]);
    Wakes wakes(this);
    MutexLock lock(&place.stripe.mutex);
    // COHERENCE E2, E5: nothing that was being loaded lands after this.
    EndLease(place, &wakes);
    if (!request.soft_versions.empty()) {
      while (!TrySoften(place, request.soft_versions[i], &result)) continue;
    } else if (cache_.Find(place.cache_key, place.hash, clock_->NowNanos())) {  // so that none that has expired counts
      cache_.Erase(place.cache_key, place.hash);
      ++result.erased;
    }
  }
  return result;
}

// COHERENCE E1, E5.
bool EmbeddedStore::TrySoften(const Place& place, uint64_t new_version, EraseResult* result) {
  const uint64_t seen = place.record.changes();
  const EntryRef current = FindLive(place, 0);
  if (!current) return true;
  EntryMeta meta = current->meta();
  meta.version = new_version;
  Soften(&meta, clock_->NowNanos());
  meta.leased_nanos = 0;
  if (!Admit(place, seen, WithMeta(*current, meta))) return false;
  ++result->erased;
  return true;
}

void EmbeddedStore::Read(ReadRequest request, StoreCallback<ReadResult> done) { std::move(done)(DoRead(request)); }

void EmbeddedStore::Write(WriteRequest request, StoreCallback<WriteResult> done) { std::move(done)(DoWrite(request)); }

void EmbeddedStore::Touch(TouchRequest request, StoreCallback<TouchResult> done) { std::move(done)(DoTouch(request)); }

void EmbeddedStore::Erase(EraseRequest request, StoreCallback<EraseResult> done) { std::move(done)(DoErase(request)); }

void EmbeddedStore::InvalidateGroups(GroupRequest request, StoreCallback<GroupResult> done) {
  if (absl::Status status = CheckCall(request.deadline_nanos); !status.ok()) return std::move(done)(status);
  GroupResult result = records_.Of(request.name_space).InvalidateGroups(request);
  if (result.collapsed || (request.all && !request.soft)) WakeAll(request.name_space);
  std::move(done)(std::move(result));
}

void EmbeddedStore::RaiseBarrier(std::string name_space, int64_t deadline_nanos, StoreCallback<ControlUpdate> done) {
  if (absl::Status status = CheckCall(deadline_nanos); !status.ok()) return std::move(done)(status);
  ControlUpdate control = records_.Of(name_space).RaiseBarrier();
  WakeAll(name_space);
  std::move(done)(std::move(control));
}

void EmbeddedStore::ReadControl(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                                StoreCallback<ControlUpdate> done) {
  if (absl::Status status = CheckCall(deadline_nanos); !status.ok()) return std::move(done)(status);
  std::move(done)(records_.Of(name_space).Update(known));
}

void EmbeddedStore::Describe(int64_t /*deadline_nanos*/, StoreCallback<StoreInfo> done) {
  const NearCacheStats stats = cache_.Stats();
  StoreInfo info;
  info.kind = "embedded";
  info.state = state();
  if (info.state != StoreInfo::State::kReady) info.detail = "the store is shut down";
  info.measured = true;
  info.keys = static_cast<int64_t>(stats.entries);
  info.used_memory_bytes = static_cast<int64_t>(stats.bytes);
  info.max_memory_bytes = static_cast<int64_t>(stats.capacity_bytes);
  info.eviction_policy = "scan-resistant";
  info.evictions = static_cast<int64_t>(stats.evicted);
  std::move(done)(std::move(info));
}

StoreInfo::State EmbeddedStore::state() const {
  return shut_down_.load() ? StoreInfo::State::kDown : StoreInfo::State::kReady;
}

}  // namespace larder
