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

NearTier::NearTier(const NearOptions& options, const Clock* clock)
    : enabled_(options.capacity_bytes > 0),
      max_age_nanos_(std::chrono::nanoseconds(options.max_age).count()),
      clock_(clock),
      cache_({.capacity_bytes = options.capacity_bytes}) {}

EntryRef NearTier::Find(std::string_view near_key, uint64_t hash, int64_t now_nanos) {
  EntryRef entry = cache_.Find(near_key, hash, now_nanos);
  if (!entry || now_nanos - entry->meta().read_nanos >= max_age_nanos_) return nullptr;
  // Who has the lease of a stale entry, and is to load it anew, is the service's to say.
  if (now_nanos >= entry->meta().stale_nanos) return nullptr;
  return entry;
}

void NearTier::Admit(std::string_view near_key, uint64_t hash, EntryRef entry, const Ticket& ticket) {
  if (clock_->NowNanos() - entry->meta().read_nanos >= max_age_nanos_) return;
  cache_.Admit(near_key, hash, std::move(entry), [&] {
    return marks_.Current(hash) == ticket.mark && clears_.load(std::memory_order_acquire) == ticket.clears;
  });
}

void NearTier::Drop(std::string_view near_key, uint64_t hash) {
  marks_.Mark(hash);
  cache_.Erase(near_key, hash);
}

void NearTier::DropAll() {
  clears_.fetch_add(1, std::memory_order_acq_rel);
  cache_.Clear();
}

}  // namespace larder::internal
