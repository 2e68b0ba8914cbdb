// What a Get would make of what is stored under a key, and why, for people.
#ifndef LARDER_SERVER_ENGINE_VERDICT_H_
#define LARDER_SERVER_ENGINE_VERDICT_H_

#include <cstdint>
#include <string>

#include "server/engine/logical_clock.h"
#include "server/store/store.h"

namespace larder {

enum class Verdict {
  kNone,           // there is nothing, or it is not looked at
  kFresh,          // served
  kStale,          // served as stale
  kInvalidated,    // dead by a stamp
  kOldGeneration,  // dead by a barrier
  kLeased,         // there is a placeholder alone
  kUnreadable,
};

// Whether a Get is answered with the entry.
bool IsServed(Verdict verdict);

// `now_nanos` is on the clock of the entry's times. Everything that the answer which brought `item` told of the logical
// clock must have been applied to `clock` before.
Verdict VerdictOf(const LogicalClock& clock, const StoredItem& item, int64_t now_nanos);

// The same as a sentence for who looks at it at 3 a.m.: what happens, since when, until when, and which invalidation it
// was. Names no tier. Allocates; takes as long as looking up the stamps that concern the key.
std::string ReasonOf(Verdict verdict, const LogicalClock& clock, const StoredItem& item, int64_t now_nanos);

// A length of time with its unit: `250 ms`, `8.3 s`, `4 min 12 s`, `3 h 5 min`, `6 d 3 h`. Below 0: `0 ms`.
std::string TimeText(int64_t nanos);

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_VERDICT_H_
