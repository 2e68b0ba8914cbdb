// The scheduler of a running server.
#ifndef LARDER_SERVER_ENGINE_TIMER_THREAD_H_
#define LARDER_SERVER_ENGINE_TIMER_THREAD_H_

#include <cstdint>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "core/mutex.h"
#include "server/engine/scheduler.h"

namespace larder {

// One thread that runs tasks when their time has come, those of the same time in the order in which they were given.
// Reads `clock`, which must run by itself and outlive this.
class TimerThread final : public Scheduler {
 public:
  explicit TimerThread(const Clock* clock);
  ~TimerThread() override;  // Stop() if that has not been called
  TimerThread(const TimerThread&) = delete;
  TimerThread& operator=(const TimerThread&) = delete;

  void At(int64_t when_nanos, Task task) override;

  // Waits for the task that is running; drops the others. Not from a task.
  void Stop();

 private:
  struct Entry {
    int64_t when_nanos;
    uint64_t order;
    Task task;
  };
  // Of a heap whose top is the earliest.
  static bool Later(const Entry& a, const Entry& b);

  void Run();
  // The next task whose time has come; none if the thread is to end.
  bool Next(Task& task);

  const Clock* const clock_;
  Mutex mutex_;
  CondVar changed_;
  std::vector<Entry> heap_ ABSL_GUARDED_BY(mutex_);
  uint64_t given_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_TIMER_THREAD_H_
