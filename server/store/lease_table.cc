#include "server/store/lease_table.h"

namespace larder {

HeldLease* LeaseTable::Find(std::string_view key, int64_t now_nanos) {
  const auto lease = leases_.find(key);
  if (lease == leases_.end()) return nullptr;
  if (lease->second.until_nanos > now_nanos) return &lease->second;
  Erase(lease);
  return nullptr;
}

std::optional<std::string> LeaseTable::Put(std::string_view key, const HeldLease& lease, int64_t now_nanos) {
  Remove(key);
  std::optional<std::string> gave_way;
  // Those that have ended on their own are nobody's news: who waited knows when.
  while (!by_end_.empty() && (by_end_.begin()->first <= now_nanos || leases_.size() >= max_leases_)) {
    const bool ended = by_end_.begin()->first <= now_nanos;
    const auto soonest = leases_.find(by_end_.begin()->second);
    std::string gone = soonest->first;
    if (Erase(soonest) && !ended) gave_way = std::move(gone);
  }
  const auto put = leases_.emplace(key, lease).first;
  by_end_.emplace(lease.until_nanos, put->first);
  return gave_way;
}

bool LeaseTable::Remove(std::string_view key) {
  const auto lease = leases_.find(key);
  return lease != leases_.end() && Erase(lease);
}

bool LeaseTable::Erase(Leases::iterator lease) {
  const bool waited = lease->second.waited;
  by_end_.erase({lease->second.until_nanos, lease->first});
  leases_.erase(lease);
  return waited;
}

void LeaseTable::ForEach(int64_t now_nanos,
                         absl::FunctionRef<void(std::string_view key, const HeldLease& lease)> visit) const {
  for (const auto& [key, lease] : leases_) {
    if (lease.until_nanos > now_nanos) visit(key, lease);
  }
}

}  // namespace larder
