// The commands of the store's operations on entries, and what their replies mean. Pure functions.
#ifndef LARDER_SERVER_REDIS_STORE_COMMANDS_H_
#define LARDER_SERVER_REDIS_STORE_COMMANDS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
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
  std::string entry_prefix;     // `<prefix>:<namespace>:e:`, followed by the key
  std::string control;          // `<prefix>:{<namespace>}:ctl`
  std::string sweep;            // `<prefix>:{<namespace>}:sweep`
  std::string note_prefix;      // `<prefix>:{<namespace>}:note:`, followed by the note's name
  std::string wake_channel;     // `<prefix>:{<namespace>}:wake`
  std::string changed_channel;  // `<prefix>:{<namespace>}:changed`
};
NamespaceKeys KeysOf(const std::string& prefix, const std::string& name_space);

// The epoch from which a reader who knows `known` asks on; 0: for everything.
uint64_t AskedFrom(ClockPosition known);

// As the scripts have a position.
void AddPosition(RedisPipeline& pipeline, ClockPosition position);

absl::Status Malformed(std::string_view what);

// Of a script that answers nothing but a number.
absl::StatusOr<int64_t> ParseNumber(RedisReplyView reply, std::string_view what);

// Two replies a key, time to live in ms and value, and last the control record (COHERENCE N4: at least as new as the
// entries). The time comes first: where somebody writes in between, the older one's may cut the newer value's life
// short, but no older value is given the newer one's.
RedisPipeline ReadCommands(const NamespaceKeys& name_space, const std::vector<std::string>& keys, ClockPosition known);
// The two of one key.
RedisPipeline EntryReadCommands(const NamespaceKeys& name_space, const std::string& key);

// What a script over an entry is told of a control record that is on another server (COHERENCE N5).
struct ToldControl {
  ClockPosition position;
  uint64_t all = 0;    // the latest hard stamp of the whole namespace
  uint64_t fence = 0;  // of a sweep, or of stamps that were forgotten
  // The version that was judged, and found alive; 0: none. None at all: whichever is there will do.
  std::optional<uint64_t> judged;
};
inline constexpr ToldControl kNothingTold{};

// `told`: null where the control record is beside the entry.
RedisPipeline WriteCommands(const NamespaceKeys& name_space, const WriteRequest& request, const Envelope& envelope,
                            int64_t ttl_ms, const ToldControl* told = nullptr);
// Of a script that was told of the control record: everything but that. So the others.
absl::StatusOr<WriteResult> ParseWritten(RedisReplyView reply);
absl::StatusOr<WriteResult> ParseWrite(RedisReplyView reply, ClockPosition known, uint64_t sequence);

RedisPipeline TouchCommands(const NamespaceKeys& name_space, const TouchRequest& request,
                            const ToldControl* told = nullptr);
absl::StatusOr<TouchResult> ParseTouched(RedisReplyView reply);
absl::StatusOr<TouchResult> ParseTouch(RedisReplyView reply, ClockPosition known, uint64_t sequence);

RedisPipeline LeaseCommands(const NamespaceKeys& name_space, const LeaseRequest& request,
                            const ToldControl* told = nullptr);
absl::StatusOr<LeaseResult> ParseLeased(RedisReplyView reply);
absl::StatusOr<LeaseResult> ParseLease(RedisReplyView reply, ClockPosition known, uint64_t sequence);

RedisPipeline ReleaseCommands(const NamespaceKeys& name_space, const ReleaseRequest& request,
                              const ToldControl* told = nullptr);

// Of the keys from `first` on: as many as one script takes.
inline constexpr size_t kKeysPerErase = 1'000;
RedisPipeline EraseCommands(const NamespaceKeys& name_space, const EraseRequest& request, size_t first);
RedisPipeline EraseCommands(const NamespaceKeys& name_space, const EraseVersionsRequest& request, size_t first);
// Of one key.
RedisPipeline EraseCommands(const NamespaceKeys& name_space, const EraseRequest& request, size_t i,
                            const ToldControl& told);
RedisPipeline EraseCommands(const NamespaceKeys& name_space, const EraseVersionsRequest& request, size_t i,
                            const ToldControl& told);

RedisPipeline PutNoteCommands(const NamespaceKeys& name_space, std::string_view name, std::string_view text,
                              int64_t ttl_nanos);
RedisPipeline GetNoteCommands(const NamespaceKeys& name_space, std::string_view name);

// DBSIZE and the parts of INFO that AddDescription reads.
RedisPipeline DescribeCommands();
// Adds what this server says to what others have said.
absl::Status AddDescription(const std::vector<RedisReplyPtr>& replies, StoreInfo& info);

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_STORE_COMMANDS_H_
