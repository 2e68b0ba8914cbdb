// One run of a fleet under faults, and what came of it.
#ifndef LARDER_TESTS_CHAOS_RUN_H_
#define LARDER_TESTS_CHAOS_RUN_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "tests/chaos/history.h"

namespace larder::chaos {

struct RunOptions {
  std::string program;  // the larderd
  // Not empty: a rolling upgrade from this larderd to `program`, or every second turn a downgrade, comes before the
  // faults.
  std::string other_program;
  std::string bug;                     // planted in it; empty: none
  std::string form;                    // of StoreFormNames()
  std::string coherence = "tracking";  // near.coherence, but not age
  uint64_t seed = 0;                   // of what is done and when
  uint64_t turn = 0;                   // chooses how the replicas are configured, and how long the run goes on
  int faults = 5;
  std::vector<std::string> only;  // of these faults alone; empty: of all that the form allows
  int calm_millis = 1'000;        // before the first fault
  int settle_millis = 500;        // after the last one
  int lease_millis = 1'000;       // near.lease, and so delta
  int store_timeout_millis = 0;   // 0: by the turn
};

// What the clients did and saw in a time without faults. A run that did less proves too little to count.
struct Calm {
  double rate = 0;  // reads a second
  double hits = 0;
  double near_hits = 0;

  bool is_slow() const { return rate < 1'000; }
  bool is_useless() const { return hits < 0.50 || near_hits < 0.20; }
  bool counts() const { return !is_slow() && !is_useless(); }
};

struct RunResult {
  absl::Status status;  // not OK: the run could not be made
  size_t answers = 0;   // to Gets, each of which was checked
  size_t strong = 0;    // writes that were acknowledged as STRONG
  Calm calm;
  Calm after;
  absl::Status form;                // not OK: Redis was not in the state that its form is there for
  std::string proof;                // how it showed that it was
  size_t library_calls = 0;         // of the client library, while replicas were replaced
  std::vector<std::string> errors;  // with which some of them ended
  std::vector<std::string> faults;
  std::vector<Violation> violations;

  bool rolls = false;  // replicas are to be replaced

  bool counts() const {
    return calm.counts() && after.counts() && strong > 0 && form.ok() && (!rolls || library_calls >= 1'000);
  }
};

// The faults that may be made: of `only`, or all if that is empty, those that the form allows.
std::vector<std::string_view> FaultsOf(const std::string& form, const std::vector<std::string>& only);

// Blocks for as long as the run takes, half a minute and more.
RunResult Run(const RunOptions& options);

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_RUN_H_
