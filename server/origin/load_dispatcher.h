// Brings keys that are asked for one by one to the origin, in calls of many.
#ifndef LARDER_SERVER_ORIGIN_LOAD_DISPATCHER_H_
#define LARDER_SERVER_ORIGIN_LOAD_DISPATCHER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "server/engine/scheduler.h"
#include "server/origin/load_queue.h"
#include "server/origin/origin_breaker.h"
#include "server/origin/origin_loop.h"
#include "server/origin/origin_metrics.h"
#include "server/origin/origin_wire.h"

namespace larder {

class LoadCall;

// Thread-safe. Held by shared_ptr, which its calls and timers take part in.
class LoadDispatcher : public std::enable_shared_from_this<LoadDispatcher> {
 public:
  struct Options {
    int max_receive_bytes = 0;
    OriginLoop* loop = nullptr;
    Scheduler* scheduler = nullptr;
    const Clock* clock = nullptr;
    Registry* registry = nullptr;
  };

  // All pointees must live until Shutdown() has returned.
  LoadDispatcher(NamespacePolicy policy, const Options& options);
  ~LoadDispatcher();

  // For calls that begin from now on. Another target is begun with afresh.
  void ReplacePolicy(NamespacePolicy policy);

  // As of Origin. A load that is refused is told so before this returns.
  void Load(std::string key, QueuedLoad::Done done);

  // How to call the origin; UNAVAILABLE while it is left alone, or after Shutdown().
  absl::StatusOr<std::shared_ptr<const OriginRoute>> Route();

  // Blocks until every load has been told how it ended. Not from one of these.
  void Shutdown();

 private:
  friend class LoadCall;

  // What is to be done once the lock is released.
  struct Deeds {
    std::vector<LoadCall*> starts;
    std::vector<std::pair<QueuedLoad, absl::Status>> failures;
    std::vector<std::shared_ptr<const OriginRoute>> replaced;  // may close connections as they go
  };

  absl::Status Admits(int64_t now_nanos) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Begins the calls that are due, and sees to it that the others will be.
  void Dispatch(int64_t now_nanos, Deeds& deeds) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  LoadCall* BeginCall(int64_t now_nanos, Deeds& deeds) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Fail(LoadQueue::Loads loads, const absl::Status& why, Deeds& deeds) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteEnd(const LoadCall& call, int64_t now_nanos, Deeds& deeds) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  size_t BatchKeys() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ArmTimer(int64_t when_nanos) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnTimer();
  void OnEnd(LoadCall* call);
  void Perform(Deeds deeds);

  const Options options_;
  OriginMetrics metrics_;

  Mutex mutex_;
  CondVar idle_;
  std::shared_ptr<const OriginRoute> route_ ABSL_GUARDED_BY(mutex_);
  LoadQueue queue_ ABSL_GUARDED_BY(mutex_);
  OriginBreaker breaker_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<LoadCall*, std::unique_ptr<LoadCall>> calls_ ABSL_GUARDED_BY(mutex_);
  int ending_ ABSL_GUARDED_BY(mutex_) = 0;  // calls that are no longer in calls_, but still tell their loads
  bool timer_armed_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace larder

#endif  // LARDER_SERVER_ORIGIN_LOAD_DISPATCHER_H_
