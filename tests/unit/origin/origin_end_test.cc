// The end: whatever is under way, everybody is told once.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "server/engine/scheduler.h"
#include "tests/support/eventually.h"
#include "tests/unit/origin/origin_fixture.h"

namespace larder {
namespace {

const absl::Status kEnded = absl::UnavailableError("the origin is no longer asked: the server is shutting down");

using OriginEndTest = GrpcOriginTest;

TEST_F(OriginEndTest, EveryLoadIsToldOnce) {
  settings().max_concurrent = 2;
  Load("under way 1");
  Load("under way 2");
  server_.AwaitLoad();
  server_.AwaitLoad();
  Load("queued");
  LoadAs("joined", "queued");
  origin().Shutdown();
  Load("after");
  for (const std::string name : {"under way 1", "under way 2", "queued", "joined", "after"}) {
    ASSERT_EQ(loads_.Count(name), 1) << name;
    EXPECT_EQ(AwaitStatus(name), kEnded) << name;
  }
}

TEST_F(OriginEndTest, WhatWaitsForItsBatchIsToldOnceThoughTheTimerFiresLater) {
  settings().batch_delay_ms = 5;
  Load("a");
  origin().Shutdown();
  EXPECT_EQ(AwaitStatus("a"), kEnded);
  scheduler_.Advance(5 * kMilli);
  origin_.reset();
  scheduler_.Advance(5 * kMilli);
  EXPECT_EQ(loads_.Count("a"), 1);
  EXPECT_EQ(server_.arrived(), 0);
}

TEST_F(OriginEndTest, ATimerMayOutliveTheOrigin) {
  settings().batch_delay_ms = 5;
  Load("a");
  origin_.reset();
  EXPECT_EQ(scheduler_.waiting(), 1);
  scheduler_.Advance(5 * kMilli);
  EXPECT_EQ(loads_.Count("a"), 1);
}

TEST_F(OriginEndTest, MetricsMayBeReadAfterwards) {
  Load("a");
  server_.AwaitLoad();
  origin_.reset();
  EXPECT_EQ(Metric("cache_origin_queued"), 0);
  EXPECT_EQ(Metric("cache_origin_calls_total", "failed"), 1);
}

TEST_F(OriginEndTest, AStreamThatIsWaitedForEnds) {
  std::atomic<bool> begun{false};
  server_.set_stream(
      [&](grpc::ServerContext* context, const v1::EnumerateRequest&, grpc::ServerWriter<v1::EnumerateResponse>*) {
        begun = true;
        Eventually([&] { return context->IsCancelled(); });
        return grpc::Status::OK;
      });
  Answers<absl::Status> ends;
  const auto take = [](const std::vector<std::string>&) { return true; };
  origin().Enumerate("", 0, take, ends.For("under way"));
  ASSERT_TRUE(Eventually([&] { return begun.load(); }));
  origin().Shutdown();
  ASSERT_EQ(ends.Count("under way"), 1);
  EXPECT_EQ(ends.Await("under way"),
            absl::UnavailableError("the origin's keys are no longer asked for: the server is shutting down"));
  origin().Enumerate("", 0, take, ends.For("after"));
  EXPECT_EQ(ends.Await("after"), kEnded);
}

// Loads from many threads while the policy changes and the end comes.
TEST_F(OriginEndTest, ManyThreadsAreEachToldOnce) {
  constexpr int kThreads = 4;
  constexpr int kLoads = 400;
  server_.AnswerByItself();
  settings().max_concurrent = 3;
  settings().batch_keys = 7;
  origin();
  std::atomic<int> told[kThreads * kLoads] = {};
  std::atomic<int> answered{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kLoads; ++i) {
        std::atomic<int>& count = told[thread * kLoads + i];
        origin_->Load(std::to_string(i % 50), [&](const absl::StatusOr<OriginValue>& answer) {
          ++count;
          if (answer.ok()) ++answered;
        });
      }
    });
  }
  while (answered < 100) origin_->ReplacePolicy(policy_);
  origin_->Shutdown();
  for (std::thread& thread : threads) thread.join();
  for (const std::atomic<int>& count : told) EXPECT_EQ(count.load(), 1);
}

}  // namespace
}  // namespace larder
