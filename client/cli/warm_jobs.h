// The warm-up jobs that a server is configured with.
#ifndef LARDER_CLIENT_CLI_WARM_JOBS_H_
#define LARDER_CLIENT_CLI_WARM_JOBS_H_

#include <cstdint>
#include <string>

#include "client/cli/connection.h"
#include "client/cli/output.h"

namespace larder {

// Runs the job, or joins the run under way, and shows its progress until it ends. The namespace is the connection's; it
// may be left out where no other has a job of that name. A server that gives no sign of life for `patience_ms` is given
// up; the job goes on then. kService if the job failed, or any of its keys did.
ExitCode RunWarmJob(const std::string& job, int64_t patience_ms, const Connection& connection, Output& output);

// Writes how each stands.
ExitCode ListWarmJobs(const Connection& connection, Output& output);

}  // namespace larder

#endif  // LARDER_CLIENT_CLI_WARM_JOBS_H_
