#ifndef LARDER_SERVER_STORE_STORE_GAUGES_H_
#define LARDER_SERVER_STORE_STORE_GAUGES_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "server/metrics/metrics.h"
#include "server/store/store.h"

namespace larder {

// What a store tells of itself, as metrics: `cache_store_up`, `cache_breaker_state`, `cache_store_memory_used_bytes`,
// `cache_store_memory_max_bytes`, `cache_store_keys`, `cache_store_round_trip_seconds`, `cache_store_evictions_total`,
// `cache_store_disconnects_total` and `cache_store_unreadable_entries_total`. The first two and the disconnects are
// read at each scrape, the others are those of the last look, so that no scrape waits for the store. Gauges that only
// the store knows are not a number while it cannot be reached and until it has answered on the present connection,
// which may lead to another store than the last one; counters keep their value.
class StoreGauges {
 public:
  static constexpr int64_t kLookEvery = 10 * kNanosPerSecond;

  // The pointees must outlive this, the store's shutdown must come before its end, and the registry's last rendering
  // too.
  StoreGauges(Store* store, const Clock* clock, Registry* registry);
  StoreGauges(const StoreGauges&) = delete;
  StoreGauges& operator=(const StoreGauges&) = delete;

  // Looks at the store if it is time to, or if the connection is another than at the last look; never blocks. One
  // thread.
  void Refresh();

 private:
  void Note(const absl::StatusOr<StoreInfo>& info);
  // A gauge that is known only while the store can be reached.
  void AddGauge(Registry* registry, const std::string& name, const std::string& help,
                std::function<double(const StoreInfo&)> read);

  Store* const store_;
  const Clock* const clock_;
  int64_t next_look_nanos_ = 0;
  int64_t disconnects_at_look_ = 0;

  mutable Mutex mutex_;
  bool looking_ ABSL_GUARDED_BY(mutex_) = false;
  StoreInfo info_ ABSL_GUARDED_BY(mutex_);
  // The store's own count may have begun long before this process, and begins again when somebody resets it. What is
  // told is what has come from one look to the next on the same connection: another one may lead to another store.
  std::optional<int64_t> stores_evictions_ ABSL_GUARDED_BY(mutex_);
  int64_t evictions_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace larder

#endif  // LARDER_SERVER_STORE_STORE_GAUGES_H_
