// One unary call, from its arming to its answer.
#ifndef LARDER_SERVER_RPC_UNARY_CALL_H_
#define LARDER_SERVER_RPC_UNARY_CALL_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/async_unary_call.h"
#include "grpcpp/support/byte_buffer.h"
#include "server/engine/commands.h"
#include "server/rpc/call_tag.h"
#include "server/rpc/exchange.h"
#include "server/rpc/rpc_metrics.h"
#include "server/rpc/rpc_server.h"

namespace larder {

class UnaryCall;

// A method: how a call of it is asked for and what handles it. Lives as long as the server.
struct UnaryMethod {
  using Responder = grpc::ServerAsyncResponseWriter<grpc::ByteBuffer>;
  // The generated RequestX of a raw method.
  std::function<void(grpc::ServerContext*, grpc::ByteBuffer*, Responder*, grpc::ServerCompletionQueue*, void*)> request;
  // Must make sure that Finish, Answer or Fail is called once, on any thread, now or later.
  std::function<void(UnaryCall*)> handle;
  MethodMetrics metrics;
  // Calls armed on each queue: the peak that arrives at once without waiting.
  int armed = 1;
};

// Owns itself: from Arm until the answer has been handed to gRPC. A handler must not touch it after Finish, Answer or
// Fail.
class UnaryCall final : public CallTag, public Exchange {
 public:
  // Asks for `method.armed` calls on the queue. Each call that arrives asks for its successor before it is handled.
  static void Arm(UnaryMethod* method, RpcQueue* queue);

  const grpc::ByteBuffer& request() const { return request_; }

  const CallContext& context() const override { return call_context_; }

  // Exactly one of these, exactly once.
  void Finish(const grpc::ByteBuffer& response);
  void Answer(GetAnswer answer, const Terms& terms) override;
  void Answer(std::vector<BatchGetItem> items, const Terms& terms) override;
  void Answer(const google::protobuf::MessageLite& response) override;
  using Exchange::Fail;
  // A `version` goes into the trailing metadata `larder-version`.
  void Fail(const absl::Status& status, uint64_t version) override;

  void Proceed(bool ok) override;

 private:
  UnaryCall(UnaryMethod* method, RpcQueue* queue);
  ~UnaryCall() override = default;

  enum class State { kArmed, kHandling, kFinished };

  const CallCount::Hold counted_;
  UnaryMethod* const method_;
  RpcQueue* const queue_;
  State state_ = State::kArmed;
  int64_t started_nanos_ = 0;
  CallContext call_context_;
  grpc::ServerContext context_;
  grpc::ByteBuffer request_;
  UnaryMethod::Responder responder_{&context_};
};

// The time left of a call, on `clock`. The furthest future where the caller set no deadline.
CallContext ContextOf(const grpc::ServerContext& context, const Clock& clock);

}  // namespace larder

#endif  // LARDER_SERVER_RPC_UNARY_CALL_H_
