// The configured warm-ups.
#ifndef LARDER_SERVER_ENGINE_WARM_JOBS_H_
#define LARDER_SERVER_ENGINE_WARM_JOBS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "server/engine/cache_engine.h"
#include "server/engine/hot_notes.h"
#include "server/engine/origin.h"
#include "server/engine/scheduler.h"
#include "server/engine/warm_file_reader.h"
#include "server/engine/warm_job_run.h"
#include "server/metrics/metrics.h"
#include "server/store/store.h"

namespace larder {

// How a job stands: the run under way, or the last one.
struct WarmJobStatus {
  enum class State { kWaiting, kRunning, kDone, kFailed };

  std::string name_space = {};
  std::string job = {};
  State state = State::kWaiting;
  uint64_t run = 0;  // counted from 1; 0: it has not run yet
  WarmCounts counts = {};
  int64_t elapsed_nanos = 0;
  std::string detail = {};  // why it failed, or the last key that did
};

// Runs each job at the start, every so often, or when asked to; a job that is running is joined, not run twice. Keys
// are read through the engine, so that a fleet loads each once; entries of a file are written as of the run's beginning
// and only into gaps (COHERENCE E4).
//
// Thread-safe; only Stop and NoteHotKeys block. Keys of a namespace with a `hottest` job are noted once a minute.
class WarmJobs {
 public:
  struct Parts {
    CacheEngine* engine = nullptr;
    Store* store = nullptr;
    std::map<std::string, Origin*> origins = {};  // by namespace
    const Clock* clock = nullptr;
    Scheduler* scheduler = nullptr;
    Registry* registry = nullptr;
    std::function<void(const WarmJobStatus&)> on_ended = {};
    // Told once, perhaps before Start returns, that no job holds the server's readiness any more.
    std::function<void()> on_ready = {};
  };

  // The pointees must outlive it, and the scheduler have been stopped before it goes.
  WarmJobs(const std::vector<NamespacePolicy>& namespaces, Parts parts);
  ~WarmJobs();
  WarmJobs(const WarmJobs&) = delete;
  WarmJobs& operator=(const WarmJobs&) = delete;

  // Once. `by_themselves`: false leaves every job to Run.
  void Start(bool by_themselves);

  // Begins a run, or joins the one under way, which the answer names. No namespace: the job's name must be the only one
  // of its kind. INVALID_ARGUMENT naming the field if it is not, or if there is no such job; UNAVAILABLE after Stop.
  absl::StatusOr<WarmJobStatus> Run(std::string_view name_space, std::string_view job);

  // By namespace and name.
  std::vector<WarmJobStatus> All() const;
  // How the run that Run answered stands; where another has begun since, the last that has ended.
  WarmJobStatus Now(const WarmJobStatus& run) const;

  // `NAMESPACE/JOB` of those whose first run the server's readiness waits for.
  std::vector<std::string> Holding() const;

  // Ends all runs; nothing is begun or told from now on. Waits for files that are being read.
  void Stop();

  // Notes the hottest keys a last time; gives up after `patience_nanos`. Not on a thread of the store.
  void NoteHotKeys(int64_t patience_nanos);

 private:
  using State = WarmJobStatus::State;

  struct Counters {
    void Count(const absl::StatusOr<bool>& written) const;

    Counter* written = nullptr;
    Counter* skipped = nullptr;
    Counter* failed = nullptr;
  };

  struct Job {
    // Fixed after construction.
    std::string name_space = {};
    WarmJobPolicy policy = {};
    Counters counters = {};
    WarmFileReader reader;

    // Guarded by mutex_.
    uint64_t runs = 0;
    std::shared_ptr<WarmJobRun> run = {};  // while it is running
    int64_t started_nanos = 0;
    WarmJobStatus last = {};  // of the run that has ended last
    bool holds_readiness = false;
    int64_t last_success_wall_ms = 0;
    uint64_t alarm = 0;  // only the last that was set launches
  };

  WarmJobStatus StatusOf(const Job& job) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddMetrics(Job& job);

  void Launch(Job& job);
  void LaunchAt(Job& job, int64_t when_nanos) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnEnded(Job& job, const absl::Status& outcome);
  // The server's readiness does not wait for it any more.
  void LetGo(Job& job);
  void TellIfReady();
  void NoteEveryMinute(int64_t minutes);

  // What is done with an item. `as_of` is set before the first comes.
  WarmJobRun::WorkOn Load(const Job& job) const;
  WarmJobRun::WorkOn Write(const Job& job, std::shared_ptr<const ClockPosition> as_of) const;
  // Has the run given its items, once the store can be reached.
  void Feed(Job& job, const std::shared_ptr<WarmJobRun>& run, std::shared_ptr<ClockPosition> as_of,
            int64_t patience_until_nanos);
  void FeedPrefix(const Job& job, const std::shared_ptr<WarmJobRun>& run) const;
  void FeedHottest(const Job& job, const std::shared_ptr<WarmJobRun>& run) const;
  void FeedFile(Job& job, const std::shared_ptr<WarmJobRun>& run, std::shared_ptr<ClockPosition> as_of) const;

  const Parts parts_;
  std::map<std::string, std::shared_ptr<HotNotes>> notes_;  // by namespace; fixed after construction

  mutable Mutex mutex_;
  std::vector<std::unique_ptr<Job>> jobs_;  // fixed after construction; what is in them is guarded by mutex_
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  bool by_themselves_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool ready_told_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_WARM_JOBS_H_
