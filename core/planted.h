// Bugs that can be planted in a server for tests.
#ifndef LARDER_CORE_PLANTED_H_
#define LARDER_CORE_PLANTED_H_

#include <cstdint>

namespace larder {

// What would be wrong if a rule of coherence were not kept: a checker that does not find each of them proves nothing
// (tests/chaos). Only `larderd-faulty` can have one; elsewhere Planted() is a constant, and nothing of them is built.
enum class Bug {
  kNone,
  kNoFillCheck,        // E2: a fill is stored whatever happened since its lease was given
  kNoFlush,            // N2: near entries outlive the connection that told of changes
  kPingRenews,         // N1: the near lease is renewed by any answer, whatever it tells
  kWallClock,          // N1: the near lease is counted on a clock that can be set
  kEpochPastGap,       // C2: the known epoch is that of the latest stamp told, though not all before were applied
  kNoSweepFence,       // C4: what is older than a sweep may be stored behind its back
  kGenerationIgnored,  // C3: an entry of another generation counts
  kNoDirtyMark,        // N3: what was in flight when its key changed enters the near tier
  kJoinsOlderFlight,   // N4: a Get is answered by a read that was sent before the key changed
  kAlwaysMiss,         // no rule: it is only useless
};

#ifdef LARDER_PLANTED_BUGS
// Whether that bug is in this process. Include this header in .cc files alone: those that have a bug are compiled a
// second time for larderd-faulty.
bool Planted(Bug bug);
// With kWallClock: by how much its clock has been set. Nanoseconds.
int64_t PlantedStepNanos();
#else
constexpr bool Planted(Bug) { return false; }
constexpr int64_t PlantedStepNanos() { return 0; }
#endif

}  // namespace larder

#endif  // LARDER_CORE_PLANTED_H_
