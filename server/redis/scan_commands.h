// The commands that look at what is under keys, without its value, and what their replies mean. Pure functions.
#ifndef LARDER_SERVER_REDIS_SCAN_COMMANDS_H_
#define LARDER_SERVER_REDIS_SCAN_COMMANDS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/redis/redis_pipeline.h"
#include "server/redis/redis_reply.h"
#include "server/redis/store_commands.h"
#include "server/store/store.h"

namespace larder {

// Where a scan goes on: on which of the servers, and where there.
struct ScanPlace {
  std::string part;
  std::string cursor;
  std::optional<std::string> next_part;  // the one after it; none: it is the last
};
// Of the cursor that a scan answered, `part:cursor`, or without the first where there is but one server; empty: the
// start. A server that is gone has given its keys to the others: its place is the next one's start. None if it is no
// such cursor, or there is no server.
std::optional<ScanPlace> ScanPlaceOf(std::string_view cursor, const std::vector<std::string>& parts);
// Whether it is a cursor of servers that come after all there are: their keys are the others'. `parts`: not empty.
bool IsPastAll(std::string_view cursor, const std::vector<std::string>& parts);
// The cursor that the scan answers, by the one that the server did; empty: the end.
std::string CursorAfter(const ScanPlace& place, std::string cursor);

// Redis is never given anybody's pattern: only the prefix of the namespace's entries, with nothing in it that could be
// read as a pattern.
RedisPipeline ScanCommands(const NamespaceKeys& name_space, std::string_view cursor, int count);

struct ScannedKeys {
  std::string cursor;             // empty: the end
  std::vector<std::string> keys;  // of the namespace's entries, without the prefix
};
absl::StatusOr<ScannedKeys> ParseScan(RedisReplyView reply, const NamespaceKeys& name_space);

// Of the keys from `first` on, as many as one script takes. `patterns`: for each of those the latest hard stamp of a
// pattern that matches it, or 0.
inline constexpr size_t kKeysPerEraseDead = 200;
RedisPipeline EraseDeadCommands(const NamespaceKeys& name_space, const std::vector<std::string>& keys, size_t first,
                                const std::vector<uint64_t>& patterns, ClockPosition known, uint64_t generation);
// Adds to what `result` already counts.
absl::Status ParseEraseDead(RedisReplyView reply, ClockPosition known, uint64_t sequence, EraseDeadResult* result);

// Of most entries everything that stands before the value is in this many bytes.
inline constexpr size_t kUsualHeadBytes = 400;
inline constexpr size_t kRepliesPerLook = 3;
void AddLook(RedisPipeline& pipeline, const NamespaceKeys& name_space, std::string_view key, size_t head_bytes);

// What the replies from `at` on say of a key.
struct KeyLook {
  StoredItem item;
  size_t wanted_bytes = 0;  // not 0: what stands before the value is longer than what was asked for
};
// An error if the replies are of another kind than WRONGTYPE.
absl::StatusOr<KeyLook> ParseLook(const std::vector<RedisReplyPtr>& replies, size_t at, std::string key,
                                  int64_t sent_nanos);

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_SCAN_COMMANDS_H_
