// What is served past its time, and how it is loaded anew meanwhile.
#include "tests/unit/engine/loading_fixture.h"

namespace larder {
namespace {

constexpr GetCommand kOrLease = {.key = "a", .wants_lease = true};

// Fresh for 1 s, stale for 2 s more, and if its load fails for 10 s in all.
NamespacePolicy StalePolicy() {
  NamespacePolicy policy = LoadingPolicy();
  policy.default_ttl_ms = 1'000;
  policy.stale_for_ms = 2'000;
  policy.stale_if_error_ms = 10'000;
  policy.refresh_retry_ms = 500;
  return policy;
}

class StaleTest : public LoadingTest {
 protected:
  StaleTest() { Build(StalePolicy()); }

  SetAnswer SetOld() {
    SetCommand set;
    set.key = "a";
    set.value = "old";
    return Set(set);
  }
};

TEST_F(StaleTest, IsServedAtOnceAndGivesOneLeaseToLoadItAnew) {
  SetOld();
  Pass(999);
  EXPECT_FALSE(Get(kOrLease).stale);
  Pass(1);
  const GetAnswer first = Get(kOrLease);
  EXPECT_EQ(ValueOf(first), "old");
  EXPECT_TRUE(first.stale);
  EXPECT_EQ(first.ttl_nanos, 0);
  EXPECT_EQ(first.hard_ttl_nanos, 2 * kNanosPerSecond);
  ASSERT_TRUE(first.lease.has_value());

  const GetAnswer second = Get(kOrLease);
  EXPECT_TRUE(second.stale);
  EXPECT_FALSE(second.lease.has_value());
  EXPECT_TRUE(Fill("a", "new", *first.lease).applied);
  EXPECT_EQ(ValueOf(Get("a")), "new");
  EXPECT_FALSE(Get("a").stale);
  EXPECT_EQ(Stats().stale_hits, 2u);
}

// COHERENCE P3.
TEST_F(StaleTest, OfAThousandReadsOneAsksTheStoreForTheLease) {
  SetOld();
  Pass(1'000);
  int leases = 0;
  for (int i = 0; i < 1'000; ++i) {
    const GetAnswer answer = Get(kOrLease);
    ASSERT_EQ(ValueOf(answer), "old");
    leases += answer.lease.has_value() ? 1 : 0;
  }
  EXPECT_EQ(leases, 1);
  EXPECT_EQ(store_.leases, 1);
}

TEST_F(StaleTest, IsGoneWhenItsTimeAsStaleIsOver) {
  SetOld();
  Pass(2'999);
  EXPECT_EQ(ValueOf(Get("a")), "old");
  Pass(1);
  EXPECT_EQ(ValueOf(Get("a")), "(miss)");
}

TEST_F(StaleTest, IsAMissToWhoWantsItFresh) {
  SetOld();
  Pass(1'000);
  EXPECT_EQ(ValueOf(Get({.key = "a", .fresh_only = true})), "(miss)");
  EXPECT_TRUE(Get({.key = "a", .wants_lease = true, .fresh_only = true}).lease.has_value());
  EXPECT_EQ(ValueOf(Get("a")), "old");
}

TEST_F(StaleTest, WhoWantsItFreshMayWaitForIt) {
  SetOld();
  Pass(1'000);
  const GetAnswer leased = Get(kOrLease);
  StartGet({.key = "a", .wants_lease = true, .wait_ms = 1'000, .fresh_only = true});
  EXPECT_EQ(gets_.answered(), 0u);
  ASSERT_TRUE(Fill("a", "new", *leased.lease).applied);
  ASSERT_EQ(gets_.answered(), 1u);
  EXPECT_EQ(ValueOf(*gets_[0]), "new");
}

TEST_F(StaleTest, AfterAFailedLoadItIsLeftAloneForAWhile) {
  SetOld();
  Pass(1'000);
  ASSERT_TRUE(Release("a", *Get(kOrLease).lease));
  EXPECT_FALSE(Get(kOrLease).lease.has_value());
  Pass(499);
  EXPECT_FALSE(Get(kOrLease).lease.has_value());
  Pass(1);
  EXPECT_TRUE(Get(kOrLease).lease.has_value());
}

TEST_F(StaleTest, AFailedLoadLetsItBeServedForABoundedTime) {
  SetOld();
  Pass(1'000);
  ASSERT_TRUE(Release("a", *Get(kOrLease).lease));
  Pass(9'999);
  EXPECT_EQ(ValueOf(Get("a")), "old");
  // Failing again does not make that longer: it counts from when it became stale.
  const GetAnswer again = Get(kOrLease);
  ASSERT_TRUE(again.lease.has_value());
  ASSERT_TRUE(Release("a", *again.lease));
  Pass(1);
  EXPECT_EQ(ValueOf(Get("a")), "(miss)");
}

// COHERENCE E5.
TEST_F(StaleTest, AFailedLoadDoesNotReviveWhatWasInvalidated) {
  SetOld();
  Pass(1'000);
  const FillToken lease = *Get(kOrLease).lease;
  Invalidate({.all = true});
  Release("a", lease);
  EXPECT_EQ(ValueOf(Get("a")), "(miss)");
}

// COHERENCE E5.
TEST_F(StaleTest, ASoftInvalidationMakesStaleAndEndsTheLoadUnderWay) {
  SetOld();
  Pass(1'000);
  const FillToken before = *Get(kOrLease).lease;
  EXPECT_EQ(Invalidate({.keys = {"a"}, .soft = true}).dropped, 1);
  EXPECT_FALSE(Fill("a", "from before", before).applied);
  const GetAnswer answer = Get(kOrLease);
  EXPECT_EQ(ValueOf(answer), "old");
  EXPECT_TRUE(answer.stale);
  ASSERT_TRUE(answer.lease.has_value());
  EXPECT_TRUE(Fill("a", "new", *answer.lease).applied);
  EXPECT_EQ(ValueOf(Get({.key = "a", .fresh_only = true})), "new");
}

TEST_F(LoadingTest, IsLoadedEagerlyFromItsFractionOn) {
  NamespacePolicy policy = StalePolicy();
  policy.default_ttl_ms = 10'000;
  policy.eager_refresh = 0.5;
  Build(policy);
  SetCommand set;
  set.key = "a";
  set.value = "old";
  Set(set);
  Pass(4'999);
  EXPECT_FALSE(Get(kOrLease).lease.has_value());
  Pass(1);
  const GetAnswer answer = Get(kOrLease);
  EXPECT_TRUE(answer.lease.has_value());
  EXPECT_FALSE(answer.stale);
  EXPECT_EQ(ValueOf(answer), "old");
}

// --- Sliding expiry ---

class SlidingTest : public LoadingTest {
 protected:
  SlidingTest() {
    NamespacePolicy policy = LoadingPolicy();
    policy.max_ttl_ms = 60'000;
    Build(policy);
    SetCommand set;
    set.key = "a";
    set.value = "1";
    set.ttl.ttl_ms = 10'000;
    set.sliding = true;
    Set(set);
  }
};

TEST_F(SlidingTest, TouchesTheStoreAtMostOnceInATenthOfItsTtl) {
  for (int i = 0; i < 2'000; ++i) {
    Pass(10);
    ASSERT_EQ(ValueOf(Get("a")), "1") << i;
  }
  EXPECT_LE(store_.touches, 20);
  EXPECT_GE(store_.touches, 18);
}

TEST_F(SlidingTest, IsGoneOnceNobodyHasReadItForItsTtl) {
  Pass(9'999);
  EXPECT_EQ(ValueOf(Get("a")), "1");
  Pass(9'999);
  EXPECT_EQ(ValueOf(Get("a")), "1");
  Pass(10'000);
  EXPECT_EQ(ValueOf(Get("a")), "(miss)");
}

TEST_F(SlidingTest, IsNotTouchedWhileItIsYoung) {
  Pass(999);
  Get("a");
  EXPECT_EQ(store_.touches, 0);
  Pass(1);
  Get("a");
  EXPECT_EQ(store_.touches, 1);
}

// COHERENCE E6.
TEST_F(SlidingTest, NeverLivesLongerThanTheNamespaceAllows) {
  for (int i = 0; i < 59; ++i) {
    Pass(1'000);
    ASSERT_EQ(ValueOf(Get("a")), "1") << i;
  }
  Pass(1'000);
  EXPECT_EQ(ValueOf(Get("a")), "(miss)");
}

}  // namespace
}  // namespace larder
