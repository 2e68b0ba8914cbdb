// The Gets on their way to one replica.
#ifndef LARDER_CLIENT_SRC_GET_LANE_H_
#define LARDER_CLIENT_SRC_GET_LANE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "core/mutex.h"
#include "larder/v1/cache.pb.h"

namespace larder::internal {

struct CallEnd;

// A Get that has been asked for. `done` is called exactly once; the response is meaningful if the status is OK.
struct PendingGet {
  std::string name_space;
  std::string key;
  bool near = true;         // the replica's near tier may answer
  bool fresh_only = false;  // a stale entry is a miss
  // Goes alone, as all do that are not `gatherable`.
  bool want_lease = false;
  int64_t wait_until_nanos = 0;  // until then for a value that is being loaded; 0: not at all
  bool gatherable = true;        // has the client's own deadline, as all that it may be sent with
  bool deadline_is_own = false;
  int64_t deadline_nanos = 0;
  bool sent_again = false;  // after the time of the oldest of its batch was up
  uint64_t route = 0;
  absl::AnyInvocable<void(const absl::Status&, const v1::GetResponse&, const CallEnd&) &&> done;
};

// Guarded by a lock of its own, held for the moves of a few pointers.
struct GetLane {
  // Gets that may go in one BatchGet: of one namespace, and of one mind about near tiers and stale entries. In the
  // order of their arrival.
  struct Group {
    std::string name_space;
    bool near = true;
    bool fresh_only = false;
    std::deque<PendingGet> gets;
  };

  Mutex mutex;
  std::deque<Group> groups ABSL_GUARDED_BY(mutex);  // each with a Get at least; they take turns
  size_t waiting ABSL_GUARDED_BY(mutex) = 0;        // in all groups
  int calls_under_way ABSL_GUARDED_BY(mutex) = 0;
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_GET_LANE_H_
