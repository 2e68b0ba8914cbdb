#include "server/rpc/health_service.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpc/health/v1/health.pb.h"
#include "server/rpc/stream_call.h"
#include "server/rpc/wire.h"

namespace larder {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr char kServiceName[] = "grpc.health.v1.Health";
constexpr int kArmed = 16;

}  // namespace

// One Watch stream: sends the state when it differs from the one sent last.
class HealthWatchCall final : public StreamCall<grpc::ServerAsyncWriter<grpc::ByteBuffer>> {
 public:
  using Base = StreamCall<grpc::ServerAsyncWriter<grpc::ByteBuffer>>;

  HealthWatchCall(RpcQueue* queue, MethodMetrics* metrics, HealthService* health)
      : Base(queue, metrics), health_(health) {}

  // The state may have changed. Any thread.
  void Refresh() {
    MutexLock lock(&mutex_);
    Send();
  }

  // Ends the stream as soon as the present state has been sent.
  void End() {
    MutexLock lock(&mutex_);
    ending_ = true;
    Send();
  }

 private:
  void OnStart() override {
    HealthCheckRequest request;
    if (absl::Status status = Parse(*incoming(), &request); !status.ok()) return Finish(status);
    {
      MutexLock lock(&mutex_);
      service_ = request.service();
    }
    if (health_->AddWatch(std::static_pointer_cast<HealthWatchCall>(shared_from_this()))) return Refresh();
    End();
  }

  void OnWritten() override {
    MutexLock lock(&mutex_);
    writing_ = false;
    Send();
  }

  void Send() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_) return;
    const HealthCheckResponse::ServingStatus status = health_->StatusOf(service_);
    if (sent_ != status) {
      HealthCheckResponse response;
      response.set_status(status);
      writing_ = Write(Serialize(response));
      sent_ = status;
    }
    if (ending_) Finish(absl::UnavailableError("the server is shutting down"));
  }

  HealthService* const health_;
  Mutex mutex_;  // taken before the health service's
  std::string service_ ABSL_GUARDED_BY(mutex_);
  std::optional<HealthCheckResponse::ServingStatus> sent_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
};

HealthService::HealthService(std::set<std::string> services, Registry* registry)
    : services_(std::move(services)),
      check_{.request = [this](grpc::ServerContext* context, grpc::ByteBuffer* incoming,
                               UnaryMethod::Responder* responder, grpc::ServerCompletionQueue* queue,
                               void* tag) { service_.RequestCheck(context, incoming, responder, queue, queue, tag); },
             .handle = [this](UnaryCall* call) { Check(call); },
             .metrics = MethodMetrics(*registry, kServiceName, "Check", "unary"),
             .armed = kArmed},
      watch_metrics_(*registry, kServiceName, "Watch", "server_stream") {}

void HealthService::Arm(RpcQueue* queue) {
  UnaryCall::Arm(&check_, queue);
  const HealthWatchCall::Base::Make make = [this](RpcQueue* on) {
    return std::make_shared<HealthWatchCall>(on, &watch_metrics_, this);
  };
  const HealthWatchCall::Base::Request request = [this](HealthWatchCall::Base* call, void* tag) {
    service_.RequestWatch(call->context(), call->incoming(), call->stream(), call->queue(), call->queue(), tag);
  };
  for (int i = 0; i < kArmed; ++i) HealthWatchCall::Arm(queue, make, request);
}

void HealthService::Check(UnaryCall* call) {
  HealthCheckRequest request;
  if (absl::Status status = Parse(call->request(), &request); !status.ok()) return call->Fail(status);
  if (!Knows(request.service())) {
    return call->Fail(absl::NotFoundError(absl::StrCat("service: \"", request.service(), "\" is not one of ours")));
  }
  HealthCheckResponse response;
  response.set_status(StatusOf(request.service()));
  call->Finish(Serialize(response));
}

HealthCheckResponse::ServingStatus HealthService::StatusOf(const std::string& name) const {
  if (!Knows(name)) return HealthCheckResponse::SERVICE_UNKNOWN;
  MutexLock lock(&mutex_);
  return serving_ ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

bool HealthService::AddWatch(std::weak_ptr<HealthWatchCall> call) {
  MutexLock lock(&mutex_);
  if (ended_) return false;
  watches_.erase(std::remove_if(watches_.begin(), watches_.end(), [](const auto& watch) { return watch.expired(); }),
                 watches_.end());
  watches_.push_back(std::move(call));
  return true;
}

std::vector<std::shared_ptr<HealthWatchCall>> HealthService::Watches() {
  std::vector<std::shared_ptr<HealthWatchCall>> alive;
  MutexLock lock(&mutex_);
  for (const auto& watch : watches_) {
    if (auto call = watch.lock()) alive.push_back(std::move(call));
  }
  return alive;
}

void HealthService::SetServing(bool serving) {
  {
    MutexLock lock(&mutex_);
    serving_ = serving;
  }
  for (const auto& watch : Watches()) watch->Refresh();
}

void HealthService::EndWatches() {
  {
    MutexLock lock(&mutex_);
    ended_ = true;
  }
  for (const auto& watch : Watches()) watch->End();
}

}  // namespace larder
