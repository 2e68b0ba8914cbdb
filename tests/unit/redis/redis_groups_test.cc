// The control record in Redis: what it holds, how large it gets, and what is forgotten.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/redis_store_fixture.h"

namespace larder {
namespace {

using testing::HasSubstr;
using testing::Not;

class RedisGroupsTest : public RedisStoreFixture {
 protected:
  static GroupRequest Groups(std::vector<std::string> tags, std::vector<std::string> patterns, bool soft = false) {
    GroupRequest request;
    request.name_space = "default";
    request.tags = std::move(tags);
    request.patterns = std::move(patterns);
    request.soft = soft;
    return request;
  }
  GroupResult Invalidate(GroupRequest request) {
    absl::StatusOr<GroupResult> result = InvalidateGroupsNow(*store_, std::move(request));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : GroupResult{};
  }
  static std::vector<std::string> Names(const std::string& stem, int count) {
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) names.push_back(stem + std::to_string(i));
    return names;
  }
  ControlUpdate Control(ClockPosition known = {}) {
    absl::StatusOr<ControlUpdate> update = ReadControlNow(*store_, "default", known);
    EXPECT_TRUE(update.ok()) << update.status();
    return update.ok() ? *std::move(update) : ControlUpdate{};
  }
  std::string Score(const std::string& member) { return Redis({"ZSCORE", kControlKey, member}); }
  SweepResult Sweep(SweepRequest::Step step, ClockPosition fence = {}) {
    SweepRequest request;
    request.name_space = "default";
    request.step = step;
    request.sweeper = 0xfedc'ba98'7654'3210;
    request.lease_nanos = kMinute;
    request.fence = fence;
    absl::StatusOr<SweepResult> result = SweepNow(*store_, request);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : SweepResult{};
  }
};

TEST_F(RedisGroupsTest, TheRecordIsWhatTheDocumentationSays) {
  StartBoth();
  Invalidate(Groups({"tag"}, {"p*"}));
  Invalidate(Groups({"tag", "soft"}, {"p?"}, /*soft=*/true));
  EXPECT_EQ(Score("ht:tag"), "2");
  EXPECT_EQ(Score("hp:p*"), "2");
  EXPECT_EQ(Score("st:tag"), "3");
  EXPECT_EQ(Score("st:soft"), "3");
  EXPECT_EQ(Score("sp:p?"), "3");
  EXPECT_EQ(Score("epoch"), "3");
  EXPECT_EQ(Score("hard"), "-2");
  EXPECT_EQ(Score("#t"), "-3");
  EXPECT_EQ(Score("#p"), "-2");
  // What is stamped again is no other.
  Invalidate(Groups({"tag"}, {"p*"}));
  EXPECT_EQ(Score("ht:tag"), "4");
  EXPECT_EQ(Score("#t"), "-3");
  EXPECT_EQ(Score("#p"), "-2");
  EXPECT_EQ(Redis({"TTL", kControlKey}), "-1");
}

// Those below zero are the scripts' own.
TEST_F(RedisGroupsTest, ReadersSeeStampsAndNothingElse) {
  StartBoth();
  Invalidate(Groups({"tag"}, {"pattern"}));
  const SweepResult begun = Sweep(SweepRequest::Step::kBegin);
  ASSERT_TRUE(begun.mine);
  ASSERT_TRUE(ForgetOldStampsNow(*store_, "default", kMinute).ok());
  ASSERT_NE(Redis({"ZRANGEBYSCORE", kControlKey, "-inf", "(0"}), "");
  EXPECT_THAT(Control().stamps, testing::UnorderedElementsAre(Stamp{Stamp::Group::kTag, false, 2, "tag"},
                                                              Stamp{Stamp::Group::kPattern, false, 2, "pattern"}));
  EXPECT_EQ(Redis({"ZCOUNT", kControlKey, "(0", "+inf"}), "4");
}

// COHERENCE C5.
TEST_F(RedisGroupsTest, TooManyTagsOrPatternsBecomeOneStamp) {
  StartBoth();
  for (const bool with_tags : {true, false}) {
    GroupRequest request = Groups(Names("a", with_tags ? 10 : 0), Names("a", with_tags ? 0 : 10));
    request.max_tags = request.max_patterns = 10;
    EXPECT_FALSE(Invalidate(request).collapsed);
    EXPECT_FALSE(Invalidate(request).collapsed) << "they are the same";
    ASSERT_TRUE(Set(*store_, "key", "value").ok());
    const uint64_t generation = Generation(*store_);
    GroupRequest one_more = Groups({}, {}, /*soft=*/true);
    (with_tags ? one_more.tags : one_more.patterns).push_back("one more");
    one_more.max_tags = one_more.max_patterns = 10;
    const GroupResult collapsed = Invalidate(one_more);
    EXPECT_TRUE(collapsed.collapsed);
    EXPECT_EQ(AllStamp(collapsed.control), collapsed.control.epoch);
    EXPECT_EQ(collapsed.control.stamps.size(), 1u);
    EXPECT_EQ(Value(*store_, "key"), "(none)");
    EXPECT_EQ(Generation(*store_), generation);
    EXPECT_EQ(Score(with_tags ? "#t" : "#p"), "(nil)");
    EXPECT_EQ(Redis({"ZCOUNT", kControlKey, "(0", "+inf"}), "3");
    request.soft = true;
    EXPECT_FALSE(Invalidate(request).collapsed) << "there is room again";
  }
}

// What is told of sweeps and of age outlives the stamps that a later one makes needless.
TEST_F(RedisGroupsTest, AnInvalidationOfAllStartsTheRecordOver) {
  StartBoth();
  Invalidate(Groups(Names("tag", 100), {"pattern"}));
  const SweepResult begun = Sweep(SweepRequest::Step::kBegin);
  ASSERT_TRUE(Sweep(SweepRequest::Step::kEnd, begun.fence).mine);
  Invalidate(Groups({"tag"}, {"pattern"}));
  ASSERT_TRUE(ForgetOldStampsNow(*store_, "default", kMinute).ok());
  const std::string fence = Score("fence");
  const std::string before = Redis({"ZRANGEBYSCORE", kControlKey, "-inf", "(0"});
  const absl::StatusOr<ControlUpdate> all = InvalidateAllNow(*store_, "default", begun.fence);
  EXPECT_EQ(all->generation, begun.fence.generation);
  EXPECT_EQ(all->epoch, 5u);
  EXPECT_EQ(AllStamp(*all), 5u);
  EXPECT_EQ(Score("fence"), fence);
  EXPECT_EQ(Score("floor"), "-2");
  EXPECT_EQ(Score("life:60000"), "-1");
  EXPECT_EQ(Score("hard"), "-5");
  EXPECT_THAT(Redis({"ZRANGEBYSCORE", kControlKey, "-inf", "(0"}), HasSubstr("at:"));
  EXPECT_EQ(Redis({"ZCOUNT", kControlKey, "(0", "+inf"}), "3");
}

// COHERENCE C4: tags, which no sweep retires, stay.
TEST_F(RedisGroupsTest, ASweepRetiresEveryHardPatternUpToItsFence) {
  StartBoth();
  GroupRequest many = Groups(Names("tag", 3'000), Names("pattern", 5'000));
  many.max_patterns = 10'000;
  Invalidate(many);
  GroupRequest soft = Groups({}, {"soft*"}, /*soft=*/true);
  soft.max_patterns = 10'000;
  Invalidate(soft);
  const SweepResult begun = Sweep(SweepRequest::Step::kBegin);
  ASSERT_TRUE(begun.mine);
  EXPECT_EQ(begun.fence.epoch, 3u);
  GroupRequest later = Groups({}, {"later*", "pattern7"});
  later.max_patterns = 10'000;
  Invalidate(later);
  const SweepResult ended = Sweep(SweepRequest::Step::kEnd, begun.fence);
  ASSERT_TRUE(ended.mine);
  EXPECT_EQ(ended.control.floor, 3u);
  EXPECT_EQ(Score("hp:pattern6"), "(nil)");
  EXPECT_EQ(Score("hp:pattern4999"), "(nil)");
  EXPECT_EQ(Score("hp:pattern7"), "4");
  EXPECT_EQ(Score("hp:later*"), "4");
  EXPECT_EQ(Score("sp:soft*"), "3");
  EXPECT_EQ(Score("ht:tag2999"), "2");
  EXPECT_EQ(Score("#p"), "-3");
  EXPECT_EQ(Score("#t"), "-3000");
  EXPECT_EQ(Redis({"EXISTS", "larder:{default}:sweep"}), "0");
  // Told once to everyone, also to those who knew all of its stamps: they may let go of them too.
  EXPECT_EQ(Control({begun.fence.generation, 4}).floor, 3u);
  EXPECT_EQ(Control({begun.fence.generation, 5}).floor, 0u);
}

TEST_F(RedisGroupsTest, ASweepIsGivenUpWithItsGenerationAndItsRight) {
  StartBoth();
  Invalidate(Groups({}, {"pattern"}));
  SweepResult begun = Sweep(SweepRequest::Step::kBegin);
  ASSERT_TRUE(begun.mine);
  EXPECT_GT(std::stoi(Redis({"PTTL", "larder:{default}:sweep"})), 10'000);
  EXPECT_TRUE(Sweep(SweepRequest::Step::kRenew, begun.fence).mine);
  Redis({"SET", "larder:{default}:sweep", "another"});
  EXPECT_FALSE(Sweep(SweepRequest::Step::kRenew, begun.fence).mine);
  EXPECT_FALSE(Sweep(SweepRequest::Step::kEnd, begun.fence).mine);
  EXPECT_EQ(Score("hp:pattern"), "2");
  Redis({"DEL", "larder:{default}:sweep"});
  begun = Sweep(SweepRequest::Step::kBegin);
  ASSERT_TRUE(begun.mine);
  ASSERT_TRUE(RaiseBarrierNow(*store_, "default").ok());
  EXPECT_FALSE(Sweep(SweepRequest::Step::kRenew, begun.fence).mine);
  EXPECT_FALSE(Sweep(SweepRequest::Step::kEnd, begun.fence).mine);
  EXPECT_EQ(Score("floor"), "(nil)");
}

// COHERENCE C4: by age, once the longest life has passed since a checkpoint.
TEST_F(RedisGroupsTest, StampsAreForgottenWhenNothingFromBeforeCanBeLeft) {
  StartBoth();
  Invalidate(Groups(Names("tag", 4'500), {"pattern"}));
  Invalidate(Groups({"tag0"}, {"soft*"}, /*soft=*/true));
  WriteRequest before = Request("key", "v");
  before.as_of = ClockPosition{Generation(*store_), 1};
  const int64_t life = 30 * kNanosPerMilli;
  ASSERT_TRUE(ForgetOldStampsNow(*store_, "default", life).ok());
  EXPECT_EQ(Score("#t"), "-4501") << "only a checkpoint was made";
  ASSERT_TRUE(WriteNow(*store_, before)->applied);
  EXPECT_TRUE(Eventually([&] {
    EXPECT_TRUE(ForgetOldStampsNow(*store_, "default", life).ok());
    return Control().stamps.empty();
  }));
  EXPECT_EQ(Score("#t"), "(nil)");
  EXPECT_EQ(Score("#p"), "(nil)");
  EXPECT_EQ(Score("epoch"), "3");
  // What was on its way all the time is not stored, now that nobody could tell that it is dead.
  EXPECT_EQ(Score("fence"), "-3");
  EXPECT_FALSE(WriteNow(*store_, before)->applied);
}

TEST_F(RedisGroupsTest, CheckpointsAreFewAndALongerLifeCounts) {
  StartBoth();
  ASSERT_TRUE(ForgetOldStampsNow(*store_, "default", kMinute).ok());
  for (int i = 0; i < 50; ++i) {
    Invalidate(Groups({"tag"}, {}));
    ASSERT_TRUE(ForgetOldStampsNow(*store_, "default", kNanosPerMilli).ok());
  }
  EXPECT_EQ(Score("life:60000"), "-1");
  EXPECT_EQ(Score("life:1"), "(nil)");
  const std::string hidden = Redis({"ZRANGEBYSCORE", kControlKey, "-inf", "(0"});
  EXPECT_EQ(hidden.find("at:"), hidden.rfind("at:")) << hidden;
  EXPECT_EQ(Score("ht:tag"), "51");
}

// A cursor names no more than a place in Redis; what it finds is the namespace's own.
TEST_F(RedisGroupsTest, AScanSeesItsOwnNamespaceOnly) {
  StartServer();
  RedisOptions options = PatientOptions();
  options.prefix = "l*[a-z]?\\";
  StartStore(options);
  std::set<std::string> written;
  for (int i = 0; i < 300; ++i) {
    written.insert("key" + std::to_string(i));
    ASSERT_TRUE(Set(*store_, "key" + std::to_string(i), "v").ok());
    WriteRequest other = Request("other" + std::to_string(i), "v");
    other.name_space = "other";
    ASSERT_TRUE(WriteNow(*store_, other).ok());
    // What the prefix would match if it were a pattern.
    Redis({"SET", "lxax\\:default:e:foreign" + std::to_string(i), "v"});
  }
  std::set<std::string> seen;
  std::string cursor;
  int calls = 0;
  do {
    const absl::StatusOr<ScanResult> page = ScanNow(*store_, {"default", cursor, 50, {}, 0});
    ASSERT_TRUE(page.ok()) << page.status();
    for (const StoredItem& item : page->items) {
      EXPECT_EQ(item.kind, StoredItem::Kind::kEntry);
      seen.insert(item.key);
    }
    cursor = page->cursor;
    ++calls;
  } while (!cursor.empty());
  EXPECT_EQ(seen, written);
  EXPECT_GT(calls, 5);
  const absl::Status refused = ScanNow(*store_, {"default", "-1", 50, {}, 0}).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.message(), "cursor: not one of this store");
}

// The record's size costs an invalidation nothing.
TEST_F(RedisGroupsTest, InvalidatesATagOfManyInNoTime) {
  StartBoth();
  Invalidate(Groups(Names("tag", 10'000), Names("pattern", 1'000)));
  ClockPosition known{Generation(*store_), 2};
  std::vector<int64_t> nanos;
  for (int i = 0; i < 300; ++i) {
    GroupRequest request = Groups({"tag" + std::to_string(i)}, {});
    request.known = known;
    const int64_t began = clock_.NowNanos();
    const GroupResult result = Invalidate(std::move(request));
    nanos.push_back(clock_.NowNanos() - began);
    known.epoch = result.control.epoch;
    ASSERT_EQ(result.control.stamps.size(), 1u);
  }
  std::sort(nanos.begin(), nanos.end());
  RecordProperty("p50_micros", std::to_string(nanos[150] / kNanosPerMicro));
  RecordProperty("p99_micros", std::to_string(nanos[297] / kNanosPerMicro));
  EXPECT_LT(nanos[150], 5 * kNanosPerMilli);
}

}  // namespace
}  // namespace larder
