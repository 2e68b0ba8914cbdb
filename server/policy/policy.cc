#include "server/policy/policy.h"

#include <algorithm>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace larder {
namespace {

constexpr int64_t kSecondMs = 1'000;
constexpr int64_t kMinuteMs = 60 * kSecondMs;

// Bounds on what an error message repeats: it travels in the headers of the answer.
constexpr size_t kMaxQuotedBytes = 63;
constexpr size_t kMaxListedClasses = 16;

std::string Quote(std::string_view text) {
  const bool cut = text.size() > kMaxQuotedBytes;
  return absl::StrCat("\"", absl::CHexEscape(std::string(text.substr(0, kMaxQuotedBytes))), cut ? "…\"" : "\"");
}

std::string ListClasses(const NamespacePolicy& policy) {
  if (policy.ttl_classes.empty()) return "none";
  std::vector<std::string> names;
  for (const auto& [name, ttl_ms] : policy.ttl_classes) {
    if (names.size() == kMaxListedClasses) {
      names.emplace_back("…");
      break;
    }
    names.push_back(name);
  }
  return absl::StrJoin(names, ", ");
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
    return absl::InvalidArgumentError(absl::StrCat("ttl_class: ", Quote(*choice.ttl_class),
                                                   " is not a class of namespace \"", policy.name,
                                                   "\" (it has: ", ListClasses(policy), ")"));
  }
  return policy.default_ttl_ms;
}

int64_t ApplyJitter(const NamespacePolicy& policy, int64_t ttl_ms, uint64_t random) {
  // The upper 53 bits: as many as a double holds, so that the share stays below 1.
  const double share = static_cast<double>(random >> 11) * 0x1.0p-53;
  const auto taken_off = static_cast<int64_t>(static_cast<double>(ttl_ms) * policy.ttl_jitter * share);
  return std::max<int64_t>(1, ttl_ms - taken_off);
}

}  // namespace larder
