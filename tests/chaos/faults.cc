#include "tests/chaos/faults.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/clock.h"

namespace larder::chaos {
namespace {

using Which = TcpProxy::Which;
using Direction = TcpProxy::Direction;

// After a fault has ended: until connections are there again, and leases.
constexpr int64_t kRecovery = 4 * kNanosPerSecond;

int AnyReplica(Random& random) { return Between(random, 0, kReplicas - 1); }

// One replica's link, or with one chance in three all of them.
template <typename Do>
void OnSomeLinks(Fleet& fleet, Random& random, Do what) {
  const bool all = Between(random, 0, 2) == 0;
  const int one = AnyReplica(random);
  for (int i = 0; i < kReplicas; ++i) {
    if (all || i == one) what(fleet.store_link(i));
  }
}

void HealStoreLinks(Fleet& fleet) {
  for (int i = 0; i < kReplicas; ++i) fleet.store_link(i).Heal();
}

Direction AnyDirection(Random& random) {
  return std::array{Direction::kToServer, Direction::kToClient,
                    Direction::kBoth}[static_cast<size_t>(Between(random, 0, 2))];
}

// --- Replicas ---

absl::Status KillReplica(Fleet& fleet, Random& random, FaultTimes& times) {
  const int i = AnyReplica(random);
  fleet.replica(i).Kill();
  times.ends.push_back({.replica = i, .time = SystemClock().NowNanos()});
  SleepMillis(Between(random, 0, 300));
  return fleet.replica(i).Restart();
}

absl::Status StopReplica(Fleet& fleet, Random& random, FaultTimes&) {
  LarderServer& replica = fleet.replica(AnyReplica(random));
  replica.Pause();
  SleepMillis(Between(random, 100, 2'500));
  replica.Resume();
  return absl::OkStatus();
}

// With reads of the store under way, whose answers then wait for it.
absl::Status StopSlowReplica(Fleet& fleet, Random& random, FaultTimes&) {
  const int i = AnyReplica(random);
  fleet.store_link(i).Delay(Which::kUnmarked, Direction::kToClient, Millis(Between(random, 20, 120)));
  SleepMillis(Between(random, 100, 300));
  fleet.replica(i).Pause();
  SleepMillis(Between(random, 1'200, 2'500));
  fleet.replica(i).Resume();
  fleet.store_link(i).Heal();
  return absl::OkStatus();
}

// --- Links to Redis ---

absl::Status CutNews(Fleet& fleet, Random& random, FaultTimes&) {
  for (int i = Between(random, 1, 6); i > 0; --i) {
    OnSomeLinks(fleet, random, [](StoreLinks& link) { link.Close(Which::kMarked); });
    SleepMillis(Between(random, 10, 300));
  }
  return absl::OkStatus();
}

absl::Status HoldNews(Fleet& fleet, Random& random, FaultTimes&) {
  const Direction direction = AnyDirection(random);
  OnSomeLinks(fleet, random, [=](StoreLinks& link) { link.Hold(Which::kMarked, direction); });
  SleepMillis(Between(random, 200, 2'500));
  HealStoreLinks(fleet);
  return absl::OkStatus();
}

absl::Status DelayNews(Fleet& fleet, Random& random, FaultTimes&) {
  const int64_t delay = Millis(Between(random, 5, 700));
  const Direction direction = AnyDirection(random);
  OnSomeLinks(fleet, random, [=](StoreLinks& link) { link.Delay(Which::kMarked, direction, delay); });
  SleepMillis(Between(random, 500, 2'500));
  HealStoreLinks(fleet);
  return absl::OkStatus();
}

absl::Status DelayStore(Fleet& fleet, Random& random, FaultTimes&) {
  const int64_t delay = Millis(Between(random, 2, 120));
  const Direction direction = AnyDirection(random);
  OnSomeLinks(fleet, random, [=](StoreLinks& link) { link.Delay(Which::kUnmarked, direction, delay); });
  SleepMillis(Between(random, 500, 2'000));
  HealStoreLinks(fleet);
  return absl::OkStatus();
}

absl::Status HoldStore(Fleet& fleet, Random& random, FaultTimes&) {
  const Direction direction = AnyDirection(random);
  OnSomeLinks(fleet, random, [=](StoreLinks& link) { link.Hold(Which::kUnmarked, direction); });
  SleepMillis(Between(random, 100, 2'500));
  HealStoreLinks(fleet);
  return absl::OkStatus();
}

// Long enough for much to be told at once, not so long that the connections are given up.
absl::Status HoldLink(Fleet& fleet, Random& random, FaultTimes&) {
  StoreLinks& link = fleet.store_link(AnyReplica(random));
  link.Hold(Which::kAll, AnyDirection(random));
  SleepMillis(Between(random, 800, 1'800));
  link.Heal();
  return absl::OkStatus();
}

// What was read before comes when others have long since written.
absl::Status HoldAnswers(Fleet& fleet, Random& random, FaultTimes&) {
  StoreLinks& link = fleet.store_link(AnyReplica(random));
  link.Hold(Which::kUnmarked, Direction::kToClient);
  SleepMillis(Between(random, 1'400, 1'900));
  link.Heal();
  return absl::OkStatus();
}

absl::Status CutStore(Fleet& fleet, Random& random, FaultTimes&) {
  OnSomeLinks(fleet, random, [](StoreLinks& link) { link.Close(Which::kUnmarked); });
  return absl::OkStatus();
}

absl::Status ResetLinks(Fleet& fleet, Random& random, FaultTimes&) {
  for (int i = Between(random, 1, 4); i > 0; --i) {
    OnSomeLinks(fleet, random, [](StoreLinks& link) { link.Reset(Which::kAll); });
    SleepMillis(Between(random, 10, 300));
  }
  return absl::OkStatus();
}

absl::Status TruncateLinks(Fleet& fleet, Random& random, FaultTimes&) {
  const auto bytes = static_cast<size_t>(Between(random, 1, 4'000));
  const Direction direction = AnyDirection(random);
  OnSomeLinks(fleet, random, [=](StoreLinks& link) { link.Truncate(Which::kAll, direction, bytes); });
  SleepMillis(Between(random, 10, 300));
  return absl::OkStatus();
}

absl::Status RefuseLinks(Fleet& fleet, Random& random, FaultTimes&) {
  OnSomeLinks(fleet, random, [](StoreLinks& link) {
    link.Refuse();
    link.Reset(Which::kAll);
  });
  SleepMillis(Between(random, 50, 1'500));
  HealStoreLinks(fleet);
  return absl::OkStatus();
}

// --- Calls ---

absl::Status ResetCalls(Fleet& fleet, Random& random, FaultTimes&) {
  fleet.call_link(AnyReplica(random)).Reset(Which::kAll);
  return absl::OkStatus();
}

absl::Status DelayCalls(Fleet& fleet, Random& random, FaultTimes&) {
  TcpProxy& link = fleet.call_link(AnyReplica(random));
  link.Delay(Which::kAll, AnyDirection(random), Millis(Between(random, 5, 200)));
  SleepMillis(Between(random, 100, 600));
  link.Heal();
  return absl::OkStatus();
}

struct Fault {
  std::string_view name;
  absl::Status (*make)(Fleet&, Random&, FaultTimes&);
};

constexpr std::array kFaults = {
    Fault{"kill-replica", KillReplica},
    Fault{"stop-replica", StopReplica},
    Fault{"stop-slow-replica", StopSlowReplica},
    Fault{"cut-news", CutNews},
    Fault{"hold-news", HoldNews},
    Fault{"delay-news", DelayNews},
    Fault{"delay-store", DelayStore},
    Fault{"hold-store", HoldStore},
    Fault{"hold-link", HoldLink},
    Fault{"hold-answers", HoldAnswers},
    Fault{"cut-store", CutStore},
    Fault{"reset-links", ResetLinks},
    Fault{"truncate-links", TruncateLinks},
    Fault{"refuse-links", RefuseLinks},
    Fault{"reset-calls", ResetCalls},
    Fault{"delay-calls", DelayCalls},
};

}  // namespace

std::vector<std::string_view> FaultNames(const StoreForm& form) {
  std::vector<std::string_view> names;
  for (const Fault& fault : kFaults) names.push_back(fault.name);
  for (std::string_view name : form.FaultNames()) names.push_back(name);
  return names;
}

FaultPlan PlanFaults(uint64_t seed, int steps, const std::vector<std::string_view>& names,
                     const std::vector<std::string_view>& main) {
  Random random(seed);
  FaultPlan plan;
  plan.steps.reserve(static_cast<size_t>(steps));
  for (int i = 0; i < steps; ++i) {
    const std::vector<std::string_view>& from = i % 2 == 0 && !main.empty() ? main : names;
    const auto which = static_cast<size_t>(Between(random, 0, static_cast<int>(from.size()) - 1));
    plan.steps.push_back({.fault = from[which], .seed = random(), .pause_millis = Between(random, 50, 400)});
  }
  return plan;
}

absl::StatusOr<FaultTimes> MakeFaults(const FaultPlan& plan, Fleet& fleet) {
  FaultTimes times;
  for (const FaultPlan::Step& step : plan.steps) {
    SleepMillis(step.pause_millis);
    const auto fault =
        std::find_if(kFaults.begin(), kFaults.end(), [&](const Fault& one) { return one.name == step.fault; });
    Random random(step.seed);
    const int64_t begin = SystemClock().NowNanos();
    // Of no concern to any replica that counts on a clock that nobody sets.
    fleet.StepWallClock(Millis(Between(random, -10'000, 10'000)));
    absl::Status status =
        fault == kFaults.end() ? fleet.store().Break(step.fault, random) : fault->make(fleet, random, times);
    if (!status.ok()) return absl::Status(status.code(), absl::StrCat(std::string(step.fault), ": ", status.message()));
    times.windows.push_back({begin, SystemClock().NowNanos() + kRecovery});
  }
  return times;
}

}  // namespace larder::chaos
