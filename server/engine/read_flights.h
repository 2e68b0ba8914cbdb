// Single flight of the reads of one namespace's store.
#ifndef LARDER_SERVER_ENGINE_READ_FLIGHTS_H_
#define LARDER_SERVER_ENGINE_READ_FLIGHTS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "core/mutex.h"
#include "server/engine/pending_get.h"

namespace larder {

// One read of one key, and the Gets that it will answer.
struct ReadFlight {
  std::string key;
  uint64_t hash = 0;
  uint64_t mark = 0;       // of the key's writes, before the read was sent
  int64_t sent_nanos = 0;  // no later than the sending
  PendingGets gets;        // guarded by the flight's shard until it has landed
};

// Thread-safe. A Get may join a flight whose key has not been written here since it began and that began late enough
// (COHERENCE N4); else it begins one of its own, which takes the other's place for those who come after.
class ReadFlights {
 public:
  // True if `get` was taken by a flight under way that was sent at `sent_from_nanos` or later and still bears `mark`.
  bool Join(std::string_view key, uint64_t hash, uint64_t mark, int64_t sent_from_nanos, PendingGet& get);

  // From now on others may join it.
  void Begin(const std::shared_ptr<ReadFlight>& flight);

  // Nobody joins it any more; its Gets are the caller's.
  PendingGets Land(ReadFlight& flight);

  // Takes the Gets out whose deadline has come. `more`: there are flights, so that it is to be called again.
  PendingGets TakeOverdue(int64_t now_nanos, bool* more);
  // True if nobody has claimed it since TakeOverdue was called last: the next call of it is the caller's.
  bool ClaimLook() { return !is_looked_after_.exchange(true, std::memory_order_acq_rel); }

 private:
  static constexpr size_t kShards = 16;
  struct Shard {
    Mutex mutex;
    absl::flat_hash_map<std::string, std::shared_ptr<ReadFlight>> flights ABSL_GUARDED_BY(mutex);  // that can be joined
    absl::flat_hash_set<std::shared_ptr<ReadFlight>> all ABSL_GUARDED_BY(mutex);
  };
  Shard& ShardFor(uint64_t hash) { return shards_[(hash >> 40) % kShards]; }

  std::array<Shard, kShards> shards_;
  std::atomic<bool> is_looked_after_{false};
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_READ_FLIGHTS_H_
