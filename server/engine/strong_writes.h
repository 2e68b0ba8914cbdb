// Writes that are acknowledged once no replica serves anything older.
#ifndef LARDER_SERVER_ENGINE_STRONG_WRITES_H_
#define LARDER_SERVER_ENGINE_STRONG_WRITES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "server/engine/scheduler.h"
#include "server/metrics/metrics.h"
#include "server/store/store.h"

namespace larder {

// COHERENCE S2: the write has landed; then it is read who is a member, and then each of them is waited for: until it
// has acknowledged, or until it serves nothing older any more by the terms that it registered with. Calls that come
// while members are being read are waited for together, in rounds. Thread-safe; nothing blocks, and callbacks run with
// no lock held, on any thread. The scheduler and the store must have been stopped before it goes.
class StrongWrites {
 public:
  using Done = absl::AnyInvocable<void(absl::Status) &&>;

  // The pointees must outlive it. `store` must not have been called yet. `most`: calls that may be under way at once.
  StrongWrites(Store* store, const Clock* clock, Scheduler* scheduler, Registry* registry, size_t most);
  StrongWrites(const StrongWrites&) = delete;
  StrongWrites& operator=(const StrongWrites&) = delete;

  // Before the write is sent: RESOURCE_EXHAUSTED if it must not be, since too many wait already. Otherwise one call of
  // Leave() or Await() must follow.
  absl::Status Enter();
  // The write has changed nothing, or failed.
  void Leave();
  // The write has landed. `done` gets OK once no member serves what was there before; DEADLINE_EXCEEDED when that
  // takes longer than the call may; or why the members could not be asked.
  void Await(int64_t deadline_nanos, Done done);

  // Ends every wait with UNAVAILABLE, now and later: the server is about to stop.
  void Stop();

 private:
  struct Call {
    int64_t deadline_nanos = 0;
    int64_t began_nanos = 0;
    Done done;
  };
  struct Round {
    int64_t sent_nanos = 0;
    bool is_known = false;                // who is to be waited for
    bool was_waited_out = false;          // somebody has not acknowledged
    int64_t end_nanos = 0;                // before that it does not end, whoever acknowledges
    std::map<uint64_t, int64_t> awaited;  // until when, by member
    std::vector<Call> calls;
  };
  enum class Outcome { kAcknowledged, kWaitedOut, kError };
  struct Ended {
    Call call;
    absl::Status status;
    Outcome outcome;
  };
  using EndedCalls = std::vector<Ended>;

  void Ask();
  void OnMembers(uint64_t number, absl::StatusOr<SyncResult> members);
  void OnAcknowledged(uint64_t member, uint64_t number);
  void LookLater();
  void Look();

  void AwaitMembers(uint64_t number, Round& round, const SyncResult& members) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void TakeAll(Round& round, const absl::Status& status, Outcome outcome, EndedCalls& ended);
  // Takes out the rounds that have ended by `now`, and those that nobody waits for.
  void TakeEnded(int64_t now, EndedCalls& ended) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeOverdue(int64_t now, EndedCalls& ended) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Finish(EndedCalls ended);

  Store* const store_;
  const Clock* const clock_;
  Scheduler* const scheduler_;
  const size_t most_;
  Counter& acknowledged_;
  Counter& waited_out_;
  Counter& errors_;
  Counter& shed_;
  Histogram& seconds_;

  Mutex mutex_;
  size_t entered_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_asking_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_looking_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Call> next_ ABSL_GUARDED_BY(mutex_);  // of the round after the one that is asking
  uint64_t last_round_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, Round> rounds_ ABSL_GUARDED_BY(mutex_);
  // The last round that each member has acknowledged: it may do so before the store has said who is one.
  std::map<uint64_t, uint64_t> acknowledged_up_to_ ABSL_GUARDED_BY(mutex_);
  int64_t longest_hold_nanos_ ABSL_GUARDED_BY(mutex_) = 0;  // ever seen
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_STRONG_WRITES_H_
