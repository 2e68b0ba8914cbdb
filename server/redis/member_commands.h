// The commands and messages of membership, and what they mean (COHERENCE S1, S2). Pure functions.
#ifndef LARDER_SERVER_REDIS_MEMBER_COMMANDS_H_
#define LARDER_SERVER_REDIS_MEMBER_COMMANDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "server/redis/redis_pipeline.h"
#include "server/redis/redis_reply.h"
#include "server/store/membership.h"

namespace larder {

// Where a member finds the others, and they it.
struct MemberNames {
  uint64_t id = 0;
  std::string record;        // `<prefix>:members`, one key, so that a script may touch it in a cluster, too
  std::string sync_channel;  // `<prefix>:sync`: who asks for acknowledgements
  std::string ack_prefix;    // `<prefix>:ack:`, followed by the id of who asked
  std::string own_channel;   // `<prefix>:own:` and the id: what it says to itself (COHERENCE N6)
};
MemberNames MemberNamesOf(const std::string& prefix, uint64_t id);
std::string AckChannel(const MemberNames& names, uint64_t asker);

// `sequence` rises with each registration of the process: of two that overtake each other the later one counts.
void AddRegister(RedisPipeline& pipeline, const MemberNames& names, const std::string& identity,
                 const MemberTerms& terms, uint64_t sequence);
struct RegisterAnswer {
  uint64_t since = 0;  // the sequence since which it has been registered without a gap
  bool counts = false;
  int64_t members = 0;
};
absl::StatusOr<RegisterAnswer> ParseRegister(RedisReplyView reply);

RedisPipeline SyncCommands(const MemberNames& names, const std::string& identity, uint64_t round);
struct SyncAnswer {
  SyncResult result;
  int64_t members = 0;
};
absl::StatusOr<SyncAnswer> ParseSync(RedisReplyView reply, uint64_t own_id);

// On both channels: who it is from, and the round. None if it is no such message.
std::string RoundMessage(uint64_t from, uint64_t round);
std::optional<std::pair<uint64_t, uint64_t>> ParseRoundMessage(std::string_view message);

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_MEMBER_COMMANDS_H_
