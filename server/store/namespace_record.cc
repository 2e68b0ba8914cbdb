#include "server/store/namespace_record.h"

#include <algorithm>

#include "server/store/random_bits.h"

namespace larder {
namespace {

// So many checkpoints at most are kept over the longest life: a stamp is forgotten at most that part of it too late.
constexpr int64_t kCheckpoints = 64;

}  // namespace

NamespaceRecord::NamespaceRecord(std::string_view name) : name_(name), generation_(RandomNonZeroBits()) {}

ClockPosition NamespaceRecord::position() const {
  MutexLock lock(&mutex_);
  return {generation_, epoch_};
}

ControlUpdate NamespaceRecord::Update(ClockPosition known) const {
  MutexLock lock(&mutex_);
  return UpdateLocked(known);
}

ControlUpdate NamespaceRecord::UpdateLocked(ClockPosition known) const {
  ControlUpdate update;
  update.generation = generation_;
  update.epoch = epoch_;
  update.since = known.generation == generation_ ? known.epoch : 0;
  if (update.since < epoch_) update.stamps = stamps_.Later(update.since);
  update.floor = floor_;
  update.sequence = ++sequence_;
  return update;
}

Judgement NamespaceRecord::Judge(std::string_view key, const Entry& entry) const {
  MutexLock lock(&mutex_);
  if (entry.meta().generation != generation_) return Judgement::kDead;
  if (entry.meta().epoch >= epoch_) return Judgement::kValid;
  return stamps_.Judge(key, entry.tags(), entry.meta().epoch);
}

bool NamespaceRecord::Allows(ClockPosition as_of, std::string_view key, TagList tags) const {
  MutexLock lock(&mutex_);
  if (as_of.generation != generation_ || as_of.epoch < fence_ || as_of.epoch > epoch_) return false;
  return as_of.epoch == epoch_ || stamps_.Judge(key, tags, as_of.epoch) != Judgement::kDead;
}

GroupResult NamespaceRecord::InvalidateGroups(const GroupRequest& request) {
  MutexLock lock(&mutex_);
  ++epoch_;
  GroupResult result;
  StampAll(request);
  // COHERENCE C5.
  result.collapsed = stamps_.tags() > request.max_tags || stamps_.patterns() > request.max_patterns;
  const bool whole = result.collapsed || (request.all && !request.soft);
  if (whole) {
    // It says all that any earlier stamp says.
    stamps_.Clear();
    stamps_.Add({Stamp::Group::kAll, /*soft=*/false, epoch_, ""});
  }
  ++changes_;
  result.control = UpdateLocked(request.known);
  return result;
}

void NamespaceRecord::StampAll(const GroupRequest& request) {
  if (request.all) stamps_.Add({Stamp::Group::kAll, request.soft, epoch_, ""});
  for (const std::string& tag : request.tags) stamps_.Add({Stamp::Group::kTag, request.soft, epoch_, tag});
  for (const std::string& pattern : request.patterns) {
    stamps_.Add({Stamp::Group::kPattern, request.soft, epoch_, pattern});
  }
}

// COHERENCE C3. Nothing of the older generation is valid whatever its epoch, so the clock starts anew.
ControlUpdate NamespaceRecord::RaiseBarrier() {
  MutexLock lock(&mutex_);
  generation_ = RandomNonZeroBits();
  epoch_ = kFirstEpoch;
  stamps_.Clear();
  fence_ = 0;
  floor_ = 0;
  sweeper_ = 0;
  longest_life_nanos_ = 0;
  forgotten_ = kFirstEpoch;
  checkpoints_.clear();
  ++changes_;
  return UpdateLocked({});
}

// COHERENCE C4.
SweepResult NamespaceRecord::Sweep(const SweepRequest& request, int64_t now_nanos) {
  MutexLock lock(&mutex_);
  SweepResult result;
  const bool held = sweeper_ != 0 && sweeper_until_nanos_ > now_nanos;
  if (request.step == SweepRequest::Step::kBegin) {
    result.mine = (!held || sweeper_ == request.sweeper) && stamps_.latest_hard() > floor_;
    if (result.mine) {
      fence_ = epoch_;
      result.fence = {generation_, epoch_};
      ++changes_;
    }
  } else {
    result.mine = held && sweeper_ == request.sweeper && request.fence.generation == generation_;
  }
  if (result.mine) {
    sweeper_ = request.sweeper;
    sweeper_until_nanos_ = now_nanos + request.lease_nanos;
    if (request.step == SweepRequest::Step::kEnd) {
      stamps_.ForgetHardPatterns(request.fence.epoch);
      floor_ = std::max(floor_, request.fence.epoch);
      sweeper_ = 0;
    }
  }
  result.control = UpdateLocked(request.known);
  return result;
}

uint64_t NamespaceRecord::ForgetOldStamps(int64_t max_life_nanos, int64_t now_nanos) {
  MutexLock lock(&mutex_);
  longest_life_nanos_ = std::max(longest_life_nanos_, max_life_nanos);
  uint64_t forgettable = 0;
  while (!checkpoints_.empty() && checkpoints_.front().at_nanos <= now_nanos - longest_life_nanos_) {
    forgettable = checkpoints_.front().epoch;
    checkpoints_.pop_front();
  }
  if (forgettable != 0) forgotten_ = forgettable;
  const bool first = checkpoints_.empty();
  const bool news = epoch_ > (first ? forgotten_ : checkpoints_.back().epoch);
  const bool due = first || now_nanos - checkpoints_.back().at_nanos >= longest_life_nanos_ / kCheckpoints;
  if (news && due) checkpoints_.push_back({now_nanos, epoch_});
  if (forgettable == 0) return 0;
  stamps_.Forget(forgettable);
  // What was read before them and comes this late (COHERENCE E4) would not be found dead any more.
  fence_ = std::max(fence_, forgettable);
  ++changes_;
  return forgettable;
}

void NamespaceRecord::PutNote(std::string name, std::string text, int64_t expires_nanos) {
  MutexLock lock(&mutex_);
  notes_[std::move(name)] = {std::move(text), expires_nanos};
}

std::optional<std::string> NamespaceRecord::GetNote(std::string_view name, int64_t now_nanos) const {
  MutexLock lock(&mutex_);
  const auto note = notes_.find(name);
  if (note == notes_.end() || note->second.expires_nanos <= now_nanos) return std::nullopt;
  return note->second.text;
}

NamespaceRecord& NamespaceRecords::Of(std::string_view name) {
  std::atomic<Node*>& bucket = buckets_[std::hash<std::string_view>()(name) % kBuckets];
  if (Node* node = FindIn(bucket.load(std::memory_order_acquire), name)) return node->record;
  MutexLock lock(&mutex_);
  Node* const first = bucket.load(std::memory_order_relaxed);
  if (Node* node = FindIn(first, name)) return node->record;
  nodes_.push_back(std::make_unique<Node>(name, first));
  bucket.store(nodes_.back().get(), std::memory_order_release);
  return nodes_.back()->record;
}

NamespaceRecords::Node* NamespaceRecords::FindIn(Node* first, std::string_view name) {
  Node* node = first;
  while (node != nullptr && node->record.name() != name) node = node->next;
  return node;
}

}  // namespace larder
