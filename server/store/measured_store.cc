#include "server/store/measured_store.h"

#include <utility>

namespace larder {

MeasuredStore::Operation::Operation(Registry& registry, const std::string& name)
    : seconds(registry.AddHistogram("cache_store_operation_seconds", "Time until the store answered, errors included.",
                                    {{"operation", name}})),
      errors(registry.AddCounter("cache_store_errors_total", "Operations of the store that ended with an error.",
                                 {{"operation", name}})) {}

MeasuredStore::MeasuredStore(std::unique_ptr<Store> store, const Clock* clock, Registry* registry)
    : store_(std::move(store)),
      clock_(clock),
      read_(*registry, "read"),
      write_(*registry, "write"),
      touch_(*registry, "touch"),
      erase_(*registry, "erase"),
      invalidate_all_(*registry, "invalidate_all"),
      barrier_(*registry, "barrier"),
      control_(*registry, "control"),
      shed_(registry->AddCounter("cache_shed_total", "Work refused because too much was waiting.",
                                 {{"reason", "store_queue"}})) {}

template <typename T>
StoreCallback<T> MeasuredStore::Measured(Operation* operation, StoreCallback<T> done) {
  return [this, operation, started = clock_->NowNanos(), done = std::move(done)](absl::StatusOr<T> result) mutable {
    operation->seconds.Record(clock_->NowNanos() - started);
    if (!result.ok()) {
      operation->errors.Add();
      if (result.status().code() == absl::StatusCode::kResourceExhausted) shed_.Add();
    }
    std::move(done)(std::move(result));
  };
}

void MeasuredStore::Read(ReadRequest request, StoreCallback<ReadResult> done) {
  store_->Read(std::move(request), Measured(&read_, std::move(done)));
}

void MeasuredStore::Write(WriteRequest request, StoreCallback<WriteResult> done) {
  store_->Write(std::move(request), Measured(&write_, std::move(done)));
}

void MeasuredStore::Touch(TouchRequest request, StoreCallback<TouchResult> done) {
  store_->Touch(std::move(request), Measured(&touch_, std::move(done)));
}

void MeasuredStore::Erase(EraseRequest request, StoreCallback<EraseResult> done) {
  store_->Erase(std::move(request), Measured(&erase_, std::move(done)));
}

void MeasuredStore::InvalidateAll(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                                  StoreCallback<ControlUpdate> done) {
  store_->InvalidateAll(std::move(name_space), known, deadline_nanos, Measured(&invalidate_all_, std::move(done)));
}

void MeasuredStore::RaiseBarrier(std::string name_space, int64_t deadline_nanos, StoreCallback<ControlUpdate> done) {
  store_->RaiseBarrier(std::move(name_space), deadline_nanos, Measured(&barrier_, std::move(done)));
}

void MeasuredStore::ReadControl(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                                StoreCallback<ControlUpdate> done) {
  store_->ReadControl(std::move(name_space), known, deadline_nanos, Measured(&control_, std::move(done)));
}

void MeasuredStore::Describe(int64_t deadline_nanos, StoreCallback<StoreInfo> done) {
  store_->Describe(deadline_nanos, std::move(done));
}

}  // namespace larder
