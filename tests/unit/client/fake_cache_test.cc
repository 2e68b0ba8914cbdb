#include "larder/testing/fake_cache.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "larder/v1/cache.pb.h"
#include "server/policy/policy.h"

namespace larder {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::FakeCache;

absl::Status Down() { return absl::UnavailableError("the fake service is down"); }

NamespacePolicy ServicePolicy() {
  NamespacePolicy policy;
  policy.name = "default";
  policy.ttl_classes = ReadyTtlClasses();
  return policy;
}

TEST(FakeCache, KeepsAnEntryForItsTtl) {
  FakeCache cache;
  ASSERT_TRUE(cache.Set("k", "v", {.ttl = seconds(10), .content_type = "text/plain"}).ok());
  cache.Advance(milliseconds(9'999));
  const absl::StatusOr<MaybeHit> hit = cache.Get("k");
  ASSERT_TRUE(hit.ok() && hit->has_value());
  EXPECT_EQ((*hit)->value.bytes(), "v");
  EXPECT_EQ((*hit)->value.content_type(), "text/plain");
  EXPECT_EQ((*hit)->tier, Tier::kStore);
  EXPECT_EQ((*hit)->freshness, Freshness::kFresh);
  EXPECT_EQ((*hit)->age, milliseconds(9'999));
  EXPECT_EQ((*hit)->ttl, milliseconds(1));
  EXPECT_TRUE(cache.Contains("k"));
  EXPECT_EQ(cache.size(), 1u);

  cache.Advance(milliseconds(1));
  EXPECT_FALSE(cache.Contains("k"));
  EXPECT_EQ(cache.size(), 0u);
  EXPECT_EQ(cache.Get("k")->has_value(), false);
  EXPECT_EQ((*hit)->value.bytes(), "v") << "a handle outlives its entry";
}

TEST(FakeCache, HasTheServicesClasses) {
  FakeCache cache({.ttl_classes = {{"weekly", hours(24 * 7)}, {"static", hours(2)}}});
  const auto ttl = [&](const Ttl& asked) { return cache.Set("k", "v", {.ttl = asked})->ttl; };
  std::map<std::string, int64_t, std::less<>> classes = ReadyTtlClasses();
  classes["static"] = milliseconds(hours(2)).count();
  for (const auto& [name, ms] : classes) EXPECT_EQ(ttl(name), milliseconds(ms)) << name;
  EXPECT_EQ(ttl("weekly"), hours(24 * 7));
  EXPECT_EQ(ttl({}), milliseconds(ServicePolicy().default_ttl_ms));
}

// The server's own words, so that the two cannot drift apart.
TEST(FakeCache, RefusesWhatTheServiceRefusesInItsWords) {
  FakeCache cache;
  const NamespacePolicy policy = ServicePolicy();
  for (const std::string& key : {std::string(), std::string(513, 'k')}) {
    const absl::Status expected = CheckKey(policy, key);
    ASSERT_EQ(expected.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(cache.Get(key).status(), expected);
    EXPECT_EQ(cache.Set(key, "v").status(), expected);
    EXPECT_EQ(cache.Touch(key).status(), expected);
    const std::string message(expected.message());
    EXPECT_EQ(cache.BatchGet({"k", key}).status(), absl::InvalidArgumentError("keys[1]: " + message));
    EXPECT_EQ(cache.BatchSet({{.key = "k"}, {.key = key}}).status(),
              absl::InvalidArgumentError("entries[1]: " + message));
    EXPECT_EQ(cache.Invalidate({.keys = {"k", key}}).status(), absl::InvalidArgumentError("keys[1]: " + message));
  }

  const std::string large((size_t{1} << 20) + 1, 'v');
  EXPECT_EQ(cache.Set("k", large).status(), CheckValue(policy, large));
  const std::string content_type(256, 't');
  EXPECT_EQ(cache.Set("k", "v", {.content_type = content_type}).status(), CheckContentType(content_type));

  for (const int64_t ttl_ms : {int64_t{0}, int64_t{-1}, policy.max_ttl_ms + 1}) {
    const absl::Status expected = ResolveTtl(policy, {.ttl_ms = ttl_ms, .ttl_class = {}}).status();
    EXPECT_EQ(cache.Set("k", "v", {.ttl = milliseconds(ttl_ms)}).status(), expected);
    EXPECT_EQ(cache.Touch("k", {.ttl = milliseconds(ttl_ms)}).status(), expected);
  }
  EXPECT_EQ(cache.Set("k", "v", {.ttl = "forever\n"}).status(),
            ResolveTtl(policy, {.ttl_ms = {}, .ttl_class = "forever\n"}).status());

  EXPECT_EQ(cache.BatchGet({}).status(), CheckBatch(policy, 0, "keys"));
  EXPECT_EQ(cache.BatchGet(std::vector<std::string>(1001, "k")).status(), CheckBatch(policy, 1001, "keys"));
  EXPECT_EQ(cache.BatchSet({}).status(), CheckBatch(policy, 0, "entries"));
  EXPECT_EQ(cache.BatchSet(std::vector<SetItem>(1001)).status(), CheckBatch(policy, 1001, "entries"));
  EXPECT_EQ(cache.Invalidate({.keys = std::vector<std::string>(1001, "k")}).status(), CheckBatch(policy, 1001, "keys"));
  EXPECT_EQ(cache.Invalidate({}).status(), absl::InvalidArgumentError("keys: none named, and `all` not set"));
  EXPECT_EQ(cache.Get("k", {.name_space = "No"}).status(),
            absl::InvalidArgumentError("namespace: must match [a-z0-9_-]{1,63}"));
  EXPECT_EQ(cache.Set("k", "v", {.condition = Condition::IfVersion(0)}).status(),
            absl::InvalidArgumentError("if_version: 0 is no entry's version"));
  EXPECT_EQ(cache.size(), 0u);
}

// cache_engine_test.cc holds the service to the same words.
TEST(FakeCache, RefusesNamespacesThatAreNotConfigured) {
  FakeCache cache({.name_space = "mine", .name_spaces = {"other"}});
  const CallOptions call{.name_space = "shpo"};
  const absl::Status unknown = absl::InvalidArgumentError("namespace: \"shpo\" is not configured");
  EXPECT_EQ(cache.Get("k", {.name_space = "shpo"}).status(), unknown);
  EXPECT_EQ(cache.Set("k", "v", {.name_space = "shpo"}).status(), unknown);
  EXPECT_EQ(cache.Touch("k", {.name_space = "shpo"}).status(), unknown);
  EXPECT_EQ(cache.BatchGet({"k"}, {.name_space = "shpo"}).status(), unknown);
  EXPECT_EQ(cache.BatchSet({{.key = "k"}}, call).status(), unknown);
  EXPECT_EQ(cache.Invalidate({.all = true}, call).status(), unknown);
  EXPECT_EQ(cache.Stats({.name_spaces = {"mine", "shpo"}}).status(), unknown);
  for (const char* known : {"mine", "other", "default"}) {
    EXPECT_TRUE(cache.Set("k", "v", {.name_space = known}).ok()) << known;
    EXPECT_TRUE(cache.Contains("k", known));
  }
  EXPECT_EQ((*cache.Stats())->namespaces_size(), 3);
}

TEST(FakeCache, TakesWhatIsJustWithinTheLimits) {
  FakeCache cache;
  const std::string key(512, 'k');
  EXPECT_TRUE(cache.Set(key, std::string(size_t{1} << 20, 'v'), {.ttl = hours(24 * 7)}).ok());
  EXPECT_TRUE(cache.Set("k", "", {.ttl = milliseconds(1), .content_type = std::string(255, 't')}).ok());
  EXPECT_TRUE(cache.BatchGet(std::vector<std::string>(1000, key)).ok());
}

TEST(FakeCache, HoldsConditionsAndTellsTheCurrentVersion) {
  FakeCache cache;
  const absl::Status none = absl::AbortedError("the condition does not hold: there is no entry");
  EXPECT_EQ(cache.Set("k", "v", {.condition = Condition::IfPresent()}).status(), none);
  EXPECT_EQ(cache.Set("k", "v", {.condition = Condition::IfVersion(7)}).status(), none);
  EXPECT_EQ(CurrentVersion(none), std::nullopt);

  const absl::StatusOr<SetResult> first = cache.Set("k", "1", {.condition = Condition::IfAbsent()});
  ASSERT_TRUE(first.ok());
  const absl::Status refused = cache.Set("k", "2", {.condition = Condition::IfAbsent()}).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(refused.message(), "the condition does not hold: the entry's version is " + std::to_string(first->version));
  EXPECT_EQ(CurrentVersion(refused), first->version);

  const absl::StatusOr<SetResult> second = cache.Set("k", "2", {.condition = Condition::IfVersion(first->version)});
  ASSERT_TRUE(second.ok());
  EXPECT_NE(second->version, first->version);
  EXPECT_EQ(CurrentVersion(cache.Set("k", "3", {.condition = Condition::IfVersion(first->version)}).status()),
            second->version);
  EXPECT_TRUE(cache.Set("k", "3", {.condition = Condition::IfPresent()}).ok());

  const absl::StatusOr<BatchSetResults> batch =
      cache.BatchSet({{.key = "k", .value = "4", .condition = Condition::IfAbsent()}, {.key = "n", .value = "5"}});
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ((*batch)[0].status().message(), "the condition does not hold");
  EXPECT_EQ((*batch)[0].status().code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(CurrentVersion((*batch)[0].status()).has_value());
  EXPECT_TRUE((*batch)[1].ok());
  EXPECT_EQ((*cache.Get("k"))->value.bytes(), "3");
}

TEST(FakeCache, VersionsAreNotUsedAgainAfterAnInvalidation) {
  FakeCache cache;
  std::set<uint64_t> versions;
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(versions.insert(cache.Set("k", "v")->version).second);
    EXPECT_TRUE(cache.Invalidate({.all = true}).ok());
  }
}

TEST(FakeCache, TouchGivesANewTtlWithinTheLongest) {
  FakeCache cache({.max_ttl = minutes(10)});
  EXPECT_EQ(*cache.Touch("k"), false);
  ASSERT_TRUE(cache.Set("k", "v", {.ttl = minutes(1)}).ok());
  cache.Advance(seconds(59));
  EXPECT_EQ(*cache.Touch("k", {.ttl = minutes(2)}), true);
  EXPECT_EQ((*cache.Get("k"))->ttl, minutes(2));
  cache.Advance(seconds(61));
  EXPECT_EQ(*cache.Touch("k", {.ttl = minutes(10)}), true);
  EXPECT_EQ((*cache.Get("k"))->ttl, minutes(8)) << "its whole life is capped";
}

TEST(FakeCache, InvalidateCountsWhatItDropped) {
  FakeCache cache({.name_spaces = {"other"}});
  ASSERT_TRUE(cache.BatchSet({{.key = "a"}, {.key = "b"}, {.key = "c"}}).ok());
  ASSERT_TRUE(cache.Set("a", "v", {.name_space = "other"}).ok());
  EXPECT_EQ(cache.Invalidate({.keys = {"a", "a", "none"}})->dropped, 1);
  EXPECT_EQ(cache.Invalidate({.keys = {"b"}, .all = true})->dropped, 1);
  EXPECT_FALSE(cache.Contains("c"));
  EXPECT_TRUE(cache.Contains("a", "other"));
}

TEST(FakeCache, WarmsWhatNobodyHasCached) {
  FakeCache cache;
  ASSERT_TRUE(cache.Set("there", "old").ok());
  std::vector<SetItem> items = {{.key = "new", .value = "12"}, {.key = "there", .value = "2"}, {.key = ""}};
  size_t next = 0;
  std::vector<WarmProgress> reports;
  const WarmSource source = [&]() -> absl::StatusOr<std::optional<SetItem>> {
    cache.Advance(seconds(1));
    if (next == items.size()) return std::nullopt;
    return items[next++];
  };
  const auto progress = cache.Warm(source, {.progress = [&](const WarmProgress& p) { reports.push_back(p); }});
  ASSERT_TRUE(progress.ok()) << progress.status();
  EXPECT_EQ(progress->written, 1);
  EXPECT_EQ(progress->written_bytes, 5);
  EXPECT_EQ(progress->skipped, 1);
  EXPECT_EQ(progress->failed, 1);
  EXPECT_EQ(progress->elapsed, seconds(4));
  ASSERT_EQ(progress->failures.size(), 1u);
  EXPECT_EQ(progress->failures[0].index, 2);
  EXPECT_EQ(progress->failures[0].status.message(), "key: empty, must be 1 to 512 bytes");
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].written, 1);
  EXPECT_EQ((*cache.Get("there"))->value.bytes(), "old");
}

TEST(FakeCache, AWarmUpStoresNothingOlderThanAnInvalidationOfTheWhole) {
  FakeCache cache;
  int given = 0;
  const auto progress = cache.Warm([&]() -> absl::StatusOr<std::optional<SetItem>> {
    if (given == 2) return std::nullopt;
    if (given == 1) {
      EXPECT_TRUE(cache.Invalidate({.all = true}).ok());
    }
    return SetItem{.key = "k" + std::to_string(given++)};
  });
  ASSERT_TRUE(progress.ok());
  EXPECT_EQ(progress->written, 1);
  EXPECT_EQ(progress->skipped, 1);
  EXPECT_EQ(cache.size(), 0u);
}

TEST(FakeCache, ReportsFailuresOfAWarmUpInHundreds) {
  FakeCache cache;
  int left = 250;
  std::vector<size_t> failures;
  const auto progress = cache.Warm(
      [&]() -> absl::StatusOr<std::optional<SetItem>> {
        return left-- > 0 ? std::optional<SetItem>(SetItem{}) : std::nullopt;
      },
      {.progress = [&](const WarmProgress& p) { failures.push_back(p.failures.size()); }});
  EXPECT_EQ(progress->failed, 250);
  EXPECT_EQ(failures, std::vector<size_t>({100, 100, 50}));
}

TEST(FakeCache, CountsLikeTheService) {
  FakeCache cache({.name_spaces = {"other"}});
  ASSERT_TRUE(cache.Set("k", "v").ok());
  ASSERT_TRUE(cache.BatchGet({"k", "k", "none"}).ok());
  ASSERT_TRUE(cache.Touch("k").ok());
  EXPECT_FALSE(cache.Set("k", "v", {.condition = Condition::IfAbsent()}).ok());
  EXPECT_FALSE(cache.Set("", "v").ok());
  ASSERT_TRUE(cache.Invalidate({.keys = {"k"}, .all = true}).ok());
  ASSERT_TRUE(cache.Get("k", {.name_space = "other"}).ok());
  const absl::StatusOr<ServiceStats> stats = cache.Stats();
  ASSERT_TRUE(stats.ok());
  ASSERT_EQ((*stats)->namespaces_size(), 2);
  const v1::CacheStats& here = (*stats)->namespaces(0);
  EXPECT_EQ(here.name(), "default");
  EXPECT_EQ(here.store_hits(), 2);
  EXPECT_EQ(here.misses(), 1);
  EXPECT_DOUBLE_EQ(here.hit_ratio(), 2.0 / 3);
  EXPECT_EQ(here.sets(), 1);
  EXPECT_EQ(here.sets_aborted(), 1);
  EXPECT_EQ(here.touches(), 1);
  EXPECT_EQ(here.refused(), 1);
  EXPECT_EQ(here.invalidated_keys(), 1);
  EXPECT_EQ(here.invalidated_all(), 1);
  EXPECT_EQ((*stats)->total().misses(), 2);
  EXPECT_DOUBLE_EQ((*stats)->total().hit_ratio(), 0.5);
  EXPECT_EQ((*cache.Stats({.name_spaces = {"other"}}))->namespaces_size(), 1);

  const FakeCache::Calls calls = cache.calls();
  EXPECT_EQ(calls.sets, 3);
  EXPECT_EQ(calls.batch_gets, 1);
  EXPECT_EQ(calls.gets, 1);
  EXPECT_EQ(calls.touches, 1);
  EXPECT_EQ(calls.invalidations, 1);
  EXPECT_EQ(calls.stats, 2);
}

TEST(FakeCache, FailsOnDemand) {
  FakeCache cache({.failed_reads_are_misses = false});
  ASSERT_TRUE(cache.Set("k", "v").ok());
  cache.FailNext(absl::DeadlineExceededError("late"), 2);
  EXPECT_EQ(cache.Get("k").status(), absl::DeadlineExceededError("late"));
  EXPECT_EQ(cache.Invalidate({.keys = {"k"}}).status(), absl::DeadlineExceededError("late"));
  EXPECT_TRUE(cache.Get("k")->has_value()) << "a call that failed did nothing";

  cache.SetDown(true);
  EXPECT_EQ(cache.Get("k").status(), Down());
  EXPECT_EQ(cache.Set("k", "w").status(), Down());
  EXPECT_EQ(cache.Touch("k").status(), Down());
  EXPECT_EQ(cache.BatchGet({"k"}).status(), Down());
  EXPECT_EQ(cache.BatchSet({{.key = "k"}}).status(), Down());
  EXPECT_EQ(cache.Warm([] { return std::optional<SetItem>(SetItem{.key = "w"}); }).status(), Down());
  EXPECT_EQ(cache.Stats().status(), Down());
  EXPECT_TRUE(cache.Contains("k")) << "looking in asks no service";

  cache.SetDown(false);
  EXPECT_EQ((*cache.Get("k"))->value.bytes(), "v");
  EXPECT_FALSE(cache.Contains("w"));
}

TEST(FakeCache, IsThreadSafe) {
  FakeCache cache;
  std::atomic<int> written = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, &written] {
      for (int i = 0; i < 200; ++i) {
        const std::string key = std::to_string(i % 7);
        if (cache.Set(key, "v", {.condition = Condition::IfAbsent()}).ok()) ++written;
        EXPECT_TRUE(cache.Get(key).ok());
        EXPECT_TRUE(cache.Touch(key).ok());
        cache.Advance(milliseconds(1));
        static_cast<void>(cache.size());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(written, 7);
  EXPECT_EQ(cache.calls().gets, 800);
}

}  // namespace
}  // namespace larder
