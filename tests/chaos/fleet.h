// Replicas, the Redis behind them, and what lies between.
#ifndef LARDER_TESTS_CHAOS_FLEET_H_
#define LARDER_TESTS_CHAOS_FLEET_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/chaos/store_form.h"
#include "tests/chaos/store_links.h"
#include "tests/chaos/tcp_proxy.h"
#include "tests/support/larder_server.h"

namespace larder::chaos {

inline constexpr int kReplicas = 3;

// Three larderd that hear of changes on one Redis, in some form. Each reaches it by proxies of its own, in which the
// connection that tells of changes is marked, and is called by another. Not thread-safe but for the proxies, the form's
// Command() and StepWallClock(); calls block.
class Fleet {
 public:
  struct Options {
    std::string program;          // the larderd
    std::string bug;              // planted in it; empty: none
    std::string form = "single";  // one of StoreFormNames()
    int64_t lease_nanos = 0;
    int64_t store_timeout_nanos = 0;   // of one operation
    int64_t sweep_interval_nanos = 0;  // at least 100 ms
    int64_t degraded_max_age_nanos = 0;
    std::string on_store_loss = "near_only";
    int connections = 1;                 // store.redis.connections; a last release may know nothing of more
    std::string coherence = "tracking";  // near.coherence, but not age
  };

  // Returns once all serve and hear of changes.
  static absl::StatusOr<std::unique_ptr<Fleet>> Start(const Options& options);
  ~Fleet();

  StoreForm& store() { return *store_; }
  // Whether replicas hear of what others than Larder write.
  bool hears_foreign() const { return options_.coherence == "tracking"; }
  LarderServer& replica(int i) { return *replicas_[static_cast<size_t>(i)]; }
  StoreLinks& store_link(int i) { return *store_links_[static_cast<size_t>(i)]; }
  TcpProxy& call_link(int i) { return *call_links_[static_cast<size_t>(i)]; }

  // OK once all replicas, none of which has ended by itself, hear of changes.
  absl::Status AwaitTracking();

  // Ends a replica in order, and starts `program` in its place, as a rolling upgrade does. OK once that serves and
  // hears of changes.
  absl::Status Replace(int i, const std::string& program);

  // Sets the clock on which a replica would count that trusts one that can be set. Those that keep the rules have none.
  void StepWallClock(int64_t nanos);

 private:
  explicit Fleet(const Options& options) : options_(options) {}

  absl::Status MakeFolder();
  absl::Status StartReplica(const Options& options, int i);

  const Options options_;
  std::string folder_;
  std::atomic<int64_t>* wall_step_ = nullptr;  // in a file that the replicas map
  std::unique_ptr<StoreForm> store_;
  std::vector<StoreLinks*> store_links_;  // the form's
  std::vector<std::unique_ptr<LarderServer>> replicas_;
  std::vector<std::unique_ptr<TcpProxy>> call_links_;
};

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_FLEET_H_
