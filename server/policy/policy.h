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
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/policy/entity_rule.h"

namespace larder {

inline constexpr size_t kMaxKeyBytes = 512;
inline constexpr size_t kMaxContentTypeBytes = 255;
inline constexpr size_t kMaxBatchKeys = 1000;
inline constexpr size_t kMaxTags = 32;  // of one entry
inline constexpr size_t kMaxTagBytes = 128;
inline constexpr size_t kMaxPatternBytes = 128;
inline constexpr size_t kMaxGroups = 100;  // tags, patterns, or entities, in one Invalidate

// A namespace's system of record.
struct OriginPolicy {
  friend bool operator==(const OriginPolicy&, const OriginPolicy&) = default;

  std::string target = {};
  int64_t soft_timeout_ms = 250;
  int64_t hard_timeout_ms = 5'000;
  int max_concurrent = 64;
  size_t batch_keys = 100;
  int64_t batch_delay_ms = 1;
  size_t max_queued = 10'000;
  int breaker_failures = 5;
  int64_t breaker_pause_ms = 1'000;
};

// What a namespace does while its store cannot be reached.
enum class StoreLoss {
  kNearOnly,  // serves what the near tier has, marked as degraded
  kMemory,    // also takes Sets into it
};

// A configured warm-up. Exactly one of the sources is set.
struct WarmJobPolicy {
  friend bool operator==(const WarmJobPolicy&, const WarmJobPolicy&) = default;

  std::string name = {};
  std::vector<std::string> keys = {};
  std::optional<std::string> prefix = {};
  std::optional<std::string> file = {};
  std::optional<int> hottest = {};
  bool at_start = true;
  int64_t every_ms = 0;  // 0: never again
  int concurrency = 16;
  int max_per_second = 0;  // 0: no limit
  int64_t hold_readiness_ms = 0;
};

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
  int64_t stale_for_ms = 0;
  int64_t stale_if_error_ms = 0;
  int64_t refresh_retry_ms = 1'000;
  double eager_refresh = 0;  // 0: never, else the share of the TTL from which on
  int64_t absent_ttl_ms = 30'000;
  int64_t lease_ms = 10'000;
  int64_t max_wait_ms = 30'000;
  size_t max_waiters = 10'000;
  size_t max_tags = kMaxTags;
  size_t max_live_tags = 100'000;
  size_t max_live_patterns = 1'000;
  StoreLoss on_store_loss = StoreLoss::kNearOnly;
  int64_t degraded_max_age_ms = 60'000;  // since an entry was last known to be current; 0: none is served degraded
  std::map<std::string, EntityRule, std::less<>> entities;
  std::optional<OriginPolicy> origin;
  std::vector<WarmJobPolicy> warm_jobs;  // by name
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
// 1 to 128 bytes; the message names no field, the caller's element does.
absl::Status CheckTag(std::string_view tag);
absl::Status CheckPattern(std::string_view pattern);
// All of an entry's: how many, each, and that none is named twice.
absl::Status CheckTags(const NamespacePolicy& policy, const std::vector<std::string_view>& tags);

// What a caller asked for: milliseconds, or a class, or neither (the default).
struct TtlChoice {
  std::optional<int64_t> ttl_ms;
  std::optional<std::string> ttl_class;
};

// The TTL in milliseconds, before jitter; INVALID_ARGUMENT if it is out of range or the class is unknown.
absl::StatusOr<int64_t> ResolveTtl(const NamespacePolicy& policy, const TtlChoice& choice);

// The times of an entry that is written now. soft <= hard <= policy.max_ttl_ms.
struct Lifetime {
  int64_t soft_ms = 0;  // until it is stale
  int64_t hard_ms = 0;  // until it is gone
};
// Of a TTL that was resolved and jittered. INVALID_ARGUMENT naming `stale_for_ms` if it is negative or above 3650 days;
// a sum above max_ttl_ms is cut.
absl::StatusOr<Lifetime> ResolveLifetime(const NamespacePolicy& policy, int64_t ttl_ms,
                                         std::optional<int64_t> stale_for_ms);

// Takes off up to policy.ttl_jitter of `ttl_ms`; `random` is uniform over 64 bits. Never below 1.
int64_t ApplyJitter(const NamespacePolicy& policy, int64_t ttl_ms, uint64_t random);

}  // namespace larder

#endif  // LARDER_SERVER_POLICY_POLICY_H_
