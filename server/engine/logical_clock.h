// What this replica knows of a namespace's control record, and what that says of an entry.
#ifndef LARDER_SERVER_ENGINE_LOGICAL_CLOCK_H_
#define LARDER_SERVER_ENGINE_LOGICAL_CLOCK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "core/entry.h"
#include "core/mutex.h"
#include "server/engine/change_log.h"
#include "server/store/control.h"
#include "server/store/stamp_table.h"

namespace larder {

// An entry is valid if its generation is the present one and no stamp that concerns it is later than its epoch
// (COHERENCE E3). No wall clock takes part. Thread-safe; never waits but for its own lock, and Judge takes none while
// nothing has changed since the entry was last judged. After a few changes it looks at those alone.
class LogicalClock {
 public:
  static constexpr size_t kMaxStamps = 200'000;

  // Holds at most `max_stamps` stamps of tags and patterns. Past that the earlier half is folded into a floor: what was
  // written before it is dead, whatever groups it belongs to (COHERENCE C5: counted, never a loss).
  explicit LogicalClock(size_t max_stamps = kMaxStamps) : max_stamps_(max_stamps) {}

  // The position from which the next update must start.
  ClockPosition known() const;

  // Takes in what an answer of the store told. Must be called before anything in that answer is judged, and before a
  // group invalidation that this replica made is acknowledged.
  //
  // True: stamps of patterns may have been swept that this clock never knew of, so what the caller holds by its
  // judgement must be dropped, and open flights started again (COHERENCE C4).
  //
  // What is new of it is added to `log`, if one is given, before known() says so: who proves something by known() has
  // told of all of it (COHERENCE W2).
  bool Apply(const ControlUpdate& update, ChangeLog* log = nullptr);

  // COHERENCE D1: groups were invalidated at `at_nanos` of this process's Clock, and have no epoch yet: the store will
  // give them one. Until ForgetDeferred they are later than whatever was read, or set, by then (EntryMeta::read_nanos).
  // The epochs of `stamps` are not looked at; too many become one of the whole namespace.
  void Defer(const std::vector<Stamp>& stamps, int64_t at_nanos);
  // Those up to and including `nanos` are known by their epochs.
  void ForgetDeferred(int64_t nanos);

  // By everything applied so far: called at delivery, not when a read began (COHERENCE N4). `key` is the one that the
  // entry is always judged under, and this clock the only one that judges it: what was found is remembered in it.
  Judgement Judge(std::string_view key, const Entry& entry) const;

  // Forgets all stamps up to and including `epoch`, since no entry from before it is left; should there be one, it is
  // dead.
  void Forget(uint64_t epoch);

  // Forgets the hard stamps of patterns up to and including `epoch`, which a sweep of the store has made needless; none
  // later than floor(), should `epoch` be of a generation that has ended since.
  // Nothing that may still be judged may be from before one of them without having been judged since.
  void ForgetHardPatterns(uint64_t epoch);

  // Pattern stamps up to here have been swept from the store, in the present generation. 0: none.
  uint64_t floor() const;

  // The latest hard stamp of a pattern that matches the key, or may: one that is no longer held counts for every key.
  // 0: none, but for those up to floor(), which the store was swept of.
  uint64_t LatestHardPattern(std::string_view key) const;

  // The stamps that concern the key or the tags, the latest first.
  std::vector<Stamp> Concerning(std::string_view key, TagList tags) const;

  // No invalidation that is not soft is later than this. 0: there was none.
  uint64_t latest_hard() const;

  size_t tags() const;  // how many stamps of tags are held
  size_t patterns() const;
  uint64_t folds() const;  // how often stamps were folded for want of room

 private:
  bool StartGeneration(const ControlUpdate& update) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddStamps(const std::vector<Stamp>& stamps, ChangeLog* log) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetStamps(uint64_t epoch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Judgement JudgeAnew(std::string_view key, const Entry& entry) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Judgement JudgeByRecent(std::string_view key, const Entry& entry, Judgement before, uint64_t changes) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t max_stamps_;

  // Rises with every change that can make an entry invalid. The shortcut of Judge compares this, not the epoch: an
  // epoch may be known before every stamp up to it is (COHERENCE C2).
  std::atomic<uint64_t> changes_{1};

  mutable Mutex mutex_;
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t generation_began_ ABSL_GUARDED_BY(mutex_) = 1;  // the change that it came by
  StampTable stamps_ ABSL_GUARDED_BY(mutex_);
  // The stamps of the last changes, one for each, the latest last. Empty where the last change was something else.
  std::deque<Stamp> recent_ ABSL_GUARDED_BY(mutex_);
  uint64_t forgotten_ ABSL_GUARDED_BY(mutex_) = 0;  // stamps up to here are no longer held
  uint64_t floor_ ABSL_GUARDED_BY(mutex_) = 0;
  StampTable deferred_ ABSL_GUARDED_BY(mutex_);  // by time in place of epochs, one more than the last that is too early
  uint64_t folds_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_LOGICAL_CLOCK_H_
