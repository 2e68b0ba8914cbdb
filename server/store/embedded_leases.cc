// COHERENCE E2: who may load a key of the embedded store.
#include <algorithm>
#include <utility>

#include "server/store/embedded_keys.h"
#include "server/store/embedded_store.h"

namespace larder {

void EmbeddedStore::EndLease(const Place& place, Wakes* wakes) {
  if (place.stripe.leases.Remove(place.cache_key)) wakes->Add(place.cache_key);
}

void EmbeddedStore::DropLease(const Place& place, Wakes* wakes) {
  const HeldLease* lease = place.stripe.leases.Find(place.cache_key, clock_->NowNanos());
  const uint64_t version = lease == nullptr ? 0 : lease->version;
  EndLease(place, wakes);
  while (version != 0 && !TryForgetLease(place, version)) continue;
}

bool EmbeddedStore::TryForgetLease(const Place& place, uint64_t version) {
  const uint64_t seen = place.record.changes();
  const EntryRef current = FindLive(place, 0);
  if (!current || current->meta().version != version) return true;
  EntryMeta meta = current->meta();
  meta.leased_nanos = 0;
  return Admit(place, seen, WithMeta(*current, meta));
}

HeldLease* EmbeddedStore::FindLease(const Place& place, const EntryRef& current, Wakes* wakes) {
  HeldLease* lease = place.stripe.leases.Find(place.cache_key, clock_->NowNanos());
  if (lease == nullptr) return nullptr;
  const bool of_this = lease->version == (current ? current->meta().version : 0);
  if (of_this && place.record.Allows(lease->fill.as_of, place.key, TagList(""))) return lease;
  DropLease(place, wakes);
  return nullptr;
}

bool EmbeddedStore::MayFill(const WriteRequest& request, const Place& place, const EntryRef& current, Wakes* wakes) {
  const HeldLease* lease = FindLease(place, current, wakes);
  if (lease == nullptr || lease->fill != *request.fill) return false;
  if (place.record.Allows(request.fill->as_of, place.key, request.entry->tags())) return true;
  DropLease(place, wakes);
  return false;
}

absl::StatusOr<LeaseResult> EmbeddedStore::DoLease(const LeaseRequest& request) {
  if (absl::Status status = CheckCall(request.deadline_nanos); !status.ok()) return status;
  const Place place = PlaceOf(request.name_space, request.key);
  LeaseResult result;
  Wakes wakes(this);
  MutexLock lock(&place.stripe.mutex);
  while (!TryLease(request, place, &wakes, &result)) continue;
  result.control = place.record.Update(request.known);
  return result;
}

bool EmbeddedStore::TryLease(const LeaseRequest& request, const Place& place, Wakes* wakes, LeaseResult* result) {
  const int64_t now = clock_->NowNanos();
  const uint64_t seen = place.record.changes();
  const uint64_t dead_version = request.found_dead ? request.found_version : 0;
  HeldLease* const held = FindLease(place, FindLive(place, dead_version), wakes);
  // Only now: that may have changed it.
  const EntryRef current = FindLive(place, dead_version);
  if (current && current->meta().version != request.found_version) {
    result->outcome = LeaseResult::Outcome::kChanged;
    return true;
  }
  result->outcome = LeaseResult::Outcome::kHeld;
  if (held != nullptr) {
    held->waited = true;
    // COHERENCE E4: who is served the entry meanwhile has read nothing as of the holder's position.
    if (!current) result->fill = held->fill;
    result->left_nanos = held->until_nanos - now;
    return true;
  }
  // Nobody loads it, but it is not to be tried yet.
  if (current && current->meta().leased_nanos > now) {
    result->left_nanos = current->meta().leased_nanos - now;
    return true;
  }
  HeldLease lease;
  lease.fill = {request.token, place.record.position()};
  lease.until_nanos = now + request.lease_nanos;
  if (current) {
    EntryMeta meta = current->meta();
    lease.version = meta.version;
    meta.leased_nanos = lease.until_nanos;
    if (!Admit(place, seen, WithMeta(*current, meta))) return false;
  }
  result->outcome = LeaseResult::Outcome::kGranted;
  result->fill = lease.fill;
  result->left_nanos = request.lease_nanos;
  if (auto gave_way = place.stripe.leases.Put(place.cache_key, lease, now)) wakes->Add(*std::move(gave_way));
  return true;
}

absl::StatusOr<ReleaseResult> EmbeddedStore::DoRelease(const ReleaseRequest& request) {
  if (absl::Status status = CheckCall(request.deadline_nanos); !status.ok()) return status;
  const Place place = PlaceOf(request.name_space, request.key);
  ReleaseResult result;
  Wakes wakes(this);
  MutexLock lock(&place.stripe.mutex);
  const HeldLease* lease = place.stripe.leases.Find(place.cache_key, clock_->NowNanos());
  if (lease == nullptr || lease->fill.token != request.token) return result;
  result.held = true;
  const uint64_t version = lease->version;
  EndLease(place, &wakes);
  while (version != 0 && !TryRelease(request, place, version)) continue;
  return result;
}

// Stale-if-error. COHERENCE E5: what is dead is removed, and so not revived.
bool EmbeddedStore::TryRelease(const ReleaseRequest& request, const Place& place, uint64_t version) {
  const int64_t now = clock_->NowNanos();
  const uint64_t seen = place.record.changes();
  const EntryRef current = FindLive(place, 0);
  if (!current || current->meta().version != version) return true;
  EntryMeta meta = current->meta();
  meta.leased_nanos = request.pause_nanos > 0 ? now + request.pause_nanos : 0;
  if (request.serve_stale_nanos > 0) {
    meta.stale_nanos = std::min(meta.stale_nanos, meta.expires_nanos);
    const int64_t stale_at = IsSoftened(meta) ? meta.read_nanos : meta.stale_nanos;
    const int64_t life = std::min(stale_at - meta.created_nanos + request.serve_stale_nanos, request.max_life_nanos);
    meta.expires_nanos = std::max(meta.expires_nanos, meta.created_nanos + life);
  }
  return Admit(place, seen, WithMeta(*current, meta));
}

void EmbeddedStore::Lease(LeaseRequest request, StoreCallback<LeaseResult> done) { std::move(done)(DoLease(request)); }

void EmbeddedStore::Release(ReleaseRequest request, StoreCallback<ReleaseResult> done) {
  std::move(done)(DoRelease(request));
}

}  // namespace larder
