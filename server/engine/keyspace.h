// Everything that a replica holds for one namespace.
#ifndef LARDER_SERVER_ENGINE_KEYSPACE_H_
#define LARDER_SERVER_ENGINE_KEYSPACE_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/mutex.h"
#include "core/near_cache.h"
#include "core/write_marks.h"
#include "server/engine/change_log.h"
#include "server/engine/hot_keys.h"
#include "server/engine/loader.h"
#include "server/engine/logical_clock.h"
#include "server/engine/read_flights.h"
#include "server/metrics/metrics.h"
#include "server/policy/policy.h"

namespace larder {

// Counters of one namespace, resolved once.
struct KeyspaceMetrics {
  KeyspaceMetrics(Registry& registry, const std::string& name);

  Counter& near_hits;
  Counter& store_hits;
  Counter& misses;
  Counter& get_errors;
  Counter& refused;
  Counter& sets;
  Counter& sets_aborted;
  Counter& set_errors;
  Counter& touches;
  Counter& touch_misses;
  Counter& touch_errors;
  Counter& invalidated_keys;
  Counter& invalidated_all;
  Counter& invalidated_keys_errors;
  Counter& invalidated_all_errors;
  Counter& invalidated_keys_deferred;
  Counter& invalidated_all_deferred;
  Counter& invalidated_groups_deferred;
  Counter& near_aged;
  Counter& stale_hits;
  Counter& absent_hits;
  Counter& degraded_hits;
  Counter& leases;
  Counter& waits;
  Counter& waits_refused;
  Counter& fills;
  Counter& fills_aborted;
  Counter origin_loads;  // for Stats alone: the origin's own metrics tell more
  Counter origin_errors;
  Counter& releases;
  Counter& sliding_touches;
  Counter& invalidated_groups;
  Counter& invalidated_groups_errors;
  Counter& collapses;
  Counter& swept;
  Histogram& fill_latency;
  Histogram& near_hit_latency;
  Histogram& store_hit_latency;
  Histogram& miss_latency;
  Histogram& set_latency;
};

// Counts requests for namespaces that are not configured. Once for each registry.
Counter& RefusedForNoNamespace(Registry& registry);

// Thread-safe. The near tier's bound is fixed for its life; the policy can be replaced.
class Keyspace {
 public:
  Keyspace(NamespacePolicy policy, size_t near_bytes, Registry& registry);
  ~Keyspace();
  Keyspace(const Keyspace&) = delete;
  Keyspace& operator=(const Keyspace&) = delete;

  const std::string& name() const { return name_; }

  // Valid as long as this object: policies that were replaced are kept, since calls under way may still read them.
  // There is one for each time that somebody changed this namespace's policy, so they are few.
  const NamespacePolicy& policy() const { return *policy_.load(std::memory_order_acquire); }
  // A change of policy may take time; of several only the one begun last takes place.
  uint64_t BeginPolicyChange();
  void ReplacePolicy(NamespacePolicy policy, uint64_t revision);

  // Before the first call for the namespace.
  void SetLoader(std::unique_ptr<Loader> loader);

  // Takes in what an answer of the store told; to be called before anything in the answer is judged. Where that means
  // that an invalidation may have been missed, the near tier is emptied and nothing under way enters it.
  void Absorb(const ControlUpdate& update);

  // COHERENCE N1: until then near entries may be served however long ago they were read, since they were current at
  // `as_of_nanos`.
  void RenewNear(int64_t until_nanos, int64_t as_of_nanos) {
    near_as_of_nanos_.store(as_of_nanos, std::memory_order_relaxed);
    near_until_nanos_.store(until_nanos, std::memory_order_release);
  }
  // From now on by their age, if at all.
  void EndNearLease() { near_until_nanos_.store(0, std::memory_order_release); }
  // When what the near tier has was last known to be current as a whole; what was read later is so from then on.
  int64_t near_as_of_nanos() const { return near_as_of_nanos_.load(std::memory_order_relaxed); }
  bool IsNearLeased(int64_t now_nanos) const { return now_nanos < near_until_nanos_.load(std::memory_order_acquire); }
  // COHERENCE S1: until then, and younger than `bound_nanos`, near entries may be served by their age. Always, unless
  // it is said otherwise. One caller at a time.
  void AllowAge(int64_t until_nanos, int64_t bound_nanos);
  // The age that a near entry must not have reached to be served by it alone; 0: none is. To be asked before the near
  // tier is: whoever raises it empties that first.
  int64_t NearAge(int64_t now_nanos) const;
  // Empties the near tier, and nothing under way enters it.
  void ForgetNear();

  NearCache& near() { return near_; }
  LogicalClock& clock() { return clock_; }
  const LogicalClock& clock() const { return clock_; }
  WriteMarks& marks() { return marks_; }
  ChangeLog& changes() { return changes_; }
  ReadFlights& reads() { return reads_; }
  Loader& loader() { return *loader_; }
  bool has_origin() const { return loader_->has_origin(); }
  RefreshMemo& slides() { return slides_; }  // which sliding entries were given their time again of late
  // Which keys are read most; null where no warm-up asks for it.
  HotKeys* hot_keys() { return hot_keys_.get(); }
  KeyspaceMetrics& metrics() { return metrics_; }

 private:
  const std::string name_;
  NearCache near_;
  LogicalClock clock_;
  std::atomic<int64_t> near_until_nanos_{0};
  std::atomic<int64_t> near_as_of_nanos_{0};
  std::atomic<int64_t> age_until_nanos_{std::numeric_limits<int64_t>::max()};
  std::atomic<int64_t> age_bound_nanos_{std::numeric_limits<int64_t>::max()};
  WriteMarks marks_;
  ChangeLog changes_;
  ReadFlights reads_;
  RefreshMemo slides_;
  KeyspaceMetrics metrics_;
  std::unique_ptr<HotKeys> hot_keys_;
  std::unique_ptr<Loader> loader_;
  std::atomic<const NamespacePolicy*> policy_;
  Mutex mutex_;
  uint64_t revision_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::unique_ptr<const NamespacePolicy>> policies_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_KEYSPACE_H_
