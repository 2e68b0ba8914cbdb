#include "server/origin/load_dispatcher.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "grpcpp/completion_queue.h"
#include "server/origin/load_call.h"

namespace larder {
namespace {

// What an answer for one key has beside the value, at most: tags, content type, and the encoding's own.
constexpr size_t kMostBesideValue = 8 * 1024;

absl::Status ShutDown() { return absl::UnavailableError("the origin is no longer asked: the server is shutting down"); }

}  // namespace

LoadDispatcher::LoadDispatcher(NamespacePolicy policy, const Options& options)
    : options_(options), metrics_(*options.registry, policy.name) {
  auto stub = ConnectToOrigin(policy.origin->target, options.max_receive_bytes);
  route_ = std::make_shared<const OriginRoute>(OriginRoute{std::move(policy), std::move(stub)});
}

LoadDispatcher::~LoadDispatcher() = default;

void LoadDispatcher::ReplacePolicy(NamespacePolicy policy) {
  auto stub = ConnectToOrigin(policy.origin->target, options_.max_receive_bytes);
  Deeds deeds;
  {
    MutexLock lock(&mutex_);
    if (stopped_) return;
    const bool same_target = policy.origin->target == route_->origin().target;
    auto next = std::make_shared<const OriginRoute>(
        OriginRoute{std::move(policy), same_target ? route_->stub : std::move(stub)});
    deeds.replaced.push_back(std::exchange(route_, std::move(next)));
    if (!same_target) breaker_.Reset();
    Dispatch(options_.clock->NowNanos(), deeds);
  }
  Perform(std::move(deeds));
}

void LoadDispatcher::Load(std::string key, QueuedLoad::Done done) {
  absl::Status refusal;
  Deeds deeds;
  {
    MutexLock lock(&mutex_);
    const int64_t now = options_.clock->NowNanos();
    refusal = Admits(now);
    const size_t limit = route_->origin().max_queued;
    if (refusal.ok() && queue_.waiting() >= limit) {
      refusal = absl::ResourceExhaustedError(absl::StrCat("max_queued: ", limit, " loads wait for the origin"));
    }
    if (refusal.ok()) {
      queue_.Add(std::move(key), now, std::move(done));
      Dispatch(now, deeds);
    }
  }
  if (refusal.ok()) return Perform(std::move(deeds));
  metrics_.keys_failed.Add();
  std::move(done)(std::move(refusal));
}

absl::StatusOr<std::shared_ptr<const OriginRoute>> LoadDispatcher::Route() {
  MutexLock lock(&mutex_);
  if (absl::Status status = Admits(options_.clock->NowNanos()); !status.ok()) return status;
  return route_;
}

void LoadDispatcher::Shutdown() {
  Deeds deeds;
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
    Fail(queue_.TakeAll(), ShutDown(), deeds);
    for (const auto& [call, owned] : calls_) call->Cancel();
  }
  Perform(std::move(deeds));
  MutexLock lock(&mutex_);
  while (!calls_.empty() || ending_ != 0) idle_.Wait(&mutex_);
}

absl::Status LoadDispatcher::Admits(int64_t now_nanos) const {
  return stopped_ ? ShutDown() : breaker_.Admits(now_nanos);
}

void LoadDispatcher::Dispatch(int64_t now_nanos, Deeds& deeds) {
  const OriginPolicy& origin = route_->origin();
  // Who asked has most likely given up, and the call is better spent on who has not.
  Fail(queue_.TakeOlder(now_nanos - origin.hard_timeout_ms * kNanosPerMilli),
       absl::DeadlineExceededError(
           absl::StrCat("no call of the origin was free within ", origin.hard_timeout_ms, " ms")),
       deeds);
  while (!queue_.empty() && calls_.size() < static_cast<size_t>(origin.max_concurrent) &&
         breaker_.Admits(now_nanos).ok()) {
    const int64_t due_nanos = queue_.since_nanos() + origin.batch_delay_ms * kNanosPerMilli;
    if (queue_.keys() < BatchKeys() && now_nanos < due_nanos) {
      ArmTimer(due_nanos);
      break;
    }
    deeds.starts.push_back(BeginCall(now_nanos, deeds));
  }
  metrics_.SetQueued(queue_.waiting());
  metrics_.SetBreaker(breaker_.state());
}

LoadCall* LoadDispatcher::BeginCall(int64_t now_nanos, Deeds& deeds) {
  if (breaker_.state() != OriginBreaker::State::kClosed) {
    // The old connection may be one on which nobody answers any more.
    auto stub = ConnectToOrigin(route_->origin().target, options_.max_receive_bytes);
    auto next = std::make_shared<const OriginRoute>(OriginRoute{route_->policy, std::move(stub)});
    deeds.replaced.push_back(std::exchange(route_, std::move(next)));
  }
  auto call =
      std::make_unique<LoadCall>(shared_from_this(), route_, queue_.Take(BatchKeys()), breaker_.Begin(), now_nanos);
  LoadCall* const begun = call.get();
  calls_.emplace(begun, std::move(call));
  return begun;
}

void LoadDispatcher::Fail(LoadQueue::Loads loads, const absl::Status& why, Deeds& deeds) {
  for (QueuedLoad& load : loads) deeds.failures.emplace_back(std::move(load), why);
  metrics_.SetQueued(queue_.waiting());
}

void LoadDispatcher::NoteEnd(const LoadCall& call, int64_t now_nanos, Deeds& deeds) {
  if (call.status().ok()) {
    metrics_.calls_ok.Add();
    return breaker_.Succeeded(call.ticket());
  }
  const bool timed_out = absl::IsDeadlineExceeded(call.status());
  const bool invalid = absl::IsFailedPrecondition(call.status());
  (timed_out ? metrics_.calls_timed_out : invalid ? metrics_.calls_invalid : metrics_.calls_failed).Add();
  const OriginPolicy& origin = route_->origin();
  const int64_t until_nanos = now_nanos + origin.breaker_pause_ms * kNanosPerMilli;
  if (stopped_ || !breaker_.Failed(call.ticket(), call.status(), origin.breaker_failures, until_nanos)) return;
  Fail(queue_.TakeAll(), breaker_.Admits(now_nanos), deeds);
}

size_t LoadDispatcher::BatchKeys() const {
  // So many that the largest answer which the namespace allows is one that gRPC lets through.
  const size_t largest = route_->policy.max_value_bytes + kMostBesideValue;
  const size_t fitting = static_cast<size_t>(options_.max_receive_bytes) / largest;
  return std::clamp<size_t>(fitting, 1, route_->origin().batch_keys);
}

void LoadDispatcher::ArmTimer(int64_t when_nanos) {
  if (std::exchange(timer_armed_, true)) return;  // for a key that came before, and so is due before
  options_.scheduler->At(when_nanos, [weak = weak_from_this()] {
    if (const std::shared_ptr<LoadDispatcher> self = weak.lock()) self->OnTimer();
  });
}

void LoadDispatcher::OnTimer() {
  Deeds deeds;
  {
    MutexLock lock(&mutex_);
    timer_armed_ = false;
    if (stopped_) return;
    Dispatch(options_.clock->NowNanos(), deeds);
  }
  Perform(std::move(deeds));
}

void LoadDispatcher::OnEnd(LoadCall* call) {
  const std::shared_ptr<LoadDispatcher> self = shared_from_this();  // the call may be the last to hold it
  Deeds deeds;
  std::unique_ptr<LoadCall> ended;
  {
    MutexLock lock(&mutex_);
    const int64_t now = options_.clock->NowNanos();
    metrics_.call_latency.Record(now - call->began_nanos());
    const auto found = calls_.find(call);
    ended = std::move(found->second);
    calls_.erase(found);
    ++ending_;
    if (stopped_ && !ended->status().ok()) ended->set_status(ShutDown());
    NoteEnd(*ended, now, deeds);
    if (!stopped_) Dispatch(now, deeds);
  }
  Perform(std::move(deeds));
  ended->Answer(metrics_);
  ended.reset();
  MutexLock lock(&mutex_);
  --ending_;
  idle_.NotifyAll();
}

void LoadDispatcher::Perform(Deeds deeds) {
  for (LoadCall* call : deeds.starts) call->Start(options_.loop->queue());
  for (auto& [load, why] : deeds.failures) {
    metrics_.keys_failed.Add();
    std::move(load).Finish(std::move(why));
  }
}

}  // namespace larder
