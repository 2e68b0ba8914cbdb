#include "server/redis/redis_connection.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/eventually.h"
#include "tests/support/redis_server.h"

namespace larder {
namespace {

// The moment between the loop's end and the news of it: what is submitted then must be ended too.
TEST(RedisConnectionTest, EndsAnOperationThatTheLoopDidNotTake) {
  absl::StatusOr<std::unique_ptr<RedisServer>> server = RedisServer::Start();
  ASSERT_TRUE(server.ok()) << server.status();
  SystemClock clock;
  RedisOptions options;
  options.port = (*server)->port();
  RedisLoop loop(&clock);
  RedisConnection connection(&loop, &clock, options, {}, nullptr);
  ASSERT_TRUE(loop.Start().ok());
  connection.Start();
  ASSERT_TRUE(Eventually([&] { return connection.state() == StoreInfo::State::kReady; }));
  loop.Stop();

  RedisOperation operation;
  operation.pipeline.Add({"PING"});
  operation.deadline = connection.DeadlineFor(0);
  std::optional<absl::Status> ended;
  operation.done = [&](absl::StatusOr<RedisAnswer> answer) { ended = answer.status(); };
  connection.Submit(std::move(operation));
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->code(), absl::StatusCode::kUnavailable);
  // The loop's thread is no more, so that this one may take its place.
  connection.Close();
}

// A pipeline's replies come together and in order, errors of single commands included.
TEST(RedisConnectionTest, AnswersAPipelineAsAWhole) {
  absl::StatusOr<std::unique_ptr<RedisServer>> server = RedisServer::Start();
  ASSERT_TRUE(server.ok()) << server.status();
  SystemClock clock;
  RedisOptions options;
  options.port = (*server)->port();
  options.operation_timeout_nanos = 10 * kNanosPerSecond;
  RedisLoop loop(&clock);
  RedisConnection connection(&loop, &clock, options, {}, nullptr);
  ASSERT_TRUE(loop.Start().ok());
  connection.Start();
  ASSERT_TRUE(Eventually([&] { return connection.state() == StoreInfo::State::kReady; }));

  RedisOperation operation;
  operation.pipeline.Add({"SET", "key", "7"}).Add({"LPUSH", "key", "x"}).Add({"INCR", "key"});
  operation.deadline = connection.DeadlineFor(0);
  Mutex mutex;
  CondVar done;
  std::optional<absl::StatusOr<RedisAnswer>> answer;
  operation.done = [&](absl::StatusOr<RedisAnswer> result) {
    MutexLock lock(&mutex);
    answer = std::move(result);
    done.NotifyAll();
  };
  connection.Submit(std::move(operation));
  {
    MutexLock lock(&mutex);
    while (!answer.has_value()) done.Wait(&mutex);
    ASSERT_TRUE(answer->ok()) << answer->status();
    const std::vector<RedisReplyPtr>& replies = (*answer)->replies;
    ASSERT_EQ(replies.size(), 3u);
    EXPECT_EQ(RedisReplyView(replies[0]).Text(), "OK");
    EXPECT_EQ(RedisReplyView(replies[1]).ErrorCode(), "WRONGTYPE");
    EXPECT_EQ(RedisReplyView(replies[2]).Integer(), 8);
    EXPECT_EQ((*answer)->sent.size(), 3u);
  }
  loop.Post([&] { connection.Close(); });
  loop.Stop();
}

// More than is handed to the session at once, and nothing after it that would bring the rest along.
TEST(RedisConnectionTest, SendsAllThatOneTurnBrought) {
  constexpr int kWrites = 8;
  absl::StatusOr<std::unique_ptr<RedisServer>> server = RedisServer::Start();
  ASSERT_TRUE(server.ok()) << server.status();
  SystemClock clock;
  RedisOptions options;
  options.port = (*server)->port();
  options.operation_timeout_nanos = 10 * kNanosPerSecond;
  RedisLoop loop(&clock);
  RedisConnection connection(&loop, &clock, options, {}, nullptr);
  ASSERT_TRUE(loop.Start().ok());
  connection.Start();
  ASSERT_TRUE(Eventually([&] { return connection.state() == StoreInfo::State::kReady; }));

  Mutex mutex;
  CondVar done;
  std::vector<absl::Status> ended;
  const int64_t begun = clock.NowNanos();
  // From the loop's own thread: what a task submits begins in the next turn, and so all of it in one.
  loop.Post([&] {
    for (int i = 0; i < kWrites; ++i) {
      RedisOperation operation;
      operation.pipeline.Add({"SET", "key" + std::to_string(i), std::string(300 << 10, 'x')});
      operation.deadline = connection.DeadlineFor(0);
      operation.done = [&](absl::StatusOr<RedisAnswer> answer) {
        MutexLock lock(&mutex);
        ended.push_back(answer.ok() ? StatusOfReply(RedisReplyView(answer->replies[0])) : answer.status());
        done.NotifyAll();
      };
      connection.Submit(std::move(operation));
    }
  });
  {
    MutexLock lock(&mutex);
    while (ended.size() < kWrites) done.Wait(&mutex);
    for (const absl::Status& status : ended) EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_LT(clock.NowNanos() - begun, 5 * kNanosPerSecond);
  loop.Post([&] { connection.Close(); });
  loop.Stop();
}

}  // namespace
}  // namespace larder
