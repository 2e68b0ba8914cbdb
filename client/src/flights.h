// Single flight: of the callers who want a key at the same time, one reads and loads it and the others wait.
#ifndef LARDER_CLIENT_SRC_FLIGHTS_H_
#define LARDER_CLIENT_SRC_FLIGHTS_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/mutex.h"
#include "larder/load.h"
#include "larder/observer.h"

namespace larder::internal {

// What a flight's leader came to.
struct FlightOutcome {
  absl::StatusOr<Known> value;
  absl::Status read = {};        // of the cache
  ReadReport found = {};         // by that read
  bool loaded = false;           // by the leader's loader; false: the value was cached
  bool stale = false;            // of one that was cached
  absl::Status load_error = {};  // why it was not loaded anew, where the leader was to
};

// One leader's read, load and fill of a key. Thread-safe.
class Flight {
 public:
  Flight(std::string_view name_space, std::string_view key) : name_space_(name_space), key_(key) {}

  const std::string& name_space() const { return name_space_; }
  const std::string& key() const { return key_; }

  // Once. Wakes those who wait.
  void Publish(FlightOutcome outcome);

  // Blocks. None: there was no outcome within `max_wait`.
  std::optional<FlightOutcome> Wait(std::chrono::milliseconds max_wait);

  // From that time on, of SystemClock, nobody joins it any more. Who has joined it stays.
  void CloseAt(int64_t nanos) { closed_from_nanos_.store(nanos, std::memory_order_release); }
  bool IsClosed(int64_t now_nanos) const { return now_nanos >= closed_from_nanos_.load(std::memory_order_acquire); }

 private:
  const std::string name_space_;
  const std::string key_;
  std::atomic<int64_t> closed_from_nanos_{std::numeric_limits<int64_t>::max()};

  Mutex mutex_;
  CondVar published_;
  std::optional<FlightOutcome> outcome_ ABSL_GUARDED_BY(mutex_);
};

// What a write is about.
struct WriteScope {
  std::string name_space;
  std::vector<std::string> keys;
  bool all = false;     // the whole namespace
  bool groups = false;  // some of its entries, and which ones only the service knows
};

// The flights of one cache object. Thread-safe; blocks nobody.
//
// A flight is open, so that others join it, until it is sealed, replaced, closed or ended, and may store what it loaded
// until it is sealed or ended: the token of its fill sees to it that a flight that was replaced overwrites nothing. The
// invariants (COHERENCE W5): what was read or loaded before a write through this object began is not joined after the
// write has been acknowledged; and what is being loaded with a lease is not joined once the service may have given the
// lease to another, who may then be waited for instead. That it is not stored either (COHERENCE P2) is the doing of the
// fill's token, in the service.
//   1. A write seals the flights of its keys when it begins: what they loaded may be older than it.
//   2. It is sent once the fills of its keys that are under way have ended; no fill of a sealed flight begins. So none
//      of them reaches the store after the write.
//   3. It seals them again before it is acknowledged: one that began meanwhile may have read the cache before the
//      write landed, so nobody may join it afterwards. What it is storing may stay: its loader began after the write
//      did, and the condition of its fill keeps it from replacing what the write put there.
//   4. A write of groups seals every flight of the namespace against being joined. Fills go on, whichever keys they are
//      of, and none is waited for: the service refuses those that the groups concern, and an application that
//      invalidates often would otherwise cache little.
// Not closed: what Cache::Warm was given before the write waits in its feed and its stream, and an invalidation by name
// does not stop it.
class Flights {
 public:
  struct Place {
    std::shared_ptr<Flight> flight;
    bool leads = false;  // the caller owes the flight a Publish and an End
  };

  // A place in the open flight of the key, unless that is closed, or `unwanted` (may be null), or `alone` is asked for,
  // by a caller whose read must not have begun before the call; otherwise at the head of a new one that replaces it.
  Place Board(std::string_view name_space, std::string_view key, bool alone, const Flight* unwanted);

  // Of a fill on the condition of a token that was given before the loader ran, as every one is (COHERENCE E4). False:
  // the flight is sealed, nothing may be stored.
  bool BeginFill(const Flight& flight);
  // Calls what waited for the flight's fill.
  void End(const Flight& flight);

  // Seals, and calls `send` once no fill that is under way now is left: at once if there is none, otherwise from the
  // End of the last.
  void BeforeWrite(const WriteScope& scope, absl::AnyInvocable<void() &&> send);
  void Seal(const WriteScope& scope);

 private:
  // A write that waits for fills. Guarded by the mutex of its Flights.
  struct HeldWrite {
    size_t fills = 0;
    absl::AnyInvocable<void() &&> send;
  };
  struct Filling {
    const Flight* flight;
    std::vector<std::shared_ptr<HeldWrite>> held;
  };
  struct KeyState {
    std::shared_ptr<Flight> open;
    std::vector<const Flight*> unsealed;  // that may store; the open one, if there is one, is the last of them
    std::vector<Filling> fills;           // of flights that are unsealed, or were when they began to fill

    bool Unused() const { return unsealed.empty() && fills.empty(); }
  };
  using Keys = std::map<std::string, KeyState, std::less<>>;

  KeyState* Find(const Flight& flight) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Seals, and calls `visit` for each fill that is under way and that the write must wait for.
  void SealEach(const WriteScope& scope, absl::FunctionRef<void(Filling&)> visit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  std::map<std::string, Keys, std::less<>> spaces_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_FLIGHTS_H_
