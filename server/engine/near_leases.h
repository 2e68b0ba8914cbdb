// The right to serve near entries without asking the store.
#ifndef LARDER_SERVER_ENGINE_NEAR_LEASES_H_
#define LARDER_SERVER_ENGINE_NEAR_LEASES_H_

#include <cstdint>
#include <string_view>

#include "server/engine/cache_engine.h"
#include "server/engine/near_membership.h"
#include "server/metrics/metrics.h"
#include "server/store/store.h"

namespace larder {

// COHERENCE N1: as long as the store is heard of often enough, near entries are current to within the lease, however
// long ago they were read: what others change is dropped from the near tier, and what is being read meanwhile does not
// enter it. Thread-safe; never blocks.
class NearLeases final : public NearHolder {
 public:
  // The pointees must outlive it. `lease_nanos`: for how long from the question on an answer of the store counts.
  // `by_age`: what near entries are served by while there are no leases; null: by their age, whoever knows of that.
  NearLeases(CacheEngine* engine, int64_t lease_nanos, Registry* registry, NearMembership* by_age = nullptr);

  ClockPosition Known(std::string_view name_space) const override;
  void OnChanged(std::string_view name_space, std::string_view key) override;
  void OnBegin() override;
  bool OnCurrent(std::string_view name_space, const ControlUpdate& update, int64_t sent_nanos) override;
  void OnControl(std::string_view name_space, const ControlUpdate& update) override;
  void OnLost() override;

 private:
  CacheEngine* const engine_;
  const int64_t lease_nanos_;
  NearMembership* const by_age_;
  Counter& changes_;
  Counter& renewals_;
  Counter& losses_;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_NEAR_LEASES_H_
