#include "server/engine/near_membership.h"

#include <algorithm>

namespace larder {
namespace {

constexpr int64_t kPerHold = 4;  // so that one that is late, or lost, costs no near hit
// However long it may rely on one, a change of policy or a lost record is not to go unnoticed for longer.
constexpr int64_t kLongestBetween = kNanosPerSecond;
// After one that failed.
constexpr int64_t kRetryAfter = 50 * kNanosPerMilli;

}  // namespace

NearMembership::NearMembership(CacheEngine* engine, Store* store, const Clock* clock, Scheduler* scheduler,
                               int64_t least_hold_nanos)
    : engine_(engine), store_(store), clock_(clock), scheduler_(scheduler), least_hold_nanos_(least_hold_nanos) {}

MemberTerms NearMembership::Terms() const {
  MemberTerms terms;
  for (Keyspace* space : engine_->keyspaces()) {
    terms.bound_nanos = std::max(terms.bound_nanos, space->policy().near_max_age_ms * kNanosPerMilli);
  }
  terms.hold_nanos = std::max(least_hold_nanos_, terms.bound_nanos);
  return terms;
}

void NearMembership::Allow(int64_t until_nanos, int64_t bound_nanos) {
  until_nanos_ = until_nanos;
  known_bound_nanos_ = bound_nanos;
  for (Keyspace* space : engine_->keyspaces()) space->AllowAge(until_nanos, bound_nanos);
}

void NearMembership::Start() { Resume(); }

void NearMembership::Pause() {
  MutexLock lock(&mutex_);
  active_ = false;
  ++turn_;
  Allow(0, 0);
}

void NearMembership::Resume() {
  {
    MutexLock lock(&mutex_);
    active_ = true;
    ++turn_;
    Allow(0, 0);
  }
  Register();
}

void NearMembership::RegisterIn(uint64_t turn) {
  {
    MutexLock lock(&mutex_);
    // Another chain has begun since.
    if (turn != turn_) return;
  }
  Register();
}

// One at a time, so that of two answers the later one is that to the later question.
void NearMembership::Register() {
  const MemberTerms terms = Terms();
  const int64_t now = clock_->NowNanos();
  uint64_t turn = 0;
  {
    MutexLock lock(&mutex_);
    if (!active_ || is_asking_) return;
    turn = turn_;
    // Others may know of the smaller bound from now on.
    if (terms.bound_nanos < known_bound_nanos_) Allow(until_nanos_, terms.bound_nanos);
    is_asking_ = terms.bound_nanos > 0;
  }
  // Who serves nothing by its age is nobody to be waited for.
  if (terms.bound_nanos == 0) {
    return scheduler_->At(now + std::min(terms.hold_nanos / kPerHold, kLongestBetween),
                          [this, turn] { RegisterIn(turn); });
  }
  store_->Register(terms, [this, turn, now, terms](const absl::StatusOr<Registration>& registration) {
    OnRegistered(turn, now, terms, registration);
  });
}

void NearMembership::OnRegistered(uint64_t turn, int64_t sent_nanos, const MemberTerms& terms,
                                  const absl::StatusOr<Registration>& registration) {
  int64_t next = sent_nanos + std::min(terms.hold_nanos / kPerHold, kLongestBetween);
  uint64_t present = 0;
  {
    MutexLock lock(&mutex_);
    is_asking_ = false;
    if (!active_) return;
    present = turn_;
    if (turn != turn_) {
      next = sent_nanos;
    } else if (registration.ok() && registration->counts) {
      // Others have not waited for what it had read by then, or not for as long as it would now be served.
      if (!registration->was_member || terms.bound_nanos > known_bound_nanos_) {
        for (Keyspace* space : engine_->keyspaces()) space->ForgetNear();
      }
      Allow(sent_nanos + terms.hold_nanos, terms.bound_nanos);
    } else {
      // What was allowed goes on to its end.
      next = std::min(next, clock_->NowNanos() + kRetryAfter);
    }
  }
  scheduler_->At(next, [this, present] { RegisterIn(present); });
}

}  // namespace larder
