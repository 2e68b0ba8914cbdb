#ifndef LARDER_SERVER_RPC_WARM_CALL_H_
#define LARDER_SERVER_RPC_WARM_CALL_H_

#include <memory>

#include "core/mutex.h"
#include "server/engine/entry_warmer.h"
#include "server/rpc/stream_call.h"

namespace larder {

// One Warm stream. Takes the next entry only while the warmer has room, so that a fast caller is held back by flow
// control and nothing piles up in memory.
class WarmCall final : public StreamCall<grpc::ServerAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>> {
 public:
  using Base = StreamCall<grpc::ServerAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>>;

  WarmCall(RpcQueue* queue, MethodMetrics* metrics, CacheEngine* engine) : Base(queue, metrics), engine_(engine) {}

 private:
  void OnStart() override;
  void OnMessage(const grpc::ByteBuffer* message) override;
  void OnWritten() override;

  // Does what can be done now: take the next entry, report, end. Called whenever something has changed, on any thread.
  void Advance();

  CacheEngine* const engine_;
  std::shared_ptr<EntryWarmer> warmer_;  // fixed after OnStart

  Mutex mutex_;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool all_read_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t last_report_nanos_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_WARM_CALL_H_
