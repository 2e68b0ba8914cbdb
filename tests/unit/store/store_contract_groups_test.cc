// The logical clock: invalidations of groups, barriers, and what is told of them.
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/store/store_contract.h"

namespace larder {
namespace {

TEST_P(StoreContractTest, InvalidateAllKillsEveryOlderEntryInOneStep) {
  for (int i = 0; i < 100; ++i) Set("key" + std::to_string(i), "old");
  const ClockPosition before = Position();
  const ControlUpdate update = InvalidateAll(before);
  EXPECT_EQ(update.generation, before.generation);
  EXPECT_EQ(update.epoch, before.epoch + 1);
  EXPECT_EQ(AllStamp(update), before.epoch + 1);
  EXPECT_EQ(update.since, before.epoch);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Value("key" + std::to_string(i)), "(none)");
  Set("key1", "new");
  EXPECT_EQ(Value("key1"), "new");
  EXPECT_EQ(Get("key1")->meta().epoch, update.epoch);
}

TEST_P(StoreContractTest, ADeadEntryCountsAsAbsent) {
  const uint64_t version = Set("key", "old").current_version;
  InvalidateAll();
  const WriteResult by_version = Set("key", "new", IfVersion(version));
  EXPECT_FALSE(by_version.applied);
  EXPECT_EQ(by_version.current_version, 0u);
  EXPECT_FALSE(Set("key", "new", kIfPresent).applied);
  EXPECT_TRUE(Set("key", "new", kIfAbsent).applied);
  EXPECT_EQ(Value("key"), "new");
}

TEST_P(StoreContractTest, AWriteAsOfAnOlderPositionIsRefusedAfterAnInvalidation) {
  const ClockPosition before = Position();
  WriteRequest in_time = Request("a", MakeEntry("1"));
  in_time.as_of = before;
  EXPECT_TRUE(Write(std::move(in_time)).applied);
  InvalidateAll();
  WriteRequest too_late = Request("b", MakeEntry("1"));
  too_late.as_of = before;
  const WriteResult refused = Write(std::move(too_late));
  EXPECT_FALSE(refused.applied);
  EXPECT_EQ(refused.current_version, 0u);
  EXPECT_EQ(Value("b"), "(none)");
  WriteRequest after = Request("b", MakeEntry("2"));
  after.as_of = Position();
  EXPECT_TRUE(Write(std::move(after)).applied);
  EXPECT_EQ(Value("b"), "2");
}

// COHERENCE P2.
TEST_P(StoreContractTest, AWriteAsOfAnOlderPositionIsRefusedAfterAnInvalidationOfItsOwnTag) {
  for (const Condition& condition : {Condition{}, kIfAbsent}) {
    const ClockPosition before = Position();
    InvalidateTag("red");
    WriteRequest request = Request("key", Tagged(Meta(kMinute), "1", {"blue", "red"}), condition);
    request.as_of = before;
    EXPECT_FALSE(Write(std::move(request)).applied);
    EXPECT_EQ(Value("key"), "(none)");
  }
}

TEST_P(StoreContractTest, AWriteAsOfAPositionCarriesItsEpoch) {
  InvalidateAll();
  const ClockPosition first = Position();
  InvalidateAll();
  InvalidateAll();
  WriteRequest stale = Request("key", MakeEntry("1"));
  stale.as_of = ClockPosition{first.generation, first.epoch + 1};
  EXPECT_FALSE(Write(std::move(stale)).applied);
  WriteRequest ahead = Request("key", MakeEntry("1"));
  ahead.as_of = ClockPosition{first.generation, first.epoch + 2};
  EXPECT_TRUE(Write(std::move(ahead)).applied);
  EXPECT_EQ(Get("key")->meta().epoch, first.epoch + 2);
}

TEST_P(StoreContractTest, AWriteAsOfAnotherGenerationIsRefused) {
  ClockPosition before = Position();
  ASSERT_TRUE(RaiseBarrierNow(store(), "default").ok());
  before.epoch = 1'000'000;
  WriteRequest request = Request("key", MakeEntry("1"));
  request.as_of = before;
  EXPECT_FALSE(Write(std::move(request)).applied);
  EXPECT_EQ(Value("key"), "(none)");
}

TEST_P(StoreContractTest, ABarrierKillsEverythingOlder) {
  InvalidateAll();
  Set("key", "old");
  const ClockPosition before = Position();
  absl::StatusOr<ControlUpdate> update = RaiseBarrierNow(store(), "default");
  ASSERT_TRUE(update.ok()) << update.status();
  EXPECT_NE(update->generation, before.generation);
  EXPECT_NE(update->generation, 0u);
  EXPECT_EQ(update->since, 0u);
  EXPECT_EQ(Value("key"), "(none)");
  EXPECT_TRUE(Set("key", "new", kIfAbsent).applied);
  EXPECT_EQ(Value("key"), "new");
}

TEST_P(StoreContractTest, AReaderOfAnotherGenerationGetsTheWholeRecord) {
  const ControlUpdate first = InvalidateAll();
  InvalidateAll();
  // As one who knows a far later epoch of a generation that is gone.
  const ControlUpdate update = Read({"key"}, {first.generation ^ 1, 1'000'000}).control;
  EXPECT_EQ(update.since, 0u);
  EXPECT_EQ(update.generation, first.generation);
  EXPECT_EQ(update.epoch, first.epoch + 1);
  EXPECT_EQ(AllStamp(update), first.epoch + 1);
}

TEST_P(StoreContractTest, AReaderIsToldWhatIsLaterThanItKnows) {
  const ControlUpdate first = InvalidateAll();
  const ClockPosition known{first.generation, first.epoch};
  const ControlUpdate nothing_new = Read({"key"}, known).control;
  EXPECT_EQ(nothing_new.since, known.epoch);
  EXPECT_EQ(nothing_new.epoch, known.epoch);
  EXPECT_EQ(AllStamp(nothing_new), 0u);
  InvalidateAll();
  const ControlUpdate news = Set("key", "1").control;
  EXPECT_EQ(AllStamp(news), first.epoch + 1);
  WriteRequest request = Request("key", MakeEntry("2"));
  request.known = known;
  const ControlUpdate from_known = Write(std::move(request)).control;
  EXPECT_EQ(from_known.since, known.epoch);
  EXPECT_EQ(AllStamp(from_known), first.epoch + 1);
  const ControlUpdate from_touch = Touch("key", kMinute, kMinute).control;
  EXPECT_EQ(AllStamp(from_touch), first.epoch + 1);
}

TEST_P(StoreContractTest, UpdatesRiseInTheOrderOfTheAnswers) {
  uint64_t last_sequence = 0;
  uint64_t last_epoch = 0;
  for (int i = 0; i < 20; ++i) {
    for (const ControlUpdate& update :
         {Read({"key"}).control, Set("key", "v").control, Touch("key", kMinute, kMinute).control, InvalidateAll()}) {
      EXPECT_GT(update.sequence, last_sequence);
      EXPECT_GE(update.epoch, last_epoch);
      last_sequence = update.sequence;
      last_epoch = update.epoch;
    }
  }
}

TEST_P(StoreContractTest, ATagKillsWhatBearsIt) {
  SetTagged("a", "1", {"user:1", "page"});
  SetTagged("b", "2", {"user:2", "page"});
  SetTagged("c", "3", {});
  const ClockPosition before = Position();
  const ControlUpdate update = InvalidateTag("user:1");
  EXPECT_EQ(update.epoch, before.epoch + 1);
  EXPECT_EQ(Value("a"), "(none)");
  EXPECT_EQ(Value("b"), "2");
  InvalidateTag("page");
  EXPECT_EQ(Value("b"), "(none)");
  EXPECT_EQ(Value("c"), "3");
  SetTagged("a", "4", {"user:1", "page"});
  EXPECT_EQ(Value("a"), "4");
}

TEST_P(StoreContractTest, APatternKillsWhatMatchesIt) {
  Set("user:42:name", "1");
  Set("user:43:name", "2");
  InvalidatePattern("*:42:*");
  EXPECT_EQ(Value("user:42:name"), "(none)");
  EXPECT_EQ(Value("user:43:name"), "2");
  InvalidatePattern("user:4?:name");
  EXPECT_EQ(Value("user:43:name"), "(none)");
  Set("user:43:name", "3");
  EXPECT_EQ(Value("user:43:name"), "3");
}

TEST_P(StoreContractTest, SoftGroupsMakeStale) {
  SetTagged("by_tag", "1", {"tag"});
  Set("by_pattern", "2");
  InvalidateTag("tag", /*soft=*/true);
  InvalidatePattern("by_p*", /*soft=*/true);
  EXPECT_TRUE(IsStale("by_tag"));
  EXPECT_TRUE(IsStale("by_pattern"));
  Set("other", "3");
  EXPECT_FALSE(IsStale("other"));
  InvalidateAll({}, /*soft=*/true);
  EXPECT_TRUE(IsStale("other"));
  EXPECT_EQ(Value("other"), "3");
  Set("other", "4");
  EXPECT_FALSE(IsStale("other"));
}

// COHERENCE E5: neither order of the two lets the one forget the other.
TEST_P(StoreContractTest, ASoftStampDoesNotReviveWhatAHardOneKilled) {
  SetTagged("key", "1", {"tag"});
  InvalidateTag("tag");
  InvalidateTag("tag", /*soft=*/true);
  EXPECT_EQ(Value("key"), "(none)");
  SetTagged("key", "2", {"tag"});
  InvalidateTag("tag", /*soft=*/true);
  EXPECT_TRUE(IsStale("key"));
  InvalidateTag("tag");
  EXPECT_EQ(Value("key"), "(none)");
}

// COHERENCE C1: one tick of the clock for all groups of a call.
TEST_P(StoreContractTest, OneCallTicksOnce) {
  const ClockPosition before = Position();
  GroupRequest request;
  request.tags = {"a", "b"};
  request.patterns = {"x*", "*y"};
  request.known = before;
  const GroupResult result = Invalidate(std::move(request));
  EXPECT_FALSE(result.collapsed);
  EXPECT_EQ(result.control.epoch, before.epoch + 1);
  EXPECT_EQ(result.control.since, before.epoch);
  EXPECT_EQ(result.control.stamps.size(), 4u);
  for (const Stamp& stamp : result.control.stamps) {
    EXPECT_EQ(stamp.epoch, before.epoch + 1) << stamp.name;
    EXPECT_FALSE(stamp.soft) << stamp.name;
  }
  for (const char* tag : {"a", "b"}) EXPECT_EQ(CountStamps(result.control, Stamp::Group::kTag, tag), 1);
  for (const char* pattern : {"x*", "*y"}) EXPECT_EQ(CountStamps(result.control, Stamp::Group::kPattern, pattern), 1);
}

// COHERENCE C2: an epoch is known only with every stamp up to it.
TEST_P(StoreContractTest, TellsTheStampsLaterThanWhatIsKnown) {
  InvalidateTag("first");
  const ControlUpdate second = InvalidateTag("second", /*soft=*/true);
  const ClockPosition known{second.generation, second.epoch};
  InvalidatePattern("third*");
  InvalidateTag("first");
  const ControlUpdate news = Read({"key"}, known).control;
  EXPECT_EQ(news.since, known.epoch);
  EXPECT_EQ(news.epoch, known.epoch + 2);
  EXPECT_EQ(news.stamps.size(), 2u);
  EXPECT_EQ(CountStamps(news, Stamp::Group::kPattern, "third*"), 1);
  EXPECT_EQ(CountStamps(news, Stamp::Group::kTag, "first"), 1);
  const ControlUpdate nothing = Read({"key"}, {news.generation, news.epoch}).control;
  EXPECT_TRUE(nothing.stamps.empty());
  EXPECT_EQ(nothing.epoch, news.epoch);
  // Of one group and kind the latest stamp is kept.
  const ControlUpdate complete = Read({"key"}, {known.generation ^ 1, 1'000'000}).control;
  EXPECT_EQ(complete.since, 0u);
  EXPECT_EQ(complete.stamps.size(), 3u);
  for (const Stamp& stamp : complete.stamps) {
    if (stamp.name == "second") {
      EXPECT_TRUE(stamp.soft);
    }
    if (stamp.name == "first") {
      EXPECT_EQ(stamp.epoch, news.epoch);
    }
  }
}

TEST_P(StoreContractTest, EveryAnswerTellsWhatIsLater) {
  const ClockPosition known = Position();
  InvalidateTag("tag");
  const auto tells = [&](const ControlUpdate& update) {
    return update.since == known.epoch && update.epoch == known.epoch + 1 &&
           CountStamps(update, Stamp::Group::kTag, "tag") == 1;
  };
  WriteRequest write = Request("key", MakeEntry("value"));
  write.known = known;
  EXPECT_TRUE(tells(Write(std::move(write)).control));
  EXPECT_TRUE(tells(TouchNow(store(), {"default", "key", kMinute, kHour, 0, known, 0})->control));
  EXPECT_TRUE(tells(LeaseNow(store(), {"default", "b", 7, kMinute, 0, false, known, 0})->control));
  EXPECT_TRUE(tells(LookNow(store(), {"default", {"key"}, known, 0})->control));
  EXPECT_TRUE(tells(ScanNow(store(), {"default", "", 10, known, 0})->control));
  EXPECT_TRUE(tells(ReadControlNow(store(), "default", known).value()));
  SweepRequest sweep;
  sweep.name_space = "default";
  sweep.sweeper = 1;
  sweep.lease_nanos = kMinute;
  sweep.known = known;
  EXPECT_TRUE(tells(SweepNow(store(), sweep)->control));
}

TEST_P(StoreContractTest, GroupNamesHoldAnyByte) {
  const std::string tag = std::string("t\0:", 3) + std::string(200, '\xff');
  SetTagged("key", "1", {tag});
  Set(std::string("a\0b", 3), "2");
  const ControlUpdate update = InvalidateTag(tag);
  EXPECT_EQ(CountStamps(update, Stamp::Group::kTag, tag), 1);
  EXPECT_EQ(Value("key"), "(none)");
  InvalidatePattern(std::string("a\0*", 3));
  EXPECT_EQ(Value(std::string("a\0b", 3)), "(none)");
}

// COHERENCE C5.
TEST_P(StoreContractTest, TooManyTagsCollapseIntoOneStamp) {
  Set("untagged", "1");
  GroupRequest request;
  request.tags = {"a", "b", "c"};
  request.max_tags = 3;
  EXPECT_FALSE(Invalidate(request).collapsed);
  EXPECT_EQ(Value("untagged"), "1");
  request.tags = {"c"};
  EXPECT_FALSE(Invalidate(request).collapsed) << "it is known already";
  request.tags = {"d"};
  request.soft = true;
  const ClockPosition before = Position();
  request.known = before;
  const GroupResult result = Invalidate(request);
  EXPECT_TRUE(result.collapsed);
  EXPECT_EQ(AllStamp(result.control), before.epoch + 1) << "hard, although the call was soft";
  EXPECT_EQ(Value("untagged"), "(none)");
  // There is room again.
  request.soft = false;
  EXPECT_FALSE(Invalidate(request).collapsed);
}

TEST_P(StoreContractTest, TooManyPatternsCollapseIntoOneStamp) {
  Set("key", "1");
  GroupRequest request;
  request.patterns = {"a*", "b*"};
  request.max_patterns = 2;
  EXPECT_FALSE(Invalidate(request).collapsed);
  request.patterns = {"a*", "c*"};
  EXPECT_TRUE(Invalidate(request).collapsed);
  EXPECT_EQ(Value("key"), "(none)");
}

TEST_P(StoreContractTest, AHardStampOfAllStandsForAllEarlierOnes) {
  SetTagged("key", "1", {"tag"});
  InvalidateTag("tag");
  InvalidatePattern("k*", /*soft=*/true);
  const ControlUpdate update = InvalidateAll();
  EXPECT_EQ(update.stamps.size(), 1u);
  EXPECT_EQ(Value("key"), "(none)");
  SetTagged("key", "2", {"tag"});
  EXPECT_EQ(Value("key"), "2");
}

// COHERENCE C3.
TEST_P(StoreContractTest, ABarrierForgetsTheStampsOfTheOldGeneration) {
  InvalidateTag("tag");
  InvalidatePattern("k*", /*soft=*/true);
  absl::StatusOr<ControlUpdate> update = RaiseBarrierNow(store(), "default");
  ASSERT_TRUE(update.ok());
  EXPECT_TRUE(update->stamps.empty());
  SetTagged("key", "new", {"tag"});
  EXPECT_EQ(Value("key"), "new");
  EXPECT_FALSE(IsStale("key"));
}

// COHERENCE E4.
TEST_P(StoreContractTest, AWriteAsOfAnOlderPositionIsRefusedAfterAnInvalidationOfItsTag) {
  const ClockPosition before = Position();
  InvalidateTag("tag");
  EXPECT_FALSE(SetAsOf("a", before, "1", {"other", "tag"}).applied);
  EXPECT_EQ(Value("a"), "(none)");
  EXPECT_TRUE(SetAsOf("b", before, "1", {"other"}).applied);
  EXPECT_EQ(Get("b")->meta().epoch, before.epoch);
}

// COHERENCE P2: the store need not refuse it, but then it carries the old epoch.
TEST_P(StoreContractTest, AWriteAsOfAnOlderPositionIsDeadByALaterPattern) {
  const ClockPosition before = Position();
  InvalidatePattern("user:*");
  SetAsOf("user:1", before, "1");
  EXPECT_EQ(Value("user:1"), "(none)");
}

TEST_P(StoreContractTest, ForgetsStampsThatNothingIsOldEnoughFor) {
  const int64_t life = 100 * kNanosPerMilli;
  InvalidateTag("tag");
  InvalidatePattern("p*", /*soft=*/true);
  const ClockPosition before = Position();
  EXPECT_EQ(*ForgetOldStampsNow(store(), "default", life), 0u);
  EXPECT_EQ(Read({}).control.stamps.size(), 2u) << "not yet";
  absl::StatusOr<uint64_t> forgotten;
  EXPECT_TRUE(world_->PassUntil(life, [&] {
    forgotten = ForgetOldStampsNow(store(), "default", life);
    return !forgotten.ok() || *forgotten != 0;
  }));
  ASSERT_TRUE(forgotten.ok()) << forgotten.status();
  EXPECT_EQ(*forgotten, before.epoch);
  EXPECT_TRUE(Read({}).control.stamps.empty());
  EXPECT_EQ(*ForgetOldStampsNow(store(), "default", life), 0u) << "there is nothing more";
  EXPECT_EQ(Position(), before) << "the clock does not go back";
  // COHERENCE E4: what was read before the forgotten ones is not stored any more.
  EXPECT_FALSE(SetAsOf("key", {before.generation, before.epoch - 1}, "1", {"tag"}).applied);
  EXPECT_TRUE(SetAsOf("key", before, "1", {"tag"}).applied);
}

TEST_P(StoreContractTest, TheLongestLifeThatWasEverToldCounts) {
  const int64_t life = 50 * kNanosPerMilli;
  InvalidateTag("tag");
  ASSERT_TRUE(ForgetOldStampsNow(store(), "default", kHour).ok());
  ASSERT_TRUE(ForgetOldStampsNow(store(), "default", life).ok());
  EXPECT_TRUE(PassTime(2 * life));
  ASSERT_TRUE(ForgetOldStampsNow(store(), "default", life).ok());
  EXPECT_EQ(Read({}).control.stamps.size(), 1u);
}

}  // namespace
}  // namespace larder
