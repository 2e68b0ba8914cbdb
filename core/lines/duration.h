// Lengths of time as people write them.
#ifndef LARDER_CORE_LINES_DURATION_H_
#define LARDER_CORE_LINES_DURATION_H_

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"

namespace larder {

// `250ms`, `5m`, `1h30m`, `7d`: whole numbers, each with one of the units ms, s, m, h, d; in milliseconds.
// INVALID_ARGUMENT, quoting `text`, if it is anything else, zero, or longer than 64 bits of nanoseconds hold.
absl::StatusOr<int64_t> ParseDurationMillis(std::string_view text);

}  // namespace larder

#endif  // LARDER_CORE_LINES_DURATION_H_
