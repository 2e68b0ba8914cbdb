// Namespaces whose values an origin loads.
#include "tests/support/store_calls.h"
#include "tests/unit/engine/loading_fixture.h"

namespace larder {
namespace {

// Answers when the test says so.
class HeldOrigin final : public Origin {
 public:
  void Load(std::string key, absl::AnyInvocable<void(absl::StatusOr<OriginValue>) &&> done) override {
    ++loads;
    asked_.emplace_back(std::move(key), std::move(done));
  }
  void Enumerate(std::string /*prefix*/, int64_t /*limit*/, absl::AnyInvocable<bool(std::vector<std::string>)> /*take*/,
                 absl::AnyInvocable<void(absl::Status) &&> done) override {
    std::move(done)(absl::OkStatus());
  }
  void Shutdown() override {}

  // Answers the oldest question.
  void Answer(absl::StatusOr<OriginValue> value) {
    ASSERT_FALSE(asked_.empty()) << "nothing was asked for";
    auto done = std::move(asked_.front().second);
    asked_.pop_front();
    std::move(done)(std::move(value));
  }
  void Answer(std::string_view value) {
    OriginValue loaded;
    loaded.value = value;
    Answer(std::move(loaded));
  }

  int loads = 0;

 private:
  std::deque<std::pair<std::string, absl::AnyInvocable<void(absl::StatusOr<OriginValue>) &&>>> asked_;
};

// Fresh for 1 s, stale for 2 s more, and if its load fails for 10 s in all.
class OriginLoadTest : public LoadingTest {
 protected:
  OriginLoadTest() {
    NamespacePolicy policy = LoadingPolicy();
    policy.default_ttl_ms = 1'000;
    policy.stale_for_ms = 2'000;
    policy.stale_if_error_ms = 10'000;
    policy.refresh_retry_ms = 500;
    policy.origin = OriginPolicy{.target = "held", .soft_timeout_ms = 250, .hard_timeout_ms = 5'000};
    Build(policy, &origin_);
  }

  void Load(std::string_view value) {
    StartGet({.key = "a"});
    origin_.Answer(value);
    ASSERT_EQ(ValueOf(*gets_[gets_.size() - 1]), value);
  }

  HeldOrigin origin_;
};

TEST_F(OriginLoadTest, AMissIsLoadedOnceForAllWhoWaitAndStored) {
  for (int i = 0; i < 1'000; ++i) StartGet({.key = "a"});
  EXPECT_EQ(origin_.loads, 1);
  EXPECT_EQ(gets_.answered(), 0u);
  origin_.Answer("1");
  ASSERT_EQ(gets_.answered(), 1'000u);
  for (size_t i = 0; i < 1'000; ++i) {
    ASSERT_EQ(ValueOf(*gets_[i]), "1");
    ASSERT_EQ(gets_[i]->tier, Tier::kOrigin);
  }
  EXPECT_EQ(gets_[0]->ttl_nanos, kNanosPerSecond);
  EXPECT_EQ(gets_[0]->hard_ttl_nanos, 3 * kNanosPerSecond);
  EXPECT_EQ(Get("a").tier, Tier::kNear);
  EXPECT_EQ(Get({.key = "a", .from_store = true}).tier, Tier::kStore);
  EXPECT_EQ(Stats().origin_loads, 1u);
  EXPECT_EQ(Stats().misses, 1'000u);
}

TEST_F(OriginLoadTest, DecidesTtlTagsAndAbsence) {
  StartGet({.key = "a"});
  OriginValue value;
  value.absent = true;
  value.ttl.ttl_ms = 7'000;
  value.stale_for_ms = 0;
  value.tags = {"t"};
  value.content_type = "text/x";
  origin_.Answer(value);
  const GetAnswer answer = Get("a");
  EXPECT_TRUE(answer.entry->meta().absent);
  EXPECT_EQ(answer.ttl_nanos, 7 * kNanosPerSecond);
  EXPECT_EQ(answer.hard_ttl_nanos, 7 * kNanosPerSecond);
  EXPECT_EQ(answer.entry->content_type(), "text/x");
  Invalidate({.tags = {"t"}});
  StartGet({.key = "a"});
  EXPECT_EQ(origin_.loads, 2);
}

TEST_F(OriginLoadTest, ASlowOneIsAMissToWhoWaitsAndIsStoredAllTheSame) {
  StartGet({.key = "a"});
  Pass(249);
  EXPECT_EQ(gets_.answered(), 0u);
  Pass(1);
  ASSERT_EQ(gets_.answered(), 1u);
  EXPECT_EQ(ValueOf(*gets_[0]), "(miss)");
  origin_.Answer("1");
  EXPECT_EQ(ValueOf(Get("a")), "1");
  EXPECT_EQ(origin_.loads, 1);
}

TEST_F(OriginLoadTest, AFailureIsAnErrorThatSaysWhy) {
  StartGet({.key = "a"});
  origin_.Answer(absl::UnknownError("no such table"));
  EXPECT_EQ(gets_[0].status(), absl::UnavailableError("origin: no such table"));
  EXPECT_EQ(Stats().origin_errors, 1u);
  StartGet({.key = "a"});
  EXPECT_EQ(origin_.loads, 2) << "its lease was given back";
}

TEST_F(OriginLoadTest, WhatIsStaleIsServedAtOnceAndLoadedBehind) {
  Load("old");
  Pass(1'000);
  for (int i = 0; i < 100; ++i) {
    const GetAnswer answer = Get("a");
    ASSERT_EQ(ValueOf(answer), "old");
    ASSERT_TRUE(answer.stale);
  }
  EXPECT_EQ(origin_.loads, 2);
  origin_.Answer("new");
  EXPECT_EQ(ValueOf(Get("a")), "new");
  EXPECT_FALSE(Get("a").stale);
}

// Also where this replica's own copy has gone meanwhile: the store has it.
TEST_F(OriginLoadTest, WhoReadsWhatIsBeingLoadedAnewIsAnsweredAtOnce) {
  Load("old");
  Pass(1'000);
  EXPECT_TRUE(Get("a").stale);
  ASSERT_EQ(origin_.loads, 2);
  space().near().Clear();
  const GetAnswer answer = Get("a");
  EXPECT_EQ(ValueOf(answer), "old");
  EXPECT_TRUE(answer.stale);
  EXPECT_EQ(answer.tier, Tier::kStore);
}

// One whose wait was over before the lease was granted.
TEST_F(OriginLoadTest, NobodyWaitsForALoadBeyondTheEndOfHisWait) {
  store_.hold_answers = true;
  StartGet({.key = "a", .wait_ms = 1});
  Pass(1);
  store_.Release();  // the read
  store_.Release();  // the lease
  ASSERT_EQ(origin_.loads, 1);
  ASSERT_EQ(gets_.answered(), 1u);
  EXPECT_EQ(ValueOf(*gets_[0]), "(miss)");
}

TEST_F(OriginLoadTest, WhatIsStaleGoesOnBeingServedWhileItFailsForABoundedTime) {
  Load("old");
  Pass(1'000);
  Get("a");
  origin_.Answer(absl::UnavailableError("down"));
  EXPECT_EQ(ValueOf(Get("a")), "old");
  EXPECT_EQ(origin_.loads, 2) << "asked again before its pause was over";
  Pass(9'999);
  EXPECT_EQ(ValueOf(Get("a")), "old");
  EXPECT_EQ(origin_.loads, 3);
  origin_.Answer(absl::UnavailableError("down"));
  Pass(1);
  StartGet({.key = "a"});
  EXPECT_FALSE(gets_.has(gets_.size() - 1));
  EXPECT_EQ(origin_.loads, 4);
}

TEST_F(OriginLoadTest, WhatIsNotToBeCachedIsAnsweredAndLoadedAgain) {
  StartGet({.key = "a"});
  StartGet({.key = "a"});
  OriginValue value;
  value.value = "1";
  value.do_not_cache = true;
  origin_.Answer(value);
  ASSERT_EQ(gets_.answered(), 2u);
  EXPECT_EQ(ValueOf(*gets_[0]), "1");
  EXPECT_EQ(ValueOf(*gets_[1]), "1");
  EXPECT_EQ(gets_[0]->ttl_nanos, 0) << "nor may the caller keep it";
  StartGet({.key = "a"});
  EXPECT_EQ(origin_.loads, 2);
}

// COHERENCE P2.
TEST_F(OriginLoadTest, WhatWasLoadedBeforeAnInvalidationIsLoadedAgain) {
  for (const bool do_not_cache : {false, true}) {
    const size_t get = gets_.size();
    StartGet({.key = "b"});
    Invalidate({.keys = {"b"}});
    OriginValue before;
    before.value = "from before";
    before.do_not_cache = do_not_cache;
    origin_.Answer(before);
    EXPECT_FALSE(gets_.has(get));
    origin_.Answer("new");
    ASSERT_TRUE(gets_.has(get));
    EXPECT_EQ(ValueOf(*gets_[get]), "new");
    Invalidate({.all = true});
  }
}

// COHERENCE P1 (b), N4: what this replica is not told is in what it serves once it is older than a near entry may be.
TEST_F(OriginLoadTest, WhoComesLongAfterALoadBeganIsNotAnsweredByIt) {
  store_.shared = true;
  StartGet({.key = "a"});
  EraseRequest by_another;
  by_another.name_space = "default";
  by_another.keys = {"a"};
  ASSERT_TRUE(EraseNow(embedded_, by_another).ok());
  Pass(1'000);
  StartGet({.key = "a"});
  OriginValue before;
  before.value = "from before";
  before.do_not_cache = true;
  origin_.Answer(before);
  EXPECT_FALSE(gets_.has(1));
  origin_.Answer("new");
  ASSERT_TRUE(gets_.has(1));
  EXPECT_EQ(ValueOf(*gets_[1]), "new");
}

TEST_F(OriginLoadTest, NobodyElseIsGivenALease) {
  StartGet({.key = "a", .wants_lease = true});
  EXPECT_EQ(gets_[0].status(),
            absl::InvalidArgumentError("want_lease: the namespace has an origin, which loads by itself"));
}

TEST_F(OriginLoadTest, ABatchLoadsWhatItMisses) {
  Load("1");
  Answers<std::vector<BatchGetItem>> batch;
  engine_->BatchGet({}, {.keys = {"a", "b", "c"}}, batch.Next());
  EXPECT_EQ(batch.answered(), 0u);
  EXPECT_EQ(origin_.loads, 3);
  origin_.Answer("2");
  origin_.Answer(absl::UnavailableError("down"));
  ASSERT_EQ(batch.answered(), 1u);
  EXPECT_EQ(ValueOf((*batch[0])[0].answer), "1");
  EXPECT_EQ(ValueOf((*batch[0])[1].answer), "2");
  EXPECT_FALSE((*batch[0])[2].available);
}

TEST_F(OriginLoadTest, AValueBeyondTheLimitsIsAFailure) {
  StartGet({.key = "a"});
  origin_.Answer(std::string((size_t{1} << 20) + 1, 'x'));
  EXPECT_EQ(gets_[0].status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(gets_[0].status().message().substr(0, 8), "origin: ");
}

}  // namespace
}  // namespace larder
