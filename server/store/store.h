// The shared tier behind the near tier.
#ifndef LARDER_SERVER_STORE_STORE_H_
#define LARDER_SERVER_STORE_STORE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "core/entry.h"
#include "server/store/control.h"
#include "server/store/membership.h"

namespace larder {

struct ReadRequest {
  std::string name_space;
  std::vector<std::string> keys;
  ClockPosition known;
  int64_t deadline_nanos = 0;  // on the store's Clock; the store's own timeout applies if it is sooner
};

struct ReadResult {
  // One for each key, in order: the entry as stored, or null where there is none that can be read (a placeholder of a
  // lease is none). Entries may be dead by the control record: the caller judges them by `control`, which was read
  // after the call was made.
  std::vector<EntryRef> entries;
  ControlUpdate control;
  // Indices, rising, of keys that were not asked for, since what the store has under them must not be trusted yet
  // (COHERENCE D3), or that could not be, since the part of the store that has them is away. Their entries are null.
  std::vector<size_t> withheld = {};
};

// The right to fill one key, as of a position (COHERENCE E2, E3).
struct FillToken {
  friend bool operator==(const FillToken&, const FillToken&) = default;

  uint64_t token = 0;  // in the placeholder, or in the stale entry's lease
  ClockPosition as_of;
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
  // Version, times, tags, content type and value; the store stamps it with generation and epoch. The caller must not
  // share it before the write has ended.
  EntryRef entry;
  Condition condition;
  // A fill (COHERENCE E2): applied only if what is under the key still bears this token, the generation is current, the
  // epoch is not below the sweep's fence, and no hard stamp of the whole namespace or of one of the entry's tags is
  // later than it. The entry then gets that epoch. `condition` must be kNone.
  std::optional<FillToken> fill;
  // Write the entry as of this position (warming, COHERENCE E4): refused as not applied if the generation has changed
  // since, the epoch is below the fence, or the namespace or one of the entry's tags was invalidated after it. The
  // entry then gets that epoch. Without this and without `fill` it gets the epoch at which the store executes the
  // write.
  std::optional<ClockPosition> as_of;
  // The caller found that the entry of this version is dead, by a pattern, which the store does not look at: where it
  // is still there it counts as not there. 0: none.
  uint64_t dead_version = 0;
  // The caller judged the entry of this version by every stamp up to `known`, and found it alive. 0: none.
  uint64_t alive_version = 0;
  ClockPosition known;
  int64_t deadline_nanos = 0;
};

struct WriteResult {
  bool applied = false;          // false: the condition did not hold, nothing was stored
  uint64_t current_version = 0;  // of the valid entry that is there now; 0: none
  uint64_t current_epoch = 0;    // its epoch; the caller judges by it whether a pattern has killed it
  ControlUpdate control;
  // Not applied, since kPresent or kVersion holds only if no pattern has killed the current version, and the store does
  // not look at patterns: the caller judges it by `control` and asks again with `dead_version` or `alive_version`, and
  // `known` as of `control`.
  bool must_judge = false;
};

// Asks for the right to load a key.
struct LeaseRequest {
  std::string name_space;
  std::string key;
  uint64_t token = 0;       // unique; becomes the lease's
  int64_t lease_nanos = 0;  // at least a millisecond
  // The version of the entry that the caller found: dead (by a pattern perhaps, which the store does not look at), or
  // to be loaded anew while it is served. 0: it found none.
  uint64_t found_version = 0;
  bool found_dead = false;
  ClockPosition known;
  int64_t deadline_nanos = 0;
};

struct LeaseResult {
  enum class Outcome {
    kGranted,  // the caller loads; `fill` is its right to
    kHeld,     // somebody else does; of a missing key `fill` may be used all the same; `left_nanos` is what is left
    kChanged,  // there is another entry than the one that was found, or one where none was: read again
    kForeign,  // what is there is not ours: nobody may fill it, but by a plain write (COHERENCE E7)
  };
  Outcome outcome = Outcome::kForeign;
  // As of the store's present epoch where it was granted, else of the holder's. None, with a token of 0, where the
  // lease is that of an entry and somebody else's, or there is none to be had yet.
  FillToken fill;
  int64_t left_nanos = 0;
  ControlUpdate control;
};

// Gives a lease up.
struct ReleaseRequest {
  std::string name_space;
  std::string key;
  uint64_t token = 0;
  // Of a stale entry: it is not loaded again before this has passed,
  int64_t pause_nanos = 0;
  // and lives at least until this long after it became stale, but never past `max_life_nanos` from its creation.
  int64_t serve_stale_nanos = 0;
  int64_t max_life_nanos = 0;
  int64_t deadline_nanos = 0;
};

struct ReleaseResult {
  bool held = false;  // the lease was still there
};

struct TouchRequest {
  std::string name_space;
  std::string key;
  int64_t ttl_nanos = 0;       // new time to live until it is stale, from now
  int64_t max_life_nanos = 0;  // bound on the entry's whole life, from its creation
  uint64_t version = 0;        // only this version; 0: any
  ClockPosition known;
  int64_t deadline_nanos = 0;
};

struct TouchResult {
  bool found = false;
  uint64_t version = 0;
  uint64_t epoch = 0;     // of the entry, as in WriteResult
  int64_t ttl_nanos = 0;  // what it was given
  ControlUpdate control;
};

struct EraseRequest {
  std::string name_space;
  std::vector<std::string> keys;
  // Not empty: soft (COHERENCE E5). One new version for each key; the entry gets it and is stale from now on, its lease
  // or placeholder is destroyed.
  std::vector<uint64_t> soft_versions;
  int64_t deadline_nanos = 0;
  // If the store cannot be reached, or nobody knows whether it was: it may be put off until it can be, and answered so
  // (COHERENCE D1). False: that is an error.
  bool may_defer = false;
};

struct EraseResult {
  int64_t erased = 0;     // entries that were there; leases are none
  bool deferred = false;  // it is done here, and will be in the store once that is back: no acknowledgement
  // Which of several keys are not known to be erased, in ascending order: those of a part of the store that is away.
  // The others are.
  std::vector<size_t> lost = {};
};

// Invalidates groups: advances the clock once and stamps them all with it.
struct GroupRequest {
  std::string name_space;
  bool all = false;
  std::vector<std::string> tags;
  std::vector<std::string> patterns;
  bool soft = false;
  // If more would have to be remembered, the whole namespace is stamped instead, hard (COHERENCE C5).
  size_t max_tags = 100'000;
  size_t max_patterns = 1'000;
  ClockPosition known;
  int64_t deadline_nanos = 0;
  bool may_defer = false;  // as in EraseRequest
};

struct GroupResult {
  bool collapsed = false;
  ControlUpdate control;  // says nothing where it was deferred
  bool deferred = false;  // as in EraseResult
};

// What is under a key, without the value.
struct StoredItem {
  enum class Kind { kNone, kEntry, kLease, kUnreadable };
  std::string key;
  Kind kind = Kind::kNone;
  EntryRef head;             // of kEntry and kLease: numbers, tags and content type; the value is empty
  int64_t stored_bytes = 0;  // that it takes, without the key
};

struct LookRequest {
  std::string name_space;
  std::vector<std::string> keys;
  ClockPosition known;
  int64_t deadline_nanos = 0;
};

struct LookResult {
  std::vector<StoredItem> items;  // one for each key, in order
  ControlUpdate control;
};

struct ScanRequest {
  std::string name_space;
  std::string cursor;  // empty: from the start
  int count = 500;     // about how many keys of the store to look at
  ClockPosition known;
  int64_t deadline_nanos = 0;
};

struct ScanResult {
  std::string cursor;             // empty: the end
  std::vector<StoredItem> items;  // none of kNone; may be empty before the end. A key may come twice.
  ControlUpdate control;
};

// Removes what is found to be good for nothing.
struct EraseVersionsRequest {
  std::string name_space;
  std::vector<std::pair<std::string, uint64_t>> keys;  // with the version (of a lease: the token) that was found
  int64_t deadline_nanos = 0;
};

// COHERENCE C4. One sweeper at a time has the right to sweep a namespace, for `lease_nanos` from each of its calls.
struct SweepRequest {
  enum class Step {
    kBegin,  // take the right, and raise the fence to the present epoch, if any hard stamp is later than the floor
    kRenew,
    kEnd,  // everything up to `fence` has been looked at: forget the hard pattern stamps up to it, raise the floor
  };
  std::string name_space;
  Step step = Step::kBegin;
  uint64_t sweeper = 0;  // unique
  int64_t lease_nanos = 0;
  ClockPosition fence;  // as kBegin answered
  ClockPosition known;
  int64_t deadline_nanos = 0;
};

struct SweepResult {
  // kBegin: there is something to sweep and it is this sweeper's to do. Otherwise: the right is still this sweeper's
  // and the generation still the fence's; if not, the sweep is to be given up.
  bool mine = false;
  ClockPosition fence;  // of kBegin
  ControlUpdate control;
};

// A step of a sweep: looks at some keys, and removes what is dead of them.
struct EraseDeadRequest {
  std::string name_space;
  std::string cursor;   // empty: from the start
  int count = 200;      // about how many keys of the store to look at
  ClockPosition fence;  // as kBegin answered
  // The latest hard stamp of a pattern that matches the key; 0: there is none. All up to the fence must be known. The
  // rest is judged by the store. Run on any thread; must not block.
  std::function<uint64_t(std::string_view key)> latest_pattern;
  ClockPosition known;
  int64_t deadline_nanos = 0;
};

struct EraseDeadResult {
  bool mine = false;   // false: the generation is not the fence's any more, so that the sweep is to be given up
  std::string cursor;  // empty: the end
  int64_t scanned = 0;
  int64_t erased = 0;  // entries; leases are none
  // False: something was met that a later release wrote, which may be alive or dead to who can read it, so that no
  // stamp may be forgotten yet.
  bool has_seen_all = true;
  ControlUpdate control;
};

// For people: Stats and health.
struct StoreInfo {
  enum class State { kReady, kConnecting, kDown };
  std::string kind;
  State state = State::kDown;
  std::string detail;  // why it is not ready
  // Where it is, for people: host and port or the socket; of a master that Sentinel named, also who named it. Empty for
  // the embedded store.
  std::string address;
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
  int64_t members = 0;  // registered replicas
  // What somebody should change about the store although it serves; a sentence each.
  std::vector<std::string> advice;
};

template <typename T>
using StoreCallback = absl::AnyInvocable<void(absl::StatusOr<T>) &&>;

// Who keeps what it read from a shared store, and so must hear of what others write (COHERENCE N1 to N3). Told on
// several threads of the store's, at the same time; OnBegin, OnChanged, OnCurrent and OnLost in order, on one. Must not
// block.
class NearHolder {
 public:
  virtual ~NearHolder() = default;

  // Up to where the namespace's group invalidations are known.
  virtual ClockPosition Known(std::string_view name_space) const = 0;
  // Somebody has written or removed the key. Both empty: any key may have been, and what was read up to now, or is
  // being read, says nothing of what comes after.
  virtual void OnChanged(std::string_view name_space, std::string_view key) = 0;
  // Changes are about to be told. From now on nothing may be served by its age alone, until OnLost.
  virtual void OnBegin() = 0;
  // Everything that was written before `sent_nanos` has been told, with what `update` tells of groups. False if that
  // could not be taken in whole, so that it must be told again.
  virtual bool OnCurrent(std::string_view name_space, const ControlUpdate& update, int64_t sent_nanos) = 0;
  // What the control record is, where OnCurrent could not be told because it is not the one that is known. In order
  // with what other calls of the store answer.
  virtual void OnControl(std::string_view name_space, const ControlUpdate& update) = 0;
  // From now on changes go untold, until OnChanged is told of all keys.
  virtual void OnLost() = 0;
};

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

  virtual void Lease(LeaseRequest request, StoreCallback<LeaseResult> done) = 0;
  virtual void Release(ReleaseRequest request, StoreCallback<ReleaseResult> done) = 0;

  virtual void InvalidateGroups(GroupRequest request, StoreCallback<GroupResult> done) = 0;

  // Sets a new generation: nothing older counts as valid, whatever its epoch.
  virtual void RaiseBarrier(std::string name_space, int64_t deadline_nanos, StoreCallback<ControlUpdate> done) = 0;

  // Reads the control record alone.
  virtual void ReadControl(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                           StoreCallback<ControlUpdate> done) = 0;

  virtual void Look(LookRequest request, StoreCallback<LookResult> done) = 0;
  virtual void Scan(ScanRequest request, StoreCallback<ScanResult> done) = 0;
  virtual void EraseVersions(EraseVersionsRequest request, StoreCallback<EraseResult> done) = 0;
  virtual void Sweep(SweepRequest request, StoreCallback<SweepResult> done) = 0;
  virtual void EraseDead(EraseDeadRequest request, StoreCallback<EraseDeadResult> done) = 0;

  // Forgets the stamps that are so old that no entry from before them can be left: `max_life_nanos` is the longest that
  // one may have lived, leases and timeouts included; the longest ever told under a generation counts. Answers the
  // epoch up to which stamps are forgotten now; 0: none are that were not before.
  virtual void ForgetOldStamps(std::string name_space, int64_t max_life_nanos, int64_t deadline_nanos,
                               StoreCallback<uint64_t> done) = 0;

  // A small text that outlives the process where the store does: the last one put under the name, or none.
  virtual void PutNote(std::string name_space, std::string name, std::string text, int64_t ttl_nanos,
                       int64_t deadline_nanos, StoreCallback<bool> done) = 0;
  virtual void GetNote(std::string name_space, std::string name, int64_t deadline_nanos,
                       StoreCallback<std::optional<std::string>> done) = 0;

  // Told when somebody, on whichever replica, has replaced or removed a lease that another caller was refused for
  // (LeaseResult::kHeld): whoever waits for the key may look again. Told with a namespace and no key: whoever waits for
  // any of its keys; with neither: such news may have been lost. Runs on any thread, must not block, and may be told
  // for nothing. Set it before the first call.
  using WakeListener = std::function<void(std::string_view name_space, std::string_view key)>;
  virtual void SetWakeListener(WakeListener listener) = 0;

  // Tells the holder, until Shutdown has returned, where the store can. Once, or never.
  virtual void SetNearHolder(NearHolder* holder) { static_cast<void>(holder); }

  // Whether the holder is being told, from memory. Without that only the age of what was read bounds how far it is
  // behind.
  virtual bool tracks() const { return false; }
  // COHERENCE N6: whether, while it tracks, only what Larder itself writes is told, and not what others write to the
  // store or what the store evicts. From memory.
  virtual bool tells_own_writes_alone() const { return false; }
  // What somebody should change so that the holder is told (more), in a sentence; empty if all is well. From memory.
  virtual std::string CoherenceAdvice() const { return {}; }

  // COHERENCE S1: registers this process, or renews that it is registered, as one that serves near entries by their
  // age. One call at a time. A store that tracks registers its holder by itself. Where nobody else can write there is
  // nothing to register with.
  virtual void Register(MemberTerms terms, StoreCallback<Registration> done) {
    static_cast<void>(terms);
    std::move(done)(Registration{.was_member = true});
  }

  // COHERENCE S2: asks who is registered, and those who acknowledge to do so with `round`, which rises from call to
  // call. What was acknowledged to this process before the call was made has been written when it is executed.
  virtual void Sync(uint64_t round, StoreCallback<SyncResult> done) {
    static_cast<void>(round);
    std::move(done)(SyncResult{});
  }

  // Told that the member has taken in what was written before the Sync of that round, and of every earlier one. Runs on
  // any thread, must not block, and may be told for nothing. Set it before the first call.
  using SyncListener = std::function<void(uint64_t member, uint64_t round)>;
  virtual void SetSyncListener(SyncListener listener) { static_cast<void>(listener); }

  // How many members were registered, this process included, when the store last said. From memory.
  virtual int64_t members() const { return 0; }

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

// For people: how near entries are kept from being behind the store just now.
inline std::string_view CoherenceMode(const Store& store) {
  if (store.exclusive()) return "exclusive";
  if (!store.tracks()) return "age";
  return store.tells_own_writes_alone() ? "pubsub" : "tracking";
}

}  // namespace larder

#endif  // LARDER_SERVER_STORE_STORE_H_
