#include "client/src/watch_sessions.h"

namespace larder::internal {

std::optional<size_t> WatchSessions::Acquire(std::string_view name_space) {
  MutexLock lock(&mutex_);
  for (size_t slot = 0; slot < kMaxStreams; ++slot) {
    Stream& stream = streams_[slot];
    if (stream.is_taken) continue;
    stream = {.is_taken = true, .is_open = false, .incarnation = 0, .name_space = std::string(name_space)};
    return slot;
  }
  return std::nullopt;
}

void WatchSessions::Release(size_t slot) {
  Replace(slot);
  slots_[slot].until_nanos.store(0, std::memory_order_release);
  MutexLock lock(&mutex_);
  streams_[slot] = Stream();
}

void WatchSessions::Begin(size_t slot, uint64_t incarnation) {
  slots_[slot].until_nanos.store(0, std::memory_order_release);
  Replace(slot);
  MutexLock lock(&mutex_);
  streams_[slot].incarnation = incarnation;
}

void WatchSessions::Drop(size_t slot) { Replace(slot); }

void WatchSessions::SetOpen(size_t slot, bool is_open) {
  MutexLock lock(&mutex_);
  streams_[slot].is_open = is_open;
}

void WatchSessions::Renew(size_t slot, int64_t until_nanos) {
  renewals_.fetch_add(1, std::memory_order_acq_rel);
  slots_[slot].until_nanos.store(until_nanos, std::memory_order_release);
}

WatchSessions::Session WatchSessions::Of(std::string_view name_space, uint64_t incarnation) const {
  if (incarnation == 0) return {};
  MutexLock lock(&mutex_);
  for (size_t slot = 0; slot < kMaxStreams; ++slot) {
    const Stream& stream = streams_[slot];
    if (!stream.is_open || stream.incarnation != incarnation || stream.name_space != name_space) continue;
    return {.slot = slot + 1, .id = slots_[slot].session.load(std::memory_order_acquire)};
  }
  return {};
}

}  // namespace larder::internal
