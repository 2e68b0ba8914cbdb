// Which keys leave in which call, and when.
#include <string>

#include "tests/unit/origin/origin_fixture.h"

namespace larder {
namespace {

using ::testing::ElementsAre;

using OriginCallsTest = GrpcOriginTest;

TEST_F(OriginCallsTest, KeysThatArriveWithinTheDelayLeaveInOneCall) {
  settings().batch_delay_ms = 2;
  Load("a");
  scheduler_.Advance(kMilli);
  Load("b");
  EXPECT_EQ(server_.arrived(), 0);
  EXPECT_EQ(Metric("cache_origin_queued"), 2);
  scheduler_.Advance(kMilli);

  const auto call = server_.AwaitLoad();
  EXPECT_EQ(call->request().namespace_(), "shop");
  EXPECT_THAT(call->keys(), ElementsAre("a", "b"));
  call->AnswerWithValues();
  EXPECT_EQ(AwaitValue("a"), "a's value");
  EXPECT_EQ(AwaitValue("b"), "b's value");
  EXPECT_EQ(Metric("cache_origin_calls_total", "ok"), 1);
  EXPECT_EQ(Metric("cache_origin_keys_total", "value"), 2);
  EXPECT_EQ(Metric("cache_origin_queued"), 0);
}

TEST_F(OriginCallsTest, AFullBatchDoesNotWait) {
  settings().batch_delay_ms = 100;
  settings().batch_keys = 2;
  for (const char* key : {"a", "b", "c"}) Load(key);
  const auto full = server_.AwaitLoad();
  EXPECT_THAT(full->keys(), ElementsAre("a", "b"));
  scheduler_.Advance(100 * kMilli);
  const auto rest = server_.AwaitLoad();
  EXPECT_THAT(rest->keys(), ElementsAre("c"));
  rest->AnswerWithValues();
  full->AnswerWithValues();
  for (const std::string key : {"a", "b", "c"}) EXPECT_EQ(AwaitValue(key), key + "'s value");
}

TEST_F(OriginCallsTest, EachBatchWaitsFromItsOwnFirstKey) {
  settings().batch_delay_ms = 10;
  settings().batch_keys = 2;
  Load("a");
  scheduler_.Advance(9 * kMilli);
  Load("b");
  Load("c");
  EXPECT_THAT(server_.AwaitLoad()->keys(), ElementsAre("a", "b"));
  scheduler_.Advance(kMilli);  // the timer that was set for a
  EXPECT_EQ(Metric("cache_origin_queued"), 1);
  scheduler_.Advance(9 * kMilli);
  EXPECT_THAT(server_.AwaitLoad()->keys(), ElementsAre("c"));
}

TEST_F(OriginCallsTest, AKeyThatIsAskedTwiceWhileItIsQueuedIsLoadedOnce) {
  settings().batch_delay_ms = 1;
  LoadAs("first", "a");
  LoadAs("second", "a");
  scheduler_.Advance(kMilli);
  const auto call = server_.AwaitLoad();
  EXPECT_THAT(call->keys(), ElementsAre("a"));
  call->AnswerWithValues();
  EXPECT_EQ(AwaitValue("first"), "a's value");
  EXPECT_EQ(AwaitValue("second"), "a's value");
}

// COHERENCE P2: what was there when the first call was sent may be older than an invalidation that the second asker
// knows of.
TEST_F(OriginCallsTest, AKeyWhoseCallHasLeftIsAskedForAnew) {
  LoadAs("first", "a");
  const auto before = server_.AwaitLoad();
  LoadAs("second", "a");
  const auto after = server_.AwaitLoad();
  v1::LoadResponse response;
  response.add_results()->set_value("new");
  after->Answer(response);
  EXPECT_EQ(AwaitValue("second"), "new");
  EXPECT_EQ(loads_.Count("first"), 0);
  before->AnswerWithValues();
  EXPECT_EQ(AwaitValue("first"), "a's value");
}

TEST_F(OriginCallsTest, NoMoreCallsAtOnceThanAreAllowed) {
  settings().max_concurrent = 2;
  Load("a");
  Load("b");
  Load("c");
  Load("d");
  const auto a = server_.AwaitLoad();
  const auto b = server_.AwaitLoad();
  EXPECT_EQ(Metric("cache_origin_queued"), 2);
  EXPECT_EQ(server_.arrived(), 0);
  b->AnswerWithValues();
  const auto both = server_.AwaitLoad();
  EXPECT_THAT(both->keys(), ElementsAre("c", "d"));
  both->AnswerWithValues();
  a->AnswerWithValues();
  for (const std::string key : {"a", "b", "c", "d"}) EXPECT_EQ(AwaitValue(key), key + "'s value");
}

TEST_F(OriginCallsTest, RefusesWhatTheQueueHasNoRoomFor) {
  settings().max_concurrent = 1;
  settings().max_queued = 2;
  Load("under way");
  const auto call = server_.AwaitLoad();
  Load("b");
  LoadAs("joined", "b");
  LoadAs("too many", "b");
  EXPECT_EQ(AwaitStatus("too many"), absl::ResourceExhaustedError("max_queued: 2 loads wait for the origin"));
  EXPECT_EQ(Metric("cache_origin_keys_total", "failed"), 1);
  call->AnswerWithValues();
  server_.AwaitLoad()->AnswerWithValues();
  EXPECT_EQ(AwaitValue("b"), "b's value");
  EXPECT_EQ(AwaitValue("joined"), "b's value");
}

TEST_F(OriginCallsTest, ACallThatIsNotAnsweredInTimeFails) {
  settings().hard_timeout_ms = 50;
  Load("a");
  server_.AwaitLoad();
  EXPECT_EQ(AwaitStatus("a"), absl::DeadlineExceededError("the origin did not answer within 50 ms"));
  EXPECT_EQ(Metric("cache_origin_calls_total", "timeout"), 1);
  EXPECT_EQ(Metric("cache_origin_keys_total", "failed"), 1);
}

TEST_F(OriginCallsTest, AKeyThatWaitedTooLongForACallFails) {
  settings().max_concurrent = 1;
  Load("a");
  const auto call = server_.AwaitLoad();
  Load("old");
  scheduler_.Advance(kMilli);
  Load("new");
  scheduler_.Advance(60'000 * kMilli);
  call->AnswerWithValues();
  EXPECT_EQ(AwaitStatus("old"), absl::DeadlineExceededError("no call of the origin was free within 60000 ms"));
  const auto next = server_.AwaitLoad();
  EXPECT_THAT(next->keys(), ElementsAre("new"));
}

TEST_F(OriginCallsTest, ABatchHasRoomForTheLargestValues) {
  options_.max_receive_bytes = 1 << 20;
  policy_.max_value_bytes = 300 << 10;
  settings().max_concurrent = 1;
  Load("a");
  const auto first = server_.AwaitLoad();
  for (const char* key : {"b", "c", "d", "e"}) Load(key);
  first->AnswerWithValues();
  const auto call = server_.AwaitLoad();
  EXPECT_THAT(call->keys(), ElementsAre("b", "c", "d"));
  v1::LoadResponse response;
  for (int i = 0; i < 3; ++i) response.add_results()->set_value(std::string(policy_.max_value_bytes, 'x'));
  call->Answer(response);
  EXPECT_EQ(AwaitValue("d").size(), policy_.max_value_bytes);
}

TEST_F(OriginCallsTest, MeasuresCalls) {
  Load("a");
  const auto call = server_.AwaitLoad();
  clock_.Advance(30 * kMilli);
  call->AnswerWithValues();
  EXPECT_EQ(AwaitValue("a"), "a's value");
  EXPECT_EQ(Metric("cache_origin_call_seconds_count"), 1);
  EXPECT_NEAR(Metric("cache_origin_call_seconds_sum"), 0.030, 0.003);
}

TEST_F(OriginCallsTest, ANewTargetIsCalledFromNowOn) {
  Load("a");
  const auto old_call = server_.AwaitLoad();
  OriginServer other;
  settings().target = other.target();
  origin().ReplacePolicy(policy_);
  Load("b");
  const auto new_call = other.AwaitLoad();
  EXPECT_THAT(new_call->keys(), ElementsAre("b"));
  new_call->AnswerWithValues();
  old_call->AnswerWithValues();
  EXPECT_EQ(AwaitValue("a"), "a's value");
  EXPECT_EQ(AwaitValue("b"), "b's value");
}

TEST_F(OriginCallsTest, NewLimitsHoldFromNowOn) {
  settings().max_concurrent = 1;
  Load("a");
  const auto first = server_.AwaitLoad();
  Load("b");
  EXPECT_EQ(server_.arrived(), 0);
  settings().max_concurrent = 2;
  origin().ReplacePolicy(policy_);
  server_.AwaitLoad()->AnswerWithValues();
  EXPECT_EQ(AwaitValue("b"), "b's value");
}

}  // namespace
}  // namespace larder
