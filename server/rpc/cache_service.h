// larder.v1.Cache: decodes, calls the engine, answers.
#ifndef LARDER_SERVER_RPC_CACHE_SERVICE_H_
#define LARDER_SERVER_RPC_CACHE_SERVICE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "larder/v1/cache.grpc.pb.h"
#include "server/engine/cache_engine.h"
#include "server/metrics/metrics.h"
#include "server/rpc/cache_operations.h"
#include "server/rpc/pipelines.h"
#include "server/rpc/rpc_server.h"
#include "server/rpc/unary_call.h"
#include "server/rpc/watches.h"

namespace larder {

// Thread-safe once the server has started.
class CacheService final : public RpcService {
 public:
  struct Options {
    std::string server_version;
    size_t max_response_bytes = 4 << 20;  // of a BatchGet, and of several results of a Pipeline
    uint64_t incarnation = 0;             // of this replica's run, random; 0: it cannot be watched
    size_t max_watchers = 1'000;
    size_t max_pipeline_operations = 4'096;  // under way on one Pipeline stream
    size_t max_pipeline_bytes = 8 << 20;     // of answers that wait on one
  };

  // The pointees must outlive the server that this is registered with.
  CacheService(Options options, CacheEngine* engine, Store* store, const Clock* clock, Scheduler* scheduler,
               Registry* registry);

  grpc::Service* service() override { return &service_; }
  void Arm(RpcQueue* queue) override;

  // Ends all Watch and Pipeline streams, which would hold up a shutdown, and refuses further ones. What is under way on
  // the latter is answered first.
  void EndStreams() {
    watches_.EndAll();
    pipelines_.EndAll();
  }

 private:
  // All methods are raw: a request is parsed where it is handled, and a hit's value goes out without a copy.
  using Service = v1::Cache::WithRawMethod_Get<
      v1::Cache::WithRawMethod_Set<v1::Cache::WithRawMethod_Invalidate<v1::Cache::WithRawMethod_Release<
          v1::Cache::WithRawMethod_BatchGet<v1::Cache::WithRawMethod_BatchSet<v1::Cache::WithRawMethod_Touch<
              v1::Cache::WithRawMethod_Warm<v1::Cache::WithRawMethod_Stats<v1::Cache::WithRawMethod_Watch<
                  v1::Cache::WithRawMethod_RenewWatch<v1::Cache::WithRawMethod_Pipeline<v1::Cache::Service>>>>>>>>>>>>;

  void ArmStreams(RpcQueue* queue);
  void Stats(UnaryCall* call);
  void RenewWatch(UnaryCall* call);

  const Options options_;
  CacheEngine* const engine_;
  Store* const store_;
  const Clock* const clock_;
  const int64_t started_nanos_;
  Service service_;
  MethodMetrics warm_metrics_;
  MethodMetrics watch_metrics_;
  MethodMetrics pipeline_metrics_;
  const CacheOperations operations_;
  Watches watches_;
  Pipelines pipelines_;
  std::vector<std::unique_ptr<UnaryMethod>> methods_;  // fixed after construction
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_CACHE_SERVICE_H_
