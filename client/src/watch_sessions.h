// What the client's Watch streams answer for.
#ifndef LARDER_CLIENT_SRC_WATCH_SESSIONS_H_
#define LARDER_CLIENT_SRC_WATCH_SESSIONS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "core/mutex.h"

namespace larder::internal {

// A session is a time in which a stream of one replica and namespace has told of every change: what was admitted under
// it is current while the session lives and its lease holds. Each stream has a slot, whose session is replaced when
// something was not told, or was told of a group. Thread-safe; the questions that a near hit asks take no lock.
class WatchSessions {
 public:
  static constexpr size_t kMaxStreams = 256;

  // What an entry was admitted under.
  struct Session {
    uint64_t slot = 0;  // from 1; 0: none, so that its age bounds it
    uint64_t id = 0;    // rises with each session of the client's
  };

  // --- streams ---

  // A slot, or none if there are too many streams.
  std::optional<size_t> Acquire(std::string_view name_space);
  void Release(size_t slot);
  // From now on a stream of that incarnation tells of everything; what was admitted before is dropped, and there is no
  // lease yet (COHERENCE W4).
  void Begin(size_t slot, uint64_t incarnation);
  // What was admitted before is dropped; the lease goes on.
  void Drop(size_t slot);
  // COHERENCE W1: nothing is admitted while the stream is not open; what was stays, since it may go on.
  void SetOpen(size_t slot, bool is_open);
  // COHERENCE W2: everything that was told up to the position that the renewal named has been applied.
  void Renew(size_t slot, int64_t until_nanos);

  // --- admission ---

  // The latest session when a read begins.
  uint64_t Latest() const { return latest_.load(std::memory_order_acquire); }
  // COHERENCE W1: the session under which an answer of that incarnation may be admitted, if it is not later than the
  // Latest() of when the read began. None: a `slot` of 0.
  Session Of(std::string_view name_space, uint64_t incarnation) const;

  // --- hits ---

  // Rises before each renewal counts. Who finds it unchanged after it has looked for an entry, and then asked the
  // below, looked after all that the lease answers for had been dropped.
  uint64_t renewals() const { return renewals_.load(std::memory_order_acquire); }
  bool Lives(const Session& session) const {
    return slots_[session.slot - 1].session.load(std::memory_order_acquire) == session.id;
  }
  bool IsLeased(const Session& session, int64_t now_nanos) const {
    return now_nanos < slots_[session.slot - 1].until_nanos.load(std::memory_order_acquire);
  }

 private:
  struct Slot {
    std::atomic<uint64_t> session{0};
    std::atomic<int64_t> until_nanos{0};
  };
  struct Stream {
    bool is_taken = false;
    bool is_open = false;
    uint64_t incarnation = 0;
    std::string name_space;
  };

  void Replace(size_t slot) { slots_[slot].session.store(latest_.fetch_add(1) + 1, std::memory_order_release); }

  std::array<Slot, kMaxStreams> slots_;
  std::atomic<uint64_t> latest_{0};
  std::atomic<uint64_t> renewals_{0};

  mutable Mutex mutex_;
  std::array<Stream, kMaxStreams> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_WATCH_SESSIONS_H_
