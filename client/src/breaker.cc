#include "client/src/breaker.h"

namespace larder::internal {

Breaker::Verdict Breaker::Admit() {
  if (state() == ServiceState::kUp) return Verdict::kCall;
  absl::Status why;
  {
    MutexLock lock(&mutex_);
    if (state() == ServiceState::kUp) return Verdict::kCall;
    const int64_t now = clock_->NowNanos();
    if (now < next_probe_nanos_) return Verdict::kRefuse;
    next_probe_nanos_ = now + open_for_nanos();
    if (state() == ServiceState::kProbing) return Verdict::kProbe;
    why = reason_;
    Turn(ServiceState::kProbing, why);
  }
  Tell(ServiceState::kProbing, why);
  return Verdict::kProbe;
}

void Breaker::OnSuccess(Verdict verdict) {
  if (failures_.load(std::memory_order_relaxed) != 0) failures_.store(0, std::memory_order_relaxed);
  if (verdict != Verdict::kProbe) return;
  {
    MutexLock lock(&mutex_);
    if (state() == ServiceState::kUp) return;
    Turn(ServiceState::kUp, absl::OkStatus());
  }
  Tell(ServiceState::kUp, absl::OkStatus());
}

void Breaker::OnFailure(Verdict verdict, const absl::Status& why) {
  if (options_.consecutive_failures == 0) return;
  // Calls made before it opened say nothing new; only a probe speaks while it is not closed.
  if (verdict != Verdict::kProbe && state() != ServiceState::kUp) return;
  const int failures = failures_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (verdict != Verdict::kProbe && failures < options_.consecutive_failures) return;
  {
    MutexLock lock(&mutex_);
    if ((state() == ServiceState::kUp) == (verdict == Verdict::kProbe)) return;
    failures_.store(0, std::memory_order_relaxed);
    next_probe_nanos_ = clock_->NowNanos() + open_for_nanos();
    Turn(ServiceState::kDown, why);
  }
  Tell(ServiceState::kDown, why);
}

void Breaker::OnNothingLearned(Verdict verdict) {
  if (verdict != Verdict::kProbe) return;
  absl::Status why;
  {
    MutexLock lock(&mutex_);
    if (state() != ServiceState::kProbing) return;
    why = reason_;
    next_probe_nanos_ = clock_->NowNanos();  // the next call is the probe
    Turn(ServiceState::kDown, why);
  }
  Tell(ServiceState::kDown, why);
}

absl::Status Breaker::reason() const {
  MutexLock lock(&mutex_);
  return reason_;
}

void Breaker::Turn(ServiceState state, const absl::Status& why) {
  reason_ = why;
  state_.store(state, std::memory_order_release);
}

void Breaker::Tell(ServiceState state, const absl::Status& why) const {
  if (observer_ != nullptr) observer_->OnState(state, why);
}

}  // namespace larder::internal
