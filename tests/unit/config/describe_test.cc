#include "server/config/describe.h"

#include "tests/unit/config/config_test_util.h"
#include "tests/unit/config/every_field.h"

namespace larder {
namespace {

class DescribeTest : public ConfigTest {};

TEST_F(DescribeTest, PrintsTheDefaults) {
  EXPECT_EQ(DescribeConfig(Settings("")), R"(grpc:
  listen: "127.0.0.1:50051"
  threads: 4
  max_request_bytes: 16MiB
  max_response_bytes: 4MiB
  max_concurrent_streams: 1000
  max_connection_age: 30m
  drain_timeout: 10s
  max_pipeline_operations: 4096
  max_pipeline_bytes: 8MiB
operations:
  listen: "127.0.0.1:9090"
near:
  capacity_bytes: 512MiB
  coherence: "tracking"
  lease: 1s
  max_strong_waits: 10000
store:
  embedded:
    capacity_bytes: 512MiB
  redis:
    url: ""
    prefix: "larder"
    connect_timeout: 1s
    operation_timeout: 250ms
    min_backoff: 50ms
    max_backoff: 1s
    max_pending: 65536
    connections: 1
    compress_from_bytes: 4KiB
    journal_entries: 100000
namespaces:
  default:
    enabled: true
    default_ttl: 5m
    max_ttl: 7d
    ttl_jitter: 0
    ttl_classes:
      analytics: 30m
      default: 5m
      realtime: 1m
      static: 1h
      user: 5m
    max_key_bytes: 512
    max_value_bytes: 1MiB
    max_batch_keys: 1000
    near_share: 1
    near_max_age: 1s
    stale_for: 0s
    stale_if_error: 0s
    refresh_retry: 1s
    eager_refresh: 0
    absent_ttl: 30s
    lease: 10s
    max_wait: 30s
    max_waiters: 10000
    max_tags: 32
    max_live_tags: 100000
    max_live_patterns: 1000
    on_store_loss: "near_only"
    degraded_max_age: 1m
sweep:
  interval: 5s
  max_keys_per_second: 10000
  step_keys: 100
watch:
  buffer_events: 65536
  max_watchers: 1000
log:
  level: info
  format: auto
)");
}

TEST_F(DescribeTest, PrintsWhatCanBeLoadedAgain) {
  const ServerSettings settings = Settings(
      "grpc: {threads: 2}\noperations: {listen: ''}\n"
      "store: {redis: {url: 'unix:///a \"b\"', user: \"tab\\t\", database: 4}}\n"
      "defaults: {ttl_jitter: 0.25}\n"
      "namespaces: {a: {near_share: 0.3}, b: {max_ttl: 2m}, c: {near_max_age: 0}, true: {}, 7: {}}\n");
  const std::string text = DescribeConfig(settings);
  const ServerSettings again = Settings(text);
  EXPECT_EQ(DescribeConfig(again), text);
  EXPECT_EQ(again.redis.url, settings.redis.url);
  EXPECT_EQ(again.redis.user, settings.redis.user);
  const ConfigDiff diff = DiffPolicies(settings, again);
  EXPECT_TRUE(diff.policy.empty());
  EXPECT_TRUE(diff.needs_restart.empty());
}

TEST_F(DescribeTest, PrintsEveryFieldSoThatItCanBeLoadedAgain) {
  const ServerSettings settings = Settings(kEveryField);
  const std::string text = DescribeConfig(settings);
  EXPECT_NE(text.find(R"(    entities:
      client:
        keys: ["client:{id}", "c"]
        tags: ["client:{id}", "of:{{{owner}}}"]
        patterns: ["clients:*"]
      payment:
        patterns: ["*revenue*"]
    origin:
      target: "dns:///shop:50061"
      soft_timeout: 100ms
      hard_timeout: 1s
      max_concurrent: 3
      batch_keys: 7
      batch_delay: 0s
      max_queued: 9
      breaker_failures: 2
      breaker_pause: 10ms
    warm_jobs:
      file:
        file: "/etc/larder/warm.jsonl"
        at_start: true
        concurrency: 16
        max_per_second: 0
        hold_readiness: 0s
      hot:
        hottest: 1000
        at_start: true
        concurrency: 16
        max_per_second: 0
        hold_readiness: 0s
      list:
        prefix: "menu:"
        at_start: true
        concurrency: 16
        max_per_second: 0
        hold_readiness: 1m
      menu:
        keys: ["a", "b"]
        at_start: false
        every: 1h
        concurrency: 2
        max_per_second: 100
        hold_readiness: 0s
)"),
            std::string::npos)
      << text;
  const ServerSettings again = Settings(text);
  EXPECT_TRUE(again.namespaces == settings.namespaces);
  EXPECT_EQ(again.sweep.step_keys, settings.sweep.step_keys);
  EXPECT_EQ(again.near.coherence, settings.near.coherence);
  EXPECT_EQ(again.near.lease_ms, settings.near.lease_ms);
  EXPECT_EQ(again.near.max_strong_waits, settings.near.max_strong_waits);
}

TEST_F(DescribeTest, HidesPasswords) {
  const std::string text =
      DescribeConfig(Settings("store: {redis: {url: 'redis://larder:hunter2@cache:6379/1', password: hunter3}}\n"));
  EXPECT_EQ(text.find("hunter"), std::string::npos);
  EXPECT_NE(text.find("url: \"redis://larder:***@cache:6379/1\"\n"), std::string::npos);
  EXPECT_NE(text.find("password: \"***\"\n"), std::string::npos);
}

TEST_F(DescribeTest, TellsWhatAReloadApplies) {
  const ServerSettings before = Settings("namespaces: {shop: {near_share: 0.5}, old: {near_share: 0.25}}\n");
  const ServerSettings after = Settings(
      "grpc: {threads: 2}\nstore: {redis: {url: 'redis://:secret@h', password: secret}}\n"
      "namespaces: {shop: {near_share: 0.4, default_ttl: 10s, ttl_classes: {menu: 1m}}, old: {near_share: 0.35}}\n");
  const ConfigDiff diff = DiffPolicies(before, after);
  EXPECT_EQ(diff.policy, (std::vector<std::string>{"namespaces.shop.default_ttl: 5m -> 10s",
                                                   "namespaces.shop.ttl_classes.menu: (none) -> 1m"}));
  EXPECT_EQ(diff.needs_restart, (std::vector<std::string>{
                                    "grpc.threads: 4 -> 2", "namespaces.old.near_share: 0.25 -> 0.35",
                                    "namespaces.shop.near_share: 0.5 -> 0.4", "store.redis.password: (none) -> \"***\"",
                                    "store.redis.url: \"\" -> \"redis://:***@h\""}));
}

TEST_F(DescribeTest, TellsThatPasswordsDifferWithoutShowingThem) {
  const ConfigDiff diff =
      DiffPolicies(Settings("store: {redis: {password: one}}\n"), Settings("store: {redis: {password: two}}\n"));
  EXPECT_EQ(diff.needs_restart, std::vector<std::string>{"store.redis.password: \"***\" -> \"***\""});
}

TEST_F(DescribeTest, TellsWhichRulesChanged) {
  const ConfigDiff diff =
      DiffPolicies(Settings("namespaces: {a: {entities: {client: {tags: ['c:{id}']}, old: {keys: [k]}}}}\n"),
                   Settings("namespaces: {a: {entities: {client: {tags: ['c:{id}', d]}, new: {patterns: ['*']}}}}\n"));
  EXPECT_EQ(diff.policy,
            (std::vector<std::string>{"namespaces.a.entities.client.tags: [\"c:{id}\"] -> [\"c:{id}\", \"d\"]",
                                      "namespaces.a.entities.new.patterns: (none) -> [\"*\"]",
                                      "namespaces.a.entities.old.keys: [\"k\"] -> (none)"}));
  EXPECT_TRUE(diff.needs_restart.empty());
}

TEST_F(DescribeTest, CountsOriginsWarmUpsAndTheSweepAsARestart) {
  const ConfigDiff diff =
      DiffPolicies(Settings("namespaces: {a: {origin: {target: 'b:1'}, lease: 5s, warm_jobs: {w: {prefix: p}}}}\n"),
                   Settings("namespaces: {a: {origin: {target: 'b:2'}, lease: 6s, warm_jobs: {w: {prefix: q}}}}\n"
                            "sweep: {interval: 1s}\n"));
  EXPECT_EQ(diff.policy, std::vector<std::string>{"namespaces.a.lease: 5s -> 6s"});
  EXPECT_EQ(diff.needs_restart,
            (std::vector<std::string>{"namespaces.a.origin.target: \"b:1\" -> \"b:2\"",
                                      "namespaces.a.warm_jobs.w.prefix: \"p\" -> \"q\"", "sweep.interval: 5s -> 1s"}));
}

// A line of the log, however many keys a job has.
TEST_F(DescribeTest, CutsLongLists) {
  std::string keys;
  for (int i = 0; i < 100; ++i) keys += "é, ";
  const ConfigDiff diff =
      DiffPolicies(Settings("namespaces: {a: {origin: {target: 'b:1'}, warm_jobs: {w: {keys: [a]}}}}\n"),
                   Settings("namespaces: {a: {origin: {target: 'b:1'}, warm_jobs: {w: {keys: [" + keys + "]}}}}\n"));
  std::string shown = "[";
  while (shown.size() + 6 <= 201) shown += "\"é\", ";
  shown += "\"";  // the next letter would end beyond the limit
  EXPECT_EQ(diff.needs_restart, std::vector<std::string>{"namespaces.a.warm_jobs.w.keys: [\"a\"] -> " + shown + "…"});
}

TEST_F(DescribeTest, CountsNewNamespacesAsARestart) {
  const ConfigDiff diff = DiffPolicies(Settings(""), Settings("namespaces: {shop: {default_ttl: 1s}}\n"));
  EXPECT_TRUE(diff.policy.empty());
  EXPECT_NE(
      std::find(diff.needs_restart.begin(), diff.needs_restart.end(), "namespaces.shop.default_ttl: (none) -> 1s"),
      diff.needs_restart.end());
}

}  // namespace
}  // namespace larder
