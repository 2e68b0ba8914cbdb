// What an application sees when the service is down, late, or back.
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "core/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "larder/client.h"
#include "tests/support/eventually.h"
#include "tests/support/larder_server.h"

namespace larder {
namespace {

using std::chrono::milliseconds;
using Steady = std::chrono::steady_clock;

class Listener : public Observer {
 public:
  void OnState(ServiceState state, const absl::Status& /*why*/) override {
    MutexLock lock(&mutex_);
    states_.push_back(state);
  }
  void OnRead(const ReadReport& report) override { failures_ += report.failures; }
  void OnCall(const CallReport& report) override {
    ++calls_;
    attempts_ += report.attempts;
  }

  std::vector<ServiceState> states() const {
    MutexLock lock(&mutex_);
    return states_;
  }
  int failures() const { return failures_; }
  int calls() const { return calls_; }
  int attempts() const { return attempts_; }

 private:
  mutable Mutex mutex_;
  std::vector<ServiceState> states_ ABSL_GUARDED_BY(mutex_);
  std::atomic<int> failures_{0};
  std::atomic<int> calls_{0};
  std::atomic<int> attempts_{0};
};

class ClientFailureTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = LarderServer::Start();
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  std::unique_ptr<Client> Connect(ClientOptions options) {
    options.target = server_->address();
    options.observer = &listener_;
    auto client = Client::Connect(options);
    EXPECT_TRUE(client.ok()) << client.status();
    if (!client.ok()) return nullptr;
    EXPECT_TRUE((*client)->WaitUntilReady(milliseconds(20'000)).ok());
    return *std::move(client);
  }

  Listener listener_;
  std::unique_ptr<LarderServer> server_;
};

TEST_F(ClientFailureTest, ADeadServiceIsAMissAndTheApplicationIsTold) {
  const auto client = Connect({});
  ASSERT_TRUE(client->Set("k", "v").ok());
  server_->Kill();
  const absl::StatusOr<MaybeHit> hit = client->Get("k");
  ASSERT_TRUE(hit.ok()) << hit.status();
  EXPECT_FALSE(hit->has_value());
  EXPECT_EQ(listener_.failures(), 1);
  EXPECT_EQ(client->Set("k", "w").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(client->Invalidate({.keys = {"k"}}).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ClientFailureTest, ADeadServiceIsAnErrorWhereThatIsWanted) {
  ClientOptions options;
  options.failed_reads_are_misses = false;
  const auto client = Connect(options);
  server_->Kill();
  EXPECT_EQ(client->Get("k").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(client->BatchGet({"k"}).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ClientFailureTest, TheBreakerOpensMakesCallsShortAndClosesWhenTheServiceIsBack) {
  ClientOptions options;
  options.breaker = {.consecutive_failures = 5, .open_for = milliseconds(100)};
  const auto client = Connect(options);
  server_->Kill();
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(client->Set("k", "v").ok());
  EXPECT_EQ(client->state(), ServiceState::kDown);
  EXPECT_THAT(listener_.states(), ::testing::ElementsAre(ServiceState::kDown));

  // Open: no attempt is made, which is what makes it quick.
  const int attempts = listener_.attempts();
  const absl::Status refused = client->Set("k", "v").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(refused.message()), ::testing::HasSubstr("not called for now"));
  EXPECT_EQ(listener_.attempts(), attempts);

  ASSERT_TRUE(server_->Restart().ok());
  EXPECT_TRUE(Eventually([&] { return client->Set("k", "v").ok(); }));
  EXPECT_EQ(client->state(), ServiceState::kUp);
  EXPECT_EQ(listener_.states().back(), ServiceState::kUp);
}

TEST_F(ClientFailureTest, ADeadlineThatPassesIsAMissToAReadAndAnErrorToAWrite) {
  const auto client = Connect({});
  server_->Pause();
  const auto began = Steady::now();
  const absl::StatusOr<MaybeHit> hit = client->Get("k", {.deadline = milliseconds(100)});
  const auto took = Steady::now() - began;
  ASSERT_TRUE(hit.ok()) << hit.status();
  EXPECT_FALSE(hit->has_value());
  EXPECT_GE(took, milliseconds(100));
  EXPECT_LT(took, milliseconds(2'000));
  EXPECT_EQ(client->Set("k", "v", {.deadline = milliseconds(100)}).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  server_->Resume();
}

TEST_F(ClientFailureTest, OwnShortDeadlinesDoNotOpenTheBreaker) {
  ClientOptions options;
  options.breaker.consecutive_failures = 3;
  const auto client = Connect(options);
  server_->Pause();
  for (int i = 0; i < 6; ++i) EXPECT_FALSE(client->Set("k", "v", {.deadline = milliseconds(5)}).ok());
  EXPECT_EQ(client->state(), ServiceState::kUp);
  server_->Resume();
}

TEST_F(ClientFailureTest, GetOrLoadGoesOnWithoutTheServiceAndSaysSo) {
  const auto client = Connect({});
  server_->Kill();
  LoadReport report;
  const absl::StatusOr<std::string> value = client->GetOrLoad<std::string>(
      "k", std::chrono::minutes(5), [] { return std::string("from the database"); }, {.report = &report});
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ(*value, "from the database");
  EXPECT_EQ(report.source, LoadReport::Source::kLoader);
  EXPECT_EQ(report.read.code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(report.stored);
}

TEST_F(ClientFailureTest, GetOrLoadLoadsOnceThenReadsTheCache) {
  const auto client = Connect({.deadline = milliseconds(20'000)});
  std::atomic<int> loads{0};
  const auto load = [&] {
    ++loads;
    return std::string("v");
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      const absl::StatusOr<std::string> value = client->GetOrLoad<std::string>("k", std::chrono::minutes(5), load);
      EXPECT_TRUE(value.ok() && *value == "v");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(loads, 1);
  LoadReport report;
  ASSERT_TRUE(client->GetOrLoad<std::string>("k", std::chrono::minutes(5), load, {.report = &report}).ok());
  EXPECT_EQ(report.source, LoadReport::Source::kCache);
  EXPECT_EQ(loads, 1);
}

TEST_F(ClientFailureTest, OptionsThatMakeNoSenseAreRefusedByName) {
  const auto refusal = [](ClientOptions options) {
    const auto client = Client::Connect(std::move(options));
    EXPECT_EQ(client.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(client.status().message());
  };
  EXPECT_THAT(refusal({.target = "localhost"}), ::testing::HasSubstr("target: \"localhost\" has no port"));
  EXPECT_THAT(refusal({.name_space = "Shop!"}), ::testing::HasSubstr("name_space"));
  EXPECT_THAT(refusal({.deadline = milliseconds(0)}), ::testing::HasSubstr("deadline: must be 1 to 3600000 ms, not 0"));
  EXPECT_THAT(refusal({.token = [] { return std::string("secret"); }}), ::testing::HasSubstr("token"));
  EXPECT_THAT(refusal({.threads = 65}), ::testing::HasSubstr("threads: must be 1 to 64, not 65"));
}

}  // namespace
}  // namespace larder
