#include "tests/bench/service/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/clock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "tests/bench/service/lane.h"
#include "tests/bench/service/processes.h"

namespace larder::bench {
namespace {

using testing::HasSubstr;

// Against the echo, which answers with the value of key 0 whatever it is asked for.
class LoadTest : public testing::Test {
 protected:
  void StartEcho(const std::vector<std::string>& more = {}) {
    std::vector<std::string> args = {"echo", "--value-bytes", "100"};
    args.insert(args.end(), more.begin(), more.end());
    auto echo = StartReference(args);
    ASSERT_TRUE(echo.ok()) << echo.status();
    echo_ = *std::move(echo);
    load_ = {
        .target = echo_->address(), .choice = &choice_, .values = &values_, .warm_up_seconds = 0.05, .seconds = 0.3};
  }

  const KeyChoice choice_{1, 0};
  const Values values_{100};
  std::unique_ptr<ListeningProcess> echo_;
  Load load_;
};

TEST_F(LoadTest, ClosedLoopCountsAndChecksAnswers) {
  StartEcho();
  const auto result = RunLoad(load_, {echo_->pid()});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->Check().ok()) << result->Check();
  EXPECT_GT(result->calls, 100u);
  EXPECT_EQ(result->latency.count(), result->calls);
  EXPECT_GE(result->seen.near, result->calls);  // those of the warm-up too
  EXPECT_EQ(result->seen.misses + result->refused + result->late + result->failed, 0u);
  ASSERT_EQ(result->cpu_seconds.size(), 2u);
  EXPECT_GT(result->cpu_seconds[0], 0);
  EXPECT_GT(result->cpu_seconds[1], 0);
}

TEST_F(LoadTest, AWrongValueIsFound) {
  StartEcho({"--wrong-every", "50"});
  const auto result = RunLoad(load_, {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_GT(result->seen.wrong, 0u);
  EXPECT_EQ(result->Check().code(), absl::StatusCode::kDataLoss);
}

TEST_F(LoadTest, AFailedCallIsToldOf) {
  StartEcho();
  load_.write_share = 1;  // which the echo does not have
  const auto result = RunLoad(load_, {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->calls, 0u);
  EXPECT_GT(result->failed, 0u);
  EXPECT_EQ(result->Check().code(), absl::StatusCode::kInternal);
}

TEST_F(LoadTest, OpenLoopMakesAsManyCallsAsItIsTold) {
  StartEcho();
  load_.rate = 1'000;
  const auto result = RunLoad(load_, {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->Check().ok()) << result->Check();
  // However late they were answered: what was to be made in the counted time.
  EXPECT_NEAR(static_cast<double>(result->calls), load_.rate * load_.seconds, 1);
}

TEST_F(LoadTest, OpenLoopCountsFromWhenACallWasToBeMade) {
  StartEcho();
  load_.rate = 1;  // what makes it an open loop
  const int64_t now = SteadyNanos();
  Lane lane(load_, {.start_nanos = 0, .end_nanos = now + kNanosPerSecond},
            {grpc::CreateChannel(load_.target, grpc::InsecureChannelCredentials())}, /*seed=*/1);
  lane.MakeCall(now - 2 * kNanosPerSecond);
  lane.EndCalls();
  lane.Poll();
  EXPECT_EQ(lane.result().calls, 1u);
  EXPECT_GE(lane.result().latency.max_nanos(), 2 * kNanosPerSecond);
}

TEST_F(LoadTest, NobodyThereIsAnError) {
  load_ = {.target = "127.0.0.1:1", .choice = &choice_, .values = &values_, .connect_timeout_seconds = 0.2};
  const auto result = RunLoad(load_, {});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("127.0.0.1:1"));
}

}  // namespace
}  // namespace larder::bench
