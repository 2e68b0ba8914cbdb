// A Get that the near tier could not answer.
#ifndef LARDER_SERVER_ENGINE_PENDING_GET_H_
#define LARDER_SERVER_ENGINE_PENDING_GET_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "server/engine/commands.h"

namespace larder {

// `done` is run exactly once, by whoever holds this last.
struct PendingGet {
  int64_t started_nanos = 0;
  int64_t wait_until_nanos = 0;  // for what somebody else is loading
  bool wants_lease = false;
  bool fresh_only = false;
  bool from_store = false;
  bool is_counted_as_waiting = false;
  int64_t deadline_nanos = std::numeric_limits<int64_t>::max();  // the call's
  int rounds = 0;  // reads made for it; bounds what others' writes can make it do
  Done<GetAnswer> done;
};

using PendingGets = std::vector<PendingGet>;

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_PENDING_GET_H_
