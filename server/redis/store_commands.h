// The commands of each of the store's operations, and what their replies mean. Pure functions.
#ifndef LARDER_SERVER_REDIS_STORE_COMMANDS_H_
#define LARDER_SERVER_REDIS_STORE_COMMANDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/redis/control_record.h"
#include "server/redis/redis_pipeline.h"
#include "server/redis/redis_reply.h"
#include "server/store/envelope.h"
#include "server/store/store.h"

namespace larder {

// Where a namespace's things are in Redis.
struct NamespaceKeys {
  std::string name;
  std::string entry_prefix;  // `<prefix>:<namespace>:e:`, followed by the key
  std::string control;       // `<prefix>:{<namespace>}:ctl`
};
NamespaceKeys KeysOf(const std::string& prefix, const std::string& name_space);

// The epoch from which a reader who knows `known` asks on; 0: for everything.
uint64_t AskedFrom(ClockPosition known);

// Two replies a key, value and time to live in ms, and last the control record (COHERENCE N4: at least as new as the
// entries).
RedisPipeline ReadCommands(const NamespaceKeys& name_space, const std::vector<std::string>& keys, ClockPosition known);

RedisPipeline WriteCommands(const NamespaceKeys& name_space, const WriteRequest& request, const Envelope& envelope,
                            int64_t ttl_ms);
absl::StatusOr<WriteResult> ParseWrite(RedisReplyView reply, ClockPosition known, uint64_t sequence);

RedisPipeline TouchCommands(const NamespaceKeys& name_space, const TouchRequest& request);
absl::StatusOr<TouchResult> ParseTouch(RedisReplyView reply, ClockPosition known, uint64_t sequence);

// As many commands as it takes; each answers how many it erased.
RedisPipeline EraseCommands(const NamespaceKeys& name_space, const std::vector<std::string>& keys);

RedisPipeline InvalidateAllCommands(const NamespaceKeys& name_space, ClockPosition known);
RedisPipeline RaiseBarrierCommands(const NamespaceKeys& name_space);

// Of a reply that must hold a control record.
absl::StatusOr<ControlUpdate> ParseUpdate(RedisReplyView members, ClockPosition known, uint64_t sequence);

// DBSIZE and the parts of INFO that ParseDescription reads.
RedisPipeline DescribeCommands();
absl::Status ParseDescription(const std::vector<RedisReplyPtr>& replies, StoreInfo& info);

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_STORE_COMMANDS_H_
