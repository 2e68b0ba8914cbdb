#include "server/engine/warm_job_run.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/policy/words.h"

namespace larder {
namespace {

// Rates above this are kept by starting several at a time.
constexpr int kQuotasPerSecond = 200;
// Items that one call starts, however quickly they end: its thread has other work too.
constexpr int kStartedAtOnce = 256;

absl::Status WithDetail(const absl::Status& status, std::string_view what, const std::string& last_failure) {
  return {status.code(), absl::StrCat(std::string(what), "; the last: ", last_failure)};
}

}  // namespace

WarmJobRun::WarmJobRun(Options options, const Clock* clock, Scheduler* scheduler, WorkOn work_on, Ended ended)
    : options_(options), clock_(clock), scheduler_(scheduler), work_on_(std::move(work_on)), ended_(std::move(ended)) {}

bool WarmJobRun::Offer(std::vector<Item> items) {
  {
    MutexLock lock(&mutex_);
    while (IsWanting() && queue_.size() >= kMaxQueued) room_.Wait(&mutex_);
    if (!IsWanting()) return false;
    Enqueue(std::move(items));
  }
  Advance();
  return true;
}

void WarmJobRun::OfferAll(std::vector<Item> items) {
  {
    MutexLock lock(&mutex_);
    if (!IsWanting()) return;
    Enqueue(std::move(items));
  }
  Advance();
}

void WarmJobRun::Enqueue(std::vector<Item> items) {
  counts_.found += static_cast<int64_t>(items.size());
  queue_.insert(queue_.end(), std::make_move_iterator(items.begin()), std::make_move_iterator(items.end()));
}

void WarmJobRun::Refuse(std::string_view item, const absl::Status& status) {
  {
    MutexLock lock(&mutex_);
    if (over_) return;
    ++counts_.found;
    CountFailure(item, status);
  }
  Advance();
}

void WarmJobRun::EndOfItems(absl::Status status) {
  {
    MutexLock lock(&mutex_);
    all_found_ = true;
    if (outcome_.ok()) outcome_ = std::move(status);
  }
  Advance();
}

void WarmJobRun::Cancel(const absl::Status& reason) {
  absl::AnyInvocable<void() &&> end;
  {
    MutexLock lock(&mutex_);
    if (over_) return;
    outcome_ = reason;
    queue_.clear();
    all_found_ = true;
    in_flight_ = 0;
    end = TakeEnd();
  }
  std::move(end)();
}

WarmCounts WarmJobRun::counts() const {
  MutexLock lock(&mutex_);
  return counts_;
}

void WarmJobRun::Advance() {
  {
    MutexLock lock(&mutex_);
    // Items that end before work_on_ returns come back here: a loop, not a recursion as deep as there are items.
    if (advancing_ || over_) return;
    advancing_ = true;
  }
  for (int started = 0;; ++started) {
    Item item;
    absl::AnyInvocable<void() &&> end;
    bool take = false;
    {
      MutexLock lock(&mutex_);
      if (started == kStartedAtOnce) {
        AdvanceAt(clock_->NowNanos());
      } else {
        take = TakeNext(&item);
      }
      if (!take) {
        advancing_ = false;
        end = TakeEnd();
      }
    }
    if (!take) {
      if (end) std::move(end)();
      return;
    }
    const std::string key = item.key;
    work_on_(item, [self = shared_from_this(), key](absl::StatusOr<bool> written) { self->OnItem(key, written); });
  }
}

bool WarmJobRun::TakeNext(Item* item) {
  if (over_ || queue_.empty() || in_flight_ >= options_.concurrency || !MayStart()) return false;
  *item = std::move(queue_.front());
  queue_.pop_front();
  ++in_flight_;
  room_.NotifyOne();
  return true;
}

bool WarmJobRun::MayStart() {
  if (options_.max_per_second == 0) return true;
  if (quota_ == 0) {
    const int64_t now = clock_->NowNanos();
    if (now < next_quota_nanos_) {
      AdvanceAt(next_quota_nanos_);
      return false;
    }
    // Each quota lasts for its whole time from when it is first used: what was not used is not made up for, so that no
    // second sees more than it may.
    quota_ = std::max(1, options_.max_per_second / kQuotasPerSecond);
    next_quota_nanos_ = now + quota_ * kNanosPerSecond / options_.max_per_second;
  }
  --quota_;
  return true;
}

void WarmJobRun::AdvanceAt(int64_t when_nanos) {
  if (std::exchange(timer_set_, true)) return;
  scheduler_->At(when_nanos, [weak = weak_from_this()] {
    const std::shared_ptr<WarmJobRun> self = weak.lock();
    if (self == nullptr) return;
    {
      MutexLock lock(&self->mutex_);
      self->timer_set_ = false;
    }
    self->Advance();
  });
}

void WarmJobRun::OnItem(const std::string& key, const absl::StatusOr<bool>& written) {
  {
    MutexLock lock(&mutex_);
    if (over_) return;
    --in_flight_;
    if (!written.ok()) {
      CountFailure(QuoteCallers(key), written.status());
    } else {
      ++(*written ? counts_.written : counts_.skipped);
      failures_in_a_row_ = 0;
    }
  }
  Advance();
}

void WarmJobRun::CountFailure(std::string_view item, const absl::Status& status) {
  ++counts_.failed;
  counts_.last_failure = absl::StrCat(std::string(item), ": ", status.message());
  if (++failures_in_a_row_ < kMaxFailuresInARow || !outcome_.ok()) return;
  outcome_ = WithDetail(status, absl::StrCat(failures_in_a_row_, " in a row failed"), counts_.last_failure);
  queue_.clear();
  all_found_ = true;
  room_.NotifyAll();
}

absl::AnyInvocable<void() &&> WarmJobRun::TakeEnd() {
  if (over_ || !all_found_ || !queue_.empty() || in_flight_ > 0) return nullptr;
  over_ = true;
  room_.NotifyAll();
  if (outcome_.ok() && counts_.failed > 0 && counts_.failed == counts_.found) {
    outcome_ = WithDetail(absl::UnavailableError(""), "every one failed", counts_.last_failure);
  }
  return [ended = std::move(ended_), outcome = outcome_]() mutable { std::move(ended)(std::move(outcome)); };
}

}  // namespace larder
