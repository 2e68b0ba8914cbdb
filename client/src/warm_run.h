// One run of a warm job.
#ifndef LARDER_CLIENT_SRC_WARM_RUN_H_
#define LARDER_CLIENT_SRC_WARM_RUN_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/src/pace.h"
#include "client/src/start_thread.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "larder/cache.h"
#include "larder/calls.h"
#include "larder/load.h"
#include "larder/warm_job.h"

namespace larder::internal {

// The calling thread finds out which keys are due, a slice ahead, and reports; threads of the run's own load these. Run
// is called once, Cancel by any thread.
class WarmRun {
 public:
  // Of which it asks the cache at a time.
  static constexpr size_t kSlice = 100;

  // All that it is given pointers to must outlive it.
  WarmRun(Cache* cache, const WarmJob::Options* options, const WarmLoad* load, const Clock* clock,
          ThreadStarter start_thread = &StartThread);
  WarmRun(const WarmRun&) = delete;
  WarmRun& operator=(const WarmRun&) = delete;

  absl::StatusOr<WarmJob::Progress> Run();

  // Run returns CANCELLED once the loaders that are running have ended.
  void Cancel() { End(absl::CancelledError("the job was stopped")); }

 private:
  absl::Status TakeKeys();
  void LoadAll(size_t workers);
  std::vector<std::thread> StartWorkers(size_t count);
  // False: the cache could not be asked; then the rest of the slice was not asked for.
  bool Sift(size_t begin, size_t end);
  void Sort(size_t begin, size_t end, const absl::StatusOr<BatchGetResults>& found);
  void Work();
  bool WaitForTurn(size_t* index);
  void LoadOne(size_t index);
  absl::StatusOr<std::vector<std::string>> TagsOf(const std::string& key) const;
  void Count(size_t index, const absl::StatusOr<bool>& loaded, const LoadReport& report);
  void CountFailure(size_t index, absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(const absl::Status& status);
  void AwaitPending(size_t at_most);
  void Report();
  WarmJob::Progress ProgressNow() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Cache* const cache_;
  const WarmJob::Options* const options_;
  const WarmLoad* const load_;
  const Clock* const clock_;
  const int64_t started_nanos_;
  const ThreadStarter start_thread_;
  std::vector<std::string> keys_;  // each once; not changed after TakeKeys
  std::vector<size_t> order_;      // in which they are taken
  int64_t reported_nanos_;         // of the calling thread alone

  Mutex mutex_;
  CondVar changed_;
  std::deque<size_t> waiting_ ABSL_GUARDED_BY(mutex_);  // keys to be loaded
  size_t pending_ ABSL_GUARDED_BY(mutex_) = 0;          // those, and the ones being loaded
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;       // no key will be added
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;          // before its time
  absl::Status why_ ABSL_GUARDED_BY(mutex_);
  int out_of_reach_ ABSL_GUARDED_BY(mutex_) = 0;  // keys in a row for which the cache failed
  Pace pace_ ABSL_GUARDED_BY(mutex_);
  WarmJob::Progress progress_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_WARM_RUN_H_
