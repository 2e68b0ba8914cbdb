#include <fstream>
#include <random>

#include "tests/unit/config/config_test_util.h"
#include "tests/unit/config/every_field.h"

namespace larder {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

class LoadTest : public ConfigTest {};

TEST_F(LoadTest, NeedsNoFile) {
  const absl::StatusOr<LoadedConfig> loaded = LoadConfig({"", {}, resources_});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_TRUE(loaded->warnings.empty());
  const ServerSettings& settings = loaded->settings;
  EXPECT_EQ(settings.grpc.listen, "127.0.0.1:50051");
  EXPECT_EQ(settings.grpc.threads, 4);
  EXPECT_EQ(settings.grpc.max_request_bytes, 16 * kMiB);
  EXPECT_EQ(settings.grpc.max_response_bytes, 4 * kMiB);
  EXPECT_EQ(settings.grpc.max_concurrent_streams, 1'000);
  EXPECT_EQ(settings.grpc.max_connection_age_ms, 1'800'000);
  EXPECT_EQ(settings.grpc.drain_timeout_ms, 10'000);
  EXPECT_EQ(settings.grpc.max_pipeline_operations, 4'096);
  EXPECT_EQ(settings.grpc.max_pipeline_bytes, 8 * kMiB);
  EXPECT_EQ(settings.operations.listen, "127.0.0.1:9090");
  EXPECT_EQ(settings.near.capacity_bytes, 512 * kMiB);
  EXPECT_EQ(settings.near.coherence, NearCoherence::kTracking);
  EXPECT_EQ(settings.near.lease_ms, 1'000);
  EXPECT_EQ(settings.near.max_strong_waits, 10'000);
  EXPECT_EQ(settings.embedded.capacity_bytes, 512 * kMiB);
  EXPECT_EQ(settings.redis.url, "");
  EXPECT_EQ(settings.redis.user, std::nullopt);
  EXPECT_EQ(settings.redis.password, std::nullopt);
  EXPECT_EQ(settings.redis.database, std::nullopt);
  EXPECT_EQ(settings.redis.prefix, "larder");
  EXPECT_EQ(settings.redis.connect_timeout_ms, 1'000);
  EXPECT_EQ(settings.redis.operation_timeout_ms, 250);
  EXPECT_EQ(settings.redis.min_backoff_ms, 50);
  EXPECT_EQ(settings.redis.max_backoff_ms, 1'000);
  EXPECT_EQ(settings.redis.max_pending, 65'536);
  EXPECT_EQ(settings.redis.connections, 1);
  EXPECT_EQ(settings.redis.compress_from_bytes, 4'096);
  EXPECT_EQ(settings.redis.journal_entries, 100'000);
  EXPECT_EQ(settings.redis.tls.enabled, std::nullopt);
  EXPECT_EQ(settings.redis.tls.ca_file, "");
  EXPECT_EQ(settings.redis.sentinel.password, std::nullopt);
  EXPECT_EQ(settings.sweep.interval_ms, 5'000);
  EXPECT_EQ(settings.sweep.max_keys_per_second, 10'000);
  EXPECT_EQ(settings.sweep.step_keys, 100);
  EXPECT_EQ(settings.watch.buffer_events, 65'536);
  EXPECT_EQ(settings.watch.max_watchers, 1'000);
  EXPECT_TRUE(settings.warming_enabled);
  EXPECT_EQ(settings.log.level, LogLevel::kInfo);
  EXPECT_EQ(settings.log.format, LogFormat::kAuto);
  ASSERT_EQ(settings.namespaces.size(), 1);
  const NamespacePolicy& policy = settings.namespaces[0];
  EXPECT_EQ(policy.name, "default");
  EXPECT_TRUE(policy.enabled);
  EXPECT_EQ(policy.default_ttl_ms, 300'000);
  EXPECT_EQ(policy.max_ttl_ms, 604'800'000);
  EXPECT_EQ(policy.ttl_jitter, 0);
  EXPECT_EQ(policy.ttl_classes, ReadyTtlClasses());
  EXPECT_EQ(policy.max_key_bytes, 512);
  EXPECT_EQ(policy.max_value_bytes, 1'048'576);
  EXPECT_EQ(policy.max_batch_keys, 1'000);
  EXPECT_EQ(policy.near_share, 1);
  EXPECT_EQ(policy.near_max_age_ms, 1'000);
  EXPECT_TRUE(policy == [&policy] {
    NamespacePolicy expected;
    expected.name = "default";
    expected.near_share = 1;
    expected.ttl_classes = policy.ttl_classes;
    return expected;
  }());
}

TEST_F(LoadTest, BoundsTheDefaultsOfALargeMachine) {
  resources_ = {1'000, int64_t{1} << 40};
  const ServerSettings settings = Settings("");
  EXPECT_EQ(settings.grpc.threads, 256);
  EXPECT_EQ(settings.near.capacity_bytes, 1'024 * kMiB);
  EXPECT_EQ(settings.embedded.capacity_bytes, 4'096 * kMiB);
}

TEST_F(LoadTest, ReadsEveryField) {
  const ServerSettings settings = Settings(kEveryField);
  EXPECT_EQ(settings.grpc.listen, "[::1]:6000");
  EXPECT_EQ(settings.grpc.threads, 3);
  EXPECT_EQ(settings.grpc.max_request_bytes, 32 * kMiB);
  EXPECT_EQ(settings.grpc.max_response_bytes, 8 * kMiB);
  EXPECT_EQ(settings.grpc.max_concurrent_streams, 500);
  EXPECT_EQ(settings.grpc.max_connection_age_ms, 600'000);
  EXPECT_EQ(settings.grpc.drain_timeout_ms, 20'000);
  EXPECT_EQ(settings.grpc.max_pipeline_operations, 100);
  EXPECT_EQ(settings.grpc.max_pipeline_bytes, 1 * kMiB);
  EXPECT_EQ(settings.operations.listen, "0.0.0.0:9000");
  EXPECT_EQ(settings.near.capacity_bytes, 128 * kMiB);
  EXPECT_EQ(settings.near.coherence, NearCoherence::kPubsub);
  EXPECT_EQ(settings.near.lease_ms, 2'000);
  EXPECT_EQ(settings.near.max_strong_waits, 500);
  EXPECT_EQ(settings.embedded.capacity_bytes, 300 * kMiB);
  EXPECT_EQ(settings.redis.url, "redis://cache:6379");
  EXPECT_EQ(settings.redis.user, "larder");
  EXPECT_EQ(settings.redis.password, "12345");
  EXPECT_EQ(settings.redis.database, 2);
  EXPECT_EQ(settings.redis.prefix, "shop:1");
  EXPECT_EQ(settings.redis.connect_timeout_ms, 2'000);
  EXPECT_EQ(settings.redis.operation_timeout_ms, 100);
  EXPECT_EQ(settings.redis.min_backoff_ms, 10);
  EXPECT_EQ(settings.redis.max_backoff_ms, 5'000);
  EXPECT_EQ(settings.redis.max_pending, 1'000);
  EXPECT_EQ(settings.redis.connections, 3);
  EXPECT_EQ(settings.redis.compress_from_bytes, 0);
  EXPECT_EQ(settings.redis.journal_entries, 500);
  EXPECT_EQ(settings.redis.tls.enabled, true);
  EXPECT_EQ(settings.redis.tls.ca_file, "/etc/redis/ca.pem");
  EXPECT_EQ(settings.redis.tls.ca_path, "/etc/redis/ca");
  EXPECT_EQ(settings.redis.tls.cert_file, "/etc/redis/larder.pem");
  EXPECT_EQ(settings.redis.tls.key_file, "/etc/redis/larder.key");
  EXPECT_EQ(settings.redis.tls.server_name, "cache.example");
  EXPECT_EQ(settings.redis.sentinel.user, "watcher");
  EXPECT_EQ(settings.redis.sentinel.password, "67890");
  EXPECT_EQ(settings.sweep.interval_ms, 1'000);
  EXPECT_EQ(settings.sweep.max_keys_per_second, 1'000);
  EXPECT_EQ(settings.sweep.step_keys, 50);
  EXPECT_EQ(settings.watch.buffer_events, 500);
  EXPECT_EQ(settings.watch.max_watchers, 7);
  EXPECT_EQ(settings.log.level, LogLevel::kWarning);
  EXPECT_EQ(settings.log.format, LogFormat::kText);
}

TEST_F(LoadTest, GivesNamespacesTheirOwnAndTheDefaults) {
  const ServerSettings settings = Settings(kEveryField);
  ASSERT_EQ(settings.namespaces.size(), 3);
  const NamespacePolicy& shop = *Find(settings, "shop");
  EXPECT_FALSE(shop.enabled);
  EXPECT_EQ(shop.default_ttl_ms, 60'000);
  EXPECT_EQ(shop.max_ttl_ms, 7'200'000);
  EXPECT_EQ(shop.ttl_jitter, 0);
  EXPECT_EQ(shop.ttl_classes.at("user"), 60'000);
  EXPECT_EQ(shop.ttl_classes.at("menu"), 5'400'000);
  EXPECT_EQ(shop.ttl_classes.at("static"), 3'600'000);
  EXPECT_EQ(shop.max_key_bytes, 64);
  EXPECT_EQ(shop.max_value_bytes, 1'000);
  EXPECT_EQ(shop.max_batch_keys, 10);
  EXPECT_EQ(shop.near_share, 0.5);
  EXPECT_EQ(shop.near_max_age_ms, 0);
  for (const std::string name : {"default", "plain"}) {
    const NamespacePolicy& policy = *Find(settings, name);
    EXPECT_TRUE(policy.enabled);
    EXPECT_EQ(policy.default_ttl_ms, 120'000);
    EXPECT_EQ(policy.max_ttl_ms, 86'400'000);
    EXPECT_EQ(policy.ttl_jitter, 0.1);
    EXPECT_EQ(policy.ttl_classes.at("user"), 600'000);
    EXPECT_EQ(policy.max_key_bytes, 128);
    EXPECT_EQ(policy.max_value_bytes, 2 * kMiB);
    EXPECT_EQ(policy.max_batch_keys, 100);
    EXPECT_EQ(policy.near_share, 0.25);
    EXPECT_EQ(policy.near_max_age_ms, 500);
  }
}

// 1.5s over 2s must be 1.5s, and not a mixture of seconds and fractions.
TEST_F(LoadTest, ReplacesDurationsWhole) {
  const ServerSettings settings = Settings("defaults: {default_ttl: 1500ms}\nnamespaces: {shop: {default_ttl: 2s}}\n");
  EXPECT_EQ(Find(settings, "shop")->default_ttl_ms, 2'000);
  EXPECT_EQ(Find(settings, "default")->default_ttl_ms, 1'500);
}

TEST_F(LoadTest, LowersDefaultsThatNobodyWroteToACapThatSomebodyDid) {
  const ServerSettings settings = Settings("defaults: {max_ttl: 90s}\n");
  EXPECT_EQ(settings.namespaces[0].default_ttl_ms, 90'000);
  EXPECT_EQ(settings.namespaces[0].ttl_classes.at("static"), 90'000);
  EXPECT_EQ(settings.namespaces[0].ttl_classes.at("realtime"), 60'000);
  EXPECT_EQ(Settings("store: {redis: {min_backoff: 3s}}").redis.max_backoff_ms, 3'000);
  EXPECT_EQ(Settings("store: {redis: {max_backoff: 10ms}}").redis.min_backoff_ms, 10);
}

TEST_F(LoadTest, ReadsJson) {
  const ServerSettings settings = Settings(
      "{\"grpc\": {\"threads\": 7, \"drain_timeout\": \"3s\"}, \"near\": {\"capacity_bytes\": \"64KiB\"},\n"
      "\t\"namespaces\": {\"shop\": {\"enabled\": false}}}");
  EXPECT_EQ(settings.grpc.threads, 7);
  EXPECT_EQ(settings.grpc.drain_timeout_ms, 3'000);
  EXPECT_EQ(settings.near.capacity_bytes, 65'536);
  EXPECT_FALSE(Find(settings, "shop")->enabled);
}

TEST_F(LoadTest, TakesAnEmptyFileAndAnchors) {
  EXPECT_EQ(Settings("").grpc.threads, 4);
  EXPECT_EQ(Settings("# nothing yet\n").grpc.threads, 4);
  EXPECT_EQ(Settings("grpc:\n").grpc.threads, 4);
  const ServerSettings settings = Settings("namespaces:\n  a: &short {default_ttl: 5s}\n  b: *short\n");
  EXPECT_EQ(Find(settings, "b")->default_ttl_ms, 5'000);
}

TEST_F(LoadTest, ReadsThePasswordFile) {
  const std::string file = folder_.Write("password", "se cret\n");
  EXPECT_EQ(Settings("store: {redis: {password_file: " + file + "}}").redis.password, "se cret");
  folder_.Write("password", "secret\r\n");
  EXPECT_EQ(Settings("store: {redis: {password_file: " + file + "}}").redis.password, "secret");
  EXPECT_EQ(Settings("store: {redis: {sentinel: {password_file: " + file + "}}}").redis.sentinel.password, "secret");
}

TEST_F(LoadTest, WarnsWhereTheTiersTakeNearlyAllMemory) {
  const auto loaded = Load("near:\n  capacity_bytes: 1536MiB\n");
  ASSERT_TRUE(loaded.ok());
  ASSERT_EQ(loaded->warnings.size(), 1);
  EXPECT_EQ(loaded->warnings[0],
            folder_.path() +
                "/larder.yaml:2: near.capacity_bytes and store.embedded.capacity_bytes may take 2GiB of the 2GiB that "
                "there are");
}

TEST_F(LoadTest, LetsSharesWrittenWithFewDigitsPass) {
  std::string yaml = "namespaces:\n";
  for (const std::string name : {"default", "b", "c", "d", "e", "f"})
    yaml += "  " + name + ": {near_share: 0.166667}\n";
  double sum = 0;
  for (const NamespacePolicy& policy : Settings(yaml).namespaces) sum += policy.near_share;
  EXPECT_LE(sum, 1 + 1e-12);
  EXPECT_GT(sum, 0.999);
}

struct Row {
  std::string yaml;
  std::string problem;
};

TEST_F(LoadTest, NamesTheProblemAndItsPlace) {
  const std::vector<Row> rows = {
      // The shape.
      {"grpc:\n  thread: 4\n", "larder.yaml:2: grpc.thread: unknown field; did you mean \"threads\"?"},
      {"colour: red\n", "larder.yaml:1: colour: unknown field"},
      {"<<: {}\n", "larder.yaml:1: <<: unknown field"},
      {"\"a b\\n\": 1\n", "larder.yaml:1: \"a b\\n\": unknown field"},
      {"grpc: {}\nnear: {}\ngrpc: {}\n", "larder.yaml:3: grpc: given twice, first in line 1"},
      {"namespaces:\n  shop:\n  shop:\n", "larder.yaml:3: namespaces.shop: given twice, first in line 2"},
      {"grpc: 5\n", "larder.yaml:1: grpc: must be a mapping of fields"},
      {"grpc: [listen]\n", "larder.yaml:1: grpc: must be a mapping of fields"},
      {"- a\n", "larder.yaml:1: must be a mapping of fields"},
      {"namespaces: shop\n", "larder.yaml:1: namespaces: must be a mapping of names"},
      {"grpc: {? [a] : 1}\n", "larder.yaml:1: grpc: a name must be a plain word"},
      {"grpc:\n  threads:\n", "larder.yaml:2: grpc.threads: has no value"},
      {"grpc:\n  threads: [4]\n", "larder.yaml:2: grpc.threads: must be a single value"},
      {"grpc: {}\n---\nnear: {}\n", "larder.yaml:3: a second document; there may be one only"},
      {"grpc: {threads: 1\n", "larder.yaml:2: neither YAML nor JSON: end of map flow not found"},
      {"a: *b\n", "larder.yaml:1: neither YAML nor JSON: the referenced anchor is not defined"},
      // Types and units.
      {"grpc:\n  threads: four\n", "larder.yaml:2: grpc.threads: \"four\" is not a whole number"},
      {"grpc:\n  threads: 4.5\n", "larder.yaml:2: grpc.threads: \"4.5\" is not a whole number"},
      {"grpc:\n  threads: \"4\"\n", "larder.yaml:2: grpc.threads: \"4\" must stand without quotation marks"},
      {"defaults: {enabled: yes}\n", "larder.yaml:1: defaults.enabled: \"yes\" is neither true nor false"},
      {"defaults: {enabled: 'true'}\n", "larder.yaml:1: defaults.enabled: \"true\" must stand without quotation marks"},
      {"defaults: {ttl_jitter: much}\n", "larder.yaml:1: defaults.ttl_jitter: \"much\" is not a number"},
      {"namespaces:\n  shop:\n    default_ttl: 5\n",
       "larder.yaml:3: namespaces.shop.default_ttl: \"5\" has no unit; write for example 5s"},
      {"near: {capacity_bytes: 64MB}\n",
       "larder.yaml:1: near.capacity_bytes: \"64MB\" is not a size; write bytes, or for example 64KiB, 256MiB or 1GiB"},
      // Ranges.
      {"grpc: {threads: 0}\n", "larder.yaml:1: grpc.threads: 0, must be 1 to 256"},
      {"grpc: {threads: 257}\n", "larder.yaml:1: grpc.threads: 257, must be 1 to 256"},
      {"grpc: {threads: 99999999999}\n", "larder.yaml:1: grpc.threads: 2147483647, must be 1 to 256"},
      {"grpc: {max_concurrent_streams: 0}\n", "larder.yaml:1: grpc.max_concurrent_streams: 0, must be 1 to 100000"},
      {"grpc: {max_pipeline_operations: 0}\n", "larder.yaml:1: grpc.max_pipeline_operations: 0, must be 1 to 1000000"},
      {"grpc: {max_request_bytes: 2GiB}\n", "larder.yaml:1: grpc.max_request_bytes: 2GiB, must be 128KiB to 1GiB"},
      {"grpc: {max_response_bytes: 0}\n", "larder.yaml:1: grpc.max_response_bytes: 0, must be 128KiB to 1GiB"},
      {"grpc: {max_connection_age: 1ms}\n", "larder.yaml:1: grpc.max_connection_age: 1ms, must be 1s to 365d"},
      {"grpc: {drain_timeout: 2h}\n", "larder.yaml:1: grpc.drain_timeout: 2h, must be 0s to 1h"},
      {"near: {capacity_bytes: 1025GiB}\n", "larder.yaml:1: near.capacity_bytes: 1025GiB, must be 0 to 1024GiB"},
      {"near: {coherence: hope}\n", "larder.yaml:1: near.coherence: \"hope\", must be tracking, pubsub or age"},
      {"near: {lease: 99ms}\n", "larder.yaml:1: near.lease: 99ms, must be 100ms to 1m"},
      {"near: {max_strong_waits: 0}\n", "larder.yaml:1: near.max_strong_waits: 0, must be 1 to 1000000"},
      {"store: {embedded: {capacity_bytes: 1}}\n",
       "larder.yaml:1: store.embedded.capacity_bytes: 1, must be 1MiB to 1024GiB"},
      {"store: {redis: {database: -1}}\n", "larder.yaml:1: store.redis.database: -1, must be 0 to 65535"},
      {"store: {redis: {connect_timeout: 0}}\n", "larder.yaml:1: store.redis.connect_timeout: 0s, must be 1ms to 1m"},
      {"store: {redis: {operation_timeout: 2m}}\n",
       "larder.yaml:1: store.redis.operation_timeout: 2m, must be 1ms to 1m"},
      {"store: {redis: {connections: 17}}\n", "larder.yaml:1: store.redis.connections: 17, must be 1 to 16"},
      {"store: {redis: {max_pending: 0}}\n", "larder.yaml:1: store.redis.max_pending: 0, must be 1 to 16777216"},
      {"store: {redis: {journal_entries: 99}}\n",
       "larder.yaml:1: store.redis.journal_entries: 99, must be 100 to 10000000"},
      {"defaults: {on_store_loss: panic}\n",
       "larder.yaml:1: defaults.on_store_loss: \"panic\", must be near_only or memory"},
      {"defaults: {degraded_max_age: 2d}\n", "larder.yaml:1: defaults.degraded_max_age: 2d, must be 0s to 1d"},
      {"store: {redis: {compress_from_bytes: 5GiB}}\n",
       "larder.yaml:1: store.redis.compress_from_bytes: 5GiB, must be 0 to 4GiB"},
      {"defaults: {default_ttl: 0}\n", "larder.yaml:1: defaults.default_ttl: 0s, must be 1ms to 3650d"},
      {"defaults: {max_ttl: 4000d}\n", "larder.yaml:1: defaults.max_ttl: 4000d, must be 1ms to 3650d"},
      {"defaults: {max_ttl: 9223372036854775807ms}\n",
       "larder.yaml:1: defaults.max_ttl: 9223372036854774807ms, must be 1ms to 3650d"},
      {"defaults: {ttl_jitter: 0.6}\n", "larder.yaml:1: defaults.ttl_jitter: 0.6, must be 0 to 0.5"},
      {"defaults: {ttl_jitter: nan}\n", "larder.yaml:1: defaults.ttl_jitter: nan, must be 0 to 0.5"},
      {"defaults: {ttl_classes: {x: 0s}}\n", "larder.yaml:1: defaults.ttl_classes.x: 0s, must be at least 1ms"},
      {"defaults: {max_key_bytes: 513}\n", "larder.yaml:1: defaults.max_key_bytes: 513, must be 1 to 512"},
      {"defaults: {max_value_bytes: 0}\n", "larder.yaml:1: defaults.max_value_bytes: 0, must be 1 to 64MiB"},
      {"defaults: {max_batch_keys: 1001}\n", "larder.yaml:1: defaults.max_batch_keys: 1001, must be 1 to 1000"},
      {"defaults: {near_max_age: 2h}\n", "larder.yaml:1: defaults.near_max_age: 2h, must be 0s to 1h"},
      {"namespaces: {shop: {near_share: 1.5}}\n", "larder.yaml:1: namespaces.shop.near_share: 1.5, must be 0 to 1"},
      {"sweep: {interval: 50ms}\n", "larder.yaml:1: sweep.interval: 50ms, must be 100ms to 1h"},
      {"sweep: {max_keys_per_second: 99}\n", "larder.yaml:1: sweep.max_keys_per_second: 99, must be 100 to 10000000"},
      {"sweep: {step_keys: 10001}\n", "larder.yaml:1: sweep.step_keys: 10001, must be 10 to 10000"},
      {"watch: {buffer_events: 99}\n", "larder.yaml:1: watch.buffer_events: 99, must be 100 to 10000000"},
      {"watch: {max_watchers: -1}\n", "larder.yaml:1: watch.max_watchers: -1, must be 0 to 100000"},
      // Words.
      {"grpc: {listen: 50051}\n",
       "larder.yaml:1: grpc.listen: \"50051\" is not an address; write for example 127.0.0.1:50051"},
      {"grpc: {listen: ''}\n", "larder.yaml:1: grpc.listen: \"\" is not an address; write for example 127.0.0.1:50051"},
      {"operations: {listen: 'localhost:65536'}\n",
       "larder.yaml:1: operations.listen: \"localhost:65536\" is not an address; write for example 127.0.0.1:9090"},
      {"operations: {listen: '::1:9090'}\n",
       "larder.yaml:1: operations.listen: \"::1:9090\" is not an address; write for example 127.0.0.1:9090"},
      {"operations: {listen: '[::g]:9090'}\n",
       "larder.yaml:1: operations.listen: \"[::g]:9090\" is not an address; write for example 127.0.0.1:9090"},
      {"operations: {listen: 'a b:9090'}\n",
       "larder.yaml:1: operations.listen: \"a b:9090\" is not an address; write for example 127.0.0.1:9090"},
      {"operations: {listen: 'localhost:'}\n",
       "larder.yaml:1: operations.listen: \"localhost:\" is not an address; write for example 127.0.0.1:9090"},
      {"log: {level: loud}\n", "larder.yaml:1: log.level: \"loud\", must be debug, info, warning or error"},
      {"log: {format: xml}\n", "larder.yaml:1: log.format: \"xml\", must be json, text or auto"},
      {"store: {redis: {prefix: ''}}\n",
       "larder.yaml:1: store.redis.prefix: \"\", must be 1 to 64 bytes of [A-Za-z0-9_.:-]"},
      {"store: {redis: {prefix: '{a}'}}\n",
       "larder.yaml:1: store.redis.prefix: \"{a}\", must be 1 to 64 bytes of [A-Za-z0-9_.:-]"},
      {"store: {redis: {url: 'rediss://h', tls: {enabled: false}}}\n",
       "larder.yaml:1: store.redis.tls.enabled: false, but store.redis.url begins with rediss, which means TLS"},
      {"store: {redis: {sentinel: {password: a, password_file: b}}}\n",
       "larder.yaml:1: store.redis.sentinel.password_file: contradicts password: only one of them may be given"},
      {"store: {redis: {sentinel: {password_file: /no/such}}}\n",
       "larder.yaml:1: store.redis.sentinel.password_file: cannot read \"/no/such\": No such file or directory"},
      {"store: {redis: {url: 'http://u:secret@h'}}\n",
       "larder.yaml:1: store.redis.url: \"http://u:***@h\" is not a URL of Redis; write for example "
       "redis://127.0.0.1:6379"},
      {"store: {redis: {url: 'redis://'}}\n",
       "larder.yaml:1: store.redis.url: \"redis://\" is not a URL of Redis; write for example redis://127.0.0.1:6379"},
      {"store: {redis: {password_file: /no/such}}\n",
       "larder.yaml:1: store.redis.password_file: cannot read \"/no/such\": No such file or directory"},
      {"namespaces:\n  Shop: {}\n", "larder.yaml:2: namespaces.Shop: a name must match [a-z0-9_-]{1,63}"},
      {"namespaces:\n  a.b: {}\n", "larder.yaml:2: namespaces.a.b: a name must match [a-z0-9_-]{1,63}"},
      {"defaults:\n  ttl_classes:\n    'A b': 1s\n",
       "larder.yaml:3: defaults.ttl_classes.A b: a name must match [a-z0-9_-]{1,63}"},
      // Contradictions.
      {"defaults:\n  max_ttl: 1m\n  default_ttl: 5m\n",
       "larder.yaml:3: defaults.default_ttl: 5m is above the max_ttl of namespaces.default (1m)"},
      {"defaults:\n  ttl_classes: {user: 8d}\n",
       "larder.yaml:2: defaults.ttl_classes.user: 8d is above the max_ttl of namespaces.default (7d)"},
      {"defaults: {near_share: 0.5}\n", "larder.yaml:1: defaults.near_share: not allowed here; give it in a namespace"},
      {"namespaces:\n  a: {near_share: 0.6}\n  b: {near_share: 0.6}\n",
       "larder.yaml:3: namespaces.b.near_share: the near shares of all namespaces together are 1.2, must be at most 1"},
      {"store: {redis: {min_backoff: 2s, max_backoff: 1s}}\n",
       "larder.yaml:1: store.redis.min_backoff: 2s is above max_backoff (1s)"},
      {"store:\n  redis:\n    password: a\n    password_file: b\n",
       "larder.yaml:4: store.redis.password_file: contradicts password: only one of them may be given"},
      {"namespaces:\n  shop:\n    max_value_bytes: 4MiB\n",
       "larder.yaml:3: namespaces.shop.max_value_bytes: 4MiB and 64KiB for the rest of a message do not fit in "
       "grpc.max_response_bytes (4MiB)"},
      {"grpc:\n  max_request_bytes: 512KiB\n",
       "larder.yaml:2: namespaces.default.max_value_bytes: 1MiB and 64KiB for the rest of a message do not fit in "
       "grpc.max_request_bytes (512KiB)"},
  };
  for (const Row& row : rows) EXPECT_EQ(Problems(row.yaml), row.problem) << row.yaml;
}

TEST_F(LoadTest, TellsAllProblemsAtOnce) {
  EXPECT_EQ(Problems("grpc:\n  threads: x\n  listn: y\nnear:\n  capacity_bytes: -1\nlog:\n  level: loud\n",
                     {{"REDIS_DB", "x"}}),
            "larder.yaml:2: grpc.threads: \"x\" is not a whole number\n"
            "larder.yaml:3: grpc.listn: unknown field; did you mean \"listen\"?\n"
            "larder.yaml:5: near.capacity_bytes: \"-1\" is not a size; write bytes, or for example 64KiB, 256MiB or "
            "1GiB\n"
            "REDIS_DB: store.redis.database: \"x\" is not a whole number\n"
            "larder.yaml:7: log.level: \"loud\", must be debug, info, warning or error");
}

// What stands in `defaults` is wrong once, however many namespaces take it over.
TEST_F(LoadTest, TellsAProblemOnce) {
  EXPECT_EQ(Problems("defaults: {max_key_bytes: 600}\nnamespaces: {a: , b: , c: }\n"),
            "larder.yaml:1: defaults.max_key_bytes: 600, must be 1 to 512");
}

TEST_F(LoadTest, TellsAHundredProblemsAtMost) {
  std::string yaml;
  for (int i = 0; i < 150; ++i) yaml += "x" + std::to_string(i) + ": 1\n";
  const std::string problems = Problems(yaml);
  EXPECT_EQ(std::count(problems.begin(), problems.end(), '\n'), 100);
  EXPECT_EQ(problems.substr(problems.rfind('\n')), "\nand 50 more");
}

TEST_F(LoadTest, BoundsNamespacesAndClasses) {
  std::string namespaces = "namespaces:\n";
  for (int i = 0; i < 999; ++i) namespaces += "  n" + std::to_string(i) + ":\n";
  EXPECT_EQ(Settings(namespaces).namespaces.size(), 1'000);
  EXPECT_EQ(Problems(namespaces + "  more:\n"), "larder.yaml:1: namespaces: 1001 with default, the limit is 1000");
  std::string classes = "namespaces:\n  default:\n    ttl_classes:\n";
  for (int i = 0; i < 95; ++i) classes += "      c" + std::to_string(i) + ": 1s\n";
  EXPECT_EQ(Settings(classes).namespaces[0].ttl_classes.size(), 100);
  EXPECT_EQ(Problems(classes + "      more: 1s\n"),
            "larder.yaml:3: namespaces.default.ttl_classes: 101 classes, the limit is 100");
}

TEST_F(LoadTest, RefusesFilesThatItCannotRead) {
  const auto load = [this](const std::string& file) {
    return std::string(LoadConfig({file, {}, resources_}).status().message());
  };
  EXPECT_EQ(load("/no/such.yaml"), "/no/such.yaml: cannot read: No such file or directory");
  EXPECT_EQ(load(folder_.path()), folder_.path() + ": cannot read: Is a directory");
  const std::string large = folder_.Write("large.yaml", std::string((4 << 20) + 1, '#'));
  EXPECT_EQ(load(large), large + ": larger than 4MiB");
}

// Whatever stands in a file, reading it ends, with settings or with a reason.
TEST_F(LoadTest, SurvivesAnyFile) {
  std::mt19937_64 random(1);
  const std::string pieces = "\n :{}[]\"'&*!|>-?,#%@`~\t\\0a\xff";
  for (int i = 0; i < 500; ++i) {
    std::string yaml = kEveryField;
    for (uint64_t changes = random() % 8 + 1; changes > 0; --changes) {
      const size_t at = random() % yaml.size();
      switch (random() % 4) {
        case 0:
          yaml[at] = pieces[random() % pieces.size()];
          break;
        case 1:
          yaml.erase(at, random() % 20);
          break;
        case 2:
          yaml.insert(at, 1, pieces[random() % pieces.size()]);
          break;
        default:
          yaml.insert(at, yaml.substr(random() % yaml.size(), random() % 60));
      }
    }
    const absl::Status status = Load(yaml).status();
    if (!status.ok()) {
      ASSERT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      ASSERT_FALSE(status.message().empty());
    }
  }
  for (const std::string& yaml : {std::string(100'000, '['), std::string(100'000, '{'), std::string(1'000, '\0'),
                                  std::string("\xff\xfe\0a", 4), std::string("&a [*a]"), std::string("!!binary x")}) {
    EXPECT_EQ(Load(yaml).status().code(), absl::StatusCode::kInvalidArgument) << yaml.substr(0, 20);
  }
}

}  // namespace
}  // namespace larder
