// What leases are in Redis, and what else may be under a key that somebody wants to lease.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/redis_store_fixture.h"

namespace larder {
namespace {

using Outcome = LeaseResult::Outcome;

class RedisLeaseTest : public RedisStoreFixture {
 protected:
  // Beyond what a double holds exactly, and one bit apart.
  static constexpr uint64_t kToken = 0xfedc'ba98'7654'3210;
  static constexpr uint64_t kOtherToken = kToken + 1;

  LeaseResult Lease(const std::string& key, uint64_t token, uint64_t found_version = 0) {
    absl::StatusOr<LeaseResult> result = LeaseNow(*store_, LeaseOn(key, token, found_version));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : LeaseResult{};
  }
  WriteRequest TaggedRequest(const std::string& key, std::string_view value, const std::string& tags) {
    WriteRequest request = Request(key, value);
    request.entry = Entry::Create(request.entry->meta(), "text/plain", value, tags);
    return request;
  }
  std::string Byte(const std::string& key, int offset) {
    const std::string at = std::to_string(offset);
    return Redis({"GETRANGE", "larder:default:e:" + key, at, at});
  }
};

// COHERENCE E2: a lease is a record under the entry's own key, which lives as long as the lease.
TEST_F(RedisLeaseTest, IsWhatTheDocumentationSays) {
  StartBoth();
  const LeaseResult lease = Lease("key", kToken);
  ASSERT_EQ(lease.outcome, Outcome::kGranted);
  EXPECT_EQ(Redis({"STRLEN", "larder:default:e:key"}), "96");
  EXPECT_EQ(Redis({"GETRANGE", "larder:default:e:key", "0", "5"}), "\x89LDR\x01\x02");
  EXPECT_EQ(Redis({"GETRANGE", "larder:default:e:key", "24", "31"}), "\xfe\xdc\xba\x98\x76\x54\x32\x10");
  EXPECT_EQ(Redis({"GETRANGE", "larder:default:e:key", "64", "71"}), "\xfe\xdc\xba\x98\x76\x54\x32\x10");
  const int left_ms = std::stoi(Redis({"PTTL", "larder:default:e:key"}));
  EXPECT_GT(left_ms, 10'000);
  EXPECT_LE(left_ms, 30'000);
}

// COHERENCE E7: what is not ours may be Set over, but not leased.
TEST_F(RedisLeaseTest, WhatIsNotOursIsNotLeased) {
  StartBoth();
  ASSERT_TRUE(WriteNow(*store_, TaggedRequest("whole", "value", "\3tag")).ok());
  const std::string whole = Redis({"GET", "larder:default:e:whole"});
  auto with = [&whole](size_t offset, char byte) {
    std::string changed = whole;
    changed[offset] = byte;
    return changed;
  };
  const std::vector<std::pair<std::string, std::string>> values = {
      {"foreign", "text"},           {"truncated", whole.substr(0, whole.size() - 1)},
      {"newer", with(4, 2)},         {"unknown flag", with(5, 8)},
      {"half lease", with(5, 3)},    {"broken tags", with(96, 9)},
      {"longer tags", with(96, 2)},  {"more tags than bytes", with(88, 1)},
      {"empty tag", with(96, '\0')}, {"no version", whole.substr(0, 24) + std::string(8, '\0') + whole.substr(32)}};
  std::vector<std::string> keys = {"list", "eternal"};
  for (const auto& [key, value] : values) {
    Redis({"SET", "larder:default:e:" + key, value, "PX", "60000"});
    keys.push_back(key);
  }
  Redis({"RPUSH", "larder:default:e:list", "a"});
  Redis({"SET", "larder:default:e:eternal", whole});
  for (const std::string& key : keys) {
    EXPECT_EQ(Lease(key, kToken).outcome, Outcome::kForeign) << key;
    EXPECT_FALSE(Fill(*store_, key, {kToken, {Generation(*store_), 1}}, "v")->applied) << key;
    EXPECT_FALSE(ReleaseNow(*store_, {"default", key, kToken, 0, 0, 0, 0})->held) << key;
    EXPECT_FALSE(TouchNow(*store_, {"default", key, kMinute, kMinute, 0, {}, 0})->found) << key;
    EXPECT_EQ(EraseNow(*store_, {"default", {key}, {7}, 0})->erased, 0) << key;
    EXPECT_EQ(EraseVersionsNow(*store_, {"default", {{key, kToken}}, 0})->erased, 0) << key;
    EXPECT_EQ(LookNow(*store_, {"default", {key}, {}, 0})->items[0].kind, StoredItem::Kind::kUnreadable) << key;
    EXPECT_EQ(Value(*store_, key), "(none)") << key;
    EXPECT_EQ(Redis({"EXISTS", "larder:default:e:" + key}), "1") << key;
  }
  EXPECT_EQ(EraseNow(*store_, {"default", keys, {}, 0})->erased, static_cast<int64_t>(keys.size()));
}

// Scripts have no 64-bit numbers: they compare tokens and versions as bytes.
TEST_F(RedisLeaseTest, TokensAndVersionsAreComparedToTheLastBit) {
  StartBoth();
  const LeaseResult lease = Lease("key", kToken);
  FillToken other = lease.fill;
  other.token = kOtherToken;
  EXPECT_FALSE(Fill(*store_, "key", other, "v")->applied);
  EXPECT_FALSE(ReleaseNow(*store_, {"default", "key", kOtherToken, 0, 0, 0, 0})->held);
  EXPECT_EQ(EraseVersionsNow(*store_, {"default", {{"key", kOtherToken}}, 0})->erased, 0);
  EXPECT_EQ(Lease("key", kOtherToken).fill, lease.fill);
  const absl::StatusOr<WriteResult> filled = Fill(*store_, "key", lease.fill, "v");
  EXPECT_TRUE(filled->applied);
  EXPECT_EQ(Lease("key", kToken, filled->current_version + 1).outcome, Outcome::kChanged);
  EXPECT_FALSE(TouchNow(*store_, {"default", "key", kMinute, kMinute, filled->current_version + 1, {}, 0})->found);
  WriteRequest over = Request("key", "v", {Condition::Kind::kAbsent, 0});
  over.dead_version = filled->current_version + 1;
  EXPECT_FALSE(WriteNow(*store_, over)->applied);
  over.dead_version = filled->current_version;
  EXPECT_TRUE(WriteNow(*store_, over)->applied);
}

// No entry bears the token 0, though its bytes are what stands in an entry without a lease.
TEST_F(RedisLeaseTest, NoTokenIsNoToken) {
  StartBoth();
  const absl::StatusOr<WriteResult> set = Set(*store_, "key", "v");
  EXPECT_FALSE(Fill(*store_, "key", {0, {set->control.generation, set->control.epoch}}, "w")->applied);
  EXPECT_FALSE(ReleaseNow(*store_, {"default", "key", 0, 0, 0, 0, 0})->held);
  EXPECT_EQ(Value(*store_, "key"), "v");
}

// A token is what its bearer makes of it: no entry may be later than the clock, or no invalidation would reach it.
TEST_F(RedisLeaseTest, APositionAheadOfTheClockIsRefused) {
  StartBoth();
  FillToken fill = Lease("key", kToken).fill;
  ++fill.as_of.epoch;
  EXPECT_FALSE(Fill(*store_, "key", fill, "v")->applied);
  WriteRequest ahead = Request("other", "v");
  ahead.as_of = fill.as_of;
  EXPECT_FALSE(WriteNow(*store_, ahead)->applied);
}

// COHERENCE C3, P2: with the record the stamps are lost that could have killed what is being loaded.
TEST_F(RedisLeaseTest, AControlRecordLostBetweenLeaseAndFillKeepsTheFillOut) {
  StartBoth();
  const FillToken fill = Lease("key", kToken).fill;
  const uint64_t version = Set(*store_, "stale", "old")->current_version;
  const FillToken refresh = Lease("stale", kOtherToken, version).fill;
  Redis({"DEL", kControlKey});
  for (const auto& [key, token] : {std::pair<std::string, FillToken>{"key", fill}, {"stale", refresh}}) {
    const absl::StatusOr<WriteResult> filled = Fill(*store_, key, token, "loaded before");
    ASSERT_TRUE(filled.ok()) << filled.status();
    EXPECT_FALSE(filled->applied) << key;
    EXPECT_NE(filled->control.generation, token.as_of.generation);
    EXPECT_EQ(Value(*store_, key), "(none)");
  }
  // The dead lease keeps nobody out.
  const LeaseResult next = Lease("key", kOtherToken);
  EXPECT_EQ(next.outcome, Outcome::kGranted);
  EXPECT_TRUE(Fill(*store_, "key", next.fill, "loaded after")->applied);
  EXPECT_EQ(Value(*store_, "key"), "loaded after");
}

// COHERENCE C4: what was loaded before the sweep began is not stored behind its back.
TEST_F(RedisLeaseTest, TheFenceRefusesAnOlderFill) {
  StartBoth();
  const FillToken older = Lease("key", kToken).fill;
  GroupRequest pattern;
  pattern.name_space = "default";
  pattern.patterns = {"other:*"};
  ASSERT_TRUE(InvalidateGroupsNow(*store_, pattern).ok());
  WriteRequest before = Request("warm", "v");
  before.as_of = older.as_of;
  EXPECT_TRUE(WriteNow(*store_, before)->applied);
  SweepRequest sweep;
  sweep.name_space = "default";
  sweep.sweeper = 1;
  sweep.lease_nanos = kMinute;
  const absl::StatusOr<SweepResult> begun = SweepNow(*store_, sweep);
  ASSERT_TRUE(begun->mine);
  EXPECT_EQ(Redis({"ZSCORE", kControlKey, "fence"}), "-2");
  EXPECT_FALSE(Fill(*store_, "key", older, "loaded before")->applied);
  EXPECT_FALSE(WriteNow(*store_, before)->applied);
  const LeaseResult next = Lease("key", kOtherToken);
  EXPECT_EQ(next.outcome, Outcome::kGranted) << "the older one can never be filled";
  EXPECT_TRUE(Fill(*store_, "key", next.fill, "loaded after")->applied);
}

// What stands before the value may be longer than what is read at first.
TEST_F(RedisLeaseTest, AllOfManyTagsCount) {
  StartBoth();
  for (const size_t count : {1u, 2u, 3u, 32u}) {
    std::vector<std::string> names;
    std::vector<std::string_view> views;
    for (size_t i = 0; i < count; ++i) names.push_back(std::string(250, 't') + std::to_string(i));
    for (const std::string& name : names) views.push_back(name);
    const std::string key = "key" + std::to_string(count);
    const absl::StatusOr<WriteResult> set = WriteNow(*store_, TaggedRequest(key, "value", TagList::Encode(views)));
    ASSERT_TRUE(set->applied);
    const absl::StatusOr<LookResult> look = LookNow(*store_, {"default", {"absent", key, "absent"}, {}, 0});
    ASSERT_EQ(look->items[1].kind, StoredItem::Kind::kEntry);
    EXPECT_EQ(look->items[1].key, key);
    EXPECT_EQ(look->items[1].head->tags().encoded(), TagList::Encode(views));
    EXPECT_EQ(look->items[1].head->content_type(), "text/plain");
    EXPECT_EQ(look->items[0].kind, StoredItem::Kind::kNone);
    GroupRequest last;
    last.name_space = "default";
    last.tags = {names.back()};
    ASSERT_TRUE(InvalidateGroupsNow(*store_, last).ok());
    EXPECT_FALSE(TouchNow(*store_, {"default", key, kMinute, kMinute, 0, {}, 0})->found) << count;
    EXPECT_EQ(Lease(key, kToken).outcome, Outcome::kGranted) << count;
  }
}

TEST_F(RedisLeaseTest, ThoseWhoWaitAreNotedOnceAndNotForgotten) {
  StartBoth();
  Lease("key", kToken);
  EXPECT_EQ(Byte("key", 90), "\1");
  Lease("key", kOtherToken);
  EXPECT_EQ(Byte("key", 90), "\3");
  const int64_t writes = Calls("setrange");
  Lease("key", kOtherToken);
  EXPECT_EQ(Calls("setrange"), writes);
  // A new lease in place of a dead one is waited for by the same callers.
  ASSERT_TRUE(InvalidateAllNow(*store_, "default", {}).ok());
  EXPECT_EQ(Lease("key", kOtherToken).outcome, Outcome::kGranted);
  EXPECT_EQ(Byte("key", 90), "\3");
}

}  // namespace
}  // namespace larder
