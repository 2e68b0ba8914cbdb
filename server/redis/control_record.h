// A namespace's control record in Redis (COHERENCE C1): a sorted set, ordered by stamp, so that "everything later than
// e" is one range read. It has no time to live. docs/envelope.md lists its members; those that only the scripts need
// have scores below zero, where no such read sees them.
#ifndef LARDER_SERVER_REDIS_CONTROL_RECORD_H_
#define LARDER_SERVER_REDIS_CONTROL_RECORD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/redis/redis_pipeline.h"
#include "server/redis/redis_reply.h"
#include "server/store/control.h"

namespace larder {

// A generation as the record and the scripts have it: 16 hexadecimal digits.
std::string GenerationText(uint64_t generation);

// The members later than a position.
struct ControlRange {
  uint64_t generation = 0;
  uint64_t epoch = 0;  // 0: not later than the position
  uint64_t floor = 0;  // 0: not later than the position
  std::vector<Stamp> stamps;
};

// Adds the command that reads the members later than `epoch`.
void AddControlRead(RedisPipeline& pipeline, const std::string& control_key, uint64_t epoch);

// The servers whose lives a record speaks of (COHERENCE C3); each a list with commas.
struct RecordedServers {
  std::string there;         // identities of those whose entries are judged by the record
  std::string unknown = {};  // names of those that cannot be asked
};

// Adds the script that makes the record if there is none made on those servers; it answers a whole range, or nothing.
void AddEnsure(RedisPipeline& pipeline, const std::string& control_key, const RecordedServers& servers,
               bool answers = true);

// Nothing if there is no record. UNAVAILABLE if it is of a format that this release does not know; INTERNAL if it is
// no record at all.
absl::StatusOr<std::optional<ControlRange>> ParseControlRange(RedisReplyView reply);

// What the range tells one who knows `known`. `range` must be complete if its generation is another than the known.
ControlUpdate UpdateOf(ControlRange range, ClockPosition known, uint64_t sequence);

// Of a reply that must hold a record: UNAVAILABLE if it holds none.
absl::StatusOr<ControlUpdate> ParseUpdate(RedisReplyView members, ClockPosition known, uint64_t sequence);

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_CONTROL_RECORD_H_
