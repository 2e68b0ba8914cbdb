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
      lease_(*registry, "lease"),
      release_(*registry, "release"),
      invalidate_(*registry, "invalidate"),
      barrier_(*registry, "barrier"),
      control_(*registry, "control"),
      look_(*registry, "look"),
      scan_(*registry, "scan"),
      erase_versions_(*registry, "erase_versions"),
      sweep_(*registry, "sweep"),
      erase_dead_(*registry, "erase_dead"),
      forget_stamps_(*registry, "forget_stamps"),
      put_note_(*registry, "put_note"),
      get_note_(*registry, "get_note"),
      register_(*registry, "register"),
      sync_(*registry, "sync"),
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

void MeasuredStore::Lease(LeaseRequest request, StoreCallback<LeaseResult> done) {
  store_->Lease(std::move(request), Measured(&lease_, std::move(done)));
}

void MeasuredStore::Release(ReleaseRequest request, StoreCallback<ReleaseResult> done) {
  store_->Release(std::move(request), Measured(&release_, std::move(done)));
}

void MeasuredStore::InvalidateGroups(GroupRequest request, StoreCallback<GroupResult> done) {
  store_->InvalidateGroups(std::move(request), Measured(&invalidate_, std::move(done)));
}

void MeasuredStore::RaiseBarrier(std::string name_space, int64_t deadline_nanos, StoreCallback<ControlUpdate> done) {
  store_->RaiseBarrier(std::move(name_space), deadline_nanos, Measured(&barrier_, std::move(done)));
}

void MeasuredStore::ReadControl(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                                StoreCallback<ControlUpdate> done) {
  store_->ReadControl(std::move(name_space), known, deadline_nanos, Measured(&control_, std::move(done)));
}

void MeasuredStore::Look(LookRequest request, StoreCallback<LookResult> done) {
  store_->Look(std::move(request), Measured(&look_, std::move(done)));
}

void MeasuredStore::Scan(ScanRequest request, StoreCallback<ScanResult> done) {
  store_->Scan(std::move(request), Measured(&scan_, std::move(done)));
}

void MeasuredStore::EraseVersions(EraseVersionsRequest request, StoreCallback<EraseResult> done) {
  store_->EraseVersions(std::move(request), Measured(&erase_versions_, std::move(done)));
}

void MeasuredStore::Sweep(SweepRequest request, StoreCallback<SweepResult> done) {
  store_->Sweep(std::move(request), Measured(&sweep_, std::move(done)));
}

void MeasuredStore::EraseDead(EraseDeadRequest request, StoreCallback<EraseDeadResult> done) {
  store_->EraseDead(std::move(request), Measured(&erase_dead_, std::move(done)));
}

void MeasuredStore::ForgetOldStamps(std::string name_space, int64_t max_life_nanos, int64_t deadline_nanos,
                                    StoreCallback<uint64_t> done) {
  store_->ForgetOldStamps(std::move(name_space), max_life_nanos, deadline_nanos,
                          Measured(&forget_stamps_, std::move(done)));
}

void MeasuredStore::PutNote(std::string name_space, std::string name, std::string text, int64_t ttl_nanos,
                            int64_t deadline_nanos, StoreCallback<bool> done) {
  store_->PutNote(std::move(name_space), std::move(name), std::move(text), ttl_nanos, deadline_nanos,
                  Measured(&put_note_, std::move(done)));
}

void MeasuredStore::GetNote(std::string name_space, std::string name, int64_t deadline_nanos,
                            StoreCallback<std::optional<std::string>> done) {
  store_->GetNote(std::move(name_space), std::move(name), deadline_nanos, Measured(&get_note_, std::move(done)));
}

void MeasuredStore::Register(MemberTerms terms, StoreCallback<Registration> done) {
  store_->Register(terms, Measured(&register_, std::move(done)));
}

void MeasuredStore::Sync(uint64_t round, StoreCallback<SyncResult> done) {
  store_->Sync(round, Measured(&sync_, std::move(done)));
}

void MeasuredStore::Describe(int64_t deadline_nanos, StoreCallback<StoreInfo> done) {
  store_->Describe(deadline_nanos, std::move(done));
}

}  // namespace larder
