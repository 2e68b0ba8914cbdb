// Streams of keys from the origin.
#ifndef LARDER_SERVER_ORIGIN_KEY_ENUMERATOR_H_
#define LARDER_SERVER_ORIGIN_KEY_ENUMERATOR_H_

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "server/engine/scheduler.h"
#include "server/origin/origin_wire.h"

namespace larder {

class KeyStream;

// Each stream has a thread of its own, because who takes the keys may block; they are few. Thread-safe.
class KeyEnumerator {
 public:
  using Take = absl::AnyInvocable<bool(std::vector<std::string>)>;
  using Done = absl::AnyInvocable<void(absl::Status) &&>;

  // Both must live until Shutdown() has returned.
  KeyEnumerator(Scheduler* scheduler, const Clock* clock) : scheduler_(scheduler), clock_(clock) {}
  ~KeyEnumerator();

  // As Origin::Enumerate. RESOURCE_EXHAUSTED if there is no thread to be had.
  void Start(std::shared_ptr<const OriginRoute> route, std::string prefix, int64_t limit, Take take, Done done);

  // Cancels the streams and waits for their ends, and so for what takes their keys.
  void Shutdown();

 private:
  struct Running {
    std::shared_ptr<KeyStream> stream;
    std::thread thread;
  };

  Scheduler* const scheduler_;
  const Clock* const clock_;
  Mutex mutex_;
  std::list<Running> running_ ABSL_GUARDED_BY(mutex_);  // some of them may have ended
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace larder

#endif  // LARDER_SERVER_ORIGIN_KEY_ENUMERATOR_H_
