#include "server/rpc/admin_service.h"

#include <cstddef>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/mutex.h"
#include "larder/v1/admin.pb.h"
#include "server/rpc/admin_wire.h"
#include "server/rpc/warm_jobs_call.h"
#include "server/rpc/wire.h"

namespace larder {
namespace {

constexpr char kServiceName[] = "larder.v1.Admin";

// Calls armed on each queue. They are made by people and their tools.
constexpr int kArmed = 4;

// The answers that an InvalidateEverything waits for.
class EveryNamespace {
 public:
  EveryNamespace(UnaryCall* call, size_t namespaces) : call_(call), namespaces_(namespaces), awaited_(namespaces) {}

  void Answered(const std::string& name, const absl::Status& status) {
    absl::Status outcome;
    {
      MutexLock lock(&mutex_);
      if (!status.ok()) {
        ++failed_;
        if (first_.ok()) first_ = {status.code(), absl::StrCat("namespace \"", name, "\": ", status.message())};
      }
      if (--awaited_ > 0) return;
      if (failed_ > 0) {
        outcome = {first_.code(), absl::StrCat(first_.message(), " (", namespaces_ - failed_, " of ", namespaces_,
                                               " namespaces were invalidated)")};
      }
    }
    if (!outcome.ok()) return call_->Fail(outcome);
    v1::InvalidateEverythingResponse response;
    response.set_namespaces(static_cast<int32_t>(namespaces_));
    call_->Finish(Serialize(response));
  }

 private:
  UnaryCall* const call_;
  const size_t namespaces_;
  Mutex mutex_;
  size_t awaited_ ABSL_GUARDED_BY(mutex_);
  size_t failed_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status first_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

AdminService::AdminService(CacheEngine* engine, Inspector* inspector, const Sweeper* sweeper, WarmJobs* warm_jobs,
                           Scheduler* scheduler, Registry* registry)
    : engine_(engine),
      inspector_(inspector),
      sweeper_(sweeper),
      warm_jobs_(warm_jobs),
      scheduler_(scheduler),
      run_warm_job_metrics_(*registry, kServiceName, "RunWarmJob", "server_stream") {
  const auto add = [&](const char* name, auto request, void (AdminService::*handle)(UnaryCall*)) {
    methods_.push_back(std::make_unique<UnaryMethod>(UnaryMethod{
        .request = [this, request](grpc::ServerContext* context, grpc::ByteBuffer* incoming,
                                   UnaryMethod::Responder* responder, grpc::ServerCompletionQueue* queue,
                                   void* tag) { (service_.*request)(context, incoming, responder, queue, queue, tag); },
        .handle = [this, handle](UnaryCall* call) { (this->*handle)(call); },
        .metrics = MethodMetrics(*registry, kServiceName, name, "unary"),
        .armed = kArmed}));
  };
  add("Inspect", &Service::RequestInspect, &AdminService::Inspect);
  add("List", &Service::RequestList, &AdminService::List);
  add("InvalidateEverything", &Service::RequestInvalidateEverything, &AdminService::InvalidateEverything);
  add("Sweeps", &Service::RequestSweeps, &AdminService::Sweeps);
  add("WarmJobs", &Service::RequestWarmJobs, &AdminService::ListWarmJobs);
}

void AdminService::Arm(RpcQueue* queue) {
  for (const auto& method : methods_) UnaryCall::Arm(method.get(), queue);
  const RunWarmJobCall::Base::Make make = [this](RpcQueue* on) {
    return std::make_shared<RunWarmJobCall>(on, &run_warm_job_metrics_, warm_jobs_, scheduler_);
  };
  const RunWarmJobCall::Base::Request request = [this](RunWarmJobCall::Base* call, void* tag) {
    service_.RequestRunWarmJob(call->context(), call->incoming(), call->stream(), call->queue(), call->queue(), tag);
  };
  for (int i = 0; i < kArmed; ++i) RunWarmJobCall::Arm(queue, make, request);
}

void AdminService::Inspect(UnaryCall* call) {
  v1::InspectRequest request;
  if (absl::Status status = Parse(call->request(), &request); !status.ok()) return call->Fail(status);
  inspector_->Inspect(call->context(), request.namespace_(), request.key(), [call](absl::StatusOr<Inspection> found) {
    if (!found.ok()) return call->Fail(found.status());
    call->Finish(Serialize(ToMessage(*found)));
  });
}

void AdminService::List(UnaryCall* call) {
  v1::ListRequest request;
  if (absl::Status status = Parse(call->request(), &request); !status.ok()) return call->Fail(status);
  inspector_->List(call->context(), ToCommand(request), [call](absl::StatusOr<KeyPage> page) {
    if (!page.ok()) return call->Fail(page.status());
    call->Finish(Serialize(ToMessage(*page)));
  });
}

void AdminService::InvalidateEverything(UnaryCall* call) {
  v1::InvalidateEverythingRequest request;
  if (absl::Status status = Parse(call->request(), &request); !status.ok()) return call->Fail(status);
  if (!request.confirm()) {
    return call->Fail(absl::InvalidArgumentError("confirm: must be true, this drops every entry of every namespace"));
  }
  const absl::StatusOr<bool> soft = IsSoft(request.mode());
  if (!soft.ok()) return call->Fail(soft.status());
  const std::vector<Keyspace*> spaces = engine_->keyspaces();
  const CallContext context = call->context();
  const auto every = std::make_shared<EveryNamespace>(call, spaces.size());
  for (const Keyspace* space : spaces) {
    InvalidateCommand command;
    command.name_space = space->name();
    command.all = true;
    command.soft = *soft;
    command.may_defer = false;  // the answer has no word for it
    engine_->Invalidate(context, command,
                        [every, name = space->name()](const absl::StatusOr<InvalidateAnswer>& answer) {
                          every->Answered(name, answer.status());
                        });
  }
}

void AdminService::Sweeps(UnaryCall* call) {
  v1::SweepsRequest request;
  if (absl::Status status = Parse(call->request(), &request); !status.ok()) return call->Fail(status);
  v1::SweepsResponse response;
  for (const Sweeper::Progress& progress : sweeper_->progress()) *response.add_sweeps() = ToMessage(progress);
  call->Finish(Serialize(response));
}

void AdminService::ListWarmJobs(UnaryCall* call) {
  v1::WarmJobsRequest request;
  if (absl::Status status = Parse(call->request(), &request); !status.ok()) return call->Fail(status);
  v1::WarmJobsResponse response;
  for (const WarmJobStatus& job : warm_jobs_->All()) *response.add_jobs() = ToMessage(job);
  call->Finish(Serialize(response));
}

}  // namespace larder
