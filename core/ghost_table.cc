#include "core/ghost_table.h"

#include <algorithm>
#include <utility>

namespace larder {

void GhostTable::Insert(uint64_t hash, size_t window) {
  if (window > buckets_.size() * kSlotsPerBucket) Grow(window);
  if (buckets_.empty()) return;
  if (++clock_ == 0) clock_ = 1;
  Place({Fingerprint(hash), clock_});
}

bool GhostTable::Take(uint64_t hash, size_t window) {
  if (buckets_.empty()) return false;
  const uint32_t fingerprint = Fingerprint(hash);
  for (Slot& slot : BucketFor(fingerprint)) {
    if (slot.inserted_at == 0 || slot.fingerprint != fingerprint) continue;
    const bool recent = Age(slot) < window;
    slot = Slot();
    return recent;
  }
  return false;
}

// In place of the same fingerprint, or else of the oldest (an empty slot is older than any).
void GhostTable::Place(const Slot& slot) {
  Bucket& bucket = BucketFor(slot.fingerprint);
  Slot* place = &bucket[0];
  for (Slot& candidate : bucket) {
    if (candidate.inserted_at != 0 && candidate.fingerprint == slot.fingerprint) {
      place = &candidate;
      break;
    }
    if (Age(candidate) > Age(*place)) place = &candidate;
  }
  *place = slot;
}

void GhostTable::Grow(size_t window) {
  size_t count = std::max<size_t>(1, buckets_.size());
  while (count * kSlotsPerBucket < window) count *= 2;
  std::vector<Bucket> old = std::exchange(buckets_, std::vector<Bucket>(count));
  for (const Bucket& bucket : old) {
    for (const Slot& slot : bucket) {
      if (slot.inserted_at != 0) Place(slot);
    }
  }
}

}  // namespace larder
