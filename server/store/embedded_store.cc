#include "server/store/embedded_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/store/random_bits.h"

namespace larder {
namespace {

// COHERENCE E3. Expiry is the cache's matter.
bool IsAlive(const EntryMeta& meta, uint64_t generation, uint64_t all_stamp) {
  return meta.generation == generation && meta.epoch >= all_stamp;
}

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

bool AlwaysValid() { return true; }

}  // namespace

EmbeddedStore::EmbeddedStore(const Clock* clock, const Options& options)
    : clock_(clock), cache_(NearCache::Options{options.capacity_bytes, 0}) {}

std::string EmbeddedStore::CacheKey(std::string_view name_space, std::string_view key) {
  std::string cache_key;
  cache_key.reserve(name_space.size() + 1 + key.size());
  cache_key.append(name_space).push_back('\0');
  return cache_key.append(key);
}

absl::Status EmbeddedStore::CheckCall(int64_t deadline_nanos) const {
  if (shut_down_.load()) return absl::UnavailableError("the store is shut down");
  if (deadline_nanos != 0 && clock_->NowNanos() >= deadline_nanos) {
    return absl::DeadlineExceededError("the deadline passed before the store was asked");
  }
  return absl::OkStatus();
}

EmbeddedStore::ControlRecord& EmbeddedStore::RecordOf(const std::string& name_space) {
  ControlRecord& record = records_[name_space];
  if (record.generation == 0) record.generation = RandomNonZeroBits();
  return record;
}

ControlUpdate EmbeddedStore::UpdateFor(const ControlRecord& record, ClockPosition known) {
  ControlUpdate update;
  update.generation = record.generation;
  update.epoch = record.epoch;
  update.since = known.generation == record.generation ? known.epoch : 0;
  update.all_stamp = record.all_stamp > update.since ? record.all_stamp : 0;
  update.sequence = ++sequence_;
  return update;
}

EmbeddedStore::ControlRecord EmbeddedStore::Snapshot(const std::string& name_space, ClockPosition known,
                                                     ControlUpdate* update) {
  MutexLock lock(&control_mutex_);
  const ControlRecord& record = RecordOf(name_space);
  *update = UpdateFor(record, known);
  return record;
}

EntryRef EmbeddedStore::FindValid(const std::string& cache_key, uint64_t hash, const ControlRecord& control) {
  EntryRef entry = cache_.Find(cache_key, hash, clock_->NowNanos());
  if (entry && !IsAlive(entry->meta(), control.generation, control.all_stamp)) return nullptr;
  return entry;
}

void EmbeddedStore::EraseDead(const std::string& cache_key, uint64_t hash, const EntryRef& dead) {
  MutexLock lock(&StripeFor(hash));
  // A write may have replaced it since.
  if (cache_.Find(cache_key, hash, clock_->NowNanos()).get() == dead.get()) cache_.Erase(cache_key, hash);
}

absl::StatusOr<ReadResult> EmbeddedStore::DoRead(const ReadRequest& request) {
  if (absl::Status status = CheckCall(request.deadline_nanos); !status.ok()) return status;
  const int64_t now = clock_->NowNanos();
  ReadResult result;
  result.entries.reserve(request.keys.size());
  for (const std::string& key : request.keys) {
    const std::string cache_key = CacheKey(request.name_space, key);
    result.entries.push_back(cache_.Find(cache_key, NearCache::Hash(cache_key), now));
  }
  // COHERENCE N4: the record is read after the entries, so that it is at least as new as they are.
  const ControlRecord control = Snapshot(request.name_space, request.known, &result.control);
  for (size_t i = 0; i < request.keys.size(); ++i) {
    EntryRef& entry = result.entries[i];
    if (!entry || IsAlive(entry->meta(), control.generation, control.all_stamp)) continue;
    const std::string cache_key = CacheKey(request.name_space, request.keys[i]);
    EraseDead(cache_key, NearCache::Hash(cache_key), entry);
    entry = nullptr;
  }
  return result;
}

absl::StatusOr<WriteResult> EmbeddedStore::DoWrite(WriteRequest request) {
  if (absl::Status status = CheckCall(request.deadline_nanos); !status.ok()) return status;
  const std::string cache_key = CacheKey(request.name_space, request.key);
  const uint64_t hash = NearCache::Hash(cache_key);
  if (!cache_.Fits(cache_key.size(), *request.entry)) {
    return absl::InvalidArgumentError(
        absl::StrCat("value: ", request.entry->value().size(), " bytes are larger than the embedded store can hold"));
  }

  MutexLock lock(&StripeFor(hash));
  WriteResult result;
  const ControlRecord control = Snapshot(request.name_space, request.known, &result.control);
  const EntryRef current = FindValid(cache_key, hash, control);
  result.current_version = current ? current->meta().version : 0;
  if (!Holds(request.condition, result.current_version)) return result;
  // COHERENCE E3, E4: what was read before an invalidation is not stored after it. One that comes between here and
  // the admission finds the lower epoch on the entry, and so kills it.
  uint64_t epoch = control.epoch;
  if (request.as_of.has_value()) {
    if (request.as_of->generation != control.generation || control.all_stamp > request.as_of->epoch) return result;
    epoch = request.as_of->epoch;
  }
  request.entry->Stamp(control.generation, epoch);
  const uint64_t version = request.entry->meta().version;
  cache_.Admit(cache_key, hash, std::move(request.entry), AlwaysValid);
  result.applied = true;
  result.current_version = version;
  return result;
}

absl::StatusOr<TouchResult> EmbeddedStore::DoTouch(const TouchRequest& request) {
  if (absl::Status status = CheckCall(request.deadline_nanos); !status.ok()) return status;
  const std::string cache_key = CacheKey(request.name_space, request.key);
  const uint64_t hash = NearCache::Hash(cache_key);

  MutexLock lock(&StripeFor(hash));
  TouchResult result;
  const ControlRecord control = Snapshot(request.name_space, request.known, &result.control);
  const EntryRef current = FindValid(cache_key, hash, control);
  if (!current) return result;
  // COHERENCE E6: the whole life is capped.
  EntryMeta meta = current->meta();
  const int64_t now = clock_->NowNanos();
  const int64_t ttl = std::min(request.ttl_nanos, request.max_life_nanos - (now - meta.created_nanos));
  if (ttl <= 0) {
    cache_.Erase(cache_key, hash);
    return result;
  }
  meta.expires_nanos = now + ttl;
  meta.read_nanos = now;
  // Entries are immutable once shared, so a new expiry takes a new one.
  EntryRef touched = Entry::Create(meta, current->content_type(), current->value());
  if (!cache_.Admit(cache_key, hash, std::move(touched), AlwaysValid)) return result;
  result.found = true;
  result.version = meta.version;
  result.ttl_nanos = ttl;
  return result;
}

absl::StatusOr<EraseResult> EmbeddedStore::DoErase(const EraseRequest& request) {
  if (absl::Status status = CheckCall(request.deadline_nanos); !status.ok()) return status;
  EraseResult result;
  for (const std::string& key : request.keys) {
    const std::string cache_key = CacheKey(request.name_space, key);
    const uint64_t hash = NearCache::Hash(cache_key);
    MutexLock lock(&StripeFor(hash));
    // Found first, so that one that has expired is not counted.
    if (!cache_.Find(cache_key, hash, clock_->NowNanos())) continue;
    if (cache_.Erase(cache_key, hash)) ++result.erased;
  }
  return result;
}

void EmbeddedStore::Read(ReadRequest request, StoreCallback<ReadResult> done) { std::move(done)(DoRead(request)); }

void EmbeddedStore::Write(WriteRequest request, StoreCallback<WriteResult> done) {
  std::move(done)(DoWrite(std::move(request)));
}

void EmbeddedStore::Touch(TouchRequest request, StoreCallback<TouchResult> done) { std::move(done)(DoTouch(request)); }

void EmbeddedStore::Erase(EraseRequest request, StoreCallback<EraseResult> done) { std::move(done)(DoErase(request)); }

void EmbeddedStore::InvalidateAll(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                                  StoreCallback<ControlUpdate> done) {
  if (absl::Status status = CheckCall(deadline_nanos); !status.ok()) return std::move(done)(status);
  ControlUpdate update;
  {
    MutexLock lock(&control_mutex_);
    ControlRecord& record = RecordOf(name_space);
    record.all_stamp = ++record.epoch;
    update = UpdateFor(record, known);
  }
  std::move(done)(update);
}

void EmbeddedStore::RaiseBarrier(std::string name_space, int64_t deadline_nanos, StoreCallback<ControlUpdate> done) {
  if (absl::Status status = CheckCall(deadline_nanos); !status.ok()) return std::move(done)(status);
  ControlUpdate update;
  {
    MutexLock lock(&control_mutex_);
    ControlRecord& record = RecordOf(name_space);
    // Nothing of the older generation is valid whatever its epoch, so the clock starts anew.
    record = ControlRecord{};
    record.generation = RandomNonZeroBits();
    update = UpdateFor(record, ClockPosition{});
  }
  std::move(done)(update);
}

void EmbeddedStore::ReadControl(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                                StoreCallback<ControlUpdate> done) {
  if (absl::Status status = CheckCall(deadline_nanos); !status.ok()) return std::move(done)(status);
  ControlUpdate update;
  Snapshot(name_space, known, &update);
  std::move(done)(update);
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
