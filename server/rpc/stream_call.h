// One streaming call, from its arming to its end.
#ifndef LARDER_SERVER_RPC_STREAM_CALL_H_
#define LARDER_SERVER_RPC_STREAM_CALL_H_

#include <grpc/support/time.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "core/mutex.h"
#include "grpcpp/alarm.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/async_stream.h"
#include "grpcpp/support/byte_buffer.h"
#include "server/rpc/call_tag.h"
#include "server/rpc/rpc_metrics.h"
#include "server/rpc/rpc_server.h"
#include "server/rpc/unary_call.h"

namespace larder {

// The base of a stream's handler. `Stream` is grpc::ServerAsyncReaderWriter or grpc::ServerAsyncWriter over ByteBuffer.
//
// The On... methods run on the queue's thread, one at a time; Read, Write and Finish may be called on any thread. At
// most one read and one write are under way: whoever has more to say waits for OnWritten. The call owns itself through
// the operations under way, each of which holds a reference; a handler that waits for something else keeps a weak_ptr.
template <typename Stream>
class StreamCall : public std::enable_shared_from_this<StreamCall<Stream>> {
 public:
  // The generated RequestX of a raw method, given what it needs of the call.
  using Request = std::function<void(StreamCall*, void* tag)>;
  using Make = std::function<std::shared_ptr<StreamCall>(RpcQueue*)>;

  virtual ~StreamCall() = default;
  StreamCall(const StreamCall&) = delete;
  StreamCall& operator=(const StreamCall&) = delete;

  // Asks for one call on the queue. When it arrives it asks for its successor before it is handled.
  static void Arm(RpcQueue* queue, const Make& make, const Request& request) {
    std::shared_ptr<StreamCall> call = make(queue);
    call->rearm_ = [queue, make, request] { Arm(queue, make, request); };
    call->arrived_.hold = call;
    call->context_.AsyncNotifyWhenDone(static_cast<CallTag*>(&call->closed_));
    request(call.get(), static_cast<CallTag*>(&call->arrived_));
  }

  grpc::ServerContext* context() { return &context_; }
  Stream* stream() { return &stream_; }
  grpc::ByteBuffer* incoming() { return &incoming_; }
  grpc::ServerCompletionQueue* queue() { return queue_->queue.get(); }

 protected:
  StreamCall(RpcQueue* queue, MethodMetrics* metrics) : counted_(queue->calls), queue_(queue), metrics_(metrics) {}

  virtual void OnStart() = 0;
  // `message` is null once the caller has sent its last.
  virtual void OnMessage(const grpc::ByteBuffer* message) { static_cast<void>(message); }
  virtual void OnWritten() {}
  // Once for each Post.
  virtual void OnPosted() {}
  // The call has ended: by Finish, by its caller, or by its deadline. Nothing comes after this.
  virtual void OnClosed() {}

  const Clock& clock() const { return *queue_->clock; }
  CallContext call_context() const { return ContextOf(context_, *queue_->clock); }

  // Asks for the next message; does nothing if one is being waited for or the call has ended.
  void Read() {
    MutexLock lock(&mutex_);
    if (ended_ || finish_ || read_.hold) return;
    read_.hold = this->shared_from_this();
    stream_.Read(&incoming_, static_cast<CallTag*>(&read_));
  }

  // False if a message is being sent or the call has ended: then nothing was taken.
  bool Write(const grpc::ByteBuffer& message) {
    MutexLock lock(&mutex_);
    if (ended_ || finish_ || written_.hold) return false;
    written_.hold = this->shared_from_this();
    stream_.Write(message, static_cast<CallTag*>(&written_));
    return true;
  }

  // Has OnPosted run on the queue's thread, after what is already waiting there. Not again before it has run.
  void Post() {
    MutexLock lock(&mutex_);
    if (ended_) return;
    posted_.hold = this->shared_from_this();
    if (!alarm_.has_value()) alarm_.emplace();
    alarm_->Set(queue(), gpr_time_0(GPR_CLOCK_MONOTONIC), static_cast<CallTag*>(&posted_));
  }

  // Ends the call, after the message that is being sent. Only the first counts.
  void Finish(const absl::Status& status) {
    MutexLock lock(&mutex_);
    if (ended_ || finish_) return;
    finish_ = ToGrpcStatus(status);
    metrics_->Handled(finish_->error_code(), clock().NowNanos() - started_nanos_);
    if (!written_.hold) SendFinish();
  }

 private:
  // An operation under way. Its reference also says that it is under way.
  struct Tag final : CallTag {
    using Event = void (StreamCall::*)(bool);

    Tag(StreamCall* owner, Event event) : call(owner), handle(event) {}

    void Proceed(bool ok) override {
      std::shared_ptr<StreamCall> held;
      {
        MutexLock lock(&call->mutex_);
        held = std::exchange(hold, nullptr);
      }
      (call->*handle)(ok);
    }

    StreamCall* const call;
    const Event handle;
    std::shared_ptr<StreamCall> hold;  // guarded by call->mutex_ once the call has arrived
  };

  void Arrived(bool ok) {
    if (!ok) return;  // the server is shutting down; `closed_` does not come then
    rearm_();
    {
      MutexLock lock(&mutex_);
      closed_.hold = this->shared_from_this();
    }
    started_nanos_ = clock().NowNanos();
    metrics_->Started();
    OnStart();
  }

  void ReadDone(bool ok) {
    if (!HasEnded()) OnMessage(ok ? &incoming_ : nullptr);
  }

  void WriteDone(bool ok) {
    {
      MutexLock lock(&mutex_);
      if (ended_) return;
      if (finish_) return SendFinish();
    }
    if (ok) OnWritten();
  }

  void PostDone(bool) {
    if (!HasEnded()) OnPosted();
  }

  void FinishDone(bool) {}

  void Closed(bool) {
    {
      MutexLock lock(&mutex_);
      ended_ = true;
      if (!finish_) metrics_->Handled(grpc::StatusCode::CANCELLED, clock().NowNanos() - started_nanos_);
    }
    OnClosed();
  }

  bool HasEnded() {
    MutexLock lock(&mutex_);
    return ended_;
  }

  void SendFinish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    finished_.hold = this->shared_from_this();
    stream_.Finish(*finish_, static_cast<CallTag*>(&finished_));
  }

  const CallCount::Hold counted_;
  RpcQueue* const queue_;
  MethodMetrics* const metrics_;
  std::function<void()> rearm_;
  int64_t started_nanos_ = 0;
  grpc::ServerContext context_;
  grpc::ByteBuffer incoming_;
  Stream stream_{&context_};

  Tag arrived_{this, &StreamCall::Arrived};
  Tag closed_{this, &StreamCall::Closed};
  Tag read_{this, &StreamCall::ReadDone};
  Tag written_{this, &StreamCall::WriteDone};
  Tag posted_{this, &StreamCall::PostDone};
  Tag finished_{this, &StreamCall::FinishDone};

  // Also orders the stream's operations: gRPC takes them from any thread, but one at a time.
  Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<grpc::Status> finish_ ABSL_GUARDED_BY(mutex_);
  std::optional<grpc::Alarm> alarm_ ABSL_GUARDED_BY(mutex_);  // from the first Post on
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_STREAM_CALL_H_
