// What this replica knows of a namespace's control record, and what that says of an entry.
#ifndef LARDER_SERVER_ENGINE_LOGICAL_CLOCK_H_
#define LARDER_SERVER_ENGINE_LOGICAL_CLOCK_H_

#include <atomic>
#include <cstdint>

#include "core/entry.h"
#include "core/mutex.h"
#include "server/store/store.h"

namespace larder {

// An entry is valid if its generation is the present one and no stamp that concerns it is later than its epoch
// (COHERENCE E3). No wall clock takes part. Thread-safe; IsValid takes no lock while nothing has changed since the
// entry was last judged.
class LogicalClock {
 public:
  // The position from which the next update must start.
  ClockPosition known() const;

  // Takes in what an answer of the store told. Must be called before anything in that answer is judged, and before a
  // group invalidation that this replica made is acknowledged.
  void Apply(const ControlUpdate& update);

  // By everything applied so far: called at delivery, not when a read began (COHERENCE N4).
  bool IsValid(const Entry& entry) const;

 private:
  // Rises with every change that can make an entry invalid. The shortcut of IsValid compares this, not the epoch: an
  // epoch may be known before every stamp up to it is (COHERENCE C2).
  std::atomic<uint64_t> changes_{1};

  mutable Mutex mutex_;
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t all_stamp_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_LOGICAL_CLOCK_H_
