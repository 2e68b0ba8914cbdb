#include "server/redis/scan_commands.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

constexpr size_t kMaxCursorDigits = 20;
constexpr std::string_view kGlobCharacters = "*?[]\\";

bool IsServerCursor(std::string_view cursor) {
  return cursor.size() <= kMaxCursorDigits &&
         std::all_of(cursor.begin(), cursor.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string WithoutWildcards(std::string_view text) {
  std::string escaped;
  for (char c : text) {
    if (kGlobCharacters.find(c) != std::string_view::npos) escaped.push_back('\\');
    escaped.push_back(c);
  }
  return escaped;
}

}  // namespace

bool IsPastAll(std::string_view cursor, const std::vector<std::string>& parts) {
  const size_t colon = cursor.find(':');
  return !parts.back().empty() && colon != std::string_view::npos && IsServerCursor(cursor.substr(colon + 1)) &&
         cursor.substr(0, colon) > parts.back();
}

std::optional<ScanPlace> ScanPlaceOf(std::string_view cursor, const std::vector<std::string>& parts) {
  const size_t colon = cursor.find(':');
  ScanPlace place;
  if (colon != std::string_view::npos) place.part = std::string(cursor.substr(0, colon));
  place.cursor = std::string(cursor.substr(colon == std::string_view::npos ? 0 : colon + 1));
  if (!IsServerCursor(place.cursor)) return std::nullopt;
  const auto at = std::lower_bound(parts.begin(), parts.end(), place.part);
  if (at == parts.end()) return std::nullopt;
  if (*at != place.part) place.cursor.clear();
  place.part = *at;
  if (at + 1 != parts.end()) place.next_part = *(at + 1);
  return place;
}

std::string CursorAfter(const ScanPlace& place, std::string cursor) {
  if (!cursor.empty()) return place.part.empty() ? cursor : absl::StrCat(place.part, ":", cursor);
  return place.next_part.has_value() ? absl::StrCat(*place.next_part, ":0") : "";
}

RedisPipeline ScanCommands(const NamespaceKeys& name_space, std::string_view cursor, int count) {
  const std::string own = absl::StrCat(WithoutWildcards(name_space.entry_prefix), "*");
  RedisPipeline pipeline;
  pipeline.Add({"SCAN", cursor.empty() ? "0" : cursor, "MATCH", own, "COUNT", absl::StrCat(std::max(1, count))});
  return pipeline;
}

absl::StatusOr<ScannedKeys> ParseScan(RedisReplyView reply, const NamespaceKeys& name_space) {
  if (absl::Status status = StatusOfReply(reply); !status.ok()) return status;
  if (reply.size() != 2 || !reply[0].Text().has_value() || !reply[1].IsArray()) return Malformed("SCAN");
  ScannedKeys scanned;
  if (*reply[0].Text() != "0") scanned.cursor = std::string(*reply[0].Text());
  scanned.keys.reserve(reply[1].size());
  for (size_t i = 0; i < reply[1].size(); ++i) {
    const std::string_view key = reply[1][i].Text().value_or("");
    if (!key.starts_with(name_space.entry_prefix)) return Malformed("SCAN");
    scanned.keys.emplace_back(key.substr(name_space.entry_prefix.size()));
  }
  return scanned;
}

RedisPipeline EraseDeadCommands(const NamespaceKeys& name_space, const std::vector<std::string>& keys, size_t first,
                                const std::vector<uint64_t>& patterns, ClockPosition known, uint64_t generation) {
  const size_t end = std::min(first + kKeysPerEraseDead, keys.size());
  const bool any = std::any_of(patterns.begin(), patterns.end(), [](uint64_t epoch) { return epoch != 0; });
  RedisPipeline pipeline;
  pipeline.BeginScript(Script::kEraseDead, 1 + end - first, 3 + (any ? end - first : 0)).Arg(name_space.control);
  for (size_t i = first; i < end; ++i) pipeline.Arg(name_space.entry_prefix, keys[i]);
  AddPosition(pipeline, known);
  pipeline.Arg(GenerationText(generation));
  for (size_t i = first; any && i < end; ++i) pipeline.Arg(absl::StrCat(patterns[i - first]));
  return pipeline;
}

absl::Status ParseEraseDead(RedisReplyView reply, ClockPosition known, uint64_t sequence, EraseDeadResult* result) {
  if (absl::Status status = StatusOfReply(reply); !status.ok()) return status;
  if (reply.size() != 4 || !reply[0].Integer() || !reply[1].Integer() || !reply[2].Integer()) {
    return Malformed("a step of a sweep");
  }
  absl::StatusOr<ControlUpdate> control = ParseUpdate(reply[3], known, sequence);
  if (!control.ok()) return control.status();
  result->mine = *reply[0].Integer() == 1;
  result->erased += *reply[1].Integer();
  if (*reply[2].Integer() == 1) result->has_seen_all = false;
  result->control = *std::move(control);
  return absl::OkStatus();
}

void AddLook(RedisPipeline& pipeline, const NamespaceKeys& name_space, std::string_view key, size_t head_bytes) {
  pipeline.Begin(4).Arg("GETRANGE").Arg(name_space.entry_prefix, key).Arg("0").Arg(absl::StrCat(head_bytes - 1));
  pipeline.Begin(2).Arg("STRLEN").Arg(name_space.entry_prefix, key);
  pipeline.Begin(2).Arg("PTTL").Arg(name_space.entry_prefix, key);
}

absl::StatusOr<KeyLook> ParseLook(const std::vector<RedisReplyPtr>& replies, size_t at, std::string key,
                                  int64_t sent_nanos) {
  const RedisReplyView head(replies[at]);
  const RedisReplyView size(replies[at + 1]);
  const RedisReplyView pttl(replies[at + 2]);
  KeyLook look;
  look.item.key = std::move(key);
  look.item.stored_bytes = size.Integer().value_or(0);
  const int64_t left_ms = pttl.Integer().value_or(0);
  // It is not there, or about to go.
  if (left_ms == -2 || left_ms == 0) return look;
  look.item.kind = StoredItem::Kind::kUnreadable;
  for (const RedisReplyView& reply : {head, size, pttl}) {
    if (reply.IsError() && reply.ErrorCode() != "WRONGTYPE") return StatusOfReply(reply);
  }
  if (left_ms < 0 || !head.Text().has_value()) return look;
  const std::string_view bytes = *head.Text();
  const auto stored = static_cast<size_t>(look.item.stored_bytes);
  std::variant<EnvelopeHead, EnvelopeFault> decoded = DecodeEnvelopeHead(bytes, stored, {left_ms, sent_nanos, 0});
  if (EnvelopeHead* found = std::get_if<EnvelopeHead>(&decoded)) {
    look.item.kind = found->is_placeholder ? StoredItem::Kind::kLease : StoredItem::Kind::kEntry;
    look.item.head = std::move(found->entry);
    return look;
  }
  const bool is_newer = std::get<EnvelopeFault>(decoded) == EnvelopeFault::kNewerFormat;
  if (is_newer || bytes.size() < kEnvelopeHeaderBytes || bytes.size() >= stored) return look;
  if (EnvelopeHeadBytes(bytes) > bytes.size()) look.wanted_bytes = EnvelopeHeadBytes(bytes);
  return look;
}

}  // namespace larder
