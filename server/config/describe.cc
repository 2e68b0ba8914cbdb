#include "server/config/describe.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/config/text.h"
#include "server/config/units.h"

namespace larder {
namespace {

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
  items.AddBytes(path + "compress_from_bytes", redis.compress_from_bytes);
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
  items.AddText("operations.listen", settings.operations.listen);
  items.AddBytes("near.capacity_bytes", settings.near.capacity_bytes);
  items.AddBytes("store.embedded.capacity_bytes", settings.embedded.capacity_bytes);
  AddRedis(settings.redis, items);
  for (const NamespacePolicy& policy : settings.namespaces) AddNamespace(policy, items);
  items.Add("log.level", std::string(ToString(settings.log.level)));
  items.Add("log.format", std::string(ToString(settings.log.format)));
  return items.Take();
}

// A namespace that comes or goes brings metrics and memory of its own, and a share is memory: both are made at start.
bool NeedsRestart(const std::string& path, const std::set<std::string>& kept_namespaces) {
  const std::vector<std::string> names = absl::StrSplit(path, '.');
  if (names.front() != "namespaces") return true;
  return kept_namespaces.count(names[1]) == 0 || names[2] == "near_share";
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
    std::string line = absl::StrCat(path, ": ", change.before == nullptr ? "(none)" : change.before->shown, " -> ",
                                    change.after == nullptr ? "(none)" : change.after->shown);
    (NeedsRestart(path, kept) ? diff.needs_restart : diff.policy).push_back(std::move(line));
  }
  return diff;
}

}  // namespace larder
