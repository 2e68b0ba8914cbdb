#include "client/src/warm_run.h"

#include <algorithm>
#include <exception>
#include <numeric>
#include <random>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/random.h"

namespace larder::internal {
namespace {

constexpr int64_t kReportNanos = 100 * kNanosPerMilli;

// The cache's failure at a key, where there is one: of a read that does not say what is there, or of a write.
absl::Status CacheFailure(const LoadReport& report) {
  if (!report.write.ok()) return report.write;
  // The entry was due, and has been replaced.
  if (absl::IsFailedPrecondition(report.read)) return absl::OkStatus();
  return report.read;
}

// ... and is not the key's or value's own fault.
bool OutOfReach(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsResourceExhausted(status);
}

}  // namespace

WarmRun::WarmRun(Cache* cache, const WarmJob::Options* options, const WarmLoad* load, const Clock* clock,
                 ThreadStarter start_thread)
    : cache_(cache),
      options_(options),
      load_(load),
      clock_(clock),
      started_nanos_(clock->NowNanos()),
      start_thread_(std::move(start_thread)),
      reported_nanos_(started_nanos_),
      pace_(options->max_per_second) {}

absl::StatusOr<WarmJob::Progress> WarmRun::Run() {
  absl::Status taken = TakeKeys();
  if (!taken.ok()) return taken;
  LoadAll(std::min(keys_.size(), static_cast<size_t>(options_->concurrency)));

  WarmJob::Progress progress;
  absl::Status why;
  {
    MutexLock lock(&mutex_);
    progress = ProgressNow();
    why = why_;
  }
  if (options_->progress) options_->progress(progress);
  if (!why.ok()) return why;
  return progress;
}

absl::Status WarmRun::TakeKeys() {
  absl::StatusOr<std::vector<std::string>> named;
  try {
    named = options_->keys();
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("what names the keys threw: ", e.what()));
  } catch (...) {
    return absl::InternalError("what names the keys threw what is no std::exception");
  }
  if (!named.ok()) return named.status();
  std::unordered_set<std::string> seen;
  for (std::string& key : *named) {
    if (seen.insert(key).second) keys_.push_back(std::move(key));
  }
  order_.resize(keys_.size());
  std::iota(order_.begin(), order_.end(), size_t{0});
  std::shuffle(order_.begin(), order_.end(), std::mt19937_64(RandomBits()));
  MutexLock lock(&mutex_);
  progress_.total = static_cast<int64_t>(keys_.size());
  return absl::OkStatus();
}

std::vector<std::thread> WarmRun::StartWorkers(size_t count) {
  std::vector<std::thread> threads;
  threads.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    std::thread thread = start_thread_([this] { Work(); });
    if (!thread.joinable()) break;
    threads.push_back(std::move(thread));
  }
  if (threads.empty() && count > 0) End(absl::ResourceExhaustedError("no thread could be started"));
  return threads;
}

void WarmRun::LoadAll(size_t workers) {
  std::vector<std::thread> threads = StartWorkers(workers);
  for (size_t begin = 0; begin < order_.size(); begin += kSlice) {
    AwaitPending(kSlice);
    Sift(begin, std::min(begin + kSlice, order_.size()));
    Report();
  }
  AwaitPending(0);
  {
    MutexLock lock(&mutex_);
    finished_ = true;
    changed_.NotifyAll();
  }
  for (std::thread& thread : threads) thread.join();
}

bool WarmRun::Sift(size_t begin, size_t end) {
  {
    MutexLock lock(&mutex_);
    if (ended_) return false;
  }
  std::vector<std::string> slice;
  slice.reserve(end - begin);
  for (size_t i = begin; i < end; ++i) slice.push_back(keys_[order_[i]]);
  const absl::StatusOr<BatchGetResults> found =
      cache_->Look(std::move(slice), {.name_space = options_->name_space, .deadline = options_->deadline});
  // Of large values, or where one key is refused, fewer may be had at a time.
  if (!found.ok() && !absl::IsUnavailable(found.status()) && end - begin > 1) {
    const size_t middle = begin + (end - begin) / 2;
    if (Sift(begin, middle)) return Sift(middle, end);
    Sort(middle, end, found);
    return false;
  }
  Sort(begin, end, found);
  return found.ok() || !OutOfReach(found.status());
}

void WarmRun::Sort(size_t begin, size_t end, const absl::StatusOr<BatchGetResults>& found) {
  MutexLock lock(&mutex_);
  for (size_t i = begin; i < end; ++i) {
    // What could not be asked for here is asked for again before it is loaded, as is what is due, in case it is not the
    // loader's.
    const absl::StatusOr<MaybeHit>* one = found.ok() ? &(*found)[i - begin] : nullptr;
    const bool lasts = one != nullptr && one->ok() && one->value().has_value() &&
                       (**one)->freshness == Freshness::kFresh && (**one)->ttl >= options_->every;
    if (lasts) {
      ++progress_.skipped;
    } else {
      waiting_.push_back(order_[i]);
      ++pending_;
    }
  }
  changed_.NotifyAll();
}

void WarmRun::Work() {
  size_t index = 0;
  while (WaitForTurn(&index)) LoadOne(index);
}

bool WarmRun::WaitForTurn(size_t* index) {
  MutexLock lock(&mutex_);
  while (waiting_.empty() && !finished_ && !ended_) changed_.Wait(&mutex_);
  if (ended_ || waiting_.empty()) return false;
  *index = waiting_.front();
  waiting_.pop_front();
  const int64_t start = pace_.Take(clock_->NowNanos());
  for (int64_t now = clock_->NowNanos(); now < start && !ended_; now = clock_->NowNanos()) {
    changed_.WaitFor(&mutex_, start - now);
  }
  return !ended_;
}

void WarmRun::LoadOne(size_t index) {
  LoadReport report;
  LoadOptions options;
  options.name_space = options_->name_space;
  options.deadline = options_->deadline;
  options.absent_ttl = options_->absent_ttl;
  options.stale_for = options_->stale_for;
  options.report = &report;
  absl::StatusOr<std::vector<std::string>> tags = TagsOf(keys_[index]);
  if (!tags.ok()) return Count(index, tags.status(), report);
  options.tags = *std::move(tags);
  const absl::StatusOr<bool> loaded = (*load_)(keys_[index], options_->ttl, options_->every, options);
  Count(index, loaded, report);
}

absl::StatusOr<std::vector<std::string>> WarmRun::TagsOf(const std::string& key) const {
  if (!options_->tags) return std::vector<std::string>();
  try {
    return options_->tags(key);
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("what names the tags threw: ", e.what()));
  } catch (...) {
    return absl::InternalError("what names the tags threw what is no std::exception");
  }
}

void WarmRun::Count(size_t index, const absl::StatusOr<bool>& loaded, const LoadReport& report) {
  const absl::Status failure = CacheFailure(report);
  const bool out_of_reach = OutOfReach(failure);
  bool give_up = false;
  {
    MutexLock lock(&mutex_);
    if (!loaded.ok()) {
      CountFailure(index, loaded.status());
    } else if (!failure.ok()) {
      CountFailure(index, failure);
    } else if (report.source == LoadReport::Source::kLoader && !*loaded) {
      ++progress_.absent;
    } else if (report.stored) {
      ++progress_.loaded;
    } else {
      ++progress_.skipped;
    }
    out_of_reach_ = out_of_reach ? out_of_reach_ + 1 : 0;
    give_up = out_of_reach_ >= options_->give_up_after;
    --pending_;
    changed_.NotifyAll();
  }
  if (give_up) End(failure);
}

void WarmRun::CountFailure(size_t index, absl::Status status) {
  ++progress_.failed;
  if (progress_.failures.size() >= WarmJob::kMaxFailures) return;
  progress_.failures.push_back(
      {.index = static_cast<int64_t>(index), .key = keys_[index], .status = std::move(status)});
}

void WarmRun::End(const absl::Status& status) {
  MutexLock lock(&mutex_);
  if (ended_) return;
  ended_ = true;
  why_ = status;
  changed_.NotifyAll();
}

void WarmRun::AwaitPending(size_t at_most) {
  while (true) {
    {
      MutexLock lock(&mutex_);
      if (ended_ || pending_ <= at_most) return;
      changed_.WaitFor(&mutex_, kReportNanos);
    }
    Report();
  }
}

void WarmRun::Report() {
  if (!options_->progress || clock_->NowNanos() - reported_nanos_ < kReportNanos) return;
  reported_nanos_ = clock_->NowNanos();
  WarmJob::Progress progress;
  {
    MutexLock lock(&mutex_);
    progress = ProgressNow();
  }
  options_->progress(progress);
}

WarmJob::Progress WarmRun::ProgressNow() {
  progress_.elapsed = std::chrono::milliseconds((clock_->NowNanos() - started_nanos_) / kNanosPerMilli);
  return progress_;
}

}  // namespace larder::internal
