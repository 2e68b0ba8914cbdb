#ifndef LARDER_TESTS_SUPPORT_PASSING_STORE_H_
#define LARDER_TESTS_SUPPORT_PASSING_STORE_H_

#include <optional>
#include <string>
#include <utility>

#include "server/store/store.h"

namespace larder {

// Hands every call on to another store: for test doubles that change a few of them.
class PassingStore : public Store {
 public:
  // `store` must outlive this.
  explicit PassingStore(Store* store) : store_(store) {}

  void Read(ReadRequest request, StoreCallback<ReadResult> done) override {
    store_->Read(std::move(request), std::move(done));
  }
  void Write(WriteRequest request, StoreCallback<WriteResult> done) override {
    store_->Write(std::move(request), std::move(done));
  }
  void Touch(TouchRequest request, StoreCallback<TouchResult> done) override {
    store_->Touch(std::move(request), std::move(done));
  }
  void Erase(EraseRequest request, StoreCallback<EraseResult> done) override {
    store_->Erase(std::move(request), std::move(done));
  }
  void Lease(LeaseRequest request, StoreCallback<LeaseResult> done) override {
    store_->Lease(std::move(request), std::move(done));
  }
  void Release(ReleaseRequest request, StoreCallback<ReleaseResult> done) override {
    store_->Release(std::move(request), std::move(done));
  }
  void InvalidateGroups(GroupRequest request, StoreCallback<GroupResult> done) override {
    store_->InvalidateGroups(std::move(request), std::move(done));
  }
  void RaiseBarrier(std::string name_space, int64_t deadline_nanos, StoreCallback<ControlUpdate> done) override {
    store_->RaiseBarrier(std::move(name_space), deadline_nanos, std::move(done));
  }
  void ReadControl(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                   StoreCallback<ControlUpdate> done) override {
    store_->ReadControl(std::move(name_space), known, deadline_nanos, std::move(done));
  }
  void Look(LookRequest request, StoreCallback<LookResult> done) override {
    store_->Look(std::move(request), std::move(done));
  }
  void Scan(ScanRequest request, StoreCallback<ScanResult> done) override {
    store_->Scan(std::move(request), std::move(done));
  }
  void EraseDead(EraseDeadRequest request, StoreCallback<EraseDeadResult> done) override {
    store_->EraseDead(std::move(request), std::move(done));
  }
  void EraseVersions(EraseVersionsRequest request, StoreCallback<EraseResult> done) override {
    store_->EraseVersions(std::move(request), std::move(done));
  }
  void Sweep(SweepRequest request, StoreCallback<SweepResult> done) override {
    store_->Sweep(std::move(request), std::move(done));
  }
  void ForgetOldStamps(std::string name_space, int64_t max_life_nanos, int64_t deadline_nanos,
                       StoreCallback<uint64_t> done) override {
    store_->ForgetOldStamps(std::move(name_space), max_life_nanos, deadline_nanos, std::move(done));
  }
  void PutNote(std::string name_space, std::string name, std::string text, int64_t ttl_nanos, int64_t deadline_nanos,
               StoreCallback<bool> done) override {
    store_->PutNote(std::move(name_space), std::move(name), std::move(text), ttl_nanos, deadline_nanos,
                    std::move(done));
  }
  void GetNote(std::string name_space, std::string name, int64_t deadline_nanos,
               StoreCallback<std::optional<std::string>> done) override {
    store_->GetNote(std::move(name_space), std::move(name), deadline_nanos, std::move(done));
  }
  void SetWakeListener(WakeListener listener) override { store_->SetWakeListener(std::move(listener)); }
  void Describe(int64_t deadline_nanos, StoreCallback<StoreInfo> done) override {
    store_->Describe(deadline_nanos, std::move(done));
  }
  StoreInfo::State state() const override { return store_->state(); }
  BreakerState breaker() const override { return store_->breaker(); }
  int64_t disconnects() const override { return store_->disconnects(); }
  void SetNearHolder(NearHolder* holder) override { store_->SetNearHolder(holder); }
  bool tracks() const override { return store_->tracks(); }
  bool tells_own_writes_alone() const override { return store_->tells_own_writes_alone(); }
  std::string CoherenceAdvice() const override { return store_->CoherenceAdvice(); }
  void Register(MemberTerms terms, StoreCallback<Registration> done) override {
    store_->Register(terms, std::move(done));
  }
  void Sync(uint64_t round, StoreCallback<SyncResult> done) override { store_->Sync(round, std::move(done)); }
  void SetSyncListener(SyncListener listener) override { store_->SetSyncListener(std::move(listener)); }
  int64_t members() const override { return store_->members(); }
  bool exclusive() const override { return store_->exclusive(); }
  void Shutdown() override { store_->Shutdown(); }

 private:
  Store* const store_;
};

}  // namespace larder

#endif  // LARDER_TESTS_SUPPORT_PASSING_STORE_H_
