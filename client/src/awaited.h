// The answer of an asynchronous call, waited for.
#ifndef LARDER_CLIENT_SRC_AWAITED_H_
#define LARDER_CLIENT_SRC_AWAITED_H_

#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "core/mutex.h"
#include "larder/cache.h"

namespace larder::internal {

// One answer, set once by any thread and taken by one. Must outlive the call that sets it.
template <typename T>
class Awaited {
 public:
  Callback<absl::StatusOr<T>> Setter() {
    return [this](absl::StatusOr<T> answer) {
      // Notified under the lock: once it is free, the waiter may destroy this.
      MutexLock lock(&mutex_);
      answer_ = std::move(answer);
      set_.NotifyOne();
    };
  }

  // Blocks until the answer is there.
  absl::StatusOr<T> Take() {
    MutexLock lock(&mutex_);
    while (!answer_.has_value()) set_.Wait(&mutex_);
    return *std::move(answer_);
  }

 private:
  Mutex mutex_;
  CondVar set_;
  std::optional<absl::StatusOr<T>> answer_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_AWAITED_H_
