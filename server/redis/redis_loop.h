// An event loop with a thread of its own.
#ifndef LARDER_SERVER_REDIS_REDIS_LOOP_H_
#define LARDER_SERVER_REDIS_REDIS_LOOP_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "core/clock.h"
#include "core/mutex.h"

namespace larder {

// Owns a file descriptor, or none (-1).
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd();
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// Runs tasks, timers and handlers of file descriptors on one thread, and so without locks among them. Each turn does
// all that has happened: ready descriptors first, then posted tasks, then due timers, and last every handler's
// OnTurnEnd, so that what was queued in one turn leaves in one write.
class RedisLoop {
 public:
  using Task = absl::AnyInvocable<void() &&>;
  using TimerId = std::pair<int64_t, uint64_t>;  // due time and a number; {0, 0} is no timer's

  // Runs on the loop's thread.
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnReadable() = 0;
    virtual void OnWritable() = 0;
    virtual void OnTurnEnd() = 0;
  };

  // `clock` must outlive the loop, and run by itself.
  explicit RedisLoop(const Clock* clock) : clock_(clock) {}
  // Stop() must have returned, if Start() succeeded.
  ~RedisLoop();
  RedisLoop(const RedisLoop&) = delete;
  RedisLoop& operator=(const RedisLoop&) = delete;

  // Once. INTERNAL if the operating system refuses.
  absl::Status Start();

  // Runs every task that was accepted, then ends the thread and waits for it. Not on the loop's thread.
  void Stop();

  // Takes the task and runs it soon on the loop's thread; false, and the task untouched, once Stop() was called.
  // Any thread.
  bool Post(Task&& task);

  // Any thread.
  bool is_own_thread() const { return std::this_thread::get_id() == own_thread_.load(); }

  // The rest is for the loop's thread alone.

  TimerId AddTimer(int64_t due_nanos, Task task);
  // Does nothing if it has run.
  void CancelTimer(TimerId timer);

  // What `handler` wants to be told of `fd`. Neither: it is forgotten, which must come before its destruction.
  void Watch(int fd, bool reading, bool writing, Handler* handler);

  // Destroys it when nothing of it can be on the stack any more.
  void DestroyLater(std::unique_ptr<Handler> handler) { dead_.push_back(std::move(handler)); }

 private:
  struct Watched {
    Handler* handler = nullptr;
    uint32_t events = 0;
  };

  void Run();
  void HandleEvents();
  bool RunTasks();  // false once the loop is stopped and all have run
  void RunTimers();
  void EndTurn();
  void ArmTimer();

  const Clock* const clock_;
  UniqueFd epoll_;
  UniqueFd wake_;
  UniqueFd timer_;
  std::thread thread_;
  std::atomic<std::thread::id> own_thread_{};

  Mutex mutex_;
  std::vector<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;

  // The loop's thread alone.
  std::vector<Task> running_;  // keeps its memory from turn to turn
  std::map<TimerId, Task> timers_;
  uint64_t last_timer_ = 0;
  int64_t armed_for_ = 0;  // what timer_ is set to; 0: nothing
  std::map<int, Watched> watched_;
  std::vector<std::unique_ptr<Handler>> dead_;
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_REDIS_LOOP_H_
