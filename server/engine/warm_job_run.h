// One run of a configured warm-up: a queue of what is to be cached, worked off within bounds.
#ifndef LARDER_SERVER_ENGINE_WARM_JOB_RUN_H_
#define LARDER_SERVER_ENGINE_WARM_JOB_RUN_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/clock.h"
#include "core/lines/entry_line.h"
#include "core/mutex.h"
#include "server/engine/scheduler.h"

namespace larder {

struct WarmCounts {
  int64_t found = 0;
  int64_t written = 0;
  int64_t skipped = 0;
  int64_t failed = 0;
  std::string last_failure = {};  // which item, and why
};

// Thread-safe. Held by shared_ptr, which the items under way share. Callbacks run without locks held.
class WarmJobRun : public std::enable_shared_from_this<WarmJobRun> {
 public:
  struct Options {
    int concurrency = 1;
    int max_per_second = 0;  // 0: no limit. Of any second, however it is cut.
  };
  // An entry, or where only its key is set what is to be loaded.
  using Item = EntryLine;
  // Told whether the item was written; false: it was not needed.
  using ItemDone = absl::AnyInvocable<void(absl::StatusOr<bool>) &&>;
  using WorkOn = std::function<void(const Item&, ItemDone)>;
  using Ended = absl::AnyInvocable<void(absl::Status) &&>;

  // After so many items in a row that failed the others would too.
  static constexpr int64_t kMaxFailuresInARow = 100;
  static constexpr size_t kMaxQueued = 2'000;

  // `ended` runs once: OK if the run came to its end, although single items may have failed; else why not. The clock
  // and the scheduler must outlive the items under way.
  WarmJobRun(Options options, const Clock* clock, Scheduler* scheduler, WorkOn work_on, Ended ended);

  // For the source. Offer blocks while the queue is full; false: no more are wanted.
  bool Offer(std::vector<Item> items);
  // Never blocks: for those that are in memory anyway.
  void OfferAll(std::vector<Item> items);
  // Counts an item that could not even be read.
  void Refuse(std::string_view item, const absl::Status& status);
  // There are no more, or the source failed.
  void EndOfItems(absl::Status status);

  // Ends the run now; what is under way goes on.
  void Cancel(const absl::Status& reason);

  WarmCounts counts() const;

 private:
  // It has not failed.
  bool IsWanting() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !over_ && outcome_.ok(); }
  void Enqueue(std::vector<Item> items) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Starts what may be started, and ends the run if it is over. Whatever changes calls it, on any thread.
  void Advance();
  bool TakeNext(Item* item) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayStart() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AdvanceAt(int64_t when_nanos) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnItem(const std::string& key, const absl::StatusOr<bool>& written);
  void CountFailure(std::string_view item, const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // If the run is over, what to tell whom.
  absl::AnyInvocable<void() &&> TakeEnd() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  const Clock* const clock_;
  Scheduler* const scheduler_;
  const WorkOn work_on_;

  mutable Mutex mutex_;
  CondVar room_;
  std::deque<Item> queue_ ABSL_GUARDED_BY(mutex_);
  WarmCounts counts_ ABSL_GUARDED_BY(mutex_);
  Ended ended_ ABSL_GUARDED_BY(mutex_);
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  bool all_found_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status outcome_ ABSL_GUARDED_BY(mutex_);
  bool advancing_ ABSL_GUARDED_BY(mutex_) = false;  // somebody is in Advance, and will look again
  bool timer_set_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t failures_in_a_row_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t quota_ ABSL_GUARDED_BY(mutex_) = 0;  // that may be started before `next_quota_nanos_`
  int64_t next_quota_nanos_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_WARM_JOB_RUN_H_
