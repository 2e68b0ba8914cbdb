// The gRPC server: completion queues, their threads, and an orderly end.
#ifndef LARDER_SERVER_RPC_RPC_SERVER_H_
#define LARDER_SERVER_RPC_RPC_SERVER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "grpcpp/server.h"
#include "grpcpp/support/status.h"

namespace larder {

// The one place where the two kinds of status meet: their codes are the same numbers.
grpc::Status ToGrpcStatus(const absl::Status& status);

// Counts the calls that exist, armed ones included, so that a queue is closed only after the last of them is gone.
class CallCount {
 public:
  // One call. The first member of a call, so that it goes last: whoever waits may then destroy what the call used.
  class Hold {
   public:
    explicit Hold(CallCount* count) : count_(count) { count_->Add(); }
    ~Hold() { count_->Remove(); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    CallCount* const count_;
  };

  // Blocks until there are none. No call may be added from outside a call meanwhile.
  void WaitForNone();

 private:
  void Add() { count_.fetch_add(1, std::memory_order_relaxed); }
  void Remove();

  std::atomic<int64_t> count_{0};
  Mutex mutex_;
  CondVar none_;
};

// One completion queue, polled by one thread. Everything here is thread-safe.
struct RpcQueue {
  std::unique_ptr<grpc::ServerCompletionQueue> queue;
  CallCount* calls = nullptr;
  const Clock* clock = nullptr;
};

// A gRPC service whose methods are armed on every queue.
class RpcService {
 public:
  virtual ~RpcService() = default;
  virtual grpc::Service* service() = 0;
  // Called once for each queue, before its thread starts. Must arm as many calls as are expected to arrive at once.
  virtual void Arm(RpcQueue* queue) = 0;
};

class RpcServer {
 public:
  struct Options {
    std::string listen;  // host:port; port 0 takes a free one
    int threads = 1;
    int64_t max_request_bytes = 16 << 20;
    int max_concurrent_streams = 1000;
    int64_t max_connection_age_ms = 30 * 60 * 1000;
  };

  // Listens and serves. UNAVAILABLE naming the address if it cannot be had. The pointees must outlive the server.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(const Options& options,
                                                          const std::vector<RpcService*>& services, const Clock* clock);

  // Shutdown(0) if that has not been called.
  ~RpcServer();
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  int port() const { return port_; }

  // Takes no new calls, lets those under way end, cancels what is left after `drain_ms`, and joins the threads. Blocks
  // until the last call is gone; the engine must still be answering.
  void Shutdown(int64_t drain_ms);

 private:
  RpcServer() = default;
  static void Poll(RpcQueue* queue);

  int port_ = 0;
  bool shut_down_ = false;
  CallCount calls_;
  std::vector<std::unique_ptr<RpcQueue>> queues_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::thread> threads_;
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_RPC_SERVER_H_
