// Everybody who uses a fleet.
#ifndef LARDER_TESTS_CHAOS_WORKLOAD_H_
#define LARDER_TESTS_CHAOS_WORKLOAD_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/chaos/client.h"
#include "tests/chaos/fleet.h"
#include "tests/chaos/history.h"
#include "tests/chaos/library_caller.h"

namespace larder::chaos {

// Callers of each replica by all its links, one that warms up, one that writes to Redis behind Larder's back, and if
// wanted some who use our client library. Not thread-safe.
class Workload {
 public:
  // The fleet must outlive it.
  Workload(Fleet* fleet, uint64_t seed, int library_callers = 0);
  ~Workload();

  void Start();
  // Waits for the calls under way.
  void Stop();
  // Everything that was done, once it has been stopped.
  std::vector<Operation> TakeHistory();
  // How many calls of the library have ended so far, and what those that failed have ended with.
  size_t LibraryCalls() const;
  std::vector<std::string> LibraryErrors() const;

 private:
  Clients all_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<LibraryCaller*> library_callers_;  // of clients_
  std::vector<std::thread> threads_;
};

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_WORKLOAD_H_
