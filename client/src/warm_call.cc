#include "client/src/warm_call.h"

#include <chrono>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/wire.h"

namespace larder::internal {
namespace {

constexpr size_t kMaxFailures = 100;  // kept of the whole stream

}  // namespace

void WarmCall::Start(CallEnv* env, std::shared_ptr<WarmFeed> feed, WarmOptions options, Done done) {
  (new WarmCall(env, std::move(feed), std::move(options), std::move(done)))->Begin();
}

WarmCall::WarmCall(CallEnv* env, std::shared_ptr<WarmFeed> feed, WarmOptions options, Done done)
    : env_(env),
      queue_(env->NextQueue()),
      feed_(std::move(feed)),
      options_(std::move(options)),
      done_(std::move(done)) {
  MutexLock lock(&waker_->mutex);
  waker_->call = this;
}

void* WarmCall::Tag(Operation* operation) {
  ++pending_;
  return static_cast<Event*>(operation);
}

void WarmCall::Operation::OnEvent(bool ok) {
  WarmCall* const call = call_;
  --call->pending_;
  (call->*on_end_)(ok);
  if (!call->ended_ || call->pending_ > 0) return;
  call->Settle(call->refusal_.ok() ? call->env_->ToAbsl(call->status_, call->context_) : call->refusal_);
}

void WarmCall::Refuse(absl::Status why) {
  const NestedEnd nested;
  if (!nested.too_deep() || !queue_->Enter(this)) return Settle(std::move(why));
  entered_ = true;
  refusal_ = std::move(why);
  alarm_.emplace();
  alarm_->Set(queue_->queue(), DeadlineAfter(0), Tag(&woken_));
}

void WarmCall::Begin() {
  verdict_ = env_->breaker.Admit();
  if (verdict_ == Breaker::Verdict::kRefuse) return Refuse(env_->BreakerIsOpen());
  replica_ = env_->replicas.Pick(0, {});
  if (replica_ == nullptr) return Refuse(env_->NoReplica());
  const auto deadline = std::chrono::nanoseconds(options_.deadline).count();
  context_.set_deadline(DeadlineAfter(deadline));
  if (absl::Status status = env_->AddToken(&context_); !status.ok()) return Refuse(std::move(status));
  if (!queue_->Enter(this)) return Refuse(ClientIsClosing());
  entered_ = true;
  end_.attempts = 1;
  end_.replica = replica_->id();
  replica_->in_flight().fetch_add(1, std::memory_order_relaxed);
  stream_ = replica_->stub().PrepareAsyncWarm(&context_, queue_->queue());
  stream_->StartCall(Tag(&started_));
}

void WarmCall::OnStarted(bool ok) {
  if (!ok) {
    writing_over_ = reading_over_ = true;
    return FinishStream();
  }
  stream_->Read(&message_, Tag(&read_));
  WriteNext();
}

void WarmCall::WriteNext() {
  WarmFeed::Pulled pulled = feed_->Pull([waker = waker_] {
    MutexLock lock(&waker->mutex);
    if (waker->call == nullptr) return;
    waker->armed = true;
    waker->call->alarm_.emplace();
    waker->call->alarm_->Set(waker->call->queue_->queue(), DeadlineAfter(0), static_cast<Event*>(&waker->call->woken_));
  });
  switch (pulled.kind) {
    case WarmFeed::Kind::kItem:
      request_ = ToWarmMessage(std::move(pulled.item), options_.name_space);
      return stream_->Write(request_, Tag(&written_));
    case WarmFeed::Kind::kEnd:
      writing_over_ = true;
      return stream_->WritesDone(Tag(&written_));
    case WarmFeed::Kind::kLater:
      return;
  }
}

void WarmCall::OnWritten(bool ok) {
  if (!ok) writing_over_ = true;  // the stream is broken; its status says why
  if (!writing_over_ && !reading_over_) WriteNext();
}

void WarmCall::OnWoken(bool /*ok*/) {
  if (!refusal_.ok()) {
    ended_ = true;
    return;
  }
  {
    MutexLock lock(&waker_->mutex);
    waker_->armed = false;
    if (waker_->call != nullptr) ++pending_;  // nobody had counted it
  }
  if (!reading_over_) WriteNext();
}

void WarmCall::OnRead(bool ok) {
  if (!ok) {
    reading_over_ = true;
    return FinishStream();
  }
  Take(message_);
  stream_->Read(&message_, Tag(&read_));
}

void WarmCall::Take(const v1::WarmProgress& message) {
  WarmProgress progress = FromMessage(message);
  if (options_.progress) options_.progress(progress);
  std::vector<WarmFailure> failures = std::move(total_.failures);
  for (WarmFailure& failure : progress.failures) {
    if (failures.size() < kMaxFailures) failures.push_back(std::move(failure));
  }
  total_ = std::move(progress);
  total_.failures = std::move(failures);
  complete_ = message.finished();
}

void WarmCall::FinishStream() { stream_->Finish(&status_, Tag(&finished_)); }

void WarmCall::OnFinished(bool /*ok*/) {
  ended_ = true;
  MutexLock lock(&waker_->mutex);
  waker_->call = nullptr;
  if (waker_->armed) ++pending_;
}

void WarmCall::Settle(absl::Status status) {
  const bool begun = stream_ != nullptr;
  if (begun) replica_->in_flight().fetch_sub(1, std::memory_order_relaxed);
  if (status.code() == absl::StatusCode::kCancelled && !cancelled_ && begun) {
    status = absl::UnavailableError(absl::StrCat("the service cancelled the stream: ", std::string(status.message())));
  }
  if (verdict_ != Breaker::Verdict::kRefuse) {
    if (status.code() == absl::StatusCode::kUnavailable) {
      env_->breaker.OnFailure(verdict_, status);
    } else if (cancelled_ || !begun || status.code() == absl::StatusCode::kDeadlineExceeded) {
      env_->breaker.OnNothingLearned(verdict_);
    } else {
      env_->breaker.OnSuccess(verdict_);
    }
  }
  if (status.ok() && !complete_) status = absl::InternalError("the stream ended without its last report");
  if (status.ok()) {
    std::move(done_)(std::move(total_), end_);
  } else {
    std::move(done_)(std::move(status), end_);
  }
  if (entered_) queue_->Leave(this);
  delete this;
}

void WarmCall::Cancel() {
  cancelled_ = true;
  context_.TryCancel();
}

}  // namespace larder::internal
