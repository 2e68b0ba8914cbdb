// Ends calls at once while the service as a whole is down.
#ifndef LARDER_CLIENT_SRC_BREAKER_H_
#define LARDER_CLIENT_SRC_BREAKER_H_

#include <atomic>
#include <chrono>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "larder/observer.h"
#include "larder/options.h"

namespace larder::internal {

// Closed until `consecutive_failures` calls in a row have failed; then open for `open_for`; then one call, the probe,
// is let through, and its end closes the breaker or opens it anew. Thread-safe; while it is closed and calls succeed it
// takes no lock. The observer is told outside of it.
class Breaker {
 public:
  enum class Verdict { kCall, kProbe, kRefuse };

  // `clock` and `observer` must outlive it; `observer` may be null.
  Breaker(const BreakerOptions& options, const Clock* clock, Observer* observer)
      : options_(options), clock_(clock), observer_(observer) {}

  // May a call be made? Each kCall and kProbe is to be followed by one of the three below.
  Verdict Admit();

  void OnSuccess(Verdict verdict);
  void OnFailure(Verdict verdict, const absl::Status& why);
  // The call ended in a way that says nothing of the service, such as by its caller's own cancellation.
  void OnNothingLearned(Verdict verdict);

  ServiceState state() const { return state_.load(std::memory_order_acquire); }
  // Why it is open: the failure that opened it; OK while it is closed.
  absl::Status reason() const;

 private:
  int64_t open_for_nanos() const { return std::chrono::nanoseconds(options_.open_for).count(); }
  void Turn(ServiceState state, const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Tell(ServiceState state, const absl::Status& why) const;

  const BreakerOptions options_;
  const Clock* const clock_;
  Observer* const observer_;

  std::atomic<ServiceState> state_{ServiceState::kUp};
  std::atomic<int> failures_{0};  // in a row

  mutable Mutex mutex_;
  int64_t next_probe_nanos_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status reason_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_BREAKER_H_
