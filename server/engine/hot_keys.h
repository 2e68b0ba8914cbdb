// Which keys of a namespace are read most.
#ifndef LARDER_SERVER_ENGINE_HOT_KEYS_H_
#define LARDER_SERVER_ENGINE_HOT_KEYS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/mutex.h"
#include "server/policy/policy.h"

namespace larder {

struct HotKey {
  friend bool operator==(const HotKey&, const HotKey&) = default;

  std::string key;
  uint64_t reads = 0;  // about how many
};

// How many keys the namespace's warm-ups ask for at most; 0: none does.
size_t HottestWanted(const NamespacePolicy& policy);

// Counts about one read in sixteen with the Space-Saving algorithm (Metwally, Agrawal, El Abbadi: Efficient computation
// of frequent and top-k elements in data streams, 2005): a bounded number of counters, of which a key that has none
// takes over the least. It keeps each key that has more than one read in as many as there are counters. Thread-safe.
class HotKeys {
 public:
  // Remembers twice `wanted` keys and some more.
  explicit HotKeys(size_t wanted);
  HotKeys(const HotKeys&) = delete;
  HotKeys& operator=(const HotKeys&) = delete;

  // A read of the key, whose NearCache::Hash `hash` is, at `now_nanos` of any clock. Most cost three instructions; one
  // in sixteen takes a lock that few others want, for a time that grows with the logarithm of the number of keys.
  void Count(std::string_view key, uint64_t hash, int64_t now_nanos) {
    // A throw of dice without a state: the low digits of the time are as good as random to who reads keys.
    if (((hash ^ static_cast<uint64_t>(now_nanos)) * kMixer) >> (64 - kSampleBits) == 0) Add(key, hash);
  }

  // The keys read most, the first the most, at most `limit`. Takes each lock for a short time only.
  std::vector<HotKey> Top(size_t limit) const;

  // Makes what was read so far count half as much.
  void Age();

 private:
  static constexpr int kSampleBits = 4;
  static constexpr uint64_t kWeight = uint64_t{1} << kSampleBits;
  static constexpr uint64_t kMixer = 0x9e3779b97f4a7c15;
  static constexpr size_t kShards = 16;

  struct Counted {
    std::string key;
    uint64_t hash = 0;
    uint64_t reads = 0;
    size_t place = 0;  // in `heap`
  };
  struct Shard {
    mutable Mutex mutex;
    std::vector<Counted> counted ABSL_GUARDED_BY(mutex);  // a key stays where it is until another takes its place
    std::vector<size_t> heap ABSL_GUARDED_BY(mutex);      // of indexes into `counted`; the least first
    // By hash. Of two keys with the same one the second is not counted.
    absl::flat_hash_map<uint64_t, size_t> index ABSL_GUARDED_BY(mutex);
  };

  void Add(std::string_view key, uint64_t hash);
  static void Raise(Shard& shard, size_t at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mutex);
  static void Put(Shard& shard, size_t place, size_t at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mutex);

  const size_t keys_per_shard_;
  std::array<Shard, kShards> shards_;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_HOT_KEYS_H_
