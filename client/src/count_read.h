#ifndef LARDER_CLIENT_SRC_COUNT_READ_H_
#define LARDER_CLIENT_SRC_COUNT_READ_H_

#include "absl/status/statusor.h"
#include "larder/calls.h"
#include "larder/observer.h"

namespace larder::internal {

// Adds one read to a report.
inline void CountRead(const absl::StatusOr<MaybeHit>& read, ReadReport* found) {
  if (!read.ok()) {
    ++found->failures;
  } else if (!read->has_value()) {
    ++found->misses;
  } else if ((*read)->tier == Tier::kClient) {
    ++found->near_hits;
  } else {
    ++found->hits;
  }
}

inline void CountRead(const absl::StatusOr<LeasedRead>& read, ReadReport* found) {
  CountRead(read.ok() ? absl::StatusOr<MaybeHit>(read->hit) : absl::StatusOr<MaybeHit>(read.status()), found);
}

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_COUNT_READ_H_
