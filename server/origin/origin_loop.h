// The thread on which the calls of origins end.
#ifndef LARDER_SERVER_ORIGIN_ORIGIN_LOOP_H_
#define LARDER_SERVER_ORIGIN_ORIGIN_LOOP_H_

#include <memory>
#include <thread>

namespace grpc {
class CompletionQueue;
}  // namespace grpc

namespace larder {

// One gRPC completion queue with a thread of its own; one is enough for all origins of a process.
class OriginLoop {
 public:
  // A call under way. Its address is the tag that it gives to gRPC.
  class Call {
   public:
    virtual ~Call() = default;
    // Runs on the loop's thread, and must not block; the loop does not touch the call afterwards.
    virtual void OnEnd() = 0;
  };

  OriginLoop();
  // Waits for the thread. No call may be under way: every origin that uses the loop must have been shut down.
  ~OriginLoop();
  OriginLoop(const OriginLoop&) = delete;
  OriginLoop& operator=(const OriginLoop&) = delete;

  // Thread-safe.
  grpc::CompletionQueue* queue() { return queue_.get(); }

 private:
  void Run();

  const std::unique_ptr<grpc::CompletionQueue> queue_;
  std::thread thread_;
};

}  // namespace larder

#endif  // LARDER_SERVER_ORIGIN_ORIGIN_LOOP_H_
