// Sends Gets that are under way together as one BatchGet.
#ifndef LARDER_CLIENT_SRC_GATHERER_H_
#define LARDER_CLIENT_SRC_GATHERER_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "client/src/call_env.h"
#include "client/src/get_lane.h"
#include "client/src/replica.h"
#include "client/src/unary_call.h"

namespace larder::internal {

// As Nagle's algorithm does for bytes, without its timer: while fewer than `max_calls` calls are under way to a
// replica, a Get is sent at once, alone; else it waits for one of them to end, and then goes with all that wait,
// `max_keys` at most. So a lone caller loses nothing, and many callers share the cost of a call. A call counts as under
// way until its callbacks have returned, lest the first Gets that those make go alone. Thread-safe; never blocks.
//
// A batch has the deadline of its oldest member; those of the others who have time left when it passes go again.
class Gatherer {
 public:
  // Gets that wait for one replica; more are refused with RESOURCE_EXHAUSTED.
  static constexpr size_t kMaxWaiting = 65'536;

  // `env` must outlive it and its calls.
  explicit Gatherer(CallEnv* env) : env_(env) {}

  // `replica`: where to; null if none is known.
  void Get(std::shared_ptr<Replica> replica, PendingGet get);

 private:
  using Batch = std::vector<PendingGet>;

  // Under the lane's lock.
  static void Append(GetLane* lane, PendingGet get) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lane->mutex);
  Batch TakeBatch(GetLane* lane) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lane->mutex);
  static Batch TakeAll(GetLane* lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lane->mutex);

  CallSpec Spec(const PendingGet& get, std::shared_ptr<Replica> replica) const;
  void SendAlone(const std::shared_ptr<Replica>& replica, PendingGet get, bool in_lane);
  void SendBatch(const std::shared_ptr<Replica>& replica, Batch batch, bool in_lane);
  void Deliver(const std::shared_ptr<Replica>& replica, Batch batch, const absl::Status& status,
               const v1::BatchGetResponse& response, CallEnd end);
  static void Fail(Batch batch, const absl::Status& status);
  // A call of the lane has ended, and its callbacks are about to run. True: SendNext() is to be called after them,
  // since Gets that they make, or that come from those they wake, then go together. False: as many waited as a batch
  // takes, and went.
  bool KeepsPlace(const std::shared_ptr<Replica>& replica);
  // What waits goes next, in the place of a call of the lane that has ended.
  void SendNext(const std::shared_ptr<Replica>& replica);

  CallEnv* const env_;
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_GATHERER_H_
