#include "server/redis/apart_commands.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>
#include <utility>

#include "server/redis/control_record.h"

namespace larder {
namespace {

constexpr std::string_view kNumbers[] = {"epoch", "all", "fence", "hard", "#p"};
constexpr size_t kNumberCount = std::size(kNumbers);

uint64_t NumberAt(RedisReplyView scores, size_t i) {
  if (scores[i].IsNull()) return 0;
  return static_cast<uint64_t>(std::abs(scores[i].Number().value_or(0)));
}

}  // namespace

bool ControlFacts::Kills(TagList of, uint64_t epoch) const {
  if (all > epoch) return true;
  for (std::string_view tag : of) {
    const auto at = std::find(tags.begin(), tags.end(), tag);
    if (at != tags.end() && stamps[static_cast<size_t>(at - tags.begin())] > epoch) return true;
  }
  return false;
}

// In this order: what bears the generation of an earlier moment, and the epoch of a later one, is dead where the
// generation is another by then. The other way round it could be ahead of its clock, and outlive what is to come.
RedisPipeline FactsCommands(const NamespaceKeys& name_space, ClockPosition known,
                            const std::vector<std::string>& tags) {
  RedisPipeline pipeline;
  AddControlRead(pipeline, name_space.control, AskedFrom(known));
  pipeline.Begin(2 + kNumberCount + tags.size()).Arg("ZMSCORE").Arg(name_space.control);
  for (std::string_view number : kNumbers) pipeline.Arg(number);
  for (const std::string& tag : tags) pipeline.Arg("ht:", tag);
  return pipeline;
}

absl::StatusOr<std::optional<ControlFacts>> ParseFacts(const std::vector<RedisReplyPtr>& replies, ClockPosition known,
                                                       std::vector<std::string> tags, uint64_t order) {
  absl::StatusOr<std::optional<ControlRange>> range = ParseControlRange(RedisReplyView(replies[0]));
  if (!range.ok()) return std::move(range).status();
  const RedisReplyView scores(replies[1]);
  if (scores.ErrorCode() == "WRONGTYPE" || !range->has_value()) return std::nullopt;
  if (absl::Status status = StatusOfReply(scores); !status.ok()) return status;
  if (scores.size() != kNumberCount + tags.size()) return Malformed("a look at the control record");
  ControlFacts facts;
  facts.position = {(*range)->generation, NumberAt(scores, 0)};
  if (facts.position.epoch == 0) return std::nullopt;
  facts.update = UpdateOf(**std::move(range), known, order);
  facts.all = NumberAt(scores, 1);
  facts.fence = NumberAt(scores, 2);
  facts.hard = NumberAt(scores, 3);
  facts.patterns = NumberAt(scores, 4);
  for (size_t i = 0; i < tags.size(); ++i) facts.stamps.push_back(NumberAt(scores, kNumberCount + i));
  facts.tags = std::move(tags);
  return facts;
}

}  // namespace larder
