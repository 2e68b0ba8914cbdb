// Redis that dies, hangs, refuses, or is not the one it was.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/redis_store_fixture.h"

namespace larder {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

class RedisOutageTest : public RedisStoreFixture {
 protected:
  // The defaults of a deployment, but for quicker pauses.
  RedisOptions QuickOptions() const {
    RedisOptions options;
    options.port = server_->port();
    options.min_backoff_nanos = 10 * kNanosPerMilli;
    options.max_backoff_nanos = 200 * kNanosPerMilli;
    return options;
  }
  std::string Detail() { return DescribeNow(*store_)->detail; }
  bool AwaitDetail(const std::string& part) {
    return Eventually([&] { return Detail().find(part) != std::string::npos; });
  }
};

// How late the machine itself is: the most that a thread of no other business woke up behind its time.
class SchedulerProbe {
 public:
  explicit SchedulerProbe(const Clock* clock) : thread_([this, clock] { Run(clock); }) {}
  ~SchedulerProbe() {
    stop_.store(true);
    thread_.join();
  }
  int64_t worst_nanos() const { return worst_.load(); }

 private:
  void Run(const Clock* clock) {
    while (!stop_.load()) {
      const int64_t due = clock->NowNanos() + kNanosPerMilli;
      std::this_thread::sleep_for(milliseconds(1));
      worst_.store(std::max(worst_.load(), clock->NowNanos() - due));
    }
  }

  std::atomic<bool> stop_{false};
  std::atomic<int64_t> worst_{0};
  std::thread thread_;
};

// Threads that call without pause, and note for each call how often and how late it was answered.
class Load {
 public:
  static constexpr int64_t kPatience = 150 * kNanosPerMilli;

  Load(RedisStore* store, const Clock* clock, int threads) : store_(store), clock_(clock) {
    for (int t = 0; t < threads; ++t) threads_.emplace_back([this, t] { Run(static_cast<uint64_t>(t + 1) << 32); });
  }
  ~Load() { Stop(); }

  void Stop() {
    stop_.store(true);
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

  uint64_t started() const { return started_.load(); }
  uint64_t ended() const { return ended_.load(); }
  uint64_t succeeded() const { return succeeded_.load(); }
  uint64_t answered_twice() const { return answered_twice_.load(); }
  int64_t worst_lateness_nanos() const { return worst_lateness_.load(); }
  uint64_t unexpected_codes() const { return unexpected_.load(); }

 private:
  static constexpr int kInFlight = 16;

  // The calls that one thread has under way.
  struct Window {
    Mutex mutex;
    CondVar changed;
    int in_flight ABSL_GUARDED_BY(mutex) = 0;

    void Enter(int limit) {
      MutexLock lock(&mutex);
      while (in_flight >= limit) changed.Wait(&mutex);
      ++in_flight;
    }
    void Leave() {
      MutexLock lock(&mutex);
      --in_flight;
      changed.NotifyAll();
    }
    void AwaitEmpty() {
      MutexLock lock(&mutex);
      while (in_flight != 0) changed.Wait(&mutex);
    }
  };

  void Run(uint64_t version) {
    Window window;
    while (!stop_.load()) {
      window.Enter(kInFlight);
      Call(++version, &window);
    }
    window.AwaitEmpty();
  }

  void Call(uint64_t version, Window* window) {
    started_.fetch_add(1);
    const int64_t now = clock_->NowNanos();
    const int64_t deadline = now + kPatience;
    auto answered = std::make_shared<std::atomic<int>>(0);
    auto note = [this, deadline, window, answered](const absl::Status& status) {
      if (answered->fetch_add(1) != 0) {
        answered_twice_.fetch_add(1);
        return;
      }
      const int64_t late = clock_->NowNanos() - deadline;
      int64_t worst = worst_lateness_.load();
      while (late > worst && !worst_lateness_.compare_exchange_weak(worst, late)) {
      }
      if (status.ok()) succeeded_.fetch_add(1);
      if (!status.ok() && !absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status)) unexpected_.fetch_add(1);
      ended_.fetch_add(1);
      window->Leave();
    };
    const std::string key = "key" + std::to_string(version % 100);
    switch (version % 4) {
      case 0:
        return store_->Read({"default", {key, "other"}, {}, deadline}, [note](auto result) { note(result.status()); });
      case 1:
        return store_->Touch({"default", key, kNanosPerSecond, kNanosPerSecond, 0, {}, deadline},
                             [note](auto result) { note(result.status()); });
      case 2:
        return store_->Erase({"default", {key}, {}, deadline}, [note](auto result) { note(result.status()); });
      default: {
        EntryMeta meta;
        meta.version = version;
        meta.created_nanos = now;
        meta.expires_nanos = now + kNanosPerSecond;
        WriteRequest request;
        request.name_space = "default";
        request.key = key;
        request.entry = Entry::Create(meta, "", std::string(2'000, 'x'));
        request.deadline_nanos = deadline;
        return store_->Write(std::move(request), [note](auto result) { note(result.status()); });
      }
    }
  }

  RedisStore* const store_;
  const Clock* const clock_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> started_{0};
  std::atomic<uint64_t> ended_{0};
  std::atomic<uint64_t> succeeded_{0};
  std::atomic<uint64_t> answered_twice_{0};
  std::atomic<uint64_t> unexpected_{0};
  std::atomic<int64_t> worst_lateness_{INT64_MIN};
  std::vector<std::thread> threads_;
};

TEST_F(RedisOutageTest, KilledUnderLoadEveryCallEndsOnceAndInTime) {
  StartServer();
  StartStore(QuickOptions());
  SchedulerProbe probe(&clock_);
  Load load(store_.get(), &clock_, 3);
  for (int round = 0; round < 5; ++round) {
    const uint64_t before = load.succeeded();
    ASSERT_TRUE(Eventually([&] { return load.succeeded() > before + 200; }));
    server_->Kill();
    ASSERT_TRUE(Eventually([&] { return store_->state() != StoreInfo::State::kReady; }));
    ASSERT_TRUE(server_->Restart().ok());
    const uint64_t at_return = load.succeeded();
    ASSERT_TRUE(Eventually([&] { return load.succeeded() > at_return; }, milliseconds(2'000))) << Detail();
  }
  load.Stop();
  EXPECT_EQ(load.started(), load.ended());
  EXPECT_EQ(load.answered_twice(), 0u);
  EXPECT_EQ(load.unexpected_codes(), 0u);
  EXPECT_LE(load.worst_lateness_nanos(), 50 * kNanosPerMilli + probe.worst_nanos());
  EXPECT_EQ(DescribeNow(*store_)->disconnects, 5);
}

TEST_F(RedisOutageTest, WhileItIsGoneCallsFailAtOnceAndSayWhy) {
  StartServer();
  StartStore(QuickOptions());
  server_->Kill();
  ASSERT_TRUE(AwaitDetail("Connection refused"));
  // Before the call returns, and so without waiting for anything.
  CallResult<ReadResult> call;
  store_->Read({"default", {"key"}, {}, 0}, call.Callback());
  ASSERT_TRUE(call.Done());
  const absl::Status status = call.Wait().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              testing::MatchesRegex("Redis at 127.0.0.1:[0-9]+ is not available \\(for [0-9.]+ s\\): .*refused"));
  EXPECT_EQ(DescribeNow(*store_)->state, StoreInfo::State::kDown);
}

TEST_F(RedisOutageTest, ItNeedNotBeThereAtTheStart) {
  StartServer();
  server_->Stop();
  store_ = MakeStore(QuickOptions());
  ASSERT_TRUE(AwaitDetail("Connection refused"));
  ASSERT_TRUE(server_->Restart().ok());
  EXPECT_TRUE(AwaitReady(*store_, milliseconds(2'000)));
  EXPECT_TRUE(Set(*store_, "key", "value").ok());
}

TEST_F(RedisOutageTest, AHangingRedisIsGivenUpAndTakenBack) {
  StartServer();
  StartStore(QuickOptions());
  SchedulerProbe probe(&clock_);
  server_->Pause();
  const int64_t asked = clock_.NowNanos();
  absl::Status status = ReadNow(*store_, {"default", {"key"}, {}, 0}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "store did not answer within 250 ms");
  const int64_t waited = clock_.NowNanos() - asked;
  EXPECT_GE(waited, 250 * kNanosPerMilli);
  EXPECT_LE(waited, 300 * kNanosPerMilli + probe.worst_nanos());
  // Nothing has come for twice the timeout.
  ASSERT_TRUE(Eventually([&] { return store_->state() != StoreInfo::State::kReady; }, milliseconds(2'000)));
  EXPECT_THAT(Detail(), HasSubstr("nothing came from Redis for 500 ms"));
  server_->Resume();
  EXPECT_TRUE(AwaitReady(*store_, milliseconds(3'000)));
  EXPECT_TRUE(Set(*store_, "key", "value").ok());
}

TEST_F(RedisOutageTest, TheCallersDeadlineComesFirstWhereItIsSooner) {
  StartServer();
  StartStore(QuickOptions());
  server_->Pause();
  const int64_t deadline = clock_.NowNanos() + 30 * kNanosPerMilli;
  const absl::Status status = ReadNow(*store_, {"default", {"key"}, {}, deadline}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(status.message(), "the deadline passed while waiting for the store");
  server_->Resume();
}

TEST_F(RedisOutageTest, LateRepliesAreDroppedAndMixUpNothing) {
  StartServer();
  RedisOptions options = PatientOptions();
  StartStore(options);
  ASSERT_TRUE(Set(*store_, "a", "1").ok());
  ASSERT_TRUE(Set(*store_, "b", "2").ok());
  server_->Pause();
  std::vector<CallResult<ReadResult>> late(50);
  for (CallResult<ReadResult>& call : late) {
    store_->Read({"default", {"a"}, {}, clock_.NowNanos() + 20 * kNanosPerMilli}, call.Callback());
  }
  for (CallResult<ReadResult>& call : late) {
    EXPECT_EQ(call.Wait().status().code(), absl::StatusCode::kDeadlineExceeded);
  }
  CallResult<ReadResult> next;
  store_->Read({"default", {"b"}, {}, 0}, next.Callback());
  // One more that runs into its deadline, so that the one before it is on its way when the late replies come.
  EXPECT_FALSE(ReadNow(*store_, {"default", {"a"}, {}, clock_.NowNanos() + 20 * kNanosPerMilli}).ok());
  server_->Resume();
  absl::StatusOr<ReadResult> result = next.Wait();
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_TRUE(result->entries[0]);
  EXPECT_EQ(result->entries[0]->value(), "2");
  EXPECT_EQ(DescribeNow(*store_)->disconnects, 0);
}

TEST_F(RedisOutageTest, ALostConnectionEndsWhatWaitedForIt) {
  StartServer();
  StartStore(PatientOptions());
  server_->Pause();
  std::vector<CallResult<ReadResult>> waiting(20);
  for (CallResult<ReadResult>& call : waiting) store_->Read({"default", {"key"}, {}, 0}, call.Callback());
  const int64_t killed = clock_.NowNanos();
  server_->Kill();
  for (CallResult<ReadResult>& call : waiting) {
    EXPECT_EQ(call.Wait().status().code(), absl::StatusCode::kUnavailable);
  }
  // Long before their timeout.
  EXPECT_LT(clock_.NowNanos() - killed, 5 * kNanosPerSecond);
}

TEST_F(RedisOutageTest, NoMoreThanSoManyMayWait) {
  StartServer();
  RedisOptions options = PatientOptions();
  options.max_pending = 10;
  StartStore(options);
  server_->Pause();
  std::vector<CallResult<ReadResult>> waiting(10);
  for (CallResult<ReadResult>& call : waiting) store_->Read({"default", {"key"}, {}, 0}, call.Callback());
  const absl::Status status = ReadNow(*store_, {"default", {"key"}, {}, 0}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "the limit of 10 operations waiting for Redis is reached");
  server_->Resume();
  for (CallResult<ReadResult>& call : waiting) EXPECT_TRUE(call.Wait().ok());
  EXPECT_TRUE(ReadNow(*store_, {"default", {"key"}, {}, 0}).ok());
}

TEST_F(RedisOutageTest, NoMoreThanSoManyBytesMayWait) {
  StartServer();
  RedisOptions options = PatientOptions();
  options.max_pending_bytes = 1'000'000;
  options.compress_from_bytes = 0;
  StartStore(options);
  const absl::Status status = Set(*store_, "key", std::string(1'000'000, 'x')).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "the limit of 1000000 bytes waiting for Redis is reached");
  EXPECT_TRUE(Set(*store_, "key", std::string(900'000, 'x')).ok());
}

TEST_F(RedisOutageTest, ShutdownEndsWhatWaits) {
  StartServer();
  StartStore(PatientOptions());
  server_->Pause();
  std::vector<CallResult<ReadResult>> waiting(20);
  for (CallResult<ReadResult>& call : waiting) store_->Read({"default", {"key"}, {}, 0}, call.Callback());
  store_->Shutdown();
  for (CallResult<ReadResult>& call : waiting) {
    ASSERT_TRUE(call.Done());
    const absl::Status status = call.Wait().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(status.message()), HasSubstr("the store is shut down"));
  }
  store_->Shutdown();  // once more does nothing
  store_.reset();
}

TEST_F(RedisOutageTest, ShutdownUnderLoadLosesNoCall) {
  StartServer();
  StartStore(QuickOptions());
  Load load(store_.get(), &clock_, 3);
  ASSERT_TRUE(Eventually([&] { return load.succeeded() > 500; }));
  store_->Shutdown();
  load.Stop();
  EXPECT_EQ(load.started(), load.ended());
  EXPECT_EQ(load.answered_twice(), 0u);
  EXPECT_EQ(load.unexpected_codes(), 0u);
}

TEST_F(RedisOutageTest, ShutdownWhileItIsGone) {
  StartServer();
  server_->Stop();
  store_ = MakeStore(QuickOptions());
  ASSERT_TRUE(AwaitDetail("Connection refused"));
  store_->Shutdown();
  EXPECT_EQ(Detail(), "the store is shut down");
}

TEST_F(RedisOutageTest, AWrongPasswordIsSaidAndNotRepeated) {
  RedisServer::Options server_options;
  server_options.password = "hunter2";
  StartServer(server_options);
  RedisOptions options = QuickOptions();
  store_ = MakeStore(options);
  EXPECT_TRUE(AwaitDetail("Redis requires a password (NOAUTH)")) << Detail();
  options.password = "swordfish";
  store_ = MakeStore(options);
  EXPECT_TRUE(AwaitDetail("Redis refused the user or password (WRONGPASS)")) << Detail();
  EXPECT_THAT(std::string(Set(*store_, "key", "v").status().message()), Not(HasSubstr("swordfish")));
  options.password = "hunter2";
  StartStore(options);
  EXPECT_TRUE(Set(*store_, "key", "v").ok());
}

TEST_F(RedisOutageTest, AMissingPermissionIsSaid) {
  StartServer();
  ASSERT_EQ(Redis({"ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-unlink"}), "OK");
  RedisOptions options = PatientOptions();
  options.user = "app";
  options.password = "pw";
  StartStore(options);
  const absl::Status status = EraseNow(*store_, {"default", {"key"}, {}, 0}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  // In Redis 7's words, or those of Redis 8.
  const auto says_so = testing::AnyOf(HasSubstr("run this command or subcommand"), HasSubstr("no permissions to run"));
  EXPECT_THAT(std::string(status.message()), says_so);
  EXPECT_THAT(Detail(), says_so);
  EXPECT_EQ(store_->state(), StoreInfo::State::kReady);
}

TEST_F(RedisOutageTest, AReplicaIsNotServedFrom) {
  StartServer();
  StartStore(QuickOptions());
  ASSERT_TRUE(Set(*store_, "key", "value").ok());
  const std::string generation_before = std::to_string(Generation(*store_));
  ASSERT_EQ(Redis({"REPLICAOF", "127.0.0.1", "1"}), "OK");
  const absl::Status status = Set(*store_, "key", "value").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("READONLY"));
  ASSERT_TRUE(AwaitDetail("Redis is a replica (role:slave); Larder needs the master"));
  EXPECT_EQ(store_->state(), StoreInfo::State::kDown);
  // Promoted, it is another server as far as its data goes.
  ASSERT_EQ(Redis({"REPLICAOF", "NO", "ONE"}), "OK");
  ASSERT_TRUE(AwaitReady(*store_));
  EXPECT_NE(std::to_string(Generation(*store_)), generation_before);
  EXPECT_EQ(Value(*store_, "key"), "(none)");
}

TEST_F(RedisOutageTest, AConnectionThatRedisClosesIsMadeAgain) {
  StartServer();
  StartStore(QuickOptions());
  const uint64_t generation = Generation(*store_);
  ASSERT_TRUE(Set(*store_, "key", "value").ok());
  ASSERT_NE(Redis({"CLIENT", "KILL", "TYPE", "normal"}), "0");
  ASSERT_TRUE(Eventually([&] { return DescribeNow(*store_)->disconnects == 1; }));
  ASSERT_TRUE(AwaitReady(*store_));
  // The same server: nothing was lost.
  EXPECT_EQ(Generation(*store_), generation);
  EXPECT_EQ(Value(*store_, "key"), "value");
}

}  // namespace
}  // namespace larder
