#ifndef LARDER_TESTS_UNIT_ENGINE_SIMULATION_SIM_LINK_H_
#define LARDER_TESTS_UNIT_ENGINE_SIMULATION_SIM_LINK_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "tests/support/passing_store.h"
#include "tests/unit/engine/simulation/sim_network.h"

namespace larder::simulation {

// The store as one replica sees it. What the engine does not use in a walk goes to the store at once.
class SimLink final : public PassingStore {
 public:
  SimLink(SimNetwork* network, int replica) : PassingStore(&network->store_), network_(*network), replica_(replica) {}

  void Read(ReadRequest request, StoreCallback<ReadResult> done) override;
  void Write(WriteRequest request, StoreCallback<WriteResult> done) override;
  void Touch(TouchRequest request, StoreCallback<TouchResult> done) override;
  void Erase(EraseRequest request, StoreCallback<EraseResult> done) override;
  void Lease(LeaseRequest request, StoreCallback<LeaseResult> done) override;
  void Release(ReleaseRequest request, StoreCallback<ReleaseResult> done) override;
  void InvalidateGroups(GroupRequest request, StoreCallback<GroupResult> done) override;
  void Scan(ScanRequest request, StoreCallback<ScanResult> done) override;
  void EraseDead(EraseDeadRequest request, StoreCallback<EraseDeadResult> done) override;
  void EraseVersions(EraseVersionsRequest request, StoreCallback<EraseResult> done) override;
  void Sweep(SweepRequest request, StoreCallback<SweepResult> done) override;
  void SetWakeListener(WakeListener listener) override {
    network_.listeners_[static_cast<size_t>(replica_)] = std::move(listener);
  }
  bool exclusive() const override { return network_.options_.replicas == 1; }

 private:
  // `execute` answers what the store says now; `deliver` sees that before `done` does, on this replica.
  template <typename T, typename Execute, typename Deliver>
  void Send(std::string what, StoreCallback<T> done, Execute execute, Deliver deliver) {
    auto call = std::make_shared<Call>();
    call->what = std::move(what);
    auto result = std::make_shared<std::optional<absl::StatusOr<T>>>();
    call->execute = [result, execute, at = call.get()] { *result = execute(*at); };
    call->answer = [result, deliver, done = std::make_shared<StoreCallback<T>>(std::move(done))](absl::Status status) {
      if (!status.ok()) return std::move(*done)(std::move(status));
      if ((*result)->ok()) deliver(***result);
      std::move (*done)(*std::move(*result));
    };
    network_.Send(replica_, std::move(call));
  }

  SimNetwork& network_;
  const int replica_;
};

}  // namespace larder::simulation

#endif  // LARDER_TESTS_UNIT_ENGINE_SIMULATION_SIM_LINK_H_
