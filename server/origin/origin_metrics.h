#ifndef LARDER_SERVER_ORIGIN_ORIGIN_METRICS_H_
#define LARDER_SERVER_ORIGIN_ORIGIN_METRICS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "server/metrics/metrics.h"
#include "server/origin/origin_breaker.h"

namespace larder {

// Of one namespace's origin; made once for each registry and namespace. The registry may outlive it.
class OriginMetrics {
 public:
  OriginMetrics(Registry& registry, const std::string& name_space);

  Counter& calls_ok;
  Counter& calls_failed;
  Counter& calls_timed_out;
  Counter& calls_invalid;
  Counter& keys_value;
  Counter& keys_absent;
  Counter& keys_error;
  Counter& keys_failed;
  Histogram& call_latency;

  void SetQueued(size_t queued) { gauges_->queued.store(static_cast<int64_t>(queued), std::memory_order_relaxed); }
  void SetBreaker(OriginBreaker::State state) {
    gauges_->breaker.store(static_cast<int>(state), std::memory_order_relaxed);
  }

 private:
  struct Gauges {
    std::atomic<int64_t> queued{0};
    std::atomic<int> breaker{0};
  };

  const std::shared_ptr<Gauges> gauges_;  // the registry's too
};

}  // namespace larder

#endif  // LARDER_SERVER_ORIGIN_ORIGIN_METRICS_H_
