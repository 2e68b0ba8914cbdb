// Memory of what was evicted lately.
#ifndef LARDER_CORE_GHOST_TABLE_H_
#define LARDER_CORE_GHOST_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace larder {

// A set of the hashes inserted last, in first-in-first-out order: Take() finds a hash while at most `window` others
// were inserted after it. Approximate in both directions, which a cache's policy forgives: two hashes may share a
// fingerprint (about one look-up in 2^30), and a crowded bucket forgets its oldest early.
//
// Not thread-safe. Takes 8 to 16 bytes for each hash of the largest window seen.
class GhostTable {
 public:
  // `window` is how many insertions the table should look back from now on.
  void Insert(uint64_t hash, size_t window);

  // True, and forgets the hash, if it was inserted at most `window` insertions ago.
  bool Take(uint64_t hash, size_t window);

 private:
  struct Slot {
    uint32_t fingerprint = 0;
    uint32_t inserted_at = 0;  // 0: empty
  };
  static constexpr size_t kSlotsPerBucket = 8;  // one cache line
  using Bucket = std::array<Slot, kSlotsPerBucket>;

  static uint32_t Fingerprint(uint64_t hash) { return static_cast<uint32_t>(hash >> 16); }
  Bucket& BucketFor(uint32_t fingerprint) { return buckets_[fingerprint & (buckets_.size() - 1)]; }
  uint32_t Age(const Slot& slot) const { return slot.inserted_at == 0 ? UINT32_MAX : clock_ - slot.inserted_at; }
  void Place(const Slot& slot);
  void Grow(size_t window);

  std::vector<Bucket> buckets_;  // a power of two of them
  uint32_t clock_ = 0;           // counts insertions; wraps around past 0
};

}  // namespace larder

#endif  // LARDER_CORE_GHOST_TABLE_H_
