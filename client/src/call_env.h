// What every call of a client stands on.
#ifndef LARDER_CLIENT_SRC_CALL_ENV_H_
#define LARDER_CLIENT_SRC_CALL_ENV_H_

#include <grpc/support/time.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
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

// What all attempts of a call have in common.
struct CallSpec {
  bool repeatable = false;       // may be sent again after it may have arrived
  int64_t deadline_nanos = 0;    // on Clock's scale
  int64_t wait_until_nanos = 0;  // until then the service may keep it waiting on purpose
  bool deadline_is_own = false;  // shorter than the client's: running out of it says nothing of the service
  uint64_t route = 0;            // StableHash of its key, where routing is by key
  std::shared_ptr<Replica> replica = nullptr;  // of the first attempt; null: the set's choice
};

// Counts how many calls end on this thread within their own start, each begun by the callback of the one before.
class NestedEnd {
 public:
  NestedEnd() { ++depth_; }
  ~NestedEnd() { --depth_; }
  NestedEnd(const NestedEnd&) = delete;
  NestedEnd& operator=(const NestedEnd&) = delete;

  bool too_deep() const { return depth_ > kDeepest; }

 private:
  static constexpr int kDeepest = 32;
  static thread_local int depth_;
};

// Thread-safe. Blocks only in its constructor, which looks the target's names up, and its destructor.
class CallEnv {
 public:
  // `options` have been checked; `targets` are theirs.
  CallEnv(const ClientOptions& options, std::vector<Target> targets);

  CallQueue* NextQueue() { return queues_[next_queue_.fetch_add(1, std::memory_order_relaxed) % queues_.size()].get(); }

  // Gives an attempt its deadline, shortened to `attempt_timeout`, after what the service may wait, only if another
  // attempt may follow; and its credentials. UNAUTHENTICATED if the token cannot be sent.
  absl::Status FillContext(grpc::ClientContext* context, const CallSpec& spec, bool another_may_follow) const;
  absl::Status AddToken(grpc::ClientContext* context) const;

  // A call that has less than half of the client's deadline left, because it waited here, does not blame the service
  // when it runs out.
  void LimitBlame(CallSpec* spec) const;

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
  bool closing() const { return queues_.front()->closing(); }

  const ClientOptions options;
  const SystemClock clock;
  ReplicaSet replicas;
  Breaker breaker;
  RetryBudget budget;
  Resolver resolver;

 private:
  absl::Status TooLarge(const std::string& message) const;

  std::vector<std::unique_ptr<CallQueue>> queues_;
  std::atomic<uint32_t> next_queue_{0};
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_CALL_ENV_H_
