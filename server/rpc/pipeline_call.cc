#include "server/rpc/pipeline_call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

// Bytes of requests that are dealt with before other calls on the same queue have their turn: some hundred Gets.
constexpr size_t kTurnBytes = size_t{32} << 10;

// Beyond this a timeout does not matter, and must not overflow.
constexpr int64_t kMaxTimeoutMs = int64_t{24} * 3600 * 1000;

}  // namespace

// One that has been begun. Holds the stream until it is answered.
class PipelineCall::Operation final : public Exchange {
 public:
  Operation(std::shared_ptr<PipelineCall> call, uint64_t id, int field, const CallContext& context)
      : call_(std::move(call)), id_(id), field_(field), context_(context) {}

  const CallContext& context() const override { return context_; }

  void Answer(GetAnswer answer, const Terms& terms) override {
    Answered(GetResponseWriter(std::move(answer), terms.incarnation));
  }
  void Answer(std::vector<BatchGetItem> items, const Terms& terms) override {
    const size_t room = terms.max_response_bytes - PipelineResults::kFrameBytes;
    Answered(WriteBatch(std::move(items), room, terms.incarnation));
  }
  void Answer(const google::protobuf::MessageLite& response) override { Answered(response); }

  using Exchange::Fail;
  void Fail(const absl::Status& status, uint64_t version) override {
    const std::unique_ptr<Operation> self(this);
    call_->Failed(id_, field_, status, version);
  }

 private:
  template <typename Answer>
  void Answered(Answer&& answer) {
    const std::unique_ptr<Operation> self(this);
    call_->Answered(id_, field_, std::forward<Answer>(answer));
  }

  const std::shared_ptr<PipelineCall> call_;
  const uint64_t id_;
  const int field_;
  const CallContext context_;
};

void PipelineCall::OnStart() {
  if (absl::Status status = pipelines_->Add(std::static_pointer_cast<PipelineCall>(shared_from_this())); !status.ok()) {
    return Finish(status);
  }
  added_ = true;
  stream_context_ = call_context();
  Advance();
}

void PipelineCall::OnMessage(const grpc::ByteBuffer* message) {
  {
    MutexLock lock(&mutex_);
    reading_ = false;
    if (closed_) return;
  }
  if (message == nullptr) {
    EndWith(absl::OkStatus());
  } else if (absl::Status status = Open(*message); !status.ok()) {
    EndWith(status);
  }
  Advance();
}

absl::Status PipelineCall::Open(const grpc::ByteBuffer& message) {
  if (!message_.Hold(message)) return absl::InternalError("the message cannot be read");
  incoming()->Clear();
  const absl::StatusOr<size_t> count = CountOperations(message_.view());
  if (!count.ok()) return count.status();
  if (*count > pipelines_->options().max_operations) {
    return absl::InvalidArgumentError(absl::StrCat("operations: ", *count, " in one message, the limit is ",
                                                   pipelines_->options().max_operations,
                                                   " (grpc.max_pipeline_operations)"));
  }
  reader_ = PipelineReader(message_.view());
  arrived_nanos_ = clock().NowNanos();
  return absl::OkStatus();
}

void PipelineCall::OnWritten() {
  {
    MutexLock lock(&mutex_);
    writing_ = false;
    writing_bytes_ = 0;
  }
  Advance();
}

void PipelineCall::OnPosted() {
  {
    MutexLock lock(&mutex_);
    posted_ = false;
  }
  Advance();
}

void PipelineCall::OnClosed() {
  {
    MutexLock lock(&mutex_);
    closed_ = true;
    results_.Clear();
  }
  reader_ = PipelineReader();
  message_.Clear();
  if (std::exchange(added_, false)) pipelines_->Remove(this);
}

void PipelineCall::End() {
  EndWith(absl::UnavailableError("the server is shutting down"));
  MutexLock lock(&mutex_);
  if (closed_ || advancing_ || posted_) return;
  posted_ = true;
  Post();
}

void PipelineCall::EndWith(const absl::Status& status) {
  MutexLock lock(&mutex_);
  // A caller that has sent its last is told that all is well, though the server may be about to stop: all was answered.
  if (!ending_ || status.ok()) end_ = status;
  ending_ = true;
}

void PipelineCall::Advance() {
  {
    MutexLock lock(&mutex_);
    if (closed_) return;
    advancing_ = true;
  }
  BeginOperations();
  if (!reader_.has_next()) message_.Clear();
  MutexLock lock(&mutex_);
  advancing_ = false;
  if (closed_) return;
  WriteAnswers();
  GoOn();
}

void PipelineCall::BeginOperations() {
  for (size_t done = 0; done < kTurnBytes && reader_.has_next();) {
    if (!TakeRoom()) return;
    const EncodedOperation operation = reader_.Take();
    done += operation.size;
    Begin(operation);
  }
}

bool PipelineCall::HasRoom() const {
  return under_way_ < pipelines_->options().max_operations &&
         results_.bytes() + writing_bytes_ < pipelines_->options().max_bytes;
}

bool PipelineCall::TakeRoom() {
  MutexLock lock(&mutex_);
  if (!HasRoom()) return false;
  ++under_way_;
  return true;
}

void PipelineCall::Begin(const EncodedOperation& encoded) {
  if (!encoded.problem.ok()) return Failed(encoded.id, encoded.field, encoded.problem, 0);
  CallContext context = stream_context_;
  if (encoded.timeout_ms > 0 && encoded.timeout_ms < kMaxTimeoutMs) {
    context.deadline_nanos = std::min(context.deadline_nanos, arrived_nanos_ + encoded.timeout_ms * kNanosPerMilli);
    if (context.deadline_nanos <= clock().NowNanos()) {
      return Failed(encoded.id, encoded.field, absl::DeadlineExceededError("the deadline passed before it was begun"),
                    0);
    }
  }
  auto* operation =
      new Operation(std::static_pointer_cast<PipelineCall>(shared_from_this()), encoded.id, encoded.field, context);
  pipelines_->Run(encoded.field, RequestBody(encoded.body), operation);
}

void PipelineCall::Failed(uint64_t id, int field, const absl::Status& status, uint64_t version) {
  pipelines_->CountAnswered(field, status.raw_code());
  MutexLock lock(&mutex_);
  if (!closed_) results_.AddFailure(id, status, version);
  Ended();
}

void PipelineCall::Ended() {
  --under_way_;
  if (closed_ || advancing_ || posted_) return;
  // While a message is being sent, the queue's thread comes by when it has been; unless there is something to be taken.
  if (writing_ && !held_) return;
  posted_ = true;
  Post();
}

void PipelineCall::WriteAnswers() {
  if (writing_ || results_.empty()) return;
  const grpc::ByteBuffer message = results_.Take();
  writing_bytes_ = message.Length();
  writing_ = Write(message);
}

void PipelineCall::GoOn() {
  if (reader_.has_next()) {
    if (!HasRoom()) return Hold();
    held_ = false;
    if (posted_) return;
    posted_ = true;  // others have their turn
    return Post();
  }
  if (!ending_) {
    if (reading_) return;
    if (!HasRoom()) return Hold();
    held_ = false;
    reading_ = true;
    return Read();
  }
  held_ = false;
  if (under_way_ != 0 || writing_ || !results_.empty()) return;
  closed_ = true;
  Finish(end_);
}

void PipelineCall::Hold() {
  if (std::exchange(held_, true)) return;
  const bool by_operations = under_way_ >= pipelines_->options().max_operations;
  pipelines_->CountHeld(by_operations ? Pipelines::Held::kOperations : Pipelines::Held::kBytes);
}

}  // namespace larder
