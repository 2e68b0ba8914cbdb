#include "server/store/journaled_store.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/store/refusal.h"

namespace larder {
namespace {

// Names in one step of the replay: as many as one call of the store may name.
constexpr size_t kStepNames = 1'000;

// Between two looks at whether the store is back. A look costs a few loads from memory.
constexpr int64_t kLookEvery = 20 * kNanosPerMilli;

// A replay is nobody's call: the store's own timeout bounds each step of it.
constexpr int64_t kNoDeadline = std::numeric_limits<int64_t>::max();

// COHERENCE P4: nobody knows whether the store has done it, or it is known that it has not, and it may yet. What the
// store itself refused is none of them.
bool IsLost(const absl::Status& status) {
  if (IsRefused(status)) return false;
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsCancelled(status);
}

// Of one whose caller's time is up there is nobody left to answer.
bool MayAnswerDeferred(bool may_defer, const absl::Status& status) { return may_defer && absl::IsUnavailable(status); }

absl::Status Withheld() {
  return absl::UnavailableError(
      "what was invalidated, or failed to be written, while the store was away is being made up for there first");
}

absl::Status Away() {
  return absl::UnavailableError("the part of the store that has some of the keys is not available");
}

// While the store is away its own error says more. Should it be back just now, its answer still must not be believed.
template <typename T>
StoreCallback<T> Disbelieving(StoreCallback<T> done) {
  return [done = std::move(done)](absl::StatusOr<T> result) mutable {
    if (result.ok()) return std::move(done)(Withheld());
    std::move(done)(std::move(result));
  };
}

std::vector<Stamp> StampsOf(const GroupRequest& groups) {
  std::vector<Stamp> stamps;
  if (groups.all) stamps.push_back({.group = Stamp::Group::kAll, .soft = false, .epoch = 0, .name = {}});
  for (const std::string& tag : groups.tags) {
    stamps.push_back({.group = Stamp::Group::kTag, .soft = false, .epoch = 0, .name = tag});
  }
  for (const std::string& pattern : groups.patterns) {
    stamps.push_back({.group = Stamp::Group::kPattern, .soft = false, .epoch = 0, .name = pattern});
  }
  return stamps;
}

// A Set says what the value is now, whatever is there. All others say something of what was there before.
bool IsPlain(const WriteRequest& request) {
  return request.condition.kind == Condition::Kind::kNone && !request.fill.has_value() && !request.as_of.has_value();
}

}  // namespace

JournaledStore::JournaledStore(std::unique_ptr<Store> store, Parts parts, const Clock* clock, Registry* registry)
    : store_(std::move(store)),
      parts_(std::move(parts)),
      clock_(clock),
      journal_(parts_.name_spaces, parts_.max_entries),
      replayed_(registry->AddCounter("cache_journal_replayed_total",
                                     "Entries of the journal that the store has been told of.")) {
  registry->AddCounterCallback("cache_journal_deferred_total",
                               "Keys and groups that could not be invalidated or written in the store, to be "
                               "invalidated there later.",
                               {}, [this] { return static_cast<double>(journal_.added()); });
  registry->AddCounterCallback("cache_journal_overflows_total",
                               "Times that a namespace's journal was given up for a barrier, which ends all its "
                               "entries.",
                               {}, [this] { return static_cast<double>(journal_.overflows()); });
  for (const std::string& name : parts_.name_spaces) {
    registry->AddGauge("cache_journal_entries", "Invalidations that wait for the store to be back.",
                       {{"namespace", name}}, [this, name] { return static_cast<double>(journal_.CountOf(name)); });
  }
}

// --- Calls ---

void JournaledStore::Read(ReadRequest request, StoreCallback<ReadResult> done) {
  if (journal_.empty()) return store_->Read(std::move(request), std::move(done));
  std::vector<size_t> withheld = journal_.Withheld(request.name_space, request.keys);
  if (withheld.empty()) return store_->Read(std::move(request), std::move(done));
  if (store_->breaker() != BreakerState::kClosed) {
    return store_->Read(std::move(request), Disbelieving<ReadResult>(std::move(done)));
  }
  if (withheld.size() == request.keys.size()) return std::move(done)(Withheld());
  ReadSome(std::move(request), std::move(withheld), std::move(done));
}

void JournaledStore::ReadSome(ReadRequest request, std::vector<size_t> withheld, StoreCallback<ReadResult> done) {
  std::vector<std::string> keys;
  std::vector<size_t> asked;  // where those keys stood
  size_t next = 0;
  for (size_t i = 0; i < request.keys.size(); ++i) {
    if (next < withheld.size() && withheld[next] == i) {
      ++next;
    } else {
      keys.push_back(std::move(request.keys[i]));
      asked.push_back(i);
    }
  }
  request.keys = std::move(keys);
  store_->Read(std::move(request), [withheld = std::move(withheld), asked = std::move(asked),
                                    done = std::move(done)](absl::StatusOr<ReadResult> result) mutable {
    if (result.ok()) {
      std::vector<EntryRef> entries(withheld.size() + asked.size());
      for (size_t i = 0; i < asked.size(); ++i) entries[asked[i]] = std::move(result->entries[i]);
      result->entries = std::move(entries);
      // Some of a store in several parts may be away.
      for (size_t i : result->withheld) withheld.push_back(asked[i]);
      std::sort(withheld.begin(), withheld.end());
      result->withheld = std::move(withheld);
    }
    std::move(done)(std::move(result));
  });
}

void JournaledStore::Write(WriteRequest request, StoreCallback<WriteResult> done) {
  if (IsPlain(request)) return PlainWrite(std::move(request), std::move(done));
  if (IsWithheld(request.name_space, request.key)) return std::move(done)(Withheld());
  // One that was not sent has changed nothing. (Of a plain one the caller knows a newer value than the store's.)
  if (store_->breaker() != BreakerState::kClosed) return store_->Write(std::move(request), std::move(done));
  Send(std::move(request), std::nullopt, std::move(done));
}

// A caller that tries again until it succeeds is not to lose its value to the replay of what failed before.
void JournaledStore::PlainWrite(WriteRequest request, StoreCallback<WriteResult> done) {
  if (journal_.empty()) return Send(std::move(request), std::nullopt, std::move(done));
  PendingWrite write{std::move(request), std::move(done)};
  const Turn turn = TurnOf(write);
  if (!turn.waits) Send(std::move(write.request), turn.position, std::move(write.done));
}

JournaledStore::Turn JournaledStore::TurnOf(PendingWrite& write) {
  const WriteRequest& request = write.request;
  MutexLock lock(&mutex_);
  for (Posting& posting : postings_) {
    if (posting.name_space != request.name_space || !posting.keys.contains(request.key)) continue;
    posting.writes.push_back(std::move(write));
    return {.waits = true};
  }
  return {.position = journal_.BeginSet(request.name_space, request.key)};
}

void JournaledStore::Send(WriteRequest request, std::optional<uint64_t> position, StoreCallback<WriteResult> done) {
  std::string name_space = request.name_space;
  std::string key = request.key;
  store_->Write(std::move(request), [this, name_space = std::move(name_space), key = std::move(key), position,
                                     done = std::move(done)](absl::StatusOr<WriteResult> result) mutable {
    if (position.has_value()) journal_.EndSet(name_space, key, *position, result.ok() && result->applied);
    if (IsLost(result.status())) JournalKeys(name_space, {std::move(key)});
    std::move(done)(std::move(result));
  });
}

void JournaledStore::Touch(TouchRequest request, StoreCallback<TouchResult> done) {
  if (IsWithheld(request.name_space, request.key)) {
    // It changes no value, so that it does not matter if it takes place.
    return store_->Touch(std::move(request), Disbelieving<TouchResult>(std::move(done)));
  }
  store_->Touch(std::move(request), std::move(done));
}

void JournaledStore::Lease(LeaseRequest request, StoreCallback<LeaseResult> done) {
  if (IsWithheld(request.name_space, request.key)) return std::move(done)(Withheld());
  store_->Lease(std::move(request), std::move(done));
}

void JournaledStore::Look(LookRequest request, StoreCallback<LookResult> done) {
  if (!journal_.empty() && !journal_.Withheld(request.name_space, request.keys).empty()) {
    return std::move(done)(Withheld());
  }
  store_->Look(std::move(request), std::move(done));
}

void JournaledStore::Erase(EraseRequest request, StoreCallback<EraseResult> done) {
  std::string name_space = request.name_space;
  std::vector<std::string> keys = request.keys;
  const bool may_defer = request.may_defer;
  store_->Erase(std::move(request), [this, name_space = std::move(name_space), keys = std::move(keys), may_defer,
                                     done = std::move(done)](absl::StatusOr<EraseResult> result) mutable {
    if (result.ok() && !result->lost.empty()) {
      std::vector<std::string> lost;
      for (size_t i : result->lost) lost.push_back(std::move(keys[i]));
      keys = std::move(lost);
      result = Away();
    }
    if (!IsLost(result.status())) return std::move(done)(std::move(result));
    JournalKeys(name_space, keys);
    if (!MayAnswerDeferred(may_defer, result.status())) return std::move(done)(std::move(result));
    std::move(done)(EraseResult{.erased = 0, .deferred = true});
  });
}

void JournaledStore::InvalidateGroups(GroupRequest request, StoreCallback<GroupResult> done) {
  if (!request.may_defer) return store_->InvalidateGroups(std::move(request), std::move(done));
  GroupRequest groups = request;
  store_->InvalidateGroups(std::move(request), [this, groups = std::move(groups),
                                                done = std::move(done)](absl::StatusOr<GroupResult> result) mutable {
    if (!IsLost(result.status())) return std::move(done)(std::move(result));
    GroupResult deferred = DeferGroups(std::move(groups));
    if (!absl::IsUnavailable(result.status())) return std::move(done)(std::move(result));
    std::move(done)(std::move(deferred));
  });
}

void JournaledStore::Describe(int64_t deadline_nanos, StoreCallback<StoreInfo> done) {
  store_->Describe(deadline_nanos, [this, done = std::move(done)](absl::StatusOr<StoreInfo> info) mutable {
    if (info.ok()) {
      for (std::string& sentence : Advice()) info->advice.push_back(std::move(sentence));
    }
    std::move(done)(std::move(info));
  });
}

// --- The journal ---

void JournaledStore::JournalKeys(const std::string& name_space, const std::vector<std::string>& keys) {
  // Nothing gets lost on the way to a store that is in this process.
  if (store_->exclusive()) return;
  journal_.AddKeys(name_space, keys);
  AfterAdding();
}

GroupResult JournaledStore::DeferGroups(GroupRequest groups) {
  // In this order, so that what the listener holds as deferred is never forgotten before it has been replayed: Replay
  // takes the time before it looks at what there is.
  const bool collapsed = journal_.AddGroups(groups);
  groups.all = groups.all || collapsed;
  if (listener_ != nullptr) listener_->OnDeferred(groups.name_space, StampsOf(groups));
  AfterAdding();
  return {.collapsed = collapsed, .control = {}, .deferred = true};
}

void JournaledStore::AfterAdding() {
  const uint64_t overflows = journal_.overflows();
  if (overflows_told_.exchange(overflows) != overflows && parts_.warn) {
    parts_.warn(
        "the journal of invalidations that wait for the store overflowed; the largest namespace in it loses "
        "all its entries when the store is back");
  }
  if (store_->breaker() != BreakerState::kClosed) was_away_.store(true);
  // What has just failed is not tried again with each call that fails too.
  fails_.load() ? LookAgainLater() : ReplaySoon();
}

void JournaledStore::LookAgainLater() {
  if (looks_again_.exchange(true)) return;
  parts_.later(clock_->NowNanos() + kLookEvery, [this] {
    looks_again_.store(false);
    if (!journal_.empty()) ReplaySoon();
  });
}

void JournaledStore::ReplaySoon() {
  LookAgainLater();
  if (store_->state() != StoreInfo::State::kReady) return;
  for (const std::string& name : journal_.Waiting()) Replay(name);
}

void JournaledStore::Replay(const std::string& name_space) {
  {
    MutexLock lock(&mutex_);
    if (!replaying_.insert(name_space).second) return;
  }
  // First the time: all that was deferred by then has a number by now.
  const int64_t now = clock_->NowNanos();
  Step({.name_space = name_space, .position = journal_.position(), .began_nanos = now});
}

void JournaledStore::Step(const Round& round) {
  Postings::iterator posting;
  std::optional<Journal::Step> step = NextStep(round, &posting);
  if (!step.has_value()) {
    // An overflow may have put what this round has not sent into a barrier that is yet to come.
    if (listener_ != nullptr && !journal_.HasGroups(round.name_space)) {
      listener_->OnSettled(round.name_space, round.began_nanos);
    }
    // Not of each call that was too slow.
    if (journal_.empty() && was_away_.exchange(false) && parts_.inform)
      parts_.inform("the store knows all that was invalidated while it was away");
    return End(round.name_space);
  }
  if (step->barrier) return SendBarrier(round, *std::move(step));
  if (step->is_groups()) return SendGroups(round, *std::move(step));
  SendKeys(round, *std::move(step), posting);
}

// In one with the mark that its keys are chosen: a write of a key that waits in the journal has either begun, and the
// key is left out, or is sent after the erasure. `posting`: of the step, if that has keys.
std::optional<Journal::Step> JournaledStore::NextStep(const Round& round, Postings::iterator* posting) {
  MutexLock lock(&mutex_);
  std::optional<Journal::Step> step = journal_.Next(round.name_space, round.position, kStepNames);
  if (step.has_value() && !step->keys.empty()) {
    *posting = postings_.insert(postings_.end(), {round.name_space, {step->keys.begin(), step->keys.end()}});
  }
  return step;
}

void JournaledStore::EndPosting(Postings::iterator posting) {
  std::vector<PendingWrite> writes;
  {
    MutexLock lock(&mutex_);
    writes.swap(posting->writes);
    postings_.erase(posting);
  }
  for (PendingWrite& write : writes) PlainWrite(std::move(write.request), std::move(write.done));
}

void JournaledStore::SendKeys(const Round& round, Journal::Step step, Postings::iterator posting) {
  EraseRequest erase{.name_space = round.name_space,
                     .keys = step.keys,
                     .soft_versions = {},
                     .deadline_nanos = kNoDeadline,
                     .may_defer = false};
  store_->Erase(std::move(erase), [this, round, step = std::move(step)](const absl::StatusOr<EraseResult>& result) {
    if (!result.ok()) return Fail(round.name_space);
    if (result->lost.empty()) {
      if (listener_ != nullptr) listener_->OnKeysReplayed(round.name_space, step.keys, round.began_nanos);
      return Settle(round, step);
    }
    // The others are not to wait for the part of the store that is away, nor to be erased again and again.
    Journal::Step done;
    for (size_t i = 0, lost = 0; i < step.keys.size(); ++i) {
      const bool is_lost = lost < result->lost.size() && result->lost[lost] == i;
      is_lost ? static_cast<void>(++lost) : done.keys.push_back(step.keys[i]);
    }
    if (listener_ != nullptr) listener_->OnKeysReplayed(round.name_space, done.keys, round.began_nanos);
    replayed_.Add(journal_.Settle(round.name_space, done, round.position));
    Fail(round.name_space);
  });
  EndPosting(posting);
}

void JournaledStore::SendGroups(const Round& round, Journal::Step step) {
  GroupRequest groups{.name_space = round.name_space,
                      .all = step.all,
                      .tags = step.tags,
                      .patterns = step.patterns,
                      .soft = false,
                      .max_tags = step.max_tags,
                      .max_patterns = step.max_patterns,
                      .known = listener_ == nullptr ? ClockPosition{} : listener_->Known(round.name_space),
                      .deadline_nanos = kNoDeadline,
                      .may_defer = false};
  store_->InvalidateGroups(std::move(groups),
                           [this, round, step = std::move(step)](const absl::StatusOr<GroupResult>& result) {
                             if (!result.ok()) return Fail(round.name_space);
                             if (listener_ != nullptr) listener_->OnGroupsReplayed(round.name_space, result->control);
                             Settle(round, step);
                           });
}

void JournaledStore::SendBarrier(const Round& round, Journal::Step step) {
  store_->RaiseBarrier(round.name_space, kNoDeadline,
                       [this, round, step = std::move(step)](const absl::StatusOr<ControlUpdate>& update) {
                         if (!update.ok()) return Fail(round.name_space);
                         if (listener_ != nullptr) listener_->OnGroupsReplayed(round.name_space, *update);
                         Settle(round, step);
                       });
}

void JournaledStore::Settle(const Round& round, const Journal::Step& step) {
  fails_.store(false);
  replayed_.Add(journal_.Settle(round.name_space, step, round.position));
  Step(round);
}

void JournaledStore::Fail(const std::string& name_space) {
  fails_.store(true);
  End(name_space);
}

// What is left of it, or was added meanwhile, has the next look.
void JournaledStore::End(const std::string& name_space) {
  {
    MutexLock lock(&mutex_);
    replaying_.erase(name_space);
  }
  if (!journal_.empty()) LookAgainLater();
}

std::vector<std::string> JournaledStore::Advice() const {
  std::vector<std::string> advice;
  const bool away = store_->breaker() != BreakerState::kClosed;
  if (away) {
    advice.emplace_back(
        "the store is away: what is in memory is served as degraded for a while, Sets fail or are kept here alone, "
        "invalidations wait; bring Redis back");
  }
  size_t entries = 0;
  std::vector<std::string> barred;
  for (const std::string& name : journal_.Waiting()) {
    entries += journal_.CountOf(name);
    if (journal_.IsBarred(name)) barred.push_back(name);
  }
  if (entries > 0) {
    advice.push_back(absl::StrCat(entries, entries == 1 ? " invalidation waits" : " invalidations wait",
                                  " for the store, and would be lost with this process: do not restart it",
                                  away ? " before Redis is back" : " yet"));
  }
  if (!barred.empty()) {
    advice.push_back(
        absl::StrCat("more invalidations than store.redis.journal_entries had to wait: once the store is "
                     "back, all entries will be dropped of: ",
                     absl::StrJoin(barred, ", ")));
  }
  return advice;
}

}  // namespace larder
