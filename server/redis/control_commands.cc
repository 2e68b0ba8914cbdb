#include "server/redis/control_commands.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/clock.h"
#include "server/store/random_bits.h"

namespace larder {
namespace {

std::string_view StepName(SweepRequest::Step step) {
  switch (step) {
    case SweepRequest::Step::kBegin:
      return "begin";
    case SweepRequest::Step::kRenew:
      return "renew";
    case SweepRequest::Step::kEnd:
      return "end";
  }
  return "renew";
}

std::string Millis(int64_t nanos) { return absl::StrCat(std::max<int64_t>(1, nanos / kNanosPerMilli)); }

}  // namespace

RedisPipeline GroupCommands(const NamespaceKeys& name_space, const GroupRequest& request) {
  RedisPipeline pipeline;
  const size_t names = request.tags.size() + request.patterns.size();
  pipeline.BeginScript(Script::kInvalidateGroups, 1, 7 + names).Arg(name_space.control);
  AddPosition(pipeline, request.known);
  pipeline.Arg(request.soft ? "s" : "h").Arg(request.all ? "1" : "0");
  pipeline.Arg(absl::StrCat(request.max_tags)).Arg(absl::StrCat(request.max_patterns));
  pipeline.Arg(absl::StrCat(request.tags.size()));
  for (const std::string& tag : request.tags) pipeline.Arg(tag);
  for (const std::string& pattern : request.patterns) pipeline.Arg(pattern);
  return pipeline;
}

absl::StatusOr<GroupResult> ParseGroup(RedisReplyView reply, ClockPosition known, uint64_t sequence) {
  if (absl::Status status = StatusOfReply(reply); !status.ok()) return status;
  if (reply.size() != 2 || !reply[0].Integer().has_value()) return Malformed("an invalidation");
  absl::StatusOr<ControlUpdate> control = ParseUpdate(reply[1], known, sequence);
  if (!control.ok()) return control.status();
  return GroupResult{*reply[0].Integer() == 1, *std::move(control)};
}

void AddListen(RedisPipeline& pipeline, const NamespaceKeys& name_space, ClockPosition known) {
  pipeline.BeginScript(Script::kListen, 1, 3).Arg(name_space.control);
  AddPosition(pipeline, known);
  // A score is a double, which holds so many bits.
  pipeline.Arg(absl::StrCat((RandomNonZeroBits() >> 12) + 1));
}

absl::StatusOr<std::optional<ListenAnswer>> ParseListen(RedisReplyView reply) {
  if (reply.ErrorCode() == "NOCTL") return std::nullopt;
  if (absl::Status status = StatusOfReply(reply); !status.ok()) return status;
  if (reply.size() != 2 || reply[0].Integer().value_or(0) <= 0) return Malformed("who listens");
  absl::StatusOr<std::optional<ControlRange>> range = ParseControlRange(reply[1]);
  if (!range.ok()) return range.status();
  if (!range->has_value()) return std::nullopt;
  return ListenAnswer{.mark = static_cast<uint64_t>(*reply[0].Integer()), .range = *std::move(*range)};
}

RedisPipeline RaiseBarrierCommands(const NamespaceKeys& name_space) {
  RedisPipeline pipeline;
  pipeline.BeginScript(Script::kRaiseBarrier, 1, 1).Arg(name_space.control).Arg(GenerationText(RandomNonZeroBits()));
  return pipeline;
}

RedisPipeline SweepCommands(const NamespaceKeys& name_space, const SweepRequest& request, bool keeps_stamps) {
  RedisPipeline pipeline;
  pipeline.BeginScript(Script::kSweep, 2, 7).Arg(name_space.control).Arg(name_space.sweep);
  AddPosition(pipeline, request.known);
  pipeline.Arg(keeps_stamps && request.step == SweepRequest::Step::kEnd ? "stop" : StepName(request.step))
      .Arg(GenerationText(request.sweeper))
      .Arg(Millis(request.lease_nanos));
  AddPosition(pipeline, request.fence);
  return pipeline;
}

absl::StatusOr<SweepResult> ParseSweep(RedisReplyView reply, ClockPosition known, uint64_t sequence) {
  if (absl::Status status = StatusOfReply(reply); !status.ok()) return status;
  if (reply.size() != 3 || !reply[0].Integer().has_value() || !reply[1].Integer().has_value()) {
    return Malformed("a sweep");
  }
  absl::StatusOr<ControlUpdate> control = ParseUpdate(reply[2], known, sequence);
  if (!control.ok()) return control.status();
  SweepResult result;
  result.mine = *reply[0].Integer() == 1;
  result.fence = {control->generation, static_cast<uint64_t>(*reply[1].Integer())};
  result.control = *std::move(control);
  return result;
}

RedisPipeline AgeCommands(const NamespaceKeys& name_space, int64_t max_life_nanos) {
  RedisPipeline pipeline;
  pipeline.BeginScript(Script::kAge, 1, 1).Arg(name_space.control).Arg(Millis(max_life_nanos));
  return pipeline;
}

absl::StatusOr<ClockPosition> ParseAge(RedisReplyView reply) {
  if (absl::Status status = StatusOfReply(reply); !status.ok()) return status;
  if (reply.size() != 2 || !reply[0].Text().has_value() || !reply[1].Integer().has_value()) {
    return Malformed("which stamps are old");
  }
  const std::string_view digits = *reply[0].Text();
  ClockPosition up_to;
  std::from_chars(digits.data(), digits.data() + digits.size(), up_to.generation, 16);
  up_to.epoch = static_cast<uint64_t>(*reply[1].Integer());
  return up_to;
}

RedisPipeline ForgetCommands(const NamespaceKeys& name_space, ClockPosition up_to, Forgotten which, int64_t offset) {
  RedisPipeline pipeline;
  pipeline.BeginScript(Script::kForget, 1, 4).Arg(name_space.control);
  AddPosition(pipeline, up_to);
  pipeline.Arg(which == Forgotten::kAll ? "any" : "hp").Arg(absl::StrCat(offset));
  return pipeline;
}

}  // namespace larder
