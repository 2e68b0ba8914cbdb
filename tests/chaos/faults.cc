#include "tests/chaos/faults.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/clock.h"

namespace larder::chaos {
namespace {

using Random = std::mt19937_64;
using Which = TcpProxy::Which;
using Direction = TcpProxy::Direction;

// After a fault has ended: until connections are there again, and leases.
constexpr int64_t kRecovery = 4 * kNanosPerSecond;

int Between(Random& random, int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); }

void SleepMillis(int millis) { std::this_thread::sleep_for(std::chrono::milliseconds(millis)); }

int64_t Millis(int millis) { return millis * kNanosPerMilli; }

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

void Report(const absl::Status& status, const char* what) {
  if (!status.ok()) std::fprintf(stderr, "%s: %s\n", what, std::string(status.message()).c_str());
}

// --- Replicas ---

void KillReplica(Fleet& fleet, Random& random) {
  LarderServer& replica = fleet.replica(AnyReplica(random));
  replica.Kill();
  SleepMillis(Between(random, 0, 300));
  Report(replica.Restart(), "a replica does not start again");
}

void StopReplica(Fleet& fleet, Random& random) {
  LarderServer& replica = fleet.replica(AnyReplica(random));
  replica.Pause();
  SleepMillis(Between(random, 100, 2'500));
  replica.Resume();
}

// With reads of the store under way, whose answers then wait for it.
void StopSlowReplica(Fleet& fleet, Random& random) {
  const int i = AnyReplica(random);
  fleet.store_link(i).Delay(Which::kUnmarked, Direction::kToClient, Millis(Between(random, 20, 120)));
  SleepMillis(Between(random, 100, 300));
  fleet.replica(i).Pause();
  SleepMillis(Between(random, 1'200, 2'500));
  fleet.replica(i).Resume();
  fleet.store_link(i).Heal();
}

// --- Redis ---

void StopRedis(Fleet& fleet, Random& random) {
  fleet.redis().Pause();
  SleepMillis(Between(random, 50, 1'800));
  fleet.redis().Resume();
}

void RestartRedisWithData(Fleet& fleet, Random& random) {
  static_cast<void>(fleet.redis().Command({"SHUTDOWN", "SAVE"}));  // it hangs up rather than answer
  fleet.redis().Stop();
  SleepMillis(Between(random, 0, 500));
  Report(fleet.redis().Restart(), "Redis does not start again");
}

// What was acknowledged since the snapshot is lost, and what was replaced since comes back.
void RestartRedisWithOldData(Fleet& fleet, Random& random) {
  Report(fleet.redis().Command({"SAVE"}).status(), "Redis does not save");
  SleepMillis(Between(random, 100, 800));
  fleet.redis().Kill();
  SleepMillis(Between(random, 0, 300));
  Report(fleet.redis().Restart(), "Redis does not start again");
}

void RestartRedisWithoutData(Fleet& fleet, Random& random) {
  fleet.redis().Kill();
  fleet.RemoveSnapshot();
  SleepMillis(Between(random, 0, 300));
  Report(fleet.redis().Restart(), "Redis does not start again");
}

void Flush(Fleet& fleet, Random&) { static_cast<void>(fleet.redis().Command({"FLUSHALL"})); }

void DropControlRecord(Fleet& fleet, Random&) {
  static_cast<void>(fleet.redis().Command({"DEL", "larder:{default}:ctl"}));
}

// --- Links to Redis ---

void CutNews(Fleet& fleet, Random& random) {
  for (int i = Between(random, 1, 6); i > 0; --i) {
    OnSomeLinks(fleet, random, [](TcpProxy& link) { link.Close(Which::kMarked); });
    SleepMillis(Between(random, 10, 300));
  }
}

void HoldNews(Fleet& fleet, Random& random) {
  const Direction direction = AnyDirection(random);
  OnSomeLinks(fleet, random, [=](TcpProxy& link) { link.Hold(Which::kMarked, direction); });
  SleepMillis(Between(random, 200, 2'500));
  HealStoreLinks(fleet);
}

void DelayNews(Fleet& fleet, Random& random) {
  const int64_t delay = Millis(Between(random, 5, 700));
  const Direction direction = AnyDirection(random);
  OnSomeLinks(fleet, random, [=](TcpProxy& link) { link.Delay(Which::kMarked, direction, delay); });
  SleepMillis(Between(random, 500, 2'500));
  HealStoreLinks(fleet);
}

void DelayStore(Fleet& fleet, Random& random) {
  const int64_t delay = Millis(Between(random, 2, 120));
  const Direction direction = AnyDirection(random);
  OnSomeLinks(fleet, random, [=](TcpProxy& link) { link.Delay(Which::kUnmarked, direction, delay); });
  SleepMillis(Between(random, 500, 2'000));
  HealStoreLinks(fleet);
}

void HoldStore(Fleet& fleet, Random& random) {
  const Direction direction = AnyDirection(random);
  OnSomeLinks(fleet, random, [=](TcpProxy& link) { link.Hold(Which::kUnmarked, direction); });
  SleepMillis(Between(random, 100, 2'500));
  HealStoreLinks(fleet);
}

// Long enough for much to be told at once, not so long that the connections are given up.
void HoldLink(Fleet& fleet, Random& random) {
  TcpProxy& link = fleet.store_link(AnyReplica(random));
  link.Hold(Which::kAll, AnyDirection(random));
  SleepMillis(Between(random, 800, 1'800));
  link.Heal();
}

// What was read before comes when others have long since written.
void HoldAnswers(Fleet& fleet, Random& random) {
  TcpProxy& link = fleet.store_link(AnyReplica(random));
  link.Hold(Which::kUnmarked, Direction::kToClient);
  SleepMillis(Between(random, 1'400, 1'900));
  link.Heal();
}

void CutStore(Fleet& fleet, Random& random) {
  OnSomeLinks(fleet, random, [](TcpProxy& link) { link.Close(Which::kUnmarked); });
}

void ResetLinks(Fleet& fleet, Random& random) {
  for (int i = Between(random, 1, 4); i > 0; --i) {
    OnSomeLinks(fleet, random, [](TcpProxy& link) { link.Reset(Which::kAll); });
    SleepMillis(Between(random, 10, 300));
  }
}

void TruncateLinks(Fleet& fleet, Random& random) {
  const auto bytes = static_cast<size_t>(Between(random, 1, 4'000));
  const Direction direction = AnyDirection(random);
  OnSomeLinks(fleet, random, [=](TcpProxy& link) { link.Truncate(Which::kAll, direction, bytes); });
  SleepMillis(Between(random, 10, 300));
}

void RefuseLinks(Fleet& fleet, Random& random) {
  OnSomeLinks(fleet, random, [](TcpProxy& link) {
    link.Refuse();
    link.Reset(Which::kAll);
  });
  SleepMillis(Between(random, 50, 1'500));
  HealStoreLinks(fleet);
}

// --- Calls ---

void ResetCalls(Fleet& fleet, Random& random) { fleet.call_link(AnyReplica(random)).Reset(Which::kAll); }

void DelayCalls(Fleet& fleet, Random& random) {
  TcpProxy& link = fleet.call_link(AnyReplica(random));
  link.Delay(Which::kAll, AnyDirection(random), Millis(Between(random, 5, 200)));
  SleepMillis(Between(random, 100, 600));
  link.Heal();
}

struct Fault {
  std::string_view name;
  void (*make)(Fleet&, Random&);
};

constexpr std::array kFaults = {
    Fault{"kill-replica", KillReplica},
    Fault{"stop-replica", StopReplica},
    Fault{"stop-slow-replica", StopSlowReplica},
    Fault{"stop-redis", StopRedis},
    Fault{"restart-redis", RestartRedisWithData},
    Fault{"restart-redis-old", RestartRedisWithOldData},
    Fault{"restart-redis-empty", RestartRedisWithoutData},
    Fault{"flush", Flush},
    Fault{"drop-control", DropControlRecord},
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

std::vector<std::string_view> FaultNames() {
  std::vector<std::string_view> names;
  for (const Fault& fault : kFaults) names.push_back(fault.name);
  return names;
}

FaultPlan PlanFaults(uint64_t seed, int steps, const std::vector<std::string>& only) {
  std::vector<std::string_view> names = FaultNames();
  if (!only.empty()) {
    std::erase_if(names,
                  [&](std::string_view name) { return std::find(only.begin(), only.end(), name) == only.end(); });
  }
  Random random(seed);
  FaultPlan plan;
  for (int i = 0; i < steps; ++i) {
    const auto which = static_cast<size_t>(Between(random, 0, static_cast<int>(names.size()) - 1));
    plan.steps.push_back({.fault = names[which], .seed = random(), .pause_millis = Between(random, 50, 400)});
  }
  return plan;
}

std::vector<Window> MakeFaults(const FaultPlan& plan, Fleet& fleet) {
  std::vector<Window> windows;
  for (const FaultPlan::Step& step : plan.steps) {
    SleepMillis(step.pause_millis);
    const auto fault =
        std::find_if(kFaults.begin(), kFaults.end(), [&](const Fault& one) { return one.name == step.fault; });
    Random random(step.seed);
    const int64_t begin = SystemClock().NowNanos();
    // Of no concern to any replica that counts on a clock that nobody sets.
    fleet.StepWallClock(Millis(Between(random, -10'000, 10'000)));
    fault->make(fleet, random);
    windows.push_back({begin, SystemClock().NowNanos() + kRecovery});
  }
  return windows;
}

}  // namespace larder::chaos
