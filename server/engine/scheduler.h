// Things to be done later.
#ifndef LARDER_SERVER_ENGINE_SCHEDULER_H_
#define LARDER_SERVER_ENGINE_SCHEDULER_H_

#include <cstdint>

#include "absl/functional/any_invocable.h"

namespace larder {

class Scheduler {
 public:
  using Task = absl::AnyInvocable<void() &&>;

  virtual ~Scheduler() = default;

  // Runs `task` once, at `when_nanos` of the scheduler's Clock or as soon after it as can be, never before this
  // returns, with no lock held. Tasks must not block. A task that has not been run when the scheduler is stopped is
  // dropped without being run. Thread-safe.
  virtual void At(int64_t when_nanos, Task task) = 0;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_SCHEDULER_H_
