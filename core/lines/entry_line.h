// Entries of a cache as lines of JSON: what `larder warm` and a warm-up from a file read.
#ifndef LARDER_CORE_LINES_ENTRY_LINE_H_
#define LARDER_CORE_LINES_ENTRY_LINE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace larder {

struct EntryLine {
  std::string key = {};
  std::string value = {};
  std::string content_type = {};
  // At most one of the two; neither: the namespace's default.
  std::optional<int64_t> ttl_ms = {};
  std::optional<std::string> ttl_class = {};
  std::optional<int64_t> stale_for_ms = {};
  std::vector<std::string> tags = {};
  bool sliding = false;
  bool absent = false;
};

// One JSON object with `key` or `key_base64`, and `value` or `value_base64` or `absent`: true; optionally one of `ttl`
// ("5m"), `ttl_ms` and `class`, one of `stale_for` and `stale_for_ms`, `tags`, `sliding`, and `content_type`.
// INVALID_ARGUMENT, naming the field, for anything else. The limits of a namespace are not looked at.
absl::StatusOr<EntryLine> ParseEntryLine(std::string_view text);

}  // namespace larder

#endif  // LARDER_CORE_LINES_ENTRY_LINE_H_
