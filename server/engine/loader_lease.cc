// The half of Loader that has to do with leases.
#include <algorithm>
#include <limits>
#include <utility>

#include "server/engine/keyspace.h"
#include "server/engine/loader.h"
#include "server/engine/own_write.h"

namespace larder {
namespace {

constexpr int64_t kNoDeadline = std::numeric_limits<int64_t>::max();
// What a load needs besides the origin's own time: the way to it and the fill.
constexpr int64_t kOriginMarginMs = 1'000;

// While the origin may still answer nobody else is to ask it.
int64_t LeaseNanos(const NamespacePolicy& policy) {
  int64_t lease_ms = policy.lease_ms;
  if (policy.origin.has_value()) lease_ms = std::max(lease_ms, policy.origin->hard_timeout_ms + kOriginMarginMs);
  return lease_ms * kNanosPerMilli;
}

// What is remembered of an entry's refresh: a lease that was given up leaves its pause in the entry, and after that it
// may be asked for again.
uint64_t RefreshOf(const EntryMeta& meta) { return meta.version ^ static_cast<uint64_t>(meta.leased_nanos); }

}  // namespace

void Loader::AskForLease(std::string key, uint64_t id, Found found) {
  LeaseRequest request{.name_space = parts_.space->name(),
                       .key = key,
                       .token = parts_.versions->Next(),
                       .lease_nanos = LeaseNanos(parts_.space->policy()),
                       .found_version = found.version,
                       .found_dead = found.dead,
                       .known = parts_.space->clock().known(),
                       .deadline_nanos = kNoDeadline};
  parts_.store->Lease(std::move(request), [this, key = std::move(key), id](absl::StatusOr<LeaseResult> result) {
    OnLease(key, id, std::move(result));
  });
}

void Loader::OnLease(const std::string& key, uint64_t id, absl::StatusOr<LeaseResult> result) {
  if (result.ok()) {
    parts_.space->Absorb(result->control);
    if (result->outcome == LeaseResult::Outcome::kGranted) {
      return has_origin() ? OnGrantedHere(key, id, *result) : OnGranted(key, id, *result);
    }
    if (result->outcome == LeaseResult::Outcome::kHeld) return OnHeld(key, id, *result);
  }
  PendingGets gets;
  {
    MutexLock lock(&mutex_);
    const auto room = FindRoom(key, id, Room::State::kAsking);
    if (room == rooms_.end()) return;
    if (!result.ok() && room->second.refresh != 0) {
      refreshing_.Set(room->second.refresh,
                      parts_.clock->NowNanos() + parts_.space->policy().refresh_retry_ms * kNanosPerMilli);
    }
    gets = Close(room);
  }
  if (result.ok() && result->outcome == LeaseResult::Outcome::kChanged) return ReadAgain(key, std::move(gets));
  for (PendingGet& get : gets) {
    if (result.ok()) {
      AnswerMiss(std::move(get));
      continue;
    }
    parts_.space->metrics().get_errors.Add();
    std::move(get.done)(result.status());
  }
}

void Loader::OnGrantedHere(const std::string& key, uint64_t id, const LeaseResult& lease) {
  PendingGets overdue;
  bool loads = false;
  {
    MutexLock lock(&mutex_);
    const auto room = FindRoom(key, id, Room::State::kAsking);
    loads = room != rooms_.end();
    if (loads) {
      room->second.state = Room::State::kLoading;
      overdue = TakeOutOverdue(room->second, parts_.clock->NowNanos());
    }
  }
  for (PendingGet& get : overdue) AnswerMiss(std::move(get));
  if (!loads) return GiveBack(key, lease.fill, /*failed=*/false);
  Load(key, id, lease.fill);
}

void Loader::OnGranted(const std::string& key, uint64_t id, const LeaseResult& lease) {
  std::optional<PendingGet> first;
  bool others = false;
  Found found;
  {
    MutexLock lock(&mutex_);
    const auto room = FindRoom(key, id, Room::State::kAsking);
    if (room != rooms_.end() && !room->second.waiters.empty()) {
      std::vector<Waiter>& waiters = room->second.waiters;
      first = TakeOut(waiters.front());
      waiters.erase(waiters.begin());
      others = !waiters.empty();
      found = room->second.found;
      room->second.woken = false;
    }
    if (room != rooms_.end() && !others) Close(room);
  }
  if (!first.has_value()) return GiveBack(key, lease.fill, /*failed=*/false);
  parts_.space->metrics().leases.Add();
  parts_.space->metrics().misses.Add();
  parts_.space->metrics().miss_latency.Record(parts_.clock->NowNanos() - first->started_nanos);
  GetAnswer answer;
  answer.lease = lease.fill;
  answer.lease_nanos = parts_.space->policy().lease_ms * kNanosPerMilli;
  std::move(first->done)(std::move(answer));
  // The others have to be known to the store as waiting, so that a fill by way of another replica is told here.
  if (others) AskForLease(key, id, found);
}

void Loader::OnHeld(const std::string& key, uint64_t id, const LeaseResult& lease) {
  const int64_t now = parts_.clock->NowNanos();
  std::optional<FillToken> as_of;
  if (lease.fill.token != 0) as_of = lease.fill;
  PendingGets woken;
  PendingGets refused;
  {
    MutexLock lock(&mutex_);
    const auto found = FindRoom(key, id, Room::State::kAsking);
    if (found == rooms_.end()) return;
    Room& room = found->second;
    if (room.woken) {
      woken = Close(found);
    } else {
      refused = TakeOutOverdue(room, now);
      // Those who came while the store was being asked were not counted against the bound.
      while (!room.waiters.empty() && waiting_.load() > static_cast<int64_t>(parts_.space->policy().max_waiters)) {
        parts_.space->metrics().waits_refused.Add();
        refused.push_back(TakeOut(room.waiters.back()));
        room.waiters.pop_back();
      }
      room.state = Room::State::kHeld;
      room.as_of = as_of;
      room.held_until_nanos = now + std::max<int64_t>(lease.left_nanos, kNanosPerMilli);
      for (Waiter& waiter : room.waiters) CountWait(waiter.get);
      if (room.waiters.empty()) {
        Close(found);
      } else {
        SetAlarm(room.held_until_nanos, room.id, key, room.id);
      }
    }
  }
  for (PendingGet& get : refused) AnswerMiss(std::move(get), as_of);
  ReadAgain(key, std::move(woken));
}

ReleaseRequest Loader::ReleaseOf(const std::string& key, FillToken fill, bool failed) const {
  const NamespacePolicy& policy = parts_.space->policy();
  return {.name_space = parts_.space->name(),
          .key = key,
          .token = fill.token,
          .pause_nanos = failed ? policy.refresh_retry_ms * kNanosPerMilli : 0,
          .serve_stale_nanos = failed ? policy.stale_if_error_ms * kNanosPerMilli : 0,
          .max_life_nanos = policy.max_ttl_ms * kNanosPerMilli,
          .deadline_nanos = kNoDeadline};
}

void Loader::GiveBack(const std::string& key, FillToken fill, bool failed) {
  // The pause that it leaves in a stale entry must be seen here, too.
  std::optional<OwnWrite> own;
  if (failed) own.emplace(*parts_.space, key);
  // Lost or not, the lease ends by itself.
  parts_.store->Release(ReleaseOf(key, fill, failed),
                        [this, key, own = std::move(own)](const absl::StatusOr<ReleaseResult>&) mutable {
                          if (own.has_value()) return own->End();
                          Wake(key);
                        });
}

void Loader::AnswerDue(std::string_view key, GetAnswer answer, PendingGet get) {
  const EntryMeta& meta = answer.entry->meta();
  const int64_t now = parts_.clock->NowNanos();
  const int64_t lease_nanos = parts_.space->policy().lease_ms * kNanosPerMilli;
  if (meta.leased_nanos > now || !refreshing_.Claim(RefreshOf(meta), now, now + lease_nanos)) {
    return std::move(get.done)(std::move(answer));
  }
  LeaseRequest request{.name_space = parts_.space->name(),
                       .key = std::string(key),
                       .token = parts_.versions->Next(),
                       .lease_nanos = lease_nanos,
                       .found_version = meta.version,
                       .known = parts_.space->clock().known(),
                       .deadline_nanos = get.deadline_nanos};
  parts_.store->Lease(std::move(request), [this, lease_nanos, answer = std::move(answer),
                                           done = std::move(get.done)](absl::StatusOr<LeaseResult> result) mutable {
    const uint64_t refresh = RefreshOf(answer.entry->meta());
    const int64_t asked = parts_.clock->NowNanos();
    if (!result.ok()) {
      refreshing_.Set(refresh, asked + parts_.space->policy().refresh_retry_ms * kNanosPerMilli);
    } else {
      parts_.space->Absorb(result->control);
      if (result->outcome == LeaseResult::Outcome::kGranted) {
        parts_.space->metrics().leases.Add();
        answer.lease = result->fill;
        answer.lease_nanos = lease_nanos;
      }
      if (result->outcome == LeaseResult::Outcome::kHeld) refreshing_.Set(refresh, asked + result->left_nanos);
    }
    std::move(done)(std::move(answer));
  });
}

void Loader::Refresh(std::string_view key, const Entry& entry) {
  const EntryMeta& meta = entry.meta();
  const int64_t now = parts_.clock->NowNanos();
  if (meta.leased_nanos > now) return;
  if (!refreshing_.Claim(RefreshOf(meta), now, now + LeaseNanos(parts_.space->policy()))) return;
  const Found found{meta.version, false};
  uint64_t id = 0;
  {
    MutexLock lock(&mutex_);
    if (stopped_) return;
    Room* room = Open(std::string(key), found);
    if (room == nullptr) return;
    id = room->id;
    room->refresh = RefreshOf(meta);
  }
  AskForLease(std::string(key), id, found);
}

}  // namespace larder
