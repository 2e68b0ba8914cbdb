// How an origin that fails is left alone, and found again.
#include <string>

#include "tests/unit/origin/origin_fixture.h"

namespace larder {
namespace {

using ::testing::ElementsAre;

const absl::Status kLeftAlone =
    absl::UnavailableError("the origin is left alone after failures: the origin failed the call: INTERNAL: broken");

class OriginBreakingTest : public GrpcOriginTest {
 protected:
  OriginBreakingTest() {
    settings().breaker_failures = 2;
    settings().breaker_pause_ms = 1'000;
  }

  void FailOne(const std::string& key) {
    Load(key);
    server_.AwaitLoad()->Fail(grpc::StatusCode::INTERNAL, "broken");
    EXPECT_EQ(AwaitStatus(key), absl::UnknownError("the origin failed the call: INTERNAL: broken"));
  }
  double Breaker() { return Metric("cache_origin_breaker_state"); }
};

TEST_F(OriginBreakingTest, OpensAfterFailedCallsAndFailsAtOnce) {
  FailOne("a");
  EXPECT_EQ(Breaker(), 0);
  FailOne("b");
  EXPECT_EQ(Breaker(), 2);
  Load("c");
  EXPECT_EQ(AwaitStatus("c"), kLeftAlone);
  EXPECT_EQ(server_.arrived(), 0);
}

TEST_F(OriginBreakingTest, WhatWaitsFailsWhenItOpens) {
  settings().max_concurrent = 1;
  FailOne("a");
  Load("b");
  const auto call = server_.AwaitLoad();
  Load("waits");
  call->Fail(grpc::StatusCode::INTERNAL, "broken");
  EXPECT_EQ(AwaitStatus("waits"), kLeftAlone);
}

TEST_F(OriginBreakingTest, OneCallTriesAfterThePauseAndItsSuccessCloses) {
  FailOne("a");
  FailOne("b");
  scheduler_.Advance(1'000 * kMilli - 1);
  Load("early");
  EXPECT_EQ(AwaitStatus("early"), kLeftAlone);
  scheduler_.Advance(1);
  Load("probe");
  const auto probe = server_.AwaitLoad();
  EXPECT_EQ(Breaker(), 1);
  Load("meanwhile");
  EXPECT_EQ(AwaitStatus("meanwhile"), kLeftAlone);
  probe->AnswerWithValues();
  EXPECT_EQ(AwaitValue("probe"), "probe's value");
  EXPECT_EQ(Breaker(), 0);
  Load("after");
  server_.AwaitLoad()->AnswerWithValues();
  EXPECT_EQ(AwaitValue("after"), "after's value");
}

TEST_F(OriginBreakingTest, AFailureOfTheTryOpensItAnew) {
  FailOne("a");
  FailOne("b");
  scheduler_.Advance(1'000 * kMilli);
  FailOne("probe");
  Load("c");
  EXPECT_EQ(AwaitStatus("c"), kLeftAlone);
  scheduler_.Advance(1'000 * kMilli);
  Load("second probe");
  server_.AwaitLoad()->AnswerWithValues();
  EXPECT_EQ(AwaitValue("second probe"), "second probe's value");
}

TEST_F(OriginBreakingTest, WhatGathersAfterThePauseButDoesNotFitTheTryWaitsForItsEnd) {
  settings().batch_keys = 2;
  settings().batch_delay_ms = 5;
  for (const char* key : {"a", "b"}) {
    Load(key);
    scheduler_.Advance(5 * kMilli);
    server_.AwaitLoad()->Fail(grpc::StatusCode::INTERNAL, "broken");
    EXPECT_FALSE(AwaitStatus(key).ok());
  }
  scheduler_.Advance(1'000 * kMilli);
  for (const char* key : {"c", "d"}) Load(key);
  const auto probe = server_.AwaitLoad();
  EXPECT_THAT(probe->keys(), ElementsAre("c", "d"));
  probe->AnswerWithValues();
  EXPECT_EQ(AwaitValue("d"), "d's value");
}

TEST_F(OriginBreakingTest, AKeysOwnErrorIsNoFailedCall) {
  for (int i = 0; i < 5; ++i) {
    const std::string key = "key " + std::to_string(i);
    Load(key);
    v1::LoadResponse response;
    response.add_results()->set_error("no");
    server_.AwaitLoad()->Answer(response);
    EXPECT_EQ(AwaitStatus(key), absl::UnknownError("no"));
  }
  EXPECT_EQ(Breaker(), 0);
}

TEST_F(OriginBreakingTest, AnAnswerOfTheWrongSizeIsAFailedCall) {
  for (const std::string key : {"a", "b"}) {
    Load(key);
    server_.AwaitLoad()->Answer({});
    EXPECT_EQ(AwaitStatus(key), absl::FailedPreconditionError("the origin answered 1 keys with 0 results"));
  }
  EXPECT_EQ(Breaker(), 2);
}

TEST_F(OriginBreakingTest, AnotherTargetIsBegunWithAfresh) {
  FailOne("a");
  FailOne("b");
  OriginServer other;
  settings().target = other.target();
  origin().ReplacePolicy(policy_);
  Load("c");
  other.AwaitLoad()->AnswerWithValues();
  EXPECT_EQ(AwaitValue("c"), "c's value");
}

TEST_F(OriginBreakingTest, IsNotEnumeratedWhileItIsLeftAlone) {
  FailOne("a");
  FailOne("b");
  Answers<absl::Status> ends;
  origin().Enumerate(
      "", 0, [](const std::vector<std::string>&) { return true; }, ends.For("stream"));
  EXPECT_EQ(ends.Await("stream"), kLeftAlone);
}

TEST_F(OriginBreakingTest, FindsAnOriginThatCameBackOnTheSamePort) {
  Load("before");
  server_.AwaitLoad()->AnswerWithValues();
  EXPECT_EQ(AwaitValue("before"), "before's value");
  server_.Stop();
  for (const std::string key : {"a", "b"}) {
    Load(key);
    EXPECT_EQ(AwaitStatus(key).code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_EQ(Breaker(), 2);
  server_.Restart();
  scheduler_.Advance(1'000 * kMilli);
  Load("after");
  server_.AwaitLoad()->AnswerWithValues();
  EXPECT_EQ(AwaitValue("after"), "after's value");
  EXPECT_EQ(Breaker(), 0);
}

}  // namespace
}  // namespace larder
