// One call of the application's: its attempts, on one replica after the other, until one of them settles it.
#ifndef LARDER_CLIENT_SRC_UNARY_CALL_H_
#define LARDER_CLIENT_SRC_UNARY_CALL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/src/breaker.h"
#include "client/src/call_env.h"
#include "client/src/call_queue.h"
#include "client/src/replica.h"
#include "grpcpp/alarm.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/async_unary_call.h"
#include "larder/v1/cache.grpc.pb.h"

namespace larder::internal {

// How a call ended, besides its status.
struct CallEnd {
  int attempts = 0;
  uint16_t replica = 0;      // of the last attempt; 0: there was none
  int64_t sent_nanos = 0;    // when the last attempt was sent
  uint64_t incarnation = 0;  // of a Get that went with others: of who answered
};

// Deletes itself once it has called back.
template <typename Request, typename Response, auto kPrepareAsync>
class UnaryCall final : private Event, private ActiveCall {
 public:
  // Called exactly once: on the queue's thread, or within Start() where the breaker is open, no replica is known, or
  // the client is being destroyed.
  using Done = absl::AnyInvocable<void(const absl::Status&, Response&&, const CallEnd&) &&>;
  // Called before each attempt, with its number from 1.
  using Adapt = absl::AnyInvocable<void(Request&, const Replica&, int attempt)>;

  // `env` must outlive the call. `adapt` may be null.
  static void Start(CallEnv* env, CallSpec spec, Request request, Adapt adapt, Done done) {
    auto* call = new UnaryCall(env, std::move(spec), std::move(request), std::move(adapt), std::move(done));
    call->Begin();
  }

 private:
  UnaryCall(CallEnv* env, CallSpec spec, Request request, Adapt adapt, Done done)
      : env_(env),
        queue_(env->NextQueue()),
        spec_(std::move(spec)),
        adapt_(std::move(adapt)),
        done_(std::move(done)),
        request_(std::move(request)) {}
  ~UnaryCall() override = default;

  void Begin() {
    env_->LimitBlame(&spec_);
    verdict_ = env_->breaker.Admit();
    if (verdict_ == Breaker::Verdict::kRefuse) return Refuse(env_->BreakerIsOpen());
    env_->budget.OnCall();
    replica_ = spec_.replica != nullptr ? spec_.replica : env_->replicas.Pick(spec_.route, {});
    if (replica_ == nullptr) return Refuse(env_->NoReplica());
    if (absl::Status status = PrepareContext(); !status.ok()) return Refuse(std::move(status));
    if (!queue_->Enter(this)) return Refuse(ClientIsClosing());
    entered_ = true;
    Send();
  }

  // Ends a call that was never sent. At once; but from the queue's thread once callbacks that make calls which are
  // refused are nested too deeply, lest they use up the stack.
  void Refuse(absl::Status why) {
    if (verdict_ != Breaker::Verdict::kRefuse) env_->breaker.OnNothingLearned(verdict_);
    const NestedEnd nested;
    if (!nested.too_deep() || !queue_->Enter(this)) return Finish(why);
    entered_ = true;
    refusal_ = std::move(why);
    WakeAfter(0);
  }

  void WakeAfter(int64_t nanos) {
    waiting_ = true;
    alarm_.emplace();
    alarm_->Set(queue_->queue(), DeadlineAfter(nanos), static_cast<Event*>(this));
  }

  absl::Status PrepareContext() {
    reader_.reset();  // it lives in the memory of the context's call
    context_.emplace();
    const bool another_may_follow = spec_.repeatable && end_.attempts + 1 < env_->options.retry.max_attempts;
    return env_->FillContext(&*context_, spec_, another_may_follow);
  }

  void Send() {
    ++end_.attempts;
    end_.replica = replica_->id();
    end_.sent_nanos = env_->clock.NowNanos();
    if (adapt_) adapt_(request_, *replica_, end_.attempts);
    replica_->in_flight().fetch_add(1, std::memory_order_relaxed);
    reader_ = (replica_->stub().*kPrepareAsync)(&*context_, request_, queue_->queue());
    reader_->StartCall();
    reader_->Finish(&response_, &status_, static_cast<Event*>(this));
  }

  // An attempt has ended, or a pause before the next one.
  void OnEvent(bool /*ok*/) override {
    if (waiting_) {
      waiting_ = false;
      if (!refusal_.ok()) return Finish(refusal_);
      return cancelled_ ? Settle(ClientIsClosing()) : Again();
    }
    replica_->in_flight().fetch_sub(1, std::memory_order_relaxed);
    const absl::Status status = env_->ToAbsl(status_, *context_);
    if (status.code() == absl::StatusCode::kUnavailable) env_->resolver.LookSoon();
    if (!WorthAnother(status)) return Settle(status);
    tried_.push_back(replica_);
    const int64_t pause = env_->Backoff(end_.attempts);
    if (env_->clock.NowNanos() + pause >= spec_.deadline_nanos) return Settle(status);
    if (!env_->WithdrawRetry()) return Settle(status);
    last_ = status;
    WakeAfter(pause);
  }

  bool WorthAnother(const absl::Status& status) const {
    return spec_.repeatable && !cancelled_ && end_.attempts < env_->options.retry.max_attempts &&
           (status.code() == absl::StatusCode::kUnavailable ||
            // A server that is told to stop cancels calls that arrive at the last moment.
            status.code() == absl::StatusCode::kCancelled ||
            // The attempt's time ran out, not the call's.
            (status.code() == absl::StatusCode::kDeadlineExceeded && env_->options.retry.attempt_timeout.count() > 0 &&
             env_->clock.NowNanos() < spec_.deadline_nanos));
  }

  void Again() {
    absl::InlinedVector<Replica*, 4> tried;
    for (const auto& replica : tried_) tried.push_back(replica.get());
    const std::shared_ptr<Replica> next = env_->replicas.Pick(spec_.route, tried);
    if (next == nullptr) return Settle(last_);
    replica_ = next;
    response_ = Response();
    if (absl::Status status = PrepareContext(); !status.ok()) return Settle(std::move(status));
    Send();
  }

  // Tells the breaker, then the caller.
  void Settle(absl::Status status) {
    if (status.code() == absl::StatusCode::kCancelled && !cancelled_ && end_.attempts > 0) {
      status = absl::UnavailableError(absl::StrCat("the service cancelled the call: ", std::string(status.message())));
    }
    if (env_->SaysServiceIsDown(status, spec_.deadline_is_own)) {
      env_->breaker.OnFailure(verdict_, status);
    } else if (cancelled_ || end_.attempts == 0 || status.code() == absl::StatusCode::kDeadlineExceeded) {
      env_->breaker.OnNothingLearned(verdict_);
    } else {
      env_->breaker.OnSuccess(verdict_);
    }
    Finish(status);
  }

  void Finish(const absl::Status& status) {
    std::move(done_)(status, std::move(response_), end_);
    if (entered_) queue_->Leave(this);
    delete this;
  }

  void Cancel() override {
    cancelled_ = true;
    if (context_.has_value()) context_->TryCancel();
    if (waiting_) alarm_->Cancel();
  }

  CallEnv* const env_;
  CallQueue* const queue_;
  CallSpec spec_;
  Adapt adapt_;
  Done done_;

  Request request_;
  Response response_;
  grpc::Status status_;
  std::optional<grpc::ClientContext> context_;  // of the present attempt
  std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader_;
  std::optional<grpc::Alarm> alarm_;

  std::shared_ptr<Replica> replica_;
  absl::InlinedVector<std::shared_ptr<Replica>, 2> tried_;
  CallEnd end_;
  absl::Status last_;     // of the attempt before
  absl::Status refusal_;  // not OK: why it is never sent
  Breaker::Verdict verdict_ = Breaker::Verdict::kCall;
  bool entered_ = false;
  bool waiting_ = false;    // for the next attempt
  bool cancelled_ = false;  // by the client's end
};

using GetCall = UnaryCall<v1::GetRequest, v1::GetResponse, &v1::Cache::Stub::PrepareAsyncGet>;
using SetCall = UnaryCall<v1::SetRequest, v1::SetResponse, &v1::Cache::Stub::PrepareAsyncSet>;
using ReleaseCall = UnaryCall<v1::ReleaseRequest, v1::ReleaseResponse, &v1::Cache::Stub::PrepareAsyncRelease>;
using TouchCall = UnaryCall<v1::TouchRequest, v1::TouchResponse, &v1::Cache::Stub::PrepareAsyncTouch>;
using BatchGetCall = UnaryCall<v1::BatchGetRequest, v1::BatchGetResponse, &v1::Cache::Stub::PrepareAsyncBatchGet>;
using BatchSetCall = UnaryCall<v1::BatchSetRequest, v1::BatchSetResponse, &v1::Cache::Stub::PrepareAsyncBatchSet>;
using InvalidateCall =
    UnaryCall<v1::InvalidateRequest, v1::InvalidateResponse, &v1::Cache::Stub::PrepareAsyncInvalidate>;
using StatsCall = UnaryCall<v1::StatsRequest, v1::StatsResponse, &v1::Cache::Stub::PrepareAsyncStats>;

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_UNARY_CALL_H_
