#include "server/origin/origin_breaker.h"

#include "gtest/gtest.h"

namespace larder {
namespace {

constexpr int kFailuresToOpen = 2;

// One that has failed twice at 0 and is open until 100.
OriginBreaker Open() {
  OriginBreaker breaker;
  for (int i = 0; i < kFailuresToOpen; ++i) {
    breaker.Failed(breaker.Begin(), absl::UnavailableError("gone"), kFailuresToOpen, 100);
  }
  return breaker;
}

TEST(OriginBreakerTest, OpensAfterSoManyFailuresInARow) {
  OriginBreaker breaker;
  EXPECT_FALSE(breaker.Failed(breaker.Begin(), absl::UnavailableError("a"), kFailuresToOpen, 100));
  breaker.Succeeded(breaker.Begin());
  EXPECT_FALSE(breaker.Failed(breaker.Begin(), absl::UnavailableError("b"), kFailuresToOpen, 100));
  EXPECT_TRUE(breaker.Admits(0).ok());
  EXPECT_TRUE(breaker.Failed(breaker.Begin(), absl::UnavailableError("c"), kFailuresToOpen, 100));
  EXPECT_EQ(breaker.Admits(99), absl::UnavailableError("the origin is left alone after failures: c"));
  EXPECT_EQ(breaker.state(), OriginBreaker::State::kOpen);
}

TEST(OriginBreakerTest, LetsOneCallTryAfterThePause) {
  OriginBreaker breaker = Open();
  EXPECT_TRUE(breaker.Admits(100).ok());
  const OriginBreaker::Ticket probe = breaker.Begin();
  EXPECT_EQ(breaker.state(), OriginBreaker::State::kProbing);
  EXPECT_FALSE(breaker.Admits(1000).ok());
  breaker.Succeeded(probe);
  EXPECT_TRUE(breaker.Admits(1000).ok());
  EXPECT_EQ(breaker.state(), OriginBreaker::State::kClosed);
}

TEST(OriginBreakerTest, OneFailureOfTheProbeOpensItAnew) {
  OriginBreaker breaker = Open();
  EXPECT_TRUE(breaker.Failed(breaker.Begin(), absl::UnavailableError("still"), kFailuresToOpen, 300));
  EXPECT_EQ(breaker.Admits(299), absl::UnavailableError("the origin is left alone after failures: still"));
  EXPECT_TRUE(breaker.Admits(300).ok());
}

TEST(OriginBreakerTest, WhatBeganBeforeItTurnedSaysNothing) {
  OriginBreaker breaker;
  const OriginBreaker::Ticket early = breaker.Begin();
  for (int i = 0; i < kFailuresToOpen; ++i) {
    breaker.Failed(breaker.Begin(), absl::UnavailableError("gone"), kFailuresToOpen, 100);
  }
  breaker.Succeeded(early);
  EXPECT_FALSE(breaker.Admits(99).ok());
  breaker.Begin();
  EXPECT_FALSE(breaker.Failed(early, absl::UnavailableError("late"), kFailuresToOpen, 500));
  EXPECT_EQ(breaker.state(), OriginBreaker::State::kProbing);
}

TEST(OriginBreakerTest, ForgetsEverythingWhenItIsReset) {
  OriginBreaker breaker = Open();
  breaker.Reset();
  EXPECT_TRUE(breaker.Admits(0).ok());
  EXPECT_FALSE(breaker.Failed(breaker.Begin(), absl::UnavailableError("a"), kFailuresToOpen, 100));
}

}  // namespace
}  // namespace larder
