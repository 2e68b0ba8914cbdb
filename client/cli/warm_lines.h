// The JSON lines that `larder warm` reads.
#ifndef LARDER_CLIENT_CLI_WARM_LINES_H_
#define LARDER_CLIENT_CLI_WARM_LINES_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "larder/v1/cache.pb.h"

namespace larder {

// Entries that take more are refused here: a message too large for the server would end the whole stream.
inline constexpr size_t kMaxWarmEntryBytes = size_t{15} << 20;

// One JSON object with `key` or `key_base64`, `value` or `value_base64`, and optionally one of `ttl` ("5m"), `ttl_ms`
// and `class`, and `content_type`. INVALID_ARGUMENT, naming the line and the field, for anything else, and for an entry
// that takes more than `max_entry_bytes` on the wire.
absl::StatusOr<v1::WarmRequest> ParseWarmLine(uint64_t line_number, std::string_view text,
                                              size_t max_entry_bytes = kMaxWarmEntryBytes);

// Tells which line an entry of the stream came from. Takes memory only where lines were left out.
class LineIndex {
 public:
  // The next entry came from `line`. Lines rise.
  void Add(uint64_t line);

  // The line of the entry at `index`, from 0; 0 if there is no such entry.
  uint64_t LineOf(int64_t index) const;

 private:
  struct Run {
    int64_t first_index;
    uint64_t first_line;
  };
  std::vector<Run> runs_;  // each of entries from consecutive lines, in order
  int64_t size_ = 0;
};

}  // namespace larder

#endif  // LARDER_CLIENT_CLI_WARM_LINES_H_
