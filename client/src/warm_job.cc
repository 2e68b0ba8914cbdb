#include "larder/warm_job.h"

#include "client/src/warm_schedule.h"
#include "core/clock.h"

namespace larder {

class WarmJob::Impl {
 public:
  Impl(Cache* cache, Options options, internal::WarmLoad load)
      : schedule_(cache, std::move(options), std::move(load), &clock_) {}

  internal::WarmSchedule& schedule() { return schedule_; }

 private:
  const SystemClock clock_;
  internal::WarmSchedule schedule_;
};

absl::StatusOr<std::unique_ptr<WarmJob>> WarmJob::Create(Cache& cache, Options options, internal::WarmLoad load) {
  const absl::Status checked = internal::CheckWarmOptions(options);
  if (!checked.ok()) return checked;
  return std::unique_ptr<WarmJob>(new WarmJob(std::make_unique<Impl>(&cache, std::move(options), std::move(load))));
}

WarmJob::WarmJob(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

WarmJob::~WarmJob() = default;

absl::StatusOr<WarmJob::Progress> WarmJob::RunOnce() { return impl_->schedule().RunOnce(); }

void WarmJob::Start() { impl_->schedule().Start(); }

void WarmJob::Stop() { impl_->schedule().Stop(); }

}  // namespace larder
