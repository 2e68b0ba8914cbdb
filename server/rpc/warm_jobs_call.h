#ifndef LARDER_SERVER_RPC_WARM_JOBS_CALL_H_
#define LARDER_SERVER_RPC_WARM_JOBS_CALL_H_

#include "core/mutex.h"
#include "larder/v1/admin.pb.h"
#include "server/engine/scheduler.h"
#include "server/engine/warm_jobs.h"
#include "server/rpc/stream_call.h"

namespace larder {

v1::WarmJobProgress ToMessage(const WarmJobStatus& status);

// One RunWarmJob stream. Tells how the run stands when it begins, while it goes on if that has changed, and when it has
// ended. A caller who leaves does not end the run.
class RunWarmJobCall final : public StreamCall<grpc::ServerAsyncWriter<grpc::ByteBuffer>> {
 public:
  using Base = StreamCall<grpc::ServerAsyncWriter<grpc::ByteBuffer>>;

  RunWarmJobCall(RpcQueue* queue, MethodMetrics* metrics, WarmJobs* jobs, Scheduler* scheduler)
      : Base(queue, metrics), jobs_(jobs), scheduler_(scheduler) {}

 private:
  void OnStart() override;
  void OnWritten() override;
  void OnClosed() override;

  // Sends what there is to be told, unless something is being sent. Any thread.
  void Tell() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellLater();

  WarmJobs* const jobs_;
  Scheduler* const scheduler_;

  Mutex mutex_;  // taken before that of the jobs
  WarmJobStatus told_ ABSL_GUARDED_BY(mutex_);
  int64_t told_nanos_ ABSL_GUARDED_BY(mutex_) = 0;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_WARM_JOBS_CALL_H_
