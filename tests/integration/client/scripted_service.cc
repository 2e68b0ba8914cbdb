#include "tests/integration/client/scripted_service.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/mutex.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "grpcpp/server_context.h"
#include "larder/v1/cache.grpc.pb.h"

namespace larder {
namespace {

constexpr std::chrono::seconds kPatience{30};

std::string Authorization(const grpc::ServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find("authorization");
  return found == metadata.end() ? std::string() : std::string(found->second.data(), found->second.size());
}

// What is answered where the script gives no response.
void FillIn(const v1::GetRequest&, v1::GetResponse* response) { response->set_status(v1::STATUS_MISS); }
void FillIn(const v1::BatchGetRequest& request, v1::BatchGetResponse* response) {
  for (int i = 0; i < request.keys_size(); ++i) response->add_results()->set_status(v1::STATUS_MISS);
}
void FillIn(const v1::SetRequest&, v1::SetResponse* response) { response->set_version(1); }
void FillIn(const v1::ReleaseRequest&, v1::ReleaseResponse* response) { response->set_released(true); }
void FillIn(const v1::BatchSetRequest& request, v1::BatchSetResponse* response) {
  for (int i = 0; i < request.entries_size(); ++i) response->add_results()->set_version(1);
}
void FillIn(const v1::TouchRequest&, v1::TouchResponse* response) { response->set_status(v1::STATUS_HIT); }
void FillIn(const v1::InvalidateRequest&, v1::InvalidateResponse*) {}
void FillIn(const v1::StatsRequest&, v1::StatsResponse*) {}

}  // namespace

Script InTurn(std::vector<Answer> answers) {
  return [answers = std::move(answers)](const Arrival& arrival) {
    return answers[std::min(static_cast<size_t>(arrival.number), answers.size()) - 1];
  };
}

// A held call keeps a thread of gRPC's pool, which grows as it must.
class ScriptedService::Service final : public v1::Cache::Service {
 public:
  void On(Method method, Script script) {
    MutexLock lock(&mutex_);
    scripts_[method] = std::move(script);
  }

  std::vector<Arrival> seen(Method method) const {
    MutexLock lock(&mutex_);
    const auto found = seen_.find(method);
    return found == seen_.end() ? std::vector<Arrival>() : found->second;
  }

  bool AwaitArrivals(Method method, int count) const {
    return Await([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      const auto found = seen_.find(method);
      return found != seen_.end() && static_cast<int>(found->second.size()) >= count;
    });
  }
  bool AwaitCancelled(int count) const {
    return Await([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return cancelled_ >= count; });
  }

  void Release(int64_t count) {
    MutexLock lock(&mutex_);
    released_ = std::min(held_, released_ + count);
    changed_.NotifyAll();
  }

  grpc::Status Get(grpc::ServerContext* context, const v1::GetRequest* request, v1::GetResponse* response) override {
    return Take(Method::kGet, context, *request, response);
  }
  grpc::Status Set(grpc::ServerContext* context, const v1::SetRequest* request, v1::SetResponse* response) override {
    return Take(Method::kSet, context, *request, response);
  }
  grpc::Status Release(grpc::ServerContext* context, const v1::ReleaseRequest* request,
                       v1::ReleaseResponse* response) override {
    return Take(Method::kRelease, context, *request, response);
  }
  grpc::Status Touch(grpc::ServerContext* context, const v1::TouchRequest* request,
                     v1::TouchResponse* response) override {
    return Take(Method::kTouch, context, *request, response);
  }
  grpc::Status BatchGet(grpc::ServerContext* context, const v1::BatchGetRequest* request,
                        v1::BatchGetResponse* response) override {
    return Take(Method::kBatchGet, context, *request, response);
  }
  grpc::Status BatchSet(grpc::ServerContext* context, const v1::BatchSetRequest* request,
                        v1::BatchSetResponse* response) override {
    return Take(Method::kBatchSet, context, *request, response);
  }
  grpc::Status Invalidate(grpc::ServerContext* context, const v1::InvalidateRequest* request,
                          v1::InvalidateResponse* response) override {
    return Take(Method::kInvalidate, context, *request, response);
  }
  grpc::Status Stats(grpc::ServerContext* context, const v1::StatsRequest* request,
                     v1::StatsResponse* response) override {
    return Take(Method::kStats, context, *request, response);
  }
  grpc::Status Warm(grpc::ServerContext* context,
                    grpc::ServerReaderWriter<v1::WarmProgress, v1::WarmRequest>* stream) override {
    v1::WarmRequest request;
    int64_t entries = stream->Read(&request) ? 1 : 0;
    const Answer answer = Arrive(Method::kWarm, context, request);
    if (!answer.status.ok()) return answer.status;
    while (stream->Read(&request)) ++entries;
    v1::WarmProgress progress;
    progress.set_written(entries);
    progress.set_finished(true);
    if (answer.response != nullptr) progress.CopyFrom(*answer.response);
    stream->Write(progress);
    return grpc::Status::OK;
  }

 private:
  template <typename Request, typename Response>
  grpc::Status Take(Method method, grpc::ServerContext* context, const Request& request, Response* response) {
    const Answer answer = Arrive(method, context, request);
    if (!answer.status.ok()) return answer.status;
    if (answer.response != nullptr) {
      response->CopyFrom(*answer.response);
    } else {
      FillIn(request, response);
    }
    return grpc::Status::OK;
  }

  // Asks the script, books the call, and waits where it is held.
  template <typename Request>
  Answer Arrive(Method method, grpc::ServerContext* context, const Request& request) {
    Arrival arrival;
    arrival.method = method;
    arrival.left = context->deadline() - std::chrono::system_clock::now();
    arrival.authorization = Authorization(*context);
    arrival.request = std::make_shared<const Request>(request);
    Script script;
    {
      MutexLock lock(&mutex_);
      arrival.number = ++numbers_[method];
      script = scripts_[method];
    }
    const Answer answer = script ? script(arrival) : Answer();
    if (answer.version.has_value()) context->AddTrailingMetadata("larder-version", *answer.version);
    MutexLock lock(&mutex_);
    const int64_t place = answer.held ? ++held_ : 0;  // before anyone can know of it, so that no release is missed
    seen_[method].push_back(std::move(arrival));
    changed_.NotifyAll();
    while (released_ < place) {
      if (context->IsCancelled()) {
        ++cancelled_;
        changed_.NotifyAll();
        return Answer::Fail(grpc::StatusCode::CANCELLED, "cancelled");
      }
      changed_.WaitFor(&mutex_, kLookAgainNanos);
    }
    return answer;
  }

  template <typename Condition>
  bool Await(const Condition& condition) const {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    MutexLock lock(&mutex_);
    while (!condition()) {
      if (std::chrono::steady_clock::now() >= until) return false;
      changed_.WaitFor(&mutex_, kLookAgainNanos);
    }
    return true;
  }

  static constexpr int64_t kLookAgainNanos = 2'000'000;  // nobody announces a cancellation to a blocked handler

  mutable Mutex mutex_;
  mutable CondVar changed_;
  std::map<Method, Script> scripts_ ABSL_GUARDED_BY(mutex_);
  std::map<Method, int> numbers_ ABSL_GUARDED_BY(mutex_);
  std::map<Method, std::vector<Arrival>> seen_ ABSL_GUARDED_BY(mutex_);
  int64_t held_ ABSL_GUARDED_BY(mutex_) = 0;      // ever
  int64_t released_ ABSL_GUARDED_BY(mutex_) = 0;  // of those, from the first on
  int cancelled_ ABSL_GUARDED_BY(mutex_) = 0;
};

absl::StatusOr<std::unique_ptr<ScriptedService>> ScriptedService::Start(Options options) {
  std::unique_ptr<ScriptedService> service(new ScriptedService(options.address));
  grpc::ServerBuilder builder;
  if (options.credentials == nullptr) options.credentials = grpc::InsecureServerCredentials();
  builder.AddListeningPort(options.address, options.credentials, &service->port_);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(options.max_request_bytes);
  builder.RegisterService(service->service_.get());
  service->server_ = builder.BuildAndStart();
  if (service->server_ == nullptr) return absl::InternalError(absl::StrCat("cannot listen on ", options.address));
  return service;
}

ScriptedService::ScriptedService(std::string address)
    : address_(std::move(address)), service_(std::make_unique<Service>()) {}

ScriptedService::~ScriptedService() { Kill(); }

std::string ScriptedService::target() const {
  return absl::StartsWith(address_, "unix:") ? address_ : absl::StrCat("127.0.0.1:", port_);
}

void ScriptedService::On(Method method, Script script) { service_->On(method, std::move(script)); }

std::vector<Arrival> ScriptedService::seen(Method method) const { return service_->seen(method); }

bool ScriptedService::AwaitArrivals(Method method, int count) const { return service_->AwaitArrivals(method, count); }

bool ScriptedService::AwaitCancelled(int count) const { return service_->AwaitCancelled(count); }

void ScriptedService::Release() { service_->Release(INT32_MAX); }

void ScriptedService::Release(int count) { service_->Release(count); }

void ScriptedService::Kill() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_.reset();
}

}  // namespace larder
