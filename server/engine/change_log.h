// What has changed in a namespace of late, for those who watch it.
#ifndef LARDER_SERVER_ENGINE_CHANGE_LOG_H_
#define LARDER_SERVER_ENGINE_CHANGE_LOG_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/mutex.h"
#include "server/store/control.h"

namespace larder {

// One event: what may be older than the store's from now on in a memory that was filled through this replica.
struct Change {
  enum class Kind : uint8_t { kKey, kTag, kPattern, kAll, kGap };
  // Why it is not known what was written.
  enum class Gap : uint8_t { kNone, kCursor, kLost, kFlushed, kGeneration, kSwept };

  friend bool operator==(const Change&, const Change&) = default;

  Kind kind = Kind::kKey;
  bool soft = false;  // of groups
  Gap gap = Gap::kNone;
  std::string name = {};  // the key, tag or pattern
};

// A bounded ring of a namespace's changes, in the order in which this replica came to know them (COHERENCE W2 to W4).
// Positions are sequence numbers: that of the last change that was told. Nothing is held for a single reader: each
// keeps its own position, and one that falls off the ring is told so. While nobody reads, and has not for kLinger, a
// change costs one look at an atomic. Thread-safe; waits for nothing but its own lock, which is the innermost.
//
// A change must be added after what this replica itself would serve of it has been dropped: who hears of it may ask
// for the entry at once.
class ChangeLog {
 public:
  // Who knows of all changes.
  enum class Source {
    kNone,   // nobody: others write unheard, so that there is nothing to watch
    kTold,   // the store tells, and what it tells is proved up to a time (Prove)
    kWrites  // this process alone writes: OnWritten is told before a write is acknowledged
  };
  struct Options {
    Source source = Source::kNone;
    size_t capacity = 65'536;  // changes
  };

  // How long changes are held after the last reader has gone, so that it may come back.
  static constexpr int64_t kLinger = 60 * kNanosPerSecond;
  // Bounds of one batch.
  static constexpr size_t kMaxBatch = 1'000;
  static constexpr size_t kMaxBatchBytes = 256 << 10;  // of names

  // Before any other call. `clock` must outlive this.
  void Configure(Options options, const Clock* clock);
  Source source() const { return source_; }

  // --- who changes ---

  // A write of this process, before it is acknowledged. Counts where the source is kWrites.
  void OnWritten(std::string_view key);
  // The store has told that somebody wrote the key. Counts where the source is kTold.
  void OnTold(std::string_view key);
  void OnStamp(const Stamp& stamp);
  void OnGap(Change::Gap gap);
  // What is added from now on is not known to be all; adds a gap.
  void OnLost();
  // All that was acknowledged to anybody a near lease before `until_nanos` has been added.
  void Prove(int64_t until_nanos);
  // Wakes who waits for a change. After the above, with no lock held.
  void Tell() {
    if (wake_due_.load(std::memory_order_acquire)) Wake();
  }

  // --- who reads ---

  // A reader comes, and from now on all changes are held. `begin`: the position from which it starts. None is given:
  // it starts from here. False: it cannot start from the one that is given (COHERENCE W4), and starts from here.
  bool Open(std::optional<uint64_t> from, uint64_t* begin);
  // And goes. Once for each Open.
  void Close();

  // What came after the position that was asked from. A gap is alone.
  struct Batch {
    std::vector<Change> changes;
    bool is_cut_off = false;  // they are not held any more
  };
  // If there are none the listener is told of the next one.
  Batch Read(uint64_t after);
  // Whether what came after that position can still be read.
  bool Holds(uint64_t after) const;

  // COHERENCE W2, W3: the present position, if everything that was acknowledged a near lease before `now_nanos` is at
  // or before it.
  std::optional<uint64_t> Proved(int64_t now_nanos) const;

  // Run when there is something new for whoever found nothing, on the thread of the change, with no lock held. Must not
  // block. Before the first Open.
  void SetListener(std::function<void()> listener) { listener_ = std::move(listener); }

  uint64_t gaps() const { return gaps_.load(std::memory_order_relaxed); }      // added while somebody read
  uint64_t events() const { return events_.load(std::memory_order_relaxed); }  // those included
  size_t readers() const;

 private:
  void Add(Change change);
  void Append(Change change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StopHolding() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Wake();

  Source source_ = Source::kNone;  // these three are fixed before the first change
  size_t capacity_ = 0;
  const Clock* clock_ = nullptr;
  std::function<void()> listener_;

  std::atomic<bool> is_held_{false};  // changed under the lock
  std::atomic<bool> wake_due_{false};
  std::atomic<uint64_t> events_{0};
  std::atomic<uint64_t> gaps_{0};

  mutable Mutex mutex_;
  std::deque<Change> ring_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;  // the position of the latest change, in the ring or not
  size_t readers_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t left_nanos_ ABSL_GUARDED_BY(mutex_) = 0;  // when the last reader went
  bool is_somebody_waiting_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t proved_until_nanos_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_CHANGE_LOG_H_
