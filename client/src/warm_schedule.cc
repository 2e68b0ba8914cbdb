#include "client/src/warm_schedule.h"

#include <chrono>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/call_deadline.h"

namespace larder::internal {
namespace {

// So that times in nanoseconds stay far from what an integer holds.
constexpr std::chrono::milliseconds kMaxEvery = std::chrono::hours(24 * 366);
constexpr double kMinPerSecond = 0.001;

absl::Status Named(const std::string& name, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("warm job '", name, "': ", status.message()));
}

}  // namespace

absl::Status CheckWarmOptions(const WarmJob::Options& options) {
  absl::Status wrong;
  if (!options.keys) {
    wrong = absl::InvalidArgumentError("keys: is not given");
  } else if (options.concurrency < 1 || options.concurrency > WarmJob::kMaxConcurrency) {
    wrong = absl::InvalidArgumentError(
        absl::StrCat("concurrency: ", options.concurrency, " is not from 1 to ", WarmJob::kMaxConcurrency));
  } else if (options.max_per_second != 0 && !(options.max_per_second >= kMinPerSecond)) {
    wrong = absl::InvalidArgumentError(
        absl::StrCat("max_per_second: ", options.max_per_second, " is neither 0 nor at least ", kMinPerSecond));
  } else if (options.give_up_after < 1) {
    wrong = absl::InvalidArgumentError(absl::StrCat("give_up_after: ", options.give_up_after, " is less than 1"));
  } else if (options.every.count() < 0 || options.every > kMaxEvery) {
    wrong = absl::InvalidArgumentError(
        absl::StrCat("every: ", options.every.count(), " ms is not from 0 to ", kMaxEvery.count(), " ms"));
  } else {
    wrong = CheckCallDeadline(options.deadline);
  }
  return Named(options.name, wrong);
}

WarmSchedule::WarmSchedule(Cache* cache, WarmJob::Options options, WarmLoad load, const Clock* clock,
                           ThreadStarter start_thread)
    : cache_(cache),
      options_(std::move(options)),
      load_(std::move(load)),
      clock_(clock),
      start_thread_(std::move(start_thread)) {}

absl::Status WarmSchedule::Begin(WarmRun* run) {
  MutexLock lock(&mutex_);
  if (stopping_ > 0) return absl::CancelledError("the job was stopped");
  if (running_ != nullptr) return absl::FailedPreconditionError("a run is under way");
  running_ = run;
  return absl::OkStatus();
}

absl::StatusOr<WarmJob::Progress> WarmSchedule::MakeRun(bool last) {
  WarmRun run(cache_, &options_, &load_, clock_, start_thread_);
  const absl::Status begun = Begin(&run);
  if (!begun.ok()) return Named(options_.name, begun);
  absl::StatusOr<WarmJob::Progress> progress = run.Run();
  if (!progress.ok()) progress = Named(options_.name, progress.status());
  if (last) {
    MutexLock lock(&mutex_);
    scheduled_ = false;
  }
  if (options_.ended) options_.ended(progress);
  MutexLock lock(&mutex_);
  running_ = nullptr;
  changed_.NotifyAll();
  return progress;
}

void WarmSchedule::Start() {
  if (StartRepeating() || !options_.ended) return;
  options_.ended(Named(options_.name, absl::ResourceExhaustedError("no thread could be started")));
}

bool WarmSchedule::StartRepeating() {
  MutexLock control(&control_);
  {
    MutexLock lock(&mutex_);
    if (scheduled_) return true;
  }
  if (thread_.joinable()) thread_.join();  // it has made its one run
  MutexLock lock(&mutex_);                 // which the new thread takes before it looks at scheduled_
  thread_ = start_thread_([this] { Repeat(); });
  scheduled_ = thread_.joinable();
  return scheduled_;
}

void WarmSchedule::Stop() {
  MutexLock control(&control_);
  {
    MutexLock lock(&mutex_);
    ++stopping_;
    scheduled_ = false;
    if (running_ != nullptr) running_->Cancel();
    changed_.NotifyAll();
    while (running_ != nullptr) changed_.Wait(&mutex_);
  }
  if (thread_.joinable()) thread_.join();
  MutexLock lock(&mutex_);
  --stopping_;
}

void WarmSchedule::Repeat() {
  int64_t start = clock_->NowNanos();
  while (WaitUntil(start)) {
    start = clock_->NowNanos() + options_.every.count() * kNanosPerMilli;
    // `ended` has been told; a run that was refused, for another was under way, is made up for by the next.
    const bool last = options_.every.count() == 0;
    MakeRun(last).IgnoreError();
    if (last) break;
  }
  MutexLock lock(&mutex_);
  scheduled_ = false;
}

bool WarmSchedule::WaitUntil(int64_t nanos) {
  MutexLock lock(&mutex_);
  for (int64_t now = clock_->NowNanos(); now < nanos && scheduled_; now = clock_->NowNanos()) {
    changed_.WaitFor(&mutex_, nanos - now);
  }
  return scheduled_;
}

}  // namespace larder::internal
