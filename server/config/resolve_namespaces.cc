#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "server/config/fields.h"
#include "server/config/resolve.h"
#include "server/config/text.h"
#include "server/config/units.h"

namespace larder {
namespace {

using config::v1::NamespaceConfig;
using config::v1::ServerConfig;

constexpr int64_t kDay = 24 * 3600 * 1'000LL;
constexpr int64_t kMaxTtl = 3650 * kDay;
constexpr int64_t kMinute = 60 * 1'000LL;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kMaxNearAge = kHour;
constexpr int64_t kMaxValueBytes = int64_t{64} << 20;  // as much as is read back from Redis
// What a message needs beside the value: the key, the content type, the framing.
constexpr int64_t kMessageOverhead = int64_t{64} << 10;
constexpr size_t kMaxNamespaces = 1'000;
constexpr size_t kMaxClasses = 100;
// Shares written with few digits, such as six times 0.166667, may pass 1 by this much.
constexpr double kRounding = 1e-4;
constexpr double kMinEagerRefresh = 0.1;
constexpr double kMaxEagerRefresh = 0.99;

// The classes of `defaults`, then the namespace's own over them; each with the path it comes from.
class ClassResolver {
 public:
  ClassResolver(int64_t max_ttl_ms, Findings& findings) : max_ttl_ms_(max_ttl_ms), findings_(findings) {
    // The ready ones are nobody's contradiction: they give way to a lower cap.
    for (const auto& [name, ttl_ms] : ReadyTtlClasses()) classes_[name] = std::min(ttl_ms, max_ttl_ms);
  }

  void Add(const std::string& path, const NamespaceConfig& config) {
    for (const auto& [name, duration] : config.ttl_classes()) {
      classes_[name] = ToMillis(duration);
      paths_[name] = absl::StrCat(path, ".ttl_classes.", PathName(name));
    }
  }

  std::map<std::string, int64_t, std::less<>> Resolve(const std::string& path) {
    for (const auto& [name, class_path] : paths_) {
      const int64_t ttl_ms = classes_[name];
      if (!IsValidNamespaceName(name)) {
        findings_.AddProblem(class_path, "a name must match [a-z0-9_-]{1,63}");
      } else if (ttl_ms < 1) {
        findings_.AddProblem(class_path, "0s, must be at least 1ms");
      } else if (ttl_ms > max_ttl_ms_) {
        findings_.AddProblem(class_path, absl::StrCat(FormatDuration(ttl_ms), " is above the max_ttl of ", path, " (",
                                                      FormatDuration(max_ttl_ms_), ")"));
      }
    }
    if (classes_.size() > kMaxClasses) {
      findings_.AddProblem(absl::StrCat(path, ".ttl_classes"),
                           absl::StrCat(classes_.size(), " classes, the limit is ", kMaxClasses));
    }
    return std::move(classes_);
  }

 private:
  const int64_t max_ttl_ms_;
  Findings& findings_;
  std::map<std::string, int64_t, std::less<>> classes_;
  std::map<std::string, std::string> paths_;
};

void CheckFits(const Section& section, int64_t value_bytes, const std::string& limit, int64_t limit_bytes,
               Findings& findings) {
  if (value_bytes + kMessageOverhead <= limit_bytes) return;
  const std::string path = section.PathOf("max_value_bytes");
  // Where nobody set the size of values, it is the limit that is too low.
  const std::string origin = findings.OriginOf(section.IsSet("max_value_bytes") ? path : limit);
  findings.AddProblemAt(origin, path,
                        absl::StrCat(FormatBytes(value_bytes), " and 64KiB for the rest of a message do not fit in ",
                                     limit, " (", FormatBytes(limit_bytes), ")"));
}

void CheckBelowMaxTtl(const Section& section, const std::string& path, const std::string& field, int64_t milliseconds,
                      const NamespacePolicy& policy) {
  if (milliseconds <= policy.max_ttl_ms) return;
  section.AddProblem(field, absl::StrCat(FormatDuration(milliseconds), " is above the max_ttl of ", path, " (",
                                         FormatDuration(policy.max_ttl_ms), ")"));
}

void ResolveTtls(const Section& section, const std::string& path, NamespacePolicy& policy) {
  policy.max_ttl_ms = section.Integer("max_ttl", {policy.max_ttl_ms, 1, kMaxTtl});
  // Defaults give way to a lower cap.
  const auto resolve = [&](const std::string& field, int64_t fallback, int64_t min) {
    const int64_t milliseconds = section.Integer(field, {std::min(fallback, policy.max_ttl_ms), min, kMaxTtl});
    CheckBelowMaxTtl(section, path, field, milliseconds, policy);
    return milliseconds;
  };
  policy.default_ttl_ms = resolve("default_ttl", policy.default_ttl_ms, 1);
  policy.absent_ttl_ms = resolve("absent_ttl", policy.absent_ttl_ms, 1);
  policy.stale_for_ms = resolve("stale_for", policy.stale_for_ms, 0);
  policy.stale_if_error_ms = resolve("stale_if_error", policy.stale_if_error_ms, 0);
}

void ResolveLoading(const Section& section, NamespacePolicy& policy) {
  policy.refresh_retry_ms = section.Integer("refresh_retry", {policy.refresh_retry_ms, 1, kHour});
  policy.eager_refresh = section.Real("eager_refresh", {policy.eager_refresh, 0, kMaxEagerRefresh});
  if (policy.eager_refresh > 0 && policy.eager_refresh < kMinEagerRefresh) {
    section.AddProblem("eager_refresh", absl::StrCat(policy.eager_refresh, ", must be 0, or ", kMinEagerRefresh, " to ",
                                                     kMaxEagerRefresh));
  }
  policy.lease_ms = section.Integer("lease", {policy.lease_ms, 100, 10 * kMinute});
  policy.max_wait_ms = section.Integer("max_wait", {policy.max_wait_ms, 0, 10 * kMinute});
  const auto resolve = [&section](const std::string& field, size_t fallback, int64_t min, int64_t max) {
    return static_cast<size_t>(section.Integer(field, {static_cast<int64_t>(fallback), min, max}));
  };
  policy.max_waiters = resolve("max_waiters", policy.max_waiters, 1, 1'000'000);
  policy.max_tags = resolve("max_tags", policy.max_tags, 0, kMaxTags);
  policy.max_live_tags = resolve("max_live_tags", policy.max_live_tags, 1, 1'000'000);
  policy.max_live_patterns = resolve("max_live_patterns", policy.max_live_patterns, 1, 10'000);
}

void ResolveStoreLoss(const Section& section, NamespacePolicy& policy) {
  const std::string on_store_loss = section.Text("on_store_loss", "near_only");
  if (on_store_loss == "memory") {
    policy.on_store_loss = StoreLoss::kMemory;
  } else if (on_store_loss != "near_only") {
    section.AddProblem("on_store_loss", absl::StrCat("\"", on_store_loss, "\", must be near_only or memory"));
  }
  policy.degraded_max_age_ms = section.Integer("degraded_max_age", {policy.degraded_max_age_ms, 0, kDay});
}

NamespacePolicy ResolveOne(const std::string& name, const NamespaceConfig& own, const NamespaceConfig& defaults,
                           const ServerSettings::Grpc& grpc, Findings& findings) {
  const std::string path = absl::StrCat("namespaces.", name);
  const Section stand_in("defaults", defaults, &findings);
  const Section section(path, own, &findings, &stand_in);
  NamespacePolicy policy;
  policy.name = name;
  policy.enabled = section.Flag("enabled", policy.enabled);
  ResolveTtls(section, path, policy);
  ClassResolver classes(policy.max_ttl_ms, findings);
  classes.Add("defaults", defaults);
  classes.Add(path, own);
  policy.ttl_classes = classes.Resolve(path);
  policy.ttl_jitter = section.Real("ttl_jitter", {policy.ttl_jitter, 0, 0.5});
  policy.max_key_bytes = static_cast<size_t>(section.Integer("max_key_bytes", {kMaxKeyBytes, 1, kMaxKeyBytes}));
  const auto value_bytes = static_cast<int64_t>(policy.max_value_bytes);
  policy.max_value_bytes = static_cast<size_t>(section.Integer("max_value_bytes", {value_bytes, 1, kMaxValueBytes}));
  policy.max_batch_keys = static_cast<size_t>(section.Integer("max_batch_keys", {kMaxBatchKeys, 1, kMaxBatchKeys}));
  policy.near_max_age_ms = section.Integer("near_max_age", {policy.near_max_age_ms, 0, kMaxNearAge});
  policy.near_share = Section(path, own, &findings).Real("near_share", {0, 0, 1});
  const auto resolved_bytes = static_cast<int64_t>(policy.max_value_bytes);
  CheckFits(section, resolved_bytes, "grpc.max_response_bytes", grpc.max_response_bytes, findings);
  CheckFits(section, resolved_bytes, "grpc.max_request_bytes", grpc.max_request_bytes, findings);
  ResolveLoading(section, policy);
  ResolveStoreLoss(section, policy);
  policy.entities = ResolveEntities(path, own, defaults, findings);
  policy.origin = ResolveOrigin(path, own, defaults, findings);
  policy.warm_jobs = ResolveWarmJobs(path, own, policy, findings);
  return policy;
}

// Those that set no share divide what the others leave.
void ResolveNearShares(const ServerConfig& config, std::vector<NamespacePolicy>& policies, Findings& findings) {
  const auto sets_share = [&config](const NamespacePolicy& policy) {
    const auto found = config.namespaces().find(policy.name);
    return found != config.namespaces().end() && found->second.has_near_share();
  };
  double taken = 0;
  int without = 0;
  std::string last;
  for (const NamespacePolicy& policy : policies) {
    taken += policy.near_share;
    if (sets_share(policy)) {
      last = absl::StrCat("namespaces.", policy.name, ".near_share");
    } else {
      ++without;
    }
  }
  if (taken > 1 + kRounding) {
    findings.AddProblem(last,
                        absl::StrCat("the near shares of all namespaces together are ", taken, ", must be at most 1"));
    return;
  }
  for (NamespacePolicy& policy : policies) {
    if (taken > 1) policy.near_share /= taken;
    if (!sets_share(policy)) policy.near_share = std::max(0.0, 1 - taken) / without;
  }
}

}  // namespace

std::vector<NamespacePolicy> ResolveNamespaces(const ServerConfig& config, const ServerSettings::Grpc& grpc,
                                               Findings& findings) {
  std::set<std::string> names = {"default"};
  for (const auto& [name, ignored] : config.namespaces()) {
    if (IsValidNamespaceName(name)) {
      names.insert(name);
    } else {
      findings.AddProblem(absl::StrCat("namespaces.", PathName(name)), "a name must match [a-z0-9_-]{1,63}");
    }
  }
  if (names.size() > kMaxNamespaces) {
    findings.AddProblem("namespaces", absl::StrCat(names.size(), " with default, the limit is ", kMaxNamespaces));
    return {};
  }
  if (config.defaults().has_near_share()) {
    findings.AddProblem("defaults.near_share", "not allowed here; give it in a namespace");
  }
  if (config.defaults().warm_jobs_size() > 0) {
    findings.AddProblem("defaults.warm_jobs", "not allowed here; give them in a namespace");
  }
  std::vector<NamespacePolicy> policies;
  for (const std::string& name : names) {
    const auto own = config.namespaces().find(name);
    const NamespaceConfig& own_config =
        own == config.namespaces().end() ? NamespaceConfig::default_instance() : own->second;
    policies.push_back(ResolveOne(name, own_config, config.defaults(), grpc, findings));
  }
  ResolveNearShares(config, policies, findings);
  return policies;
}

}  // namespace larder
