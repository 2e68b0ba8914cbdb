#include "server/config/environment.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <array>
#include <optional>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/config/fields.h"
#include "server/config/text.h"
#include "server/config/units.h"

namespace larder {
namespace {

using config::v1::NamespaceConfig;
using config::v1::ServerConfig;
using google::protobuf::Message;

// The variables that set one value as the file would.
struct Variable {
  const char* name;
  const char* path;
};

// Later ones win: REDIS_CACHE_URL names the cache's own Redis, where REDIS_URL may be the one of the whole application.
constexpr std::array<Variable, 11> kVariables = {{{"LARDER_LISTEN", "grpc.listen"},
                                                  {"LARDER_OPERATIONS_LISTEN", "operations.listen"},
                                                  {"LARDER_NEAR_CAPACITY", "near.capacity_bytes"},
                                                  {"LARDER_LOG_LEVEL", "log.level"},
                                                  {"LARDER_LOG_FORMAT", "log.format"},
                                                  {"REDIS_URL", "store.redis.url"},
                                                  {"REDIS_CACHE_URL", "store.redis.url"},
                                                  {"REDIS_PASSWORD", "store.redis.password"},
                                                  {"REDIS_PASSWORD_FILE", "store.redis.password_file"},
                                                  {"REDIS_DB", "store.redis.database"},
                                                  {"CACHE_PREFIX", "store.redis.prefix"}}};

constexpr char kRedisSsl[] = "REDIS_SSL";
constexpr char kRedisMaxConnections[] = "REDIS_MAX_CONNECTIONS";
constexpr char kCacheEnabled[] = "CACHE_ENABLED";
constexpr char kDisableCache[] = "DISABLE_CACHE";
constexpr char kMonitoringEnabled[] = "CACHE_MONITORING_ENABLED";
constexpr char kWarmingEnabled[] = "CACHE_WARMING_ENABLED";
constexpr char kDefaultTtl[] = "CACHE_DEFAULT_TTL";
constexpr char kTtlPrefix[] = "CACHE_TTL_";
constexpr char kTtlDefault[] = "CACHE_TTL_DEFAULT";

class Overrides {
 public:
  Overrides(const Environment& environment, ServerConfig& config, Findings& findings)
      : environment_(environment), config_(config), findings_(findings) {}

  EnvironmentSwitches Apply() {
    ApplyPassword();
    for (const Variable& variable : kVariables) ApplyVariable(variable);
    ApplyRedisOptions();
    ApplySwitches();
    ApplyTtls();
    return {.warming_enabled = GetFlag(kWarmingEnabled).value_or(true)};
  }

 private:
  std::optional<std::string> Get(const std::string& name) const {
    const auto found = environment_.find(name);
    if (found == environment_.end() || found->second.empty()) return std::nullopt;
    return found->second;
  }

  std::optional<bool> GetFlag(const std::string& name) {
    const std::optional<std::string> text = Get(name);
    if (!text.has_value()) return std::nullopt;
    const std::string word = absl::AsciiStrToLower(*text);
    for (const char* yes : {"true", "1", "yes", "on"}) {
      if (word == yes) return true;
    }
    for (const char* no : {"false", "0", "no", "off"}) {
      if (word == no) return false;
    }
    findings_.AddProblemAt(name, "", absl::StrCat(Quote(*text), " is neither true nor false"));
    return std::nullopt;
  }

  void ApplyVariable(const Variable& variable) {
    const std::optional<std::string> text = Get(variable.name);
    if (!text.has_value()) return;
    const std::vector<std::string> names = absl::StrSplit(variable.path, '.');
    Message* message = &config_;
    for (size_t i = 0; i + 1 < names.size(); ++i) {
      message = message->GetReflection()->MutableMessage(message, message->GetDescriptor()->FindFieldByName(names[i]));
    }
    findings_.SetOrigin(variable.path, variable.name);
    const absl::Status status = SetScalar(*message, *message->GetDescriptor()->FindFieldByName(names.back()), *text);
    if (!status.ok()) findings_.AddProblem(variable.path, std::string(status.message()));
  }

  // Either way of giving the password takes the place of both in the file.
  void ApplyPassword() {
    if (!Get("REDIS_PASSWORD").has_value() && !Get("REDIS_PASSWORD_FILE").has_value()) return;
    config_.mutable_store()->mutable_redis()->clear_password();
    config_.mutable_store()->mutable_redis()->clear_password_file();
  }

  void ApplyRedisOptions() {
    if (const std::optional<bool> ssl = GetFlag(kRedisSsl); ssl.has_value()) {
      config_.mutable_store()->mutable_redis()->mutable_tls()->set_enabled(*ssl);
      findings_.SetOrigin("store.redis.tls.enabled", kRedisSsl);
    }
    const std::optional<std::string> connections = Get(kRedisMaxConnections);
    if (!connections.has_value()) return;
    uint64_t number = 0;
    if (!absl::SimpleAtoi(*connections, &number) || number == 0) {
      findings_.AddProblemAt(kRedisMaxConnections, "",
                             absl::StrCat(Quote(*connections), ", must be a whole number from 1 on"));
    } else {
      findings_.AddWarning(kRedisMaxConnections,
                           "has no effect: all operations are pipelined; see store.redis.connections");
    }
  }

  void ApplySwitches() {
    const std::optional<bool> enabled = GetFlag(kCacheEnabled);
    const std::optional<bool> disabled = GetFlag(kDisableCache);
    if (enabled.has_value() && disabled.has_value() && *enabled == *disabled) {
      findings_.AddProblemAt(kCacheEnabled, "",
                             absl::StrCat("contradicts ", kDisableCache, ": both are ", *enabled ? "true" : "false"));
    } else if (enabled.has_value()) {
      SwitchCache(kCacheEnabled, *enabled);
    } else if (disabled.has_value()) {
      SwitchCache(kDisableCache, !*disabled);
    }
    if (!GetFlag(kMonitoringEnabled).value_or(true)) {
      config_.mutable_operations()->set_listen("");
      findings_.SetOrigin("operations.listen", kMonitoringEnabled);
    }
  }

  // Off is off for every namespace; on leaves those alone that are off by themselves.
  void SwitchCache(const std::string& variable, bool on) {
    config_.mutable_defaults()->set_enabled(on);
    findings_.SetOrigin("defaults.enabled", variable);
    if (on) return;
    for (auto& [name, name_space] : *config_.mutable_namespaces()) name_space.clear_enabled();
  }

  std::optional<int64_t> GetTtl(const std::string& name) {
    const std::optional<std::string> text = Get(name);
    if (!text.has_value()) return std::nullopt;
    const absl::StatusOr<int64_t> ttl_ms = ParseDurationOrSeconds(*text);
    if (ttl_ms.ok()) return *ttl_ms;
    findings_.AddProblemAt(name, "", std::string(ttl_ms.status().message()));
    return std::nullopt;
  }

  void ApplyTtls() {
    NamespaceConfig& defaults = *config_.mutable_defaults();
    for (auto variable = environment_.lower_bound(kTtlPrefix);
         variable != environment_.end() && absl::StartsWith(variable->first, kTtlPrefix); ++variable) {
      const std::optional<int64_t> ttl_ms = GetTtl(variable->first);
      if (!ttl_ms.has_value()) continue;
      const std::string name = absl::AsciiStrToLower(variable->first.substr(std::string_view(kTtlPrefix).size()));
      if (!IsValidNamespaceName(name)) {
        findings_.AddProblemAt(variable->first, "", absl::StrCat(Quote(name), " is not a name for a TTL class"));
        continue;
      }
      (*defaults.mutable_ttl_classes())[name] = FromMillis(*ttl_ms);
      findings_.SetOrigin(absl::StrCat("defaults.ttl_classes.", name), variable->first);
    }
    for (const char* variable : {kTtlDefault, kDefaultTtl}) {
      const std::optional<int64_t> ttl_ms = GetTtl(variable);
      if (!ttl_ms.has_value()) continue;
      *defaults.mutable_default_ttl() = FromMillis(*ttl_ms);
      findings_.SetOrigin("defaults.default_ttl", variable);
    }
  }

  const Environment& environment_;
  ServerConfig& config_;
  Findings& findings_;
};

}  // namespace

EnvironmentSwitches ApplyEnvironment(const Environment& environment, ServerConfig& config, Findings& findings) {
  return Overrides(environment, config, findings).Apply();
}

std::vector<std::string> EnvironmentNames() {
  std::vector<std::string> names = {kConfigFileVariable, kRedisSsl,       kRedisMaxConnections,
                                    kCacheEnabled,       kDisableCache,   kDefaultTtl,
                                    kMonitoringEnabled,  kWarmingEnabled, kTtlDefault};
  for (const Variable& variable : kVariables) names.emplace_back(variable.name);
  names.push_back(absl::StrCat(kTtlPrefix, "<CLASS>"));
  return names;
}

}  // namespace larder
