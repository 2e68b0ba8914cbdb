// New lives for entries that are there.
#include <string>

#include "tests/unit/store/store_contract.h"

namespace larder {
namespace {

TEST_P(StoreContractTest, TouchGivesANewLife) {
  const uint64_t version = Set("key", "value", {}, 500 * kNanosPerMilli).current_version;
  const TouchResult touched = Touch("key", kMinute, 10 * kMinute);
  EXPECT_TRUE(touched.found);
  EXPECT_EQ(touched.version, version);
  EXPECT_EQ(touched.ttl_nanos, kMinute);
  const int64_t past = Now() + 510 * kNanosPerMilli;
  EXPECT_TRUE(world_->PassUntil(520 * kNanosPerMilli, [&] { return Now() > past; }));
  EntryRef got = Get("key");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->value(), "value");
  EXPECT_EQ(got->meta().version, version);
  EXPECT_GE(Now() - got->meta().created_nanos, 500 * kNanosPerMilli);  // it is as old as before
}

TEST_P(StoreContractTest, TouchMayShortenALife) {
  Set("key", "value");
  EXPECT_EQ(Touch("key", 30 * kNanosPerMilli, 10 * kMinute).ttl_nanos, 30 * kNanosPerMilli);
  EXPECT_TRUE(world_->PassUntil(30 * kNanosPerMilli, [&] { return !Get("key"); }));
}

TEST_P(StoreContractTest, TouchCapsTheWholeLife) {
  Set("key", "value");
  const int64_t max_life = 800 * kNanosPerMilli;
  const int64_t set_at = Now();
  EXPECT_TRUE(world_->PassUntil(40 * kNanosPerMilli, [&] { return Now() - set_at >= 40 * kNanosPerMilli; }));
  const TouchResult first = Touch("key", kMinute, max_life);
  ASSERT_TRUE(first.found);
  EXPECT_LE(first.ttl_nanos, max_life - 38 * kNanosPerMilli);
  // However often it is touched, it goes.
  EXPECT_TRUE(world_->PassUntil(max_life, [&] { return !Touch("key", kMinute, max_life).found; }));
  EXPECT_FALSE(Get("key"));
}

TEST_P(StoreContractTest, TouchFindsOnlyValidEntries) {
  EXPECT_FALSE(Touch("absent", kMinute, 10 * kMinute).found);
  Set("key", "value");
  InvalidateAll();
  const TouchResult dead = Touch("key", kMinute, 10 * kMinute);
  EXPECT_FALSE(dead.found);
  EXPECT_EQ(dead.version, 0u);
  EXPECT_EQ(Value("key"), "(none)");
}

TEST_P(StoreContractTest, TouchFindsOnlyTheVersionThatItIsToldOf) {
  const uint64_t version = Set("key", "value").current_version;
  EXPECT_FALSE(Touch("key", kMinute, kHour, version + 1).found);
  const TouchResult touched = Touch("key", kMinute, kHour, version);
  EXPECT_TRUE(touched.found);
  EXPECT_EQ(touched.version, version);
  EXPECT_EQ(touched.epoch, Position().epoch);
}

TEST_P(StoreContractTest, TouchKeepsTheTimeThatAnEntryIsServedStale) {
  Write(Request("key", Tagged(StaleMeta(5 * kNanosPerSecond, 10 * kNanosPerSecond), "value", {"tag"})));
  const int64_t before = Now();
  EXPECT_EQ(Touch("key", kMinute, kHour).ttl_nanos, kMinute);
  EntryRef got = Get("key");
  ASSERT_TRUE(got);
  EXPECT_GE(got->meta().stale_nanos, before + kMinute - kNanosPerSecond);
  EXPECT_LE(got->meta().stale_nanos, Now() + kMinute);
  EXPECT_NEAR(static_cast<double>(got->meta().expires_nanos - got->meta().stale_nanos), 10e9, kALittle);
  EXPECT_EQ(*got->tags().begin(), "tag");
}

// COHERENCE E6: the cap is on the whole life, the part in which it is stale included.
TEST_P(StoreContractTest, TouchCapsTheLifeOfWhatIsServedStale) {
  Write(Request("key", Tagged(StaleMeta(5 * kNanosPerSecond, 10 * kNanosPerSecond), "value", {})));
  const int64_t created = Get("key")->meta().created_nanos;
  EXPECT_TRUE(Touch("key", kMinute, kMinute + 3 * kNanosPerSecond).found);
  EXPECT_LE(Get("key")->meta().expires_nanos, created + kMinute + 3 * kNanosPerSecond + kNanosPerSecond);
  EXPECT_LE(Touch("key", kHour, 2 * kMinute).ttl_nanos, 2 * kMinute);
  EXPECT_LE(Get("key")->meta().expires_nanos, created + 2 * kMinute + kNanosPerSecond);
}

TEST_P(StoreContractTest, TouchMakesFreshWhatOnlyTimeMadeStale) {
  Write(Request("key", Tagged(StaleMeta(30 * kNanosPerMilli, kMinute), "value", {})));
  EXPECT_TRUE(world_->PassUntil(30 * kNanosPerMilli, [&] { return IsStale("key"); }));
  EXPECT_TRUE(Touch("key", kMinute, kHour).found);
  EXPECT_FALSE(IsStale("key"));
}

// COHERENCE E5.
TEST_P(StoreContractTest, TouchDoesNotMakeFreshWhatWasInvalidated) {
  SetTagged("by_key", "value", {});
  SetTagged("by_tag", "value", {"tag"});
  Erase({"by_key"}, {++last_version_});
  InvalidateTag("tag", /*soft=*/true);
  EXPECT_FALSE(Touch("by_key", kMinute, kHour).found);
  EXPECT_TRUE(IsStale("by_key"));
  Touch("by_tag", kMinute, kHour);
  EXPECT_TRUE(IsStale("by_tag"));
}

TEST_P(StoreContractTest, TouchDoesNotFindWhatATagHasKilled) {
  SetTagged("key", "value", {"tag"});
  InvalidateTag("tag");
  EXPECT_FALSE(Touch("key", kMinute, kHour).found);
  EXPECT_FALSE(Get("key"));
}

TEST_P(StoreContractTest, TouchIsNoWrite) {
  const WriteResult written = SetTagged("key", "value", {"tag"});
  InvalidateTag("other");
  Touch("key", kMinute, kHour);
  EXPECT_EQ(Get("key")->meta().epoch, written.current_epoch);
  EXPECT_EQ(Get("key")->meta().version, written.current_version);
}

// COHERENCE E2: a placeholder is no entry.
TEST_P(StoreContractTest, TouchDoesNotFindALease) {
  const FillToken token = Granted("key");
  EXPECT_FALSE(Touch("key", kMinute, kHour).found);
  EXPECT_TRUE(Fill("key", token, "value").applied);
}

TEST_P(StoreContractTest, TouchLeavesALeaseAlone) {
  Write(Request("key", Tagged(StaleMeta(10 * kNanosPerSecond, kMinute), "old", {})));
  const FillToken token = Granted("key", Get("key")->meta().version);
  EXPECT_TRUE(Touch("key", kMinute, kHour).found);
  EXPECT_EQ(Lease("key", Get("key")->meta().version).outcome, LeaseResult::Outcome::kHeld);
  EXPECT_TRUE(Fill("key", token, "new").applied);
  EXPECT_EQ(Value("key"), "new");
}

}  // namespace
}  // namespace larder
