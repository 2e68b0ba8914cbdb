#ifndef LARDER_SERVER_STORE_JOURNALED_STORE_H_
#define LARDER_SERVER_STORE_JOURNALED_STORE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "server/metrics/metrics.h"
#include "server/store/journal.h"
#include "server/store/store.h"

namespace larder {

// Who serves from memory while the store is away, and so must be bound by what the store does not know yet (COHERENCE
// D1). Called on any thread, with no lock held; must not block.
class DeferralListener {
 public:
  virtual ~DeferralListener() = default;

  // Up to where the namespace's group invalidations are known.
  virtual ClockPosition Known(std::string_view name_space) const = 0;
  // The groups are invalidated as of now; the stamps have no epochs. Told before the caller is.
  virtual void OnDeferred(std::string_view name_space, const std::vector<Stamp>& groups) = 0;
  // The store has taken these keys out, whatever was under them; the store answered again at `began_nanos` or later.
  virtual void OnKeysReplayed(std::string_view name_space, const std::vector<std::string>& keys,
                              int64_t began_nanos) = 0;
  // Groups have been given their epoch, or a barrier was raised.
  virtual void OnGroupsReplayed(std::string_view name_space, const ControlUpdate& update) = 0;
  // The store, and by the calls above the listener, know of everything that was deferred up to then.
  virtual void OnSettled(std::string_view name_space, int64_t up_to_nanos) = 0;
};

// Another store, with a journal before it of what that could not be told (COHERENCE D1 to D3).
//
// An Erase or InvalidateGroups that `may_defer` and that ends with UNAVAILABLE is journalled and answered as deferred.
// A failed Write, and any other failed Erase, journals its keys and answers its error (D2): what the store has under
// them may be either value, or older than what the caller knows. A Touch or Release changes no value, and is not
// journalled.
//
// As soon as the store is back, the journal is replayed. Until the store has acknowledged that, whatever would trust
// what it has is refused with UNAVAILABLE for the keys concerned, or the whole namespace where groups are (D3): Read
// (whose other keys are read), Touch, Lease, Look, and Writes that depend on what is there or was loaded before. Plain
// Writes pass, and what they acknowledge need not be replayed any more; one whose key the replay has chosen to erase is
// sent after that erasure. A replay of groups that is on its way already may take out again what they wrote, and so may
// an erasure that the store executes out of order: a miss, never an older value.
class JournaledStore final : public Store {
 public:
  // Runs the task once, at that time of the clock or later, on any thread; or never, if it has been stopped.
  using Later = std::function<void(int64_t when_nanos, absl::AnyInvocable<void() &&> task)>;
  struct Parts {
    std::vector<std::string> name_spaces;
    size_t max_entries = 100'000;
    Later later;
    // Told, on any thread, of an overflow and of the end of the replay after an outage. May be empty.
    std::function<void(std::string_view)> warn;
    std::function<void(std::string_view)> inform;
  };

  // The pointees must outlive this, and no task be run any more when it goes.
  JournaledStore(std::unique_ptr<Store> store, Parts parts, const Clock* clock, Registry* registry);

  // Before the first call; `listener` must outlive the calls.
  void SetListener(DeferralListener* listener) { listener_ = listener; }

  // How many invalidations the store has not been told of.
  size_t waiting() const { return journal_.waiting(); }

  // What is wrong and what to do about it, in sentences for people; none if all is well.
  std::vector<std::string> Advice() const;

  void Read(ReadRequest request, StoreCallback<ReadResult> done) override;
  void Write(WriteRequest request, StoreCallback<WriteResult> done) override;
  void Touch(TouchRequest request, StoreCallback<TouchResult> done) override;
  void Erase(EraseRequest request, StoreCallback<EraseResult> done) override;
  void Lease(LeaseRequest request, StoreCallback<LeaseResult> done) override;
  void Release(ReleaseRequest request, StoreCallback<ReleaseResult> done) override {
    store_->Release(std::move(request), std::move(done));
  }
  void InvalidateGroups(GroupRequest request, StoreCallback<GroupResult> done) override;
  void RaiseBarrier(std::string name_space, int64_t deadline_nanos, StoreCallback<ControlUpdate> done) override {
    store_->RaiseBarrier(std::move(name_space), deadline_nanos, std::move(done));
  }
  void ReadControl(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                   StoreCallback<ControlUpdate> done) override {
    store_->ReadControl(std::move(name_space), known, deadline_nanos, std::move(done));
  }
  void Look(LookRequest request, StoreCallback<LookResult> done) override;
  void Scan(ScanRequest request, StoreCallback<ScanResult> done) override {
    store_->Scan(std::move(request), std::move(done));
  }
  void EraseVersions(EraseVersionsRequest request, StoreCallback<EraseResult> done) override {
    store_->EraseVersions(std::move(request), std::move(done));
  }
  void Sweep(SweepRequest request, StoreCallback<SweepResult> done) override {
    store_->Sweep(std::move(request), std::move(done));
  }
  void EraseDead(EraseDeadRequest request, StoreCallback<EraseDeadResult> done) override {
    store_->EraseDead(std::move(request), std::move(done));
  }
  void ForgetOldStamps(std::string name_space, int64_t max_life_nanos, int64_t deadline_nanos,
                       StoreCallback<uint64_t> done) override {
    store_->ForgetOldStamps(std::move(name_space), max_life_nanos, deadline_nanos, std::move(done));
  }
  void PutNote(std::string name_space, std::string name, std::string text, int64_t ttl_nanos, int64_t deadline_nanos,
               StoreCallback<bool> done) override {
    store_->PutNote(std::move(name_space), std::move(name), std::move(text), ttl_nanos, deadline_nanos,
                    std::move(done));
  }
  void GetNote(std::string name_space, std::string name, int64_t deadline_nanos,
               StoreCallback<std::optional<std::string>> done) override {
    store_->GetNote(std::move(name_space), std::move(name), deadline_nanos, std::move(done));
  }
  void SetWakeListener(WakeListener listener) override { store_->SetWakeListener(std::move(listener)); }
  void SetNearHolder(NearHolder* holder) override { store_->SetNearHolder(holder); }
  bool tracks() const override { return store_->tracks(); }
  bool tells_own_writes_alone() const override { return store_->tells_own_writes_alone(); }
  std::string CoherenceAdvice() const override { return store_->CoherenceAdvice(); }
  void Register(MemberTerms terms, StoreCallback<Registration> done) override {
    store_->Register(terms, std::move(done));
  }
  void Sync(uint64_t round, StoreCallback<SyncResult> done) override { store_->Sync(round, std::move(done)); }
  void SetSyncListener(SyncListener listener) override { store_->SetSyncListener(std::move(listener)); }
  int64_t members() const override { return store_->members(); }
  // With the advice.
  void Describe(int64_t deadline_nanos, StoreCallback<StoreInfo> done) override;
  StoreInfo::State state() const override { return store_->state(); }
  BreakerState breaker() const override { return store_->breaker(); }
  int64_t disconnects() const override { return store_->disconnects(); }
  bool exclusive() const override { return store_->exclusive(); }
  void Shutdown() override { store_->Shutdown(); }

 private:
  // A replay of what a namespace had in the journal when it began.
  struct Round {
    std::string name_space;
    uint64_t position = 0;
    int64_t began_nanos = 0;
  };
  struct PendingWrite {
    WriteRequest request;
    StoreCallback<WriteResult> done;
  };
  // Keys that the replay has chosen to erase, until their erasure has its place in the store's queue.
  struct Posting {
    std::string name_space;
    absl::flat_hash_set<std::string> keys;
    std::vector<PendingWrite> writes = {};  // of those keys, to be sent after it
  };
  using Postings = std::list<Posting>;
  // The turn of a plain write to go to the store.
  struct Turn {
    bool waits = false;
    std::optional<uint64_t> position = std::nullopt;  // of its key in the journal, if that is there
  };

  bool IsWithheld(const std::string& name_space, const std::string& key) const {
    return !journal_.empty() && journal_.Withholds(name_space, key);
  }
  void ReadSome(ReadRequest request, std::vector<size_t> withheld, StoreCallback<ReadResult> done);
  void PlainWrite(WriteRequest request, StoreCallback<WriteResult> done);
  // `write` is taken if it must wait.
  Turn TurnOf(PendingWrite& write);
  void Send(WriteRequest request, std::optional<uint64_t> position, StoreCallback<WriteResult> done);
  void JournalKeys(const std::string& name_space, const std::vector<std::string>& keys);
  GroupResult DeferGroups(GroupRequest groups);
  void AfterAdding();

  // Replays what waits, if the store is there; looks again in a moment, while anything waits.
  void ReplaySoon();
  void LookAgainLater();
  void Replay(const std::string& name_space);
  void Step(const Round& round);
  std::optional<Journal::Step> NextStep(const Round& round, Postings::iterator* posting);
  void EndPosting(Postings::iterator posting);
  void SendGroups(const Round& round, Journal::Step step);
  void SendKeys(const Round& round, Journal::Step step, Postings::iterator posting);
  void SendBarrier(const Round& round, Journal::Step step);
  // The step was acknowledged: on to the next.
  void Settle(const Round& round, const Journal::Step& step);
  void Fail(const std::string& name_space);
  void End(const std::string& name_space);

  const std::unique_ptr<Store> store_;
  const Parts parts_;
  const Clock* const clock_;
  DeferralListener* listener_ = nullptr;
  Journal journal_;
  Counter& replayed_;
  std::atomic<bool> looks_again_{false};
  std::atomic<uint64_t> overflows_told_{0};
  std::atomic<bool> fails_{false};     // the last step of a replay has
  std::atomic<bool> was_away_{false};  // when something was added, and nobody has been told of the end of it

  Mutex mutex_;                                                           // before the journal's
  std::set<std::string, std::less<>> replaying_ ABSL_GUARDED_BY(mutex_);  // one round of a namespace at a time
  Postings postings_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder

#endif  // LARDER_SERVER_STORE_JOURNALED_STORE_H_
