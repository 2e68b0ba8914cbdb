#include "server/redis/store_commands.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "core/clock.h"
#include "server/store/random_bits.h"

namespace larder {
namespace {

constexpr size_t kKeysPerUnlink = 1'000;
constexpr size_t kVersionBytes = 8;

std::string_view ConditionName(Condition::Kind kind) {
  switch (kind) {
    case Condition::Kind::kNone:
      return "none";
    case Condition::Kind::kAbsent:
      return "absent";
    case Condition::Kind::kPresent:
      return "present";
    case Condition::Kind::kVersion:
      return "version";
  }
  return "none";
}

// As the envelope has it: scripts compare versions as bytes, since their numbers are doubles.
std::string VersionBytes(uint64_t version) {
  std::string bytes(kVersionBytes, '\0');
  for (size_t i = 0; i < kVersionBytes; ++i) bytes[i] = static_cast<char>(version >> (8 * (kVersionBytes - 1 - i)));
  return bytes;
}

uint64_t VersionOf(std::string_view bytes) {
  uint64_t version = 0;
  for (char byte : bytes) version = version << 8 | static_cast<uint8_t>(byte);
  return version;
}

std::string Position(uint64_t epoch) { return absl::StrCat(epoch); }

absl::Status Malformed(std::string_view what) {
  return absl::InternalError(absl::StrCat("Redis answered ", std::string(what), " with something else"));
}

}  // namespace

NamespaceKeys KeysOf(const std::string& prefix, const std::string& name_space) {
  return {name_space, absl::StrCat(prefix, ":", name_space, ":e:"), absl::StrCat(prefix, ":{", name_space, "}:ctl")};
}

uint64_t AskedFrom(ClockPosition known) { return known.generation == 0 ? 0 : known.epoch; }

RedisPipeline ReadCommands(const NamespaceKeys& name_space, const std::vector<std::string>& keys, ClockPosition known) {
  RedisPipeline pipeline;
  for (const std::string& key : keys) {
    pipeline.Begin(2).Arg("GET").Arg(name_space.entry_prefix, key);
    pipeline.Begin(2).Arg("PTTL").Arg(name_space.entry_prefix, key);
  }
  AddControlRead(pipeline, name_space.control, AskedFrom(known));
  return pipeline;
}

RedisPipeline WriteCommands(const NamespaceKeys& name_space, const WriteRequest& request, const Envelope& envelope,
                            int64_t ttl_ms) {
  const std::string_view header = envelope.header;
  RedisPipeline pipeline;
  pipeline.BeginScript(Script::kWrite, 2, 9).Arg(name_space.entry_prefix, request.key).Arg(name_space.control);
  pipeline.Arg(GenerationText(request.known.generation)).Arg(Position(request.known.epoch));
  pipeline.Arg(ConditionName(request.condition.kind)).Arg(VersionBytes(request.condition.version));
  if (request.as_of.has_value()) {
    pipeline.Arg(GenerationText(request.as_of->generation)).Arg(Position(request.as_of->epoch));
  } else {
    pipeline.Arg("").Arg("0");
  }
  pipeline.Arg(absl::StrCat(ttl_ms)).Arg(header.substr(0, kEnvelopePositionOffset));
  pipeline.Arg(header.substr(kEnvelopeVersionOffset), envelope.body());
  return pipeline;
}

absl::StatusOr<WriteResult> ParseWrite(RedisReplyView reply, ClockPosition known, uint64_t sequence) {
  if (absl::Status status = StatusOfReply(reply); !status.ok()) return status;
  if (reply.size() != 3 || !reply[0].Integer().has_value() || !reply[1].Text().has_value()) return Malformed("a write");
  absl::StatusOr<ControlUpdate> control = ParseUpdate(reply[2], known, sequence);
  if (!control.ok()) return control.status();
  return WriteResult{*reply[0].Integer() == 1, VersionOf(*reply[1].Text()), *control};
}

RedisPipeline TouchCommands(const NamespaceKeys& name_space, const TouchRequest& request) {
  RedisPipeline pipeline;
  pipeline.BeginScript(Script::kTouch, 2, 4).Arg(name_space.entry_prefix, request.key).Arg(name_space.control);
  pipeline.Arg(GenerationText(request.known.generation)).Arg(Position(request.known.epoch));
  pipeline.Arg(absl::StrCat(std::max<int64_t>(1, request.ttl_nanos / kNanosPerMilli)));
  pipeline.Arg(absl::StrCat(request.max_life_nanos / kNanosPerMilli));
  return pipeline;
}

absl::StatusOr<TouchResult> ParseTouch(RedisReplyView reply, ClockPosition known, uint64_t sequence) {
  if (absl::Status status = StatusOfReply(reply); !status.ok()) return status;
  if (reply.size() != 4 || !reply[0].Integer().has_value() || !reply[1].Text().has_value() ||
      !reply[2].Integer().has_value()) {
    return Malformed("a touch");
  }
  absl::StatusOr<ControlUpdate> control = ParseUpdate(reply[3], known, sequence);
  if (!control.ok()) return control.status();
  return TouchResult{*reply[0].Integer() == 1, VersionOf(*reply[1].Text()), *reply[2].Integer() * kNanosPerMilli,
                     *control};
}

RedisPipeline EraseCommands(const NamespaceKeys& name_space, const std::vector<std::string>& keys) {
  RedisPipeline pipeline;
  for (size_t first = 0; first < keys.size(); first += kKeysPerUnlink) {
    const size_t count = std::min(kKeysPerUnlink, keys.size() - first);
    pipeline.Begin(1 + count).Arg("UNLINK");
    for (size_t i = first; i < first + count; ++i) pipeline.Arg(name_space.entry_prefix, keys[i]);
  }
  return pipeline;
}

RedisPipeline InvalidateAllCommands(const NamespaceKeys& name_space, ClockPosition known) {
  RedisPipeline pipeline;
  pipeline.BeginScript(Script::kInvalidateAll, 1, 2).Arg(name_space.control);
  pipeline.Arg(GenerationText(known.generation)).Arg(Position(known.epoch));
  return pipeline;
}

RedisPipeline RaiseBarrierCommands(const NamespaceKeys& name_space) {
  RedisPipeline pipeline;
  pipeline.BeginScript(Script::kRaiseBarrier, 1, 1).Arg(name_space.control).Arg(GenerationText(RandomNonZeroBits()));
  return pipeline;
}

absl::StatusOr<ControlUpdate> ParseUpdate(RedisReplyView members, ClockPosition known, uint64_t sequence) {
  absl::StatusOr<std::optional<ControlRange>> range = ParseControlRange(members);
  if (!range.ok()) return range.status();
  if (!range->has_value()) return absl::UnavailableError("the control record in Redis is missing");
  return UpdateOf(**range, known, sequence);
}

RedisPipeline DescribeCommands() {
  RedisPipeline pipeline;
  pipeline.Add({"INFO", "memory"}).Add({"INFO", "stats"}).Add({"DBSIZE"});
  return pipeline;
}

absl::Status ParseDescription(const std::vector<RedisReplyPtr>& replies, StoreInfo& info) {
  for (const RedisReplyPtr& reply : replies) {
    if (absl::Status status = StatusOfReply(RedisReplyView(reply)); !status.ok()) return status;
  }
  const std::string_view memory = RedisReplyView(replies[0]).Text().value_or("");
  const std::string_view stats = RedisReplyView(replies[1]).Text().value_or("");
  info.used_memory_bytes = InfoNumber(memory, "used_memory");
  info.max_memory_bytes = InfoNumber(memory, "maxmemory");
  info.eviction_policy = std::string(InfoField(memory, "maxmemory_policy").value_or(""));
  info.evictions = InfoNumber(stats, "evicted_keys");
  info.keys = RedisReplyView(replies[2]).Integer().value_or(0);
  return absl::OkStatus();
}

}  // namespace larder
