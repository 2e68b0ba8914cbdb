#include "server/rpc/cache_service.h"

#include <string_view>
#include <utility>

#include "larder/v1/cache.pb.h"
#include "server/rpc/pipeline_call.h"
#include "server/rpc/stats_wire.h"
#include "server/rpc/warm_call.h"
#include "server/rpc/watch_call.h"
#include "server/rpc/wire.h"

namespace larder {
namespace {

constexpr char kServiceName[] = "larder.v1.Cache";

// Calls armed on each queue. What arrives beyond that waits in gRPC until one is re-armed.
constexpr int kArmedForTraffic = 256;
constexpr int kArmedForOthers = 16;
constexpr int kArmedStreams = 16;

}  // namespace

CacheService::CacheService(Options options, CacheEngine* engine, Store* store, const Clock* clock, Scheduler* scheduler,
                           Registry* registry)
    : options_(std::move(options)),
      engine_(engine),
      store_(store),
      clock_(clock),
      started_nanos_(clock->NowNanos()),
      warm_metrics_(*registry, kServiceName, "Warm", "bidi_stream"),
      watch_metrics_(*registry, kServiceName, "Watch", "server_stream"),
      pipeline_metrics_(*registry, kServiceName, "Pipeline", "bidi_stream"),
      operations_({.incarnation = options_.incarnation, .max_response_bytes = options_.max_response_bytes}, engine),
      watches_({.incarnation = options_.incarnation, .max_watchers = options_.max_watchers}, engine, clock, scheduler,
               registry),
      pipelines_({.max_operations = options_.max_pipeline_operations, .max_bytes = options_.max_pipeline_bytes},
                 &operations_, registry) {
  const auto add = [&](const char* name, auto request, std::function<void(UnaryCall*)> handle, int armed) {
    methods_.push_back(std::make_unique<UnaryMethod>(UnaryMethod{
        .request = [this, request](grpc::ServerContext* context, grpc::ByteBuffer* incoming,
                                   UnaryMethod::Responder* responder, grpc::ServerCompletionQueue* queue,
                                   void* tag) { (service_.*request)(context, incoming, responder, queue, queue, tag); },
        .handle = std::move(handle),
        .metrics = MethodMetrics(*registry, kServiceName, name, "unary"),
        .armed = armed}));
  };
  const auto operation = [this](CacheOperations::Method run) {
    return [this, run](UnaryCall* call) { (operations_.*run)(RequestBody(call->request()), call); };
  };
  add("Get", &Service::RequestGet, operation(&CacheOperations::Get), kArmedForTraffic);
  add("Set", &Service::RequestSet, operation(&CacheOperations::Set), kArmedForTraffic);
  add("BatchGet", &Service::RequestBatchGet, operation(&CacheOperations::BatchGet), kArmedForTraffic);
  add("BatchSet", &Service::RequestBatchSet, operation(&CacheOperations::BatchSet), kArmedForOthers);
  add("Touch", &Service::RequestTouch, operation(&CacheOperations::Touch), kArmedForOthers);
  add("Invalidate", &Service::RequestInvalidate, operation(&CacheOperations::Invalidate), kArmedForOthers);
  add("Release", &Service::RequestRelease, operation(&CacheOperations::Release), kArmedForOthers);
  add(
      "Stats", &Service::RequestStats, [this](UnaryCall* call) { Stats(call); }, kArmedForOthers);
  add(
      "RenewWatch", &Service::RequestRenewWatch, [this](UnaryCall* call) { RenewWatch(call); }, kArmedForOthers);
}

void CacheService::Arm(RpcQueue* queue) {
  for (const auto& method : methods_) UnaryCall::Arm(method.get(), queue);
  ArmStreams(queue);
}

void CacheService::ArmStreams(RpcQueue* queue) {
  const WarmCall::Base::Make make = [this](RpcQueue* on) {
    return std::make_shared<WarmCall>(on, &warm_metrics_, engine_);
  };
  const WarmCall::Base::Request request = [this](WarmCall::Base* call, void* tag) {
    service_.RequestWarm(call->context(), call->stream(), call->queue(), call->queue(), tag);
  };
  for (int i = 0; i < kArmedStreams; ++i) WarmCall::Arm(queue, make, request);
  const WatchCall::Base::Make make_watch = [this](RpcQueue* on) {
    return std::make_shared<WatchCall>(on, &watch_metrics_, &watches_);
  };
  const WatchCall::Base::Request request_watch = [this](WatchCall::Base* call, void* tag) {
    service_.RequestWatch(call->context(), call->incoming(), call->stream(), call->queue(), call->queue(), tag);
  };
  for (int i = 0; i < kArmedStreams; ++i) WatchCall::Arm(queue, make_watch, request_watch);
  const PipelineCall::Base::Make make_pipeline = [this](RpcQueue* on) {
    return std::make_shared<PipelineCall>(on, &pipeline_metrics_, &pipelines_);
  };
  const PipelineCall::Base::Request request_pipeline = [this](PipelineCall::Base* call, void* tag) {
    service_.RequestPipeline(call->context(), call->stream(), call->queue(), call->queue(), tag);
  };
  for (int i = 0; i < kArmedStreams; ++i) PipelineCall::Arm(queue, make_pipeline, request_pipeline);
}

void CacheService::RenewWatch(UnaryCall* call) {
  v1::RenewWatchRequest request;
  if (absl::Status status = Parse(call->request(), &request); !status.ok()) return call->Fail(status);
  const absl::StatusOr<uint64_t> position = watches_.Renew(request.namespace_());
  if (!position.ok()) return call->Fail(position.status());
  v1::RenewWatchResponse response;
  response.set_incarnation(options_.incarnation);
  response.set_sequence(*position);
  call->Finish(Serialize(response));
}

void CacheService::Stats(UnaryCall* call) {
  v1::StatsRequest request;
  if (absl::Status status = Parse(call->request(), &request); !status.ok()) return call->Fail(status);
  const std::vector<std::string_view> names(request.namespaces().begin(), request.namespaces().end());
  const absl::StatusOr<std::vector<KeyspaceStats>> stats = engine_->Stats(names);
  if (!stats.ok()) return call->Fail(stats.status());

  v1::StatsResponse response;
  response.set_server_version(options_.server_version);
  response.set_uptime_ms((clock_->NowNanos() - started_nanos_) / kNanosPerMilli);
  KeyspaceStats total;
  for (const KeyspaceStats& space : *stats) {
    total.Add(space);
    *response.add_namespaces() = ToMessage(space);
  }
  *response.mutable_total() = ToMessage(total);
  store_->Describe(call->context().deadline_nanos,
                   [this, call, response = std::move(response)](absl::StatusOr<StoreInfo> info) mutable {
                     if (!info.ok()) return call->Fail(info.status());
                     *response.mutable_store() = ToMessage(*info, CoherenceMode(*store_));
                     call->Finish(Serialize(response));
                   });
}

}  // namespace larder
