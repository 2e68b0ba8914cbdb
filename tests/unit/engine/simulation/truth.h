// What the cache may answer, by what was written, loaded and invalidated, and when that was acknowledged.
#ifndef LARDER_TESTS_UNIT_ENGINE_SIMULATION_TRUTH_H_
#define LARDER_TESTS_UNIT_ENGINE_SIMULATION_TRUTH_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace larder::simulation {

// When something took place: a count of what the store has executed. It orders the states of the system of record, too:
// a value that was loaded is as old as its load, one that was set as its Set's execution.
using Moment = uint64_t;

// What an operation of a client did in the store, filled in as that executes it.
struct Effects {
  Moment erased = 0;   // its keys
  Moment stamped = 0;  // its groups
};

struct Invalidated {
  std::vector<std::string> keys = {};
  bool tag = false;
  std::vector<std::string> patterns = {};
  bool all = false;
  bool soft = false;
};

// A Get, as it began.
struct Asked {
  int replica = 0;
  std::string key = {};
  bool from_store = false;
  bool fresh_only = false;
  int64_t began_nanos = 0;
  size_t acknowledged = 0;  // Truth::acknowledged() at that time
};

class Truth {
 public:
  explicit Truth(int64_t near_max_age_nanos) : near_max_age_nanos_(near_max_age_nanos) {}

  Moment now() const { return now_; }
  Moment Tick() { return ++now_; }

  // Its name. `moment` 0: not stored yet.
  std::string NewValue(std::string_view key, bool tagged, Moment moment);
  // A Set of it was executed.
  void SetExecuted(std::string_view value) { Of(value).moment = Tick(); }

  void SetAcknowledged(int replica, std::string_view value, int64_t now_nanos);
  void InvalidationAcknowledged(int replica, const Invalidated& what, const Effects& effects, int64_t now_nanos);
  size_t acknowledged() const { return acknowledged_.size(); }

  // Why the answer breaks COHERENCE P1 or P2, or, where it is degraded, D4; none if it keeps them.
  std::optional<std::string> Check(const Asked& asked, std::string_view value, bool stale, bool degraded = false);

 private:
  struct Value {
    std::string key;
    bool tagged = false;
    Moment moment = 0;
  };
  struct Acknowledged {
    int replica = 0;
    int64_t at_nanos = 0;
    bool is_set = false;
    Moment set = 0;  // of the value
    std::string key = {};
    Invalidated what = {};
    Effects effects = {};
  };

  Value& Of(std::string_view value) { return values_[std::stoul(std::string(value))]; }
  bool Binds(const Acknowledged& ack, const Asked& asked) const;
  // The moment before which a value is too old because of it. 0: none.
  static Moment Floor(const Acknowledged& ack, const Value& value, bool stale);

  const int64_t near_max_age_nanos_;
  Moment now_ = 1;
  std::vector<Value> values_;
  std::vector<Acknowledged> acknowledged_;
};

}  // namespace larder::simulation

#endif  // LARDER_TESTS_UNIT_ENGINE_SIMULATION_TRUTH_H_
