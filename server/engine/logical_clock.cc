#include "server/engine/logical_clock.h"

#include <algorithm>

namespace larder {

ClockPosition LogicalClock::known() const {
  MutexLock lock(&mutex_);
  return {generation_, epoch_};
}

void LogicalClock::Apply(const ControlUpdate& update) {
  MutexLock lock(&mutex_);
  if (update.generation != generation_) {
    // A late answer from before the present generation must not bring the old one back. A partial one cannot start a
    // generation either: stamps before it would be missing.
    if (update.sequence < sequence_ || update.since != 0) return;
    generation_ = update.generation;
    epoch_ = update.epoch;
    all_stamp_ = update.all_stamp;
    sequence_ = update.sequence;
    changes_.fetch_add(1, std::memory_order_release);
    return;
  }
  sequence_ = std::max(sequence_, update.sequence);
  if (update.all_stamp > all_stamp_) {
    all_stamp_ = update.all_stamp;
    changes_.fetch_add(1, std::memory_order_release);
  }
  // COHERENCE C2: only if every stamp up to update.epoch is known now.
  if (update.since <= epoch_) epoch_ = std::max(epoch_, update.epoch);
}

bool LogicalClock::IsValid(const Entry& entry) const {
  if (entry.validated_at() == changes_.load(std::memory_order_acquire)) return true;
  MutexLock lock(&mutex_);
  if (entry.meta().generation != generation_ || entry.meta().epoch < all_stamp_) return false;
  entry.set_validated_at(changes_.load(std::memory_order_relaxed));
  return true;
}

}  // namespace larder
