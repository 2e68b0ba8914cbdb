#include "server/engine/hot_keys.h"

#include <algorithm>
#include <utility>

namespace larder {
namespace {

// For the few who want few: a tail of rare keys then pushes nothing out that matters.
constexpr size_t kSpareKeys = 1'024;
// Copied under one holding of a lock.
constexpr size_t kCopiedAtOnce = 64;

bool IsHotter(const HotKey& a, const HotKey& b) { return a.reads != b.reads ? a.reads > b.reads : a.key < b.key; }

}  // namespace

size_t HottestWanted(const NamespacePolicy& policy) {
  int most = 0;
  for (const WarmJobPolicy& job : policy.warm_jobs) most = std::max(most, job.hottest.value_or(0));
  return static_cast<size_t>(most);
}

HotKeys::HotKeys(size_t wanted) : keys_per_shard_((2 * wanted + kSpareKeys) / kShards) {}

void HotKeys::Add(std::string_view key, uint64_t hash) {
  Shard& shard = shards_[(hash >> 32) % kShards];
  MutexLock lock(&shard.mutex);
  if (const auto found = shard.index.find(hash); found != shard.index.end()) {
    Counted& counted = shard.counted[found->second];
    if (counted.key != key) return;
    counted.reads += kWeight;
    return Raise(shard, found->second);
  }
  if (shard.counted.size() < keys_per_shard_) {
    // Nobody has less, but for those that have aged: it goes to the top, and down as far as it has to.
    const size_t at = shard.counted.size();
    shard.counted.push_back({std::string(key), hash, 0, at});
    shard.heap.push_back(at);
    shard.index.emplace(hash, at);
    for (size_t place = at; place > 0; place = (place - 1) / 2) Put(shard, place, shard.heap[(place - 1) / 2]);
    Put(shard, 0, at);
    shard.counted[at].reads = kWeight;
    return Raise(shard, at);
  }
  const size_t least = shard.heap.front();
  Counted& counted = shard.counted[least];
  shard.index.erase(counted.hash);
  shard.index.emplace(hash, least);
  counted.key.assign(key);
  counted.hash = hash;
  counted.reads += kWeight;  // it inherits what the other had: its count is never too low
  Raise(shard, least);
}

void HotKeys::Raise(Shard& shard, size_t at) {
  const uint64_t reads = shard.counted[at].reads;
  size_t place = shard.counted[at].place;
  for (size_t child = 2 * place + 1; child < shard.heap.size(); child = 2 * place + 1) {
    const auto reads_of = [&shard](size_t i)
                              ABSL_NO_THREAD_SAFETY_ANALYSIS { return shard.counted[shard.heap[i]].reads; };
    if (child + 1 < shard.heap.size() && reads_of(child + 1) < reads_of(child)) ++child;
    if (reads_of(child) >= reads) break;
    Put(shard, place, shard.heap[child]);
    place = child;
  }
  Put(shard, place, at);
}

void HotKeys::Put(Shard& shard, size_t place, size_t at) {
  shard.heap[place] = at;
  shard.counted[at].place = place;
}

std::vector<HotKey> HotKeys::Top(size_t limit) const {
  std::vector<HotKey> all;
  absl::flat_hash_map<std::string, size_t> seen;  // a key may take another's place while the shard is copied
  for (const Shard& shard : shards_) {
    for (size_t next = 0, end = 1; next < end;) {
      MutexLock lock(&shard.mutex);
      end = shard.counted.size();
      for (const size_t stop = std::min(end, next + kCopiedAtOnce); next < stop; ++next) {
        const Counted& counted = shard.counted[next];
        if (counted.reads == 0) continue;
        const auto [at, is_new] = seen.try_emplace(counted.key, all.size());
        if (is_new) {
          all.push_back({counted.key, counted.reads});
        } else {
          all[at->second].reads = std::max(all[at->second].reads, counted.reads);
        }
      }
    }
  }
  const size_t kept = std::min(limit, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<ptrdiff_t>(kept), all.end(), IsHotter);
  all.resize(kept);
  return all;
}

void HotKeys::Age() {
  for (Shard& shard : shards_) {
    MutexLock lock(&shard.mutex);
    for (Counted& counted : shard.counted) counted.reads /= 2;  // which leaves the heap in order
  }
}

}  // namespace larder
