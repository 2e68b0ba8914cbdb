// Leases, and waiting for those who have them.
#include <atomic>
#include <thread>

#include "tests/unit/engine/loading_fixture.h"
#include "tests/unit/engine/simulation/sim_network.h"

namespace larder {
namespace {

constexpr GetCommand kLeaseOrWait = {.key = "a", .wants_lease = true, .wait_ms = 5'000};

class LoaderTest : public LoadingTest {
 protected:
  LoaderTest() { Build(LoadingPolicy()); }
  FillToken LeaseOf(const char* key) { return Get({.key = key, .wants_lease = true}).lease.value_or(FillToken{}); }
};

// COHERENCE P3.
TEST_F(LoaderTest, OfAThousandMissesOneGetsTheLeaseAndItsFillAnswersTheOthers) {
  store_.hold_calls = true;
  for (int i = 0; i < 1'000; ++i) StartGet(kLeaseOrWait);
  store_.hold_calls = false;
  while (store_.held() > 0) store_.Release();
  ASSERT_EQ(gets_.answered(), 1u);
  ASSERT_TRUE(gets_[0]->lease.has_value());
  EXPECT_EQ(gets_[0]->lease_nanos, 10 * kNanosPerSecond);
  EXPECT_EQ(store_.reads, 1);
  EXPECT_EQ(space().loader().waiting(), 999);

  Pass(4'000);  // nobody asks meanwhile
  EXPECT_EQ(store_.reads, 1);
  EXPECT_EQ(store_.leases, 2);
  ASSERT_TRUE(Fill("a", "1", *gets_[0]->lease).applied);
  EXPECT_EQ(gets_.answered(), 1'000u);
  for (size_t i = 1; i < 1'000; ++i) ASSERT_EQ(ValueOf(*gets_[i]), "1");
  EXPECT_EQ(store_.reads, 2);
  EXPECT_EQ(Stats().leases, 1u);
  EXPECT_EQ(Stats().fills, 1u);
  EXPECT_EQ(space().loader().waiting(), 0);
}

TEST_F(LoaderTest, WhoComesWhileOthersWaitAsksTheStoreNothing) {
  const FillToken lease = LeaseOf("a");
  StartGet(kLeaseOrWait);
  const int reads = store_.reads;
  const int leases = store_.leases;
  for (int i = 0; i < 100; ++i) StartGet(kLeaseOrWait);
  EXPECT_EQ(store_.reads, reads);
  EXPECT_EQ(store_.leases, leases);
  ASSERT_TRUE(Fill("a", "1", lease).applied);
  EXPECT_EQ(gets_.answered(), 101u);
}

TEST_F(LoaderTest, ThreadsThatMissTogetherGetOneLease) {
  std::atomic<int> leases{0};
  std::atomic<int> hits{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 250; ++i) {
        engine_->Get({}, kLeaseOrWait, [&](absl::StatusOr<GetAnswer> answer) {
          if (answer->lease) ++leases;
          if (!answer->entry) return;
          ++hits;
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(leases, 1);
  SetCommand set;
  set.key = "a";
  set.value = "1";
  ASSERT_TRUE(Set(set).applied);
  EXPECT_EQ(hits, 999);
}

TEST_F(LoaderTest, WhenTheLeaseEndsTheNextOneGetsIt) {
  const FillToken dead = LeaseOf("a");
  StartGet({.key = "a", .wants_lease = true, .wait_ms = 20'000});
  StartGet({.key = "a", .wants_lease = true, .wait_ms = 20'000});
  Pass(9'999);
  EXPECT_EQ(gets_.answered(), 0u);
  Pass(1);
  ASSERT_EQ(gets_.answered(), 1u);
  ASSERT_TRUE(gets_.has(0)) << "the one that has waited longest is the first";
  EXPECT_FALSE(Fill("a", "old", dead).applied);
  EXPECT_TRUE(Fill("a", "1", *gets_[0]->lease).applied);
  EXPECT_EQ(ValueOf(*gets_[1]), "1");
  EXPECT_EQ(Stats().fills_aborted, 1u);
}

TEST_F(LoaderTest, WhoseWaitEndsIsToldAMissAndMayFill) {
  const FillToken lease = LeaseOf("a");
  StartGet({.key = "a", .wants_lease = true, .wait_ms = 100});
  Pass(99);
  EXPECT_EQ(gets_.answered(), 0u);
  Pass(1);
  ASSERT_EQ(gets_.answered(), 1u);
  EXPECT_FALSE(gets_[0]->entry);
  EXPECT_FALSE(gets_[0]->lease.has_value());
  ASSERT_TRUE(gets_[0]->as_of.has_value());
  EXPECT_TRUE(Fill("a", "1", *gets_[0]->as_of).applied);
  EXPECT_FALSE(Fill("a", "2", lease).applied);
  EXPECT_EQ(ValueOf(Get("a")), "1");
}

TEST_F(LoaderTest, TheRightOfWhoDidNotWaitEndsWithTheFill) {
  const FillToken lease = LeaseOf("a");
  const GetAnswer miss = Get({.key = "a", .wants_lease = true});
  ASSERT_TRUE(miss.as_of.has_value());
  ASSERT_TRUE(Fill("a", "1", lease).applied);
  EXPECT_FALSE(Fill("a", "2", *miss.as_of).applied);
}

// COHERENCE P2, E2.
TEST_F(LoaderTest, AnInvalidationEndsTheLeaseAndWakesWhoWaits) {
  const FillToken lease = LeaseOf("a");
  StartGet(kLeaseOrWait);
  Invalidate({.keys = {"a"}});
  ASSERT_EQ(gets_.answered(), 1u);
  ASSERT_TRUE(gets_[0]->lease.has_value());
  EXPECT_FALSE(Fill("a", "old", lease).applied);
  EXPECT_TRUE(Fill("a", "new", *gets_[0]->lease).applied);
}

TEST_F(LoaderTest, AReleasedLeaseGoesToTheNext) {
  const FillToken lease = LeaseOf("a");
  StartGet(kLeaseOrWait);
  EXPECT_TRUE(Release("a", lease));
  ASSERT_EQ(gets_.answered(), 1u);
  EXPECT_TRUE(gets_[0]->lease.has_value());
  EXPECT_FALSE(Release("a", lease)) << "it is another's now";
}

TEST_F(LoaderTest, WhoWantsNoLeaseDoesNotWait) {
  LeaseOf("a");
  EXPECT_EQ(ValueOf(Get({.key = "a", .wait_ms = 5'000})), "(miss)");
  EXPECT_EQ(Stats().waits, 0u);
}

TEST_F(LoaderTest, ALeaseThatCannotBeAskedForIsAnError) {
  store_.hold_calls = true;
  StartGet(kLeaseOrWait);
  store_.lost_answer = absl::UnavailableError("connection lost");
  store_.Release();  // the read; the question that follows is held
  store_.hold_calls = false;
  while (store_.held() > 0) store_.Release();
  ASSERT_EQ(gets_.answered(), 1u);
  EXPECT_EQ(gets_[0].status(), absl::UnavailableError("connection lost"));
  EXPECT_EQ(Stats().get_errors, 1u);
}

TEST_F(LoaderTest, ANegativeWaitIsRefused) {
  StartGet({.key = "a", .wait_ms = -1});
  EXPECT_EQ(gets_[0].status(), absl::InvalidArgumentError("wait_ms: must not be negative"));
  EXPECT_EQ(Stats().refused, 1u);
}

TEST_F(LoaderTest, WhoWaitsIsLetGoWhenTheServerStopsAndNobodyWaitsThen) {
  LeaseOf("a");
  StartGet(kLeaseOrWait);
  engine_->StopWaiting();
  ASSERT_EQ(gets_.answered(), 1u);
  EXPECT_EQ(ValueOf(*gets_[0]), "(miss)");
  EXPECT_EQ(ValueOf(Get(kLeaseOrWait)), "(miss)");
  EXPECT_EQ(space().loader().waiting(), 0);
}

TEST_F(LoadingTest, NoMoreWaitThanMay) {
  NamespacePolicy policy = LoadingPolicy();
  policy.max_waiters = 2;
  Build(policy);
  const GetAnswer leased = Get(kLeaseOrWait);
  StartGet(kLeaseOrWait);
  StartGet(kLeaseOrWait);
  EXPECT_EQ(gets_.answered(), 0u);
  EXPECT_EQ(ValueOf(Get(kLeaseOrWait)), "(miss)");
  ASSERT_TRUE(Fill("a", "1", *leased.lease).applied);
  EXPECT_EQ(gets_.answered(), 2u);
}

// Too many wait for one key: another is still leased.
TEST_F(LoadingTest, WhoNeedNotWaitGetsALeaseHoweverManyDo) {
  NamespacePolicy policy = LoadingPolicy();
  policy.max_waiters = 1;
  Build(policy);
  Get(kLeaseOrWait);
  StartGet(kLeaseOrWait);
  const GetAnswer refused = Get(kLeaseOrWait);
  EXPECT_TRUE(refused.as_of.has_value());
  EXPECT_TRUE(Get({.key = "b", .wants_lease = true, .wait_ms = 1'000}).lease.has_value());
}

// The store was slower than the wait: the lease is not lost for that.
TEST_F(LoaderTest, WhoseWaitEndsWhileTheLeaseIsAskedForStillGetsIt) {
  store_.hold_answers = true;
  StartGet({.key = "a", .wants_lease = true, .wait_ms = 1});
  store_.Release();  // the read
  Pass(10);
  EXPECT_EQ(gets_.answered(), 0u);
  store_.Release();  // the lease
  ASSERT_EQ(gets_.answered(), 1u);
  EXPECT_TRUE(gets_[0]->lease.has_value());
}

TEST_F(LoadingTest, NobodyWaitsLongerThanTheNamespaceAllows) {
  NamespacePolicy policy = LoadingPolicy();
  policy.max_wait_ms = 200;
  Build(policy);
  Get(kLeaseOrWait);
  StartGet(kLeaseOrWait);
  Pass(199);
  EXPECT_EQ(gets_.answered(), 0u);
  Pass(1);
  EXPECT_EQ(gets_.answered(), 1u);
}

TEST_F(LoaderTest, WhatIsKnownToBeAbsentIsAHitThatSaysSo) {
  SetCommand set;
  set.key = "a";
  set.absent = true;
  EXPECT_EQ(Set(set).ttl_ms, 30'000);
  const GetAnswer answer = Get({.key = "a", .wants_lease = true});
  ASSERT_TRUE(answer.entry);
  EXPECT_TRUE(answer.entry->meta().absent);
  EXPECT_EQ(answer.entry->value(), "");
  EXPECT_FALSE(answer.lease.has_value());
  EXPECT_EQ(Stats().absent_hits, 1u);
  Pass(30'000);
  EXPECT_TRUE(Get({.key = "a", .wants_lease = true}).lease.has_value());
}

// Three replicas over one store.
class ThreeReplicasTest : public LoadingTest {
 protected:
  static constexpr int kReplicas = 3;

  ThreeReplicasTest() {
    for (int i = 0; i < kReplicas; ++i) {
      NamespacePolicy policy = LoadingPolicy();
      policy.stale_for_ms = 60'000;
      counted_.push_back(std::make_unique<HeldStore>(network_.link(i)));
      counted_.back()->shared = true;
      registries_.push_back(std::make_unique<Registry>());
      engines_.push_back(
          std::make_unique<CacheEngine>(CacheEngine::Options{.near_capacity_bytes = 8 << 20,
                                                             .namespaces = {policy},
                                                             .version_seed = static_cast<uint64_t>(i) * 1'000'000,
                                                             .origins = {}},
                                        counted_.back().get(), &clock_, &scheduler_, registries_.back().get()));
    }
  }

  void Settle() {
    while (!network_.idle()) {
      if (network_.commands() > 0) network_.Execute();
      if (network_.answers() > 0) network_.Answer();
      if (network_.wakes() > 0) network_.Wake();
    }
  }
  CacheEngine& Any(int i) { return *engines_[static_cast<size_t>(i % kReplicas)]; }
  int Reads() const {
    int reads = 0;
    for (const auto& store : counted_) reads += store->reads;
    return reads;
  }
  int Leases() const {
    int leases = 0;
    for (const auto& store : counted_) leases += store->leases;
    return leases;
  }
  // Starts so many over all replicas; which of them got the lease.
  std::vector<size_t> ThousandGets() {
    for (int i = 0; i < 1'000; ++i) Any(i).Get({}, kLeaseOrWait, gets_.Next());
    Settle();
    std::vector<size_t> leased;
    for (size_t i = 0; i < gets_.size(); ++i) {
      if (gets_.has(i) && gets_[i].ok() && gets_[i]->lease.has_value()) leased.push_back(i);
    }
    return leased;
  }
  void SetBy(int replica, const SetCommand& set) {
    Answers<SetAnswer> answer;
    Any(replica).Set({}, set, answer.Next());
    Settle();
    ASSERT_TRUE(answer[0]->applied);
  }

  simulation::Rng rng_{1};
  simulation::Truth truth_{0};
  simulation::Counts counts_;
  simulation::SimNetwork network_{{.replicas = kReplicas, .log = nullptr}, &clock_, &rng_, &truth_, &counts_};
  std::vector<std::unique_ptr<HeldStore>> counted_;
  std::vector<std::unique_ptr<Registry>> registries_;
  std::vector<std::unique_ptr<CacheEngine>> engines_;
};

// COHERENCE P3.
TEST_F(ThreeReplicasTest, OfAThousandMissesInTheFleetOneGetsTheLeaseAndItsFillWakesAllReplicas) {
  const std::vector<size_t> leased = ThousandGets();
  ASSERT_EQ(leased.size(), 1u);
  EXPECT_EQ(gets_.answered(), 1u);
  EXPECT_EQ(Reads(), 3);
  const int leases = Leases();
  scheduler_.Advance(4 * kNanosPerSecond);
  Settle();
  EXPECT_EQ(Leases(), leases) << "asked again while the lease was held";

  SetCommand fill;
  fill.key = "a";
  fill.value = "1";
  const std::string truth_value = truth_.NewValue("a", false, truth_.now());
  fill.content_type = truth_value;
  fill.fill = gets_[leased[0]]->lease;
  SetBy(1, fill);
  EXPECT_EQ(gets_.answered(), 1'000u);
  for (size_t i = 0; i < gets_.size(); ++i) {
    if (i == leased[0]) continue;
    ASSERT_EQ(ValueOf(*gets_[i]), "1");
  }
  EXPECT_EQ(Reads(), 6) << "one more for each replica";
}

TEST_F(ThreeReplicasTest, OfAThousandReadsOfAStaleKeyInTheFleetOneGetsTheLease) {
  SetCommand set;
  set.key = "a";
  set.value = "old";
  const std::string truth_value2 = truth_.NewValue("a", false, 0);
  set.content_type = truth_value2;
  SetBy(0, set);
  scheduler_.Advance(100 * kNanosPerSecond);
  EXPECT_EQ(ThousandGets().size(), 1u);
  EXPECT_EQ(gets_.answered(), 1'000u);
  for (size_t i = 0; i < gets_.size(); ++i) {
    ASSERT_EQ(ValueOf(*gets_[i]), "old");
    ASSERT_TRUE(gets_[i]->stale);
  }
  EXPECT_LE(Leases(), 3) << "more than one question of a replica";
}

}  // namespace
}  // namespace larder
