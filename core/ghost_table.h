// Memory of what was evicted lately.
#ifndef LARDER_CORE_GHOST_TABLE_H_
#define LARDER_CORE_GHOST_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/reuse_model.h"

namespace larder {

// The access records of keys that are not in the cache, by hash. Approximate, which a cache's policy forgives: a record
// may be taken for that of another key (about one look-up in 8,000), and each bucket of eight forgets whichever of its
// keys was asked for least recently when another comes.
//
// Not thread-safe. Takes eight bytes for each record.
class GhostTable {
 public:
  // Places for records, a cache line of them. The tag is the key's fingerprint, or 0 where there is none.
  static constexpr size_t kBucketSize = 8;
  using Bucket = std::array<AccessRecord, kBucketSize>;

  // Makes room for `ghosts` if it has less; forgets everything then.
  void Reserve(size_t ghosts);

  size_t bucket_count() const { return buckets_.size(); }
  const Bucket& bucket(size_t i) const { return buckets_[i]; }

  void Insert(uint64_t hash, const AccessRecord& record, uint32_t now);

  // The record, which is forgotten.
  std::optional<AccessRecord> Take(uint64_t hash);

 private:
  static uint16_t Fingerprint(uint64_t hash) { return static_cast<uint16_t>(hash | 1); }
  Bucket& BucketOf(uint64_t hash) { return buckets_[(hash >> 16 & 0xffffffff) * buckets_.size() >> 32]; }

  std::vector<Bucket> buckets_;
};

}  // namespace larder

#endif  // LARDER_CORE_GHOST_TABLE_H_
