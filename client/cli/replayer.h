// Drives the service as a cache-aside application would.
#ifndef LARDER_CLIENT_CLI_REPLAYER_H_
#define LARDER_CLIENT_CLI_REPLAYER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "client/cli/connection.h"
#include "client/cli/progress_bar.h"
#include "client/cli/replay_lane.h"
#include "client/cli/replay_report.h"
#include "client/cli/trace_reader.h"
#include "client/cli/value_generator.h"
#include "core/clock.h"

namespace larder {

struct ReplayOptions {
  ReplaySession::Options session;
  int concurrency = 64;  // calls in flight
  int connections = 1;
  uint64_t limit = 0;  // requests at most; 0: the whole trace
};

// Replays `trace` on the calling thread, from which everything is done: a completion queue, the lanes that have a call
// in flight, the trace. Every call has the connection's deadline, so that this returns even if the server dies: at the
// end of the trace, or once `max_errors` calls in a row have failed (`gave_up`). The error is that of reading the
// trace; the report holds what was done before it.
absl::Status Replay(const ReplayOptions& options, const Connection& connection, const ValueGenerator& values,
                    const Clock& clock, TraceReader* trace, ProgressBar* bar, ReplayReport* report);

}  // namespace larder

#endif  // LARDER_CLIENT_CLI_REPLAYER_H_
