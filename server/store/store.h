// The shared tier behind the near tier.
#ifndef LARDER_SERVER_STORE_STORE_H_
#define LARDER_SERVER_STORE_STORE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "core/entry.h"

namespace larder {

// What an answer of the store tells about a namespace's control record (its logical clock).
//
// A reader says which (generation, epoch) it knows; the update brings everything later than that. Where the
// generation is another than the known one, the update is complete: it starts from epoch 0.
struct ControlUpdate {
  uint64_t generation = 0;
  uint64_t epoch = 0;      // every stamp up to here is known to who applies this update
  uint64_t all_stamp = 0;  // the latest invalidation of the whole namespace, if later than what was known; else 0
  uint64_t since = 0;      // the epoch the update starts from; 0: complete
  // Rises with the order in which the store answered. An update with a lower one never replaces a generation.
  uint64_t sequence = 0;
};

// A position on a namespace's logical clock.
struct ClockPosition {
  uint64_t generation = 0;  // 0: none
  uint64_t epoch = 0;
};

struct ReadRequest {
  std::string name_space;
  std::vector<std::string> keys;
  ClockPosition known;
  int64_t deadline_nanos = 0;  // on the store's Clock; the store's own timeout applies if it is sooner
};

struct ReadResult {
  // One for each key, in order: the entry as stored, or null where there is none that can be read. Entries may be
  // dead by the control record: the caller judges them by `control`, which was read after the call was made.
  std::vector<EntryRef> entries;
  ControlUpdate control;
};

// When a write takes place.
struct Condition {
  enum class Kind { kNone, kAbsent, kPresent, kVersion };
  Kind kind = Kind::kNone;
  uint64_t version = 0;  // for kVersion
};

struct WriteRequest {
  std::string name_space;
  std::string key;
  // Version, times, content type and value; the store stamps it with generation and epoch. The caller must not share
  // it before the write has ended.
  EntryRef entry;
  Condition condition;
  // Write the entry as of this position (warming): refused as not applied if the generation has changed since or the
  // namespace was invalidated after it. Without it the entry gets the epoch at which the store executes the write.
  std::optional<ClockPosition> as_of;
  ClockPosition known;
  int64_t deadline_nanos = 0;
};

struct WriteResult {
  bool applied = false;          // false: the condition did not hold, nothing was stored
  uint64_t current_version = 0;  // of the valid entry that is there now; 0: none
  ControlUpdate control;
};

struct TouchRequest {
  std::string name_space;
  std::string key;
  int64_t ttl_nanos = 0;       // new time to live, from now
  int64_t max_life_nanos = 0;  // bound on the entry's whole life, from its creation
  ClockPosition known;
  int64_t deadline_nanos = 0;
};

struct TouchResult {
  bool found = false;
  uint64_t version = 0;
  int64_t ttl_nanos = 0;  // what it was given
  ControlUpdate control;
};

struct EraseRequest {
  std::string name_space;
  std::vector<std::string> keys;
  int64_t deadline_nanos = 0;
};

struct EraseResult {
  int64_t erased = 0;
};

// For people: Stats and health.
struct StoreInfo {
  enum class State { kReady, kConnecting, kDown };
  std::string kind;
  State state = State::kDown;
  std::string detail;  // why it is not ready
  // Whether the store has answered what the figures below are; else those that it alone knows are empty.
  bool measured = false;
  double round_trip_micros = 0;
  int64_t keys = 0;
  int64_t used_memory_bytes = 0;
  int64_t max_memory_bytes = 0;
  std::string eviction_policy;
  int64_t evictions = 0;
  std::string redis_version;
  int64_t disconnects = 0;
  int64_t unreadable_entries = 0;
};

template <typename T>
using StoreCallback = absl::AnyInvocable<void(absl::StatusOr<T>) &&>;

// Whether calls get through to the store, by the state of the connection to it.
enum class BreakerState {
  kClosed = 0,    // they do
  kHalfOpen = 1,  // they are refused at once, while one connection is being tried
  kOpen = 2,      // they are refused at once
};

// Asynchronous: every call returns at once and runs its callback exactly once, possibly before it returns, on the
// caller's thread or on one of the store's. A callback must not block. Thread-safe.
//
// Errors: UNAVAILABLE the store cannot be reached or did not answer within its own timeout; DEADLINE_EXCEEDED the
// request's deadline passed first; RESOURCE_EXHAUSTED its queue is full or it is out of memory; INTERNAL it answered
// what it must not. After any of them a write's outcome is unknown; a store never sends a write twice.
//
// Destruction: Shutdown() first; callbacks still waiting are run with UNAVAILABLE before it returns.
class Store {
 public:
  virtual ~Store() = default;

  virtual void Read(ReadRequest request, StoreCallback<ReadResult> done) = 0;
  virtual void Write(WriteRequest request, StoreCallback<WriteResult> done) = 0;
  virtual void Touch(TouchRequest request, StoreCallback<TouchResult> done) = 0;
  virtual void Erase(EraseRequest request, StoreCallback<EraseResult> done) = 0;

  // Advances the namespace's clock and stamps the whole namespace with it: no entry written before is valid.
  virtual void InvalidateAll(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                             StoreCallback<ControlUpdate> done) = 0;

  // Sets a new generation: nothing older counts as valid, whatever its epoch.
  virtual void RaiseBarrier(std::string name_space, int64_t deadline_nanos, StoreCallback<ControlUpdate> done) = 0;

  // Reads the control record alone.
  virtual void ReadControl(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                           StoreCallback<ControlUpdate> done) = 0;

  virtual void Describe(int64_t deadline_nanos, StoreCallback<StoreInfo> done) = 0;

  // The state alone, from memory: never asks the store.
  virtual StoreInfo::State state() const = 0;

  // From memory, too. As below for a store that is never tried.
  virtual BreakerState breaker() const {
    return state() == StoreInfo::State::kReady ? BreakerState::kClosed : BreakerState::kOpen;
  }

  // How many connections have been lost, from memory, too: what is known of the store is about the present connection
  // if it was asked for at the same count. 0 for a store that needs no connection.
  virtual int64_t disconnects() const { return 0; }

  // True if nobody but this process can write to the store, so that a near entry is never behind it.
  virtual bool exclusive() const = 0;

  virtual void Shutdown() = 0;
};

}  // namespace larder

#endif  // LARDER_SERVER_STORE_STORE_H_
