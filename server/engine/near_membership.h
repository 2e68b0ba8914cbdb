// The right to serve near entries by their age.
#ifndef LARDER_SERVER_ENGINE_NEAR_MEMBERSHIP_H_
#define LARDER_SERVER_ENGINE_NEAR_MEMBERSHIP_H_

#include <cstdint>

#include "core/clock.h"
#include "core/mutex.h"
#include "server/engine/cache_engine.h"
#include "server/engine/scheduler.h"
#include "server/store/store.h"

namespace larder {

// COHERENCE S1: a replica that is told of no changes cannot acknowledge STRONG writes, so that those wait until what it
// may still have is too old to be served. For that it registers again and again, with the greatest age that it serves,
// and serves nothing by its age while it may not be registered. Thread-safe; never blocks. The scheduler and the store
// must have been stopped before it goes.
class NearMembership {
 public:
  // The pointers must outlive it. `least_hold_nanos`: for how long at least it relies on a registration; the longest
  // age may make that longer.
  NearMembership(CacheEngine* engine, Store* store, const Clock* clock, Scheduler* scheduler, int64_t least_hold_nanos);

  // Before the first call for a store that others write to. From now on nothing is served by its age until the store
  // has said that this process is registered.
  void Start();
  // From the return on nothing is served by its age, and others may stop waiting for that: changes are being told.
  void Pause();
  // Changes are not told any more. What is in the near tier is forgotten before anything is served by its age.
  void Resume();

 private:
  void Register();
  // If nothing was paused or resumed since.
  void RegisterIn(uint64_t turn);
  void OnRegistered(uint64_t turn, int64_t sent_nanos, const MemberTerms& terms,
                    const absl::StatusOr<Registration>& registration);
  void Allow(int64_t until_nanos, int64_t bound_nanos) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  MemberTerms Terms() const;

  CacheEngine* const engine_;
  Store* const store_;
  const Clock* const clock_;
  Scheduler* const scheduler_;
  const int64_t least_hold_nanos_;

  Mutex mutex_;
  bool active_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t turn_ ABSL_GUARDED_BY(mutex_) = 0;       // of Resume() and Pause(): what was begun in an earlier one is void
  bool is_asking_ ABSL_GUARDED_BY(mutex_) = false;  // a registration is under way
  int64_t until_nanos_ ABSL_GUARDED_BY(mutex_) = 0;  // what was allowed last
  // The age that others know to wait for; 0: near tiers may hold what they do not.
  int64_t known_bound_nanos_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_NEAR_MEMBERSHIP_H_
