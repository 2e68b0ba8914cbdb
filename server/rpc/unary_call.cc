#include "server/rpc/unary_call.h"

#include <grpc/support/time.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/wire.h"

namespace larder {

CallContext ContextOf(const grpc::ServerContext& context, const Clock& clock) {
  const gpr_timespec deadline = context.raw_deadline();
  if (gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) == 0) return {};
  const gpr_timespec left = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
  // Beyond a day the end does not matter, and must not overflow.
  constexpr int64_t kMaxSeconds = 24 * 3600;
  if (left.tv_sec >= kMaxSeconds) return {};
  return {.deadline_nanos = clock.NowNanos() + left.tv_sec * kNanosPerSecond + left.tv_nsec};
}

void UnaryCall::Arm(UnaryMethod* method, RpcQueue* queue) {
  for (int i = 0; i < method->armed; ++i) new UnaryCall(method, queue);
}

UnaryCall::UnaryCall(UnaryMethod* method, RpcQueue* queue) : counted_(queue->calls), method_(method), queue_(queue) {
  method_->request(&context_, &request_, &responder_, queue_->queue.get(), static_cast<CallTag*>(this));
}

void UnaryCall::Proceed(bool ok) {
  // The server is shutting down, or the answer has been sent (or its caller is gone: nothing is left to do for it).
  if (!ok || state_ == State::kFinished) {
    delete this;
    return;
  }
  new UnaryCall(method_, queue_);
  state_ = State::kHandling;
  started_nanos_ = queue_->clock->NowNanos();
  method_->metrics.Started();
  call_context_ = ContextOf(context_, *queue_->clock);
  if (call_context_.deadline_nanos <= started_nanos_) {
    return Fail(absl::DeadlineExceededError("the deadline had passed when the call arrived"));
  }
  method_->handle(this);
}

void UnaryCall::Finish(const grpc::ByteBuffer& response) {
  method_->metrics.Handled(grpc::StatusCode::OK, queue_->clock->NowNanos() - started_nanos_);
  state_ = State::kFinished;
  responder_.Finish(response, grpc::Status::OK, static_cast<CallTag*>(this));
}

void UnaryCall::Answer(GetAnswer answer, const Terms& terms) {
  Finish(SerializeAnswer(std::move(answer), terms.incarnation));
}

void UnaryCall::Answer(std::vector<BatchGetItem> items, const Terms& terms) {
  Finish(SerializeBatch(std::move(items), terms.max_response_bytes, terms.incarnation));
}

void UnaryCall::Answer(const google::protobuf::MessageLite& response) { Finish(Serialize(response)); }

void UnaryCall::Fail(const absl::Status& status, uint64_t version) {
  if (version != 0) context_.AddTrailingMetadata("larder-version", absl::StrCat(version));
  const grpc::Status failure = ToGrpcStatus(status);
  method_->metrics.Handled(failure.error_code(), queue_->clock->NowNanos() - started_nanos_);
  state_ = State::kFinished;
  responder_.FinishWithError(failure, static_cast<CallTag*>(this));
}

}  // namespace larder
