// What the store does not know yet, as far as it binds this replica.
#ifndef LARDER_SERVER_ENGINE_DEFERRALS_H_
#define LARDER_SERVER_ENGINE_DEFERRALS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "server/engine/cache_engine.h"
#include "server/store/journaled_store.h"

namespace larder {

// COHERENCE D1: a deferred invalidation of groups kills here what was read or set before it, at once and without a look
// at the near tier; keys are taken out by who invalidates them. What was kept here alone ends when the store is back.
// Thread-safe; never blocks.
class Deferrals final : public DeferralListener {
 public:
  // The pointees must outlive it.
  Deferrals(CacheEngine* engine, const Clock* clock) : engine_(engine), clock_(clock) {}

  ClockPosition Known(std::string_view name_space) const override;
  void OnDeferred(std::string_view name_space, const std::vector<Stamp>& groups) override;
  void OnKeysReplayed(std::string_view name_space, const std::vector<std::string>& keys, int64_t began_nanos) override;
  void OnGroupsReplayed(std::string_view name_space, const ControlUpdate& update) override;
  void OnSettled(std::string_view name_space, int64_t up_to_nanos) override;

 private:
  CacheEngine* const engine_;
  const Clock* const clock_;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_DEFERRALS_H_
