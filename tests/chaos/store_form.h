// In which form Redis stands behind a fleet.
#ifndef LARDER_TESTS_CHAOS_STORE_FORM_H_
#define LARDER_TESTS_CHAOS_STORE_FORM_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/chaos/random.h"
#include "tests/chaos/store_links.h"
#include "tests/support/redis_server.h"

namespace larder::chaos {

// The servers, how a replica reaches them, and how they break. Not thread-safe but for Command() and the links; every
// call blocks.
class StoreForm {
 public:
  // What one replica has.
  struct Way {
    std::string url;
    StoreLinks* links = nullptr;  // the form's
  };

  virtual ~StoreForm() = default;

  // Starts the servers, and returns once they can be used.
  virtual absl::Status Start() = 0;

  // For one more replica, once it has been started.
  virtual absl::StatusOr<Way> AddReplica() = 0;

  // The faults of its own, for people and for Break().
  virtual std::vector<std::string_view> FaultNames() const = 0;

  // Those that the form is there for: every second fault is one of them. None: all faults are as likely.
  virtual std::vector<std::string_view> MainFaultNames() const { return {}; }

  // Makes one of FaultNames() and leaves everything running and healed, or says what does not run again. The same
  // choices for the same `random`. Takes a few seconds, 20 at most.
  virtual absl::Status Break(std::string_view fault, Random& random) = 0;

  // Runs a command on the server that takes the writes now, as anybody may who uses the same Redis.
  virtual absl::StatusOr<std::string> Command(const std::vector<std::string>& args) = 0;

  // Once a run is over: OK if the servers were in the state that the form is there for, and in a few words how that
  // showed; otherwise the run proves nothing.
  virtual absl::StatusOr<std::string> Proof() { return std::string(); }
};

// The names for MakeStoreForm().
std::vector<std::string_view> StoreFormNames();

// Not started yet. `name` must be one of StoreFormNames().
std::unique_ptr<StoreForm> MakeStoreForm(std::string_view name);

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_STORE_FORM_H_
