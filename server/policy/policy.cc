#include "server/policy/policy.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/policy/words.h"

namespace larder {
namespace {

constexpr int64_t kSecondMs = 1'000;
constexpr int64_t kMinuteMs = 60 * kSecondMs;

constexpr int64_t kMaxStaleForMs = 3650 * 24 * 60 * kMinuteMs;

std::string ListClasses(const NamespacePolicy& policy) {
  std::vector<std::string_view> names;
  for (const auto& [name, ttl_ms] : policy.ttl_classes) names.push_back(name);
  return ListNames(names);
}

absl::Status CheckGroup(std::string_view name, size_t limit) {
  if (name.empty()) return absl::InvalidArgumentError(absl::StrCat("empty, must be 1 to ", limit, " bytes"));
  if (name.size() <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name.size(), " bytes, the limit is ", limit));
}

absl::Status TagError(size_t index, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("tags[", index, "]: ", std::string(what)));
}

}  // namespace

std::map<std::string, int64_t, std::less<>> ReadyTtlClasses() {
  return {{"realtime", kMinuteMs},
          {"user", 5 * kMinuteMs},
          {"default", 5 * kMinuteMs},
          {"analytics", 30 * kMinuteMs},
          {"static", 60 * kMinuteMs}};
}

bool IsValidNamespaceName(std::string_view name) {
  if (name.empty() || name.size() > 63) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; });
}

absl::Status CheckKey(const NamespacePolicy& policy, std::string_view key) {
  if (key.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("key: empty, must be 1 to ", policy.max_key_bytes, " bytes"));
  }
  if (key.size() > policy.max_key_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("key: ", key.size(), " bytes, the limit is ", policy.max_key_bytes));
  }
  return absl::OkStatus();
}

absl::Status CheckValue(const NamespacePolicy& policy, std::string_view value) {
  if (value.size() <= policy.max_value_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("value: ", value.size(), " bytes, the limit is ", policy.max_value_bytes));
}

absl::Status CheckContentType(std::string_view content_type) {
  if (content_type.size() <= kMaxContentTypeBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("content_type: ", content_type.size(), " bytes, the limit is ", kMaxContentTypeBytes));
}

absl::Status CheckBatch(const NamespacePolicy& policy, size_t keys, std::string_view field) {
  if (keys == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(std::string(field), ": empty, must be 1 to ", policy.max_batch_keys));
  }
  if (keys > policy.max_batch_keys) {
    return absl::InvalidArgumentError(
        absl::StrCat(std::string(field), ": ", keys, ", the limit is ", policy.max_batch_keys));
  }
  return absl::OkStatus();
}

absl::Status CheckTag(std::string_view tag) { return CheckGroup(tag, kMaxTagBytes); }

absl::Status CheckPattern(std::string_view pattern) { return CheckGroup(pattern, kMaxPatternBytes); }

absl::Status CheckTags(const NamespacePolicy& policy, const std::vector<std::string_view>& tags) {
  if (tags.size() > policy.max_tags) {
    return absl::InvalidArgumentError(absl::StrCat("tags: ", tags.size(), ", the limit is ", policy.max_tags));
  }
  for (size_t i = 0; i < tags.size(); ++i) {
    if (const absl::Status status = CheckTag(tags[i]); !status.ok()) return TagError(i, std::string(status.message()));
    const auto end = tags.begin() + static_cast<std::ptrdiff_t>(i);
    const auto first = std::find(tags.begin(), end, tags[i]);
    if (first != end) return TagError(i, absl::StrCat("the same as tags[", first - tags.begin(), "]"));
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> ResolveTtl(const NamespacePolicy& policy, const TtlChoice& choice) {
  if (choice.ttl_ms.has_value() && choice.ttl_class.has_value()) {
    return absl::InvalidArgumentError("ttl_ms, ttl_class: only one of them may be given");
  }
  if (choice.ttl_ms.has_value()) {
    if (*choice.ttl_ms >= 1 && *choice.ttl_ms <= policy.max_ttl_ms) return *choice.ttl_ms;
    return absl::InvalidArgumentError(absl::StrCat("ttl_ms: ", *choice.ttl_ms, ", must be 1 to ", policy.max_ttl_ms));
  }
  if (choice.ttl_class.has_value()) {
    const auto found = policy.ttl_classes.find(*choice.ttl_class);
    if (found != policy.ttl_classes.end()) return found->second;
    return absl::InvalidArgumentError(absl::StrCat("ttl_class: ", QuoteCallers(*choice.ttl_class),
                                                   " is not a class of namespace \"", policy.name,
                                                   "\" (it has: ", ListClasses(policy), ")"));
  }
  return policy.default_ttl_ms;
}

absl::StatusOr<Lifetime> ResolveLifetime(const NamespacePolicy& policy, int64_t ttl_ms,
                                         std::optional<int64_t> stale_for_ms) {
  const int64_t stale_ms = stale_for_ms.value_or(policy.stale_for_ms);
  if (stale_ms < 0 || stale_ms > kMaxStaleForMs) {
    return absl::InvalidArgumentError(absl::StrCat("stale_for_ms: ", stale_ms, ", must be 0 to ", kMaxStaleForMs));
  }
  const int64_t soft_ms = std::clamp<int64_t>(ttl_ms, 1, policy.max_ttl_ms);
  // Compared as what is left, so that no sum leaves 64 bits.
  return Lifetime{.soft_ms = soft_ms, .hard_ms = soft_ms + std::min(stale_ms, policy.max_ttl_ms - soft_ms)};
}

int64_t ApplyJitter(const NamespacePolicy& policy, int64_t ttl_ms, uint64_t random) {
  // The upper 53 bits: as many as a double holds, so that the share stays below 1.
  const double share = static_cast<double>(random >> 11) * 0x1.0p-53;
  const auto taken_off = static_cast<int64_t>(static_cast<double>(ttl_ms) * policy.ttl_jitter * share);
  return std::max<int64_t>(1, ttl_ms - taken_off);
}

}  // namespace larder
