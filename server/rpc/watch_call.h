// One Watch stream.
#ifndef LARDER_SERVER_RPC_WATCH_CALL_H_
#define LARDER_SERVER_RPC_WATCH_CALL_H_

#include <cstdint>
#include <memory>

#include "core/mutex.h"
#include "larder/v1/cache.pb.h"
#include "server/engine/keyspace.h"
#include "server/rpc/stream_call.h"
#include "server/rpc/watches.h"

namespace larder {

// Sends a namespace's changes as the caller takes them: one message of bounded size is under way, the rest stays in the
// change log, which cuts off who falls behind it. Wake and End may be called on any thread.
class WatchCall final : public StreamCall<grpc::ServerAsyncWriter<grpc::ByteBuffer>> {
 public:
  using Base = StreamCall<grpc::ServerAsyncWriter<grpc::ByteBuffer>>;

  WatchCall(RpcQueue* queue, MethodMetrics* metrics, Watches* watches) : Base(queue, metrics), watches_(watches) {}

  // There may be something to send.
  void Wake();
  // The server is to stop.
  void End();

 private:
  void OnStart() override;
  void OnWritten() override;
  void OnClosed() override;

  absl::Status Open();
  void TickLater();
  void Tick();

  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendChanges(const ChangeLog::Batch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendGap(Change::Gap gap) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendHeartbeat() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Send(v1::WatchResponse message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CutOff() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Watches* const watches_;
  Keyspace* space_ = nullptr;  // from OnStart on
  int64_t heartbeat_nanos_ = 0;

  // Taken before the change log's and the stream's own.
  Mutex mutex_;
  bool is_open_ ABSL_GUARDED_BY(mutex_) = false;
  bool has_begun_ ABSL_GUARDED_BY(mutex_) = false;  // the first message has been sent
  bool begins_with_gap_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool has_finished_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t position_ ABSL_GUARDED_BY(mutex_) = 0;  // of what has been sent
  int64_t sent_nanos_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t cut_off_nanos_ ABSL_GUARDED_BY(mutex_) = 0;  // 0: it was not
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_WATCH_CALL_H_
