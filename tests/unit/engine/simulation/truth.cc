#include "tests/unit/engine/simulation/truth.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/pattern.h"

namespace larder::simulation {

std::string Truth::NewValue(std::string_view key, bool tagged, Moment moment) {
  values_.push_back({std::string(key), tagged, moment});
  return absl::StrCat(values_.size() - 1);
}

void Truth::SetAcknowledged(int replica, std::string_view value, int64_t now_nanos) {
  const Value& set = Of(value);
  acknowledged_.push_back(
      {.replica = replica, .at_nanos = now_nanos, .is_set = true, .set = set.moment, .key = set.key});
}

void Truth::InvalidationAcknowledged(int replica, const Invalidated& what, const Effects& effects, int64_t now_nanos) {
  acknowledged_.push_back({.replica = replica, .at_nanos = now_nanos, .what = what, .effects = effects});
}

// COHERENCE P1 (a) and (b). What goes past the near tier reads the store after it began.
bool Truth::Binds(const Acknowledged& ack, const Asked& asked) const {
  return ack.replica == asked.replica || asked.from_store || ack.at_nanos <= asked.began_nanos - near_max_age_nanos_;
}

Moment Truth::Floor(const Acknowledged& ack, const Value& value, bool stale) {
  if (ack.is_set) return ack.key == value.key ? ack.set : 0;
  // COHERENCE E5: what a hard one killed is not served as stale either.
  if (ack.what.soft && stale) return 0;
  const std::vector<std::string>& keys = ack.what.keys;
  const std::vector<std::string>& patterns = ack.what.patterns;
  Moment floor = 0;
  if (std::find(keys.begin(), keys.end(), value.key) != keys.end()) floor = ack.effects.erased;
  const bool in_group = ack.what.all || (ack.what.tag && value.tagged) ||
                        std::any_of(patterns.begin(), patterns.end(),
                                    [&](const std::string& pattern) { return MatchesPattern(pattern, value.key); });
  return in_group ? std::max(floor, ack.effects.stamped) : floor;
}

std::optional<std::string> Truth::Check(const Asked& asked, std::string_view name, bool stale, bool degraded) {
  const Value& value = Of(name);
  if (value.key != asked.key) return absl::StrCat("the value is ", value.key, "'s");
  if (value.moment == 0) return "the value was never stored";
  if (stale && asked.fresh_only) return "it is stale";
  if (degraded && (asked.fresh_only || asked.from_store)) return "it is degraded";
  for (size_t i = 0; i < asked.acknowledged; ++i) {
    // A degraded one may miss what others have done, but nothing that was done here.
    if (degraded ? acknowledged_[i].replica != asked.replica : !Binds(acknowledged_[i], asked)) continue;
    const Moment floor = Floor(acknowledged_[i], value, stale);
    if (value.moment >= floor) continue;
    return absl::StrCat("the value is of ", value.moment, ", but ", acknowledged_[i].is_set ? "a Set" : "an Invalidate",
                        " of ", floor, " was acknowledged by replica ", acknowledged_[i].replica, " at ",
                        acknowledged_[i].at_nanos / 1'000'000, " ms");
  }
  return std::nullopt;
}

}  // namespace larder::simulation
