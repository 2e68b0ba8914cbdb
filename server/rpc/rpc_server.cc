#include "server/rpc/rpc_server.h"

#include <chrono>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "server/rpc/call_tag.h"

namespace larder {
namespace {

// A client may ping this often; more is answered with GOAWAY.
constexpr int kMinPingIntervalMs = 10'000;
constexpr int kKeepaliveMs = 60'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
constexpr int kConnectionAgeGraceMs = 30'000;

void Configure(const RpcServer::Options& options, grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(static_cast<int>(options.max_request_bytes));
  // Without this a second server on the same port would share its calls instead of being told that it is taken.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, static_cast<int>(options.max_connection_age_ms));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, kConnectionAgeGraceMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kMinPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // Reflection is the only synchronous service; its pool stays at one idle thread.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
}

// The plugin is registered for all builders of the process, and may be only once.
void EnableReflection() {
  static std::once_flag once;
  std::call_once(once, [] { grpc::reflection::InitProtoReflectionServerBuilderPlugin(); });
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(status.raw_code()), std::string(status.message())};
}

void CallCount::Remove() {
  // Read under the mutex by WaitForNone, so that the last removal cannot fall between its look and its wait. Zero is
  // reached only at the end: armed calls keep the count up.
  if (count_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    MutexLock lock(&mutex_);
    none_.NotifyAll();
  }
}

void CallCount::WaitForNone() {
  MutexLock lock(&mutex_);
  while (count_.load(std::memory_order_acquire) != 0) none_.Wait(&mutex_);
}

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(const Options& options,
                                                            const std::vector<RpcService*>& services,
                                                            const Clock* clock) {
  EnableReflection();
  grpc::ServerBuilder builder;
  Configure(options, builder);
  std::unique_ptr<RpcServer> server(new RpcServer());
  builder.AddListeningPort(options.listen, grpc::InsecureServerCredentials(), &server->port_);
  for (RpcService* service : services) builder.RegisterService(service->service());
  for (int i = 0; i < options.threads; ++i) {
    auto queue = std::make_unique<RpcQueue>();
    queue->queue = builder.AddCompletionQueue();
    queue->calls = &server->calls_;
    queue->clock = clock;
    server->queues_.push_back(std::move(queue));
  }
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || server->port_ == 0) {
    return absl::UnavailableError(absl::StrCat("grpc.listen: cannot listen on ", options.listen,
                                               " (is the port taken, or not an address of this machine?)"));
  }
  for (const auto& queue : server->queues_) {
    for (RpcService* service : services) service->Arm(queue.get());
    server->threads_.emplace_back(&RpcServer::Poll, queue.get());
  }
  return server;
}

RpcServer::~RpcServer() { Shutdown(0); }

void RpcServer::Poll(RpcQueue* queue) {
  void* tag = nullptr;
  bool ok = false;
  while (queue->queue->Next(&tag, &ok)) static_cast<CallTag*>(tag)->Proceed(ok);
}

void RpcServer::Shutdown(int64_t drain_ms) {
  if (shut_down_) return;
  shut_down_ = true;
  if (server_ != nullptr) {
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(drain_ms));
  }
  // A queue that is shut down takes no more operations, so every call must be gone first: armed ones come back by
  // themselves now, the others when the engine has answered them.
  calls_.WaitForNone();
  for (const auto& queue : queues_) queue->queue->Shutdown();
  for (std::thread& thread : threads_) thread.join();
  // A queue must be empty before it is destroyed, also where no thread ever polled it.
  for (const auto& queue : queues_) {
    void* tag = nullptr;
    bool ok = false;
    while (threads_.empty() && queue->queue->Next(&tag, &ok)) {
    }
  }
}

}  // namespace larder
