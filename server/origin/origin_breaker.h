// Leaves an origin alone for a while after too many failures.
#ifndef LARDER_SERVER_ORIGIN_ORIGIN_BREAKER_H_
#define LARDER_SERVER_ORIGIN_ORIGIN_BREAKER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace larder {

// Closed until so many calls in a row have failed; then open for a pause; then one call, the probe, may try, and its
// end closes the breaker or opens it anew. Not thread-safe; never blocks.
class OriginBreaker {
 public:
  enum class State { kClosed, kProbing, kOpen };
  // A call's, from its beginning to its end: a call that began before the breaker last turned says nothing of now.
  using Ticket = uint64_t;

  State state() const { return state_; }

  // OK if keys may wait for a call: it is closed, or the pause is over and the probe has yet to begin. Else UNAVAILABLE
  // with the failure that opened it.
  absl::Status Admits(int64_t now_nanos) const;

  // To be called only while Admits() is OK.
  Ticket Begin();

  void Succeeded(Ticket ticket);
  // True if that opened it.
  bool Failed(Ticket ticket, const absl::Status& why, int failures_to_open, int64_t open_until_nanos);

  // Forgets what it knows, calls under way included.
  void Reset();

 private:
  void Turn(State state);

  State state_ = State::kClosed;
  Ticket turn_ = 0;
  int failures_ = 0;  // in a row
  int64_t open_until_nanos_ = 0;
  std::string reason_;
};

}  // namespace larder

#endif  // LARDER_SERVER_ORIGIN_ORIGIN_BREAKER_H_
