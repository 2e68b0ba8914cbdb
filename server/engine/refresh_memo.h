// Which entries need not be asked a refresh lease for.
#ifndef LARDER_SERVER_ENGINE_REFRESH_MEMO_H_
#define LARDER_SERVER_ENGINE_REFRESH_MEMO_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "core/mutex.h"

namespace larder {

// Remembers, by an entry's version, until when somebody is known to be loading it anew, so that of a thousand reads of
// a stale entry one asks the store. Bounded: what does not fit is forgotten, and costs a question. Thread-safe.
class RefreshMemo {
 public:
  // True if nothing was remembered of the version; then it is, until `until_nanos`.
  bool Claim(uint64_t version, int64_t now_nanos, int64_t until_nanos) {
    Shard& shard = shards_[version % kShards];
    MutexLock lock(&shard.mutex);
    const auto [found, is_new] = shard.until.try_emplace(version, until_nanos);
    if (!is_new) {
      if (found->second > now_nanos) return false;
      found->second = until_nanos;
    }
    if (shard.until.size() > kMaxPerShard) Shrink(shard, version, now_nanos);
    return true;
  }

  // Replaces what is remembered of it.
  void Set(uint64_t version, int64_t until_nanos) {
    Shard& shard = shards_[version % kShards];
    MutexLock lock(&shard.mutex);
    if (const auto found = shard.until.find(version); found != shard.until.end()) found->second = until_nanos;
  }

 private:
  static constexpr size_t kShards = 16;
  static constexpr size_t kMaxPerShard = 1024;
  struct Shard {
    Mutex mutex;
    absl::flat_hash_map<uint64_t, int64_t> until ABSL_GUARDED_BY(mutex);
  };

  static void Shrink(Shard& shard, uint64_t keep, int64_t now_nanos) ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mutex) {
    absl::erase_if(shard.until, [now_nanos](const auto& item) { return item.second <= now_nanos; });
    if (shard.until.size() <= kMaxPerShard) return;
    const int64_t until = shard.until[keep];
    shard.until.clear();
    shard.until[keep] = until;
  }

  std::array<Shard, kShards> shards_;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_REFRESH_MEMO_H_
