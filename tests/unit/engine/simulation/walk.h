// One random interleaving of everything that can happen to a few keys.
#ifndef LARDER_TESTS_UNIT_ENGINE_SIMULATION_WALK_H_
#define LARDER_TESTS_UNIT_ENGINE_SIMULATION_WALK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "server/engine/cache_engine.h"
#include "server/engine/sweeper.h"
#include "tests/support/manual_clock.h"
#include "tests/unit/engine/simulation/rng.h"
#include "tests/unit/engine/simulation/sim_network.h"
#include "tests/unit/engine/simulation/sim_origin.h"
#include "tests/unit/engine/simulation/sim_scheduler.h"
#include "tests/unit/engine/simulation/truth.h"

namespace larder::simulation {

// What a seed decides before the first step.
struct Setting {
  SimNetwork::Options network;
  int keys = 1;
  int steps = 0;
  bool has_origin = false;
  NamespacePolicy policy;
};

// Replicas over one store, clients of them, and time, all in one thread and in the order that the seed says. After each
// step everything that was answered is held against the truth.
class Walk {
 public:
  // `log`, unless null, is told every step.
  Walk(uint64_t seed, Counts* counts, std::function<void(const std::string&)> log);
  ~Walk();

  // What went wrong; empty: nothing.
  std::string Run();

 private:
  // A right to fill that a client holds.
  struct ClientLease {
    std::string key;
    FillToken fill;
    std::string value;  // empty: not loaded yet
    bool tagged = false;
  };
  struct Replica {
    std::unique_ptr<Registry> registry;
    std::unique_ptr<SimOrigin> origin;
    std::unique_ptr<CacheEngine> engine;
    std::unique_ptr<Sweeper> sweeper;
  };
  struct Choice {
    size_t weight;
    std::function<void()> act;
  };

  void MakeReplica(int index, uint64_t seed);

  void Step();
  void AddSystemChoices(std::vector<Choice>* choices);
  void AddClientChoices(std::vector<Choice>* choices);

  void StartGet(int replica, std::string key, GetCommand command);
  void RandomGet();
  void BatchGet();
  void OnGet(const Asked& asked, const GetAnswer& answer);
  void CheckAnswer(const Asked& asked, const GetAnswer& answer);
  void Set();
  void Load();
  void Fill();
  void Release();
  void Invalidate();
  void Touch();
  void Advance();
  void OriginLoads();
  void OriginAnswers();

  // Lets everything under way end. Time does not pass.
  void Settle();
  // After that nothing waits any more, and every key can still be had.
  void Quiesce();
  void CountLeases();

  int AnyReplica() { return static_cast<int>(rng_.Below(replicas_.size())); }
  std::string AnyKey() { return "k" + std::to_string(rng_.Below(static_cast<size_t>(setting_.keys))); }
  SimOrigin* OriginWith(size_t (SimOrigin::*count)() const);
  ClientLease TakeLease();
  Asked Ask(int replica, std::string key, bool from_store, bool fresh_only) const;
  SetCommand SetOf(const std::string& key, const std::string& value, bool tagged);
  void SendSet(int replica, const SetCommand& command, const std::string& value);

  void Log(const std::string& line) const {
    if (log_) log_(line);
  }
  void Fail(const std::string& what) {
    if (violation_.empty()) violation_ = what;
  }

  Rng rng_;
  const Setting setting_;
  Counts& counts_;
  const std::function<void(const std::string&)> log_;
  ManualClock clock_;
  SimScheduler scheduler_{&clock_};
  Truth truth_;
  SimNetwork network_;
  std::vector<Replica> replicas_;

  std::vector<ClientLease> leases_;
  std::set<uint64_t> answered_leases_;  // their tokens
  int open_ = 0;                        // operations that have not been answered
  std::string violation_;
};

}  // namespace larder::simulation

#endif  // LARDER_TESTS_UNIT_ENGINE_SIMULATION_WALK_H_
