#include "tests/chaos/sentinel_form.h"

#include <chrono>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/chaos/server_faults.h"

namespace larder::chaos {
namespace {

using Which = TcpProxy::Which;
using Direction = TcpProxy::Direction;

constexpr int kDownAfterMillis = 700;
// A master that is cut off has to stop taking writes before another takes them, or what it acknowledges meanwhile is
// lost without a trace. It looks once a second how many seconds ago its replicas were last heard.
constexpr int kMaxLagSeconds = 1;
constexpr int kDownAfterPartitionMillis = kMaxLagSeconds * 1'000 + 2'500;

// As Eventually(), but what asks each time anew over a connection of its own must not take the processor from the
// fleet.
bool Await(absl::FunctionRef<bool()> condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    SleepMillis(20);
  }
  return true;
}

std::vector<std::string> DownAfter(int millis) {
  return {"SENTINEL", "SET", "mymaster", "down-after-milliseconds", absl::StrCat(millis)};
}

}  // namespace

SentinelForm::~SentinelForm() = default;

absl::Status SentinelForm::Start() {
  SentinelFleet::Options options;
  options.down_after_ms = kDownAfterMillis;
  options.server_args = {"--min-replicas-to-write", "1", "--min-replicas-max-lag", absl::StrCat(kMaxLagSeconds)};
  // A few times quicker than they are, so that a run does not wait for them only; but five of the pings' periods must
  // be longer than the second between two looks at a replica, or it is no good one to sentinels.
  options.sentinel_commands = {
      {"SENTINEL", "DEBUG", "PUBLISH-PERIOD", "300", "INFO-PERIOD", "500", "PING-PERIOD", "250", "ASK-PERIOD", "100"}};
  options.known_as = [this](int port) -> absl::StatusOr<int> {
    auto link = TcpProxy::Start(port, {});
    if (!link.ok()) return link.status();
    between_.push_back(*std::move(link));
    return between_.back()->port();
  };
  auto fleet = SentinelFleet::Start(options);
  if (!fleet.ok()) return fleet.status();
  fleet_ = *std::move(fleet);
  // After an election that came to nothing they wait for twice that.
  if (absl::Status status = TellSentinels({"SENTINEL", "SET", "mymaster", "failover-timeout", "2000"}); !status.ok()) {
    return status;
  }
  return AwaitSettled();
}

absl::StatusOr<StoreForm::Way> SentinelForm::AddReplica() {
  auto links = std::make_unique<StoreLinks>();
  std::vector<TcpProxy::Substitution> substitutions;
  for (size_t i = 0; i < fleet_->servers.size(); ++i) {
    const absl::StatusOr<int> port = links->Add(fleet_->servers[i]->port());
    if (!port.ok()) return port.status();
    substitutions.push_back({absl::StrCat(fleet_->ports[i]), absl::StrCat(*port)});
  }
  std::vector<std::string> sentinels;
  for (const auto& sentinel : fleet_->sentinels) {
    const absl::StatusOr<int> port = links->Add(sentinel->port(), substitutions);
    if (!port.ok()) return port.status();
    sentinels.push_back(absl::StrCat("127.0.0.1:", *port));
  }
  links_.push_back(std::move(links));
  return Way{.url = absl::StrCat("redis+sentinel://", absl::StrJoin(sentinels, ","), "/mymaster"),
             .links = links_.back().get()};
}

absl::StatusOr<std::string> SentinelForm::Command(const std::vector<std::string>& args) {
  return fleet_->servers[master_]->Command(args);
}

absl::StatusOr<std::string> SentinelForm::Proof() { return absl::StrCat(failovers_, " failovers"); }

// --- Faults ---

const std::vector<SentinelForm::Fault>& SentinelForm::Faults() {
  static const auto* const all_faults = new std::vector<Fault>{
      {"kill-master", &SentinelForm::KillMaster},
      {"stop-master", &SentinelForm::StopMaster},
      {"fail-over", &SentinelForm::FailOver},
      {"partition-master", &SentinelForm::PartitionMaster},
  };
  return *all_faults;
}

std::vector<std::string_view> SentinelForm::MainFaultNames() const {
  std::vector<std::string_view> names;
  for (const Fault& fault : Faults()) names.push_back(fault.name);
  return names;
}

std::vector<std::string_view> SentinelForm::FaultNames() const {
  std::vector<std::string_view> names = MainFaultNames();
  for (const ServerFault& fault : DataFaults()) names.push_back(fault.name);
  return names;
}

absl::Status SentinelForm::Break(std::string_view name, Random& random) {
  for (const Fault& fault : Faults()) {
    if (fault.name != name) continue;
    if (absl::Status status = (this->*fault.make)(random); !status.ok()) return status;
    return AwaitSettled();
  }
  for (const ServerFault& fault : DataFaults()) {
    if (fault.name == name) return fault.make(*fleet_->servers[MasterIndex()], random);
  }
  return absl::InvalidArgumentError(absl::StrCat("no such fault: ", std::string(name)));
}

// Comes back as a replica, with nothing.
absl::Status SentinelForm::KillMaster(Random& random) {
  const size_t old = MasterIndex();
  fleet_->servers[old]->Kill();
  if (absl::Status status = AwaitOtherMaster(old); !status.ok()) return status;
  SleepMillis(Between(random, 0, 1'000));
  if (absl::Status status = fleet_->servers[old]->Restart(); !status.ok()) return status;
  return fleet_->Announce(old);
}

// For so long that another may become the master, or has; then it is one still, until the sentinels say otherwise.
absl::Status SentinelForm::StopMaster(Random& random) {
  RedisServer& old = *fleet_->servers[MasterIndex()];
  old.Pause();
  SleepMillis(kDownAfterMillis + Between(random, -300, 2'500));
  old.Resume();
  // An election may be under way.
  SleepMillis(500);
  return absl::OkStatus();
}

// While the old master lives.
absl::Status SentinelForm::FailOver(Random& random) {
  const size_t old = MasterIndex();
  const auto& sentinel = fleet_->sentinels[static_cast<size_t>(Between(random, 0, 2))];
  // One that comes to nothing, as no replica was good enough just then, is not tried again by itself.
  const bool is_done = Await([&] {
    if (MasterIndex() != old) return true;
    static_cast<void>(sentinel->Command({"SENTINEL", "FAILOVER", "mymaster"}));  // refused while one is under way
    return false;
  });
  return is_done ? absl::OkStatus() : absl::UnavailableError("the sentinels do not fail over");
}

// The master is cut off from the other servers and the sentinels, together with those who use it, one of whom may be
// cut off from the sentinels too.
absl::Status SentinelForm::PartitionMaster(Random& random) {
  const size_t old = MasterIndex();
  if (absl::Status status = TellSentinels(DownAfter(kDownAfterPartitionMillis)); !status.ok()) return status;
  StoreLinks& links = *links_[static_cast<size_t>(Between(random, 0, static_cast<int>(links_.size()) - 1))];
  if (Chance(random, 0.7)) {
    for (size_t i = fleet_->servers.size(); i < fleet_->servers.size() + fleet_->sentinels.size(); ++i) {
      links.link(i).Hold(Which::kAll, Direction::kBoth);
    }
  }
  between_[old]->Hold(Which::kAll, Direction::kBoth);
  absl::Status status = AwaitOtherMaster(old);
  SleepMillis(Between(random, 0, 2'000));
  between_[old]->Heal();
  links.Heal();
  if (!status.ok()) return status;
  return TellSentinels(DownAfter(kDownAfterMillis));
}

// --- Roles ---

size_t SentinelForm::MasterIndex() {
  const RedisServer* const named = fleet_->Master();
  for (size_t i = 0; i < fleet_->servers.size(); ++i) {
    if (i == master_ || fleet_->servers[i].get() != named) continue;
    master_ = i;
    ++failovers_;
    break;
  }
  return master_;
}

absl::Status SentinelForm::AwaitOtherMaster(size_t than) {
  if (!Await([&] { return MasterIndex() != than; })) {
    return absl::UnavailableError("the sentinels name no other master");
  }
  return absl::OkStatus();
}

absl::Status SentinelForm::AwaitSettled() {
  if (!Await([&] { return fleet_->IsSettled(); })) {
    return absl::UnavailableError("the servers and sentinels do not settle");
  }
  MasterIndex();
  return absl::OkStatus();
}

absl::Status SentinelForm::TellSentinels(const std::vector<std::string>& command) {
  for (const auto& sentinel : fleet_->sentinels) {
    if (absl::Status status = sentinel->Command(command).status(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace larder::chaos
