#include "server/redis/control_record.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/store/random_bits.h"

namespace larder {
namespace {

constexpr std::string_view kHeadPrefix = "head:";
constexpr std::string_view kKnownHeadPrefix = "head:1:";
constexpr std::string_view kSweptPrefix = "swept:";
constexpr size_t kGenerationDigits = 16;
constexpr double kMaxStamp = 9007199254740992.0;  // 2^53: the scores are doubles

struct StampKind {
  std::string_view prefix;
  Stamp::Group group;
  bool soft;
};
constexpr std::array<StampKind, 4> kNamedStamps = {{{"ht:", Stamp::Group::kTag, false},
                                                    {"st:", Stamp::Group::kTag, true},
                                                    {"hp:", Stamp::Group::kPattern, false},
                                                    {"sp:", Stamp::Group::kPattern, true}}};

// The generation that a member holds, 0 if that makes no sense.
uint64_t GenerationOf(std::string_view head) {
  const std::string_view digits = head.substr(kKnownHeadPrefix.size(), kGenerationDigits);
  uint64_t generation = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), generation, 16);
  if (error != std::errc() || end != digits.data() + kGenerationDigits) return 0;
  return generation;
}

absl::Status AddMember(std::string_view member, double score, ControlRange& range) {
  if (member.substr(0, kHeadPrefix.size()) == kHeadPrefix) {
    if (member.substr(0, kKnownHeadPrefix.size()) != kKnownHeadPrefix) {
      return absl::UnavailableError("the control record in Redis is of a format that this release cannot read");
    }
    range.generation = GenerationOf(member);
    return absl::OkStatus();
  }
  if (!(score >= 0 && score <= kMaxStamp)) return absl::InternalError("a stamp of the control record is out of range");
  const auto epoch = static_cast<uint64_t>(score);
  if (member == "epoch") {
    range.epoch = epoch;
  } else if (member.starts_with(kSweptPrefix)) {
    std::from_chars(member.data() + kSweptPrefix.size(), member.data() + member.size(), range.floor);
  } else if (member == "all" || member == "soft:all") {
    range.stamps.push_back({Stamp::Group::kAll, member != "all", epoch, {}});
  } else {
    for (const StampKind& kind : kNamedStamps) {
      if (!member.starts_with(kind.prefix)) continue;
      range.stamps.push_back({kind.group, kind.soft, epoch, std::string(member.substr(kind.prefix.size()))});
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string GenerationText(uint64_t generation) { return absl::StrCat(absl::Hex(generation, absl::kZeroPad16)); }

void AddControlRead(RedisPipeline& pipeline, const std::string& control_key, uint64_t epoch) {
  pipeline.Add({"ZRANGEBYSCORE", control_key, absl::StrCat("(", epoch), "+inf", "WITHSCORES"});
}

void AddEnsure(RedisPipeline& pipeline, const std::string& control_key, const RecordedServers& servers, bool answers) {
  pipeline.BeginScript(Script::kEnsure, 1, 4).Arg(control_key).Arg(GenerationText(RandomNonZeroBits()));
  pipeline.Arg(servers.there).Arg(servers.unknown).Arg(answers ? "1" : "0");
}

absl::StatusOr<std::optional<ControlRange>> ParseControlRange(RedisReplyView reply) {
  if (reply.ErrorCode() == "WRONGTYPE") return std::nullopt;
  if (absl::Status status = StatusOfReply(reply); !status.ok()) return status;
  ControlRange range;
  // RESP3 has pairs, RESP2 and scripts have member and score in turns.
  const bool has_pairs = reply.size() > 0 && reply[0].IsArray();
  const size_t step = has_pairs ? 1 : 2;
  for (size_t i = 0; i + step <= reply.size(); i += step) {
    if (has_pairs && reply[i].size() != 2) return absl::InternalError("Redis answered no pair of member and score");
    const RedisReplyView member = has_pairs ? reply[i][0] : reply[i];
    const RedisReplyView score = has_pairs ? reply[i][1] : reply[i + 1];
    if (!member.Text().has_value() || !score.Number().has_value()) {
      return absl::InternalError("Redis answered no pair of member and score");
    }
    if (absl::Status status = AddMember(*member.Text(), *score.Number(), range); !status.ok()) return status;
  }
  if (range.generation == 0) return std::nullopt;
  return range;
}

ControlUpdate UpdateOf(ControlRange range, ClockPosition known, uint64_t sequence) {
  ControlUpdate update;
  update.generation = range.generation;
  update.since = range.generation == known.generation ? known.epoch : 0;
  update.epoch = std::max(range.epoch, update.since);
  update.stamps = std::move(range.stamps);
  update.floor = range.floor;
  update.sequence = sequence;
  return update;
}

absl::StatusOr<ControlUpdate> ParseUpdate(RedisReplyView members, ClockPosition known, uint64_t sequence) {
  absl::StatusOr<std::optional<ControlRange>> range = ParseControlRange(members);
  if (!range.ok()) return range.status();
  if (!range->has_value()) return absl::UnavailableError("the control record in Redis is missing");
  return UpdateOf(*std::move(*range), known, sequence);
}

}  // namespace larder
