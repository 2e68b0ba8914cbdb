// What every call of a client stands on.
#ifndef LARDER_CLIENT_SRC_CALL_ENV_H_
#define LARDER_CLIENT_SRC_CALL_ENV_H_

#include <grpc/support/time.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "client/src/breaker.h"
#include "client/src/call_queue.h"
#include "client/src/replica.h"
#include "client/src/resolver.h"
#include "client/src/retry_budget.h"
#include "core/clock.h"
#include "grpcpp/client_context.h"
#include "larder/options.h"

namespace larder::internal {

gpr_timespec DeadlineAfter(int64_t nanos);
absl::Status ClientIsClosing();

// Thread-safe. Blocks only in its constructor, which looks the target's names up, and its destructor.
class CallEnv {
 public:
  // `options` have been checked; `targets` are theirs.
  CallEnv(const ClientOptions& options, std::vector<Target> targets);

  CallQueue* NextQueue() { return queues_[next_queue_.fetch_add(1, std::memory_order_relaxed) % queues_.size()].get(); }

  // Gives an attempt its deadline and credentials.
  void FillContext(grpc::ClientContext* context, int64_t deadline_nanos) const;
  void AddToken(grpc::ClientContext* context) const;

  // Jittered, in nanoseconds, before the attempt that follows number `attempts`. None before the second one where
  // there is another replica to ask.
  int64_t Backoff(int attempts) const;

  // Takes a retry from the budget; tells the observer where there is none.
  bool WithdrawRetry();

  // With the version that stood against a conditional write, see CurrentVersion().
  absl::Status ToAbsl(const grpc::Status& status, const grpc::ClientContext& context) const;

  absl::Status BreakerIsOpen() const;
  absl::Status NoReplica();

  bool SaysServiceIsDown(const absl::Status& status, bool deadline_is_own) const;

  // Cancels what is under way and waits for its end.
  void Close();

  const ClientOptions options;
  const SystemClock clock;
  ReplicaSet replicas;
  Breaker breaker;
  RetryBudget budget;
  Resolver resolver;

 private:
  std::vector<std::unique_ptr<CallQueue>> queues_;
  std::atomic<uint32_t> next_queue_{0};
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_CALL_ENV_H_
