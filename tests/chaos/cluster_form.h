// A Redis Cluster.
#ifndef LARDER_TESTS_CHAOS_CLUSTER_FORM_H_
#define LARDER_TESTS_CHAOS_CLUSTER_FORM_H_

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/chaos/cluster_view.h"
#include "tests/chaos/store_form.h"
#include "tests/chaos/tcp_proxy.h"
#include "tests/support/redis_cluster.h"

namespace larder::chaos {

// Three masters with a replica each, and one that has neither slots nor a replica. The nodes know each other by a proxy
// before each, through which replicas follow their masters. Replicas of Larder reach the nodes by proxies of their own,
// and are told of these wherever a node names another.
class ClusterForm final : public StoreForm {
 public:
  ~ClusterForm() override;

  absl::Status Start() override;
  absl::StatusOr<Way> AddReplica() override;
  std::vector<std::string_view> FaultNames() const override;
  std::vector<std::string_view> MainFaultNames() const override;
  absl::Status Break(std::string_view fault, Random& random) override;
  // On the node that has the slot of the command's key.
  absl::StatusOr<std::string> Command(const std::vector<std::string>& args) override;

  // How often a replica was promoted, and how many slots were moved that had keys.
  absl::StatusOr<std::string> Proof() override;

 private:
  static constexpr int kShares = 3;  // masters that have slots at first
  static constexpr int kNodes = 2 * kShares + 1;

  struct Fault {
    std::string_view name;
    bool changes_owners;  // whoever has slots is another afterwards
    absl::Status (ClusterForm::*make)(Random& random);
  };
  static const std::vector<Fault>& Faults();

  absl::Status KillMaster(Random& random);
  absl::Status StopMaster(Random& random);
  absl::Status FailOver(Random& random);
  absl::Status RestartMaster(Random& random);
  absl::Status MoveSlots(Random& random);

  absl::StatusOr<int> SlotOf(const std::string& key) const;
  // Those that are not there yet; OK once all nodes know it.
  absl::Status Move(const std::vector<int>& slots, size_t to);

  // As of the last time that all was settled.
  size_t OwnerOf(int slot) const { return *IndexOf(view_.owners[static_cast<size_t>(slot)]); }
  std::vector<size_t> Masters() const;
  std::optional<size_t> ReplicaOf(size_t master) const;
  // Of those that have a replica; half of the time the one that has the control record, if that is one.
  size_t AnyMasterWithReplica(Random& random) const;

  std::optional<size_t> IndexOf(int port) const;
  // Another node has the slots that were this one's, as a third one knows.
  absl::Status AwaitPromotion(size_t of, std::chrono::seconds limit) const;
  // All nodes know the same owners of all slots, and are well; all masters but one have a replica.
  absl::Status AwaitSettled();
  // The view that all have, or what is not so yet.
  absl::StatusOr<ClusterView> SettledView() const;
  absl::Status WholeAt(size_t i, const ClusterView& view) const;

  std::unique_ptr<RedisCluster> cluster_;
  std::map<int, std::unique_ptr<TcpProxy>> between_;  // by the port of the node behind it
  std::vector<std::unique_ptr<StoreLinks>> links_;    // one for each replica of Larder: to the nodes, in their order
  int control_slot_ = 0;
  int members_slot_ = 0;
  std::vector<int> entry_slots_;  // of the keys that are used
  ClusterView view_;
  std::atomic<size_t> first_asked_{0};
  // By node; odd: it may take writes and yet be no master any more for the others, so that they are lost.
  std::array<std::atomic<int>, kNodes> doubts_ = {};
  bool changes_owners_ = false;  // a fault was made that does
  int promotions_ = 0;
  int moved_slots_ = 0;
};

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_CLUSTER_FORM_H_
