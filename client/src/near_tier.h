// The client's own near cache: entries in the application's memory.
#ifndef LARDER_CLIENT_SRC_NEAR_TIER_H_
#define LARDER_CLIENT_SRC_NEAR_TIER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "client/src/watch_sessions.h"
#include "core/clock.h"
#include "core/entry.h"
#include "core/near_cache.h"
#include "core/write_marks.h"
#include "larder/options.h"

namespace larder::internal {

// A namespace and a key as one string.
std::string NearKey(std::string_view name_space, std::string_view key);
std::string_view NamespaceOf(std::string_view near_key);

// Serves an entry while the Watch session under which it was admitted lives and its lease holds; else for `max_age`
// from the sending of the read that brought it. What this process writes or invalidates is dropped at the write's start
// and at its end, what others change when that is told, and a read under way at either is not kept (COHERENCE N3, W1).
// Thread-safe; never waits.
class NearTier {
 public:
  // The state of a key when a read of it began.
  struct Ticket {
    uint64_t mark = 0;
    uint64_t clears = 0;
    uint64_t session = 0;  // the latest there was
  };

  // `clock` must outlive it.
  NearTier(const NearOptions& options, const Clock* clock);

  bool enabled() const { return enabled_; }

  // Null if there is none that may be served; a stale one may not.
  EntryRef Find(std::string_view near_key, uint64_t hash, int64_t now_nanos);

  // Before the read is sent.
  Ticket Begin(uint64_t hash) const {
    return {marks_.Current(hash), clears_.load(std::memory_order_acquire), sessions_.Latest()};
  }
  // `entry` must not have been shared with another thread yet. `session`: that of who answered; none: its age alone
  // bounds it, as it does where the session began after the read.
  void Admit(std::string_view near_key, uint64_t hash, EntryRef entry, const Ticket& ticket,
             const WatchSessions::Session& session = {});

  // At the start and at the end of a write, and where somebody else's is told of.
  void Drop(std::string_view near_key, uint64_t hash);
  // The same, of a write that may concern any key.
  void DropAll();
  // The same, of what may concern all that is known through one stream.
  void DropSession(size_t slot);

  WatchSessions& sessions() { return sessions_; }

 private:
  const bool enabled_;
  const int64_t max_age_nanos_;
  const Clock* const clock_;
  NearCache cache_;
  WriteMarks marks_;
  std::atomic<uint64_t> clears_{0};
  WatchSessions sessions_;
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_NEAR_TIER_H_
