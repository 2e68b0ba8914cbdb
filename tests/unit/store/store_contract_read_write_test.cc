// Reading, writing, erasing, notes.
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/store/store_contract.h"

namespace larder {
namespace {

std::string AllBytes() {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
  return bytes;
}

TEST_P(StoreContractTest, MissesAKeyThatWasNeverSet) {
  const ReadResult result = Read({"absent"});
  ASSERT_EQ(result.entries.size(), 1u);
  EXPECT_FALSE(result.entries[0]);
  EXPECT_NE(result.control.generation, 0u);
  EXPECT_EQ(result.control.epoch, 1u);
  EXPECT_EQ(AllStamp(result.control), 0u);
  EXPECT_EQ(result.control.since, 0u);
}

TEST_P(StoreContractTest, GivesBackWhatWasSet) {
  const int64_t before = Now();
  EntryRef entry = MakeEntry("value", kMinute, "text/plain");
  const uint64_t version = entry->meta().version;
  const WriteResult written = Write(Request("key", std::move(entry)));
  EXPECT_TRUE(written.applied);
  EXPECT_EQ(written.current_version, version);
  EntryRef got = Get("key");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->value(), "value");
  EXPECT_EQ(got->content_type(), "text/plain");
  EXPECT_EQ(got->meta().version, version);
  EXPECT_EQ(got->meta().generation, written.control.generation);
  EXPECT_EQ(got->meta().epoch, 1u);
  EXPECT_GT(got->meta().expires_nanos, Now());
  EXPECT_LE(got->meta().expires_nanos, Now() + kMinute);
  EXPECT_GE(got->meta().created_nanos, before - 10 * kNanosPerMilli);
  EXPECT_LE(got->meta().created_nanos, Now());
}

TEST_P(StoreContractTest, TakesEveryByteInKeysAndValues) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    EXPECT_TRUE(Set(one, one + "v").applied);
  }
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    EXPECT_EQ(Value(one), one + "v") << "byte " << byte;
  }
  EXPECT_TRUE(Set(AllBytes(), AllBytes()).applied);
  EXPECT_EQ(Value(AllBytes()), AllBytes());
}

TEST_P(StoreContractTest, TakesValuesFromEmptyToOneMebibyte) {
  EXPECT_TRUE(Set("empty", "").applied);
  EntryRef empty = Get("empty");
  ASSERT_TRUE(empty);
  EXPECT_EQ(empty->value(), "");
  const std::string key(512, '\xff');
  std::string large(size_t{1} << 20, '\0');
  uint32_t state = 1;
  for (char& c : large) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  EXPECT_TRUE(Set(key, large).applied);
  EXPECT_TRUE(Value(key) == large);
  const std::string even(size_t{1} << 20, 'x');  // compressed where the store compresses
  EXPECT_TRUE(Set(key, even).applied);
  EXPECT_TRUE(Value(key) == even);
}

TEST_P(StoreContractTest, KeepsNamespacesApart) {
  Set("key", "mine");
  EXPECT_FALSE(Get("key", "other"));
  WriteRequest request = Request("key", MakeEntry("theirs"));
  request.name_space = "other";
  EXPECT_TRUE(Write(std::move(request)).applied);
  InvalidateAll();
  EXPECT_EQ(Value("key"), "(none)");
  EntryRef theirs = Get("key", "other");
  ASSERT_TRUE(theirs);
  EXPECT_EQ(theirs->value(), "theirs");
}

TEST_P(StoreContractTest, IfAbsent) {
  const WriteResult first = Set("key", "1", kIfAbsent);
  EXPECT_TRUE(first.applied);
  const WriteResult second = Set("key", "2", kIfAbsent);
  EXPECT_FALSE(second.applied);
  EXPECT_EQ(second.current_version, first.current_version);
  EXPECT_EQ(Value("key"), "1");
}

TEST_P(StoreContractTest, IfPresent) {
  const WriteResult first = Set("key", "1", kIfPresent);
  EXPECT_FALSE(first.applied);
  EXPECT_EQ(first.current_version, 0u);
  EXPECT_EQ(Value("key"), "(none)");
  Set("key", "1");
  EXPECT_TRUE(Set("key", "2", kIfPresent).applied);
  EXPECT_EQ(Value("key"), "2");
}

TEST_P(StoreContractTest, IfVersion) {
  EXPECT_FALSE(Set("key", "0", IfVersion(7)).applied);
  const uint64_t first = Set("key", "1").current_version;
  EXPECT_FALSE(Set("key", "2", IfVersion(first + 1)).applied);
  EXPECT_FALSE(Set("key", "2", IfVersion(first - 1)).applied);
  EXPECT_FALSE(Set("key", "2", IfVersion(0)).applied);
  EXPECT_EQ(Value("key"), "1");
  const WriteResult second = Set("key", "2", IfVersion(first));
  EXPECT_TRUE(second.applied);
  EXPECT_NE(second.current_version, first);
  const WriteResult third = Set("key", "3", IfVersion(first));
  EXPECT_FALSE(third.applied);
  EXPECT_EQ(third.current_version, second.current_version);
  EXPECT_EQ(Value("key"), "2");
}

TEST_P(StoreContractTest, NoVersionHoldsAfterAnErase) {
  const uint64_t version = Set("key", "1").current_version;
  EXPECT_EQ(Erase({"key"}), 1);
  const WriteResult result = Set("key", "2", IfVersion(version));
  EXPECT_FALSE(result.applied);
  EXPECT_EQ(result.current_version, 0u);
}

TEST_P(StoreContractTest, EraseCountsTheKeysThatWereThere) {
  Set("a", "1");
  Set("b", "2");
  EXPECT_EQ(Erase({"a", "b", "c", "a"}), 2);
  EXPECT_EQ(Value("a"), "(none)");
  EXPECT_EQ(Erase({}), 0);
}

TEST_P(StoreContractTest, ErasesMoreKeysThanOneCommandTakes) {
  std::vector<std::string> keys;
  for (int i = 0; i < 2'500; ++i) keys.push_back("key" + std::to_string(i));
  for (size_t i = 0; i < keys.size(); i += 100) Set(keys[i], "v");
  EXPECT_EQ(Erase(keys), 25);
  for (const EntryRef& entry : Read(keys).entries) EXPECT_FALSE(entry);
}

TEST_P(StoreContractTest, ABatchIsAnsweredInOrderWithItsDuplicates) {
  Set("a", "1");
  Set("b", "2");
  const ReadResult result = Read({"b", "absent", "a", "b", "a"});
  ASSERT_EQ(result.entries.size(), 5u);
  EXPECT_EQ(result.entries[0]->value(), "2");
  EXPECT_FALSE(result.entries[1]);
  EXPECT_EQ(result.entries[2]->value(), "1");
  EXPECT_EQ(result.entries[3]->value(), "2");
  EXPECT_EQ(result.entries[4]->value(), "1");
  EXPECT_TRUE(Read({}).entries.empty());
}

TEST_P(StoreContractTest, AnEntryGoesWhenItsTimeIsUp) {
  const int64_t ttl = 300 * kNanosPerMilli;
  const int64_t set_at = Now();
  Set("key", "1", {}, ttl);
  Set("stays", "1");
  EXPECT_EQ(Value("key"), "1");
  EXPECT_TRUE(world_->PassUntil(ttl, [&] { return !Get("key"); }));
  EXPECT_GE(Now() - set_at, ttl - 2 * kNanosPerMilli);  // times are in whole milliseconds in Redis
  EXPECT_EQ(Value("stays"), "1");
  // It counts as absent for every condition.
  EXPECT_FALSE(Set("key", "2", kIfPresent).applied);
  EXPECT_TRUE(Set("key", "2", kIfAbsent).applied);
}

TEST_P(StoreContractTest, NoEntryIsGivenWithALaterExpiryThanItHas) {
  const int64_t ttl = 200 * kNanosPerMilli;
  Set("key", "1", {}, ttl);
  const int64_t latest = Now() + ttl;
  EXPECT_TRUE(world_->PassUntil(ttl, [&] {
    EntryRef got = Get("key");
    if (!got) return true;
    EXPECT_LE(got->meta().expires_nanos, latest);
    return false;
  }));
}

TEST_P(StoreContractTest, AnEntryThatHasExpiredBeforeItIsSetIsGoneAtOnce) {
  EXPECT_TRUE(Set("key", "1", {}, -kNanosPerSecond).applied);
  EXPECT_TRUE(world_->PassUntil(10 * kNanosPerMilli, [&] { return !Get("key"); }));
}

TEST_P(StoreContractTest, ACallWhoseDeadlineHasPassedDoesNothing) {
  absl::StatusOr<ReadResult> read = ReadNow(store(), {"default", {"key"}, {}, Now() - 1});
  EXPECT_EQ(read.status().code(), absl::StatusCode::kDeadlineExceeded);
  WriteRequest request = Request("key", MakeEntry("1"));
  request.deadline_nanos = Now() - 1;
  EXPECT_EQ(WriteNow(store(), std::move(request)).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Value("key"), "(none)");
}

TEST_P(StoreContractTest, DescribesItself) {
  Set("key", "value");
  absl::StatusOr<StoreInfo> info = DescribeNow(store());
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->state, StoreInfo::State::kReady);
  EXPECT_EQ(info->detail, "");
  EXPECT_GE(info->keys, 1);
  EXPECT_GT(info->used_memory_bytes, 0);
  EXPECT_NE(info->eviction_policy, "");
  EXPECT_EQ(info->unreadable_entries, 0);
}

TEST_P(StoreContractTest, RefusesCallsAfterShutdown) {
  store().Shutdown();
  EXPECT_EQ(store().state(), StoreInfo::State::kDown);
  EXPECT_EQ(ReadNow(store(), {"default", {"key"}, {}, 0}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(WriteNow(store(), Request("key", MakeEntry("1"))).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(TouchNow(store(), {"default", "key", 1, 1, 0, {}, 0}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(EraseNow(store(), {"default", {"key"}, {}, 0}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(InvalidateAllNow(store(), "default", {}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(RaiseBarrierNow(store(), "default").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReadControlNow(store(), "default", {}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(DescribeNow(store())->state, StoreInfo::State::kDown);
}

TEST_P(StoreContractTest, GivesBackTagsTimesAndAbsence) {
  EntryMeta meta;
  const std::string longest(TagList::kMaxTagBytes, '\xff');
  const Tags tags = {"user:42", longest, std::string_view("a\0b", 3)};
  // A write that is long on its way to Redis gives the entry that much longer: one is looked for that is not.
  int64_t took = kNanosPerSecond;
  for (int i = 0; i < 100 && took > kNanosPerMilli; ++i) {
    meta = StaleMeta(10 * kNanosPerSecond, 20 * kNanosPerSecond);
    meta.sliding_nanos = 10 * kNanosPerSecond;
    const int64_t began = Now();
    Write(Request("key", Entry::Create(meta, "text/plain", "value", TagList::Encode(tags))));
    took = Now() - began;
  }
  EntryRef got = Get("key");
  ASSERT_TRUE(got);
  EXPECT_EQ(TagsOf(*got), tags);
  EXPECT_EQ(got->content_type(), "text/plain");
  EXPECT_EQ(got->value(), "value");
  EXPECT_EQ(got->meta().sliding_nanos, 10 * kNanosPerSecond);
  EXPECT_FALSE(got->meta().absent);
  EXPECT_LE(got->meta().leased_nanos, Now());
  // Times are in whole milliseconds in Redis, and never later than they were.
  EXPECT_NEAR(static_cast<double>(got->meta().expires_nanos - got->meta().stale_nanos), 20e9, kALittle);
  EXPECT_LE(got->meta().expires_nanos, meta.expires_nanos + kNanosPerMilli);

  EntryMeta absent = Meta();
  absent.absent = true;
  Write(Request("none", Entry::Create(absent, "", "")));
  EntryRef none = Get("none");
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->meta().absent);
  EXPECT_EQ(none->value(), "");
}

TEST_P(StoreContractTest, AnEntryIsServedStaleUntilItIsGone) {
  EntryMeta meta = StaleMeta(100 * kNanosPerMilli, kMinute);
  const uint64_t version = meta.version;
  Write(Request("key", Entry::Create(meta, "", "value")));
  EXPECT_TRUE(world_->PassUntil(100 * kNanosPerMilli, [&] { return IsStale("key"); }));
  EXPECT_EQ(Get("key")->meta().version, version);
  // It counts as present.
  EXPECT_FALSE(Set("key", "new", kIfAbsent).applied);
  EXPECT_TRUE(Set("key", "new", IfVersion(version)).applied);
  EXPECT_FALSE(IsStale("key"));
}

// The store does not look at patterns: the caller says what they have killed.
TEST_P(StoreContractTest, AnEntryThatTheCallerFoundDeadCountsAsAbsent) {
  const uint64_t version = Set("key", "old").current_version;
  WriteRequest other = Request("key", MakeEntry("new"), kIfAbsent);
  other.dead_version = version + 1;
  const WriteResult refused = Write(std::move(other));
  EXPECT_FALSE(refused.applied);
  EXPECT_EQ(refused.current_version, version);
  EXPECT_EQ(refused.current_epoch, Position().epoch);
  WriteRequest request = Request("key", MakeEntry("new"), kIfAbsent);
  request.dead_version = version;
  EXPECT_TRUE(Write(std::move(request)).applied);
  EXPECT_EQ(Value("key"), "new");
}

TEST_P(StoreContractTest, NoConditionHoldsOfAnEntryThatTheCallerFoundDead) {
  const uint64_t version = Set("key", "old").current_version;
  for (const Condition& condition : {kIfPresent, IfVersion(version)}) {
    WriteRequest request = Request("key", MakeEntry("new"), condition);
    request.dead_version = version;
    const WriteResult result = Write(std::move(request));
    EXPECT_FALSE(result.applied);
    EXPECT_EQ(result.current_version, 0u);
  }
}

// A pattern may have killed what is there: either the store sees that, or it asks the caller to.
TEST_P(StoreContractTest, NoConditionHoldsOfWhatAPatternHasKilled) {
  const uint64_t version = Set("user:1", "old").current_version;
  const uint64_t epoch = Position().epoch;
  InvalidatePattern("user:*");
  for (const Condition& condition : {kIfPresent, IfVersion(version)}) {
    const WriteResult first = Set("user:1", "new", condition);
    EXPECT_FALSE(first.applied);
    EXPECT_EQ(first.must_judge, first.current_version != 0);
    if (!first.must_judge) continue;
    EXPECT_EQ(first.current_version, version);
    EXPECT_EQ(first.current_epoch, epoch);
    WriteRequest judged = Request("user:1", MakeEntry("new"), condition);
    judged.dead_version = version;
    const WriteResult second = Write(std::move(judged));
    EXPECT_FALSE(second.applied);
    EXPECT_FALSE(second.must_judge);
    EXPECT_EQ(second.current_version, 0u);
  }
  EXPECT_EQ(Value("user:1"), "(none)");
}

TEST_P(StoreContractTest, ConditionsHoldOfWhatNoPatternHasKilled) {
  for (const bool by_version : {false, true}) {
    const uint64_t version = Set("key", "old").current_version;
    const Condition condition = by_version ? IfVersion(version) : kIfPresent;
    EXPECT_FALSE(Set("key", "new", IfVersion(version + 1)).must_judge) << "it does not hold anyway";
    InvalidatePattern("user:*");
    WriteRequest judged = Request("key", MakeEntry("new"), condition);
    judged.alive_version = version;
    judged.known = Position();
    // What no pattern can have killed is asked nothing about.
    InvalidateTag("tag");
    const WriteResult result = Write(judged);
    EXPECT_TRUE(result.applied);
    EXPECT_FALSE(result.must_judge);
    EXPECT_EQ(Value("key"), "new");
  }
  EXPECT_TRUE(Set("key", "newer", kIfPresent).applied) << "it is younger than the pattern";
}

// Alive as of a position is not alive after it.
TEST_P(StoreContractTest, AnEntryIsJudgedAnewAfterALaterPattern) {
  const uint64_t version = Set("user:1", "old").current_version;
  InvalidatePattern("other:*");
  WriteRequest judged = Request("user:1", MakeEntry("new"), IfVersion(version));
  judged.alive_version = version;
  judged.known = Position();
  InvalidatePattern("user:*");
  EXPECT_FALSE(Write(judged).applied);
  judged.known = {Position().generation + 1, Position().epoch};
  EXPECT_FALSE(Write(judged).applied);
  EXPECT_EQ(Value("user:1"), "(none)");
}

// COHERENCE E5.
TEST_P(StoreContractTest, ASoftEraseRevivesNothing) {
  for (const char* how : {"tag", "all", "barrier"}) {
    SetTagged("key", "old", {"tag"});
    const std::string name(how);
    if (name == "tag") InvalidateTag("tag");
    if (name == "all") InvalidateAll();
    if (name == "barrier") {
      EXPECT_TRUE(RaiseBarrierNow(store(), "default").ok());
    }
    EXPECT_EQ(Erase({"key"}, {++last_version_}), 0) << name;
    EXPECT_EQ(Look("key").kind, StoredItem::Kind::kNone) << name;
  }
}

// COHERENCE E1, E5: a new version, stale from now on, and never fresh again.
TEST_P(StoreContractTest, ASoftEraseMakesTheEntryStale) {
  const uint64_t version = SetTagged("key", "value", {"tag"}).current_version;
  EXPECT_FALSE(IsStale("key"));
  const uint64_t soft_version = ++last_version_;
  EXPECT_EQ(Erase({"key", "absent"}, {soft_version, ++last_version_}), 1);
  EXPECT_TRUE(IsStale("key"));
  EntryRef got = Get("key");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->value(), "value");
  EXPECT_EQ(got->meta().version, soft_version);
  EXPECT_EQ(*got->tags().begin(), "tag");
  EXPECT_GT(got->meta().expires_nanos, Now() + kMinute / 2);
  EXPECT_FALSE(Get("absent"));
  EXPECT_FALSE(Set("key", "new", IfVersion(version)).applied);
  EXPECT_TRUE(Set("key", "new", IfVersion(soft_version)).applied);
  EXPECT_FALSE(IsStale("key"));
}

TEST_P(StoreContractTest, ASoftlyErasedEntryIsGoneWhenItsTimeIsUp) {
  const int64_t ttl = 150 * kNanosPerMilli;
  Set("key", "value", {}, ttl);
  Erase({"key"}, {++last_version_});
  EXPECT_TRUE(world_->PassUntil(ttl, [&] { return !Get("key"); }));
}

TEST_P(StoreContractTest, KeepsNotesUntilTheirTimeIsUp) {
  EXPECT_EQ(*GetNoteNow(store(), "default", "hot"), std::nullopt);
  const std::string text("any\0byte\xff", 9);
  ASSERT_TRUE(PutNoteNow(store(), "default", "hot", text, kMinute).ok());
  EXPECT_EQ(*GetNoteNow(store(), "default", "hot"), text);
  EXPECT_EQ(*GetNoteNow(store(), "default", "other"), std::nullopt);
  EXPECT_EQ(*GetNoteNow(store(), "other", "hot"), std::nullopt);
  ASSERT_TRUE(PutNoteNow(store(), "default", "hot", "", kMinute).ok());
  EXPECT_EQ(*GetNoteNow(store(), "default", "hot"), "");
  ASSERT_TRUE(PutNoteNow(store(), "default", "hot", text, 50 * kNanosPerMilli).ok());
  EXPECT_TRUE(
      world_->PassUntil(50 * kNanosPerMilli, [&] { return !GetNoteNow(store(), "default", "hot")->has_value(); }));
}

TEST_P(StoreContractTest, ANoteIsNoEntry) {
  ASSERT_TRUE(PutNoteNow(store(), "default", "hot", "text", kMinute).ok());
  EXPECT_FALSE(Get("hot"));
  EXPECT_TRUE(ScanAll().empty());
  InvalidateAll();
  ASSERT_TRUE(RaiseBarrierNow(store(), "default").ok());
  EXPECT_EQ(*GetNoteNow(store(), "default", "hot"), "text");
}

}  // namespace
}  // namespace larder
