#ifndef LARDER_TESTS_SUPPORT_MANUAL_SCHEDULER_H_
#define LARDER_TESTS_SUPPORT_MANUAL_SCHEDULER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

#include "core/mutex.h"
#include "server/engine/scheduler.h"
#include "tests/support/manual_clock.h"

namespace larder {

// Runs tasks when the test lets time pass, on the test's thread. At is thread-safe.
class ManualScheduler final : public Scheduler {
 public:
  explicit ManualScheduler(ManualClock* clock) : clock_(clock) {}

  void At(int64_t when_nanos, Task task) override {
    MutexLock lock(&mutex_);
    tasks_.emplace(when_nanos, std::move(task));
  }

  // Moves the clock on, stopping at each task's time to run it; those that they add too, if their time comes.
  void Advance(int64_t nanos) {
    const int64_t end = clock_->NowNanos() + nanos;
    while (RunNext(end)) {
    }
    clock_->Advance(end - clock_->NowNanos());
  }

  // Runs the next task, if its time is at most `until_nanos`, moving the clock there.
  bool RunNext(int64_t until_nanos) {
    Task task;
    {
      MutexLock lock(&mutex_);
      const auto first = tasks_.begin();
      if (first == tasks_.end() || first->first > until_nanos) return false;
      if (first->first > clock_->NowNanos()) clock_->Advance(first->first - clock_->NowNanos());
      task = std::move(first->second);
      tasks_.erase(first);
    }
    std::move(task)();
    return true;
  }

  size_t waiting() const {
    MutexLock lock(&mutex_);
    return tasks_.size();
  }

 private:
  ManualClock* const clock_;
  mutable Mutex mutex_;
  std::multimap<int64_t, Task> tasks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder

#endif  // LARDER_TESTS_SUPPORT_MANUAL_SCHEDULER_H_
