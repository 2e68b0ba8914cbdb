#include "server/policy/policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <random>
#include <utility>

namespace larder {
namespace {

constexpr uint64_t kMaxRandom = std::numeric_limits<uint64_t>::max();
constexpr int64_t kMinInt = std::numeric_limits<int64_t>::min();
constexpr int64_t kMaxInt = std::numeric_limits<int64_t>::max();
constexpr int64_t k3650Days = 3650 * 24 * 3600 * int64_t{1'000};

NamespacePolicy Policy() {
  NamespacePolicy policy;
  policy.name = "shop";
  policy.ttl_classes = ReadyTtlClasses();
  return policy;
}

void ExpectInvalid(const absl::Status& status, const std::string& message) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(status.message()), message);
}

// Soft, hard.
std::pair<int64_t, int64_t> Times(const NamespacePolicy& policy, int64_t ttl_ms, std::optional<int64_t> stale_for_ms) {
  const Lifetime lifetime = ResolveLifetime(policy, ttl_ms, stale_for_ms).value();
  return {lifetime.soft_ms, lifetime.hard_ms};
}

TEST(NamespaceNameTest, TakesLowerCaseDigitsDashAndUnderscore) {
  for (const std::string& name :
       {std::string("default"), std::string("a"), std::string("shop_2-eu"), std::string("0"), std::string(63, 'x')}) {
    EXPECT_TRUE(IsValidNamespaceName(name)) << name;
  }
  for (const std::string& name : {std::string(), std::string("Shop"), std::string("a b"), std::string("a:b"),
                                  std::string("a.b"), std::string("\0", 1), std::string("é"), std::string(64, 'x')}) {
    EXPECT_FALSE(IsValidNamespaceName(name)) << name;
  }
}

TEST(CheckKeyTest, TakesUpToTheLimit) {
  const NamespacePolicy policy = Policy();
  EXPECT_TRUE(CheckKey(policy, std::string("\0", 1)).ok());
  EXPECT_TRUE(CheckKey(policy, std::string(512, 'k')).ok());
  ExpectInvalid(CheckKey(policy, std::string(513, 'k')), "key: 513 bytes, the limit is 512");
  ExpectInvalid(CheckKey(policy, ""), "key: empty, must be 1 to 512 bytes");
}

TEST(CheckKeyTest, KeepsToTheNamespacesOwnLimit) {
  NamespacePolicy policy = Policy();
  policy.max_key_bytes = 8;
  EXPECT_TRUE(CheckKey(policy, "12345678").ok());
  ExpectInvalid(CheckKey(policy, "123456789"), "key: 9 bytes, the limit is 8");
}

TEST(CheckValueTest, TakesUpToTheLimit) {
  NamespacePolicy policy = Policy();
  EXPECT_TRUE(CheckValue(policy, "").ok());
  EXPECT_TRUE(CheckValue(policy, std::string(1 << 20, 'v')).ok());
  ExpectInvalid(CheckValue(policy, std::string((1 << 20) + 1, 'v')), "value: 1048577 bytes, the limit is 1048576");
}

TEST(CheckContentTypeTest, TakesUpToTheLimit) {
  EXPECT_TRUE(CheckContentType("").ok());
  EXPECT_TRUE(CheckContentType(std::string(255, 't')).ok());
  ExpectInvalid(CheckContentType(std::string(256, 't')), "content_type: 256 bytes, the limit is 255");
}

TEST(CheckBatchTest, TakesOneUpToTheLimit) {
  const NamespacePolicy policy = Policy();
  EXPECT_TRUE(CheckBatch(policy, 1, "keys").ok());
  EXPECT_TRUE(CheckBatch(policy, 1000, "keys").ok());
  ExpectInvalid(CheckBatch(policy, 0, "keys"), "keys: empty, must be 1 to 1000");
  ExpectInvalid(CheckBatch(policy, 1001, "entries"), "entries: 1001, the limit is 1000");
}

TEST(ResolveTtlTest, TakesMillisecondsAClassOrTheDefault) {
  const NamespacePolicy policy = Policy();
  EXPECT_EQ(ResolveTtl(policy, {}).value(), 300'000);
  EXPECT_EQ(ResolveTtl(policy, {1, std::nullopt}).value(), 1);
  EXPECT_EQ(ResolveTtl(policy, {604'800'000, std::nullopt}).value(), 604'800'000);
  EXPECT_EQ(ResolveTtl(policy, {std::nullopt, "realtime"}).value(), 60'000);
  EXPECT_EQ(ResolveTtl(policy, {std::nullopt, "user"}).value(), 300'000);
  EXPECT_EQ(ResolveTtl(policy, {std::nullopt, "default"}).value(), 300'000);
  EXPECT_EQ(ResolveTtl(policy, {std::nullopt, "analytics"}).value(), 1'800'000);
  EXPECT_EQ(ResolveTtl(policy, {std::nullopt, "static"}).value(), 3'600'000);
}

TEST(ResolveTtlTest, RefusesWhatIsOutOfRange) {
  const NamespacePolicy policy = Policy();
  ExpectInvalid(ResolveTtl(policy, {0, std::nullopt}).status(), "ttl_ms: 0, must be 1 to 604800000");
  ExpectInvalid(ResolveTtl(policy, {-1, std::nullopt}).status(), "ttl_ms: -1, must be 1 to 604800000");
  ExpectInvalid(ResolveTtl(policy, {604'800'001, std::nullopt}).status(), "ttl_ms: 604800001, must be 1 to 604800000");
  ExpectInvalid(ResolveTtl(policy, {std::numeric_limits<int64_t>::max(), std::nullopt}).status(),
                "ttl_ms: 9223372036854775807, must be 1 to 604800000");
  ExpectInvalid(ResolveTtl(policy, {1, "user"}).status(), "ttl_ms, ttl_class: only one of them may be given");
}

TEST(ResolveTtlTest, NamesTheClassesThatThereAre) {
  NamespacePolicy policy = Policy();
  ExpectInvalid(ResolveTtl(policy, {std::nullopt, "x"}).status(),
                "ttl_class: \"x\" is not a class of namespace \"shop\" (it has: analytics, default, realtime, static, "
                "user)");
  policy.ttl_classes.clear();
  ExpectInvalid(ResolveTtl(policy, {std::nullopt, ""}).status(),
                "ttl_class: \"\" is not a class of namespace \"shop\" (it has: none)");
}

// What a caller sent comes back in a header of the answer, which must stay small and printable.
TEST(ResolveTtlTest, BoundsWhatItRepeats) {
  NamespacePolicy policy = Policy();
  policy.ttl_classes.clear();
  for (char c = 'a'; c <= 'z'; ++c) policy.ttl_classes[std::string(1, c)] = 1;
  ExpectInvalid(ResolveTtl(policy, {std::nullopt, "\n" + std::string(1000, 'x')}).status(),
                "ttl_class: \"\\n" + std::string(62, 'x') +
                    "…\" is not a class of namespace \"shop\" (it has: a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, "
                    "…)");
}

TEST(ApplyJitterTest, LeavesTheTtlAloneWithoutJitter) {
  EXPECT_EQ(ApplyJitter(Policy(), 300'000, kMaxRandom), 300'000);
}

TEST(ApplyJitterTest, ReachesBothEndsOfItsRange) {
  NamespacePolicy policy = Policy();
  policy.ttl_jitter = 0.5;
  EXPECT_EQ(ApplyJitter(policy, 300'000, 0), 300'000);
  EXPECT_EQ(ApplyJitter(policy, 300'000, uint64_t{1} << 63), 225'000);
  EXPECT_EQ(ApplyJitter(policy, 300'000, kMaxRandom), 150'001);
  EXPECT_EQ(ApplyJitter(policy, 1, kMaxRandom), 1);
  EXPECT_EQ(ApplyJitter(policy, 2, kMaxRandom), 2);
}

TEST(ApplyJitterTest, StaysWithinItsRangeForAnyTtl) {
  std::mt19937_64 random(1);
  NamespacePolicy policy = Policy();
  for (int i = 0; i < 100'000; ++i) {
    policy.ttl_jitter = std::uniform_real_distribution<double>(0, 0.5)(random);
    const auto ttl_ms = static_cast<int64_t>(random() % 604'800'000) + 1;
    const int64_t jittered = ApplyJitter(policy, ttl_ms, random());
    ASSERT_GE(jittered, 1);
    ASSERT_LE(jittered, ttl_ms);
    ASSERT_GE(static_cast<double>(jittered), static_cast<double>(ttl_ms) * (1 - policy.ttl_jitter) - 1)
        << ttl_ms << " with " << policy.ttl_jitter;
  }
}

// Small TTLs, where each draw can be told from the next: no value of the range is left out, and none is outside of it.
TEST(ApplyJitterTest, ReachesEveryValueOfItsRange) {
  std::mt19937_64 random(2);
  NamespacePolicy policy = Policy();
  policy.ttl_jitter = 0.5;
  std::map<int64_t, int> draws;
  for (int i = 0; i < 100'000; ++i) ++draws[ApplyJitter(policy, 10, random())];
  ASSERT_EQ(draws.size(), 5);
  EXPECT_EQ(draws.begin()->first, 6);
  EXPECT_EQ(draws.rbegin()->first, 10);
  for (const auto& [ttl_ms, times] : draws) EXPECT_NEAR(times, 20'000, 1'000) << ttl_ms;
}

TEST(ApplyJitterTest, SurvivesAnyNumber) {
  NamespacePolicy policy = Policy();
  policy.ttl_jitter = 0.5;
  for (const uint64_t random : {uint64_t{0}, uint64_t{1} << 63, kMaxRandom}) {
    EXPECT_EQ(ApplyJitter(policy, 0, random), 1);
    EXPECT_EQ(ApplyJitter(policy, -1, random), 1);
    EXPECT_EQ(ApplyJitter(policy, kMinInt, random), 1);
    EXPECT_GE(ApplyJitter(policy, kMaxInt, random), kMaxInt / 2);
  }
}

TEST(ResolveTtlTest, KeepsToItsEdges) {
  std::mt19937_64 random(3);
  NamespacePolicy policy = Policy();
  for (const int64_t cap : {int64_t{1}, int64_t{2}, int64_t{604'800'000}, k3650Days}) {
    policy.max_ttl_ms = cap;
    for (const int64_t ttl_ms : {kMinInt, int64_t{-1}, int64_t{0}, cap + 1, kMaxInt}) {
      ExpectInvalid(ResolveTtl(policy, {ttl_ms, std::nullopt}).status(),
                    "ttl_ms: " + std::to_string(ttl_ms) + ", must be 1 to " + std::to_string(cap));
    }
    for (const int64_t ttl_ms : {int64_t{1}, cap, static_cast<int64_t>(random() % static_cast<uint64_t>(cap)) + 1}) {
      EXPECT_EQ(ResolveTtl(policy, {ttl_ms, std::nullopt}).value(), ttl_ms);
    }
  }
}

TEST(ResolveLifetimeTest, AddsWhatIsServedAsStale) {
  NamespacePolicy policy = Policy();
  EXPECT_EQ(Times(policy, 1'000, std::nullopt), (std::pair<int64_t, int64_t>(1'000, 1'000)));
  policy.stale_for_ms = 500;
  EXPECT_EQ(Times(policy, 1'000, std::nullopt), (std::pair<int64_t, int64_t>(1'000, 1'500)));
  EXPECT_EQ(Times(policy, 1'000, 0), (std::pair<int64_t, int64_t>(1'000, 1'000)));
  EXPECT_EQ(Times(policy, 1'000, 1), (std::pair<int64_t, int64_t>(1'000, 1'001)));
}

TEST(ResolveLifetimeTest, CutsWhatIsBeyondTheCap) {
  NamespacePolicy policy = Policy();
  policy.max_ttl_ms = 1'200;
  EXPECT_EQ(Times(policy, 1'000, 200), (std::pair<int64_t, int64_t>(1'000, 1'200)));
  EXPECT_EQ(Times(policy, 1'000, 201), (std::pair<int64_t, int64_t>(1'000, 1'200)));
  EXPECT_EQ(Times(policy, 1'200, k3650Days), (std::pair<int64_t, int64_t>(1'200, 1'200)));
}

TEST(ResolveLifetimeTest, RefusesWhatNobodyCanMean) {
  for (const int64_t stale_for_ms : {kMinInt, int64_t{-1}, k3650Days + 1, kMaxInt}) {
    ExpectInvalid(ResolveLifetime(Policy(), 1'000, stale_for_ms).status(),
                  "stale_for_ms: " + std::to_string(stale_for_ms) + ", must be 0 to 315360000000");
  }
}

// Whatever is configured and asked for, an entry is stale before it is gone, and gone by the cap.
TEST(ResolveLifetimeTest, KeepsItsOrder) {
  std::mt19937_64 random(4);
  const auto draw = [&random](int64_t max) {
    // Edges as often as anything between them.
    const auto between = static_cast<int64_t>(random() % static_cast<uint64_t>(max)) + 1;
    return std::array<int64_t, 3>{1, max, between}[random() % 3];
  };
  NamespacePolicy policy = Policy();
  for (int i = 0; i < 100'000; ++i) {
    policy.max_ttl_ms = draw(k3650Days);
    policy.ttl_jitter = std::uniform_real_distribution<double>(0, 0.5)(random);
    policy.stale_for_ms = draw(policy.max_ttl_ms) - 1;
    const int64_t asked = random() % 2 == 0 ? draw(k3650Days) : 0;
    const int64_t ttl_ms = ApplyJitter(policy, draw(policy.max_ttl_ms), random());
    const auto [soft, hard] = Times(policy, ttl_ms, asked == 0 ? std::nullopt : std::optional<int64_t>(asked));
    ASSERT_EQ(soft, ttl_ms);
    ASSERT_LE(soft, hard);
    ASSERT_LE(hard, policy.max_ttl_ms);
    ASSERT_EQ(hard, std::min(policy.max_ttl_ms, soft + (asked == 0 ? policy.stale_for_ms : asked)));
  }
}

// A cap that a reload lowered between the two steps, and numbers that no caller may hand over.
TEST(ResolveLifetimeTest, KeepsItsOrderForAnyTtl) {
  const NamespacePolicy policy = Policy();
  const int64_t cap = policy.max_ttl_ms;
  EXPECT_EQ(Times(policy, cap + 1, 5), (std::pair<int64_t, int64_t>(cap, cap)));
  EXPECT_EQ(Times(policy, kMaxInt, k3650Days), (std::pair<int64_t, int64_t>(cap, cap)));
  EXPECT_EQ(Times(policy, 0, 5), (std::pair<int64_t, int64_t>(1, 6)));
  EXPECT_EQ(Times(policy, kMinInt, 5), (std::pair<int64_t, int64_t>(1, 6)));
}

TEST(CheckTagTest, TakesUpToTheLimit) {
  EXPECT_TRUE(CheckTag("a").ok());
  EXPECT_TRUE(CheckTag(std::string(128, 't')).ok());
  ExpectInvalid(CheckTag(""), "empty, must be 1 to 128 bytes");
  ExpectInvalid(CheckTag(std::string(129, 't')), "129 bytes, the limit is 128");
}

TEST(CheckPatternTest, TakesUpToTheLimit) {
  EXPECT_TRUE(CheckPattern("*").ok());
  EXPECT_TRUE(CheckPattern(std::string(128, '*')).ok());
  EXPECT_TRUE(CheckPattern(std::string("\0", 1)).ok());
  ExpectInvalid(CheckPattern(""), "empty, must be 1 to 128 bytes");
  ExpectInvalid(CheckPattern(std::string(129, '*')), "129 bytes, the limit is 128");
}

TEST(CheckTagsTest, NamesTheOneThatIsWrong) {
  const NamespacePolicy policy = Policy();
  const std::string longest(128, 't');
  const std::string too_long(129, 't');
  EXPECT_TRUE(CheckTags(policy, {}).ok());
  EXPECT_TRUE(CheckTags(policy, {"a", "A", longest}).ok());
  ExpectInvalid(CheckTags(policy, {"a", "b", ""}), "tags[2]: empty, must be 1 to 128 bytes");
  ExpectInvalid(CheckTags(policy, {"a", too_long}), "tags[1]: 129 bytes, the limit is 128");
  ExpectInvalid(CheckTags(policy, {"a", "b", "c", "b"}), "tags[3]: the same as tags[1]");
}

TEST(CheckTagsTest, KeepsToTheNamespacesLimit) {
  NamespacePolicy policy = Policy();
  std::vector<std::string> names;
  for (int i = 0; i < 33; ++i) names.push_back(std::to_string(i));
  std::vector<std::string_view> tags(names.begin(), names.end());
  ExpectInvalid(CheckTags(policy, tags), "tags: 33, the limit is 32");
  tags.pop_back();
  EXPECT_TRUE(CheckTags(policy, tags).ok());
  policy.max_tags = 0;
  EXPECT_TRUE(CheckTags(policy, {}).ok());
  ExpectInvalid(CheckTags(policy, {"a"}), "tags: 1, the limit is 0");
}

}  // namespace
}  // namespace larder
