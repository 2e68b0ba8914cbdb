// What the client tells about itself, for an application's own metrics and logs.
#ifndef LARDER_OBSERVER_H_
#define LARDER_OBSERVER_H_

#include <chrono>
#include <string_view>

#include "absl/status/status.h"
#include "larder/export.h"

namespace larder {

// How the service looks from here.
enum class ServiceState {
  kUp,       // calls are made
  kDown,     // the breaker is open: calls end at once, reads as misses
  kProbing,  // the breaker lets one call through to see
};

// One call of the application that has ended.
struct CallReport {
  std::string_view method;            // "Get", "Set", …; a constant
  absl::StatusCode code;              // what it ended with, before a failed read was turned into a miss
  std::chrono::nanoseconds duration;  // from the application's call to its end
  int attempts = 0;                   // 0: answered without a call, from the client's near cache or by the breaker
  int keys = 1;                       // how many it was about
};

// What reads found. Counts, of one call.
struct ReadReport {
  int near_hits = 0;  // in the client's own near cache
  int hits = 0;       // in the service
  int misses = 0;     // in neither
  int failures = 0;   // neither: the service could not say
};

// One loader that was run, or waited for, by GetOrLoad.
struct LoadReportEvent {
  std::string_view key;
  absl::StatusCode code;              // what the loader ended with
  std::chrono::nanoseconds duration;  // of the loader, or of the wait for another caller's
  bool joined = false;                // another caller's loader was waited for
};

// The metrics hook. Calls come from any thread, several at once, in the middle of a call: they must be thread-safe,
// must not block, throw, or call the cache. The views are valid during the call. An observer must outlive the
// clients that it was given to.
class LARDER_EXPORT Observer {
 public:
  virtual ~Observer();

  virtual void OnCall(const CallReport&) {}
  virtual void OnRead(const ReadReport&) {}
  virtual void OnLoad(const LoadReportEvent&) {}
  // The breaker turned; `why` is the last failure where it is not kUp.
  virtual void OnState(ServiceState, const absl::Status& /*why*/) {}
  // A retry was wanted but the budget for retries was used up.
  virtual void OnRetryRefused() {}
};

}  // namespace larder

#endif  // LARDER_OBSERVER_H_
