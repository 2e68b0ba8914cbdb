// COHERENCE D1 to D3: what is invalidated while the store is away, here at once and there before it is trusted.
#include <string>

#include "server/store/refusal.h"
#include "tests/support/store_calls.h"
#include "tests/unit/engine/degraded_fixture.h"

namespace larder {
namespace {

using DeferralTest = DegradedTest;

InvalidateCommand Key(std::string_view key) { return {.keys = {key}}; }
InvalidateCommand Tag(std::string_view tag) { return {.tags = {tag}}; }

TEST_F(DeferralTest, AKeyIsGoneHereAtOnceAndThereWhenTheStoreIsBack) {
  ASSERT_TRUE(Set("a", "1").ok());
  ASSERT_TRUE(Set("b", "1").ok());
  LoseStore();
  EXPECT_TRUE(IsDeferred(Key("a")));
  EXPECT_EQ(Get("a"), Unavailable());
  EXPECT_EQ(Get("b"), Hit(Tier::kNear, "1"));
  EXPECT_EQ(Metric(R"(cache_journal_entries{namespace="shop"})"), 1);
  EXPECT_EQ(Metric("cache_journal_deferred_total"), 1);
  RecoverStore();
  EXPECT_EQ(Get("a"), Miss());
  EXPECT_EQ(Metric(R"(cache_journal_entries{namespace="shop"})"), 0);
  EXPECT_EQ(Metric("cache_journal_replayed_total"), 1);
  EXPECT_EQ(Metric(R"(cache_invalidations_total{kind="key",namespace="shop",result="deferred"})"), 1);
}

// STRONG asks for it, and who cannot tell of it.
TEST_F(DeferralTest, WhoMayNotDeferIsRefused) {
  ASSERT_TRUE(Set("a", "1", {"tag"}).ok());
  LoseStore();
  for (InvalidateCommand command : {Key("a"), Tag("tag")}) {
    command.may_defer = false;
    EXPECT_EQ(Invalidate(command).status().code(), absl::StatusCode::kUnavailable);
  }
}

TEST_F(DeferralTest, AStrongOneIsRefused) {
  ASSERT_TRUE(Set("a", "1", {"tag"}).ok());
  LoseStore();
  for (InvalidateCommand command : {Key("a"), Tag("tag")}) {
    command.strong = true;
    EXPECT_EQ(Invalidate(command).status().code(), absl::StatusCode::kUnavailable);
  }
}

TEST_F(DeferralTest, WhatTheStoreRefusesIsNoOutage) {
  ASSERT_TRUE(Set("a", "1", {"tag"}).ok());
  held_.failure = Refused(absl::UnavailableError("it has no replicas"));
  EXPECT_EQ(Invalidate(Tag("tag")).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Invalidate(Key("a")).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Set("a", "2").status().code(), absl::StatusCode::kUnavailable);
  held_.failure = absl::OkStatus();
  EXPECT_EQ(Get("a"), Hit(Tier::kStore, "1")) << "nothing was deferred, so that nothing is withheld";
}

TEST_F(DeferralTest, AGroupIsDeadHereAtOnce) {
  ASSERT_TRUE(Set("tagged", "1", {"tag"}).ok());
  ASSERT_TRUE(Set("p:1", "1").ok());
  ASSERT_TRUE(Set("other", "1").ok());
  LoseStore();
  clock_.Advance(1);
  EXPECT_TRUE(IsDeferred(Tag("tag")));
  EXPECT_EQ(Get("tagged"), Unavailable());
  EXPECT_EQ(Get("p:1"), Hit(Tier::kNear, "1"));
  EXPECT_TRUE(IsDeferred({.patterns = {"p:*"}}));
  EXPECT_EQ(Get("p:1"), Unavailable());
  EXPECT_EQ(Get("other"), Hit(Tier::kNear, "1"));
  EXPECT_TRUE(IsDeferred({.all = true}));
  EXPECT_EQ(Get("other"), Unavailable());
  RecoverStore();
  for (const char* key : {"tagged", "p:1", "other"}) EXPECT_EQ(Get(key), Miss()) << key;
}

TEST_F(DeferralTest, WhatIsSetAfterADeferredGroupLives) {
  UseMemory();
  LoseStore();
  ASSERT_TRUE(Set("before", "1", {"tag"})->degraded);
  clock_.Advance(1);
  ASSERT_TRUE(IsDeferred(Tag("tag")));
  clock_.Advance(1);
  ASSERT_TRUE(Set("after", "1", {"tag"})->degraded);
  EXPECT_EQ(Get("before"), Unavailable());
  EXPECT_EQ(Get("after"), Degraded("1"));
  RecoverStore();
  ASSERT_TRUE(Set("later", "1", {"tag"}).ok());
  EXPECT_EQ(Get("later"), Hit(Tier::kNear, "1"));
}

// COHERENCE D1: read before it, delivered after it.
TEST_F(DeferralTest, AReadFromBeforeADeferredGroupDoesNotComeAfterIt) {
  ASSERT_TRUE(Set("a", "1", {"tag"}).ok());
  clock_.Advance(kPastItsAge);
  held_.hold_answers = true;
  Outcome late;
  engine_.Get({}, {.name_space = "shop", .key = "a"},
              [&](const absl::StatusOr<GetAnswer>& answer) { late = OutcomeOf(answer); });
  held_.hold_answers = false;
  LoseStore();
  clock_.Advance(1);
  ASSERT_TRUE(IsDeferred(Tag("tag")));
  held_.Release();
  EXPECT_NE(late.value, "1") << "nobody else may have joined it";
  EXPECT_EQ(Get("a"), Unavailable());
}

TEST_F(DeferralTest, UntilTheReplayIsAcknowledgedTheStoreIsNotBelieved) {
  ASSERT_TRUE(Set("a", "1").ok());
  ASSERT_TRUE(Set("b", "1").ok());
  LoseStore();
  ASSERT_TRUE(IsDeferred(Key("a")));
  clock_.Advance(kPastItsAge);
  FindStore();
  EXPECT_EQ(Get("a"), Unavailable()) << "nobody has looked yet";
  EXPECT_EQ(Get("b"), Hit(Tier::kStore, "1"));
  held_.hold_calls = true;
  scheduler_.Advance(kSoon);
  ASSERT_EQ(held_.held(), 1u);
  held_.hold_calls = false;
  EXPECT_EQ(Get("a", {.from_store = true}), Unavailable()) << "it is on its way";
  EXPECT_EQ(BatchGet({"b", "a", "c"}), (std::vector{Hit(Tier::kStore, "1"), Unavailable(), Miss()}));
  EXPECT_EQ(BatchGet({"a", "b"}), (std::vector{Unavailable(), Hit(Tier::kStore, "1")}));
  held_.Release();
  EXPECT_EQ(Get("a"), Miss());
}

TEST_F(DeferralTest, ADeferredGroupHoldsTheWholeNamespaceBack) {
  ASSERT_TRUE(Set("a", "1", {"tag"}).ok());
  ASSERT_TRUE(Set("b", "1").ok());
  LoseStore();
  clock_.Advance(kPastItsAge);
  ASSERT_TRUE(IsDeferred(Tag("tag")));
  FindStore();
  EXPECT_EQ(Get("a"), Unavailable());
  EXPECT_EQ(Get("b"), Degraded("1"));
  EXPECT_EQ(Get("b", {.from_store = true}), Unavailable());
  scheduler_.Advance(kSoon);
  EXPECT_EQ(Get("a"), Miss());
  EXPECT_EQ(Get("b"), Hit(Tier::kStore, "1"));
}

TEST_F(DeferralTest, AnInvalidationDuringTheReplayOfItsKeyIsReplayedToo) {
  ASSERT_TRUE(Set("a", "1").ok());
  LoseStore();
  ASSERT_TRUE(IsDeferred(Key("a")));
  FindStore();
  held_.hold_answers = true;
  scheduler_.Advance(kSoon);  // executed, not answered
  ASSERT_EQ(held_.held(), 1u);
  held_.hold_answers = false;
  ASSERT_TRUE(Set("a", "2").ok());
  LoseStore();
  ASSERT_TRUE(IsDeferred(Key("a")));
  FindStore();
  held_.Release();
  EXPECT_EQ(Get("a"), Unavailable()) << "the first replay says nothing of the second invalidation";
  scheduler_.Advance(kSoon);
  EXPECT_EQ(Get("a"), Miss());
}

TEST_F(DeferralTest, AReplayThatFailsIsTriedAgain) {
  ASSERT_TRUE(Set("a", "1").ok());
  LoseStore();
  ASSERT_TRUE(IsDeferred(Key("a")));
  held_.away = false;  // there, but does not answer
  scheduler_.Advance(kSoon);
  EXPECT_EQ(Get("a"), Unavailable());
  RecoverStore();
  EXPECT_EQ(Get("a"), Miss());
}

// Of a store in several parts one may be away, and its keys alone wait.
TEST_F(DeferralTest, KeysOfAPartThatIsThereAreErasedOnceThoughOthersWait) {
  ASSERT_TRUE(Set("there", "1").ok());
  ASSERT_TRUE(Set("away", "1").ok());
  held_.lost_keys = {"away"};
  EXPECT_TRUE(IsDeferred({.keys = {"there", "away"}}));
  EXPECT_EQ(Metric(R"(cache_journal_entries{namespace="shop"})"), 1);
  EXPECT_EQ(Get("there"), Miss());
  EXPECT_EQ(Get("away"), Unavailable());
  // What got no answer once waits together with it, and not for it.
  held_.lost_answer = absl::DeadlineExceededError("short");
  EXPECT_FALSE(Invalidate(Key("late")).ok());
  held_.lost_answer = absl::OkStatus();
  scheduler_.Advance(kSoon);
  EXPECT_EQ(Metric(R"(cache_journal_entries{namespace="shop"})"), 1);
  const int erasures = held_.erasures["late"];
  scheduler_.Advance(10 * kSoon);
  EXPECT_EQ(held_.erasures["late"], erasures);
  EXPECT_EQ(held_.erasures["there"], 1);
  held_.lost_keys.clear();
  scheduler_.Advance(kSoon);
  EXPECT_EQ(Get("away"), Miss());
}

TEST_F(DeferralTest, ASetWithoutAnAnswerHoldsItsKeyBackAndNothingElse) {
  ASSERT_TRUE(Set("a", "1").ok());
  ASSERT_TRUE(Set("b", "1").ok());
  clock_.Advance(kPastItsAge);
  held_.lost_answer = absl::DeadlineExceededError("short");
  EXPECT_EQ(Set("a", "2").status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Get("a"), Unavailable()) << "the replay got no answer either";
  EXPECT_EQ(Get("b"), Hit(Tier::kStore, "1"));
  held_.lost_answer = absl::OkStatus();
  scheduler_.Advance(kSoon);
  EXPECT_EQ(Get("a"), Miss());
}

// A caller that tries again until it succeeds.
TEST_F(DeferralTest, ASetThatSucceedsAfterAllIsNotTakenOutByTheReplay) {
  LoseStore();
  ASSERT_FALSE(Set("a", "1").ok());
  FindStore();
  ASSERT_TRUE(Set("a", "2").ok());
  EXPECT_EQ(Get("a"), Hit(Tier::kNear, "2"));
  EXPECT_EQ(Get("a", {.from_store = true}), Hit(Tier::kStore, "2"));
  scheduler_.Advance(kSoon);
  EXPECT_EQ(Get("a", {.from_store = true}), Hit(Tier::kStore, "2"));
}

// Between the choice of the key and the place of its erasure in the store's queue.
TEST_F(DeferralTest, ASetComesAfterTheErasureThatHasChosenItsKey) {
  LoseStore();
  ASSERT_FALSE(Set("a", "1").ok());
  FindStore();
  absl::StatusOr<SetAnswer> answer = absl::InternalError("no answer yet");
  held_.before_erase = [&] {
    engine_.Set({}, {.name_space = "shop", .key = "a", .value = "2"},
                [&](absl::StatusOr<SetAnswer> got) { answer = std::move(got); });
    EXPECT_EQ(answer.status().code(), absl::StatusCode::kInternal);
    EXPECT_TRUE(Set("b", "1").ok()) << "another key has nothing to wait for";
  };
  scheduler_.Advance(kSoon);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(Get("a", {.from_store = true}), Hit(Tier::kStore, "2"));
}

TEST_F(DeferralTest, WhatTheStoreRefusedIsNoUnknownOutcome) {
  ASSERT_TRUE(Set("a", "1").ok());
  held_.failure = absl::ResourceExhaustedError("full");
  EXPECT_EQ(Set("a", "2").status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Invalidate(Key("a")).status().code(), absl::StatusCode::kResourceExhausted);
  held_.failure = absl::OkStatus();
  EXPECT_EQ(Get("a"), Hit(Tier::kStore, "1"));
}

// COHERENCE P2: the lease is from before the invalidation that the store does not know of.
TEST_F(DeferralTest, NoFillComesBetweenTheReturnAndTheReplay) {
  std::optional<FillToken> lease;
  engine_.Get({}, {.name_space = "shop", .key = "a", .wants_lease = true},
              [&](absl::StatusOr<GetAnswer> answer) { lease = answer->lease; });
  ASSERT_TRUE(lease.has_value());
  LoseStore();
  ASSERT_TRUE(IsDeferred(Key("a")));
  FindStore();
  SetCommand fill;
  fill.fill = lease;
  EXPECT_EQ(Set("a", "loaded before", {}, fill).status().code(), absl::StatusCode::kUnavailable);
  SetCommand absent;
  absent.condition = {.kind = Condition::Kind::kAbsent};
  EXPECT_EQ(Set("a", "x", {}, absent).status().code(), absl::StatusCode::kUnavailable);
  scheduler_.Advance(kSoon);
  EXPECT_FALSE(Set("a", "loaded before", {}, fill)->applied);
  EXPECT_EQ(Get("a"), Miss());
}

TEST_F(DeferralTest, AnOverflowRaisesTheBarrier) {
  ASSERT_TRUE(Set("a", "1").ok());
  ASSERT_TRUE(Set("other", "1").ok());
  LoseStore();
  for (int i = 0; i <= 1'000; ++i) ASSERT_TRUE(IsDeferred(Key(i == 0 ? "a" : std::to_string(i))));
  EXPECT_EQ(Metric("cache_journal_overflows_total"), 1);
  EXPECT_EQ(Metric(R"(cache_journal_entries{namespace="shop"})"), 1);
  EXPECT_EQ(store_.Advice().size(), 3u);
  const uint64_t generation = ReadControlNow(embedded_, "shop", {})->generation;
  FindStore();
  EXPECT_EQ(Get("other", {.from_store = true}), Unavailable());
  scheduler_.Advance(kSoon);
  EXPECT_NE(ReadControlNow(embedded_, "shop", {})->generation, generation);
  EXPECT_EQ(Get("a"), Miss());
  EXPECT_EQ(Get("other"), Miss());
  EXPECT_TRUE(store_.Advice().empty());
}

TEST_F(DeferralTest, TheReplayTakesAsManyStepsAsItNeeds) {
  LoseStore();
  std::vector<std::string> keys;
  for (int i = 0; i < 900; ++i) keys.push_back(std::to_string(i));
  InvalidateCommand command;
  command.keys.assign(keys.begin(), keys.end());
  command.tags = {"tag"};
  ASSERT_TRUE(IsDeferred(command));
  EXPECT_EQ(Metric(R"(cache_journal_entries{namespace="shop"})"), 901);
  RecoverStore();
  EXPECT_EQ(Metric("cache_journal_replayed_total"), 901);
  EXPECT_EQ(Get("899"), Miss());
}

}  // namespace
}  // namespace larder
