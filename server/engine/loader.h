// Who loads what is missing or stale in a namespace, and who waits for it.
#ifndef LARDER_SERVER_ENGINE_LOADER_H_
#define LARDER_SERVER_ENGINE_LOADER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "server/engine/origin.h"
#include "server/engine/pending_get.h"
#include "server/engine/refresh_memo.h"
#include "server/engine/scheduler.h"
#include "server/engine/version_source.h"
#include "server/store/store.h"

namespace larder {

class Keyspace;

// COHERENCE E2, P3: one caller in the fleet gets the lease of a key that is missing or stale; the others on this
// replica wait together in the key's room. They are woken by the fill: of this replica by its own write, of another by
// the store's news. Nobody asks the store again and again: once when the lease ends without either.
//
// Where the namespace has an origin, it is the room that takes the lease, loads, fills and answers.
//
// Thread-safe; never blocks. Runs callbacks without locks held.
class Loader {
 public:
  struct Parts {
    Keyspace* space = nullptr;
    Store* store = nullptr;
    const Clock* clock = nullptr;
    Scheduler* scheduler = nullptr;
    VersionSource* versions = nullptr;
    Origin* origin = nullptr;  // null: callers load
    // Reads the key from the store for these Gets, and deals with what is found.
    std::function<void(std::string key, PendingGets gets)> read_again;
  };

  // What a read found that these Gets cannot be answered with: nothing, a dead entry, or a stale one.
  struct Found {
    uint64_t version = 0;
    bool dead = false;
    bool is_servable() const { return version != 0 && !dead; }  // it is stale, or due to be loaded anew
  };

  // The pointees must outlive it, and the scheduler be stopped before it goes.
  explicit Loader(Parts parts) : parts_(std::move(parts)) {}

  bool has_origin() const { return parts_.origin != nullptr; }

  // True if the Get was taken to wait for a load that is known to be under way.
  bool Join(std::string_view key, PendingGet& get);

  // Answers each of the Gets, now or later: with a lease, with what somebody loads meanwhile, or with a miss.
  void Miss(std::string key, Found found, PendingGets gets);

  // Answers a Get with an entry that is due to be loaded anew, with the lease for that if it wants one and it is free.
  void AnswerDue(std::string_view key, GetAnswer answer, PendingGet get);

  // Has the origin load anew what is due, unless somebody does already.
  void Refresh(std::string_view key, const Entry& entry);

  // The key may have been filled, or its lease given up. No key: any of them may.
  void Wake(std::string_view key);

  // Answers who waits with a miss, and lets nobody wait from now on: the server is about to stop.
  void StopWaiting();

  int64_t waiting() const { return waiting_.load(std::memory_order_relaxed); }

  // Gives a lease up, if it is still held; `failed`: the value could not be loaded.
  void GiveBack(const std::string& key, FillToken fill, bool failed);

  // Answers with a miss, and counts it.
  void AnswerMiss(PendingGet get, std::optional<FillToken> as_of = std::nullopt);

 private:
  struct Waiter {
    uint64_t ticket = 0;
    PendingGet get;
  };
  struct Room {
    enum class State {
      kAsking,   // the store is being asked for the lease
      kHeld,     // somebody has it
      kLoading,  // the origin is being asked, with our lease
    };
    uint64_t id = 0;
    State state = State::kAsking;
    bool woken = false;            // while asking: the answer may be out of date
    int64_t held_until_nanos = 0;  // of kHeld
    uint64_t refresh = 0;          // of one opened by Refresh: what is remembered of it
    Found found;
    std::optional<FillToken> as_of;
    std::vector<Waiter> waiters;  // the first has waited longest
  };
  using Rooms = absl::flat_hash_map<std::string, Room>;
  struct Alarm {
    std::string key;
    uint64_t room = 0;
  };
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  bool IsFull() const;
  // Null if there is one already.
  Room* Open(const std::string& key, Found found) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Enter(const std::string& key, Room& room, PendingGet get) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What is left of the waiter is the caller's to erase.
  PendingGet TakeOut(Waiter& waiter) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PendingGets TakeOutOverdue(Room& room, int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CountWait(PendingGet& get);
  PendingGets Close(Rooms::iterator room) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The room, if it is still the same and in this state.
  Rooms::iterator FindRoom(const std::string& key, uint64_t id, Room::State state)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void AskForLease(std::string key, uint64_t id, Found found);
  void OnLease(const std::string& key, uint64_t id, absl::StatusOr<LeaseResult> result);
  void OnGrantedHere(const std::string& key, uint64_t id, const LeaseResult& lease);  // the origin loads
  void OnGranted(const std::string& key, uint64_t id, const LeaseResult& lease);
  void OnHeld(const std::string& key, uint64_t id, const LeaseResult& lease);

  // One task of the scheduler stands for all alarms, so that those of Gets that were answered leave nothing behind.
  void SetAlarm(int64_t when_nanos, uint64_t ticket, const std::string& key, uint64_t room)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Ring();

  void Load(const std::string& key, uint64_t id, FillToken fill);
  void OnLoaded(const std::string& key, uint64_t id, FillToken fill, int64_t began_nanos,
                absl::StatusOr<OriginValue> value);
  void AnswerUncached(const std::string& key, uint64_t id, FillToken fill, int64_t began_nanos, EntryRef entry);
  absl::StatusOr<EntryRef> MakeEntry(const std::string& key, const OriginValue& value);
  void Fill(const std::string& key, uint64_t id, FillToken fill, EntryRef entry);
  void FailLoad(const std::string& key, uint64_t id, FillToken fill, const absl::Status& status);
  void FailRoom(const std::string& key, uint64_t id, const absl::Status& status);
  // Closes a room whose load has ended; its Gets are the caller's.
  PendingGets Leave(const std::string& key, uint64_t id, Found* found = nullptr);
  // `is_kept`: it was stored, and has a time to live.
  void AnswerAll(PendingGets gets, const EntryRef& entry, bool is_kept);

  ReleaseRequest ReleaseOf(const std::string& key, FillToken fill, bool failed) const;
  void ReadAgain(std::string key, PendingGets gets);

  const Parts parts_;
  RefreshMemo refreshing_;
  std::atomic<int64_t> waiting_{0};
  std::atomic<size_t> open_{0};  // rooms, so that most writes need no lock to find that nobody waits

  Mutex mutex_;
  Rooms rooms_ ABSL_GUARDED_BY(mutex_);
  // By time and the ticket of a waiter, or the id of a room whose lease ends.
  std::map<std::pair<int64_t, uint64_t>, Alarm> alarms_ ABSL_GUARDED_BY(mutex_);
  int64_t armed_nanos_ ABSL_GUARDED_BY(mutex_) = kNever;  // when the scheduler will run Ring next
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_LOADER_H_
