#include "server/redis/redis_route.h"

#include "absl/strings/str_cat.h"

namespace larder {

OperationDeadline DeadlineOf(int64_t now_nanos, int64_t timeout_nanos, int64_t callers_deadline_nanos) {
  const int64_t own = now_nanos + timeout_nanos;
  if (callers_deadline_nanos == 0 || own <= callers_deadline_nanos) return {own, false};
  return {callers_deadline_nanos, true};
}

absl::Status TimedOut(const OperationDeadline& deadline, int64_t timeout_nanos) {
  if (deadline.is_callers) return absl::DeadlineExceededError("the deadline passed while waiting for the store");
  return absl::UnavailableError(absl::StrCat("store did not answer within ", timeout_nanos / kNanosPerMilli, " ms"));
}

}  // namespace larder
