#include "server/rpc/warm_jobs_call.h"

#include <utility>

#include "server/rpc/wire.h"

namespace larder {
namespace {

constexpr int64_t kTellEveryNanos = 100 * kNanosPerMilli;
// A run that makes no progress is told of all the same, so that the caller knows that the server is there.
constexpr int64_t kTellAtLeastEveryNanos = kNanosPerSecond;

v1::WarmJobState ToMessage(WarmJobStatus::State state) {
  switch (state) {
    case WarmJobStatus::State::kWaiting:
      return v1::WARM_JOB_STATE_WAITING;
    case WarmJobStatus::State::kRunning:
      return v1::WARM_JOB_STATE_RUNNING;
    case WarmJobStatus::State::kDone:
      return v1::WARM_JOB_STATE_DONE;
    case WarmJobStatus::State::kFailed:
      return v1::WARM_JOB_STATE_FAILED;
  }
  return v1::WARM_JOB_STATE_UNSPECIFIED;
}

bool HasMoved(const WarmCounts& from, const WarmCounts& to) {
  return from.found != to.found || from.written != to.written || from.skipped != to.skipped || from.failed != to.failed;
}

}  // namespace

v1::WarmJobProgress ToMessage(const WarmJobStatus& status) {
  v1::WarmJobProgress message;
  message.set_job(status.job);
  message.set_namespace_(status.name_space);
  message.set_state(ToMessage(status.state));
  message.set_found(status.counts.found);
  message.set_written(status.counts.written);
  message.set_skipped(status.counts.skipped);
  message.set_failed(status.counts.failed);
  message.set_elapsed_ms(status.elapsed_nanos / kNanosPerMilli);
  message.set_detail(status.detail);
  return message;
}

void RunWarmJobCall::OnStart() {
  v1::RunWarmJobRequest request;
  if (absl::Status status = Parse(*incoming(), &request); !status.ok()) return Finish(status);
  absl::StatusOr<WarmJobStatus> status = jobs_->Run(request.namespace_(), request.job());
  if (!status.ok()) return Finish(status.status());
  {
    MutexLock lock(&mutex_);
    told_ = *std::move(status);
    Tell();
  }
  TellLater();
}

void RunWarmJobCall::TellLater() {
  // Weak: a caller that has left is not waited for.
  scheduler_->At(clock().NowNanos() + kTellEveryNanos, [weak = weak_from_this()] {
    const auto held = weak.lock();
    if (held == nullptr) return;
    auto* const self = static_cast<RunWarmJobCall*>(held.get());
    {
      MutexLock lock(&self->mutex_);
      if (self->over_) return;
      self->Tell();
    }
    self->TellLater();
  });
}

void RunWarmJobCall::Tell() {
  if (writing_ || over_) return;
  WarmJobStatus status = jobs_->Now(told_);
  const bool ended = status.state != WarmJobStatus::State::kRunning;
  const int64_t now = clock().NowNanos();
  const bool due = told_nanos_ == 0 || now - told_nanos_ >= kTellAtLeastEveryNanos;
  if (!ended && !due && !HasMoved(told_.counts, status.counts)) return;
  told_ = std::move(status);
  told_nanos_ = now;
  writing_ = Write(Serialize(ToMessage(told_)));
  if (!ended) return;
  over_ = true;
  Finish(absl::OkStatus());
}

void RunWarmJobCall::OnWritten() {
  MutexLock lock(&mutex_);
  writing_ = false;
}

void RunWarmJobCall::OnClosed() {
  MutexLock lock(&mutex_);
  over_ = true;
}

}  // namespace larder
