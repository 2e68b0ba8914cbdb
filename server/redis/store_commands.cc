#include "server/redis/store_commands.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "core/clock.h"

namespace larder {
namespace {

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

std::string MillisText(int64_t nanos) { return absl::StrCat(std::max<int64_t>(0, nanos / kNanosPerMilli)); }
std::string PositiveMillisText(int64_t nanos) { return absl::StrCat(std::max<int64_t>(1, nanos / kNanosPerMilli)); }

// Whether a reply holds what `kinds` says, n for a number and t for a text, and then the control record's members.
bool HasShape(RedisReplyView reply, std::string_view kinds) {
  if (reply.size() != kinds.size() + 1) return false;
  for (size_t i = 0; i < kinds.size(); ++i) {
    if (!(kinds[i] == 'n' ? reply[i].Integer().has_value() : reply[i].Text().has_value())) return false;
  }
  return true;
}

void AddEntryRead(RedisPipeline& pipeline, const NamespaceKeys& name_space, const std::string& key) {
  pipeline.Begin(2).Arg("PTTL").Arg(name_space.entry_prefix, key);
  pipeline.Begin(2).Arg("GET").Arg(name_space.entry_prefix, key);
}

constexpr size_t kToldArgs = 6;

// What every script over one entry begins with, and ends with.
RedisPipeline BeginEntryScript(Script script, const NamespaceKeys& name_space, std::string_view key, size_t args,
                               const ToldControl* told) {
  RedisPipeline pipeline;
  if (told == nullptr) {
    pipeline.BeginScript(script, 2, args).Arg(name_space.entry_prefix, key).Arg(name_space.control);
  } else {
    pipeline.BeginScript(script, 1, args + kToldArgs).Arg(name_space.entry_prefix, key);
  }
  return pipeline;
}

void EndEntryScript(RedisPipeline& pipeline, const NamespaceKeys& name_space, const ToldControl* told) {
  if (told == nullptr) return;
  pipeline.Arg(name_space.control);
  AddPosition(pipeline, told->position);
  pipeline.Arg(absl::StrCat(told->all)).Arg(absl::StrCat(told->fence));
  pipeline.Arg(told->judged.has_value() ? VersionBytes(*told->judged) : "*");
}

RedisPipeline BeginErase(const NamespaceKeys& name_space, size_t keys, size_t versions) {
  RedisPipeline pipeline;
  pipeline.BeginScript(Script::kErase, 1 + keys, 1 + versions).Arg(name_space.control);
  return pipeline;
}

// Adds what the reply tells last.
template <typename T>
absl::StatusOr<T> WithControl(absl::StatusOr<T> result, RedisReplyView reply, ClockPosition known, uint64_t sequence) {
  if (!result.ok()) return result;
  absl::StatusOr<ControlUpdate> control = ParseUpdate(reply[reply.size() - 1], known, sequence);
  if (!control.ok()) return control.status();
  result->control = *std::move(control);
  return result;
}

}  // namespace

absl::Status Malformed(std::string_view what) {
  return absl::InternalError(absl::StrCat("Redis answered ", std::string(what), " with something else"));
}

absl::StatusOr<int64_t> ParseNumber(RedisReplyView reply, std::string_view what) {
  if (absl::Status status = StatusOfReply(reply); !status.ok()) return status;
  if (!reply.Integer().has_value()) return Malformed(what);
  return *reply.Integer();
}

NamespaceKeys KeysOf(const std::string& prefix, const std::string& name_space) {
  const std::string own = absl::StrCat(prefix, ":{", name_space, "}:");
  return {name_space,
          absl::StrCat(prefix, ":", name_space, ":e:"),
          absl::StrCat(own, "ctl"),
          absl::StrCat(own, "sweep"),
          absl::StrCat(own, "note:"),
          absl::StrCat(own, "wake"),
          absl::StrCat(own, "changed")};
}

uint64_t AskedFrom(ClockPosition known) { return known.generation == 0 ? 0 : known.epoch; }

void AddPosition(RedisPipeline& pipeline, ClockPosition position) {
  pipeline.Arg(GenerationText(position.generation)).Arg(absl::StrCat(position.epoch));
}

RedisPipeline EntryReadCommands(const NamespaceKeys& name_space, const std::string& key) {
  RedisPipeline pipeline;
  AddEntryRead(pipeline, name_space, key);
  return pipeline;
}

RedisPipeline ReadCommands(const NamespaceKeys& name_space, const std::vector<std::string>& keys, ClockPosition known) {
  RedisPipeline pipeline;
  for (const std::string& key : keys) AddEntryRead(pipeline, name_space, key);
  AddControlRead(pipeline, name_space.control, AskedFrom(known));
  return pipeline;
}

RedisPipeline WriteCommands(const NamespaceKeys& name_space, const WriteRequest& request, const Envelope& envelope,
                            int64_t ttl_ms, const ToldControl* told) {
  const std::string_view header = envelope.header;
  RedisPipeline pipeline = BeginEntryScript(Script::kWrite, name_space, request.key, 12, told);
  AddPosition(pipeline, request.known);
  pipeline.Arg(ConditionName(request.condition.kind)).Arg(VersionBytes(request.condition.version));
  if (request.fill.has_value()) {
    AddPosition(pipeline, request.fill->as_of);
    pipeline.Arg(VersionBytes(request.fill->token));
  } else if (request.as_of.has_value()) {
    AddPosition(pipeline, *request.as_of);
    pipeline.Arg("");
  } else {
    pipeline.Arg("").Arg("0").Arg("");
  }
  pipeline.Arg(VersionBytes(request.dead_version)).Arg(VersionBytes(request.alive_version)).Arg(absl::StrCat(ttl_ms));
  pipeline.Arg(header.substr(0, kEnvelopePositionOffset));
  pipeline.Arg(header.substr(kEnvelopeVersionOffset), envelope.body());
  EndEntryScript(pipeline, name_space, told);
  return pipeline;
}

absl::StatusOr<WriteResult> ParseWritten(RedisReplyView reply) {
  if (absl::Status status = StatusOfReply(reply); !status.ok()) return status;
  if (!HasShape(reply, "ntn")) return Malformed("a write");
  WriteResult result;
  result.applied = *reply[0].Integer() == 1;
  result.must_judge = *reply[0].Integer() == 2;
  result.current_version = VersionOf(*reply[1].Text());
  result.current_epoch = static_cast<uint64_t>(*reply[2].Integer());
  return result;
}

absl::StatusOr<WriteResult> ParseWrite(RedisReplyView reply, ClockPosition known, uint64_t sequence) {
  return WithControl(ParseWritten(reply), reply, known, sequence);
}

RedisPipeline TouchCommands(const NamespaceKeys& name_space, const TouchRequest& request, const ToldControl* told) {
  RedisPipeline pipeline = BeginEntryScript(Script::kTouch, name_space, request.key, 5, told);
  AddPosition(pipeline, request.known);
  pipeline.Arg(PositiveMillisText(request.ttl_nanos)).Arg(MillisText(request.max_life_nanos));
  pipeline.Arg(VersionBytes(request.version));
  EndEntryScript(pipeline, name_space, told);
  return pipeline;
}

absl::StatusOr<TouchResult> ParseTouched(RedisReplyView reply) {
  if (absl::Status status = StatusOfReply(reply); !status.ok()) return status;
  if (!HasShape(reply, "ntnn")) return Malformed("a touch");
  return TouchResult{*reply[0].Integer() == 1, VersionOf(*reply[1].Text()), static_cast<uint64_t>(*reply[2].Integer()),
                     *reply[3].Integer() * kNanosPerMilli, ControlUpdate{}};
}

absl::StatusOr<TouchResult> ParseTouch(RedisReplyView reply, ClockPosition known, uint64_t sequence) {
  return WithControl(ParseTouched(reply), reply, known, sequence);
}

RedisPipeline LeaseCommands(const NamespaceKeys& name_space, const LeaseRequest& request, const ToldControl* told) {
  const int64_t lease_ms = std::max<int64_t>(1, request.lease_nanos / kNanosPerMilli);
  const std::string placeholder = MakePlaceholder(request.token, lease_ms);
  RedisPipeline pipeline = BeginEntryScript(Script::kLease, name_space, request.key, 8, told);
  AddPosition(pipeline, request.known);
  pipeline.Arg(VersionBytes(request.token)).Arg(absl::StrCat(lease_ms));
  pipeline.Arg(VersionBytes(request.found_version)).Arg(request.found_dead ? "1" : "0");
  pipeline.Arg(std::string_view(placeholder).substr(0, kEnvelopePositionOffset));
  pipeline.Arg(std::string_view(placeholder).substr(kEnvelopeVersionOffset));
  EndEntryScript(pipeline, name_space, told);
  return pipeline;
}

absl::StatusOr<LeaseResult> ParseLeased(RedisReplyView reply) {
  if (absl::Status status = StatusOfReply(reply); !status.ok()) return status;
  if (!HasShape(reply, "nttnn")) return Malformed("a request for a lease");
  const int64_t outcome = *reply[0].Integer();
  if (outcome < 0 || outcome > static_cast<int64_t>(LeaseResult::Outcome::kForeign)) {
    return Malformed("a request for a lease");
  }
  LeaseResult result;
  result.outcome = static_cast<LeaseResult::Outcome>(outcome);
  result.fill.token = VersionOf(*reply[1].Text());
  result.fill.as_of = {VersionOf(*reply[2].Text()), static_cast<uint64_t>(*reply[3].Integer())};
  result.left_nanos = *reply[4].Integer() * kNanosPerMilli;
  return result;
}

absl::StatusOr<LeaseResult> ParseLease(RedisReplyView reply, ClockPosition known, uint64_t sequence) {
  return WithControl(ParseLeased(reply), reply, known, sequence);
}

RedisPipeline ReleaseCommands(const NamespaceKeys& name_space, const ReleaseRequest& request, const ToldControl* told) {
  RedisPipeline pipeline = BeginEntryScript(Script::kRelease, name_space, request.key, 4, told);
  pipeline.Arg(VersionBytes(request.token)).Arg(MillisText(request.pause_nanos));
  pipeline.Arg(MillisText(request.serve_stale_nanos)).Arg(MillisText(request.max_life_nanos));
  EndEntryScript(pipeline, name_space, told);
  return pipeline;
}

RedisPipeline EraseCommands(const NamespaceKeys& name_space, const EraseRequest& request, size_t first) {
  const size_t end = std::min(first + kKeysPerErase, request.keys.size());
  const bool is_soft = !request.soft_versions.empty();
  RedisPipeline pipeline = BeginErase(name_space, end - first, is_soft ? end - first : 0);
  for (size_t i = first; i < end; ++i) pipeline.Arg(name_space.entry_prefix, request.keys[i]);
  pipeline.Arg(is_soft ? "soft" : "hard");
  for (size_t i = first; is_soft && i < end; ++i) pipeline.Arg(VersionBytes(request.soft_versions[i]));
  return pipeline;
}

RedisPipeline EraseCommands(const NamespaceKeys& name_space, const EraseVersionsRequest& request, size_t first) {
  const size_t end = std::min(first + kKeysPerErase, request.keys.size());
  RedisPipeline pipeline = BeginErase(name_space, end - first, end - first);
  for (size_t i = first; i < end; ++i) pipeline.Arg(name_space.entry_prefix, request.keys[i].first);
  pipeline.Arg("exact");
  for (size_t i = first; i < end; ++i) pipeline.Arg(VersionBytes(request.keys[i].second));
  return pipeline;
}

RedisPipeline EraseCommands(const NamespaceKeys& name_space, const EraseRequest& request, size_t i,
                            const ToldControl& told) {
  const bool is_soft = !request.soft_versions.empty();
  RedisPipeline pipeline = BeginEntryScript(Script::kErase, name_space, request.keys[i], is_soft ? 2 : 1, &told);
  pipeline.Arg(is_soft ? "soft" : "hard");
  if (is_soft) pipeline.Arg(VersionBytes(request.soft_versions[i]));
  EndEntryScript(pipeline, name_space, &told);
  return pipeline;
}

RedisPipeline EraseCommands(const NamespaceKeys& name_space, const EraseVersionsRequest& request, size_t i,
                            const ToldControl& told) {
  RedisPipeline pipeline = BeginEntryScript(Script::kErase, name_space, request.keys[i].first, 2, &told);
  pipeline.Arg("exact").Arg(VersionBytes(request.keys[i].second));
  EndEntryScript(pipeline, name_space, &told);
  return pipeline;
}

RedisPipeline PutNoteCommands(const NamespaceKeys& name_space, std::string_view name, std::string_view text,
                              int64_t ttl_nanos) {
  RedisPipeline pipeline;
  pipeline.Begin(5).Arg("SET").Arg(name_space.note_prefix, name).Arg(text).Arg("PX").Arg(PositiveMillisText(ttl_nanos));
  return pipeline;
}

RedisPipeline GetNoteCommands(const NamespaceKeys& name_space, std::string_view name) {
  RedisPipeline pipeline;
  pipeline.Begin(2).Arg("GET").Arg(name_space.note_prefix, name);
  return pipeline;
}

RedisPipeline DescribeCommands() {
  RedisPipeline pipeline;
  pipeline.Add({"INFO", "memory"}).Add({"INFO", "stats"}).Add({"DBSIZE"});
  return pipeline;
}

absl::Status AddDescription(const std::vector<RedisReplyPtr>& replies, StoreInfo& info) {
  for (const RedisReplyPtr& reply : replies) {
    if (absl::Status status = StatusOfReply(RedisReplyView(reply)); !status.ok()) return status;
  }
  const std::string_view memory = RedisReplyView(replies[0]).Text().value_or("");
  const std::string_view stats = RedisReplyView(replies[1]).Text().value_or("");
  info.used_memory_bytes += InfoNumber(memory, "used_memory");
  info.max_memory_bytes += InfoNumber(memory, "maxmemory");
  info.eviction_policy = std::string(InfoField(memory, "maxmemory_policy").value_or(""));
  info.evictions += InfoNumber(stats, "evicted_keys");
  info.keys += RedisReplyView(replies[2]).Integer().value_or(0);
  return absl::OkStatus();
}

}  // namespace larder
