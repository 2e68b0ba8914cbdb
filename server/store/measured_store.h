#ifndef LARDER_SERVER_STORE_MEASURED_STORE_H_
#define LARDER_SERVER_STORE_MEASURED_STORE_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/clock.h"
#include "server/metrics/metrics.h"
#include "server/store/store.h"

namespace larder {

// Another store, with its operations timed and its refusals counted: `cache_store_operation_seconds{operation}`,
// `cache_store_errors_total{operation}` and `cache_shed_total{reason="store_queue"}`. Everything else as the other
// store does it.
class MeasuredStore final : public Store {
 public:
  // `clock` and `registry` must outlive this.
  MeasuredStore(std::unique_ptr<Store> store, const Clock* clock, Registry* registry);

  void Read(ReadRequest request, StoreCallback<ReadResult> done) override;
  void Write(WriteRequest request, StoreCallback<WriteResult> done) override;
  void Touch(TouchRequest request, StoreCallback<TouchResult> done) override;
  void Erase(EraseRequest request, StoreCallback<EraseResult> done) override;
  void Lease(LeaseRequest request, StoreCallback<LeaseResult> done) override;
  void Release(ReleaseRequest request, StoreCallback<ReleaseResult> done) override;
  void InvalidateGroups(GroupRequest request, StoreCallback<GroupResult> done) override;
  void RaiseBarrier(std::string name_space, int64_t deadline_nanos, StoreCallback<ControlUpdate> done) override;
  void ReadControl(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                   StoreCallback<ControlUpdate> done) override;
  void Look(LookRequest request, StoreCallback<LookResult> done) override;
  void Scan(ScanRequest request, StoreCallback<ScanResult> done) override;
  void EraseVersions(EraseVersionsRequest request, StoreCallback<EraseResult> done) override;
  void Sweep(SweepRequest request, StoreCallback<SweepResult> done) override;
  void EraseDead(EraseDeadRequest request, StoreCallback<EraseDeadResult> done) override;
  void ForgetOldStamps(std::string name_space, int64_t max_life_nanos, int64_t deadline_nanos,
                       StoreCallback<uint64_t> done) override;
  void PutNote(std::string name_space, std::string name, std::string text, int64_t ttl_nanos, int64_t deadline_nanos,
               StoreCallback<bool> done) override;
  void GetNote(std::string name_space, std::string name, int64_t deadline_nanos,
               StoreCallback<std::optional<std::string>> done) override;
  void SetWakeListener(WakeListener listener) override { store_->SetWakeListener(std::move(listener)); }
  void SetNearHolder(NearHolder* holder) override { store_->SetNearHolder(holder); }
  bool tracks() const override { return store_->tracks(); }
  bool tells_own_writes_alone() const override { return store_->tells_own_writes_alone(); }
  std::string CoherenceAdvice() const override { return store_->CoherenceAdvice(); }
  void Register(MemberTerms terms, StoreCallback<Registration> done) override;
  void Sync(uint64_t round, StoreCallback<SyncResult> done) override;
  void SetSyncListener(SyncListener listener) override { store_->SetSyncListener(std::move(listener)); }
  int64_t members() const override { return store_->members(); }
  void Describe(int64_t deadline_nanos, StoreCallback<StoreInfo> done) override;
  StoreInfo::State state() const override { return store_->state(); }
  BreakerState breaker() const override { return store_->breaker(); }
  int64_t disconnects() const override { return store_->disconnects(); }
  bool exclusive() const override { return store_->exclusive(); }
  void Shutdown() override { store_->Shutdown(); }

 private:
  struct Operation {
    Operation(Registry& registry, const std::string& name);
    Histogram& seconds;
    Counter& errors;
  };

  template <typename T>
  StoreCallback<T> Measured(Operation* operation, StoreCallback<T> done);

  const std::unique_ptr<Store> store_;
  const Clock* const clock_;
  Operation read_, write_, touch_, erase_, lease_, release_, invalidate_, barrier_, control_;
  Operation look_, scan_, erase_versions_, sweep_, erase_dead_, forget_stamps_, put_note_, get_note_, register_, sync_;
  Counter& shed_;
};

}  // namespace larder

#endif  // LARDER_SERVER_STORE_MEASURED_STORE_H_
