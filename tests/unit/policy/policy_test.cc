#include "server/policy/policy.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace larder {
namespace {

constexpr uint64_t kMaxRandom = std::numeric_limits<uint64_t>::max();

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

}  // namespace
}  // namespace larder
