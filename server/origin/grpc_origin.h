// A namespace's system of record behind gRPC.
#ifndef LARDER_SERVER_ORIGIN_GRPC_ORIGIN_H_
#define LARDER_SERVER_ORIGIN_GRPC_ORIGIN_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/clock.h"
#include "server/engine/origin.h"
#include "server/engine/scheduler.h"
#include "server/metrics/metrics.h"
#include "server/origin/origin_loop.h"
#include "server/policy/policy.h"

namespace larder {

class KeyEnumerator;
class LoadDispatcher;

struct GrpcOriginOptions {
  // The largest message that is taken. A batch has no more keys than have room in it, whatever their values, as far as
  // the namespace allows these.
  int max_receive_bytes = 128 << 20;
};

// Asks the larder.v1.Origin at the policy's `target`, within the bounds of OriginPolicy but for the soft timeout, which
// is for those who call. Beside what Origin says:
// - A key that is asked for while it is queued joins; one whose call has left does not, since that may answer by what
//   was there before an invalidation (COHERENCE P2).
// - A key that has waited for a call for as long as a call may take fails with DEADLINE_EXCEEDED.
// - After `breaker_failures` failed calls in a row everything fails at once, until one call is made after the pause, on
//   a new connection, and succeeds. Too few or too many results are a failed call; a key's own error is none.
// - `done` of a load that is refused runs before Load returns; so callers must hold no lock that it takes.
// Thread-safe.
class GrpcOrigin final : public Origin {
 public:
  // `policy` has an origin. All pointees must outlive this. Adds the origin's metrics of the namespace to `registry`,
  // and so may be made once for each; a changed policy goes to ReplacePolicy().
  GrpcOrigin(const NamespacePolicy& policy, OriginLoop* loop, Scheduler* scheduler, const Clock* clock,
             Registry* registry, const GrpcOriginOptions& options = {});
  ~GrpcOrigin() override;  // Shutdown() if that has not been called
  GrpcOrigin(const GrpcOrigin&) = delete;
  GrpcOrigin& operator=(const GrpcOrigin&) = delete;

  // Of the same namespace, with an origin; for calls that begin from now on.
  void ReplacePolicy(const NamespacePolicy& policy);

  void Load(std::string key, absl::AnyInvocable<void(absl::StatusOr<OriginValue>) &&> done) override;
  // Fails at once while the breaker is open. There is no bound to the whole, but one to the wait for the next keys: the
  // hard timeout.
  void Enumerate(std::string prefix, int64_t limit, absl::AnyInvocable<bool(std::vector<std::string>)> take,
                 absl::AnyInvocable<void(absl::Status) &&> done) override;
  // Not from a callback of this object. Waits for a `take` that blocks.
  void Shutdown() override;

 private:
  const std::shared_ptr<LoadDispatcher> dispatcher_;
  const std::unique_ptr<KeyEnumerator> enumerator_;
};

}  // namespace larder

#endif  // LARDER_SERVER_ORIGIN_GRPC_ORIGIN_H_
