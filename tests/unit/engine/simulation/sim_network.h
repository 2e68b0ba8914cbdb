// A store that several replicas reach over connections that delay.
#ifndef LARDER_TESTS_UNIT_ENGINE_SIMULATION_SIM_NETWORK_H_
#define LARDER_TESTS_UNIT_ENGINE_SIMULATION_SIM_NETWORK_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/store/embedded_store.h"
#include "tests/support/manual_clock.h"
#include "tests/unit/engine/simulation/rng.h"
#include "tests/unit/engine/simulation/truth.h"

namespace larder::simulation {

// What all walks together met, so that none of it can go missing unnoticed.
using Counts = std::map<std::string, uint64_t>;

// A command on its way, or its answer on the way back.
struct Call {
  std::string what;
  int64_t sent_nanos = 0;
  std::shared_ptr<Effects> effects;  // of the client's operation that it is part of, or null
  std::function<void()> execute;
  std::function<void(absl::Status)> answer;  // OK: with what execute() found
};

// One embedded store behind a few connections for each replica. A connection carries commands and answers in order; of
// several, anything may overtake anything. Commands can get lost, answers can get lost, and a command whose caller has
// been told that it failed can be executed late. Wakes travel by themselves, in any order.
//
// Not thread-safe: the walk decides what happens next.
class SimNetwork {
 public:
  struct Options {
    int replicas = 1;
    int connections = 1;    // of each replica
    int fault_percent = 0;  // of the calls
    bool lossy_wakes = false;
    // As Redis does: patterns are remembered and told, but what is stored is not looked at by them.
    bool judges_no_patterns = false;
    // The control record that comes with what was read is read later than that.
    bool late_control = false;
    std::function<void(const std::string&)> log;  // null: none
  };

  SimNetwork(Options options, ManualClock* clock, Rng* rng, Truth* truth, Counts* counts);
  ~SimNetwork();

  Store* link(int replica) { return links_[static_cast<size_t>(replica)].get(); }

  // How many of each there are to choose from.
  size_t commands() const { return CountBusy(&Connection::commands); }
  size_t answers() const { return CountBusy(&Connection::answers); }
  size_t late() const { return late_.size(); }
  size_t wakes() const { return wakes_.size(); }
  bool idle() const { return commands() + answers() + late() + wakes() == 0; }
  int64_t oldest_nanos() const;  // when the first of all that is under way was sent

  void Execute();
  void Answer();
  void ExecuteLate();
  void Wake();

  void RaiseBarrier();

  // Calls sent while it is set belong to that operation, and so do those that their answers lead to.
  std::shared_ptr<Effects> operation;

  // What went wrong below the engines; empty: nothing.
  const std::string& violation() const { return violation_; }

  std::set<uint64_t> granted;  // tokens of leases that a replica was told of
  std::set<uint64_t> given_back;

 private:
  friend class SimLink;

  struct Connection {
    std::deque<std::shared_ptr<Call>> commands;
    std::deque<std::pair<std::shared_ptr<Call>, absl::Status>> answers;
  };
  struct WakeMessage {
    int replica = 0;
    std::string name_space;
    std::string key;
  };
  // COHERENCE P3.
  struct Held {
    int64_t until_nanos = 0;
    bool of_entry = false;
  };

  template <typename Queue>
  size_t CountBusy(Queue Connection::*queue) const {
    size_t count = 0;
    for (const Connection& connection : connections_) count += (connection.*queue).empty() ? 0 : 1;
    return count;
  }
  template <typename Queue>
  Connection& ChooseBusy(Queue Connection::*queue) {
    size_t left = rng_.Below(CountBusy(queue));
    for (Connection& connection : connections_) {
      if (!(connection.*queue).empty() && left-- == 0) return connection;
    }
    return connections_.front();
  }

  void Send(int replica, std::shared_ptr<Call> call);
  void OnWake(std::string_view name_space, std::string_view key);
  void Log(const std::string& line) const {
    if (options_.log) options_.log(line);
  }

  // The patterns of a namespace are kept as tags that no entry has.
  static void HidePatterns(GroupRequest* request);
  void ShowPatterns(ControlUpdate* update);
  void Sharing(ControlUpdate* update) {
    if (options_.judges_no_patterns) ShowPatterns(update);
  }

  void WillLease(const LeaseRequest& request);
  void Granted(const LeaseRequest& request);
  void LeaseEnded(const std::string& key) { held_.erase(key); }
  void AllLeasesEnded() { held_.clear(); }

  const Options options_;
  ManualClock& clock_;
  Rng& rng_;
  Truth& truth_;
  Counts& counts_;
  EmbeddedStore store_;
  std::vector<std::unique_ptr<Store>> links_;
  std::vector<Store::WakeListener> listeners_;  // by replica
  std::vector<Connection> connections_;
  std::deque<std::shared_ptr<Call>> late_;
  std::deque<WakeMessage> wakes_;
  std::map<std::string, Held> held_;
  bool asks_of_entry_ = false;
  std::string violation_;
};

}  // namespace larder::simulation

#endif  // LARDER_TESTS_UNIT_ENGINE_SIMULATION_SIM_NETWORK_H_
