// The near cache in the client, which two replicas over one Redis tell of what changes.
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/mutex.h"
#include "gtest/gtest.h"
#include "larder/client.h"
#include "tests/support/eventually.h"
#include "tests/support/larder_server.h"
#include "tests/support/redis_server.h"

namespace larder {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Steady = std::chrono::steady_clock;

constexpr seconds kPatient{60};
// The bound that is promised: the replica's near lease and the client's together.
constexpr milliseconds kReplicaLease{1'000};
constexpr milliseconds kClientLease{1'000};
constexpr milliseconds kBound = kReplicaLease + kClientLease;
// By its age an entry is served for a moment: what is served for longer is watched.
constexpr milliseconds kMaxAge{50};
constexpr milliseconds kPastItsAge{500};

class ClientWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto redis = RedisServer::Start();
    ASSERT_TRUE(redis.ok()) << redis.status();
    redis_ = *std::move(redis);
    for (auto* server : {&here_, &there_}) {
      auto started =
          LarderServer::Start({.config = "near: {lease: 1s}\n", .environment = {"REDIS_URL=" + redis_->url()}});
      ASSERT_TRUE(started.ok()) << started.status();
      *server = *std::move(started);
    }
    reader_ = Connect(here_->address());
    writer_ = Connect(there_->address());
    ASSERT_TRUE(Eventually([&] { return Set("ready", "1"); }, kPatient));
  }
  void TearDown() override {
    for (auto* server : {&here_, &there_}) {
      if (*server != nullptr) (*server)->Resume();
    }
    if (redis_ != nullptr) redis_->Resume();
  }

  static std::unique_ptr<Client> Connect(const std::string& target) {
    ClientOptions options;
    options.target = target;
    options.deadline = milliseconds(2'000);
    options.failed_reads_are_misses = false;
    options.breaker.consecutive_failures = 0;
    options.near = {.capacity_bytes = 16 << 20, .max_age = kMaxAge, .watch = true, .lease = kClientLease};
    auto client = Client::Connect(options);
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? *std::move(client) : nullptr;
  }

  bool Set(const std::string& key, const std::string& value, std::vector<std::string> tags = {}) {
    return writer_->Set(key, value, {.tags = std::move(tags)}).ok();
  }
  // "": none, or it could not be read.
  std::string Value(const std::string& key) {
    const absl::StatusOr<MaybeHit> hit = reader_->Get(key);
    return hit.ok() && hit->has_value() ? (*hit)->value.ToString() : "";
  }
  bool IsNear(const std::string& key) {
    const absl::StatusOr<MaybeHit> hit = reader_->Get(key);
    return hit.ok() && hit->has_value() && (*hit)->tier == Tier::kClient;
  }
  // In the reader's near cache for longer than its age allows.
  bool Settles(const std::string& key) {
    return Eventually(
        [&] {
          const auto gets = [&] { return here_->Metric("grpc_server_started_total", {"grpc_method=\"Get\""}); };
          Value(key);
          const double before = gets();
          std::this_thread::sleep_for(kPastItsAge);  // that is what is waited for
          return IsNear(key) && gets() == before;
        },
        kPatient);
  }
  // Seen by the reader within the bound from now on.
  bool IsSeen(const std::string& key, const std::string& value) {
    return Eventually([&] { return Value(key) == value; }, kBound + seconds(1));
  }

  std::unique_ptr<RedisServer> redis_;
  std::unique_ptr<LarderServer> here_;
  std::unique_ptr<LarderServer> there_;
  std::unique_ptr<Client> reader_;
  std::unique_ptr<Client> writer_;
};

TEST_F(ClientWatchTest, EntriesOutliveTheirAgeAndWhatOthersChangeIsSeen) {
  ASSERT_TRUE(Set("key", "1", {"tag"}));
  ASSERT_TRUE(Settles("key"));
  const double gets = here_->Metric("grpc_server_started_total", {"grpc_method=\"Get\""});
  for (const auto end = Steady::now() + 2 * kBound; Steady::now() < end;) ASSERT_TRUE(IsNear("key"));
  EXPECT_EQ(here_->Metric("grpc_server_started_total", {"grpc_method=\"Get\""}), gets);

  ASSERT_TRUE(Set("key", "2", {"tag"}));
  EXPECT_TRUE(IsSeen("key", "2"));
  for (Invalidation what : {Invalidation{.keys = {"key"}}, Invalidation{.tags = {"tag"}},
                            Invalidation{.patterns = {"k*"}}, Invalidation{.all = true}}) {
    ASSERT_TRUE(Set("key", "3", {"tag"}));
    ASSERT_TRUE(Settles("key"));
    ASSERT_TRUE(writer_->Invalidate(what).ok());
    EXPECT_TRUE(IsSeen("key", ""));
  }
  ASSERT_TRUE(Set("key", "4"));
  ASSERT_TRUE(Settles("key"));
  ASSERT_TRUE(redis_->Command({"SET", "larder:default:e:key", "foreign"}).ok());
  EXPECT_TRUE(IsSeen("key", ""));
  ASSERT_TRUE(Set("key", "5"));
  ASSERT_TRUE(Settles("key"));
  ASSERT_TRUE(redis_->Command({"FLUSHALL"}).ok());
  EXPECT_TRUE(IsSeen("key", ""));
}

// COHERENCE P1, W2: while a replica or Redis sleeps, and afterwards.
TEST_F(ClientWatchTest, NothingOlderThanTheBoundIsRead) {
  std::atomic<bool> stop = false;
  std::atomic<int> acknowledged = 0;
  std::atomic<int> lags = 0;
  std::atomic<int> reads = 0;
  std::atomic<int> near_reads = 0;
  struct Written {
    Steady::time_point when;
    int number;
  };
  Mutex mutex;
  std::vector<Written> written;
  ASSERT_TRUE(Set("key", "0"));
  std::thread write([&] {
    for (int number = 1; !stop; ++number) {
      if (!Set("key", std::to_string(number))) continue;
      MutexLock lock(&mutex);
      written.push_back({Steady::now(), number});
      acknowledged = number;
    }
  });
  std::thread read([&] {
    while (!stop) {
      const auto began = Steady::now();
      const absl::StatusOr<MaybeHit> hit = reader_->Get("key");
      if (!hit.ok() || !hit->has_value()) continue;
      ++reads;
      if ((*hit)->tier == Tier::kClient) ++near_reads;
      int floor = 0;
      MutexLock lock(&mutex);
      for (auto at = written.rbegin(); at != written.rend(); ++at) {
        if (at->when > began - kBound) continue;
        floor = at->number;
        break;
      }
      if (std::stoi((*hit)->value.ToString()) < floor) ++lags;
    }
  });
  const auto sleep = [](auto& who) {
    who.Pause();
    std::this_thread::sleep_for(kBound + milliseconds(500));  // that is what is tested
    who.Resume();
  };
  for (int round = 0; round < 3; ++round) {
    const int before = acknowledged;
    std::this_thread::sleep_for(milliseconds(500));
    sleep(*here_);
    EXPECT_TRUE(Eventually([&] { return acknowledged > before; }, kPatient));
    sleep(*redis_);
    const int reads_before = reads;
    EXPECT_TRUE(Eventually([&] { return reads > reads_before + 100; }, kPatient));
  }
  stop = true;
  write.join();
  read.join();
  EXPECT_EQ(lags, 0);
  EXPECT_GT(acknowledged, 100);
  EXPECT_GT(near_reads, 10);
}

// COHERENCE W2: its lease runs out, however quiet it is.
TEST_F(ClientWatchTest, AnEntryIsNotServedForLongOnceItsReplicaSleeps) {
  ASSERT_TRUE(Set("key", "old"));
  ASSERT_TRUE(Settles("key"));
  here_->Pause();
  ASSERT_TRUE(Set("key", "new"));
  const auto acknowledged = Steady::now();
  EXPECT_TRUE(IsNear("key")) << "the lease still holds";
  while (true) {
    const auto began = Steady::now();
    const std::string value = Value("key");
    if (value.empty()) break;
    ASSERT_TRUE(value == "new" || began < acknowledged + kBound);
  }
  here_->Resume();
  EXPECT_TRUE(Eventually([&] { return !Value("key").empty(); }, kPatient));
  EXPECT_EQ(Value("key"), "new");
}

// COHERENCE W3: the replica has no lease then, and renews none.
TEST_F(ClientWatchTest, AnEntryIsNotServedForLongOnceRedisSleeps) {
  ASSERT_TRUE(Set("key", "old"));
  ASSERT_TRUE(Settles("key"));
  redis_->Pause();
  const auto paused = Steady::now();
  EXPECT_TRUE(IsNear("key"));
  while (true) {
    const auto began = Steady::now();
    if (!IsNear("key")) break;
    ASSERT_LT(began - paused, kBound);
  }
  redis_->Resume();
  EXPECT_TRUE(Eventually([&] { return Value("key") == "old"; }, kPatient));
  EXPECT_TRUE(Settles("key"));
}

// COHERENCE W4.
TEST_F(ClientWatchTest, AReplicaThatIsKilledIsWatchedAgain) {
  ASSERT_TRUE(Set("key", "old"));
  ASSERT_TRUE(Settles("key"));
  here_->Kill();
  ASSERT_TRUE(Set("key", "new"));
  const auto acknowledged = Steady::now();
  ASSERT_FALSE(here_->AwaitEnd().ok());
  ASSERT_TRUE(here_->Restart().ok());
  while (true) {
    const auto began = Steady::now();
    const std::string value = Value("key");
    if (value == "new") break;
    ASSERT_TRUE(value.empty() || began < acknowledged + kBound);
    ASSERT_LT(began - acknowledged, kPatient);
  }
  EXPECT_TRUE(Settles("key"));
}

TEST_F(ClientWatchTest, OneClientWatchesEachReplicaThatItReads) {
  reader_ = Connect(here_->address() + "," + there_->address());
  for (int i = 0; i < 50; ++i) {
    const std::string key = "key" + std::to_string(i);
    ASSERT_TRUE(Set(key, "1"));
    Value(key);
  }
  EXPECT_TRUE(Eventually(
      [&] { return here_->Metric("cache_watchers", {}) >= 1 && there_->Metric("cache_watchers", {}) >= 1; }, kPatient));
  for (int i = 0; i < 50; ++i) Value("key" + std::to_string(i));
  std::this_thread::sleep_for(kPastItsAge);
  EXPECT_TRUE(Eventually([&] { return IsNear("key0") && IsNear("key1") && IsNear("key2"); }, kPatient));
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(Set("key" + std::to_string(i), "2"));
  const auto acknowledged = Steady::now();
  for (int i = 0; i < 50; ++i) {
    const std::string key = "key" + std::to_string(i);
    while (Value(key) != "2") ASSERT_LT(Steady::now() - acknowledged, kBound + seconds(1));
  }
  reader_.reset();
  EXPECT_TRUE(Eventually([&] { return there_->Metric("cache_watchers", {}) <= 1; }, kPatient)) << "the writer's";
}

TEST(ClientWatchEmbeddedTest, AWriteIsSeenByTheOtherProcessInAMoment) {
  auto server = LarderServer::Start();
  ASSERT_TRUE(server.ok()) << server.status();
  ClientOptions options;
  options.target = (*server)->address();
  options.deadline = kPatient;
  options.near = {.capacity_bytes = 16 << 20, .max_age = milliseconds(1), .watch = true, .lease = kPatient};
  auto reader = Client::Connect(options);
  auto writer = Client::Connect(options);
  ASSERT_TRUE(reader.ok() && writer.ok());
  for (int number = 0; number < 100; ++number) {
    const std::string value = std::to_string(number);
    ASSERT_TRUE((*writer)->Set("key", value).ok());
    // The lease would keep it for a minute.
    EXPECT_TRUE(Eventually([&] { return (*reader)->Get("key").value()->value.bytes() == value; })) << number;
    EXPECT_TRUE(Eventually([&] {
      std::this_thread::sleep_for(milliseconds(2));
      return (*reader)->Get("key").value()->tier == Tier::kClient;
    }));
  }
}

}  // namespace
}  // namespace larder
