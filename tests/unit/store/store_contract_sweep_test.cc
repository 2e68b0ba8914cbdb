// Looking at what is there, and freeing what is dead.
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/store/store_contract.h"

namespace larder {
namespace {

using Kind = StoredItem::Kind;
using Step = SweepRequest::Step;

TEST_P(StoreContractTest, LooksAtWhatIsUnderAKey) {
  EntryMeta meta = StaleMeta(kMinute, kMinute);
  const uint64_t version = meta.version;
  Write(Request("entry", Entry::Create(meta, "text/plain", std::string(1'000, 'x'), TagList::Encode({"a", "b"}))));
  const FillToken token = Granted("lease");
  absl::StatusOr<LookResult> result = LookNow(store(), {"default", {"lease", "none", "entry", "lease"}, {}, 0});
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(result->items.size(), 4u);
  EXPECT_EQ(result->control.epoch, Position().epoch);

  const StoredItem& entry = result->items[2];
  EXPECT_EQ(entry.key, "entry");
  EXPECT_EQ(entry.kind, Kind::kEntry);
  ASSERT_TRUE(entry.head);
  EXPECT_EQ(entry.head->value(), "");
  EXPECT_EQ(entry.head->content_type(), "text/plain");
  EXPECT_EQ(TagsOf(*entry.head), (Tags{"a", "b"}));
  EXPECT_EQ(entry.head->meta().version, version);
  EXPECT_EQ(entry.head->meta().epoch, Position().epoch);
  EXPECT_NEAR(static_cast<double>(entry.head->meta().expires_nanos), static_cast<double>(meta.expires_nanos), kALittle);
  EXPECT_NEAR(static_cast<double>(entry.head->meta().stale_nanos), static_cast<double>(meta.stale_nanos), kALittle);
  EXPECT_GT(entry.stored_bytes, 0);

  const StoredItem& lease = result->items[0];
  EXPECT_EQ(lease.kind, Kind::kLease);
  ASSERT_TRUE(lease.head);
  EXPECT_EQ(lease.head->meta().version, token.token);
  EXPECT_EQ(lease.head->meta().generation, token.as_of.generation);
  EXPECT_EQ(lease.head->meta().epoch, token.as_of.epoch);
  EXPECT_EQ(result->items[1].kind, Kind::kNone);
  EXPECT_EQ(result->items[1].key, "none");
  EXPECT_EQ(result->items[3].kind, Kind::kLease);
}

TEST_P(StoreContractTest, LooksAtWhatIsDeadToo) {
  const uint64_t version = SetTagged("key", "value", {"tag"}).current_version;
  InvalidateTag("tag");
  const StoredItem item = Look("key");
  ASSERT_EQ(item.kind, Kind::kEntry);
  EXPECT_EQ(item.head->meta().version, version);
}

TEST_P(StoreContractTest, AScanMeetsEveryKeyOfTheNamespace) {
  std::set<std::string> keys;
  for (int i = 0; i < 700; ++i) {
    keys.insert("key" + std::to_string(i));
    Set("key" + std::to_string(i), "value");
  }
  for (int i = 0; i < 50; ++i) {
    keys.insert("lease" + std::to_string(i));
    Granted("lease" + std::to_string(i));
  }
  WriteRequest other = Request("theirs", MakeEntry("value"));
  other.name_space = "other";
  Write(std::move(other));
  InvalidateTag("tag");
  for (const int count : {1'000'000, 100, 7}) {
    const std::map<std::string, StoredItem> items = ScanAll(count);
    EXPECT_EQ(items.size(), keys.size()) << count;
    for (const auto& [key, item] : items) {
      EXPECT_EQ(keys.count(key), 1u) << key;
      EXPECT_EQ(item.kind, key.starts_with("lease") ? Kind::kLease : Kind::kEntry) << key;
      ASSERT_TRUE(item.head) << key;
      EXPECT_NE(item.head->meta().version, 0u) << key;
    }
  }
}

TEST_P(StoreContractTest, AScanGoesOnWhileWhatItFindsIsErased) {
  for (int i = 0; i < 2'000; ++i) SetTagged("key" + std::to_string(i), "value", {i % 2 == 0 ? "even" : "odd"});
  ScanRequest request;
  request.name_space = "default";
  request.count = 50;
  int64_t erased = 0;
  do {
    absl::StatusOr<ScanResult> result = ScanNow(store(), request);
    ASSERT_TRUE(result.ok()) << result.status();
    std::vector<std::pair<std::string, uint64_t>> dead;
    for (const StoredItem& item : result->items) {
      if (*item.head->tags().begin() == "even") dead.emplace_back(item.key, item.head->meta().version);
    }
    erased += EraseVersions(std::move(dead));
    request.cursor = result->cursor;
  } while (!request.cursor.empty());
  EXPECT_EQ(erased, 1'000);
  EXPECT_EQ(ScanAll().size(), 1'000u);
}

TEST_P(StoreContractTest, ErasesWhatIsDeadAndNothingElse) {
  for (int i = 0; i < 1'300; ++i) {
    SetTagged("key" + std::to_string(i), "value", {"all", i % 2 == 0 ? "even" : "odd"});
  }
  const FillToken lease = Granted("lease");
  SetTagged("other", "value", {"odd"});
  InvalidateTag("even");
  InvalidateTag("odd", /*soft=*/true);
  SetTagged("later", "value", {"even"});
  const ClockPosition before = Position();
  for (const int count : {1'000'000, 100, 7}) {
    const EraseDeadResult result = EraseDead(before, count);
    EXPECT_TRUE(result.mine);
    EXPECT_TRUE(result.has_seen_all);
    EXPECT_EQ(result.erased, count == 1'000'000 ? 650 : 0);
    EXPECT_GE(result.scanned, count == 1'000'000 ? 1'303 : 653);
    EXPECT_EQ(result.control.epoch, before.epoch);
  }
  EXPECT_EQ(ScanAll().size(), 653u);
  EXPECT_TRUE(Fill("lease", lease, "loaded").applied);
  EXPECT_EQ(Look("other").kind, Kind::kEntry);
  EXPECT_EQ(Look("later").kind, Kind::kEntry);
}

// Which patterns match is for the caller to say: Redis must not spend its time on that.
TEST_P(StoreContractTest, ErasesWhatIsOlderThanTheLatestPatternThatMatchesIt) {
  Set("user:1", "old");
  Granted("user:2");
  Set("shop:1", "old");
  InvalidateTag("tick");
  const uint64_t stamp = Position().epoch;
  Set("user:3", "new");
  EXPECT_EQ(EraseDead(Position(), 500, stamp, "user:").erased, 1);
  EXPECT_EQ(Look("user:1").kind, Kind::kNone);
  EXPECT_EQ(Look("user:2").kind, Kind::kNone) << "a lease is removed, and not counted";
  EXPECT_EQ(Look("user:3").kind, Kind::kEntry);
  EXPECT_EQ(Look("shop:1").kind, Kind::kEntry);
}

TEST_P(StoreContractTest, ErasesByPatternsHoweverManyKeysThereAre) {
  for (const int count : {1'000'000, 7}) {
    const std::string round = std::to_string(count) + ":";
    for (int i = 0; i < 900; ++i) Set(round + (i % 3 == 0 ? "dead:" : "kept:") + std::to_string(i), "value");
    EXPECT_EQ(EraseDead(Position(), count, Position().epoch + 1, round + "dead:").erased, 300);
    for (const auto& [key, item] : ScanAll()) EXPECT_EQ(key.find("dead"), std::string::npos) << key;
  }
  EXPECT_EQ(ScanAll().size(), 1'200u);
}

// COHERENCE C3: what the fence and the patterns say is said of another generation.
TEST_P(StoreContractTest, ABarrierKeepsASweepFromErasing) {
  Set("older", "value");
  const ClockPosition fence = Position();
  ASSERT_TRUE(RaiseBarrierNow(store(), "default").ok());
  Set("newer", "value");
  const EraseDeadResult result = EraseDead(fence, 500, 1'000);
  EXPECT_FALSE(result.mine);
  EXPECT_NE(result.control.generation, fence.generation);
  EXPECT_EQ(Look("newer").kind, Kind::kEntry);
  EXPECT_EQ(EraseDead(Position()).erased, 1) << "what is of the older generation";
  EXPECT_EQ(Look("older").kind, Kind::kNone);
  EXPECT_EQ(Look("newer").kind, Kind::kEntry);
}

// COHERENCE C4: what was written since it was found is not erased.
TEST_P(StoreContractTest, ErasesOnlyTheVersionThatWasFound) {
  const uint64_t old_version = Set("a", "old").current_version;
  Set("a", "new");
  const uint64_t version = Set("b", "value").current_version;
  const FillToken token = Granted("lease");
  const FillToken filled = Granted("filled");
  EXPECT_TRUE(Fill("filled", filled, "loaded").applied);
  EXPECT_EQ(
      EraseVersions(
          {{"a", old_version}, {"b", version}, {"absent", version}, {"lease", token.token}, {"filled", filled.token}}),
      1);
  EXPECT_EQ(Value("a"), "new");
  EXPECT_EQ(Value("b"), "(none)");
  EXPECT_EQ(Value("filled"), "loaded");
  EXPECT_FALSE(Fill("lease", token, "late").applied);
  EXPECT_EQ(Look("lease").kind, Kind::kNone);
  EXPECT_EQ(EraseVersions({}), 0);
}

TEST_P(StoreContractTest, ThereIsNothingToSweepBeforeAHardInvalidation) {
  EXPECT_FALSE(Sweep(Step::kBegin, 1).mine);
  InvalidatePattern("a*", /*soft=*/true);
  EXPECT_FALSE(Sweep(Step::kBegin, 1).mine);
  InvalidatePattern("a*");
  const SweepResult sweep = Sweep(Step::kBegin, 1);
  EXPECT_TRUE(sweep.mine);
  EXPECT_EQ(sweep.fence, Position());
}

TEST_P(StoreContractTest, OneSweepsAtATime) {
  const int64_t lease = 100 * kNanosPerMilli;
  InvalidateTag("tag");
  const SweepResult sweep = Sweep(Step::kBegin, 1, {}, kMinute);
  EXPECT_TRUE(sweep.mine);
  EXPECT_FALSE(Sweep(Step::kBegin, 2).mine);
  EXPECT_FALSE(Sweep(Step::kRenew, 2, sweep.fence).mine);
  EXPECT_TRUE(Sweep(Step::kRenew, 1, sweep.fence, lease).mine);
  SweepResult taken;
  EXPECT_TRUE(world_->PassUntil(lease, [&] {
    taken = Sweep(Step::kBegin, 2);
    return taken.mine;
  }));
  EXPECT_FALSE(Sweep(Step::kRenew, 1, sweep.fence).mine);
  EXPECT_FALSE(Sweep(Step::kEnd, 1, sweep.fence).mine);
  EXPECT_EQ(Read({}).control.floor, 0u);
  EXPECT_TRUE(Sweep(Step::kEnd, 2, taken.fence).mine);
}

// COHERENCE C4: the patterns are forgotten, and who does not know them is told so.
TEST_P(StoreContractTest, TheEndOfASweepForgetsHardPatternsAndRaisesTheFloor) {
  const ClockPosition before = Position();
  InvalidatePattern("hard*");
  InvalidatePattern("soft*", /*soft=*/true);
  InvalidateTag("tag");
  const SweepResult sweep = Sweep(Step::kBegin, 1);
  ASSERT_TRUE(sweep.mine);
  InvalidatePattern("later*");
  EXPECT_EQ(CountStamps(Read({}, before).control, Stamp::Group::kPattern, "hard*"), 1) << "not before the end";
  EXPECT_EQ(Read({}, before).control.floor, 0u);
  ASSERT_TRUE(Sweep(Step::kEnd, 1, sweep.fence).mine);
  if (!world_->retires_stamps()) {
    EXPECT_EQ(CountStamps(Read({}, before).control, Stamp::Group::kPattern, "hard*"), 1);
    EXPECT_EQ(Read({}, before).control.floor, 0u);
    // All the same it has been swept up to there.
    const SweepResult next = Sweep(Step::kBegin, 2);
    EXPECT_TRUE(next.mine);
    EXPECT_TRUE(Sweep(Step::kEnd, 2, next.fence).mine);
    EXPECT_FALSE(Sweep(Step::kBegin, 2).mine);
    return;
  }

  const auto swept = [&] { return CountStamps(Read({}, before).control, Stamp::Group::kPattern, "hard*") == 0; };
  EXPECT_TRUE(world_->PassUntil(kNanosPerSecond, swept));
  const ControlUpdate behind = Read({}, before).control;
  EXPECT_EQ(behind.floor, sweep.fence.epoch);
  EXPECT_EQ(CountStamps(behind, Stamp::Group::kPattern, "soft*"), 1);
  EXPECT_EQ(CountStamps(behind, Stamp::Group::kPattern, "later*"), 1);
  EXPECT_EQ(CountStamps(behind, Stamp::Group::kTag, "tag"), 1);
  EXPECT_EQ(Read({}).control.floor, sweep.fence.epoch);
  EXPECT_EQ(Read({}, sweep.fence).control.floor, sweep.fence.epoch) << "told to those, too, who may let go of them";
  // What came later is to be swept, and then nothing.
  const SweepResult next = Sweep(Step::kBegin, 2);
  EXPECT_TRUE(next.mine);
  EXPECT_TRUE(Sweep(Step::kEnd, 2, next.fence).mine);
  EXPECT_FALSE(Sweep(Step::kBegin, 2).mine);
}

// COHERENCE C4: after the fence nothing older is stored, so that no entry outlives the pattern that killed it.
TEST_P(StoreContractTest, NothingOlderThanTheFenceIsStored) {
  const FillToken older = Granted("user:1");
  const uint64_t version = Set("user:3", "old").current_version;
  const FillToken older_anew = Granted("user:3", version);
  const ClockPosition before = Position();
  InvalidatePattern("user:*");
  const SweepResult sweep = Sweep(Step::kBegin, 1);
  ASSERT_TRUE(sweep.mine);
  EXPECT_FALSE(Fill("user:1", older, "loaded before").applied);
  EXPECT_FALSE(Fill("user:3", older_anew, "loaded before").applied);
  EXPECT_FALSE(SetAsOf("user:2", before, "read before").applied);
  EXPECT_FALSE(SetAsOf("elsewhere", before, "read before").applied);
  EraseVersions({{"user:3", version}});
  ASSERT_TRUE(Sweep(Step::kEnd, 1, sweep.fence).mine);
  for (const char* key : {"user:1", "user:2", "user:3"}) {
    EXPECT_FALSE(Fill(key, older, "loaded before").applied);
    EXPECT_FALSE(SetAsOf(key, before, "read before").applied);
    EXPECT_EQ(Value(key), "(none)") << key;
  }
  EXPECT_TRUE(SetAsOf("user:2", sweep.fence, "read after").applied);
  EXPECT_EQ(Value("user:2"), "read after");
}

// The lease could not be used any more.
TEST_P(StoreContractTest, ALeaseFromBeforeTheFenceIsReplaced) {
  Granted("key");
  InvalidateTag("tag");
  ASSERT_TRUE(Sweep(Step::kBegin, 1).mine);
  EXPECT_TRUE(Fill("key", Granted("key"), "loaded").applied);
}

// COHERENCE C3, C4.
TEST_P(StoreContractTest, ABarrierEndsASweep) {
  InvalidatePattern("a*");
  const SweepResult sweep = Sweep(Step::kBegin, 1);
  ASSERT_TRUE(sweep.mine);
  ASSERT_TRUE(RaiseBarrierNow(store(), "default").ok());
  EXPECT_FALSE(Sweep(Step::kRenew, 1, sweep.fence).mine);
  EXPECT_FALSE(Sweep(Step::kEnd, 1, sweep.fence).mine);
  InvalidatePattern("b*");
  EXPECT_EQ(CountStamps(Read({}).control, Stamp::Group::kPattern, "b*"), 1);
  EXPECT_EQ(Read({}).control.floor, 0u);
}

// COHERENCE C4, E5: what a sweep has found dead is not put out of its reach by a new version.
TEST_P(StoreContractTest, ASoftEraseDuringASweepRevivesNothing) {
  const uint64_t version = Set("user:1", "old").current_version;
  Set("kept", "value");
  InvalidatePattern("user:*");
  const SweepResult begun = Sweep(SweepRequest::Step::kBegin, 1);
  ASSERT_TRUE(begun.mine);
  Erase({"user:1"}, {++last_version_});
  EraseVersions({{"user:1", version}});
  ASSERT_TRUE(Sweep(SweepRequest::Step::kEnd, 1, begun.fence).mine);
  EXPECT_EQ(Value("user:1"), "(none)");
  if (world_->retires_stamps()) {
    EXPECT_EQ(Look("user:1").kind, StoredItem::Kind::kNone);
  }
  // What has outlived the sweep is alive.
  EXPECT_EQ(Erase({"kept"}, {++last_version_}), 1);
  EXPECT_TRUE(IsStale("kept"));
}

}  // namespace
}  // namespace larder
