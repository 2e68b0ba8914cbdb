// What may be served by its age, by what others know of this replica.
#include "server/engine/near_membership.h"

#include <deque>
#include <string>
#include <utility>

#include "server/engine/near_leases.h"
#include "tests/support/passing_store.h"
#include "tests/unit/engine/engine_fixture.h"

namespace larder {
namespace {

constexpr int64_t kSecond = kNanosPerSecond;

// Registers when the test has it do so.
class RegisteringStore final : public PassingStore {
 public:
  using PassingStore::PassingStore;

  void Register(MemberTerms terms, StoreCallback<Registration> done) override {
    asked.emplace_back(terms, std::move(done));
  }
  bool exclusive() const override { return false; }

  void Answer(absl::StatusOr<Registration> registration) {
    ASSERT_EQ(asked.size(), 1u) << "one at a time";
    StoreCallback<Registration> done = std::move(asked.front().second);
    asked.pop_front();
    std::move(done)(std::move(registration));
  }

  std::deque<std::pair<MemberTerms, StoreCallback<Registration>>> asked;
};

class NearMembershipTest : public testing::Test {
 protected:
  NearMembershipTest() { membership_.Start(); }

  Tier TierOf(const std::string& key) {
    std::optional<Tier> tier;
    engine_.Get({}, {.name_space = "shop", .key = key}, [&](absl::StatusOr<GetAnswer> answer) { tier = answer->tier; });
    return *tier;
  }
  void Put(const std::string& key) {
    engine_.Set({}, {.name_space = "shop", .key = key, .value = "1"}, [](absl::StatusOr<SetAnswer>) {});
  }
  void SetAge(int64_t ms) {
    NamespacePolicy policy = PolicyNamed("shop");
    policy.near_max_age_ms = ms;
    NamespacePolicy other = PolicyNamed("default");
    other.near_max_age_ms = std::min<int64_t>(ms, other.near_max_age_ms);
    engine_.ReplacePolicies({policy, other}, 0, [](absl::StatusOr<bool>) {});
  }
  // Until the next registration is asked for.
  void AwaitQuestion() {
    while (store_.asked.empty()) ASSERT_TRUE(scheduler_.RunNext(clock_.NowNanos() + 10 * kSecond));
  }
  void Join() {
    AwaitQuestion();
    store_.Answer(Registration{.was_member = false});
  }

  ManualClock clock_;
  Registry registry_;
  EmbeddedStore embedded_{&clock_, {.capacity_bytes = 16 << 20}};
  RegisteringStore store_{&embedded_};
  ManualScheduler scheduler_{&clock_};
  CacheEngine engine_{{.near_capacity_bytes = 8 << 20,
                       .namespaces = {PolicyNamed("default"), PolicyNamed("shop")},
                       .version_seed = 1,
                       .origins = {}},
                      &store_,
                      &clock_,
                      &scheduler_,
                      &registry_};
  NearMembership membership_{&engine_, &store_, &clock_, &scheduler_, 2 * kSecond};
};

// COHERENCE S1.
TEST_F(NearMembershipTest, NothingIsServedByItsAgeBeforeOthersKnowOfIt) {
  Put("a");
  EXPECT_EQ(TierOf("a"), Tier::kStore);
  ASSERT_EQ(store_.asked.size(), 1u);
  EXPECT_FALSE(store_.asked.front().first.acknowledges);
  EXPECT_EQ(store_.asked.front().first.bound_nanos, kSecond) << "the longest near_max_age";
  EXPECT_EQ(store_.asked.front().first.hold_nanos, 2 * kSecond);
  Join();
  EXPECT_EQ(TierOf("a"), Tier::kStore) << "what was read before that others did not wait for";
  EXPECT_EQ(TierOf("a"), Tier::kNear);
}

TEST_F(NearMembershipTest, ItLastsForItsHoldFromTheQuestionOn) {
  SetAge(3'600'000);
  store_.Answer(absl::UnavailableError("away"));
  AwaitQuestion();
  const int64_t asked = clock_.NowNanos();
  clock_.Advance(kSecond);
  store_.Answer(Registration{});
  Put("a");
  EXPECT_EQ(TierOf("a"), Tier::kNear);
  clock_.Advance(asked + 3600 * kSecond - 1 - clock_.NowNanos());
  Put("a");
  EXPECT_EQ(TierOf("a"), Tier::kNear);
  clock_.Advance(1);
  EXPECT_EQ(TierOf("a"), Tier::kStore);
}

// COHERENCE S1: one that finds itself missing empties its near tier.
TEST_F(NearMembershipTest, WhoWasForgottenServesNothingThatItHadRead) {
  for (const bool was_member : {true, false}) {
    Join();
    Put("a");
    EXPECT_EQ(TierOf("a"), Tier::kNear);
    AwaitQuestion();
    store_.Answer(Registration{.was_member = was_member});
    EXPECT_EQ(TierOf("a"), was_member ? Tier::kNear : Tier::kStore);
  }
}

TEST_F(NearMembershipTest, AFailureEndsNothingBeforeItsTime) {
  Join();
  AwaitQuestion();
  Put("a");
  store_.Answer(absl::UnavailableError("away"));
  EXPECT_EQ(TierOf("a"), Tier::kNear);
  AwaitQuestion();
  store_.Answer(Registration{.was_member = true});
  EXPECT_EQ(TierOf("a"), Tier::kNear);
}

// COHERENCE S1: others wait for the age that they know.
TEST_F(NearMembershipTest, ALongerAgeCountsOnceOthersKnowOfItAndAShorterOneAtOnce) {
  Join();
  SetAge(10'000);
  Put("a");
  clock_.Advance(kSecond);
  EXPECT_EQ(TierOf("a"), Tier::kStore);
  AwaitQuestion();
  EXPECT_EQ(store_.asked.front().first.bound_nanos, 10 * kSecond);
  Put("a");
  store_.Answer(Registration{.was_member = true});
  EXPECT_EQ(TierOf("a"), Tier::kStore) << "a write of before waited for the shorter age only";
  clock_.Advance(2 * kSecond);
  EXPECT_EQ(TierOf("a"), Tier::kNear);
  SetAge(500);
  AwaitQuestion();
  SetAge(10'000);
  Put("a");
  clock_.Advance(kSecond);
  EXPECT_EQ(TierOf("a"), Tier::kStore) << "others may have been told of the shorter one by now";
}

TEST_F(NearMembershipTest, WhoServesNothingByItsAgeIsNoMember) {
  store_.Answer(absl::UnavailableError("away"));
  SetAge(0);
  scheduler_.Advance(10 * kSecond);
  EXPECT_TRUE(store_.asked.empty());
  SetAge(1'000);
  scheduler_.Advance(kSecond);
  EXPECT_FALSE(store_.asked.empty());
}

// COHERENCE S1: while changes are told, others wait for an acknowledgement alone.
TEST_F(NearMembershipTest, WhileChangesAreToldNothingIsServedByItsAge) {
  NearLeases leases(&engine_, kSecond, &registry_, &membership_);
  Join();
  Put("a");
  AwaitQuestion();
  leases.OnBegin();
  EXPECT_EQ(TierOf("a"), Tier::kStore);
  store_.Answer(Registration{.was_member = true});
  EXPECT_EQ(TierOf("a"), Tier::kStore) << "the answer to an earlier question";
  scheduler_.Advance(5 * kSecond);
  EXPECT_TRUE(store_.asked.empty());
  leases.OnLost();
  Put("a");
  EXPECT_EQ(TierOf("a"), Tier::kStore);
  ASSERT_EQ(store_.asked.size(), 1u) << "at once";
  store_.Answer(Registration{.was_member = true});
  EXPECT_EQ(TierOf("a"), Tier::kStore) << "others did not wait for its age until now";
  EXPECT_EQ(TierOf("a"), Tier::kNear);
}

}  // namespace
}  // namespace larder
