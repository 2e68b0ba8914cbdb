#include "server/store/store_gauges.h"

#include <limits>
#include <utility>

namespace larder {

StoreGauges::StoreGauges(Store* store, const Clock* clock, Registry* registry) : store_(store), clock_(clock) {
  registry->AddGauge("cache_store_up", "Whether the store can be reached.", {},
                     [this] { return store_->state() == StoreInfo::State::kReady ? 1.0 : 0.0; });
  registry->AddGauge("cache_breaker_state",
                     "Whether calls get through to the store: 0 they do, 1 a connection is being tried, 2 they do not.",
                     {}, [this] { return static_cast<double>(store_->breaker()); });
  AddGauge(registry, "cache_store_memory_used_bytes", "Memory that the store uses.",
           [](const StoreInfo& info) { return static_cast<double>(info.used_memory_bytes); });
  AddGauge(registry, "cache_store_memory_max_bytes", "Memory that the store may use; 0: no limit.",
           [](const StoreInfo& info) { return static_cast<double>(info.max_memory_bytes); });
  AddGauge(registry, "cache_store_keys", "Keys in the store, those of others included.",
           [](const StoreInfo& info) { return static_cast<double>(info.keys); });
  AddGauge(registry, "cache_store_round_trip_seconds", "The way to the store and back, at the last look.",
           [](const StoreInfo& info) { return info.round_trip_micros / 1e6; });
  const auto add_counter = [registry](const std::string& name, const std::string& help, std::function<int64_t()> read) {
    registry->AddCounterCallback(name, help, {}, [read = std::move(read)] { return static_cast<double>(read()); });
  };
  add_counter("cache_store_evictions_total", "Entries that the store pushed out for want of room.", [this] {
    MutexLock lock(&mutex_);
    return evictions_;
  });
  add_counter("cache_store_disconnects_total", "Connections to the store that were lost.",
              [this] { return store_->disconnects(); });
  add_counter("cache_store_unreadable_entries_total", "Reads of an entry that could not be understood.", [this] {
    MutexLock lock(&mutex_);
    return info_.unreadable_entries;
  });
}

void StoreGauges::AddGauge(Registry* registry, const std::string& name, const std::string& help,
                           std::function<double(const StoreInfo&)> read) {
  registry->AddGauge(name, help, {}, [this, read = std::move(read)] {
    const bool up = store_->state() == StoreInfo::State::kReady;
    const int64_t disconnects = store_->disconnects();
    MutexLock lock(&mutex_);
    const bool known = up && info_.measured && info_.disconnects == disconnects;
    return known ? read(info_) : std::numeric_limits<double>::quiet_NaN();
  });
}

void StoreGauges::Refresh() {
  const int64_t now = clock_->NowNanos();
  const int64_t disconnects = store_->disconnects();
  if (now < next_look_nanos_ && disconnects == disconnects_at_look_) return;
  {
    MutexLock lock(&mutex_);
    if (std::exchange(looking_, true)) return;
  }
  // A store that is away answers from memory, and shall be looked at as soon as it is back.
  if (store_->state() == StoreInfo::State::kReady) {
    next_look_nanos_ = now + kLookEvery;
    disconnects_at_look_ = disconnects;
  }
  constexpr int64_t kStoresOwnTimeout = 0;
  store_->Describe(kStoresOwnTimeout, [this](absl::StatusOr<StoreInfo> info) { Note(info); });
}

void StoreGauges::Note(const absl::StatusOr<StoreInfo>& info) {
  MutexLock lock(&mutex_);
  looking_ = false;
  if (!info.ok()) {
    info_.measured = false;
    return;
  }
  if (info->disconnects != info_.disconnects) stores_evictions_.reset();
  info_ = *info;
  if (!info_.measured) return;
  const int64_t before = stores_evictions_.value_or(info_.evictions);
  evictions_ += info_.evictions >= before ? info_.evictions - before : info_.evictions;
  stores_evictions_ = info_.evictions;
}

}  // namespace larder
