// What scripts over entries must be told of a control record that is on another server (COHERENCE N5). Pure functions.
#ifndef LARDER_SERVER_REDIS_APART_COMMANDS_H_
#define LARDER_SERVER_REDIS_APART_COMMANDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/entry.h"
#include "server/redis/redis_pipeline.h"
#include "server/redis/redis_reply.h"
#include "server/redis/store_commands.h"
#include "server/store/store.h"

namespace larder {

// As the record said at one moment, but for `update`, which is from a little earlier.
struct ControlFacts {
  ControlUpdate update;
  // Never ahead of the record, however that has changed meanwhile.
  ClockPosition position;
  uint64_t all = 0;       // the latest hard stamp of the whole namespace
  uint64_t hard = 0;      // of any group
  uint64_t patterns = 0;  // how many stamps of patterns there are
  uint64_t fence = 0;
  std::vector<std::string> tags;  // those that were asked about,
  std::vector<uint64_t> stamps;   // and the latest hard stamp of each; 0: none

  // Whether the whole namespace, or one of these tags, which must be among those that were asked about, was invalidated
  // hard after `epoch`.
  bool Kills(TagList of, uint64_t epoch) const;
  ToldControl Told() const { return {position, all, fence, std::nullopt}; }
};

// Two replies.
RedisPipeline FactsCommands(const NamespaceKeys& name_space, ClockPosition known, const std::vector<std::string>& tags);

// Nothing if there is no record.
absl::StatusOr<std::optional<ControlFacts>> ParseFacts(const std::vector<RedisReplyPtr>& replies, ClockPosition known,
                                                       std::vector<std::string> tags, uint64_t order);

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_APART_COMMANDS_H_
