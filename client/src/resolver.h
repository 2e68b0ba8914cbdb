// Looks the service's names up, again and again.
#ifndef LARDER_CLIENT_SRC_RESOLVER_H_
#define LARDER_CLIENT_SRC_RESOLVER_H_

#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "client/src/target.h"
#include "core/mutex.h"

namespace larder::internal {

// A thread that blocks in the system's resolver, so that nothing else has to. Thread-safe.
class Resolver {
 public:
  using OnAddresses = std::function<void(const std::vector<Address>&)>;

  // Looks up once, and blocks for that. `on_addresses` is called with what is known after each look-up, first from
  // within the constructor; a name that is not found keeps the addresses that it had. Where no target is a name, there
  // is no thread.
  Resolver(std::vector<Target> targets, std::chrono::milliseconds interval, OnAddresses on_addresses);
  // Blocks for as long as a look-up under way takes.
  ~Resolver();

  // A replica was lost: look again soon, but at most once in kSoonest.
  void LookSoon();

  static constexpr std::chrono::milliseconds kSoonest{500};

 private:
  void Run();
  void LookUp();

  const std::vector<Target> targets_;
  const std::chrono::milliseconds interval_;
  const OnAddresses on_addresses_;

  std::vector<std::vector<Address>> known_;  // of each target; the constructor's, then the thread's

  Mutex mutex_;
  CondVar wake_;
  bool soon_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_RESOLVER_H_
