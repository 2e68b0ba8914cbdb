#include "core/ghost_table.h"

#include <algorithm>
#include <utility>

namespace larder {

void GhostTable::Reserve(size_t ghosts) {
  if (ghosts <= buckets_.size() * kBucketSize) return;
  // A quarter more, so that a cache that fills up slowly does not come here each time.
  buckets_.assign((ghosts + ghosts / 4) / kBucketSize + 1, Bucket());
}

// In place of an empty one, or else of the one that was asked for least recently.
void GhostTable::Insert(uint64_t hash, const AccessRecord& record, uint32_t now) {
  if (buckets_.empty()) return;
  const auto age = [now](const AccessRecord& ghost) { return ghost.tag == 0 ? UINT32_MAX : now - ghost.last_access; };
  Bucket& bucket = BucketOf(hash);
  AccessRecord& oldest = *std::max_element(
      bucket.begin(), bucket.end(), [&](const AccessRecord& a, const AccessRecord& b) { return age(a) < age(b); });
  oldest = record;
  oldest.tag = Fingerprint(hash);
}

std::optional<AccessRecord> GhostTable::Take(uint64_t hash) {
  if (buckets_.empty()) return std::nullopt;
  for (AccessRecord& ghost : BucketOf(hash)) {
    if (ghost.tag == Fingerprint(hash)) return std::exchange(ghost, AccessRecord());
  }
  return std::nullopt;
}

}  // namespace larder
