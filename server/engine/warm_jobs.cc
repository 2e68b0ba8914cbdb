#include "server/engine/warm_jobs.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/policy/words.h"

namespace larder {
namespace {

// How long a run waits for the store to be reached for the first time, as when both start together.
constexpr int64_t kStorePatienceNanos = 5 * kNanosPerSecond;
constexpr int64_t kNoteEveryNanos = 60 * kNanosPerSecond;
// What was read an hour ago counts half as much as what is read now.
constexpr int64_t kAgeEveryMinutes = 60;

absl::Status Stopping() { return absl::UnavailableError("the server is about to stop"); }

}  // namespace

void WarmJobs::Counters::Count(const absl::StatusOr<bool>& written_now) const {
  (!written_now.ok() ? failed : *written_now ? written : skipped)->Add();
}

WarmJobs::WarmJobs(const std::vector<NamespacePolicy>& namespaces, Parts parts) : parts_(std::move(parts)) {
  for (const NamespacePolicy& policy : namespaces) {
    for (const WarmJobPolicy& of : policy.warm_jobs) {
      jobs_.push_back(std::make_unique<Job>());
      jobs_.back()->name_space = policy.name;
      jobs_.back()->policy = of;
      jobs_.back()->last = {.name_space = policy.name, .job = of.name};
      AddMetrics(*jobs_.back());
    }
    if (const size_t hottest = HottestWanted(policy); hottest > 0) {
      const HotKeys* keys = parts_.engine->FindKeyspace(policy.name)->hot_keys();
      notes_[policy.name] = std::make_shared<HotNotes>(policy.name, hottest, keys, parts_.store, parts_.clock);
    }
  }
  std::sort(jobs_.begin(), jobs_.end(), [](const auto& a, const auto& b) {
    return std::tie(a->name_space, a->policy.name) < std::tie(b->name_space, b->policy.name);
  });
}

WarmJobs::~WarmJobs() { Stop(); }

void WarmJobs::AddMetrics(Job& job) {
  const Labels labels = {{"namespace", job.name_space}, {"job", job.policy.name}};
  const auto keys = [&](const char* result) {
    Labels with_result = labels;
    with_result.emplace_back("result", result);
    return &parts_.registry->AddCounter("cache_warm_keys_total", "Keys that warm-up jobs dealt with, by result.",
                                        with_result);
  };
  job.counters = {.written = keys("written"), .skipped = keys("skipped"), .failed = keys("failed")};
  const auto gauge = [&](const char* name, const char* help, std::function<double(const Job&)> read) {
    parts_.registry->AddGauge(name, help, labels, [this, &job, read = std::move(read)] {
      MutexLock lock(&mutex_);
      return read(job);
    });
  };
  gauge("cache_warm_job_running", "1 while the warm-up job runs.",
        [](const Job& of) { return of.run != nullptr ? 1.0 : 0.0; });
  gauge("cache_warm_job_last_success_timestamp_seconds",
        "When the warm-up job last came to its end, since the Unix epoch; 0: never yet.",
        [](const Job& of) { return static_cast<double>(of.last_success_wall_ms) / 1'000.0; });
}

void WarmJobs::Start(bool by_themselves) {
  const int64_t now = parts_.clock->NowNanos();
  std::vector<Job*> at_start;
  {
    MutexLock lock(&mutex_);
    for (const auto& job : jobs_) {
      if (!by_themselves) break;
      if (job->policy.at_start) {
        at_start.push_back(job.get());
        job->holds_readiness = job->policy.hold_readiness_ms > 0;
      } else if (job->policy.every_ms > 0) {
        LaunchAt(*job, now + job->policy.every_ms * kNanosPerMilli);
      }
    }
    by_themselves_ = by_themselves;
    started_ = true;
  }
  for (Job* job : at_start) {
    if (job->policy.hold_readiness_ms > 0) {
      parts_.scheduler->At(now + job->policy.hold_readiness_ms * kNanosPerMilli, [this, job] { LetGo(*job); });
    }
    Launch(*job);
  }
  if (!notes_.empty()) parts_.scheduler->At(now + kNoteEveryNanos, [this] { NoteEveryMinute(1); });
  TellIfReady();
}

absl::StatusOr<WarmJobStatus> WarmJobs::Run(std::string_view name_space, std::string_view name) {
  std::vector<Job*> found;
  std::vector<std::string> where;
  for (const auto& job : jobs_) {
    if (job->policy.name != name || (!name_space.empty() && job->name_space != name_space)) continue;
    found.push_back(job.get());
    where.push_back(job->name_space);
  }
  if (found.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("job: ", QuoteCallers(name), " is not configured"));
  }
  if (found.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat("namespace: must say which job ", QuoteCallers(name),
                                                   " is meant; it is in ", absl::StrJoin(where, ", ")));
  }
  Launch(*found.front());
  MutexLock lock(&mutex_);
  if (stopped_) return Stopping();
  return StatusOf(*found.front());
}

std::vector<WarmJobStatus> WarmJobs::All() const {
  std::vector<WarmJobStatus> all;
  MutexLock lock(&mutex_);
  for (const auto& job : jobs_) all.push_back(StatusOf(*job));
  return all;
}

WarmJobStatus WarmJobs::Now(const WarmJobStatus& run) const {
  MutexLock lock(&mutex_);
  for (const auto& job : jobs_) {
    if (job->name_space != run.name_space || job->policy.name != run.job) continue;
    return job->runs == run.run ? StatusOf(*job) : job->last;
  }
  return run;
}

WarmJobStatus WarmJobs::StatusOf(const Job& job) const {
  if (job.run == nullptr) return job.last;
  WarmJobStatus status{.name_space = job.name_space,
                       .job = job.policy.name,
                       .state = State::kRunning,
                       .run = job.runs,
                       .counts = job.run->counts(),
                       .elapsed_nanos = parts_.clock->NowNanos() - job.started_nanos};
  status.detail = status.counts.last_failure;
  return status;
}

std::vector<std::string> WarmJobs::Holding() const {
  std::vector<std::string> names;
  MutexLock lock(&mutex_);
  for (const auto& job : jobs_) {
    if (job->holds_readiness) names.push_back(absl::StrCat(job->name_space, "/", job->policy.name));
  }
  return names;
}

void WarmJobs::LetGo(Job& job) {
  {
    MutexLock lock(&mutex_);
    job.holds_readiness = false;
  }
  TellIfReady();
}

void WarmJobs::TellIfReady() {
  {
    MutexLock lock(&mutex_);
    // Not before Start has marked all that hold it.
    if (!started_ || stopped_ || ready_told_) return;
    for (const auto& job : jobs_) {
      if (job->holds_readiness) return;
    }
    ready_told_ = true;
  }
  if (parts_.on_ready) parts_.on_ready();
}

void WarmJobs::LaunchAt(Job& job, int64_t when_nanos) {
  const uint64_t alarm = ++job.alarm;
  parts_.scheduler->At(when_nanos, [this, &job, alarm] {
    {
      MutexLock lock(&mutex_);
      if (job.alarm != alarm) return;
    }
    Launch(job);
  });
}

void WarmJobs::Launch(Job& job) {
  const int64_t now = parts_.clock->NowNanos();
  const auto as_of = std::make_shared<ClockPosition>();
  std::shared_ptr<WarmJobRun> run;
  {
    MutexLock lock(&mutex_);
    if (stopped_ || job.run != nullptr) return;
    run = std::make_shared<WarmJobRun>(
        WarmJobRun::Options{.concurrency = job.policy.concurrency, .max_per_second = job.policy.max_per_second},
        parts_.clock, parts_.scheduler, job.policy.file.has_value() ? Write(job, as_of) : Load(job),
        [this, &job](const absl::Status& outcome) { OnEnded(job, outcome); });
    ++job.alarm;
    ++job.runs;
    job.run = run;
    job.started_nanos = now;
  }
  Feed(job, run, as_of, now + kStorePatienceNanos);
}

void WarmJobs::OnEnded(Job& job, const absl::Status& outcome) {
  WarmJobStatus status;
  {
    MutexLock lock(&mutex_);
    const int64_t now = parts_.clock->NowNanos();
    job.last = StatusOf(job);
    job.run = nullptr;
    job.last.state = outcome.ok() ? State::kDone : State::kFailed;
    if (outcome.ok()) {
      job.last_success_wall_ms = parts_.clock->WallMillis();
    } else {
      job.last.detail = std::string(outcome.message());
    }
    const int64_t every = job.policy.every_ms * kNanosPerMilli;
    if (every > 0 && by_themselves_) LaunchAt(job, std::max(now, job.started_nanos + every));
    status = job.last;
    if (stopped_) return;
  }
  if (parts_.on_ended) parts_.on_ended(status);
  LetGo(job);
}

void WarmJobs::NoteEveryMinute(int64_t minutes) {
  for (const auto& [name, notes] : notes_) {
    notes->Save([](const absl::Status&) {});  // once more in a minute
    if (minutes % kAgeEveryMinutes == 0) parts_.engine->FindKeyspace(name)->hot_keys()->Age();
  }
  parts_.scheduler->At(parts_.clock->NowNanos() + kNoteEveryNanos, [this, minutes] { NoteEveryMinute(minutes + 1); });
}

void WarmJobs::NoteHotKeys(int64_t patience_nanos) {
  struct Left {
    Mutex mutex;
    CondVar ended;
    size_t notes ABSL_GUARDED_BY(mutex) = 0;
  };
  auto left = std::make_shared<Left>();
  {
    MutexLock lock(&left->mutex);
    left->notes = notes_.size();
  }
  for (const auto& [name, notes] : notes_) {
    notes->Save([left](const absl::Status&) {
      MutexLock lock(&left->mutex);
      --left->notes;
      left->ended.NotifyOne();
    });
  }
  const int64_t end = parts_.clock->NowNanos() + patience_nanos;
  MutexLock lock(&left->mutex);
  while (left->notes > 0) {
    const int64_t rest = end - parts_.clock->NowNanos();
    if (rest <= 0 || !left->ended.WaitFor(&left->mutex, rest)) return;
  }
}

void WarmJobs::Stop() {
  std::vector<std::shared_ptr<WarmJobRun>> runs;
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
    for (const auto& job : jobs_) {
      if (job->run != nullptr) runs.push_back(job->run);
    }
  }
  for (const auto& run : runs) run->Cancel(Stopping());
  for (const auto& job : jobs_) job->reader.Stop();
}

}  // namespace larder
