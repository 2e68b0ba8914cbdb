// Frees what group invalidations killed.
#ifndef LARDER_SERVER_ENGINE_SWEEPER_H_
#define LARDER_SERVER_ENGINE_SWEEPER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/mutex.h"
#include "server/engine/cache_engine.h"
#include "server/engine/scheduler.h"
#include "server/store/store.h"

namespace larder {

// A group invalidation is exact at once, but what it killed still takes room. The sweep (COHERENCE C4) walks a
// namespace's keys in the store, a few at a time and at a bounded rate, removes what is dead, and then lets the stamps
// of patterns go, which cost every reader a match. One replica sweeps a namespace at a time, by the store's say; if it
// dies, the next begins anew.
//
// It also lets go, here and in the store, of stamps that no entry can be older than.
//
// Thread-safe; works on the scheduler's thread and the store's, and never blocks.
class Sweeper {
 public:
  struct Options {
    int64_t interval_nanos = 5 * kNanosPerSecond;  // how often to look whether there is anything to do
    int max_keys_per_second = 10'000;
    int step_keys = 100;
    uint64_t id = 0;  // unlike that of any other replica, not 0
  };
  struct Progress {
    std::string name_space;
    bool running = false;
    int64_t scanned = 0;  // in this sweep or the last one
    int64_t removed = 0;
    int64_t elapsed_nanos = 0;
    bool pending = false;  // group invalidations are known that no sweep of this replica's has ended after
  };

  // The pointees must outlive it, and the scheduler be stopped before it goes.
  Sweeper(const Options& options, CacheEngine* engine, Store* store, const Clock* clock, Scheduler* scheduler,
          Registry* registry);

  // Once.
  void Start();

  std::vector<Progress> progress() const;  // by namespace

 private:
  // One namespace's.
  struct Area {
    Keyspace* space = nullptr;
    mutable Mutex mutex;
    bool running ABSL_GUARDED_BY(mutex) = false;
    int64_t began_nanos ABSL_GUARDED_BY(mutex) = 0;
    int64_t elapsed_nanos ABSL_GUARDED_BY(mutex) = 0;
    int64_t scanned ABSL_GUARDED_BY(mutex) = 0;
    int64_t removed ABSL_GUARDED_BY(mutex) = 0;
    uint64_t swept_epoch ABSL_GUARDED_BY(mutex) = 0;  // of `swept_generation`
    uint64_t swept_generation ABSL_GUARDED_BY(mutex) = 0;

    // Only the one step, or look, that is under way uses these.
    ClockPosition fence;
    std::string cursor;
    bool has_seen_all = true;  // no entry was met that could not be judged
    int64_t due_nanos = 0;     // of the next step
    int64_t renewed_nanos = 0;
    int64_t forgot_nanos = 0;
    uint64_t seen_floor = 0;  // patterns up to here are forgotten by the store since `floor_seen_nanos`
    int64_t floor_seen_nanos = 0;
    uint64_t dropped_floor = 0;  // and here
  };

  void Look();
  bool IsPending(const Area& area) const;
  void Begin(Area& area);
  void Step(Area& area);
  void Next(Area& area);
  void Renew(Area& area);
  void End(Area& area);
  void Stop(Area& area, bool done);
  void DropStamps(Area& area, int64_t now);
  // Judges what is in the near tier, some at a time, while the patterns up to `floor` are still known: what was last
  // judged before one of them was. Then they are forgotten.
  void WalkNear(Area& area, uint64_t floor, NearCache::Place place);

  SweepRequest RequestFor(const Area& area, SweepRequest::Step step) const;

  const Options options_;
  Store* const store_;
  const Clock* const clock_;
  Scheduler* const scheduler_;
  std::vector<std::unique_ptr<Area>> areas_;  // fixed after construction
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_SWEEPER_H_
