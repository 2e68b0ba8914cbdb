#include "server/config/describe.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/config/text.h"
#include "server/config/units.h"

namespace larder {
namespace {

constexpr size_t kMaxShownBytes = 200;

// One value of the settings under its path in the file.
struct Item {
  std::string path;
  std::string yaml;   // as it stands in a file
  std::string shown;  // the same, with what is secret hidden
};

std::string QuoteYaml(const std::string& text) {
  YAML::Emitter emitter;
  emitter << YAML::DoubleQuoted << text;
  return emitter.c_str();
}

class Items {
 public:
  void Add(const std::string& path, const std::string& yaml) { items_.push_back({path, yaml, yaml}); }
  void AddText(const std::string& path, const std::string& text) { Add(path, QuoteYaml(text)); }
  void AddNumber(const std::string& path, int64_t number) { Add(path, absl::StrCat(number)); }
  void AddFlag(const std::string& path, bool flag) { Add(path, flag ? "true" : "false"); }
  void AddBytes(const std::string& path, int64_t bytes) { Add(path, FormatBytes(bytes)); }
  void AddDuration(const std::string& path, int64_t milliseconds) { Add(path, FormatDuration(milliseconds)); }
  void AddShare(const std::string& path, double share) { Add(path, absl::StrCat(share)); }
  // What is empty stands for what is not set.
  void AddList(const std::string& path, const std::vector<std::string>& texts) {
    if (texts.empty()) return;
    std::vector<std::string> quoted;
    for (const std::string& text : texts) quoted.push_back(QuoteYaml(text));
    Add(path, absl::StrCat("[", absl::StrJoin(quoted, ", "), "]"));
  }
  void AddSecret(const std::string& path, const std::string& text, const std::string& shown) {
    items_.push_back({path, QuoteYaml(text), QuoteYaml(shown)});
  }

  std::vector<Item> Take() { return std::move(items_); }

 private:
  std::vector<Item> items_;
};

void AddRedis(const ServerSettings::Redis& redis, Items& items) {
  const std::string path = "store.redis.";
  items.AddSecret(path + "url", redis.url, MaskPassword(redis.url));
  if (redis.user.has_value()) items.AddText(path + "user", *redis.user);
  if (redis.password.has_value()) items.AddSecret(path + "password", *redis.password, "***");
  if (redis.database.has_value()) items.AddNumber(path + "database", *redis.database);
  items.AddText(path + "prefix", redis.prefix);
  items.AddDuration(path + "connect_timeout", redis.connect_timeout_ms);
  items.AddDuration(path + "operation_timeout", redis.operation_timeout_ms);
  items.AddDuration(path + "min_backoff", redis.min_backoff_ms);
  items.AddDuration(path + "max_backoff", redis.max_backoff_ms);
  items.AddNumber(path + "max_pending", redis.max_pending);
  items.AddNumber(path + "connections", redis.connections);
  items.AddBytes(path + "compress_from_bytes", redis.compress_from_bytes);
  items.AddNumber(path + "journal_entries", redis.journal_entries);
  if (redis.tls.enabled.has_value()) items.AddFlag(path + "tls.enabled", *redis.tls.enabled);
  const auto add_if_set = [&](const std::string& field, const std::string& text) {
    if (!text.empty()) items.AddText(path + field, text);
  };
  add_if_set("tls.ca_file", redis.tls.ca_file);
  add_if_set("tls.ca_path", redis.tls.ca_path);
  add_if_set("tls.cert_file", redis.tls.cert_file);
  add_if_set("tls.key_file", redis.tls.key_file);
  add_if_set("tls.server_name", redis.tls.server_name);
  add_if_set("sentinel.user", redis.sentinel.user);
  if (redis.sentinel.password.has_value()) {
    items.AddSecret(path + "sentinel.password", *redis.sentinel.password, "***");
  }
}

void AddEntities(const std::string& path, const EntityRules& entities, Items& items) {
  const auto texts = [](const std::vector<Template>& templates) {
    std::vector<std::string> list;
    for (const Template& text : templates) list.push_back(text.Text());
    return list;
  };
  for (const auto& [name, rule] : entities) {
    items.AddList(path + name + ".keys", texts(rule.keys));
    items.AddList(path + name + ".tags", texts(rule.tags));
    items.AddList(path + name + ".patterns", texts(rule.patterns));
  }
}

void AddOrigin(const std::string& path, const OriginPolicy& origin, Items& items) {
  items.AddText(path + "target", origin.target);
  items.AddDuration(path + "soft_timeout", origin.soft_timeout_ms);
  items.AddDuration(path + "hard_timeout", origin.hard_timeout_ms);
  items.AddNumber(path + "max_concurrent", origin.max_concurrent);
  items.AddNumber(path + "batch_keys", static_cast<int64_t>(origin.batch_keys));
  items.AddDuration(path + "batch_delay", origin.batch_delay_ms);
  items.AddNumber(path + "max_queued", static_cast<int64_t>(origin.max_queued));
  items.AddNumber(path + "breaker_failures", origin.breaker_failures);
  items.AddDuration(path + "breaker_pause", origin.breaker_pause_ms);
}

void AddWarmJob(const std::string& path, const WarmJobPolicy& job, Items& items) {
  items.AddList(path + "keys", job.keys);
  if (job.prefix.has_value()) items.AddText(path + "prefix", *job.prefix);
  if (job.file.has_value()) items.AddText(path + "file", *job.file);
  if (job.hottest.has_value()) items.AddNumber(path + "hottest", *job.hottest);
  items.AddFlag(path + "at_start", job.at_start);
  if (job.every_ms > 0) items.AddDuration(path + "every", job.every_ms);
  items.AddNumber(path + "concurrency", job.concurrency);
  items.AddNumber(path + "max_per_second", job.max_per_second);
  items.AddDuration(path + "hold_readiness", job.hold_readiness_ms);
}

void AddLoading(const std::string& path, const NamespacePolicy& policy, Items& items) {
  items.AddDuration(path + "stale_for", policy.stale_for_ms);
  items.AddDuration(path + "stale_if_error", policy.stale_if_error_ms);
  items.AddDuration(path + "refresh_retry", policy.refresh_retry_ms);
  items.AddShare(path + "eager_refresh", policy.eager_refresh);
  items.AddDuration(path + "absent_ttl", policy.absent_ttl_ms);
  items.AddDuration(path + "lease", policy.lease_ms);
  items.AddDuration(path + "max_wait", policy.max_wait_ms);
  items.AddNumber(path + "max_waiters", static_cast<int64_t>(policy.max_waiters));
  items.AddNumber(path + "max_tags", static_cast<int64_t>(policy.max_tags));
  items.AddNumber(path + "max_live_tags", static_cast<int64_t>(policy.max_live_tags));
  items.AddNumber(path + "max_live_patterns", static_cast<int64_t>(policy.max_live_patterns));
  items.AddText(path + "on_store_loss", policy.on_store_loss == StoreLoss::kMemory ? "memory" : "near_only");
  items.AddDuration(path + "degraded_max_age", policy.degraded_max_age_ms);
  AddEntities(path + "entities.", policy.entities, items);
  if (policy.origin.has_value()) AddOrigin(path + "origin.", *policy.origin, items);
  for (const WarmJobPolicy& job : policy.warm_jobs) {
    AddWarmJob(absl::StrCat(path, "warm_jobs.", job.name, "."), job, items);
  }
}

void AddNamespace(const NamespacePolicy& policy, Items& items) {
  const std::string path = absl::StrCat("namespaces.", policy.name, ".");
  items.AddFlag(path + "enabled", policy.enabled);
  items.AddDuration(path + "default_ttl", policy.default_ttl_ms);
  items.AddDuration(path + "max_ttl", policy.max_ttl_ms);
  items.AddShare(path + "ttl_jitter", policy.ttl_jitter);
  for (const auto& [name, ttl_ms] : policy.ttl_classes) items.AddDuration(path + "ttl_classes." + name, ttl_ms);
  items.AddBytes(path + "max_key_bytes", static_cast<int64_t>(policy.max_key_bytes));
  items.AddBytes(path + "max_value_bytes", static_cast<int64_t>(policy.max_value_bytes));
  items.AddNumber(path + "max_batch_keys", static_cast<int64_t>(policy.max_batch_keys));
  items.AddShare(path + "near_share", policy.near_share);
  items.AddDuration(path + "near_max_age", policy.near_max_age_ms);
  AddLoading(path, policy, items);
}

std::vector<Item> List(const ServerSettings& settings) {
  Items items;
  items.AddText("grpc.listen", settings.grpc.listen);
  items.AddNumber("grpc.threads", settings.grpc.threads);
  items.AddBytes("grpc.max_request_bytes", settings.grpc.max_request_bytes);
  items.AddBytes("grpc.max_response_bytes", settings.grpc.max_response_bytes);
  items.AddNumber("grpc.max_concurrent_streams", settings.grpc.max_concurrent_streams);
  items.AddDuration("grpc.max_connection_age", settings.grpc.max_connection_age_ms);
  items.AddDuration("grpc.drain_timeout", settings.grpc.drain_timeout_ms);
  items.AddNumber("grpc.max_pipeline_operations", settings.grpc.max_pipeline_operations);
  items.AddBytes("grpc.max_pipeline_bytes", settings.grpc.max_pipeline_bytes);
  items.AddText("operations.listen", settings.operations.listen);
  items.AddBytes("near.capacity_bytes", settings.near.capacity_bytes);
  items.AddText("near.coherence", std::string(ToString(settings.near.coherence)));
  items.AddDuration("near.lease", settings.near.lease_ms);
  items.AddNumber("near.max_strong_waits", settings.near.max_strong_waits);
  items.AddBytes("store.embedded.capacity_bytes", settings.embedded.capacity_bytes);
  AddRedis(settings.redis, items);
  for (const NamespacePolicy& policy : settings.namespaces) AddNamespace(policy, items);
  items.AddDuration("sweep.interval", settings.sweep.interval_ms);
  items.AddNumber("sweep.max_keys_per_second", settings.sweep.max_keys_per_second);
  items.AddNumber("sweep.step_keys", settings.sweep.step_keys);
  items.AddNumber("watch.buffer_events", settings.watch.buffer_events);
  items.AddNumber("watch.max_watchers", settings.watch.max_watchers);
  items.Add("log.level", std::string(ToString(settings.log.level)));
  items.Add("log.format", std::string(ToString(settings.log.format)));
  return items.Take();
}

// A namespace that comes or goes brings metrics and memory of its own, a share is memory, an origin has a connection,
// and warm-ups have their times: all are made at start.
bool NeedsRestart(const std::string& path, const std::set<std::string>& kept_namespaces) {
  const std::vector<std::string> names = absl::StrSplit(path, '.');
  if (names.front() != "namespaces") return true;
  if (kept_namespaces.count(names[1]) == 0) return true;
  return names[2] == "near_share" || names[2] == "origin" || names[2] == "warm_jobs";
}

// As much of a value as a line of the log has room for.
std::string Shorten(const std::string& shown) {
  if (shown.size() <= kMaxShownBytes) return shown;
  size_t end = kMaxShownBytes;
  while (end > 0 && (static_cast<unsigned char>(shown[end]) & 0xC0U) == 0x80U) --end;  // not within a letter
  return shown.substr(0, end) + "…";
}

std::set<std::string> NamesInBoth(const ServerSettings& before, const ServerSettings& after) {
  std::set<std::string> names;
  std::set<std::string> both;
  for (const NamespacePolicy& policy : before.namespaces) names.insert(policy.name);
  for (const NamespacePolicy& policy : after.namespaces) {
    if (names.count(policy.name) != 0) both.insert(policy.name);
  }
  return both;
}

}  // namespace

std::string DescribeConfig(const ServerSettings& settings) {
  std::string text;
  std::vector<std::string> open;  // the mappings that the last line stands in
  for (const Item& item : List(settings)) {
    std::vector<std::string> names = absl::StrSplit(item.path, '.');
    const std::string last = names.back();
    names.pop_back();
    const auto [common, ignored] = std::mismatch(names.begin(), names.end(), open.begin(), open.end());
    for (auto name = common; name != names.end(); ++name) {
      absl::StrAppend(&text, std::string(2 * static_cast<size_t>(name - names.begin()), ' '), *name, ":\n");
    }
    absl::StrAppend(&text, std::string(2 * names.size(), ' '), last, ": ", item.shown, "\n");
    open = std::move(names);
  }
  return text;
}

ConfigDiff DiffPolicies(const ServerSettings& before, const ServerSettings& after) {
  struct Change {
    const Item* before = nullptr;
    const Item* after = nullptr;
  };
  const std::vector<Item> items_before = List(before);
  const std::vector<Item> items_after = List(after);
  std::map<std::string, Change> changes;
  for (const Item& item : items_before) changes[item.path].before = &item;
  for (const Item& item : items_after) changes[item.path].after = &item;
  const std::set<std::string> kept = NamesInBoth(before, after);
  ConfigDiff diff;
  for (const auto& [path, change] : changes) {
    if (change.before != nullptr && change.after != nullptr && change.before->yaml == change.after->yaml) continue;
    std::string line = absl::StrCat(path, ": ", change.before == nullptr ? "(none)" : Shorten(change.before->shown),
                                    " -> ", change.after == nullptr ? "(none)" : Shorten(change.after->shown));
    (NeedsRestart(path, kept) ? diff.needs_restart : diff.policy).push_back(std::move(line));
  }
  return diff;
}

}  // namespace larder
