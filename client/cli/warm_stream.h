// The Warm call, driven by one thread.
#ifndef LARDER_CLIENT_CLI_WARM_STREAM_H_
#define LARDER_CLIENT_CLI_WARM_STREAM_H_

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/async_stream.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "client/cli/connection.h"
#include "larder/v1/cache.grpc.pb.h"

namespace larder {

// Sends entries and hears of progress, which is handed on from within Write and Finish. A server that gives no sign of
// life for `patience_ms` while either waits has the call cancelled. Not thread-safe.
class WarmStream {
 public:
  using OnProgress = std::function<void(const v1::WarmProgress&)>;

  WarmStream(const Connection& connection, int64_t patience_ms, OnProgress on_progress);
  // Cancels the call if Finish was not called.
  ~WarmStream();
  WarmStream(const WarmStream&) = delete;
  WarmStream& operator=(const WarmStream&) = delete;

  // Blocks until the entry is on its way. False if the call has ended: Finish tells why.
  bool Write(const v1::WarmRequest& entry);

  // Says that there are no more entries, and blocks until the server has dealt with all and the call has ended. Once.
  grpc::Status Finish();

 private:
  enum Event : size_t { kStart, kRead, kWrite, kWritesDone, kFinish, kEvents };

  void* Begin(Event event);
  bool Await(Event event);
  void Poll();

  const int64_t patience_ms_;
  const OnProgress on_progress_;
  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<v1::WarmRequest, v1::WarmProgress>> stream_;
  std::array<bool, kEvents> pending_{};
  std::array<bool, kEvents> succeeded_{};
  v1::WarmProgress progress_;
  bool broken_ = false;          // nothing more can be written
  bool impatient_ = false;       // cancelled by us
  bool all_dealt_with_ = false;  // the server has said so
  bool finished_ = false;        // Finish was called
};

}  // namespace larder

#endif  // LARDER_CLIENT_CLI_WARM_STREAM_H_
