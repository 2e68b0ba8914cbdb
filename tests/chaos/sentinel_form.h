// A master with two replicas, and the sentinels that watch them.
#ifndef LARDER_TESTS_CHAOS_SENTINEL_FORM_H_
#define LARDER_TESTS_CHAOS_SENTINEL_FORM_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/chaos/store_form.h"
#include "tests/chaos/tcp_proxy.h"
#include "tests/support/sentinel_fleet.h"

namespace larder::chaos {

// With `min-replicas-to-write 1`, as docs/operations.md wants it: of three servers two must have a write, in the long
// run, so that no two masters go on taking them. The servers know each other, and the sentinels know them, by a proxy
// before each, so that one can be cut off from the others and not from the replicas of Larder. Those reach servers and
// sentinels by proxies of their own, and are told by the sentinels of these.
class SentinelForm final : public StoreForm {
 public:
  ~SentinelForm() override;

  absl::Status Start() override;
  absl::StatusOr<Way> AddReplica() override;
  std::vector<std::string_view> FaultNames() const override;
  std::vector<std::string_view> MainFaultNames() const override;
  absl::Status Break(std::string_view fault, Random& random) override;
  absl::StatusOr<std::string> Command(const std::vector<std::string>& args) override;

  // How often another server became the master.
  absl::StatusOr<std::string> Proof() override;

 private:
  struct Fault {
    std::string_view name;
    absl::Status (SentinelForm::*make)(Random& random);
  };
  static const std::vector<Fault>& Faults();

  absl::Status KillMaster(Random& random);
  absl::Status StopMaster(Random& random);
  absl::Status FailOver(Random& random);
  absl::Status PartitionMaster(Random& random);

  // Which server is the master by what the sentinels say, or was last.
  size_t MasterIndex();
  absl::Status AwaitOtherMaster(size_t than);
  absl::Status AwaitSettled();
  absl::Status TellSentinels(const std::vector<std::string>& command);

  std::unique_ptr<SentinelFleet> fleet_;
  std::vector<std::unique_ptr<TcpProxy>> between_;  // before each server, for the others and the sentinels
  // One for each replica of Larder: to the servers, then to the sentinels.
  std::vector<std::unique_ptr<StoreLinks>> links_;
  std::atomic<size_t> master_{0};
  int failovers_ = 0;
};

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_SENTINEL_FORM_H_
