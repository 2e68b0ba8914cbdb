#include "server/redis/member_commands.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/clock.h"
#include "server/redis/control_record.h"
#include "server/redis/store_commands.h"

namespace larder {
namespace {

// A registration outlasts what its member relies on by as much again and this. The member measures by its own clock,
// Redis by the time of day: that may jump ahead by so much before anybody is forgotten who still serves.
constexpr int64_t kMarginMillis = 3'000;

// Up, so that nothing is waited for less, or relied on more, than it should be.
std::string MillisUp(int64_t nanos) { return absl::StrCat((nanos + kNanosPerMilli - 1) / kNanosPerMilli); }

template <typename Number>
bool Read(std::string_view digits, int base, Number& number) {
  const char* const end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, number, base);
  return error == std::errc() && rest == end;
}

int64_t Nanos(int64_t millis) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / kNanosPerMilli / 4;
  return std::clamp<int64_t>(millis, 0, kMost) * kNanosPerMilli;
}

// `<id>:<t or a>:<bound>:<hold>:<sequence>:<since>`
std::optional<Member> ParseMember(std::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(absl::string_view(text.data(), text.size()), ':');
  Member member;
  int64_t bound = 0;
  int64_t hold = 0;
  const auto part = [&](size_t i) { return std::string_view(parts[i].data(), parts[i].size()); };
  if (parts.size() != 6 || !Read(part(0), 16, member.id) || !Read(part(2), 10, bound) || !Read(part(3), 10, hold)) {
    return std::nullopt;
  }
  member.terms = {.acknowledges = part(1) == "t", .bound_nanos = Nanos(bound), .hold_nanos = Nanos(hold)};
  return member;
}

}  // namespace

MemberNames MemberNamesOf(const std::string& prefix, uint64_t id) {
  return {.id = id,
          .record = absl::StrCat(prefix, ":members"),
          .sync_channel = absl::StrCat(prefix, ":sync"),
          .ack_prefix = absl::StrCat(prefix, ":ack:"),
          .own_channel = absl::StrCat(prefix, ":own:", GenerationText(id))};
}

std::string AckChannel(const MemberNames& names, uint64_t asker) {
  return absl::StrCat(names.ack_prefix, GenerationText(asker));
}

void AddRegister(RedisPipeline& pipeline, const MemberNames& names, const std::string& identity,
                 const MemberTerms& terms, uint64_t sequence) {
  pipeline.BeginScript(Script::kRegister, 1, 7).Arg(names.record).Arg(identity).Arg(GenerationText(names.id));
  pipeline.Arg(terms.acknowledges ? "t" : "a").Arg(MillisUp(terms.bound_nanos)).Arg(MillisUp(terms.hold_nanos));
  pipeline.Arg(absl::StrCat(sequence));
  pipeline.Arg(MillisUp(2 * terms.hold_nanos + kMarginMillis * kNanosPerMilli));
}

absl::StatusOr<RegisterAnswer> ParseRegister(RedisReplyView reply) {
  if (absl::Status status = StatusOfReply(reply); !status.ok()) return status;
  if (reply.size() != 3 || !reply[0].Integer().has_value() || !reply[1].Integer().has_value() ||
      !reply[2].Integer().has_value()) {
    return Malformed("a registration");
  }
  return RegisterAnswer{.since = static_cast<uint64_t>(*reply[0].Integer()),
                        .counts = *reply[1].Integer() == 1,
                        .members = *reply[2].Integer()};
}

RedisPipeline SyncCommands(const MemberNames& names, const std::string& identity, uint64_t round) {
  RedisPipeline pipeline;
  pipeline.BeginScript(Script::kSync, 1, 4).Arg(names.record).Arg(identity).Arg(GenerationText(names.id));
  pipeline.Arg(absl::StrCat(round)).Arg(names.sync_channel);
  return pipeline;
}

absl::StatusOr<SyncAnswer> ParseSync(RedisReplyView reply, uint64_t own_id) {
  if (absl::Status status = StatusOfReply(reply); !status.ok()) return status;
  if (reply.size() != 2 || !reply[0].Integer().has_value() || !reply[1].IsArray()) return Malformed("a sync");
  SyncAnswer answer;
  answer.result.record_age_nanos = Nanos(*reply[0].Integer());
  for (size_t i = 0; i < reply[1].size(); ++i) {
    const std::optional<Member> member = ParseMember(reply[1][i].Text().value_or(""));
    // Whom it does not know how to wait for it must not pass over.
    if (!member.has_value()) return Malformed("a member");
    ++answer.members;
    answer.result.longest_hold_nanos = std::max(answer.result.longest_hold_nanos, member->terms.hold_nanos);
    if (member->id != own_id) answer.result.others.push_back(*member);
  }
  return answer;
}

std::string RoundMessage(uint64_t from, uint64_t round) { return absl::StrCat(GenerationText(from), " ", round); }

std::optional<std::pair<uint64_t, uint64_t>> ParseRoundMessage(std::string_view message) {
  const size_t space = message.find(' ');
  std::pair<uint64_t, uint64_t> parsed;
  if (space == std::string_view::npos || !Read(message.substr(0, space), 16, parsed.first) ||
      !Read(message.substr(space + 1), 10, parsed.second)) {
    return std::nullopt;
  }
  return parsed;
}

}  // namespace larder
