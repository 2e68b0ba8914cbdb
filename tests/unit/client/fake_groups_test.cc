// What FakeCache does of stale entries, leases, absence and groups, as the service does it.
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "larder/testing/fake_cache.h"
#include "larder/v1/cache.pb.h"
#include "server/policy/entity_rule.h"
#include "server/policy/policy.h"

namespace larder {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using testing::FakeCache;

std::string Held(FakeCache& cache, const std::string& key) {
  const absl::StatusOr<MaybeHit> hit = cache.Get(key);
  if (!hit.ok() || !hit->has_value()) return "none";
  return ((*hit)->freshness == Freshness::kStale ? "stale " : "") + (*hit)->value.ToString();
}

LeasedRead Read(FakeCache& cache, const std::string& key, bool fresh_only = false) {
  absl::StatusOr<LeasedRead> read = cache.GetOrLease(key, {.fresh_only = fresh_only});
  EXPECT_TRUE(read.ok()) << read.status();
  return read.ok() ? *std::move(read) : LeasedRead();
}

absl::StatusCode Fill(FakeCache& cache, const std::string& key, const std::string& token, SetOptions options = {}) {
  options.condition = Condition::Lease(token);
  return cache.Set(key, "loaded", options).status().code();
}

TEST(FakeStale, AnEntryIsServedAsStaleForItsTime) {
  FakeCache cache;
  ASSERT_TRUE(cache.Set("k", "v", {.ttl = seconds(10), .stale_for = seconds(5)}).ok());
  cache.Advance(seconds(4));
  MaybeHit hit = *cache.Get("k");
  EXPECT_EQ(hit->ttl, seconds(6));
  EXPECT_EQ(hit->hard_ttl, seconds(11));
  cache.Advance(seconds(6));
  hit = *cache.Get("k");
  EXPECT_EQ(hit->freshness, Freshness::kStale);
  EXPECT_EQ(hit->ttl, seconds(0));
  EXPECT_EQ(hit->hard_ttl, seconds(5));
  EXPECT_FALSE(cache.Get("k", {.fresh_only = true})->has_value());
  EXPECT_FALSE((*cache.BatchGet({"k"}, {.fresh_only = true}))[0]->has_value());
  EXPECT_TRUE((*cache.BatchGet({"k"}))[0]->has_value());
  EXPECT_TRUE(*cache.Touch("k", {.ttl = seconds(2)}));
  EXPECT_EQ(Held(cache, "k"), "v") << "it has only aged";
  cache.Advance(seconds(7));
  EXPECT_EQ(Held(cache, "k"), "none");
}

TEST(FakeStale, ATouchMakesNothingFreshThatWasInvalidated) {
  for (const bool by_group : {false, true}) {
    FakeCache cache;
    ASSERT_TRUE(cache.Set("k", "v", {.ttl = minutes(5), .tags = {"t"}}).ok());
    Invalidation what = by_group ? Invalidation{.tags = {"t"}} : Invalidation{.keys = {"k"}};
    what.mode = InvalidationMode::kSoft;
    ASSERT_TRUE(cache.Invalidate(what).ok());
    EXPECT_FALSE(*cache.Touch("k"));
    EXPECT_EQ(Held(cache, "k"), "stale v");
  }
}

TEST(FakeStale, TheWholeLifeIsCapped) {
  FakeCache cache({.max_ttl = minutes(10), .stale_for = minutes(8)});
  ASSERT_TRUE(cache.Set("k", "v", {.ttl = minutes(5)}).ok());
  EXPECT_EQ((*cache.Get("k"))->hard_ttl, minutes(10));
}

TEST(FakeStale, ASlidingEntryLivesAsLongAsItIsRead) {
  FakeCache cache({.max_ttl = seconds(25)});
  ASSERT_TRUE(cache.Set("k", "v", {.ttl = seconds(10), .sliding = true}).ok());
  for (int i = 0; i < 2; ++i) {
    cache.Advance(seconds(9));
    EXPECT_EQ((*cache.Get("k"))->ttl, i == 0 ? seconds(10) : seconds(7)) << "within the longest TTL";
  }
  cache.Advance(seconds(7));
  EXPECT_EQ(Held(cache, "k"), "none");
}

TEST(FakeAbsence, IsAHitWithoutAValue) {
  FakeCache cache;
  ASSERT_EQ(cache.Set("k", "", {.absent = true})->ttl, seconds(30));
  const MaybeHit hit = *cache.Get("k");
  EXPECT_TRUE(hit->absent);
  EXPECT_EQ(hit->value.size(), 0u);
  EXPECT_FALSE(cache.GetAs<std::string>("k")->has_value());
  EXPECT_EQ(cache.Set("k", "v", {.absent = true}).status(),
            absl::InvalidArgumentError("value: must be empty where `absent` is set"));
  ASSERT_TRUE(cache.Set("k", "").ok());
  EXPECT_FALSE((*cache.Get("k"))->absent) << "an empty value is a value";
}

TEST(FakeLease, OneCallerHasItUntilItEnds) {
  FakeCache cache;
  const LeasedRead first = Read(cache, "k");
  ASSERT_TRUE(first.lease.has_value());
  EXPECT_EQ(first.lease->ttl, seconds(10));
  EXPECT_EQ(first.as_of, "");
  const LeasedRead second = Read(cache, "k");
  EXPECT_FALSE(second.lease.has_value());
  EXPECT_NE(second.as_of, "");
  EXPECT_TRUE(Read(cache, "other").lease.has_value());

  cache.Advance(seconds(10));
  const LeasedRead third = Read(cache, "k");
  ASSERT_TRUE(third.lease.has_value());
  EXPECT_EQ(Fill(cache, "k", first.lease->token), absl::StatusCode::kAborted) << "it has ended";
  EXPECT_EQ(Fill(cache, "other", third.lease->token), absl::StatusCode::kAborted) << "it is another key's";
  EXPECT_EQ(Fill(cache, "k", third.lease->token), absl::StatusCode::kOk);
  EXPECT_EQ(Fill(cache, "k", third.lease->token), absl::StatusCode::kAborted) << "once";
  EXPECT_EQ(Held(cache, "k"), "loaded");
}

TEST(FakeLease, IsGivenBack) {
  FakeCache cache;
  const LeasedRead first = Read(cache, "k");
  EXPECT_FALSE(*cache.Release("k", "another"));
  EXPECT_TRUE(*cache.Release("k", first.lease->token));
  EXPECT_FALSE(*cache.Release("k", first.lease->token));
  EXPECT_TRUE(Read(cache, "k").lease.has_value());
  EXPECT_EQ(cache.calls().releases, 3);
}

TEST(FakeLease, EveryWriteEndsIt) {
  const auto after = [](auto write) {
    FakeCache cache;
    const LeasedRead read = Read(cache, "k");
    write(cache);
    return Fill(cache, "k", read.lease->token, {.tags = {"t"}});
  };
  EXPECT_EQ(after([](FakeCache& c) { EXPECT_TRUE(c.Set("k", "v").ok()); }), absl::StatusCode::kAborted);
  EXPECT_EQ(after([](FakeCache& c) { EXPECT_TRUE(c.Invalidate({.keys = {"k"}}).ok()); }), absl::StatusCode::kAborted);
  EXPECT_EQ(after([](FakeCache& c) { EXPECT_TRUE(c.Invalidate({.tags = {"t"}}).ok()); }), absl::StatusCode::kAborted);
  EXPECT_EQ(after([](FakeCache& c) { EXPECT_TRUE(c.Invalidate({.patterns = {"*k"}}).ok()); }),
            absl::StatusCode::kAborted);
  EXPECT_EQ(after([](FakeCache& c) { EXPECT_TRUE(c.Invalidate({.all = true}).ok()); }), absl::StatusCode::kAborted);
  EXPECT_EQ(after([](FakeCache& c) {
              EXPECT_TRUE(c.Set("x", "v").ok());
              EXPECT_TRUE(c.Invalidate({.keys = {"x"}, .tags = {"u"}, .patterns = {"x*"}}).ok());
            }),
            absl::StatusCode::kOk)
      << "they were about other entries";
}

// COHERENCE E5.
TEST(FakeLease, WhatWasLoadedBeforeAGroupWasMadeStaleIsStale) {
  FakeCache cache;
  const LeasedRead read = Read(cache, "k");
  ASSERT_TRUE(cache.Invalidate({.tags = {"t"}, .mode = InvalidationMode::kSoft}).ok());
  EXPECT_EQ(Fill(cache, "k", read.lease->token, {.tags = {"t"}}), absl::StatusCode::kOk);
  EXPECT_EQ(Held(cache, "k"), "stale loaded");
}

TEST(FakeLease, OneOfAStaleEntryOutlivesASoftInvalidationOfItsGroup) {
  for (const bool concerned : {false, true}) {
    FakeCache cache;
    ASSERT_TRUE(cache.Set("k", "v", {.ttl = seconds(1), .tags = {"t", "u"}, .stale_for = minutes(1)}).ok());
    cache.Advance(seconds(1));
    const LeasedRead read = Read(cache, "k");
    ASSERT_TRUE(read.lease.has_value());
    ASSERT_TRUE(cache.Invalidate({.tags = {"t"}, .mode = InvalidationMode::kSoft}).ok());
    EXPECT_FALSE(Read(cache, "k").lease.has_value());
    EXPECT_EQ(Fill(cache, "k", read.lease->token, {.tags = {concerned ? "t" : "u"}}), absl::StatusCode::kOk);
    EXPECT_EQ(Held(cache, "k"), concerned ? "stale loaded" : "loaded");
  }
}

TEST(FakeLease, AStaleEntryIsLoadedAnewByOne) {
  FakeCache cache;
  ASSERT_TRUE(cache.Set("k", "v", {.ttl = seconds(1), .stale_for = minutes(1)}).ok());
  EXPECT_FALSE(Read(cache, "k").lease.has_value()) << "it is fresh";
  cache.Advance(seconds(1));
  const LeasedRead first = Read(cache, "k");
  ASSERT_TRUE(first.lease.has_value());
  EXPECT_EQ(first.hit->freshness, Freshness::kStale);
  EXPECT_FALSE(Read(cache, "k").lease.has_value());
  EXPECT_TRUE(Read(cache, "k").hit.has_value());
  EXPECT_NE(Read(cache, "k", /*fresh_only=*/true).as_of, "");

  EXPECT_TRUE(*cache.Release("k", first.lease->token));
  EXPECT_FALSE(Read(cache, "k").lease.has_value()) << "not at once";
  cache.Advance(seconds(1));
  const LeasedRead second = Read(cache, "k");
  ASSERT_TRUE(second.lease.has_value());
  EXPECT_EQ(Fill(cache, "k", second.lease->token), absl::StatusCode::kOk);
  EXPECT_EQ(Held(cache, "k"), "loaded");
}

TEST(FakeGroups, AreInvalidatedAtOnce) {
  struct Case {
    Invalidation what;
    std::vector<std::string> left;
  };
  const Case cases[] = {
      {{.tags = {"even"}}, {"k1", "k3"}},
      {{.tags = {"even", "three"}}, {"k1"}},
      {{.patterns = {"k?"}}, {}},
      {{.patterns = {"*3"}}, {"k0", "k1", "k2"}},
      {{.keys = {"k1"}, .tags = {"three"}, .patterns = {"k0*"}}, {"k2"}},
      {{.entities = {{.name = "thing", .fields = {{"id", "2"}, {"tag", "three"}}}}}, {"k0", "k1"}},
      {{.all = true}, {}},
  };
  for (const Case& c : cases) {
    for (const InvalidationMode mode : {InvalidationMode::kHard, InvalidationMode::kSoft}) {
      FakeCache cache({.entities = {{"thing", {.keys = {"k{id}"}, .tags = {"{tag}"}}}}});
      for (int i = 0; i < 4; ++i) {
        std::vector<std::string> tags;
        if (i % 2 == 0) tags.emplace_back("even");
        if (i == 3) tags.emplace_back("three");
        ASSERT_TRUE(cache.Set("k" + std::to_string(i), "v", {.tags = tags}).ok());
      }
      Invalidation what = c.what;
      what.mode = mode;
      ASSERT_TRUE(cache.Invalidate(what).ok());
      std::vector<std::string> left;
      for (int i = 0; i < 4; ++i) {
        const std::string key = "k" + std::to_string(i);
        const std::string held = Held(cache, key);
        if (held == "v") left.push_back(key);
        if (held != "v") {
          EXPECT_EQ(held, mode == InvalidationMode::kHard ? "none" : "stale v");
        }
      }
      EXPECT_EQ(left, c.left);
    }
  }
}

TEST(FakeGroups, CountsNamedKeysOnly) {
  FakeCache cache({.entities = {{"thing", {.keys = {"{id}"}, .patterns = {"{id}*"}}}}});
  ASSERT_TRUE(cache.BatchSet({{.key = "a", .tags = {"t"}}, {.key = "b", .tags = {"t"}}, {.key = "aa"}}).ok());
  EXPECT_EQ(cache.Invalidate({.keys = {"b", "c"}, .tags = {"t"}})->dropped, 1);
  ASSERT_TRUE(cache.Set("a", "v").ok());
  EXPECT_EQ(cache.Invalidate({.entities = {{.name = "thing", .fields = {{"id", "a"}}}}})->dropped, 1);
  EXPECT_EQ(cache.size(), 0u);
}

TEST(FakeGroups, ASoftInvalidationMakesANewVersion) {
  FakeCache cache;
  const uint64_t version = cache.Set("k", "v", {.ttl = minutes(2)})->version;
  ASSERT_TRUE(cache.Invalidate({.keys = {"k"}, .mode = InvalidationMode::kSoft}).ok());
  const MaybeHit hit = *cache.Get("k");
  EXPECT_EQ(hit->freshness, Freshness::kStale);
  EXPECT_NE(hit->version, version);
  EXPECT_EQ(hit->hard_ttl, minutes(2)) << "for as long as it had left to live";
}

TEST(FakeGroups, AWarmUpStoresNothingOfGroupsInvalidatedSince) {
  FakeCache cache;
  int given = 0;
  const auto progress = cache.Warm([&]() -> absl::StatusOr<std::optional<SetItem>> {
    if (given == 2) return std::nullopt;
    if (given == 0) {
      EXPECT_TRUE(cache.Invalidate({.tags = {"t"}}).ok());
    }
    return SetItem{.key = "k" + std::to_string(given), .tags = {given++ == 0 ? "t" : "u"}};
  });
  ASSERT_TRUE(progress.ok());
  EXPECT_EQ(progress->skipped, 1);
  EXPECT_TRUE(cache.Contains("k1"));
}

// The server's own words, so that the two cannot drift apart.
TEST(FakeGroups, RefusesWhatTheServiceRefusesInItsWords) {
  FakeCache cache({.entities = {{"thing", {.keys = {"{id}"}, .patterns = {"x:{id}:{day}*"}}}}});
  NamespacePolicy policy;
  policy.ttl_classes = ReadyTtlClasses();
  const std::vector<std::vector<std::string>> wrong_tags = {
      {""}, {std::string(129, 't')}, {"t", "u", "t"}, std::vector<std::string>(33, "t")};
  for (const std::vector<std::string>& tags : wrong_tags) {
    const absl::Status expected = CheckTags(policy, std::vector<std::string_view>(tags.begin(), tags.end()));
    ASSERT_FALSE(expected.ok());
    EXPECT_EQ(cache.Set("k", "v", {.tags = tags}).status(), expected);
  }
  for (const milliseconds stale_for : {milliseconds(-1), milliseconds(3650LL * 24 * 3600 * 1000 + 1)}) {
    EXPECT_EQ(cache.Set("k", "v", {.stale_for = stale_for}).status(),
              ResolveLifetime(policy, 1'000, stale_for.count()).status());
  }
  const std::string long_name(129, 'x');
  EXPECT_EQ(cache.Invalidate({.tags = {"t", long_name}}).status(),
            absl::InvalidArgumentError("tags[1]: " + std::string(CheckTag(long_name).message())));
  EXPECT_EQ(cache.Invalidate({.patterns = {""}}).status(),
            absl::InvalidArgumentError("patterns[0]: " + std::string(CheckPattern("").message())));

  EntityRule rule;
  rule.keys.push_back(*Template::Parse("{id}"));
  rule.patterns.push_back(*Template::Parse("x:{id}:{day}*"));
  const EntityRules rules = {{"thing", rule}};
  const std::vector<Entity> wrong = {{.name = "other"},
                                     {.name = "thing", .fields = {{"id", "1"}}},
                                     {.name = "thing", .fields = {{"id", "1"}, {"day", "2"}, {"more", "3"}}},
                                     {.name = "thing", .fields = {{"id", "*"}, {"day", "2"}}}};
  for (const Entity& entity : wrong) {
    EntityChange change{.name = entity.name, .fields = {}};
    for (const auto& [field, value] : entity.fields) change.fields.emplace_back(field, value);
    const absl::Status expected = ExpandEntity(rules, change).status();
    ASSERT_FALSE(expected.ok());
    EXPECT_EQ(cache.Invalidate({.entities = {entity}}).status(),
              absl::InvalidArgumentError("entities[0]: " + std::string(expected.message())));
  }
}

TEST(FakeGroups, CountsLikeTheService) {
  FakeCache cache;
  const LeasedRead read = Read(cache, "k");
  EXPECT_EQ(Fill(cache, "k", read.lease->token), absl::StatusCode::kOk);
  EXPECT_EQ(Fill(cache, "k", read.lease->token), absl::StatusCode::kAborted);
  ASSERT_TRUE(cache.Set("a", "", {.absent = true}).ok());
  EXPECT_EQ(Held(cache, "a"), "");
  ASSERT_TRUE(cache.Invalidate({.tags = {"t", "u"}, .patterns = {"k*"}, .mode = InvalidationMode::kSoft}).ok());
  EXPECT_EQ(Held(cache, "k"), "stale loaded");
  const absl::StatusOr<ServiceStats> stats = cache.Stats();
  const v1::CacheStats& total = (*stats)->total();
  EXPECT_EQ(total.leases(), 1);
  EXPECT_EQ(total.fills(), 1);
  EXPECT_EQ(total.fills_aborted(), 1);
  EXPECT_EQ(total.stale_hits(), 1);
  EXPECT_EQ(total.absent_hits(), 1);
  EXPECT_EQ(total.store_hits(), 2);
  EXPECT_EQ(total.invalidated_groups(), 3);
}

}  // namespace
}  // namespace larder
