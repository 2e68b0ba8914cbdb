#include "client/src/call_maker.h"

#include "larder/observer.h"

namespace larder::internal {
namespace {

int64_t Nanos(std::chrono::milliseconds time) { return std::chrono::nanoseconds(time).count(); }

// Refused: nothing was written, and nothing was learned. ABORTED is not among these: it tells of a version that the
// next read must not fall behind.
bool SaysNothing(const absl::Status& status) { return status.code() == absl::StatusCode::kInvalidArgument; }

}  // namespace

CallSpec CallMaker::Spec(std::chrono::milliseconds deadline, bool repeatable, uint64_t route,
                         std::chrono::milliseconds wait) const {
  const int64_t now = env.clock.NowNanos();
  return {.repeatable = repeatable,
          .deadline_nanos = now + Nanos(wait) + Nanos(deadline),
          .wait_until_nanos = wait.count() == 0 ? 0 : now + Nanos(wait),
          .deadline_is_own = deadline < env.options.deadline,
          .route = route};
}

bool CallMaker::NearMayAnswer(std::string_view name_space, const KeyIdentity& key, const Replica* replica) const {
  // A replica that is alone has taken all of this process's writes itself.
  if (!env.replicas.several()) return true;
  const uint16_t id = replica == nullptr ? WrittenKeys::kUnknownReplica : replica->id();
  const int64_t now = env.clock.NowNanos();
  return written_.NearMayAnswer(key.hash, id, now) && written_.NearMayAnswer(Identify(name_space, {}).hash, id, now);
}

void CallMaker::BeforeWrite(const std::vector<KeyIdentity>& keys) {
  if (!near.enabled()) return;
  for (const KeyIdentity& key : keys) near.Drop(key.near_key, key.hash);
}

void CallMaker::AfterWrite(const std::vector<KeyIdentity>& keys, const absl::Status& status, uint16_t replica) {
  Record(keys, status, replica);
  BeforeWrite(keys);
}

void CallMaker::AfterWriteOfAll(std::string_view name_space, const absl::Status& status, uint16_t replica) {
  Record({Identify(name_space, {})}, status, replica);
  near.DropAll();
}

void CallMaker::Record(const std::vector<KeyIdentity>& keys, const absl::Status& status, uint16_t replica) {
  if (SaysNothing(status)) return;
  const int64_t now = env.clock.NowNanos();
  const uint16_t acknowledged = status.ok() ? replica : WrittenKeys::kUnknownReplica;
  for (const KeyIdentity& key : keys) {
    written_.Record(key.hash, acknowledged, now, now + Nanos(env.options.read_own_writes_for));
  }
}

void CallMaker::Report(std::string_view method, const absl::Status& status, int64_t began_nanos, int attempts,
                       int keys) const {
  if (env.options.observer == nullptr) return;
  CallReport report;
  report.method = method;
  report.code = status.code();
  report.duration = std::chrono::nanoseconds(env.clock.NowNanos() - began_nanos);
  report.attempts = attempts;
  report.keys = keys;
  env.options.observer->OnCall(report);
}

}  // namespace larder::internal
