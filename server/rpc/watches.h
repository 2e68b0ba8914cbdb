// The Watch streams that are open.
#ifndef LARDER_SERVER_RPC_WATCHES_H_
#define LARDER_SERVER_RPC_WATCHES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "server/engine/cache_engine.h"
#include "server/engine/scheduler.h"
#include "server/metrics/metrics.h"

namespace larder {

class WatchCall;

// Who watches what, how many they may be, and who wakes them: the scheduler's thread, once for all that came meanwhile,
// so that who writes never sends. Thread-safe.
class Watches {
 public:
  struct Options {
    uint64_t incarnation = 0;  // 0: nothing can be watched
    size_t max_watchers = 0;
  };

  // The pointees must outlive the server. Sets the listeners of the namespaces' change logs.
  Watches(Options options, CacheEngine* engine, const Clock* clock, Scheduler* scheduler, Registry* registry);

  uint64_t incarnation() const { return options_.incarnation; }
  Scheduler* scheduler() { return scheduler_; }

  // The namespace, if it can be watched. INVALID_ARGUMENT naming it; FAILED_PRECONDITION naming `near.coherence`.
  absl::StatusOr<Keyspace*> Find(std::string_view name_space) const;

  // Takes a stream in. RESOURCE_EXHAUSTED naming the limit; UNAVAILABLE once all have been ended.
  absl::Status Add(Keyspace* space, std::weak_ptr<WatchCall> call);
  // One that was taken in has ended.
  void Remove();

  // Ends all streams, and lets no further one in.
  void EndAll();

  // COHERENCE W2. The position up to which who wants to be current must have come. The errors of Find; UNAVAILABLE
  // while that is not known (COHERENCE W3).
  absl::StatusOr<uint64_t> Renew(std::string_view name_space) const;

  Counter& gaps() { return gaps_; }
  Counter& cut_off() { return cut_off_; }

 private:
  using Calls = std::vector<std::shared_ptr<WatchCall>>;

  void WakeLater(Keyspace* space);
  Calls Of(Keyspace* space);

  const Options options_;
  CacheEngine* const engine_;
  const Clock* const clock_;
  Scheduler* const scheduler_;
  Counter& gaps_;
  Counter& cut_off_;

  mutable Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  size_t count_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<Keyspace*, std::vector<std::weak_ptr<WatchCall>>> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_WATCHES_H_
