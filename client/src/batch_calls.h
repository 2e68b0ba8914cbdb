// BatchGet and BatchSet: one call of the application's, one or more of the service.
#ifndef LARDER_CLIENT_SRC_BATCH_CALLS_H_
#define LARDER_CLIENT_SRC_BATCH_CALLS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/src/call_maker.h"
#include "larder/cache.h"

namespace larder::internal {

// Where routing goes by key, each replica is asked for its own keys; keys that this process wrote a moment ago are
// asked for past the near tiers; what did not fit into an answer is asked for again. The call fails only if none of its
// keys was answered. `maker` must outlive the call. Options have their defaults filled in.
void StartBatchGet(CallMaker* maker, std::vector<std::string> keys, GetOptions options,
                   Callback<absl::StatusOr<BatchGetResults>> done);

void StartBatchSet(CallMaker* maker, std::vector<SetItem> items, CallOptions options,
                   Callback<absl::StatusOr<BatchSetResults>> done);

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_BATCH_CALLS_H_
