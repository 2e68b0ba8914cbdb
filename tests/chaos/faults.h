// What is done to a fleet.
#ifndef LARDER_TESTS_CHAOS_FAULTS_H_
#define LARDER_TESTS_CHAOS_FAULTS_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/chaos/fleet.h"
#include "tests/chaos/history.h"
#include "tests/chaos/random.h"
#include "tests/chaos/store_form.h"

namespace larder::chaos {

// The names of the faults that can be made where Redis has that form, for people and for PlanFaults().
std::vector<std::string_view> FaultNames(const StoreForm& form);

// Which faults are made, one after the other, and how; the same for the same seed.
struct FaultPlan {
  struct Step {
    std::string_view fault;
    uint64_t seed = 0;     // of the fault's own choices
    int pause_millis = 0;  // before it
  };
  std::vector<Step> steps;
};

// `names`: the faults to choose from, one at least; each must be one of FaultNames(). `main`: some of these, from which
// every second one is chosen; may be empty.
FaultPlan PlanFaults(uint64_t seed, int steps, const std::vector<std::string_view>& names,
                     const std::vector<std::string_view>& main);

// When faults could be felt, and which replicas they ended.
struct FaultTimes {
  std::vector<Window> windows;
  std::vector<End> ends;
};

// Makes the faults of the plan, and leaves everything running and healed, or says what does not run again. Blocks for
// as long as they take, a few seconds each at most.
absl::StatusOr<FaultTimes> MakeFaults(const FaultPlan& plan, Fleet& fleet);

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_FAULTS_H_
