// One Pipeline stream.
#ifndef LARDER_SERVER_RPC_PIPELINE_CALL_H_
#define LARDER_SERVER_RPC_PIPELINE_CALL_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "core/mutex.h"
#include "server/rpc/pipeline_reader.h"
#include "server/rpc/pipeline_results.h"
#include "server/rpc/pipelines.h"
#include "server/rpc/request_bytes.h"
#include "server/rpc/stream_call.h"

namespace larder {

// Takes messages, does their operations, and writes the answers that are there whenever no write is under way. Nothing
// piles up: the next operation is begun only while few enough are under way and few enough bytes wait to be written,
// and the next message is read only once the last one's operations have all been begun.
//
// Operations are begun, and answers written, on the queue's thread alone. They are answered on any: who answers leaves
// the answer here and has the queue's thread come by, once for all that come meanwhile.
class PipelineCall final : public StreamCall<grpc::ServerAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>> {
 public:
  using Base = StreamCall<grpc::ServerAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>>;

  PipelineCall(RpcQueue* queue, MethodMetrics* metrics, Pipelines* pipelines)
      : Base(queue, metrics), pipelines_(pipelines), results_(pipelines->terms().max_response_bytes) {}

  // The server is to stop: no further message is taken, what is under way is answered. On any thread.
  void End();

 private:
  class Operation;

  void OnStart() override;
  void OnMessage(const grpc::ByteBuffer* message) override;
  void OnWritten() override;
  void OnPosted() override;
  void OnClosed() override;

  // INVALID_ARGUMENT: nothing of the message may be done.
  absl::Status Open(const grpc::ByteBuffer& message);
  // No further message is wanted; once all is answered the stream ends with the status.
  void EndWith(const absl::Status& status);

  // Does what can be done now. On the queue's thread.
  void Advance();
  void BeginOperations();
  // Takes room for one more operation, if there is any.
  bool TakeRoom();
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Begin(const EncodedOperation& encoded);
  void WriteAnswers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GoOn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Hold() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Of an operation that was begun, on any thread.
  template <typename Answer>
  void Answered(uint64_t id, int field, Answer&& answer) {
    pipelines_->CountAnswered(field, 0);
    MutexLock lock(&mutex_);
    if (!closed_) results_.Add(id, field, std::forward<Answer>(answer));
    Ended();
  }
  void Failed(uint64_t id, int field, const absl::Status& status, uint64_t version);
  void Ended() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Pipelines* const pipelines_;

  // Of the queue's thread.
  CallContext stream_context_;
  bool added_ = false;
  RequestBytes message_;   // whose operations are being begun
  PipelineReader reader_;  // what of it is still to be begun
  int64_t arrived_nanos_ = 0;

  // Taken before the stream's own.
  Mutex mutex_;
  PipelineResults results_ ABSL_GUARDED_BY(mutex_);
  size_t under_way_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t writing_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool advancing_ ABSL_GUARDED_BY(mutex_) = false;  // the queue's thread is here, and looks again before it leaves
  bool posted_ ABSL_GUARDED_BY(mutex_) = false;     // it is on its way
  bool held_ ABSL_GUARDED_BY(mutex_) = false;       // there is more to be taken, and no room for it
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;  // no further message is wanted
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;  // the stream has been told its end, or has ended
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_PIPELINE_CALL_H_
