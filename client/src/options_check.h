// Whether options make sense.
#ifndef LARDER_CLIENT_SRC_OPTIONS_CHECK_H_
#define LARDER_CLIENT_SRC_OPTIONS_CHECK_H_

#include "absl/status/status.h"
#include "larder/options.h"

namespace larder::internal {

// INVALID_ARGUMENT naming the first field that does not, and its limits.
absl::Status CheckOptions(const ClientOptions& options);

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_OPTIONS_CHECK_H_
