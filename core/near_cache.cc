#include "core/near_cache.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <optional>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/hash/hash.h"
#include "core/ghost_table.h"
#include "core/mutex.h"
#include "core/position_index.h"
#include "core/reuse_model.h"

// To make room, a shard drops the least worthy of a sample of its entries (reuse_model.h). A sample needs no order
// among the entries, so that a hit moves nothing: it writes eight bytes beside the pointer that it read anyway.
//
// Why not S3-FIFO (Yang et al., SOSP '23) or W-TinyLFU: over three real traces, at 1, 5, 10 and 25 % of the objects,
// S3-FIFO with its threshold at one gains 18 % of what lies between LRU and the optimum, a hill-climbing W-TinyLFU
// less, as we built them, and this 28 %. Where everything is asked for twice, or loops take turns, S3-FIFO has hardly a
// hit where LRU has many; of patterns on which this stays half a point below LRU for good we found none. What it takes
// from them is the distrust of newcomers (kMinNewShare).
namespace larder {
namespace {

// The entry has the key. Its hash is computed again where it is needed: the index knows as much of it as a search asks.
struct Slot {
  EntryRef entry;
  AccessRecord record;

  uint64_t hash() const { return NearCache::Hash(entry->key()); }
  size_t charge() const { return NearCache::Charge(entry->key().size(), *entry); }
  bool is_new() const { return record.hits == 0; }
};
using Slots = std::vector<Slot>;

struct Candidate {
  float worth = std::numeric_limits<float>::infinity();
  uint32_t position = 0;
  bool found() const { return worth < std::numeric_limits<float>::infinity(); }
};

// What leaves the cache. Declared before the lock is taken it outlives it, and memory is freed outside.
using Doomed = absl::InlinedVector<Slot, 4>;

struct Probe {
  std::string_view key;
  uint64_t hash;
};

using Visitor = absl::FunctionRef<void(std::string_view key, const EntryRef& entry)>;

struct HasKey {
  bool operator()(uint32_t position) const { return (*slots)[position].entry->key() == key; }
  const Slots* slots;
  std::string_view key;
};

constexpr size_t kMinShardBytes = 8 << 20;
constexpr size_t kMaxChosenShards = 64;
constexpr size_t kMaxShards = 256;
constexpr size_t kMaxShare = 4;  // an entry takes at most this part of a shard

// The model learns from a sample once every so many accesses.
constexpr uint32_t kLearnInterval = 32;
constexpr size_t kSample = 32;
constexpr size_t kSampleRun = 4;  // neighbours, for the memory's sake: they are a cache line
constexpr int kMaxSamples = 4;    // before it is given up to find an entry that was not hit yet
constexpr size_t kGhostsPerEntry = 2;

// Entries that were not hit yet push out others only while they take no more than a part of the shard, at first an
// eighth: the model cannot tell a scan until much of it has passed. Where that is wrong it shows: each one that had to
// go against the model's judgement and is asked for again widens the part by its size. Each one that goes by the
// model's own choice narrows it by a fraction of its size.
constexpr size_t kMinNewShare = 8;
constexpr size_t kNewShareInertia = 32;

// The slots grow by this part of theirs at a time.
constexpr size_t kGrowth = 8;

// A slot, with the slack of the vector; a cell of an index that is as empty as it can be; ghosts, with the slack of
// their table.
constexpr size_t kTableOverhead = sizeof(Slot) * (kGrowth + 1) / kGrowth + PositionIndex::kMaxBytesPerPosition +
                                  kGhostsPerEntry * sizeof(AccessRecord) * 5 / 4;

// What malloc takes for a request, by the rule of glibc.
constexpr size_t AllocationSize(size_t request) { return std::max<size_t>(32, (request + 8 + 15) / 16 * 16); }

size_t ChooseShards(const NearCache::Options& options) {
  if (options.shards > 0) return std::bit_floor(std::min<size_t>(options.shards, kMaxShards));
  return std::bit_floor(std::clamp<size_t>(options.capacity_bytes / kMinShardBytes, 1, kMaxChosenShards));
}

}  // namespace

class NearCache::Shard {
 public:
  explicit Shard(size_t capacity) : capacity_(capacity) {}

  EntryRef Find(const Probe& probe, int64_t now_nanos);
  bool Admit(const Probe& probe, Slot fresh, size_t charge, absl::FunctionRef<bool()> still_valid);
  bool Erase(const Probe& probe);
  void Clear();
  EntryRef Peek(const Probe& probe, int64_t now_nanos) const;
  uint32_t Walk(uint32_t below, size_t max_entries, Visitor visit, size_t* visited) const;
  void AddTo(NearCacheStats* stats) const;

 private:
  std::optional<uint32_t> Lookup(const Probe& probe) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CountAccess() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Learn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Slot TakeOut(uint32_t position, uint64_t hash) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PutIn(Slot fresh, uint64_t hash) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  AccessRecord Recall(uint64_t hash, size_t charge) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Remember(const Slot& slot, uint64_t hash) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MakeRoom(size_t charge, Doomed* doomed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint32_t ChooseVictim() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Candidate LeastWorthy(bool only_new) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  size_t Random(size_t bound) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::array<uint32_t, kSample> Sample() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t capacity_;

  mutable Mutex mutex_;
  Slots slots_ ABSL_GUARDED_BY(mutex_);
  PositionIndex index_ ABSL_GUARDED_BY(mutex_);  // of the slots
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t new_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of entries that were not hit yet
  size_t new_share_ ABSL_GUARDED_BY(mutex_) = capacity_ / kMinNewShare;
  ReuseModel model_ ABSL_GUARDED_BY(mutex_);
  GhostTable ghosts_ ABSL_GUARDED_BY(mutex_);
  uint32_t accesses_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t random_state_ ABSL_GUARDED_BY(mutex_) = 0x9e3779b97f4a7c15;
  NearCacheStats counts_ ABSL_GUARDED_BY(mutex_);  // of what came and went; the rest is filled in by AddTo()
};

EntryRef NearCache::Shard::Find(const Probe& probe, int64_t now_nanos) {
  Slot doomed;
  MutexLock lock(&mutex_);
  const std::optional<uint32_t> position = Lookup(probe);
  if (!position) return nullptr;
  Slot& slot = slots_[*position];
  if (slot.entry->expires_nanos() <= now_nanos) {
    Remember(slot, probe.hash);
    doomed = TakeOut(*position, probe.hash);
    ++counts_.expired;
    return nullptr;
  }
  CountAccess();
  if (slot.is_new()) new_bytes_ -= slot.charge();
  model_.CountHit(slot.record, accesses_);
  slot.record.Renew(accesses_);
  return slot.entry;
}

bool NearCache::Shard::Admit(const Probe& probe, Slot fresh, size_t charge, absl::FunctionRef<bool()> still_valid) {
  Doomed doomed;
  MutexLock lock(&mutex_);
  if (!still_valid()) return false;
  const std::optional<uint32_t> replaced = Lookup(probe);
  if (replaced) {
    doomed.push_back(TakeOut(*replaced, probe.hash));
    ++counts_.removed;
  }
  if (charge > capacity_ / kMaxShare) {
    if (capacity_ > 0) ++counts_.oversized;
    return false;
  }
  if (replaced) {
    fresh.record = doomed.front().record;
  } else {
    CountAccess();
    fresh.record = Recall(probe.hash, charge);
  }
  // Room is made before the newcomer is there, so that it cannot be its own victim.
  MakeRoom(charge, &doomed);
  PutIn(std::move(fresh), probe.hash);
  ++counts_.admitted;
  return true;
}

bool NearCache::Shard::Erase(const Probe& probe) {
  Slot doomed;
  MutexLock lock(&mutex_);
  const std::optional<uint32_t> position = Lookup(probe);
  if (!position) return false;
  Remember(slots_[*position], probe.hash);
  doomed = TakeOut(*position, probe.hash);
  ++counts_.removed;
  ++counts_.erased;
  return true;
}

void NearCache::Shard::Clear() {
  Slots slots;
  MutexLock lock(&mutex_);
  counts_.removed += slots_.size();
  counts_.erased += slots_.size();
  bytes_ = 0;
  new_bytes_ = 0;
  index_.Clear();
  slots_.swap(slots);
}

EntryRef NearCache::Shard::Peek(const Probe& probe, int64_t now_nanos) const {
  MutexLock lock(&mutex_);
  const std::optional<uint32_t> position = Lookup(probe);
  if (!position || slots_[*position].entry->expires_nanos() <= now_nanos) return nullptr;
  return slots_[*position].entry;
}

// Downwards, because entries move downwards only (TakeOut): what moves below `below` from above it has been visited.
// Returns the new `below`.
uint32_t NearCache::Shard::Walk(uint32_t below, size_t max_entries, Visitor visit, size_t* visited) const {
  MutexLock lock(&mutex_);
  below = static_cast<uint32_t>(std::min<size_t>(below, slots_.size()));
  for (; below > 0 && *visited < max_entries; ++*visited) {
    const Slot& slot = slots_[--below];
    visit(slot.entry->key(), slot.entry);
  }
  return below;
}

void NearCache::Shard::AddTo(NearCacheStats* stats) const {
  MutexLock lock(&mutex_);
  stats->entries += slots_.size();
  stats->bytes += bytes_;
  stats->admitted += counts_.admitted;
  stats->evicted += counts_.evicted;
  stats->expired += counts_.expired;
  stats->removed += counts_.removed;
  stats->erased += counts_.erased;
  stats->oversized += counts_.oversized;
}

std::optional<uint32_t> NearCache::Shard::Lookup(const Probe& probe) const {
  return index_.Find(probe.hash, HasKey{&slots_, probe.key});
}

void NearCache::Shard::CountAccess() {
  if (++accesses_ % kLearnInterval == 0) Learn();
}

// Those in the sample and in one bucket of ghosts stand for all others, for the time since the last look at them.
void NearCache::Shard::Learn() {
  if (slots_.empty()) return;
  model_.Refresh(slots_.size(), kLearnInterval);
  const double weight = static_cast<double>(slots_.size()) * kLearnInterval / kSample;
  for (const uint32_t position : Sample()) model_.CountPresence(slots_[position].record, accesses_, weight);
  if (ghosts_.bucket_count() == 0) return;
  const double ghost_weight = static_cast<double>(ghosts_.bucket_count()) * kLearnInterval;
  for (const AccessRecord& ghost : ghosts_.bucket(Random(ghosts_.bucket_count()))) {
    if (ghost.tag != 0) model_.CountPresence(ghost, accesses_, ghost_weight);
  }
}

// The last slot moves into the gap.
Slot NearCache::Shard::TakeOut(uint32_t position, uint64_t hash) {
  const auto last = static_cast<uint32_t>(slots_.size() - 1);
  index_.Erase(hash, position);
  if (position != last) {
    index_.Move(slots_[last].hash(), last, position);
    std::swap(slots_[position], slots_[last]);
  }
  Slot slot = std::move(slots_.back());
  slots_.pop_back();
  bytes_ -= slot.charge();
  if (slot.is_new()) new_bytes_ -= slot.charge();
  return slot;
}

void NearCache::Shard::PutIn(Slot fresh, uint64_t hash) {
  bytes_ += fresh.charge();
  if (fresh.is_new()) new_bytes_ += fresh.charge();
  if (slots_.size() == slots_.capacity()) slots_.reserve(slots_.size() + slots_.size() / kGrowth + 16);
  index_.Insert(hash, static_cast<uint32_t>(slots_.size()));
  slots_.push_back(std::move(fresh));
}

// What is known of a key that is not in, this being an access to it.
AccessRecord NearCache::Shard::Recall(uint64_t hash, size_t charge) {
  std::optional<AccessRecord> record = ghosts_.Take(hash);
  if (!record) return {.last_access = accesses_};
  if (record->forced) new_share_ = std::min(capacity_, new_share_ + charge);
  record->forced = false;
  model_.CountHit(*record, accesses_);
  record->Renew(accesses_);
  return *record;
}

void NearCache::Shard::Remember(const Slot& slot, uint64_t hash) {
  ghosts_.Reserve(slots_.size() * kGhostsPerEntry);
  ghosts_.Insert(hash, slot.record, accesses_);
}

void NearCache::Shard::MakeRoom(size_t charge, Doomed* doomed) {
  while (bytes_ + charge > capacity_) {
    const uint32_t victim = ChooseVictim();
    const uint64_t hash = slots_[victim].hash();
    Remember(slots_[victim], hash);
    doomed->push_back(TakeOut(victim, hash));
    ++counts_.evicted;
  }
}

Candidate NearCache::Shard::LeastWorthy(bool only_new) {
  Candidate least;
  for (int tries = 0; tries < kMaxSamples && !least.found(); ++tries) {
    for (const uint32_t position : Sample()) {
      const Slot& slot = slots_[position];
      if (only_new && !slot.is_new()) continue;
      const float worth = model_.Worth(slot.record, accesses_);
      if (worth < least.worth) least = {worth, position};
    }
  }
  return least;
}

uint32_t NearCache::Shard::ChooseVictim() {
  const Candidate least = LeastWorthy(/*only_new=*/false);
  const Slot& slot = slots_[least.position];
  if (slot.is_new()) {
    const size_t step = slot.charge() / kNewShareInertia;
    new_share_ = std::max(capacity_ / kMinNewShare, new_share_ - std::min(new_share_, step));
    return least.position;
  }
  if (new_bytes_ <= new_share_) return least.position;
  const Candidate least_new = LeastWorthy(/*only_new=*/true);
  if (!least_new.found()) return least.position;
  slots_[least_new.position].record.forced = true;
  return least_new.position;
}

// xorshift64 (Marsaglia): its quality is of no matter here.
size_t NearCache::Shard::Random(size_t bound) {
  random_state_ ^= random_state_ << 13;
  random_state_ ^= random_state_ >> 7;
  random_state_ ^= random_state_ << 17;
  return (random_state_ >> 32) * bound >> 32;
}

// Positions; of few entries some come more than once. There must be one entry at least.
std::array<uint32_t, kSample> NearCache::Shard::Sample() {
  std::array<uint32_t, kSample> positions;
  size_t position = 0;
  for (size_t i = 0; i < kSample; ++i) {
    position = i % kSampleRun == 0 ? Random(slots_.size()) : position + 1;
    if (position == slots_.size()) position = 0;
    positions[i] = static_cast<uint32_t>(position);
  }
  return positions;
}

NearCache::NearCache(const Options& options) : capacity_bytes_(options.capacity_bytes) {
  const size_t count = ChooseShards(options);
  shards_.reserve(count);
  for (size_t i = 0; i < count; ++i) shards_.push_back(std::make_unique<Shard>(capacity_bytes_ / count));
}

NearCache::~NearCache() = default;

uint64_t NearCache::Hash(std::string_view key) { return absl::HashOf(key); }

size_t NearCache::Charge(size_t key_size, const Entry& entry) {
  return AllocationSize(entry.FootprintWithKey(key_size)) + kTableOverhead;
}

bool NearCache::Fits(size_t key_size, const Entry& entry) const {
  return Charge(key_size, entry) <= capacity_bytes_ / shards_.size() / kMaxShare;
}

EntryRef NearCache::Find(std::string_view key, uint64_t hash, int64_t now_nanos) {
  return ShardFor(hash).Find({key, hash}, now_nanos);
}

bool NearCache::Admit(std::string_view key, uint64_t hash, EntryRef entry, absl::FunctionRef<bool()> still_valid) {
  // What will not be taken is not copied.
  if (entry->key() != key && Fits(key.size(), *entry)) entry = entry->WithKey(key);
  const size_t charge = Charge(key.size(), *entry);
  return ShardFor(hash).Admit({key, hash}, {std::move(entry), {}}, charge, still_valid);
}

bool NearCache::Erase(std::string_view key, uint64_t hash) { return ShardFor(hash).Erase({key, hash}); }

void NearCache::Clear() {
  for (const auto& shard : shards_) shard->Clear();
}

EntryRef NearCache::Peek(std::string_view key, uint64_t hash, int64_t now_nanos) const {
  return ShardFor(hash).Peek({key, hash}, now_nanos);
}

bool NearCache::Walk(Place* place, size_t max_entries, Visitor visit) const {
  size_t visited = 0;
  while (place->shard < shards_.size()) {
    place->below = shards_[place->shard]->Walk(place->below, max_entries, visit, &visited);
    if (place->below > 0) return true;
    *place = {place->shard + 1, UINT32_MAX};
    if (visited >= max_entries) break;
  }
  return place->shard < shards_.size();
}

NearCacheStats NearCache::Stats() const {
  NearCacheStats stats;
  stats.capacity_bytes = capacity_bytes_;
  for (const auto& shard : shards_) shard->AddTo(&stats);
  return stats;
}

// By the hash's upper bits: the index and the ghosts use the lower ones.
NearCache::Shard& NearCache::ShardFor(uint64_t hash) const { return *shards_[(hash >> 32) * shards_.size() >> 32]; }

}  // namespace larder
