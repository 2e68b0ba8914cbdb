#include "server/engine/logical_clock.h"

#include <algorithm>
#include <cstddef>

#include "core/pattern.h"
#include "core/planted.h"

namespace larder {
namespace {

// What an entry remembers: the change up to which it was judged, and the judgement in the lowest bits. Never 0, since
// changes count from 1.
constexpr int kJudgementBits = 2;
constexpr uint64_t kJudgementMask = (1 << kJudgementBits) - 1;

uint64_t Verdict(uint64_t changes, Judgement judgement) {
  return changes << kJudgementBits | static_cast<uint64_t>(judgement);
}

// Beyond so many changes, the table's indexes find what concerns an entry sooner than a look at each.
constexpr size_t kRecent = 32;

bool Concerns(const Stamp& stamp, std::string_view key, TagList tags) {
  switch (stamp.group) {
    case Stamp::Group::kAll:
      return true;
    case Stamp::Group::kTag:
      for (std::string_view tag : tags) {
        if (tag == stamp.name) return true;
      }
      return false;
    case Stamp::Group::kPattern:
      return MatchesPattern(stamp.name, key);
  }
  return true;
}

}  // namespace

ClockPosition LogicalClock::known() const {
  MutexLock lock(&mutex_);
  return {generation_, epoch_};
}

bool LogicalClock::Apply(const ControlUpdate& update, ChangeLog* log) {
  MutexLock lock(&mutex_);
  const bool other_generation = update.generation != generation_;
  // Under the first that is known nothing has been read yet that could be old.
  const bool ends_one = other_generation && generation_ != 0;
  if (other_generation && !StartGeneration(update)) return false;
  if (ends_one && log != nullptr) log->OnGap(Change::Gap::kGeneration);
  sequence_ = std::max(sequence_, update.sequence);
  // COHERENCE C4: what was told before is never taken back, so only what was swept before it was told is missing. A new
  // generation has ended everything that could miss it.
  const bool missed = !other_generation && update.floor > epoch_;
  if (missed && log != nullptr) log->OnGap(Change::Gap::kSwept);
  floor_ = std::max(floor_, update.floor);
  if (Planted(Bug::kEpochPastGap) && update.stamps.size() > 1) {
    AddStamps({update.stamps.back()}, log);
  } else {
    AddStamps(update.stamps, log);
  }
  // COHERENCE C2: only if every stamp up to update.epoch is known now.
  if (update.since <= epoch_) epoch_ = std::max(epoch_, update.epoch);
  return missed;
}

bool LogicalClock::StartGeneration(const ControlUpdate& update) {
  // A late answer from before the present generation must not bring the old one back. A partial one cannot start a
  // generation either: stamps before it would be missing.
  if (update.sequence < sequence_ || update.since != 0) return false;
  generation_ = update.generation;
  epoch_ = 0;
  forgotten_ = 0;
  floor_ = 0;
  stamps_.Clear();
  recent_.clear();
  generation_began_ = changes_.fetch_add(1, std::memory_order_release) + 1;
  return true;
}

void LogicalClock::AddStamps(const std::vector<Stamp>& stamps, ChangeLog* log) {
  for (const Stamp& stamp : stamps) {
    const bool is_forgotten = stamp.epoch <= forgotten_;
    if (!is_forgotten) {
      if (!stamps_.Add(stamp)) continue;
      recent_.push_back(stamp);
      if (recent_.size() > kRecent) recent_.pop_front();
      changes_.fetch_add(1, std::memory_order_release);
    }
    // After it counts here. One that is no longer held may never have been told.
    if (log != nullptr) log->OnStamp(stamp);
  }
  if (stamps_.tags() + stamps_.patterns() > max_stamps_) {
    ForgetStamps(stamps_.MiddleEpoch());
    ++folds_;
  }
}

void LogicalClock::ForgetStamps(uint64_t epoch) {
  forgotten_ = epoch;
  stamps_.Forget(epoch);
  recent_.clear();
  changes_.fetch_add(1, std::memory_order_release);
}

void LogicalClock::Defer(const std::vector<Stamp>& stamps, int64_t at_nanos) {
  MutexLock lock(&mutex_);
  // Something that was read in the same nanosecond may have been read before.
  const auto later_than_all = static_cast<uint64_t>(at_nanos) + 1;
  for (Stamp stamp : stamps) {
    stamp.epoch = later_than_all;
    deferred_.Add(stamp);
  }
  if (deferred_.tags() + deferred_.patterns() > max_stamps_) {
    deferred_.Clear();
    deferred_.Add({.group = Stamp::Group::kAll, .soft = false, .epoch = later_than_all, .name = {}});
  }
  recent_.clear();
  changes_.fetch_add(1, std::memory_order_release);
}

void LogicalClock::ForgetDeferred(int64_t nanos) {
  MutexLock lock(&mutex_);
  deferred_.Forget(static_cast<uint64_t>(nanos) + 1);
}

Judgement LogicalClock::Judge(std::string_view key, const Entry& entry) const {
  const uint64_t verdict = entry.verdict();
  const uint64_t judged_at = verdict >> kJudgementBits;
  const auto before = static_cast<Judgement>(verdict & kJudgementMask);
  if (judged_at == changes_.load(std::memory_order_acquire)) return before;

  MutexLock lock(&mutex_);
  const uint64_t now = changes_.load(std::memory_order_relaxed);
  // Never so if it was not judged yet: of the changes up to `now` the first has no stamp.
  const bool by_recent = now - judged_at <= recent_.size();
  Judgement judgement = by_recent ? JudgeByRecent(key, entry, before, now - judged_at) : JudgeAnew(key, entry);
  // COHERENCE C4: that a stamp is forgotten makes nothing better than it was found by it.
  if (judged_at >= generation_began_) judgement = std::max(judgement, before);
  entry.set_verdict(Verdict(now, judgement));
  return judgement;
}

Judgement LogicalClock::JudgeByRecent(std::string_view key, const Entry& entry, Judgement before,
                                      uint64_t changes) const {
  Judgement judgement = before;
  for (auto stamp = recent_.end() - static_cast<std::ptrdiff_t>(changes); stamp != recent_.end(); ++stamp) {
    const Judgement by_it = stamp->soft ? Judgement::kStale : Judgement::kDead;
    if (by_it <= judgement || stamp->epoch <= entry.meta().epoch) continue;
    if (Concerns(*stamp, key, entry.tags())) judgement = by_it;
  }
  return judgement;
}

Judgement LogicalClock::JudgeAnew(std::string_view key, const Entry& entry) const {
  const EntryMeta& meta = entry.meta();
  const bool is_other = meta.generation != generation_ && !Planted(Bug::kGenerationIgnored);
  if (is_other || meta.epoch < forgotten_) return Judgement::kDead;
  const Judgement judgement = stamps_.Judge(key, entry.tags(), meta.epoch);
  return std::max(judgement, deferred_.Judge(key, entry.tags(), static_cast<uint64_t>(meta.read_nanos)));
}

void LogicalClock::Forget(uint64_t epoch) {
  MutexLock lock(&mutex_);
  if (epoch > forgotten_) ForgetStamps(epoch);
}

void LogicalClock::ForgetHardPatterns(uint64_t epoch) {
  MutexLock lock(&mutex_);
  stamps_.ForgetHardPatterns(std::min(epoch, floor_));
}

uint64_t LogicalClock::floor() const {
  MutexLock lock(&mutex_);
  return floor_;
}

uint64_t LogicalClock::LatestHardPattern(std::string_view key) const {
  MutexLock lock(&mutex_);
  return std::max(forgotten_, stamps_.LatestHardPattern(key, floor_));
}

std::vector<Stamp> LogicalClock::Concerning(std::string_view key, TagList tags) const {
  MutexLock lock(&mutex_);
  return stamps_.Concerning(key, tags);
}

uint64_t LogicalClock::latest_hard() const {
  MutexLock lock(&mutex_);
  return std::max(stamps_.latest_hard(), forgotten_);
}

size_t LogicalClock::tags() const {
  MutexLock lock(&mutex_);
  return stamps_.tags();
}

size_t LogicalClock::patterns() const {
  MutexLock lock(&mutex_);
  return stamps_.patterns();
}

uint64_t LogicalClock::folds() const {
  MutexLock lock(&mutex_);
  return folds_;
}

}  // namespace larder
