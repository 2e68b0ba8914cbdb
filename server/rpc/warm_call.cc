#include "server/rpc/warm_call.h"

#include <utility>

#include "larder/v1/cache.pb.h"
#include "server/rpc/wire.h"

namespace larder {
namespace {

constexpr int64_t kReportEveryNanos = 100 * kNanosPerMilli;

}  // namespace

void WarmCall::OnStart() {
  // Weak: the warmer's callbacks may come after the call has ended.
  warmer_ = std::make_shared<EntryWarmer>(engine_, &clock(), [weak = weak_from_this()] {
    if (auto self = weak.lock()) static_cast<WarmCall*>(self.get())->Advance();
  });
  {
    MutexLock lock(&mutex_);
    last_report_nanos_ = clock().NowNanos();
  }
  Advance();
}

void WarmCall::OnMessage(const grpc::ByteBuffer* message) {
  if (message == nullptr) {
    MutexLock lock(&mutex_);
    all_read_ = true;
  } else {
    v1::WarmRequest request;
    if (absl::Status status = Parse(*message, &request); !status.ok()) {
      warmer_->Refuse("", status);
    } else {
      warmer_->Submit(call_context(), ToCommand(request));
    }
    MutexLock lock(&mutex_);
    reading_ = false;
  }
  Advance();
}

void WarmCall::OnWritten() {
  {
    MutexLock lock(&mutex_);
    writing_ = false;
  }
  Advance();
}

void WarmCall::Advance() {
  MutexLock lock(&mutex_);
  if (finished_) return;
  if (!all_read_ && !reading_ && warmer_->HasRoom()) {
    reading_ = true;
    Read();
  }
  if (writing_) return;
  const int64_t now = clock().NowNanos();
  const bool last = all_read_ && warmer_->Idle();
  if (!last && !warmer_->ReportIsDue() && now - last_report_nanos_ < kReportEveryNanos) return;
  last_report_nanos_ = now;
  writing_ = Write(Serialize(ToMessage(warmer_->TakeProgress(), last)));
  if (!last) return;
  finished_ = true;
  Finish(absl::OkStatus());
}

}  // namespace larder
