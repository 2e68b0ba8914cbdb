// One of those who use a fleet.
#ifndef LARDER_TESTS_CHAOS_CLIENT_H_
#define LARDER_TESTS_CHAOS_CLIENT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "larder/v1/cache.grpc.pb.h"
#include "tests/chaos/fleet.h"
#include "tests/chaos/history.h"
#include "tests/chaos/random.h"

namespace larder::chaos {

// What all clients of a run share.
struct Clients {
  Fleet* fleet = nullptr;
  std::atomic<bool> stopping{false};
  std::atomic<uint64_t> last_value{0};
};

// Does what it does on one thread, and remembers it. Each call ends within its deadline.
class Client {
 public:
  Client(Clients* all, uint64_t seed) : all_(all), random_(seed) {}
  virtual ~Client() = default;

  // Until it is told to stop.
  virtual void Run() = 0;

  // Once Run() has returned.
  std::vector<Operation> TakeHistory() { return std::move(history_); }

 protected:
  static int64_t Now() { return SystemClock().NowNanos(); }
  bool stopping() const { return all_->stopping; }
  Fleet& fleet() { return *all_->fleet; }
  Random& random() { return random_; }
  // One more than any other client has had.
  uint64_t NextValue() { return all_->last_value.fetch_add(1) + 1; }
  // `operation` was done to each of the keys below kKeys of which `concerns` is true.
  template <typename Concerns>
  void NoteForKeys(Operation operation, int keys, Concerns concerns) {
    for (int key = 0; key < keys; ++key) {
      if (!concerns(key)) continue;
      operation.key = key;
      Note(operation);
    }
  }
  void Note(const Operation& operation) { history_.push_back(operation); }

 private:
  Clients* const all_;
  Random random_;
  std::vector<Operation> history_;
};

// A stub of that replica, without retries.
std::unique_ptr<v1::Cache::Stub> StubOf(Fleet& fleet, int replica);

// COHERENCE P4. A call that is refused as wrong ends the program: the workload is.
Outcome OutcomeOf(const grpc::Status& status);

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_CLIENT_H_
