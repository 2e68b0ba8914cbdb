#include "server/engine/sweeper.h"

#include "absl/strings/str_cat.h"
#include "tests/support/passing_store.h"
#include "tests/support/store_calls.h"
#include "tests/unit/engine/loading_fixture.h"

namespace larder {
namespace {

// Answers steps of sweeps otherwise than the store would.
class StepStore final : public PassingStore {
 public:
  using PassingStore::PassingStore;

  void EraseDead(EraseDeadRequest request, StoreCallback<EraseDeadResult> done) override {
    PassingStore::EraseDead(std::move(request), [this, done = std::move(done)](auto result) mutable {
      result->has_seen_all = has_seen_all;
      result->mine = mine;
      std::move(done)(std::move(result));
    });
  }

  bool has_seen_all = true;
  bool mine = true;
};

class SweeperTest : public LoadingTest {
 protected:
  SweeperTest() {
    NamespacePolicy policy = LoadingPolicy();
    policy.default_ttl_ms = 3'600'000;
    Build(policy);
  }

  // 100 keys, of which every fourth has the tag.
  void PutAHundred() {
    for (int i = 0; i < 100; ++i) {
      const std::string key = absl::StrCat("k", i);
      SetCommand set;
      set.key = key;
      set.value = key;
      if (i % 4 == 0) set.tags = {"t"};
      ASSERT_TRUE(Set(set).applied);
    }
  }
  void StartSweeper(int max_keys_per_second = 12'000, int step_keys = 500) {
    Sweeper::Options options;
    options.max_keys_per_second = max_keys_per_second;
    options.step_keys = step_keys;
    options.id = 1;
    sweeper_ = std::make_unique<Sweeper>(options, engine_.get(), &steps_, &clock_, &scheduler_, &registry_);
    sweeper_->Start();
  }
  Sweeper::Progress Progress() const { return sweeper_->progress()[0]; }
  int64_t KeysStored() { return DescribeNow(embedded_)->keys; }

  StepStore steps_{&store_};
  std::unique_ptr<Sweeper> sweeper_;
};

TEST_F(SweeperTest, FreesWhatIsDeadAndNothingElse) {
  PutAHundred();
  StartSweeper();
  Invalidate({.tags = {"t"}, .patterns = {"k?"}});
  EXPECT_TRUE(Progress().pending);
  EXPECT_EQ(KeysStored(), 100);
  Pass(4'999);
  EXPECT_EQ(KeysStored(), 100);
  Pass(1'001);
  // 25 by the tag, of k0 to k9 all, and 3 of those are tagged.
  EXPECT_EQ(KeysStored(), 100 - 25 - 7);
  EXPECT_EQ(Progress().removed, 32);
  EXPECT_EQ(Progress().scanned, 100);
  EXPECT_FALSE(Progress().running);
  EXPECT_FALSE(Progress().pending);
  EXPECT_EQ(Stats().swept, 32u);
  EXPECT_EQ(ValueOf(Get("k11")), "k11");
  EXPECT_EQ(ValueOf(Get("k12")), "(miss)");
}

TEST_F(SweeperTest, DoesNothingWhileNothingIsInvalidated) {
  PutAHundred();
  StartSweeper();
  Invalidate({.tags = {"t"}, .soft = true});
  Pass(60'000);
  EXPECT_EQ(Progress().scanned, 0);
  EXPECT_EQ(KeysStored(), 100);
}

// COHERENCE C4.
TEST_F(SweeperTest, RetiresPatternsInTheStoreAtOnceAndHereWhenNoReadCanBeOlder) {
  PutAHundred();
  StartSweeper();
  Invalidate({.patterns = {"k?"}});
  EXPECT_EQ(space().clock().patterns(), 1u);
  Pass(6'000);
  EXPECT_EQ(ReadControlNow(embedded_, "default", {})->stamps, std::vector<Stamp>{});
  EXPECT_GT(space().clock().floor(), 0u);
  EXPECT_EQ(space().clock().patterns(), 1u);
  Pass(80'000);
  EXPECT_EQ(space().clock().patterns(), 0u);
  EXPECT_EQ(ValueOf(Get("k1")), "(miss)");
  EXPECT_EQ(ValueOf(Get("k11")), "k11");
}

// COHERENCE C4: what was loaded before the sweep began is not stored after it.
TEST_F(SweeperTest, AFillFromBeforeTheSweepIsNotStored) {
  const FillToken lease = *Get({.key = "a", .wants_lease = true}).lease;
  StartSweeper();
  Invalidate({.patterns = {"z*"}});
  Pass(6'000);
  EXPECT_FALSE(Fill("a", "1", lease).applied);
}

TEST_F(SweeperTest, LooksAtNoMoreKeysASecondThanItMay) {
  PutAHundred();
  StartSweeper(/*max_keys_per_second=*/100, /*step_keys=*/10);
  Invalidate({.tags = {"t"}});
  Pass(5'000);
  int64_t last = Progress().scanned;
  int64_t looked = 0;
  for (int tenth = 0; tenth < 9; ++tenth) {
    EXPECT_TRUE(Progress().running) << tenth;
    Pass(100);
    EXPECT_LE(Progress().scanned - last, 10) << tenth;
    looked += Progress().scanned - last;
    last = Progress().scanned;
  }
  EXPECT_GT(looked, 50);
  Pass(1'000);
  EXPECT_FALSE(Progress().running);
  EXPECT_EQ(Progress().removed, 25);
  EXPECT_GE(Progress().elapsed_nanos, 900 * kNanosPerMilli);
}

TEST_F(SweeperTest, LeavesToAnotherWhatThatOneSweeps) {
  PutAHundred();
  StartSweeper();
  Invalidate({.tags = {"t"}});
  SweepRequest other{.name_space = "default",
                     .step = SweepRequest::Step::kBegin,
                     .sweeper = 2,
                     .lease_nanos = 20 * kNanosPerSecond,
                     .fence = {},
                     .known = {},
                     .deadline_nanos = 0};
  ASSERT_TRUE(SweepNow(embedded_, other)->mine);
  Pass(15'000);
  EXPECT_EQ(KeysStored(), 100);
  EXPECT_TRUE(Progress().pending);
  // The other has died: its right ends.
  Pass(10'000);
  EXPECT_EQ(KeysStored(), 75);
}

// COHERENCE C4: a stamp is forgotten once everything that it may concern has been looked at, and not before.
TEST_F(SweeperTest, RetiresNothingWhereNotAllWasSeenOrTheSweepIsNotItsOwnAnyMore) {
  PutAHundred();
  StartSweeper();
  Invalidate({.patterns = {"k?"}});
  for (bool* held_up : {&steps_.has_seen_all, &steps_.mine}) {
    *held_up = false;
    Pass(40'000);
    EXPECT_TRUE(Progress().pending);
    EXPECT_EQ(ReadControlNow(embedded_, "default", {})->stamps.size(), 1u);
    *held_up = true;
  }
  Pass(40'000);
  EXPECT_FALSE(Progress().pending);
  EXPECT_EQ(ReadControlNow(embedded_, "default", {})->stamps.size(), 0u);
}

TEST_F(SweeperTest, GivesUpWhereTheStoreFailsAndTriesAgain) {
  PutAHundred();
  StartSweeper();
  Invalidate({.tags = {"t"}});
  store_.failure = absl::UnavailableError("gone");
  Pass(6'000);
  EXPECT_FALSE(Progress().running);
  EXPECT_TRUE(Progress().pending);
  store_.failure = absl::OkStatus();
  Pass(5'000);
  EXPECT_EQ(KeysStored(), 75);
  EXPECT_FALSE(Progress().pending);
}

}  // namespace
}  // namespace larder
