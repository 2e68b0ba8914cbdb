// One Load call of the origin.
#ifndef LARDER_SERVER_ORIGIN_LOAD_CALL_H_
#define LARDER_SERVER_ORIGIN_LOAD_CALL_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/async_unary_call.h"
#include "larder/v1/origin.pb.h"
#include "server/origin/load_dispatcher.h"
#include "server/origin/load_queue.h"
#include "server/origin/origin_breaker.h"
#include "server/origin/origin_loop.h"
#include "server/origin/origin_metrics.h"
#include "server/origin/origin_wire.h"

namespace larder {

// Owned by the dispatcher, which Start() and the end of the call keep alive.
class LoadCall final : public OriginLoop::Call {
 public:
  LoadCall(std::shared_ptr<LoadDispatcher> dispatcher, std::shared_ptr<const OriginRoute> route, LoadQueue::Loads loads,
           OriginBreaker::Ticket ticket, int64_t began_nanos)
      : dispatcher_(std::move(dispatcher)),
        route_(std::move(route)),
        loads_(std::move(loads)),
        ticket_(ticket),
        began_nanos_(began_nanos) {}

  // Once; OnEnd follows, perhaps before this returns.
  void Start(grpc::CompletionQueue* queue);
  // Any thread, also before Start().
  void Cancel() { context_.TryCancel(); }

  const OriginPolicy& origin() const { return route_->origin(); }
  OriginBreaker::Ticket ticket() const { return ticket_; }
  int64_t began_nanos() const { return began_nanos_; }
  // Of the call as a whole; what became of each key is another matter. Once it has ended.
  const absl::Status& status() const { return status_; }
  void set_status(absl::Status status) { status_ = std::move(status); }

  // Runs every load's end.
  void Answer(OriginMetrics& metrics);

  void OnEnd() override;

 private:
  const std::shared_ptr<LoadDispatcher> dispatcher_;
  const std::shared_ptr<const OriginRoute> route_;
  LoadQueue::Loads loads_;
  const OriginBreaker::Ticket ticket_;
  const int64_t began_nanos_;
  grpc::ClientContext context_;
  v1::LoadResponse response_;
  grpc::Status grpc_status_;
  absl::Status status_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::LoadResponse>> reader_;
};

}  // namespace larder

#endif  // LARDER_SERVER_ORIGIN_LOAD_CALL_H_
