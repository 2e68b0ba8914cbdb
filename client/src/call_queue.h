// The threads that receive answers.
#ifndef LARDER_CLIENT_SRC_CALL_QUEUE_H_
#define LARDER_CLIENT_SRC_CALL_QUEUE_H_

#include <cstddef>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "core/mutex.h"
#include "grpcpp/alarm.h"
#include "grpcpp/completion_queue.h"

namespace larder::internal {

// What a completion queue's tags point at.
class Event {
 public:
  virtual void OnEvent(bool ok) = 0;

 protected:
  virtual ~Event() = default;
};

// A call under way. It lives in one queue, on whose thread all of it happens but for its start.
class ActiveCall {
 public:
  // Makes its end come soon. On the queue's thread.
  virtual void Cancel() = 0;

 protected:
  virtual ~ActiveCall() = default;

 private:
  friend class CallQueue;
  ActiveCall* previous_ = nullptr;
  ActiveCall* next_ = nullptr;
};

// A completion queue, its thread, and the calls on it. Thread-safe.
class CallQueue {
 public:
  CallQueue();
  // Close() must have been called.
  ~CallQueue();

  grpc::CompletionQueue* queue() { return &queue_; }

  // To be asked before a call's first operation; false: the queue is closing, and the call must not begin. A call that
  // entered must Leave(), with no operation of its own under way.
  bool Enter(ActiveCall* call);
  void Leave(ActiveCall* call);
  bool closing() const;

  // Cancels the calls under way, waits for their ends, and ends the thread. Not from a callback.
  void Close();

 private:
  // Runs Cancel() of all calls on the queue's thread.
  class CancelAll final : public Event {
   public:
    explicit CancelAll(CallQueue* owner) : owner_(owner) {}
    void OnEvent(bool ok) override;

   private:
    CallQueue* const owner_;
  };

  void Run();

  grpc::CompletionQueue queue_;
  CancelAll cancel_all_{this};
  grpc::Alarm cancel_alarm_;

  mutable Mutex mutex_;
  CondVar empty_;
  ActiveCall* first_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_CALL_QUEUE_H_
