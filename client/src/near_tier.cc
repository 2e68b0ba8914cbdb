#include "client/src/near_tier.h"

#include <chrono>
#include <utility>

namespace larder::internal {

std::string NearKey(std::string_view name_space, std::string_view key) {
  std::string result;
  result.reserve(name_space.size() + 1 + key.size());
  result.append(name_space).append(1, '\0').append(key);  // a namespace has no zero byte
  return result;
}

std::string_view NamespaceOf(std::string_view near_key) { return near_key.substr(0, near_key.find('\0')); }

NearTier::NearTier(const NearOptions& options, const Clock* clock)
    : enabled_(options.capacity_bytes > 0),
      max_age_nanos_(std::chrono::nanoseconds(options.max_age).count()),
      clock_(clock),
      cache_({.capacity_bytes = options.capacity_bytes}) {}

EntryRef NearTier::Find(std::string_view near_key, uint64_t hash, int64_t now_nanos) {
  while (true) {
    const uint64_t renewals = sessions_.renewals();
    EntryRef entry = cache_.Find(near_key, hash, now_nanos);
    // Who has the lease of a stale entry, and is to load it anew, is the service's to say.
    if (!entry || now_nanos >= entry->meta().stale_nanos) return nullptr;
    const WatchSessions::Session session{.slot = entry->meta().generation, .id = entry->meta().epoch};
    if (session.slot != 0) {
      if (!sessions_.Lives(session)) {
        cache_.Erase(near_key, hash);  // it would only take up room
        return nullptr;
      }
      // COHERENCE W2: a lease that was renewed since the look answers for drops that the look did not see.
      const bool is_leased = sessions_.IsLeased(session, now_nanos);
      if (sessions_.renewals() != renewals) continue;
      if (is_leased) return entry;
    }
    return now_nanos - entry->meta().read_nanos < max_age_nanos_ ? entry : nullptr;
  }
}

void NearTier::Admit(std::string_view near_key, uint64_t hash, EntryRef entry, const Ticket& ticket,
                     const WatchSessions::Session& session) {
  // COHERENCE W1: of what changed before a session began, it does not tell.
  const bool is_watched = session.slot != 0 && session.id <= ticket.session;
  if (!is_watched && clock_->NowNanos() - entry->meta().read_nanos >= max_age_nanos_) return;
  if (is_watched) entry->Stamp(session.slot, session.id);
  cache_.Admit(near_key, hash, std::move(entry), [&] {
    return marks_.Current(hash) == ticket.mark && clears_.load(std::memory_order_acquire) == ticket.clears;
  });
}

void NearTier::Drop(std::string_view near_key, uint64_t hash) {
  marks_.Mark(hash);
  cache_.Erase(near_key, hash);
}

void NearTier::DropSession(size_t slot) {
  sessions_.Drop(slot);
  clears_.fetch_add(1, std::memory_order_acq_rel);
}

void NearTier::DropAll() {
  clears_.fetch_add(1, std::memory_order_acq_rel);
  cache_.Clear();
}

}  // namespace larder::internal
