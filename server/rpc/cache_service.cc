#include "server/rpc/cache_service.h"

#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "larder/v1/cache.pb.h"
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

void FailAborted(UnaryCall* call, uint64_t current_version, bool fill) {
  if (current_version != 0) call->AddTrailer("larder-version", absl::StrCat(current_version));
  if (fill) {
    return call->Fail(absl::AbortedError(
        "lease: it has ended, or the key or a group that it belongs to was written or invalidated since"));
  }
  call->Fail(absl::AbortedError(
      current_version == 0 ? "the condition does not hold: there is no entry"
                           : absl::StrCat("the condition does not hold: the entry's version is ", current_version)));
}

void FillResult(const absl::StatusOr<SetAnswer>& answer, v1::BatchSetResult* result) {
  if (!answer.ok()) {
    result->set_code(answer.status().raw_code());
    result->set_message(std::string(answer.status().message()));
    return;
  }
  result->set_version(answer->version);
  if (answer->applied) {
    result->set_ttl_ms(answer->ttl_ms);
    result->set_degraded(answer->degraded);
    return;
  }
  result->set_code(static_cast<int>(absl::StatusCode::kAborted));
  result->set_message("the condition does not hold");
}

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
      watches_({.incarnation = options_.incarnation, .max_watchers = options_.max_watchers}, engine, clock, scheduler,
               registry) {
  const auto add = [&](const char* name, auto request, void (CacheService::*handle)(UnaryCall*), int armed) {
    methods_.push_back(std::make_unique<UnaryMethod>(UnaryMethod{
        .request = [this, request](grpc::ServerContext* context, grpc::ByteBuffer* incoming,
                                   UnaryMethod::Responder* responder, grpc::ServerCompletionQueue* queue,
                                   void* tag) { (service_.*request)(context, incoming, responder, queue, queue, tag); },
        .handle = [this, handle](UnaryCall* call) { (this->*handle)(call); },
        .metrics = MethodMetrics(*registry, kServiceName, name, "unary"),
        .armed = armed}));
  };
  add("Get", &Service::RequestGet, &CacheService::Get, kArmedForTraffic);
  add("Set", &Service::RequestSet, &CacheService::Set, kArmedForTraffic);
  add("BatchGet", &Service::RequestBatchGet, &CacheService::BatchGet, kArmedForTraffic);
  add("BatchSet", &Service::RequestBatchSet, &CacheService::BatchSet, kArmedForOthers);
  add("Touch", &Service::RequestTouch, &CacheService::Touch, kArmedForOthers);
  add("Invalidate", &Service::RequestInvalidate, &CacheService::Invalidate, kArmedForOthers);
  add("Release", &Service::RequestRelease, &CacheService::Release, kArmedForOthers);
  add("Stats", &Service::RequestStats, &CacheService::Stats, kArmedForOthers);
  add("RenewWatch", &Service::RequestRenewWatch, &CacheService::RenewWatch, kArmedForOthers);
}

void CacheService::Arm(RpcQueue* queue) {
  for (const auto& method : methods_) UnaryCall::Arm(method.get(), queue);
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
}

void CacheService::Get(UnaryCall* call) {
  v1::GetRequest request;
  if (absl::Status status = Parse(call->request(), &request); !status.ok()) return call->Fail(status);
  const absl::StatusOr<GetCommand> command = ToCommand(request);
  if (!command.ok()) return call->Fail(command.status());
  engine_->Get(call->context(), *command, [call, incarnation = options_.incarnation](absl::StatusOr<GetAnswer> answer) {
    if (!answer.ok()) return call->Fail(answer.status());
    call->Finish(SerializeAnswer(*std::move(answer), incarnation));
  });
}

void CacheService::Set(UnaryCall* call) {
  v1::SetRequest request;
  if (absl::Status status = Parse(call->request(), &request); !status.ok()) return call->Fail(status);
  const absl::StatusOr<SetCommand> command = ToCommand(request);
  if (!command.ok()) return call->Fail(command.status());
  engine_->Set(call->context(), *command, [call, fill = command->fill.has_value()](absl::StatusOr<SetAnswer> answer) {
    if (!answer.ok()) return call->Fail(answer.status());
    if (!answer->applied) return FailAborted(call, answer->version, fill);
    v1::SetResponse response;
    response.set_version(answer->version);
    response.set_ttl_ms(answer->ttl_ms);
    response.set_degraded(answer->degraded);
    call->Finish(Serialize(response));
  });
}

void CacheService::Invalidate(UnaryCall* call) {
  using Field = std::pair<int, std::string_view>;
  for (const auto& [number, name] :
       {Field{v1::InvalidateRequest::kKeysFieldNumber, "keys"}, Field{v1::InvalidateRequest::kTagsFieldNumber, "tags"},
        Field{v1::InvalidateRequest::kPatternsFieldNumber, "patterns"},
        Field{v1::InvalidateRequest::kEntitiesFieldNumber, "entities"}}) {
    const size_t limit = name == "keys" ? kMaxBatchKeys : kMaxGroups;
    if (absl::Status status = CheckRepeated(call->request(), number, limit, name); !status.ok()) {
      return call->Fail(status);
    }
  }
  v1::InvalidateRequest request;
  if (absl::Status status = Parse(call->request(), &request); !status.ok()) return call->Fail(status);
  const absl::StatusOr<InvalidateCommand> command = ToCommand(request);
  if (!command.ok()) return call->Fail(command.status());
  engine_->Invalidate(call->context(), *command, [call](absl::StatusOr<InvalidateAnswer> answer) {
    if (!answer.ok()) return call->Fail(answer.status());
    v1::InvalidateResponse response;
    response.set_dropped(answer->dropped);
    response.set_collapsed(answer->collapsed);
    response.set_deferred(answer->deferred);
    call->Finish(Serialize(response));
  });
}

void CacheService::Release(UnaryCall* call) {
  v1::ReleaseRequest request;
  if (absl::Status status = Parse(call->request(), &request); !status.ok()) return call->Fail(status);
  const absl::StatusOr<ReleaseCommand> command = ToCommand(request);
  if (!command.ok()) return call->Fail(command.status());
  engine_->Release(call->context(), *command, [call](absl::StatusOr<bool> released) {
    if (!released.ok()) return call->Fail(released.status());
    v1::ReleaseResponse response;
    response.set_released(*released);
    call->Finish(Serialize(response));
  });
}

void CacheService::BatchGet(UnaryCall* call) {
  if (absl::Status status =
          CheckRepeated(call->request(), v1::BatchGetRequest::kKeysFieldNumber, kMaxBatchKeys, "keys");
      !status.ok()) {
    return call->Fail(status);
  }
  v1::BatchGetRequest request;
  if (absl::Status status = Parse(call->request(), &request); !status.ok()) return call->Fail(status);
  const absl::StatusOr<BatchGetCommand> command = ToCommand(request);
  if (!command.ok()) return call->Fail(command.status());
  engine_->BatchGet(call->context(), *command,
                    [call, limit = options_.max_response_bytes,
                     incarnation = options_.incarnation](absl::StatusOr<std::vector<BatchGetItem>> items) {
                      if (!items.ok()) return call->Fail(items.status());
                      call->Finish(SerializeBatch(*std::move(items), limit, incarnation));
                    });
}

void CacheService::BatchSet(UnaryCall* call) {
  if (absl::Status status =
          CheckRepeated(call->request(), v1::BatchSetRequest::kEntriesFieldNumber, kMaxBatchKeys, "entries");
      !status.ok()) {
    return call->Fail(status);
  }
  v1::BatchSetRequest request;
  if (absl::Status status = Parse(call->request(), &request); !status.ok()) return call->Fail(status);
  const absl::StatusOr<bool> strong = IsStrong(request.consistency());
  if (!strong.ok()) return call->Fail(strong.status());
  std::vector<SetCommand> commands;
  commands.reserve(static_cast<size_t>(request.entries_size()));
  for (int i = 0; i < request.entries_size(); ++i) {
    const v1::SetRequest& entry = request.entries(i);
    absl::StatusOr<SetCommand> command = ToCommand(entry);
    if (command.ok() && !entry.namespace_().empty() && entry.namespace_() != request.namespace_()) {
      command = absl::InvalidArgumentError("namespace: must be empty or that of the batch");
    }
    if (command.ok() && entry.consistency() != v1::CONSISTENCY_UNSPECIFIED && command->strong != *strong) {
      command = absl::InvalidArgumentError("consistency: must be unspecified or that of the batch");
    }
    if (!command.ok()) {
      return call->Fail(absl::InvalidArgumentError(absl::StrCat("entries[", i, "]: ", command.status().message())));
    }
    command->strong = *strong;
    commands.push_back(*std::move(command));
  }
  engine_->BatchSet(call->context(), request.namespace_(), commands,
                    [call](absl::StatusOr<std::vector<absl::StatusOr<SetAnswer>>> answers) {
                      if (!answers.ok()) return call->Fail(answers.status());
                      v1::BatchSetResponse response;
                      for (const auto& answer : *answers) FillResult(answer, response.add_results());
                      call->Finish(Serialize(response));
                    });
}

void CacheService::Touch(UnaryCall* call) {
  v1::TouchRequest request;
  if (absl::Status status = Parse(call->request(), &request); !status.ok()) return call->Fail(status);
  engine_->Touch(call->context(), ToCommand(request), [call](absl::StatusOr<TouchAnswer> answer) {
    if (!answer.ok()) return call->Fail(answer.status());
    v1::TouchResponse response;
    response.set_status(answer->found ? v1::STATUS_HIT : v1::STATUS_MISS);
    response.set_version(answer->version);
    response.set_ttl_ms(answer->ttl_ms);
    call->Finish(Serialize(response));
  });
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
