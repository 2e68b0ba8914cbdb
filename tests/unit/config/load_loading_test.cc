// How entries live and are loaded: the times of a namespace, and its origin.
#include "tests/unit/config/config_test_util.h"
#include "tests/unit/config/every_field.h"

namespace larder {
namespace {

class LoadLoadingTest : public ConfigTest {};

TEST_F(LoadLoadingTest, GivesNamespacesTheirOwnAndTheDefaults) {
  const ServerSettings settings = Settings(kEveryField);
  const NamespacePolicy& shop = *Find(settings, "shop");
  EXPECT_EQ(shop.stale_for_ms, 60'000);
  EXPECT_EQ(shop.stale_if_error_ms, 0);
  EXPECT_EQ(shop.refresh_retry_ms, 1);
  EXPECT_EQ(shop.eager_refresh, 0);
  EXPECT_EQ(shop.absent_ttl_ms, 1'000);
  EXPECT_EQ(shop.lease_ms, 100);
  EXPECT_EQ(shop.max_wait_ms, 0);
  EXPECT_EQ(shop.max_waiters, 1);
  EXPECT_EQ(shop.max_tags, 0);
  EXPECT_EQ(shop.max_live_tags, 1);
  EXPECT_EQ(shop.max_live_patterns, 1);
  EXPECT_EQ(shop.on_store_loss, StoreLoss::kNearOnly);
  EXPECT_EQ(shop.degraded_max_age_ms, 0);
  const NamespacePolicy& plain = *Find(settings, "plain");
  EXPECT_EQ(plain.stale_for_ms, 600'000);
  EXPECT_EQ(plain.stale_if_error_ms, 3'600'000);
  EXPECT_EQ(plain.refresh_retry_ms, 2'000);
  EXPECT_EQ(plain.eager_refresh, 0.8);
  EXPECT_EQ(plain.absent_ttl_ms, 5'000);
  EXPECT_EQ(plain.lease_ms, 20'000);
  EXPECT_EQ(plain.max_wait_ms, 3'000);
  EXPECT_EQ(plain.max_waiters, 50);
  EXPECT_EQ(plain.max_tags, 16);
  EXPECT_EQ(plain.max_live_tags, 500);
  EXPECT_EQ(plain.max_live_patterns, 20);
  EXPECT_EQ(plain.on_store_loss, StoreLoss::kMemory);
  EXPECT_EQ(plain.degraded_max_age_ms, 300'000);
}

TEST_F(LoadLoadingTest, ReadsTheOrigin) {
  const OriginPolicy expected{.target = "dns:///shop:50061",
                              .soft_timeout_ms = 100,
                              .hard_timeout_ms = 1'000,
                              .max_concurrent = 3,
                              .batch_keys = 7,
                              .batch_delay_ms = 0,
                              .max_queued = 9,
                              .breaker_failures = 2,
                              .breaker_pause_ms = 10};
  EXPECT_TRUE(Find(Settings(kEveryField), "shop")->origin == expected);
}

TEST_F(LoadLoadingTest, ReplacesTheOriginWhole) {
  const ServerSettings settings = Settings(
      "defaults: {origin: {target: 'all:1', batch_keys: 7}}\nnamespaces: {shop: {origin: {target: 'shop:1'}}}\n");
  EXPECT_TRUE(Find(settings, "default")->origin == (OriginPolicy{.target = "all:1", .batch_keys = 7}));
  EXPECT_TRUE(Find(settings, "shop")->origin == OriginPolicy{.target = "shop:1"});
  EXPECT_EQ(Settings("").namespaces[0].origin, std::nullopt);
}

TEST_F(LoadLoadingTest, LowersDefaultsThatNobodyWroteToWhatSomebodyDid) {
  EXPECT_EQ(Settings("defaults: {max_ttl: 20s}").namespaces[0].absent_ttl_ms, 20'000);
  const auto origin = [this](const std::string& timeout) {
    return *Settings("defaults: {origin: {target: 'a:1', " + timeout + "}}").namespaces[0].origin;
  };
  EXPECT_EQ(origin("soft_timeout: 10s").hard_timeout_ms, 10'000);
  EXPECT_EQ(origin("hard_timeout: 100ms").soft_timeout_ms, 100);
}

TEST_F(LoadLoadingTest, NamesTheProblemAndItsPlace) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"stale_for: 4000d", "defaults.stale_for: 4000d, must be 0s to 3650d"},
      {"stale_if_error: 4000d", "defaults.stale_if_error: 4000d, must be 0s to 3650d"},
      {"refresh_retry: 0", "defaults.refresh_retry: 0s, must be 1ms to 1h"},
      {"eager_refresh: 1", "defaults.eager_refresh: 1, must be 0 to 0.99"},
      {"eager_refresh: -0.5", "defaults.eager_refresh: -0.5, must be 0 to 0.99"},
      {"eager_refresh: 0.05", "defaults.eager_refresh: 0.05, must be 0, or 0.1 to 0.99"},
      {"absent_ttl: 0", "defaults.absent_ttl: 0s, must be 1ms to 3650d"},
      {"lease: 99ms", "defaults.lease: 99ms, must be 100ms to 10m"},
      {"max_wait: 11m", "defaults.max_wait: 11m, must be 0s to 10m"},
      {"max_waiters: 0", "defaults.max_waiters: 0, must be 1 to 1000000"},
      {"max_tags: 33", "defaults.max_tags: 33, must be 0 to 32"},
      {"max_live_tags: 0", "defaults.max_live_tags: 0, must be 1 to 1000000"},
      {"max_live_patterns: 10001", "defaults.max_live_patterns: 10001, must be 1 to 10000"},
      {"max_ttl: 1m, absent_ttl: 2m", "defaults.absent_ttl: 2m is above the max_ttl of namespaces.default (1m)"},
      {"max_ttl: 1m, stale_for: 2m", "defaults.stale_for: 2m is above the max_ttl of namespaces.default (1m)"},
      {"stale_if_error: 8d", "defaults.stale_if_error: 8d is above the max_ttl of namespaces.default (7d)"},
      {"origin: ", "defaults.origin.target: missing; write for example localhost:50061"},
      {"origin: {target: ''}", "defaults.origin.target: \"\" is not a target; write for example localhost:50061"},
      {"origin: {target: 'a b'}", "defaults.origin.target: \"a b\" is not a target; write for example localhost:50061"},
      {"origin: {target: a, soft_timeout: 2m}", "defaults.origin.soft_timeout: 2m, must be 1ms to 1m"},
      {"origin: {target: a, hard_timeout: 11m}", "defaults.origin.hard_timeout: 11m, must be 1ms to 10m"},
      {"origin: {target: a, soft_timeout: 2s, hard_timeout: 1s}",
       "defaults.origin.soft_timeout: 2s is above hard_timeout (1s)"},
      {"origin: {target: a, max_concurrent: 0}", "defaults.origin.max_concurrent: 0, must be 1 to 10000"},
      {"origin: {target: a, batch_keys: 1001}", "defaults.origin.batch_keys: 1001, must be 1 to 1000"},
      {"origin: {target: a, batch_delay: 101ms}", "defaults.origin.batch_delay: 101ms, must be 0s to 100ms"},
      {"origin: {target: a, max_queued: 0}", "defaults.origin.max_queued: 0, must be 1 to 1000000"},
      {"origin: {target: a, breaker_failures: 0}", "defaults.origin.breaker_failures: 0, must be 1 to 1000"},
      {"origin: {target: a, breaker_pause: 1ms}", "defaults.origin.breaker_pause: 1ms, must be 10ms to 10m"},
  };
  for (const auto& [yaml, problem] : rows) {
    EXPECT_EQ(Problems("defaults: {" + yaml + "}\n"), "larder.yaml:1: " + problem) << yaml;
  }
}

}  // namespace
}  // namespace larder
