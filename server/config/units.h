// Durations and sizes as people write them.
#ifndef LARDER_SERVER_CONFIG_UNITS_H_
#define LARDER_SERVER_CONFIG_UNITS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace larder {

// Milliseconds of `250ms`, `1.5s`, `5m`, `1h30m`, `7d`, or `0`. INVALID_ARGUMENT saying what is wrong with the text.
absl::StatusOr<int64_t> ParseDuration(std::string_view text);

// As ParseDuration, but a bare number is in seconds.
absl::StatusOr<int64_t> ParseDurationOrSeconds(std::string_view text);

// Bytes of `65536`, `64KiB`, `1.5MiB`, `1GiB`. INVALID_ARGUMENT saying what is wrong with the text.
absl::StatusOr<int64_t> ParseBytes(std::string_view text);

// In the largest unit that needs no fraction: `5m`, `1500ms`, `0s`; `64KiB`, `1000`. Negative numbers are not taken.
std::string FormatDuration(int64_t milliseconds);
std::string FormatBytes(int64_t bytes);

}  // namespace larder

#endif  // LARDER_SERVER_CONFIG_UNITS_H_
