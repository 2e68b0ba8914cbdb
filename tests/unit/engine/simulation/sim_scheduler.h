#ifndef LARDER_TESTS_UNIT_ENGINE_SIMULATION_SIM_SCHEDULER_H_
#define LARDER_TESTS_UNIT_ENGINE_SIMULATION_SIM_SCHEDULER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

#include "server/engine/scheduler.h"
#include "tests/support/manual_clock.h"

namespace larder::simulation {

// Tasks whose time has come wait until the walk runs one: a real timer may be late, too. Not thread-safe.
class SimScheduler final : public Scheduler {
 public:
  explicit SimScheduler(const ManualClock* clock) : clock_(clock) {}

  void At(int64_t when_nanos, Task task) override { tasks_.emplace(when_nanos, std::move(task)); }

  size_t due() const {
    size_t count = 0;
    for (auto task = tasks_.begin(); task != tasks_.end() && task->first <= clock_->NowNanos(); ++task) ++count;
    return count;
  }

  // Runs the `index`th of those that are due.
  void Run(size_t index) {
    const auto chosen = std::next(tasks_.begin(), static_cast<std::ptrdiff_t>(index));
    Task task = std::move(chosen->second);
    tasks_.erase(chosen);
    std::move(task)();
  }

 private:
  const ManualClock* const clock_;
  std::multimap<int64_t, Task> tasks_;
};

}  // namespace larder::simulation

#endif  // LARDER_TESTS_UNIT_ENGINE_SIMULATION_SIM_SCHEDULER_H_
