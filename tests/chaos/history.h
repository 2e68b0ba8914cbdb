// What clients did and saw, and whether a cache may answer so.
#ifndef LARDER_TESTS_CHAOS_HISTORY_H_
#define LARDER_TESTS_CHAOS_HISTORY_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace larder::chaos {

enum class OperationKind {
  kGet,
  kSet,
  kFill,        // a value that was loaded under a lease or an as-of token, or by a warm-up
  kInvalidate,  // of one key, as far as it concerns that key: one of a group is one for each of its keys
};

enum class Outcome {
  kDone,     // acknowledged; of a Get: answered
  kRefused,  // surely not applied
  kUnknown,  // failed, timed out or deferred: it may be applied at any time from its invocation on, or never
};

// Nobody's replica, as somebody wrote to Redis itself, or one that is not known.
inline constexpr int kForeign = -1;

// Times are nanoseconds on one monotonic clock.
struct Operation {
  OperationKind kind = OperationKind::kGet;
  Outcome outcome = Outcome::kDone;
  int key = 0;
  int replica = 0;
  int64_t invoked = 0;
  int64_t returned = 0;
  // Unique; of a Get: the one it was answered with, 0 for a miss.
  uint64_t value = 0;
  // Of a Set on the condition that an entry is still there: the value that it had; 0: no such condition.
  uint64_t replaced = 0;
  // Of a fill: when the value was loaded, after its lease, token or position had been given.
  int64_t loaded = 0;
  // Of a fill: since when the position that its lease or token carries may be. A SOFT invalidation since then makes it
  // stale, as it is known to be no older than that only. 0: when it was loaded.
  int64_t leased = 0;
  bool strong = false;
  bool soft = false;  // of an invalidation
  // Deferred: of unknown outcome to all others, but done on its own replica for as long as that lives (COHERENCE D1).
  bool local = false;
  // Of a Get.
  bool stale = false;
  bool degraded = false;
  bool near = false;
  bool from_store = false;  // it asked to go past the near tier
  bool fresh_only = false;
};

// A time in which faults were made, and for a while after each in which the fleet may still feel them.
struct Window {
  int64_t begin = 0;
  int64_t end = 0;
};

// A replica that ended: what it alone knew is gone.
struct End {
  int replica = 0;
  int64_t time = 0;
};

struct CheckOptions {
  // COHERENCE P1: by how much another replica may be behind a write that was acknowledged as BOUNDED.
  int64_t delta = 0;
  // COHERENCE D4: how long after it was last known to be current an entry may be served as degraded.
  int64_t degraded_max_age = 0;
  int keys = 0;
  int replicas = 0;
  // Keys from this one on are never invalidated as SOFT, and what expires is gone: nothing of them may be stale.
  int soft_keys = 0;
  std::vector<Window> faults = {};
  std::vector<End> ends = {};
};

struct Violation {
  Operation read;
  std::string what;
};

// COHERENCE P1, P2, E5, D1, D4. For each key the floor rises with each acknowledged Set or Invalidate: a Get that was
// not answered as stale or degraded must not bring a value that was written, or loaded, before the invocation of a
// write that was acknowledged before the Get was invoked by the same replica, by any as STRONG, or by any more than
// `delta` earlier; by any at all if the Get went past the near tier. One that was answered as stale must keep that too,
// but for SOFT invalidations; a degraded one what the same replica had acknowledged or deferred, and what anybody had
// acknowledged more than `degraded_max_age` and `delta` earlier. A value that nobody wrote under the key, or whose
// Set was refused, must not be seen at all. A Set that was acknowledged on the condition that an entry is still there
// has seen it as a Get past the near tier would, and no other such Set has seen the same. Writes of unknown outcome
// raise no floor, and are below none until the store has been seen to have them. Blocks for as long as it takes: about
// a second for a million operations.
std::vector<Violation> CheckHistory(const std::vector<Operation>& history, const CheckOptions& options);

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_HISTORY_H_
