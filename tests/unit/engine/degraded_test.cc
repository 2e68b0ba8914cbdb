// COHERENCE D4: what is answered from memory while the store is away, and until when.
#include <string>

#include "tests/support/store_calls.h"
#include "tests/unit/engine/degraded_fixture.h"

namespace larder {
namespace {

constexpr char kServes[] = R"(cache_degraded_serves_total{namespace="shop"})";

TEST_F(DegradedTest, NearEntriesAreServedMarkedOnceTheyAreNotKnownToBeCurrent) {
  ASSERT_TRUE(Set("a", "1").ok());
  LoseStore();
  EXPECT_EQ(Get("a"), Hit(Tier::kNear, "1")) << "within near_max_age it is what it was";
  clock_.Advance(kPastItsAge);
  EXPECT_EQ(Get("a"), Degraded("1"));
  EXPECT_EQ(Get("never read"), Unavailable());
  EXPECT_EQ(Metric(kServes), 1);
  EXPECT_EQ(held_.reads, 1) << "of a replica whose breaker is open";
  RecoverStore();
  EXPECT_EQ(Get("a"), Hit(Tier::kStore, "1"));
}

TEST_F(DegradedTest, OneFailedCallIsEnough) {
  ASSERT_TRUE(Set("a", "1").ok());
  clock_.Advance(kPastItsAge);
  held_.failure = absl::UnavailableError("did not answer in time");
  EXPECT_EQ(Get("a"), Degraded("1"));
  EXPECT_EQ(Get("b"), Unavailable());
  held_.failure = absl::InternalError("nonsense");
  EXPECT_EQ(Get("a").code, absl::StatusCode::kInternal) << "a store that answers is not away";
  held_.failure = absl::OkStatus();
  EXPECT_EQ(Get("a"), Hit(Tier::kStore, "1"));
}

TEST_F(DegradedTest, WhoWantsBetterGetsTheError) {
  ASSERT_TRUE(Set("a", "1").ok());
  clock_.Advance(kPastItsAge);
  for (const bool at_once : {true, false}) {
    LoseStore();
    held_.away = at_once;
    EXPECT_EQ(Get("a", {.fresh_only = true}), Unavailable());
    EXPECT_EQ(Get("a", {.from_store = true}), Unavailable());
    EXPECT_EQ(BatchGet({"a"}, /*fresh_only=*/true), std::vector{Unavailable()});
    EXPECT_EQ(Get("a"), Degraded("1"));
  }
}

TEST_F(DegradedTest, ABatchIsAnsweredAsFarAsItCanBe) {
  ASSERT_TRUE(Set("a", "1").ok());
  clock_.Advance(kPastItsAge);
  for (const bool at_once : {true, false}) {
    LoseStore();
    held_.away = at_once;
    EXPECT_EQ(BatchGet({"b", "a"}), (std::vector{Unavailable(), Degraded("1")}));
    EXPECT_EQ(BatchGet({"b", "c"}), (std::vector{Unavailable(), Unavailable()}));
  }
  EXPECT_EQ(Metric(kServes), 2);
}

TEST_F(DegradedTest, ItIsBoundedInAge) {
  ASSERT_TRUE(Set("a", "1").ok());
  LoseStore();
  clock_.Advance(kDegradedFor - 1);
  EXPECT_EQ(Get("a"), Degraded("1"));
  clock_.Advance(1);
  EXPECT_EQ(Get("a"), Unavailable());
}

TEST_F(DegradedTest, NotWhereTheNamespaceDoesNotWantIt) {
  NamespacePolicy policy = PolicyNamed("shop");
  policy.degraded_max_age_ms = 0;
  engine_.ReplacePolicies({policy}, 0, [](absl::StatusOr<bool>) {});
  ASSERT_TRUE(Set("a", "1").ok());
  clock_.Advance(kPastItsAge);
  LoseStore();
  EXPECT_EQ(Get("a"), Unavailable());
}

// With tracking an entry was current for as long as the store was heard, however long ago it was read.
TEST_F(DegradedTest, TheAgeCountsFromTheLastRenewalOfTheLease) {
  leases_.OnChanged("", "");
  ASSERT_TRUE(Set("a", "1").ok());
  clock_.Advance(2 * kDegradedFor);
  leases_.OnCurrent("shop", *ReadControlNow(embedded_, "shop", leases_.Known("shop")), clock_.NowNanos());
  ASSERT_EQ(Get("a"), Hit(Tier::kNear, "1"));
  LoseStore();
  leases_.OnLost();
  EXPECT_EQ(Get("a"), Degraded("1")) << "neither lease nor age say that it is current";
  clock_.Advance(kDegradedFor - 1);
  EXPECT_EQ(Get("a"), Degraded("1"));
  clock_.Advance(1);
  EXPECT_EQ(Get("a"), Unavailable());
}

// COHERENCE N2.
TEST_F(DegradedTest, NothingFromBeforeTheLossIsLeftWhenTheLeaseReturns) {
  leases_.OnChanged("", "");
  ASSERT_TRUE(Set("a", "1").ok());
  leases_.OnCurrent("shop", *ReadControlNow(embedded_, "shop", leases_.Known("shop")), clock_.NowNanos());
  LoseStore();
  leases_.OnLost();
  clock_.Advance(kPastItsAge);
  ASSERT_EQ(Get("a"), Degraded("1"));
  RecoverStore();
  leases_.OnChanged("", "");
  leases_.OnCurrent("shop", *ReadControlNow(embedded_, "shop", leases_.Known("shop")), clock_.NowNanos());
  EXPECT_EQ(Get("a"), Hit(Tier::kStore, "1"));
}

TEST_F(DegradedTest, WhatExpiresIsGoneThoughTheStoreIsAway) {
  SetCommand command;
  command.ttl.ttl_ms = 5'000;
  ASSERT_TRUE(Set("a", "1", {}, command).ok());
  LoseStore();
  clock_.Advance(5 * kNanosPerSecond);
  EXPECT_EQ(Get("a"), Unavailable());
}

TEST_F(DegradedTest, AFailedSetLeavesNothingOldBehind) {
  ASSERT_TRUE(Set("a", "1").ok());
  LoseStore();
  EXPECT_EQ(Set("a", "2").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Get("a"), Unavailable());
  RecoverStore();
  EXPECT_EQ(Get("a"), Miss()) << "D2: what the store had is older than what the caller knew";
}

// --- on_store_loss: memory ---

TEST_F(DegradedTest, MemoryKeepsSetsHereUntilTheStoreIsBack) {
  UseMemory();
  ASSERT_TRUE(Set("a", "1").ok());
  LoseStore();
  const absl::StatusOr<SetAnswer> answer = Set("a", "2");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_TRUE(answer->applied);
  EXPECT_TRUE(answer->degraded);
  EXPECT_EQ(Get("a"), Degraded("2")) << "marked at once, within near_max_age too";
  RecoverStore();
  EXPECT_EQ(Get("a"), Miss()) << "neither what was kept here nor the older value of the store";
  EXPECT_FALSE(Set("a", "3")->degraded);
  EXPECT_EQ(Get("a"), Hit(Tier::kNear, "3"));
}

TEST_F(DegradedTest, WhatWasKeptInOneOutageIsNotServedInTheNext) {
  UseMemory();
  LoseStore();
  ASSERT_TRUE(Set("a", "1").ok());
  RecoverStore();
  LoseStore();
  EXPECT_EQ(Get("a"), Unavailable());
}

TEST_F(DegradedTest, WhatIsKeptHereIsBoundedInAge) {
  UseMemory();
  LoseStore();
  ASSERT_TRUE(Set("a", "1").ok());
  clock_.Advance(kDegradedFor - 1);
  EXPECT_EQ(Get("a"), Degraded("1"));
  clock_.Advance(1);
  EXPECT_EQ(Get("a"), Unavailable());
}

TEST_F(DegradedTest, MemoryTakesNoWriteThatDependsOnTheStore) {
  UseMemory();
  LoseStore();
  SetCommand conditional;
  conditional.condition = {.kind = Condition::Kind::kAbsent};
  EXPECT_EQ(Set("a", "1", {}, conditional).status().code(), absl::StatusCode::kUnavailable);
  SetCommand fill;
  fill.fill = FillToken{.token = 7, .as_of = {}};
  EXPECT_EQ(Set("a", "1", {}, fill).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Get("a"), Unavailable());
}

TEST_F(DegradedTest, MemoryTakesNoStrongWrite) {
  UseMemory();
  LoseStore();
  SetCommand strong;
  strong.strong = true;
  EXPECT_EQ(Set("a", "1", {}, strong).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Get("a"), Unavailable());
}

TEST_F(DegradedTest, ASetThatTheStoreMayHaveExecutedIsTakenOutWithWhatIsKept) {
  UseMemory();
  held_.lost_answer = absl::UnavailableError("did not answer in time");
  EXPECT_TRUE(Set("a", "1")->degraded);
  held_.lost_answer = absl::OkStatus();
  scheduler_.Advance(kSoon);
  EXPECT_EQ(Get("a"), Miss());
}

}  // namespace
}  // namespace larder
