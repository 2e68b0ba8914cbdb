// What the news of others' writes lets the near tier do, and what its silence forbids.
#include "server/engine/near_leases.h"

#include <optional>
#include <string>

#include "tests/support/store_calls.h"
#include "tests/unit/engine/engine_fixture.h"

namespace larder {
namespace {

class NearLeasesTest : public EngineTest {
 protected:
  static constexpr int64_t kLease = 10 * kNanosPerSecond;
  static constexpr int64_t kPastItsAge = 3 * kNanosPerSecond;  // near_max_age is 1 s

  NearLeasesTest() { store_.shared = true; }

  // What the store answers to a renewal now.
  ControlUpdate Control() { return *ReadControlNow(embedded_, "shop", leases_.Known("shop")); }
  void Renew() { leases_.OnCurrent("shop", Control(), clock_.NowNanos()); }
  // Renewed often enough, for a time.
  void PassRenewing(int64_t nanos) {
    for (const int64_t end = clock_.NowNanos() + nanos; clock_.NowNanos() < end; clock_.Advance(kLease / 4)) Renew();
  }
  // A session has begun and is current.
  void Begin() {
    leases_.OnChanged("", "");
    ASSERT_TRUE(Get("none").ok());  // whatever the engine does not know of the control record yet
    Renew();
  }
  Tier TierOf(const std::string& key) { return GetAnswerFor(key)->tier; }
  void WriteElsewhere(const std::string& key, std::string_view value) {
    EntryMeta meta;
    meta.version = ++last_version_;
    meta.created_nanos = clock_.NowNanos();
    meta.expires_nanos = clock_.NowNanos() + 60 * kNanosPerSecond;
    WriteRequest request;
    request.name_space = "shop";
    request.key = key;
    request.entry = Entry::Create(meta, "", value);
    ASSERT_TRUE(WriteNow(embedded_, std::move(request))->applied);
  }

  NearLeases leases_{&engine_, kLease, &registry_};
  uint64_t last_version_ = uint64_t{1} << 60;
};

// COHERENCE N1.
TEST_F(NearLeasesTest, AnEntryIsServedPastItsAgeWhileTheLeaseIsRenewed) {
  Begin();
  ASSERT_TRUE(Set("a", "1")->applied);
  PassRenewing(kPastItsAge);
  EXPECT_EQ(TierOf("a"), Tier::kNear);
  clock_.Advance(kLease - kLease / 4 - 1);
  EXPECT_EQ(TierOf("a"), Tier::kNear);
  clock_.Advance(1);
  EXPECT_EQ(TierOf("a"), Tier::kStore) << "a lease counts from the question, not from the answer";
}

TEST_F(NearLeasesTest, WithoutALeaseItsAgeBoundsAnEntry) {
  ASSERT_TRUE(Set("a", "1")->applied);
  clock_.Advance(kNanosPerSecond - 1);
  EXPECT_EQ(TierOf("a"), Tier::kNear);
  clock_.Advance(1);
  EXPECT_EQ(TierOf("a"), Tier::kStore);
}

TEST_F(NearLeasesTest, WhoWantsNoAgeAtAllAlwaysAsksTheStore) {
  NamespacePolicy policy = PolicyNamed("shop");
  policy.near_max_age_ms = 0;
  engine_.ReplacePolicies({policy}, 0, [](absl::StatusOr<bool>) {});
  Begin();
  ASSERT_TRUE(Set("a", "1")->applied);
  EXPECT_EQ(TierOf("a"), Tier::kStore);
}

// COHERENCE N3.
TEST_F(NearLeasesTest, WhatOthersWriteLeavesTheNearTier) {
  Begin();
  ASSERT_TRUE(Set("a", "1")->applied);
  ASSERT_TRUE(Set("b", "1")->applied);
  WriteElsewhere("a", "2");
  ASSERT_EQ(*Get("a"), "1");
  leases_.OnChanged("shop", "a");
  EXPECT_EQ(*Get("a"), "2");
  EXPECT_EQ(TierOf("a"), Tier::kNear);
  EXPECT_EQ(TierOf("b"), Tier::kNear);
  leases_.OnChanged("default", "b");
  EXPECT_EQ(TierOf("b"), Tier::kNear) << "another namespace's key";
}

// COHERENCE N3: the news may overtake the answer.
TEST_F(NearLeasesTest, AReadFromBeforeAChangeIsNotAdmittedAfterTheNewsOfIt) {
  for (const bool of_all : {false, true}) {
    Begin();
    WriteElsewhere("a", "1");
    leases_.OnChanged("shop", "a");
    store_.hold_answers = true;
    std::optional<std::string> got;
    engine_.Get({}, {.name_space = "shop", .key = "a"},
                [&](absl::StatusOr<GetAnswer> answer) { got = std::string(answer->entry->value()); });
    WriteElsewhere("a", "2");
    of_all ? leases_.OnChanged("", "") : leases_.OnChanged("shop", "a");
    store_.hold_answers = false;
    store_.Release();
    EXPECT_EQ(got, "1") << "it was concurrent with the change";
    EXPECT_EQ(*Get("a"), "2");
  }
}

// COHERENCE N2.
TEST_F(NearLeasesTest, SilenceEndsTheLeaseAndTheNextSessionBeginsEmpty) {
  Begin();
  ASSERT_TRUE(Set("a", "1")->applied);
  PassRenewing(kPastItsAge);
  ASSERT_EQ(TierOf("a"), Tier::kNear);
  leases_.OnLost();
  EXPECT_EQ(TierOf("a"), Tier::kStore) << "it is there, but nothing says any more that it is current";
  EXPECT_EQ(Stats().near.entries, 1u);
  leases_.OnChanged("", "");
  EXPECT_EQ(Stats().near.entries, 0u) << "what was read in between was not tracked";
}

// COHERENCE N4.
TEST_F(NearLeasesTest, AnOldReadIsJoinedOnlyUnderALease) {
  for (const bool leased : {false, true}) {
    Begin();
    if (!leased) leases_.OnLost();
    store_.hold_answers = true;
    int answered = 0;
    const auto get = [&] {
      engine_.Get({}, {.name_space = "shop", .key = "absent"}, [&](absl::StatusOr<GetAnswer>) { ++answered; });
    };
    const int before = store_.reads;
    get();
    leased ? PassRenewing(2 * kNanosPerSecond) : clock_.Advance(2 * kNanosPerSecond);
    get();
    EXPECT_EQ(store_.reads - before, leased ? 1 : 2);
    store_.hold_answers = false;
    while (store_.held() > 0) store_.Release();
    EXPECT_EQ(answered, 2);
  }
}

// COHERENCE C2: a lease counts once every stamp up to it is known.
TEST_F(NearLeasesTest, WhatLeavesAGapOrIsOfAnotherGenerationRenewsNothing) {
  ASSERT_TRUE(Get("none").ok());
  ControlUpdate gap = Control();
  gap.since += 1;
  gap.epoch += 2;
  leases_.OnCurrent("shop", gap, clock_.NowNanos());
  ControlUpdate other = Control();
  other.generation += 1;
  other.since = 0;
  other.sequence = 0;  // in no order with other answers, as what the tracking connection says
  leases_.OnCurrent("shop", other, clock_.NowNanos());
  ASSERT_TRUE(Set("a", "1")->applied);
  clock_.Advance(kNanosPerSecond);
  EXPECT_EQ(TierOf("a"), Tier::kStore);
  Renew();
  clock_.Advance(kPastItsAge);
  EXPECT_EQ(TierOf("a"), Tier::kNear);
}

TEST_F(NearLeasesTest, ARenewalTellsOfGroupsThatOthersInvalidated) {
  Begin();
  ASSERT_TRUE(Set("a", "1")->applied);
  ASSERT_TRUE(InvalidateAllNow(embedded_, "shop", {}).ok());
  EXPECT_EQ(*Get("a"), "1");
  Renew();
  EXPECT_EQ(*Get("a"), "(miss)");
}

TEST_F(NearLeasesTest, ABarrierThatIsReadElsewhereIsTakenIn) {
  Begin();
  ASSERT_TRUE(Set("a", "1")->applied);
  ASSERT_TRUE(RaiseBarrierNow(embedded_, "shop").ok());
  leases_.OnControl("shop", Control());
  EXPECT_EQ(*Get("a"), "(miss)");
  EXPECT_EQ(leases_.Known("shop").generation, Control().generation);
}

}  // namespace
}  // namespace larder
