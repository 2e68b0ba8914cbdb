#include "server/engine/near_leases.h"

#include "core/planted.h"

namespace larder {

NearLeases::NearLeases(CacheEngine* engine, int64_t lease_nanos, Registry* registry, NearMembership* by_age)
    : engine_(engine),
      lease_nanos_(lease_nanos),
      by_age_(by_age),
      changes_(
          registry->AddCounter("cache_tracked_changes_total", "Keys that the store said were written, by anybody.")),
      renewals_(registry->AddCounter("cache_near_renewals_total", "Renewals of namespaces' near leases.")),
      losses_(
          registry->AddCounter("cache_near_losses_total",
                               "Times that near leases ended because the connection that told of changes was lost.")) {}

ClockPosition NearLeases::Known(std::string_view name_space) const {
  const Keyspace* space = engine_->FindKeyspace(name_space);
  return space == nullptr ? ClockPosition{} : space->clock().known();
}

void NearLeases::OnChanged(std::string_view name_space, std::string_view key) {
  if (name_space.empty()) {
    for (Keyspace* space : engine_->keyspaces()) {
      space->ForgetNear();
      space->changes().OnGap(Change::Gap::kFlushed);
      space->changes().Tell();
    }
    return;
  }
  Keyspace* const space = engine_->FindKeyspace(name_space);
  if (space == nullptr) return;
  changes_.Add();
  // COHERENCE N3: in this order, so that nothing that is being read slips in between.
  const uint64_t hash = NearCache::Hash(key);
  if (!Planted(Bug::kNoDirtyMark)) space->marks().Mark(hash);
  space->near().Erase(key, hash);
  // COHERENCE W3: whatever was held here.
  space->changes().OnTold(key);
}

void NearLeases::OnBegin() {
  if (by_age_ != nullptr) by_age_->Pause();
}

bool NearLeases::OnCurrent(std::string_view name_space, const ControlUpdate& update, int64_t sent_nanos) {
  Keyspace* const space = engine_->FindKeyspace(name_space);
  if (space == nullptr) return true;
  space->Absorb(update);
  // The lease counts once what was told is known (COHERENCE C2), and only of the generation that is in force.
  const ClockPosition known = space->clock().known();
  if (known.generation != update.generation || known.epoch < update.epoch) return false;
  renewals_.Add();
  space->RenewNear(sent_nanos + lease_nanos_ + PlantedStepNanos(), sent_nanos);
  space->changes().Prove(sent_nanos + lease_nanos_);
  return true;
}

void NearLeases::OnControl(std::string_view name_space, const ControlUpdate& update) {
  if (Keyspace* const space = engine_->FindKeyspace(name_space)) space->Absorb(update);
}

void NearLeases::OnLost() {
  losses_.Add();
  // COHERENCE N2: what is there stays, since it may be served as degraded (D4), as current never again. Nothing of it
  // is left when there is a lease, or a registration to go by age. W3: watchers are told of a gap.
  for (Keyspace* space : engine_->keyspaces()) {
    space->EndNearLease();
    space->changes().OnLost();
  }
  if (by_age_ != nullptr) by_age_->Resume();
}

}  // namespace larder
