// What a warm job does, with its clock.
#ifndef LARDER_CLIENT_SRC_WARM_SCHEDULE_H_
#define LARDER_CLIENT_SRC_WARM_SCHEDULE_H_

#include <cstdint>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/src/start_thread.h"
#include "client/src/warm_run.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "larder/cache.h"
#include "larder/warm_job.h"

namespace larder::internal {

absl::Status CheckWarmOptions(const WarmJob::Options& options);

// WarmJob, which says what is meant. The options have been checked.
class WarmSchedule {
 public:
  WarmSchedule(Cache* cache, WarmJob::Options options, WarmLoad load, const Clock* clock,
               ThreadStarter start_thread = &StartThread);
  ~WarmSchedule() { Stop(); }
  WarmSchedule(const WarmSchedule&) = delete;
  WarmSchedule& operator=(const WarmSchedule&) = delete;

  absl::StatusOr<WarmJob::Progress> RunOnce() { return MakeRun(/*last=*/false); }
  void Start();
  void Stop();

 private:
  // `last`: of a schedule, which is over before `ended` is told, so that Start is heard from then on.
  absl::StatusOr<WarmJob::Progress> MakeRun(bool last);
  // False: there is no thread for it.
  bool StartRepeating();
  void Repeat();
  bool WaitUntil(int64_t nanos);
  absl::Status Begin(WarmRun* run);

  Cache* const cache_;
  const WarmJob::Options options_;
  const WarmLoad load_;
  const Clock* const clock_;
  const ThreadStarter start_thread_;

  Mutex control_;  // held by Start and Stop throughout, so that each finds the other done
  std::thread thread_ ABSL_GUARDED_BY(control_);

  Mutex mutex_;
  CondVar changed_;
  bool scheduled_ ABSL_GUARDED_BY(mutex_) = false;  // runs are being made
  int stopping_ ABSL_GUARDED_BY(mutex_) = 0;        // calls of Stop under way
  WarmRun* running_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_WARM_SCHEDULE_H_
