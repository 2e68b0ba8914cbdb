// larder.v1.Admin: decodes, calls the engine, answers.
#ifndef LARDER_SERVER_RPC_ADMIN_SERVICE_H_
#define LARDER_SERVER_RPC_ADMIN_SERVICE_H_

#include <memory>
#include <vector>

#include "larder/v1/admin.grpc.pb.h"
#include "server/engine/cache_engine.h"
#include "server/engine/inspector.h"
#include "server/engine/scheduler.h"
#include "server/engine/sweeper.h"
#include "server/engine/warm_jobs.h"
#include "server/metrics/metrics.h"
#include "server/rpc/rpc_server.h"
#include "server/rpc/unary_call.h"

namespace larder {

// Thread-safe once the server has started.
class AdminService final : public RpcService {
 public:
  // The pointees must outlive the server that this is registered with.
  AdminService(CacheEngine* engine, Inspector* inspector, const Sweeper* sweeper, WarmJobs* warm_jobs,
               Scheduler* scheduler, Registry* registry);

  grpc::Service* service() override { return &service_; }
  void Arm(RpcQueue* queue) override;

 private:
  using Service = v1::Admin::WithRawMethod_Inspect<
      v1::Admin::WithRawMethod_List<v1::Admin::WithRawMethod_InvalidateEverything<v1::Admin::WithRawMethod_Sweeps<
          v1::Admin::WithRawMethod_RunWarmJob<v1::Admin::WithRawMethod_WarmJobs<v1::Admin::Service>>>>>>;

  void Inspect(UnaryCall* call);
  void List(UnaryCall* call);
  void InvalidateEverything(UnaryCall* call);
  void Sweeps(UnaryCall* call);
  void ListWarmJobs(UnaryCall* call);

  CacheEngine* const engine_;
  Inspector* const inspector_;
  const Sweeper* const sweeper_;
  WarmJobs* const warm_jobs_;
  Scheduler* const scheduler_;
  Service service_;
  std::vector<std::unique_ptr<UnaryMethod>> methods_;  // fixed after construction
  MethodMetrics run_warm_job_metrics_;
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_ADMIN_SERVICE_H_
