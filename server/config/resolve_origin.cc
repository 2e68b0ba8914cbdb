#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/config/fields.h"
#include "server/config/resolve.h"
#include "server/config/text.h"
#include "server/config/units.h"

namespace larder {
namespace {

using config::v1::NamespaceConfig;

constexpr int64_t kMinute = 60 * 1'000;

// What the name leads to, and whether it can be reached, is not looked up here.
bool IsTarget(std::string_view target) {
  return !target.empty() && std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c <= '~'; });
}

void ResolveTimeouts(const Section& section, OriginPolicy& origin) {
  // The default of one end gives way to what is set at the other.
  const int64_t soft = section.Integer("soft_timeout", {origin.soft_timeout_ms, 1, kMinute});
  origin.hard_timeout_ms = section.Integer("hard_timeout", {std::max(origin.hard_timeout_ms, soft), 1, 10 * kMinute});
  origin.soft_timeout_ms = section.IsSet("soft_timeout") ? soft : std::min(soft, origin.hard_timeout_ms);
  if (origin.soft_timeout_ms > origin.hard_timeout_ms) {
    section.AddProblem("soft_timeout", absl::StrCat(FormatDuration(origin.soft_timeout_ms), " is above hard_timeout (",
                                                    FormatDuration(origin.hard_timeout_ms), ")"));
  }
}

}  // namespace

std::optional<OriginPolicy> ResolveOrigin(const std::string& path, const NamespaceConfig& own,
                                          const NamespaceConfig& defaults, Findings& findings) {
  if (!own.has_origin() && !defaults.has_origin()) return std::nullopt;
  const Section section(absl::StrCat(own.has_origin() ? path : "defaults", ".origin"),
                        own.has_origin() ? own.origin() : defaults.origin(), &findings);
  OriginPolicy origin;
  origin.target = section.Text("target", "");
  if (!section.IsSet("target")) {
    section.AddProblem("target", "missing; write for example localhost:50061");
  } else if (!IsTarget(origin.target)) {
    section.AddProblem("target",
                       absl::StrCat(Quote(origin.target), " is not a target; write for example localhost:50061"));
  }
  ResolveTimeouts(section, origin);
  const auto resolve = [&section](const std::string& field, int64_t fallback, int64_t min, int64_t max) {
    return section.Integer(field, {fallback, min, max});
  };
  origin.max_concurrent = static_cast<int>(resolve("max_concurrent", origin.max_concurrent, 1, 10'000));
  origin.batch_keys = static_cast<size_t>(resolve("batch_keys", static_cast<int64_t>(origin.batch_keys), 1, 1'000));
  origin.batch_delay_ms = resolve("batch_delay", origin.batch_delay_ms, 0, 100);
  origin.max_queued = static_cast<size_t>(resolve("max_queued", static_cast<int64_t>(origin.max_queued), 1, 1'000'000));
  origin.breaker_failures = static_cast<int>(resolve("breaker_failures", origin.breaker_failures, 1, 1'000));
  origin.breaker_pause_ms = resolve("breaker_pause", origin.breaker_pause_ms, 10, 10 * kMinute);
  return origin;
}

}  // namespace larder
