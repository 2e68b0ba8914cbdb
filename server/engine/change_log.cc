#include "server/engine/change_log.h"

#include <utility>

namespace larder {

void ChangeLog::Configure(Options options, const Clock* clock) {
  source_ = options.source;
  capacity_ = options.capacity;
  clock_ = clock;
}

void ChangeLog::OnWritten(std::string_view key) {
  if (source_ != Source::kWrites || !is_held_.load(std::memory_order_acquire)) return;
  Add({.name = std::string(key)});
  Tell();
}

void ChangeLog::OnTold(std::string_view key) {
  if (source_ != Source::kTold || !is_held_.load(std::memory_order_acquire)) return;
  Add({.name = std::string(key)});
  Tell();
}

void ChangeLog::OnStamp(const Stamp& stamp) {
  if (!is_held_.load(std::memory_order_acquire)) return;
  Change change{.kind = Change::Kind::kAll, .soft = stamp.soft, .name = stamp.name};
  if (stamp.group == Stamp::Group::kTag) change.kind = Change::Kind::kTag;
  if (stamp.group == Stamp::Group::kPattern) change.kind = Change::Kind::kPattern;
  Add(std::move(change));
}

void ChangeLog::OnGap(Change::Gap gap) {
  if (is_held_.load(std::memory_order_acquire)) Add({.kind = Change::Kind::kGap, .gap = gap});
}

void ChangeLog::OnLost() {
  {
    MutexLock lock(&mutex_);
    proved_until_nanos_ = 0;
    if (is_held_.load(std::memory_order_relaxed)) Append({.kind = Change::Kind::kGap, .gap = Change::Gap::kLost});
  }
  Tell();
}

void ChangeLog::Prove(int64_t until_nanos) {
  MutexLock lock(&mutex_);
  proved_until_nanos_ = until_nanos;
}

void ChangeLog::Add(Change change) {
  MutexLock lock(&mutex_);
  if (is_held_.load(std::memory_order_relaxed)) Append(std::move(change));
}

void ChangeLog::Append(Change change) {
  if (readers_ == 0 && clock_->NowNanos() - left_nanos_ >= kLinger) return StopHolding();
  events_.fetch_add(1, std::memory_order_relaxed);
  if (change.kind == Change::Kind::kGap) gaps_.fetch_add(1, std::memory_order_relaxed);
  if (ring_.size() == capacity_) ring_.pop_front();
  ring_.push_back(std::move(change));
  ++last_;
  if (std::exchange(is_somebody_waiting_, false)) wake_due_.store(true, std::memory_order_release);
}

void ChangeLog::StopHolding() {
  is_held_.store(false, std::memory_order_release);
  std::deque<Change>().swap(ring_);
  ++last_;  // stands for all that is not held: no position from before it can be gone on from
}

void ChangeLog::Wake() {
  if (wake_due_.exchange(false, std::memory_order_acq_rel) && listener_) listener_();
}

bool ChangeLog::Open(std::optional<uint64_t> from, uint64_t* begin) {
  MutexLock lock(&mutex_);
  ++readers_;
  is_held_.store(true, std::memory_order_release);
  *begin = last_;
  if (!from.has_value()) return true;
  if (*from > last_ || last_ - *from > ring_.size()) return false;
  *begin = *from;
  return true;
}

void ChangeLog::Close() {
  MutexLock lock(&mutex_);
  if (--readers_ == 0) left_nanos_ = clock_->NowNanos();
}

ChangeLog::Batch ChangeLog::Read(uint64_t after) {
  Batch batch;
  MutexLock lock(&mutex_);
  const uint64_t behind = last_ - after;
  if (behind > ring_.size()) {
    batch.is_cut_off = true;
    return batch;
  }
  if (behind == 0) {
    is_somebody_waiting_ = true;
    return batch;
  }
  size_t bytes = 0;
  for (size_t at = ring_.size() - behind; at < ring_.size() && batch.changes.size() < kMaxBatch; ++at) {
    const bool is_gap = ring_[at].kind == Change::Kind::kGap;
    bytes += ring_[at].name.size();
    if (!batch.changes.empty() && (is_gap || bytes > kMaxBatchBytes)) break;
    batch.changes.push_back(ring_[at]);
    if (is_gap) break;
  }
  return batch;
}

bool ChangeLog::Holds(uint64_t after) const {
  MutexLock lock(&mutex_);
  return last_ - after <= ring_.size();
}

std::optional<uint64_t> ChangeLog::Proved(int64_t now_nanos) const {
  if (source_ == Source::kNone) return std::nullopt;
  MutexLock lock(&mutex_);
  if (source_ == Source::kTold && now_nanos >= proved_until_nanos_) return std::nullopt;
  return last_;
}

size_t ChangeLog::readers() const {
  MutexLock lock(&mutex_);
  return readers_;
}

}  // namespace larder
