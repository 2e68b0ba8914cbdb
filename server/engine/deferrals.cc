#include "server/engine/deferrals.h"

namespace larder {

ClockPosition Deferrals::Known(std::string_view name_space) const {
  const Keyspace* space = engine_->FindKeyspace(name_space);
  return space == nullptr ? ClockPosition{} : space->clock().known();
}

void Deferrals::OnDeferred(std::string_view name_space, const std::vector<Stamp>& groups) {
  if (Keyspace* const space = engine_->FindKeyspace(name_space)) space->clock().Defer(groups, clock_->NowNanos());
}

void Deferrals::OnKeysReplayed(std::string_view name_space, const std::vector<std::string>& keys, int64_t began_nanos) {
  Keyspace* const space = engine_->FindKeyspace(name_space);
  if (space == nullptr) return;
  for (const std::string& key : keys) {
    const uint64_t hash = NearCache::Hash(key);
    const EntryRef entry = space->near().Peek(key, hash, began_nanos);
    // One that was set since the replay began waits for a replay of its own.
    if (entry && entry->meta().unshared && entry->meta().read_nanos > began_nanos) continue;
    // COHERENCE N3: the mark first, so that a Set that found the store away keeps nothing from before it came back.
    space->marks().Mark(hash);
    if (entry && entry->meta().unshared) space->near().Erase(key, hash);
  }
}

void Deferrals::OnGroupsReplayed(std::string_view name_space, const ControlUpdate& update) {
  if (Keyspace* const space = engine_->FindKeyspace(name_space)) space->Absorb(update);
}

void Deferrals::OnSettled(std::string_view name_space, int64_t up_to_nanos) {
  if (Keyspace* const space = engine_->FindKeyspace(name_space)) space->clock().ForgetDeferred(up_to_nanos);
}

}  // namespace larder
