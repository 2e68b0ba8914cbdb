// Sends Gets that are under way together as one BatchGet.
#ifndef LARDER_CLIENT_SRC_GATHERER_H_
#define LARDER_CLIENT_SRC_GATHERER_H_

#include <memory>
#include <vector>

#include "client/src/call_env.h"
#include "client/src/get_lane.h"
#include "client/src/replica.h"
#include "client/src/unary_call.h"

namespace larder::internal {

// As Nagle's algorithm does for bytes, without its timer: while fewer than `max_calls` calls are under way to a
// replica, a Get is sent at once, alone; else it waits for one of them to end, and then goes with all that wait,
// `max_keys` at most. So a lone caller loses nothing, and many callers share the cost of a call. Thread-safe; never
// blocks.
//
// A batch has the deadline of its oldest member, all of which have the client's: the others lose what they came later.
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

  static bool FitTogether(const PendingGet& a, const PendingGet& b);
  CallSpec Spec(const PendingGet& get, std::shared_ptr<Replica> replica) const;
  void SendAlone(const std::shared_ptr<Replica>& replica, PendingGet get, bool in_lane);
  void SendBatch(const std::shared_ptr<Replica>& replica, Batch batch);
  void Deliver(const std::shared_ptr<Replica>& replica, Batch batch, const absl::Status& status,
               const v1::BatchGetResponse& response, const CallEnd& end);
  // A call of the lane has ended: what waits goes next.
  void SendNext(const std::shared_ptr<Replica>& replica);

  CallEnv* const env_;
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_GATHERER_H_
