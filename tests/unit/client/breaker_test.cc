#include "client/src/breaker.h"

#include <chrono>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/manual_clock.h"

namespace larder::internal {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using Verdict = Breaker::Verdict;

class States : public Observer {
 public:
  void OnState(ServiceState state, const absl::Status& why) override {
    seen.push_back(state);
    last = why;
  }

  std::vector<ServiceState> seen;
  absl::Status last;
};

class BreakerTest : public ::testing::Test {
 protected:
  void Fail(int times) {
    for (int i = 0; i < times; ++i) breaker_.OnFailure(breaker_.Admit(), absl::UnavailableError("no route"));
  }

  ManualClock clock_;
  States states_;
  Breaker breaker_{{.consecutive_failures = 3, .open_for = milliseconds(100)}, &clock_, &states_};
};

TEST_F(BreakerTest, OpensAtTheGivenFailureInARow) {
  Fail(2);
  EXPECT_EQ(breaker_.Admit(), Verdict::kCall);
  Fail(1);
  EXPECT_EQ(breaker_.Admit(), Verdict::kRefuse);
  EXPECT_EQ(breaker_.state(), ServiceState::kDown);
  EXPECT_THAT(states_.seen, ElementsAre(ServiceState::kDown));
  EXPECT_EQ(states_.last.message(), "no route");
  EXPECT_EQ(breaker_.reason().message(), "no route");
}

TEST_F(BreakerTest, ASuccessBetweenBeginsTheCountAnew) {
  Fail(2);
  breaker_.OnSuccess(breaker_.Admit());
  Fail(2);
  EXPECT_EQ(breaker_.state(), ServiceState::kUp);
}

TEST_F(BreakerTest, LetsOneProbeThroughAndClosesWhenItSucceeds) {
  Fail(3);
  clock_.Advance(99 * kNanosPerMilli);
  EXPECT_EQ(breaker_.Admit(), Verdict::kRefuse);
  clock_.Advance(kNanosPerMilli);
  EXPECT_EQ(breaker_.Admit(), Verdict::kProbe);
  EXPECT_EQ(breaker_.Admit(), Verdict::kRefuse);
  breaker_.OnSuccess(Verdict::kProbe);
  EXPECT_EQ(breaker_.Admit(), Verdict::kCall);
  EXPECT_TRUE(breaker_.reason().ok());
  EXPECT_THAT(states_.seen, ElementsAre(ServiceState::kDown, ServiceState::kProbing, ServiceState::kUp));
  Fail(2);  // the count began anew too
  EXPECT_EQ(breaker_.state(), ServiceState::kUp);
}

TEST_F(BreakerTest, AProbeThatFailsOpensItForAsLongAgain) {
  Fail(3);
  clock_.Advance(100 * kNanosPerMilli);
  breaker_.OnFailure(breaker_.Admit(), absl::UnavailableError("still no route"));
  EXPECT_EQ(breaker_.Admit(), Verdict::kRefuse);
  EXPECT_EQ(breaker_.reason().message(), "still no route");
  clock_.Advance(100 * kNanosPerMilli);
  EXPECT_EQ(breaker_.Admit(), Verdict::kProbe);
}

TEST_F(BreakerTest, AProbeThatTeachesNothingIsFollowedByAnother) {
  Fail(3);
  clock_.Advance(100 * kNanosPerMilli);
  breaker_.OnNothingLearned(breaker_.Admit());
  EXPECT_EQ(breaker_.Admit(), Verdict::kProbe);
  EXPECT_THAT(states_.seen,
              ElementsAre(ServiceState::kDown, ServiceState::kProbing, ServiceState::kDown, ServiceState::kProbing));
}

TEST_F(BreakerTest, AProbeThatDoesNotEndIsJoinedByAnother) {
  Fail(3);
  clock_.Advance(100 * kNanosPerMilli);
  const Verdict slow = breaker_.Admit();
  EXPECT_EQ(slow, Verdict::kProbe);
  clock_.Advance(99 * kNanosPerMilli);
  EXPECT_EQ(breaker_.Admit(), Verdict::kRefuse);
  clock_.Advance(kNanosPerMilli);
  EXPECT_EQ(breaker_.Admit(), Verdict::kProbe);
  breaker_.OnSuccess(Verdict::kProbe);
  breaker_.OnFailure(slow, absl::UnavailableError("at last"));  // of an older day
  EXPECT_EQ(breaker_.state(), ServiceState::kUp);
}

TEST_F(BreakerTest, CallsFromBeforeItOpenedSayNothing) {
  Fail(3);
  clock_.Advance(90 * kNanosPerMilli);
  breaker_.OnFailure(Verdict::kCall, absl::UnavailableError("an old call"));
  breaker_.OnSuccess(Verdict::kCall);
  EXPECT_EQ(breaker_.state(), ServiceState::kDown);
  clock_.Advance(10 * kNanosPerMilli);
  EXPECT_EQ(breaker_.Admit(), Verdict::kProbe);  // they did not make it longer
}

TEST_F(BreakerTest, ZeroFailuresMeanNever) {
  Breaker never({.consecutive_failures = 0}, &clock_, nullptr);
  for (int i = 0; i < 1000; ++i) never.OnFailure(never.Admit(), absl::UnavailableError("x"));
  EXPECT_EQ(never.Admit(), Verdict::kCall);
}

}  // namespace
}  // namespace larder::internal
