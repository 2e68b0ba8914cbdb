#include "core/near_cache.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "core/ghost_table.h"
#include "core/mutex.h"

// The policy is S3-FIFO (Yang, Zhang, Qiu, Yue, Vinayak: "FIFO queues are all you need for cache eviction", SOSP '23):
// newcomers queue in a small FIFO of a tenth of the bytes. Who was hit there moves on to the main FIFO when its turn
// comes, the others are evicted, so that a scan passes through the tenth and leaves the rest alone. Who comes back
// soon after being evicted from there goes to the main FIFO at once. The main FIFO gives those that were hit another
// round for each hit, up to three.
//
// We depart from the paper in one number: one hit is enough to move on, not two. On real traces with small capacities
// two loses more than a point to LRU (an object-relational mapper's reads, at 1 % of the objects), one nowhere half a
// point, and on the average over traces and sizes one is better. A hit costs an increment, no list is touched.
namespace larder {
namespace {

enum class Queue : uint8_t { kSmall, kMain };

// The key lies behind the node in the same allocation.
struct Node {
  Node* prev = nullptr;
  Node* next = nullptr;
  EntryRef entry;
  uint64_t hash = 0;
  uint32_t key_size = 0;
  Queue queue = Queue::kSmall;
  uint8_t hits = 0;  // since the node last began a round, saturating

  std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), key_size}; }
  size_t charge() const { return NearCache::Charge(key_size, *entry); }

  static Node* Create(std::string_view key, uint64_t hash, EntryRef entry) {
    auto* node = new (::operator new(sizeof(Node) + key.size())) Node();
    node->entry = std::move(entry);
    node->hash = hash;
    node->key_size = static_cast<uint32_t>(key.size());
    std::memcpy(reinterpret_cast<char*>(node + 1), key.data(), key.size());
    return node;
  }
  static void Destroy(Node* node) {
    node->~Node();
    ::operator delete(node);
  }
};

constexpr uint8_t kMaxHits = 3;
constexpr size_t kMinShardBytes = 8 << 20;
constexpr size_t kMaxChosenShards = 64;
constexpr size_t kMaxShards = 256;
// A pointer and a control byte in a table that is between 7/16 and 7/8 full, and a ghost in a table at least half full.
constexpr size_t kTableOverhead = 21 + 16;

// What malloc takes for a request, by the rule of glibc.
constexpr size_t AllocationSize(size_t request) { return std::max<size_t>(32, (request + 8 + 15) / 16 * 16); }

// What left the cache, freed when this goes: declared before the lock is taken, it outlives it.
class Doomed {
 public:
  Doomed() = default;
  Doomed(const Doomed&) = delete;
  Doomed& operator=(const Doomed&) = delete;
  ~Doomed() {
    while (first_ != nullptr) Node::Destroy(std::exchange(first_, first_->next));
  }

  void Add(Node* node) { AddAll(node, node); }

  // A list that is linked by `next`.
  void AddAll(Node* first, Node* last) { last->next = std::exchange(first_, first); }

 private:
  Node* first_ = nullptr;
};

// First in, first out, of nodes that it does not own. Knows the bytes they are charged.
class NodeQueue {
 public:
  bool empty() const { return oldest_ == nullptr; }
  size_t bytes() const { return bytes_; }
  Node* oldest() const { return oldest_; }

  void Push(Node* node) {
    node->prev = newest_;
    node->next = nullptr;
    (newest_ != nullptr ? newest_->next : oldest_) = node;
    newest_ = node;
    bytes_ += node->charge();
  }

  void Remove(Node* node) {
    (node->prev != nullptr ? node->prev->next : oldest_) = node->next;
    (node->next != nullptr ? node->next->prev : newest_) = node->prev;
    bytes_ -= node->charge();
  }

  void MoveAllTo(Doomed* doomed) {
    if (!empty()) doomed->AddAll(oldest_, newest_);
    *this = NodeQueue();
  }

 private:
  Node* oldest_ = nullptr;
  Node* newest_ = nullptr;
  size_t bytes_ = 0;
};

struct Probe {
  std::string_view key;
  uint64_t hash;
};

struct NodeHash {
  using is_transparent = void;
  size_t operator()(const Node* node) const { return node->hash; }
  size_t operator()(const Probe& probe) const { return probe.hash; }
};

struct NodeEq {
  using is_transparent = void;
  bool operator()(const Node* a, const Node* b) const { return a == b; }
  bool operator()(const Node* node, const Probe& probe) const {
    return node->hash == probe.hash && node->key() == probe.key;
  }
  bool operator()(const Probe& probe, const Node* node) const { return (*this)(node, probe); }
};

using Index = absl::flat_hash_set<Node*, NodeHash, NodeEq>;

size_t ChooseShards(const NearCache::Options& options) {
  if (options.shards > 0) return std::bit_floor(std::min<size_t>(options.shards, kMaxShards));
  return std::bit_floor(std::clamp<size_t>(options.capacity_bytes / kMinShardBytes, 1, kMaxChosenShards));
}

}  // namespace

class NearCache::Shard {
 public:
  explicit Shard(size_t capacity) : capacity_(capacity) {}
  ~Shard() { Clear(); }

  EntryRef Find(const Probe& probe, int64_t now_nanos);
  bool Admit(Node* fresh, absl::FunctionRef<bool()> still_valid);
  bool Erase(const Probe& probe);
  void Clear();
  void AddTo(NearCacheStats* stats) const;

 private:
  size_t bytes() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return small_.bytes() + main_.bytes(); }
  NodeQueue& QueueOf(const Node& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return node.queue == Queue::kSmall ? small_ : main_;
  }
  Node* Lookup(const Probe& probe) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drop(Node* node, Doomed* doomed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Remove(Node* node, Doomed* doomed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Insert(Node* fresh, Doomed* doomed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Replace(Node* node, Node* fresh, Doomed* doomed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MakeRoom(size_t charge, Doomed* doomed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TurnOfSmall(Doomed* doomed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TurnOfMain(Doomed* doomed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t capacity_;

  mutable Mutex mutex_;
  Index index_ ABSL_GUARDED_BY(mutex_);  // owns its nodes
  NodeQueue small_ ABSL_GUARDED_BY(mutex_);
  NodeQueue main_ ABSL_GUARDED_BY(mutex_);
  GhostTable ghosts_ ABSL_GUARDED_BY(mutex_);
  uint64_t admitted_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t evicted_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t expired_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t removed_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t oversized_ ABSL_GUARDED_BY(mutex_) = 0;
};

EntryRef NearCache::Shard::Find(const Probe& probe, int64_t now_nanos) {
  Doomed doomed;
  MutexLock lock(&mutex_);
  Node* node = Lookup(probe);
  if (node == nullptr) return nullptr;
  if (node->entry->meta().expires_nanos <= now_nanos) {
    Drop(node, &doomed);
    ++expired_;
    return nullptr;
  }
  if (node->hits < kMaxHits) ++node->hits;
  return node->entry;
}

// Takes `fresh`, which was made outside the lock.
bool NearCache::Shard::Admit(Node* fresh, absl::FunctionRef<bool()> still_valid) {
  Doomed doomed;
  MutexLock lock(&mutex_);
  if (!still_valid()) {
    doomed.Add(fresh);
    return false;
  }
  Node* present = Lookup({fresh->key(), fresh->hash});
  if (fresh->charge() > capacity_ / 4) {
    ++oversized_;
    if (present != nullptr) Remove(present, &doomed);
    doomed.Add(fresh);
    return false;
  }
  ++admitted_;
  if (present != nullptr) {
    Replace(present, fresh, &doomed);
  } else {
    Insert(fresh, &doomed);
  }
  return true;
}

bool NearCache::Shard::Erase(const Probe& probe) {
  Doomed doomed;
  MutexLock lock(&mutex_);
  Node* node = Lookup(probe);
  if (node == nullptr) return false;
  Remove(node, &doomed);
  return true;
}

void NearCache::Shard::Clear() {
  Doomed doomed;
  Index emptied;
  MutexLock lock(&mutex_);
  removed_ += index_.size();
  small_.MoveAllTo(&doomed);
  main_.MoveAllTo(&doomed);
  index_.swap(emptied);
}

void NearCache::Shard::AddTo(NearCacheStats* stats) const {
  MutexLock lock(&mutex_);
  stats->entries += index_.size();
  stats->bytes += bytes();
  stats->admitted += admitted_;
  stats->evicted += evicted_;
  stats->expired += expired_;
  stats->removed += removed_;
  stats->oversized += oversized_;
}

Node* NearCache::Shard::Lookup(const Probe& probe) const {
  const auto it = index_.find(probe);
  return it == index_.end() ? nullptr : *it;
}

void NearCache::Shard::Drop(Node* node, Doomed* doomed) {
  QueueOf(*node).Remove(node);
  index_.erase(node);
  doomed->Add(node);
}

void NearCache::Shard::Remove(Node* node, Doomed* doomed) {
  Drop(node, doomed);
  ++removed_;
}

// Room is made before the newcomer is there, so that it cannot be its own victim.
void NearCache::Shard::Insert(Node* fresh, Doomed* doomed) {
  MakeRoom(fresh->charge(), doomed);
  fresh->queue = ghosts_.Take(fresh->hash, index_.size()) ? Queue::kMain : Queue::kSmall;
  QueueOf(*fresh).Push(fresh);
  index_.insert(fresh);
}

// The node stays, with the entry of `fresh` and the hits it had, and becomes the newest of its queue. It is in no queue
// while room is made.
void NearCache::Shard::Replace(Node* node, Node* fresh, Doomed* doomed) {
  QueueOf(*node).Remove(node);
  MakeRoom(fresh->charge(), doomed);
  std::swap(node->entry, fresh->entry);
  QueueOf(*node).Push(node);
  doomed->Add(fresh);
  ++removed_;
}

void NearCache::Shard::MakeRoom(size_t charge, Doomed* doomed) {
  const size_t small_share = capacity_ / 10;
  while (bytes() + charge > capacity_) {
    if (main_.empty() || small_.bytes() >= small_share) {
      TurnOfSmall(doomed);
    } else {
      TurnOfMain(doomed);
    }
  }
}

void NearCache::Shard::TurnOfSmall(Doomed* doomed) {
  Node* node = small_.oldest();
  if (node->hits > 0) {
    small_.Remove(node);
    node->queue = Queue::kMain;
    node->hits = 0;
    main_.Push(node);
    return;
  }
  ghosts_.Insert(node->hash, index_.size());
  Drop(node, doomed);
  ++evicted_;
}

void NearCache::Shard::TurnOfMain(Doomed* doomed) {
  Node* node = main_.oldest();
  if (node->hits > 0) {
    main_.Remove(node);
    --node->hits;
    main_.Push(node);
    return;
  }
  Drop(node, doomed);
  ++evicted_;
}

NearCache::NearCache(const Options& options) : capacity_bytes_(options.capacity_bytes) {
  const size_t count = ChooseShards(options);
  shards_.reserve(count);
  for (size_t i = 0; i < count; ++i) shards_.push_back(std::make_unique<Shard>(capacity_bytes_ / count));
}

NearCache::~NearCache() = default;

uint64_t NearCache::Hash(std::string_view key) { return absl::HashOf(key); }

size_t NearCache::Charge(size_t key_size, const Entry& entry) {
  return AllocationSize(sizeof(Node) + key_size) + AllocationSize(entry.footprint()) + kTableOverhead;
}

EntryRef NearCache::Find(std::string_view key, uint64_t hash, int64_t now_nanos) {
  return ShardFor(hash).Find({key, hash}, now_nanos);
}

bool NearCache::Admit(std::string_view key, uint64_t hash, EntryRef entry, absl::FunctionRef<bool()> still_valid) {
  return ShardFor(hash).Admit(Node::Create(key, hash, std::move(entry)), still_valid);
}

bool NearCache::Erase(std::string_view key, uint64_t hash) { return ShardFor(hash).Erase({key, hash}); }

void NearCache::Clear() {
  for (const auto& shard : shards_) shard->Clear();
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
