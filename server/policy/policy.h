// What a namespace allows and how it behaves. Plain data; replaced whole when the configuration is reloaded.
#ifndef LARDER_SERVER_POLICY_POLICY_H_
#define LARDER_SERVER_POLICY_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace larder {

inline constexpr size_t kMaxKeyBytes = 512;
inline constexpr size_t kMaxContentTypeBytes = 255;
inline constexpr size_t kMaxBatchKeys = 1000;

struct NamespacePolicy {
  friend bool operator==(const NamespacePolicy&, const NamespacePolicy&) = default;

  std::string name;
  bool enabled = true;                          // false: every Get is a miss, nothing is stored
  int64_t default_ttl_ms = 300'000;             // where a Set names neither TTL nor class
  int64_t max_ttl_ms = 7 * 24 * 3600 * 1000LL;  // cap on any TTL and on an entry's whole life
  double ttl_jitter = 0.0;                      // up to this share is taken off each TTL, at random; [0, 0.5]
  size_t max_key_bytes = kMaxKeyBytes;          // 1 .. 512
  size_t max_value_bytes = size_t{1} << 20;
  size_t max_batch_keys = kMaxBatchKeys;  // 1 .. 1000
  double near_share = 0.0;                // share of the near tier, resolved: all together are at most 1
  int64_t near_max_age_ms = 1'000;        // how long a near entry is served without asking a shared store; 0: never
  std::map<std::string, int64_t, std::less<>> ttl_classes;  // in milliseconds
};

// The classes that every namespace has unless it sets them otherwise.
std::map<std::string, int64_t, std::less<>> ReadyTtlClasses();

// `[a-z0-9_-]{1,63}`.
bool IsValidNamespaceName(std::string_view name);

// The checks of what a caller sends. INVALID_ARGUMENT naming the field and the limit.
absl::Status CheckKey(const NamespacePolicy& policy, std::string_view key);
absl::Status CheckValue(const NamespacePolicy& policy, std::string_view value);
absl::Status CheckContentType(std::string_view content_type);
absl::Status CheckBatch(const NamespacePolicy& policy, size_t keys, std::string_view field);

// What a caller asked for: milliseconds, or a class, or neither (the default).
struct TtlChoice {
  std::optional<int64_t> ttl_ms;
  std::optional<std::string> ttl_class;
};

// The TTL in milliseconds, before jitter; INVALID_ARGUMENT if it is out of range or the class is unknown.
absl::StatusOr<int64_t> ResolveTtl(const NamespacePolicy& policy, const TtlChoice& choice);

// Takes off up to policy.ttl_jitter of `ttl_ms`; `random` is uniform over 64 bits. Never below 1.
int64_t ApplyJitter(const NamespacePolicy& policy, int64_t ttl_ms, uint64_t random);

}  // namespace larder

#endif  // LARDER_SERVER_POLICY_POLICY_H_
