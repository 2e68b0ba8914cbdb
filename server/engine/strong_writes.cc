#include "server/engine/strong_writes.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

// How late a wait may end that nobody's acknowledgement ends.
constexpr int64_t kLookEvery = 5 * kNanosPerMilli;
// Members measure by clocks of their own: what they take for a second may be longer than ours by this part of it, which
// is more than any clock that is being set right.
constexpr int64_t kDriftPart = 500;

// By when whoever relies on `nanos` from `since` on, by a clock of its own, does so no more.
int64_t SurelyOver(int64_t since_nanos, int64_t nanos) { return since_nanos + nanos + nanos / kDriftPart; }

absl::Status Landed(const absl::Status& why) {
  return absl::Status(
      why.code(), absl::StrCat("it was written, but other replicas may still serve what was there: ", why.message()));
}

}  // namespace

StrongWrites::StrongWrites(Store* store, const Clock* clock, Scheduler* scheduler, Registry* registry, size_t most)
    : store_(store),
      clock_(clock),
      scheduler_(scheduler),
      most_(most),
      acknowledged_(registry->AddCounter("cache_strong_writes_total",
                                         "STRONG writes that landed, by how their wait ended.",
                                         {{"result", "acknowledged"}})),
      waited_out_(registry->AddCounter("cache_strong_writes_total",
                                       "STRONG writes that landed, by how their wait ended.",
                                       {{"result", "waited_out"}})),
      errors_(registry->AddCounter("cache_strong_writes_total", "STRONG writes that landed, by how their wait ended.",
                                   {{"result", "error"}})),
      shed_(registry->AddCounter("cache_shed_total", "Work refused because too much was waiting.",
                                 {{"reason", "strong_waits"}})),
      seconds_(registry->AddHistogram("cache_strong_wait_seconds",
                                      "Time that STRONG writes waited for other replicas after they had landed.")) {
  store_->SetSyncListener([this](uint64_t member, uint64_t number) { OnAcknowledged(member, number); });
}

absl::Status StrongWrites::Enter() {
  MutexLock lock(&mutex_);
  if (entered_ < most_) {
    ++entered_;
    return absl::OkStatus();
  }
  shed_.Add();
  return absl::ResourceExhaustedError(
      absl::StrCat("consistency: the limit of ", most_, " STRONG writes that wait for other replicas is reached"));
}

void StrongWrites::Leave() {
  MutexLock lock(&mutex_);
  --entered_;
}

void StrongWrites::Await(int64_t deadline_nanos, Done done) {
  Call call{.deadline_nanos = deadline_nanos, .began_nanos = clock_->NowNanos(), .done = std::move(done)};
  // Nobody else keeps what this process has just brought up to date.
  if (store_->exclusive()) {
    EndedCalls ended;
    ended.push_back({std::move(call), absl::OkStatus(), Outcome::kAcknowledged});
    return Finish(std::move(ended));
  }
  bool stopped = false;
  {
    MutexLock lock(&mutex_);
    stopped = stopped_;
    if (!stopped) next_.push_back(std::move(call));
  }
  if (stopped) {
    EndedCalls ended;
    ended.push_back({std::move(call), Landed(absl::UnavailableError("the server is stopping")), Outcome::kError});
    return Finish(std::move(ended));
  }
  Ask();
  LookLater();
}

// COHERENCE S2: members are read only now, after every write of the round has landed. Whoever registers later has read
// nothing by then that it will serve.
void StrongWrites::Ask() {
  uint64_t number = 0;
  {
    MutexLock lock(&mutex_);
    if (is_asking_ || next_.empty()) return;
    is_asking_ = true;
    number = ++last_round_;
    Round& round = rounds_[number];
    round.sent_nanos = clock_->NowNanos();
    round.calls = std::move(next_);
    next_.clear();
  }
  store_->Sync(number, [this, number](absl::StatusOr<SyncResult> members) { OnMembers(number, std::move(members)); });
}

void StrongWrites::OnMembers(uint64_t number, absl::StatusOr<SyncResult> members) {
  EndedCalls ended;
  {
    MutexLock lock(&mutex_);
    is_asking_ = false;
    const auto found = rounds_.find(number);
    // It may have been stopped.
    if (found != rounds_.end() && members.ok()) {
      AwaitMembers(number, found->second, *members);
    } else if (found != rounds_.end()) {
      TakeAll(found->second, Landed(members.status()), Outcome::kError, ended);
      rounds_.erase(found);
    }
    TakeEnded(clock_->NowNanos(), ended);
  }
  Finish(std::move(ended));
  Ask();
}

void StrongWrites::AwaitMembers(uint64_t number, Round& round, const SyncResult& members) {
  round.is_known = true;
  longest_hold_nanos_ = std::max(longest_hold_nanos_, members.longest_hold_nanos);
  // COHERENCE S1: whoever had registered in a record that was lost is in this one by now, or serves nothing any more,
  // once this one is as old as anybody relies on a registration.
  if (members.record_age_nanos < longest_hold_nanos_) {
    round.end_nanos = SurelyOver(clock_->NowNanos() - members.record_age_nanos, longest_hold_nanos_);
    round.was_waited_out = true;
  }
  std::map<uint64_t, uint64_t> still;
  for (const Member& member : members.others) {
    // Counted from the question, which no reply to a write of this round came after.
    const int64_t until = SurelyOver(round.sent_nanos, member.terms.bound_nanos);
    if (!member.terms.acknowledges) {
      round.end_nanos = std::max(round.end_nanos, until);
      round.was_waited_out = true;
      continue;
    }
    const auto said = acknowledged_up_to_.find(member.id);
    if (said != acknowledged_up_to_.end()) still.insert(*said);
    if (said == acknowledged_up_to_.end() || said->second < number) round.awaited.emplace(member.id, until);
  }
  // What others than members said is of no use.
  acknowledged_up_to_ = std::move(still);
}

void StrongWrites::OnAcknowledged(uint64_t member, uint64_t number) {
  EndedCalls ended;
  {
    MutexLock lock(&mutex_);
    if (number > last_round_) return;
    // Whatever anybody publishes: it takes no more than this until members are read the next time.
    if (acknowledged_up_to_.size() < most_ || acknowledged_up_to_.contains(member)) {
      uint64_t& last = acknowledged_up_to_[member];
      last = std::max(last, number);
    }
    for (auto& [at, round] : rounds_) {
      if (at <= number) round.awaited.erase(member);
    }
    TakeEnded(clock_->NowNanos(), ended);
  }
  Finish(std::move(ended));
}

void StrongWrites::TakeAll(Round& round, const absl::Status& status, Outcome outcome, EndedCalls& ended) {
  for (Call& call : round.calls) ended.push_back({std::move(call), status, outcome});
  round.calls.clear();
}

void StrongWrites::TakeEnded(int64_t now, EndedCalls& ended) {
  for (auto at = rounds_.begin(); at != rounds_.end();) {
    Round& round = at->second;
    const size_t silent = std::erase_if(round.awaited, [now](const auto& member) { return member.second <= now; });
    round.was_waited_out = round.was_waited_out || silent > 0;
    if (round.is_known && round.awaited.empty() && round.end_nanos <= now) {
      TakeAll(round, absl::OkStatus(), round.was_waited_out ? Outcome::kWaitedOut : Outcome::kAcknowledged, ended);
    }
    at = round.is_known && round.calls.empty() ? rounds_.erase(at) : std::next(at);
  }
}

void StrongWrites::TakeOverdue(int64_t now, EndedCalls& ended) {
  const auto take = [&](std::vector<Call>& calls) {
    std::erase_if(calls, [&](Call& call) {
      if (call.deadline_nanos > now) return false;
      ended.push_back({std::move(call),
                       Landed(absl::DeadlineExceededError("the deadline passed while waiting for them")),
                       Outcome::kError});
      return true;
    });
  };
  take(next_);
  for (auto& [number, round] : rounds_) take(round.calls);
}

// One task looks after all rounds, as long as there are any.
void StrongWrites::LookLater() {
  {
    MutexLock lock(&mutex_);
    if (is_looking_ || stopped_ || (rounds_.empty() && next_.empty())) return;
    is_looking_ = true;
  }
  scheduler_->At(clock_->NowNanos() + kLookEvery, [this] { Look(); });
}

void StrongWrites::Look() {
  EndedCalls ended;
  {
    MutexLock lock(&mutex_);
    is_looking_ = false;
    const int64_t now = clock_->NowNanos();
    TakeOverdue(now, ended);
    TakeEnded(now, ended);
  }
  Finish(std::move(ended));
  LookLater();
}

void StrongWrites::Finish(EndedCalls ended) {
  if (ended.empty()) return;
  const int64_t now = clock_->NowNanos();
  for (const Ended& each : ended) {
    if (each.outcome == Outcome::kAcknowledged) acknowledged_.Add();
    if (each.outcome == Outcome::kWaitedOut) waited_out_.Add();
    if (each.outcome == Outcome::kError) errors_.Add();
    seconds_.Record(now - each.call.began_nanos);
  }
  {
    MutexLock lock(&mutex_);
    entered_ -= ended.size();
  }
  for (Ended& each : ended) std::move(each.call.done)(std::move(each.status));
}

void StrongWrites::Stop() {
  EndedCalls ended;
  const absl::Status stopping = Landed(absl::UnavailableError("the server is stopping"));
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
    for (auto& [number, round] : rounds_) TakeAll(round, stopping, Outcome::kError, ended);
    rounds_.clear();
    for (Call& call : next_) ended.push_back({std::move(call), stopping, Outcome::kError});
    next_.clear();
  }
  Finish(std::move(ended));
}

}  // namespace larder
