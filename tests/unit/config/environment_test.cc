#include "server/config/environment.h"

#include <algorithm>
#include <map>

#include "tests/unit/config/config_test_util.h"

namespace larder {
namespace {

class EnvironmentTest : public ConfigTest {
 protected:
  // With a file that sets the same values, so that it shows which of the two wins.
  ServerSettings With(const Environment& environment) {
    return Settings(
        "grpc: {listen: 'file:1'}\noperations: {listen: 'file:2'}\nnear: {capacity_bytes: 1MiB}\n"
        "store: {redis: {url: 'redis://file', password: file, database: 1, prefix: file}}\n"
        "defaults: {default_ttl: 7s}\nlog: {level: error, format: text}\n",
        environment);
  }
};

TEST_F(EnvironmentTest, OverridesTheFile) {
  EXPECT_EQ(With({{"LARDER_LISTEN", "0.0.0.0:1234"}}).grpc.listen, "0.0.0.0:1234");
  EXPECT_EQ(With({{"LARDER_OPERATIONS_LISTEN", "0.0.0.0:4321"}}).operations.listen, "0.0.0.0:4321");
  EXPECT_EQ(With({{"LARDER_NEAR_CAPACITY", "64MiB"}}).near.capacity_bytes, 64 << 20);
  EXPECT_EQ(With({{"LARDER_LOG_LEVEL", "debug"}}).log.level, LogLevel::kDebug);
  EXPECT_EQ(With({{"LARDER_LOG_FORMAT", "json"}}).log.format, LogFormat::kJson);
  EXPECT_EQ(With({{"REDIS_URL", "redis://a:1"}}).redis.url, "redis://a:1");
  EXPECT_EQ(With({{"REDIS_CACHE_URL", "redis://b:1"}}).redis.url, "redis://b:1");
  EXPECT_EQ(With({{"REDIS_DB", "3"}}).redis.database, 3);
  EXPECT_EQ(With({{"REDIS_PASSWORD", "env"}}).redis.password, "env");
  EXPECT_EQ(With({{"REDIS_PASSWORD_FILE", folder_.Write("password", "of the file\n")}}).redis.password, "of the file");
  EXPECT_EQ(With({{"CACHE_PREFIX", "env"}}).redis.prefix, "env");
  EXPECT_EQ(With({{"REDIS_SSL", "true"}}).redis.tls.enabled, true);
  EXPECT_EQ(With({{"REDIS_SSL", "no"}}).redis.tls.enabled, false);
}

TEST_F(EnvironmentTest, PrefersTheCachesOwnRedis) {
  EXPECT_EQ(With({{"REDIS_URL", "redis://a"}, {"REDIS_CACHE_URL", "redis://b"}}).redis.url, "redis://b");
}

TEST_F(EnvironmentTest, TakesEmptyForNotSet) {
  Environment environment;
  for (const std::string& name : EnvironmentNames()) environment[name] = "";
  environment["CACHE_TTL_USER"] = "";
  const ServerSettings settings = With(environment);
  EXPECT_EQ(settings.grpc.listen, "file:1");
  EXPECT_EQ(settings.redis.url, "redis://file");
  EXPECT_EQ(settings.redis.password, "file");
  EXPECT_EQ(settings.namespaces[0].default_ttl_ms, 7'000);
  EXPECT_EQ(settings.namespaces[0].ttl_classes.at("user"), 300'000);
}

TEST_F(EnvironmentTest, NamesTheFile) {
  const std::string file = folder_.Write("other.yaml", "grpc: {threads: 9}\n");
  EXPECT_EQ(LoadConfig({"", {{"LARDER_CONFIG", file}}, resources_})->settings.grpc.threads, 9);
  // The command line's file goes before the environment's.
  const std::string mine = folder_.Write("mine.yaml", "grpc: {threads: 8}\n");
  EXPECT_EQ(LoadConfig({mine, {{"LARDER_CONFIG", file}}, resources_})->settings.grpc.threads, 8);
}

TEST_F(EnvironmentTest, SwitchesTheCacheOffForEveryNamespace) {
  const std::string yaml = "namespaces: {on: {enabled: true}, off: {enabled: false}}\n";
  for (const Environment& environment : {Environment{{"CACHE_ENABLED", "false"}}, Environment{{"DISABLE_CACHE", "1"}},
                                         Environment{{"CACHE_ENABLED", "No"}, {"DISABLE_CACHE", "TRUE"}}}) {
    for (const NamespacePolicy& policy : Settings(yaml, environment).namespaces) EXPECT_FALSE(policy.enabled);
  }
}

TEST_F(EnvironmentTest, LeavesNamespacesOffThatAreOffByThemselves) {
  const std::string yaml = "defaults: {enabled: false}\nnamespaces: {off: {enabled: false}}\n";
  for (const Environment& environment :
       {Environment{{"CACHE_ENABLED", "true"}}, Environment{{"DISABLE_CACHE", "off"}}}) {
    const ServerSettings settings = Settings(yaml, environment);
    EXPECT_TRUE(Find(settings, "default")->enabled);
    EXPECT_FALSE(Find(settings, "off")->enabled);
  }
}

TEST_F(EnvironmentTest, SetsTtls) {
  const ServerSettings settings =
      Settings("namespaces: {own: {default_ttl: 1s, ttl_classes: {menu: 2s}}}\n", {{"CACHE_DEFAULT_TTL", "120"},
                                                                                   {"CACHE_TTL_USER", "10m"},
                                                                                   {"CACHE_TTL_MENU", "30"},
                                                                                   {"CACHE_TTL_Slow_Report-2", "1d"}});
  const NamespacePolicy& policy = *Find(settings, "default");
  EXPECT_EQ(policy.default_ttl_ms, 120'000);
  EXPECT_EQ(policy.ttl_classes.at("default"), 300'000);
  EXPECT_EQ(policy.ttl_classes.at("user"), 600'000);
  EXPECT_EQ(policy.ttl_classes.at("menu"), 30'000);
  EXPECT_EQ(policy.ttl_classes.at("slow_report-2"), 86'400'000);
  EXPECT_EQ(Find(settings, "own")->default_ttl_ms, 1'000);
  EXPECT_EQ(Find(settings, "own")->ttl_classes.at("menu"), 2'000);
}

TEST_F(EnvironmentTest, TakesTheDefaultClassForTheDefault) {
  ServerSettings settings = With({{"CACHE_TTL_DEFAULT", "60"}});
  EXPECT_EQ(settings.namespaces[0].default_ttl_ms, 60'000);
  EXPECT_EQ(settings.namespaces[0].ttl_classes.at("default"), 60'000);
  settings = With({{"CACHE_TTL_DEFAULT", "60"}, {"CACHE_DEFAULT_TTL", "90"}});
  EXPECT_EQ(settings.namespaces[0].default_ttl_ms, 90'000);
  EXPECT_EQ(settings.namespaces[0].ttl_classes.at("default"), 60'000);
}

TEST_F(EnvironmentTest, SwitchesTheOperationsServer) {
  EXPECT_EQ(With({{"CACHE_MONITORING_ENABLED", "false"}}).operations.listen, "");
  EXPECT_EQ(With({{"CACHE_MONITORING_ENABLED", "false"}, {"LARDER_OPERATIONS_LISTEN", "a:1"}}).operations.listen, "");
  EXPECT_EQ(With({{"CACHE_MONITORING_ENABLED", "true"}}).operations.listen, "file:2");
}

TEST_F(EnvironmentTest, WarnsOfWhatHasNoEffect) {
  const auto loaded = Load("", {{"REDIS_MAX_CONNECTIONS", "20"}, {"REDIS_SSL", "false"}});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->warnings,
            std::vector<std::string>{
                "REDIS_MAX_CONNECTIONS: has no effect: all operations are pipelined; see store.redis.connections"});
}

TEST_F(EnvironmentTest, TakesAnyNumberOfConnections) {
  for (const char* number : {"1", "64", "65", "10000", "18446744073709551615"}) {
    const auto loaded = Load("", {{"REDIS_MAX_CONNECTIONS", number}});
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(loaded->warnings,
              std::vector<std::string>{
                  "REDIS_MAX_CONNECTIONS: has no effect: all operations are pipelined; see store.redis.connections"});
  }
}

// The jobs stay, so that they can be run by name.
TEST_F(EnvironmentTest, SwitchesWarmUpsOff) {
  const std::string yaml = "namespaces: {shop: {warm_jobs: {menu: {file: menu.jsonl}}}}\n";
  for (const auto& [flag, enabled] :
       std::map<std::string, bool>{{"true", true}, {"1", true}, {"", true}, {"false", false}, {"off", false}}) {
    const auto loaded = Load(yaml, {{"CACHE_WARMING_ENABLED", flag}});
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(loaded->settings.warming_enabled, enabled) << flag;
    EXPECT_EQ(Find(loaded->settings, "shop")->warm_jobs.size(), 1);
    EXPECT_TRUE(loaded->warnings.empty());
  }
}

TEST_F(EnvironmentTest, NamesTheVariableThatIsWrong) {
  const std::vector<std::pair<Environment, std::string>> rows = {
      {{{"LARDER_LISTEN", "x"}},
       "LARDER_LISTEN: grpc.listen: \"x\" is not an address; write for example 127.0.0.1:50051"},
      {{{"LARDER_OPERATIONS_LISTEN", "x"}},
       "LARDER_OPERATIONS_LISTEN: operations.listen: \"x\" is not an address; write for example 127.0.0.1:9090"},
      {{{"LARDER_NEAR_CAPACITY", "64M"}},
       "LARDER_NEAR_CAPACITY: near.capacity_bytes: \"64M\" is not a size; write bytes, or for example 64KiB, 256MiB or "
       "1GiB"},
      {{{"LARDER_LOG_LEVEL", "INFO"}}, "LARDER_LOG_LEVEL: log.level: \"INFO\", must be debug, info, warning or error"},
      {{{"LARDER_LOG_FORMAT", "x"}}, "LARDER_LOG_FORMAT: log.format: \"x\", must be json, text or auto"},
      {{{"REDIS_URL", "cache:6379"}},
       "REDIS_URL: store.redis.url: \"cache:6379\" is not a URL of Redis; write for example redis://127.0.0.1:6379"},
      {{{"REDIS_CACHE_URL", "rediss://a"}, {"REDIS_SSL", "false"}},
       "REDIS_SSL: store.redis.tls.enabled: false, but store.redis.url begins with rediss, which means TLS"},
      {{{"REDIS_DB", "-1"}}, "REDIS_DB: store.redis.database: -1, must be 0 to 65535"},
      {{{"REDIS_PASSWORD", "a"}, {"REDIS_PASSWORD_FILE", "b"}},
       "REDIS_PASSWORD_FILE: store.redis.password_file: contradicts password: only one of them may be given"},
      {{{"REDIS_PASSWORD_FILE", "/no/such"}},
       "REDIS_PASSWORD_FILE: store.redis.password_file: cannot read \"/no/such\": No such file or directory"},
      {{{"REDIS_SSL", "maybe"}}, "REDIS_SSL: \"maybe\" is neither true nor false"},
      {{{"REDIS_MAX_CONNECTIONS", "0"}}, "REDIS_MAX_CONNECTIONS: \"0\", must be a whole number from 1 on"},
      {{{"REDIS_MAX_CONNECTIONS", "-1"}}, "REDIS_MAX_CONNECTIONS: \"-1\", must be a whole number from 1 on"},
      {{{"REDIS_MAX_CONNECTIONS", "1.5"}}, "REDIS_MAX_CONNECTIONS: \"1.5\", must be a whole number from 1 on"},
      {{{"REDIS_MAX_CONNECTIONS", "x"}}, "REDIS_MAX_CONNECTIONS: \"x\", must be a whole number from 1 on"},
      {{{"CACHE_ENABLED", "x"}}, "CACHE_ENABLED: \"x\" is neither true nor false"},
      {{{"CACHE_ENABLED", "true"}, {"DISABLE_CACHE", "true"}},
       "CACHE_ENABLED: contradicts DISABLE_CACHE: both are true"},
      {{{"DISABLE_CACHE", "x"}}, "DISABLE_CACHE: \"x\" is neither true nor false"},
      {{{"CACHE_MONITORING_ENABLED", "x"}}, "CACHE_MONITORING_ENABLED: \"x\" is neither true nor false"},
      {{{"CACHE_WARMING_ENABLED", "x"}}, "CACHE_WARMING_ENABLED: \"x\" is neither true nor false"},
      {{{"CACHE_PREFIX", "a b"}},
       "CACHE_PREFIX: store.redis.prefix: \"a b\", must be 1 to 64 bytes of [A-Za-z0-9_.:-]"},
      {{{"CACHE_DEFAULT_TTL", "0"}}, "CACHE_DEFAULT_TTL: defaults.default_ttl: 0s, must be 1ms to 3650d"},
      {{{"CACHE_DEFAULT_TTL", "8d"}},
       "CACHE_DEFAULT_TTL: defaults.default_ttl: 8d is above the max_ttl of namespaces.default (7d)"},
      {{{"CACHE_TTL_DEFAULT", "long"}},
       "CACHE_TTL_DEFAULT: \"long\" is not a duration; write for example 250ms, 5s, 5m, 1h or 7d"},
      {{{"CACHE_TTL_USER", "700000"}},
       "CACHE_TTL_USER: defaults.ttl_classes.user: 700000s is above the max_ttl of namespaces.default (7d)"},
      {{{"CACHE_TTL_", "1"}}, "CACHE_TTL_: \"\" is not a name for a TTL class"},
      {{{"CACHE_TTL_A.B", "1"}}, "CACHE_TTL_A.B: \"a.b\" is not a name for a TTL class"},
      {{{"LARDER_CONFIG", "/no/such"}}, "/no/such: cannot read: No such file or directory"},
  };
  for (const auto& [environment, problem] : rows) {
    const absl::Status status = LoadConfig({"", environment, resources_}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(std::string(status.message()), problem);
  }
}

TEST_F(EnvironmentTest, ReadsTheProcesss) {
  ASSERT_EQ(setenv("CACHE_TTL_OF_THIS_TEST", "a=b", 1), 0);
  EXPECT_EQ(ProcessEnvironment().at("CACHE_TTL_OF_THIS_TEST"), "a=b");
}

}  // namespace
}  // namespace larder
