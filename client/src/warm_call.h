// One Warm stream.
#ifndef LARDER_CLIENT_SRC_WARM_CALL_H_
#define LARDER_CLIENT_SRC_WARM_CALL_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "client/src/breaker.h"
#include "client/src/call_env.h"
#include "client/src/call_queue.h"
#include "client/src/replica.h"
#include "client/src/unary_call.h"
#include "client/src/warm_feed.h"
#include "core/mutex.h"
#include "grpcpp/alarm.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/async_stream.h"
#include "larder/cache.h"
#include "larder/v1/cache.grpc.pb.h"

namespace larder::internal {

// Writes what the feed gives, one entry at a time as the stream takes it, while it reads the progress. Never sent
// twice. Deletes itself once it has called back. All of it happens on its queue's thread, but for the start and the
// feed's `ready`.
class WarmCall final : private ActiveCall {
 public:
  // `attempts` is 0 if the stream was not even begun.
  using Done = absl::AnyInvocable<void(absl::StatusOr<WarmProgress>, const CallEnd&) &&>;

  // `env` must outlive the call.
  static void Start(CallEnv* env, std::shared_ptr<WarmFeed> feed, WarmOptions options, Done done);

 private:
  // An operation of the stream; at most one of each is under way.
  class Operation final : public Event {
   public:
    Operation(WarmCall* call, void (WarmCall::*on_end)(bool)) : call_(call), on_end_(on_end) {}
    void OnEvent(bool ok) override;

   private:
    WarmCall* const call_;
    void (WarmCall::*const on_end_)(bool);
  };

  // What the feed's `ready` holds on to: it may come when the call is gone.
  struct Waker {
    Mutex mutex;
    WarmCall* call ABSL_GUARDED_BY(mutex) = nullptr;  // null once the stream has ended
    bool armed ABSL_GUARDED_BY(mutex) = false;        // the alarm is on its way
  };

  WarmCall(CallEnv* env, std::shared_ptr<WarmFeed> feed, WarmOptions options, Done done);
  ~WarmCall() override = default;

  void Begin();
  // As UnaryCall's: ends a stream that was never begun.
  void Refuse(absl::Status why);
  void OnStarted(bool ok);
  void OnWritten(bool ok);
  void OnRead(bool ok);
  void OnFinished(bool ok);
  void OnWoken(bool ok);

  void WriteNext();
  void FinishStream();
  void Take(const v1::WarmProgress& message);
  void Settle(absl::Status status);
  void Cancel() override;

  // What waits for `operation` to end.
  void* Tag(Operation* operation);

  CallEnv* const env_;
  CallQueue* const queue_;
  const std::shared_ptr<WarmFeed> feed_;
  const WarmOptions options_;
  Done done_;

  Operation started_{this, &WarmCall::OnStarted};
  Operation written_{this, &WarmCall::OnWritten};
  Operation read_{this, &WarmCall::OnRead};
  Operation finished_{this, &WarmCall::OnFinished};
  Operation woken_{this, &WarmCall::OnWoken};

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<v1::WarmRequest, v1::WarmProgress>> stream_;
  v1::WarmRequest request_;
  v1::WarmProgress message_;
  grpc::Status status_;
  std::optional<grpc::Alarm> alarm_;
  const std::shared_ptr<Waker> waker_ = std::make_shared<Waker>();

  std::shared_ptr<Replica> replica_;
  WarmProgress total_;
  absl::Status refusal_;  // not OK: why it is never begun
  CallEnd end_;
  Breaker::Verdict verdict_ = Breaker::Verdict::kCall;
  int pending_ = 0;  // operations under way
  bool entered_ = false;
  bool writing_over_ = false;  // nothing more will be written
  bool reading_over_ = false;
  bool complete_ = false;  // the last message came
  bool cancelled_ = false;
  bool ended_ = false;  // the stream's status is known
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_WARM_CALL_H_
