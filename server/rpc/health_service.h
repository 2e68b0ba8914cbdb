// grpc.health.v1, on the same queues as everything else: what it says is what they can do.
#ifndef LARDER_SERVER_RPC_HEALTH_SERVICE_H_
#define LARDER_SERVER_RPC_HEALTH_SERVICE_H_

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/mutex.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "server/metrics/metrics.h"
#include "server/rpc/rpc_server.h"
#include "server/rpc/unary_call.h"

namespace larder {

class HealthWatchCall;

// Thread-safe. Not serving until told otherwise.
class HealthService final : public RpcService {
 public:
  // `services`: full names that are as healthy as the server; the empty name always is.
  HealthService(std::set<std::string> services, Registry* registry);

  grpc::Service* service() override { return &service_; }
  void Arm(RpcQueue* queue) override;

  // Tells everyone who watches.
  void SetServing(bool serving);

  // Ends all Watch streams, once each has been told the present state: they would hold up a shutdown.
  void EndWatches();

 private:
  friend class HealthWatchCall;
  using Service = grpc::health::v1::Health::WithRawMethod_Check<
      grpc::health::v1::Health::WithRawMethod_Watch<grpc::health::v1::Health::Service>>;

  void Check(UnaryCall* call);
  bool Knows(const std::string& name) const { return name.empty() || services_.count(name) > 0; }
  grpc::health::v1::HealthCheckResponse::ServingStatus StatusOf(const std::string& name) const;
  // False if watches have been ended already.
  bool AddWatch(std::weak_ptr<HealthWatchCall> call);
  std::vector<std::shared_ptr<HealthWatchCall>> Watches();

  const std::set<std::string> services_;
  Service service_;
  UnaryMethod check_;
  MethodMetrics watch_metrics_;

  mutable Mutex mutex_;
  bool serving_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::weak_ptr<HealthWatchCall>> watches_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_HEALTH_SERVICE_H_
