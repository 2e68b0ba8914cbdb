// The commands of the store's operations on a namespace's control record, and what their replies mean. Pure functions.
#ifndef LARDER_SERVER_REDIS_CONTROL_COMMANDS_H_
#define LARDER_SERVER_REDIS_CONTROL_COMMANDS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/redis/redis_pipeline.h"
#include "server/redis/redis_reply.h"
#include "server/redis/store_commands.h"
#include "server/store/store.h"

namespace larder {

RedisPipeline GroupCommands(const NamespaceKeys& name_space, const GroupRequest& request);
absl::StatusOr<GroupResult> ParseGroup(RedisReplyView reply, ClockPosition known, uint64_t sequence);

// COHERENCE N6: adds the script that has changes published, by a mark that is random.
void AddListen(RedisPipeline& pipeline, const NamespaceKeys& name_space, ClockPosition known);
struct ListenAnswer {
  uint64_t mark = 0;  // which one is in force
  ControlRange range;
};
// Nothing if there is no record.
absl::StatusOr<std::optional<ListenAnswer>> ParseListen(RedisReplyView reply);

RedisPipeline RaiseBarrierCommands(const NamespaceKeys& name_space);

// `keeps_stamps`: nothing is forgotten at its end.
RedisPipeline SweepCommands(const NamespaceKeys& name_space, const SweepRequest& request, bool keeps_stamps);
absl::StatusOr<SweepResult> ParseSweep(RedisReplyView reply, ClockPosition known, uint64_t sequence);

// Which stamps may be forgotten, by their age.
RedisPipeline AgeCommands(const NamespaceKeys& name_space, int64_t max_life_nanos);
// A generation, and the last epoch; 0: none may.
absl::StatusOr<ClockPosition> ParseAge(RedisReplyView reply);

// Forgets stamps up to a position, one page of them from `offset` on.
enum class Forgotten { kHardPatterns, kAll };
RedisPipeline ForgetCommands(const NamespaceKeys& name_space, ClockPosition up_to, Forgotten which, int64_t offset);

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_CONTROL_COMMANDS_H_
