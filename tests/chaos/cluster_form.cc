#include "tests/chaos/cluster_form.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/chaos/keys.h"
#include "tests/chaos/server_faults.h"

namespace larder::chaos {
namespace {

constexpr int kNodeTimeoutMillis = 1'000;
// A slot is on its way for a few milliseconds.
constexpr int kMaxHops = 500;

// Not as Eventually(): what asks each time anew over connections of its own must not take the processor from the fleet.
bool Await(absl::FunctionRef<bool()> condition, std::chrono::seconds limit = std::chrono::seconds(30)) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    SleepMillis(20);
  }
  return true;
}

// Of `MOVED slot ip:port`; 0: it is no such answer.
int PortNamedBy(absl::string_view error) {
  const std::vector<absl::string_view> words = absl::StrSplit(error, ' ');
  int port = 0;
  if (words.size() != 3 || words[0] != "MOVED") return 0;
  return absl::SimpleAtoi(words[2].substr(words[2].rfind(':') + 1), &port) ? port : 0;
}

// The slot is on its way: nothing was done yet.
bool IsToBeTriedAgain(absl::string_view error) {
  const absl::string_view word = error.substr(0, error.find(' '));
  return word == "ASK" || word == "TRYAGAIN";
}

template <typename T>
T AnyOf(const std::vector<T>& some, Random& random) {
  return some[static_cast<size_t>(Between(random, 0, static_cast<int>(some.size()) - 1))];
}

}  // namespace

ClusterForm::~ClusterForm() = default;

absl::Status ClusterForm::Start() {
  RedisCluster::Options options;
  options.masters = kShares;
  options.empty_masters = 1;
  options.replicas = true;
  options.node_timeout_ms = kNodeTimeoutMillis;
  // The one that has no slots stays a master when it has given back those it got.
  options.server_args = {"--cluster-allow-replica-migration", "no"};
  options.known_as = [this](int port) -> absl::StatusOr<int> {
    auto link = TcpProxy::Start(port, {});
    if (!link.ok()) return link.status();
    between_[port] = *std::move(link);
    return between_[port]->port();
  };
  auto cluster = RedisCluster::Start(options);
  if (!cluster.ok()) return cluster.status();
  cluster_ = *std::move(cluster);
  std::vector<std::string> keys = {"larder:{default}:ctl", "larder:members"};
  for (int key = 0; key < kKeys; ++key) keys.push_back(absl::StrCat("larder:default:e:", KeyName(key)));
  std::vector<int> slots;
  for (const std::string& key : keys) {
    const absl::StatusOr<int> slot = SlotOf(key);
    if (!slot.ok()) return slot.status();
    slots.push_back(*slot);
  }
  control_slot_ = slots[0];
  members_slot_ = slots[1];
  entry_slots_.assign(slots.begin() + 2, slots.end());
  return AwaitSettled();
}

absl::StatusOr<int> ClusterForm::SlotOf(const std::string& key) const {
  const absl::StatusOr<std::string> answer = cluster_->nodes.front()->Command({"CLUSTER", "KEYSLOT", key});
  if (!answer.ok()) return answer.status();
  int slot = 0;
  return absl::SimpleAtoi(*answer, &slot) ? absl::StatusOr<int>(slot) : absl::InternalError(*answer);
}

absl::StatusOr<StoreForm::Way> ClusterForm::AddReplica() {
  auto links = std::make_unique<StoreLinks>();
  std::vector<TcpProxy::Substitution> substitutions;
  std::vector<std::string> addresses;
  for (const auto& node : cluster_->nodes) {
    const absl::StatusOr<int> port = links->Add(node->port());
    if (!port.ok()) return port.status();
    addresses.push_back(absl::StrCat("127.0.0.1:", *port));
    // With the host: the same digits may stand in an id, or be the port of a bus.
    substitutions.push_back({absl::StrCat("127.0.0.1:", node->known_port()), addresses.back()});
  }
  for (size_t i = 0; i < addresses.size(); ++i) {
    if (absl::Status status = links->link(i).Substitute(substitutions); !status.ok()) return status;
  }
  links_.push_back(std::move(links));
  addresses.resize(kShares);
  return Way{.url = absl::StrCat("redis+cluster://", absl::StrJoin(addresses, ",")), .links = links_.back().get()};
}

absl::StatusOr<std::string> ClusterForm::Command(const std::vector<std::string>& args) {
  size_t at = first_asked_;
  for (int hops = 0; hops < kMaxHops; ++hops) {
    const int doubt = doubts_[at];
    const bool is_doubtful = doubt % 2 != 0;
    absl::StatusOr<std::string> answer =
        is_doubtful ? absl::UnavailableError("it may be no master") : cluster_->nodes[at]->Command(args);
    if (doubts_[at] != doubt) return absl::UnavailableError("it may have been no master");
    if (answer.ok()) return answer;
    const std::string error(answer.status().message());
    const std::optional<size_t> owner = IndexOf(PortNamedBy(error));
    if (owner) {
      at = *owner;
    } else if (IsToBeTriedAgain(error)) {
      SleepMillis(1);
    } else {
      first_asked_ = (at + 1) % cluster_->nodes.size();
      return answer;
    }
  }
  return absl::UnavailableError("sent from node to node");
}

absl::StatusOr<std::string> ClusterForm::Proof() {
  const std::string proof = absl::StrCat(promotions_, " promotions, ", moved_slots_, " slots moved that had keys");
  if (changes_owners_ && promotions_ + moved_slots_ == 0) return absl::FailedPreconditionError(proof);
  return proof;
}

// --- Faults ---

const std::vector<ClusterForm::Fault>& ClusterForm::Faults() {
  static const auto* const all_faults = new std::vector<Fault>{
      {"kill-master", true, &ClusterForm::KillMaster}, {"stop-master", false, &ClusterForm::StopMaster},
      {"fail-over", true, &ClusterForm::FailOver},     {"restart-master", false, &ClusterForm::RestartMaster},
      {"move-slots", true, &ClusterForm::MoveSlots},
  };
  return *all_faults;
}

std::vector<std::string_view> ClusterForm::MainFaultNames() const {
  std::vector<std::string_view> names;
  for (const Fault& fault : Faults()) names.push_back(fault.name);
  return names;
}

std::vector<std::string_view> ClusterForm::FaultNames() const {
  std::vector<std::string_view> names = MainFaultNames();
  for (const ServerFault& fault : DataFaults()) names.push_back(fault.name);
  return names;
}

absl::Status ClusterForm::Break(std::string_view name, Random& random) {
  for (const Fault& fault : Faults()) {
    if (fault.name != name) continue;
    changes_owners_ = changes_owners_ || fault.changes_owners;
    absl::Status status = (this->*fault.make)(random);
    if (status.ok()) status = AwaitSettled();
    for (std::atomic<int>& doubt : doubts_) doubt += doubt % 2;
    return status;
  }
  for (const ServerFault& fault : DataFaults()) {
    if (fault.name == name) return fault.make(cluster_->node(OwnerOf(control_slot_)), random);
  }
  return absl::InvalidArgumentError(absl::StrCat("no such fault: ", std::string(name)));
}

// Comes back as a replica. What it acknowledged at last its own replica may not have heard of.
absl::Status ClusterForm::KillMaster(Random& random) {
  const size_t old = AnyMasterWithReplica(random);
  TcpProxy& to_replica = *between_[cluster_->node(old).port()];
  if (Chance(random, 0.7)) {
    to_replica.Hold(TcpProxy::Which::kAll, TcpProxy::Direction::kToClient);
    SleepMillis(Between(random, 50, 800));
  }
  cluster_->node(old).Kill();
  to_replica.Reset(TcpProxy::Which::kAll);
  to_replica.Heal();
  if (absl::Status status = AwaitPromotion(old, std::chrono::seconds(30)); !status.ok()) return status;
  SleepMillis(Between(random, 0, 1'000));
  return cluster_->node(old).Restart();
}

// For so long that its replica may be promoted, or has been.
absl::Status ClusterForm::StopMaster(Random& random) {
  const size_t old = AnyMasterWithReplica(random);
  ++doubts_[old];
  cluster_->node(old).Pause();
  SleepMillis(kNodeTimeoutMillis + Between(random, -300, 2'500));
  cluster_->node(old).Resume();
  return absl::OkStatus();
}

// While the old master lives: nothing is lost.
absl::Status ClusterForm::FailOver(Random& random) {
  const size_t old = AnyMasterWithReplica(random);
  const RedisServer& replica = cluster_->node(*ReplicaOf(old));
  // One that has come to nothing after five seconds is not tried again by itself.
  for (int attempt = 0; attempt < 3; ++attempt) {
    if (absl::Status status = replica.Command({"CLUSTER", "FAILOVER"}).status(); !status.ok()) return status;
    if (AwaitPromotion(old, std::chrono::seconds(6)).ok()) return absl::OkStatus();
  }
  return absl::UnavailableError("the replica is not promoted");
}

// Before its replica is promoted, if all goes well. It is away for two seconds all the same: so long a master that has
// just been started takes no commands. With nothing, or with what it had.
absl::Status ClusterForm::RestartMaster(Random& random) {
  RedisServer& master = cluster_->node(AnyOf(Masters(), random));
  std::vector<const ServerFault*> restarts;
  for (const ServerFault& fault : ProcessFaults()) {
    if (fault.name.starts_with("restart-")) restarts.push_back(&fault);
  }
  return AnyOf(restarts, random)->make(master, random);
}

// To one master and perhaps to another, and half of the time back again. All nodes hear of one move before the next
// takes its slots to another node: two that take slots before they have heard of each other may do so under the same
// epoch, and whom the others then believe is a matter of luck.
absl::Status ClusterForm::MoveSlots(Random& random) {
  const std::vector<int> before = view_.owners;
  const std::vector<size_t> masters = Masters();
  std::vector<int> slots = entry_slots_;
  for (int round = Between(random, 1, 2); round > 0; --round) {
    std::shuffle(slots.begin(), slots.end(), random);
    std::vector<int> some(slots.begin(), slots.begin() + Between(random, 10, 40));
    for (const int slot : {control_slot_, members_slot_}) {
      if (Chance(random, 0.6)) some.push_back(slot);
    }
    if (absl::Status status = Move(some, AnyOf(masters, random)); !status.ok()) return status;
  }
  if (Chance(random, 0.5)) return absl::OkStatus();
  for (const size_t master : masters) {
    std::vector<int> its;
    for (int slot = 0; slot < kClusterSlots; ++slot) {
      if (before[static_cast<size_t>(slot)] == cluster_->node(master).known_port()) its.push_back(slot);
    }
    if (absl::Status status = Move(its, master); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ClusterForm::Move(const std::vector<int>& slots, size_t to) {
  for (const int slot : slots) {
    const size_t from = OwnerOf(slot);
    if (from == to) continue;
    const bool has_keys = cluster_->Ask(from, {"CLUSTER", "COUNTKEYSINSLOT", absl::StrCat(slot)}) != "0";
    if (absl::Status status = cluster_->Move(slot, from, to); !status.ok()) return status;
    moved_slots_ += has_keys ? 1 : 0;
  }
  return AwaitSettled();
}

// --- Roles ---

std::vector<size_t> ClusterForm::Masters() const {
  std::vector<size_t> masters;
  for (const ClusterView::Node& node : view_.nodes) {
    if (node.is_master) masters.push_back(*IndexOf(node.port));
  }
  std::sort(masters.begin(), masters.end());
  return masters;
}

std::optional<size_t> ClusterForm::ReplicaOf(size_t master) const {
  const ClusterView::Node* const replica = view_.ReplicaOf(*view_.At(cluster_->node(master).known_port()));
  return replica == nullptr ? std::nullopt : IndexOf(replica->port);
}

size_t ClusterForm::AnyMasterWithReplica(Random& random) const {
  std::vector<size_t> masters = Masters();
  std::erase_if(masters, [&](size_t master) { return !ReplicaOf(master); });
  const size_t any = AnyOf(masters, random);
  const size_t recorder = OwnerOf(control_slot_);
  return Chance(random, 0.5) && ReplicaOf(recorder) ? recorder : any;
}

std::optional<size_t> ClusterForm::IndexOf(int port) const {
  for (size_t i = 0; i < cluster_->nodes.size(); ++i) {
    if (cluster_->nodes[i]->known_port() == port) return i;
  }
  return std::nullopt;
}

absl::Status ClusterForm::AwaitPromotion(size_t of, std::chrono::seconds limit) const {
  const int port = cluster_->nodes[of]->known_port();
  const size_t third = of == 0 ? 1 : 0;
  const bool is_done = Await(
      [&] {
        const ClusterView view = ClusterView::Parse(cluster_->Ask(third, {"CLUSTER", "NODES"}));
        for (size_t slot = 0; slot < view.owners.size(); ++slot) {
          if (view_.owners[slot] == port) return view.owners[slot] != port && view.owners[slot] != 0;
        }
        return true;
      },
      limit);
  return is_done ? absl::OkStatus() : absl::UnavailableError("no replica is promoted");
}

absl::Status ClusterForm::AwaitSettled() {
  absl::StatusOr<ClusterView> view = absl::UnknownError("");
  if (!Await([&] { return (view = SettledView()).ok(); })) {
    return absl::UnavailableError(absl::StrCat("the nodes do not settle: ", view.status().message()));
  }
  for (const ClusterView::Node& node : view->nodes) {
    const ClusterView::Node* const before = view_.At(node.port);
    promotions_ += before != nullptr && node.is_master && !before->is_master ? 1 : 0;
  }
  view_ = *std::move(view);
  return absl::OkStatus();
}

absl::StatusOr<ClusterView> ClusterForm::SettledView() const {
  absl::StatusOr<ClusterView> common = absl::UnknownError("there are no nodes");
  for (size_t i = 0; i < cluster_->nodes.size(); ++i) {
    ClusterView view = ClusterView::Parse(cluster_->Ask(i, {"CLUSTER", "NODES"}));
    if (absl::Status status = WholeAt(i, view); !status.ok()) return status;
    if (i > 0 && common->owners != view.owners) return absl::UnavailableError(absl::StrCat(i, " knows other owners"));
    if (i == 0) common = std::move(view);
  }
  return common;
}

absl::Status ClusterForm::WholeAt(size_t i, const ClusterView& view) const {
  int masters = 0, followed = 0;
  for (const ClusterView::Node& node : view.nodes) {
    if (!node.is_well || !IndexOf(node.port))
      return absl::UnavailableError(absl::StrCat(i, " suspects the node at ", node.port));
    masters += node.is_master ? 1 : 0;
    followed += node.is_master && view.ReplicaOf(node) != nullptr ? 1 : 0;
  }
  if (view.nodes.size() != kNodes || masters != kShares + 1 || followed != kShares) {
    return absl::UnavailableError(absl::StrCat(i, " knows ", view.nodes.size(), " nodes, ", masters, " masters, ",
                                               followed, " of them with a replica"));
  }
  const auto lost = std::count(view.owners.begin(), view.owners.end(), 0);
  if (lost != 0 || view.is_moving) {
    return absl::UnavailableError(absl::StrCat(i, " knows of no owner of ", lost, " slots, or moves one"));
  }
  if (cluster_->Ask(i, {"CLUSTER", "INFO"}).find("cluster_state:ok") == std::string::npos) {
    return absl::UnavailableError(absl::StrCat(i, " says that the Cluster does not work"));
  }
  const std::string replication = cluster_->Ask(i, {"INFO", "replication"});
  const bool is_linked = replication.find("role:master") != std::string::npos ||
                         replication.find("master_link_status:up") != std::string::npos;
  return is_linked ? absl::OkStatus() : absl::UnavailableError(absl::StrCat(i, " does not follow its master"));
}

}  // namespace larder::chaos
