// Clients that read and write, and remember what they saw.
#ifndef LARDER_TESTS_CHAOS_WORKLOAD_H_
#define LARDER_TESTS_CHAOS_WORKLOAD_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "tests/chaos/fleet.h"
#include "tests/chaos/history.h"

namespace larder::chaos {

// The keys. Those below kSoftKeys are also invalidated as SOFT. The last kWarmedKeys are written by warm-ups, and
// invalidated in groups, alone: a warm-up is no older than the groups' invalidations since its start, of single keys it
// knows nothing (COHERENCE E4).
inline constexpr int kKeys = 48;
inline constexpr int kSoftKeys = 8;
inline constexpr int kWarmedKeys = 8;

// Calls through all links of a fleet from a few threads each, a thread that warms, and one that writes to Redis behind
// Larder's back. Each call ends within its deadline. Not thread-safe.
class Workload {
 public:
  // The fleet must outlive it.
  Workload(Fleet* fleet, uint64_t seed);
  ~Workload();

  void Start();
  // Waits for the calls under way.
  void Stop();
  // Everything that was done, once it has been stopped.
  std::vector<Operation> TakeHistory();

 private:
  struct Client;

  Fleet* const fleet_;
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> last_value_{0};
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::thread> threads_;
};

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_WORKLOAD_H_
