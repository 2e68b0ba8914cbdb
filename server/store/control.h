// A namespace's logical clock, as a store keeps it.
#ifndef LARDER_SERVER_STORE_CONTROL_H_
#define LARDER_SERVER_STORE_CONTROL_H_

#include <cstdint>
#include <string>
#include <vector>

namespace larder {

// A position on a namespace's logical clock.
struct ClockPosition {
  friend bool operator==(const ClockPosition&, const ClockPosition&) = default;

  uint64_t generation = 0;  // 0: none
  uint64_t epoch = 0;
};

// The last invalidation of a group: what belongs to it and was written at an earlier epoch is dead, or stale if it was
// soft. A group may have one of each kind.
struct Stamp {
  enum class Group : uint8_t { kAll, kTag, kPattern };

  friend bool operator==(const Stamp&, const Stamp&) = default;

  Group group = Group::kAll;
  bool soft = false;
  uint64_t epoch = 0;
  std::string name;  // the tag or the pattern
};

// What an answer of the store tells about a namespace's control record.
//
// A reader says which (generation, epoch) it knows; the update brings everything later than that. Where the
// generation is another than the known one, the update is complete: it starts from epoch 0.
struct ControlUpdate {
  uint64_t generation = 0;
  uint64_t epoch = 0;         // every stamp up to here is known to who applies this update
  uint64_t since = 0;         // the epoch the update starts from; 0: complete
  std::vector<Stamp> stamps;  // those later than `since`, in any order
  // Pattern stamps up to here have been swept and are no longer told: a reader who knows less than this may have missed
  // one (COHERENCE C4). 0: there was no sweep, or its end is no news at `since`.
  uint64_t floor = 0;
  // Rises with the order in which the store answered. An update with a lower one never replaces a generation.
  uint64_t sequence = 0;
};

}  // namespace larder

#endif  // LARDER_SERVER_STORE_CONTROL_H_
