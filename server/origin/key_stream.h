// One Enumerate call of the origin.
#ifndef LARDER_SERVER_ORIGIN_KEY_STREAM_H_
#define LARDER_SERVER_ORIGIN_KEY_STREAM_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "core/clock.h"
#include "grpcpp/client_context.h"
#include "larder/v1/origin.pb.h"
#include "server/engine/scheduler.h"
#include "server/origin/origin_wire.h"

namespace larder {

// Held by shared_ptr, which its watch takes part in.
class KeyStream : public std::enable_shared_from_this<KeyStream> {
 public:
  using Take = absl::AnyInvocable<bool(std::vector<std::string>)>;

  // Both must live until Run() has returned.
  KeyStream(std::shared_ptr<const OriginRoute> route, std::string prefix, int64_t limit, Scheduler* scheduler,
            const Clock* clock);

  // Once. Hands the keys to `take`, which may block, and returns when there are no more to be taken.
  absl::Status Run(Take& take);

  // Ends Run() with ShutDown(), as soon as `take` returns. Any thread.
  void Cancel();
  static absl::Status ShutDown();

  // Whether the thread that runs it has nothing more to do.
  bool ended() const { return ended_.load(std::memory_order_acquire); }
  void set_ended() { ended_.store(true, std::memory_order_release); }

 private:
  static constexpr int64_t kNotReading = std::numeric_limits<int64_t>::max();

  // FAILED_PRECONDITION if it holds what the origin may not answer; else `keys` has what is wanted of it.
  absl::Status Unpack(v1::EnumerateResponse& response, std::vector<std::string>& keys) const;
  // Gives up on an origin that is asked for the next keys and says nothing for the time that a call may take.
  void Watch(int64_t when_nanos);
  void OnWatch();

  const std::shared_ptr<const OriginRoute> route_;
  const std::string prefix_;
  const int64_t limit_;
  Scheduler* const scheduler_;
  const Clock* const clock_;
  grpc::ClientContext context_;
  int64_t given_ = 0;
  std::atomic<int64_t> reading_since_{kNotReading};
  std::atomic<bool> over_{false};  // nothing more to watch
  std::atomic<bool> timed_out_{false};
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> ended_{false};
};

}  // namespace larder

#endif  // LARDER_SERVER_ORIGIN_KEY_STREAM_H_
