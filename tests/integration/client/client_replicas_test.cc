// The client with three replicas on one Redis: own writes, routing, and replicas that go.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <map>
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
#include "tests/support/redis_server.h"

namespace larder {
namespace {

using std::chrono::milliseconds;
using Steady = std::chrono::steady_clock;

bool Slow() { return std::getenv("LARDER_SLOW") != nullptr; }

class ClientReplicasTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto redis = RedisServer::Start();
    ASSERT_TRUE(redis.ok()) << redis.status();
    redis_ = *std::move(redis);
    for (int i = 0; i < 3; ++i) {
      // An age at which a stale near tier would surely be seen.
      auto server = LarderServer::Start({.config = "near: {coherence: age}\ndefaults: {near_max_age: 2s}\n",
                                         .environment = {"REDIS_URL=" + redis_->url()}});
      ASSERT_TRUE(server.ok()) << server.status();
      servers_.push_back(*std::move(server));
    }
  }

  std::unique_ptr<Client> Connect(ClientOptions options) {
    for (const auto& server : servers_) options.target += (options.target.empty() ? "" : ",") + server->address();
    auto client = Client::Connect(options);
    EXPECT_TRUE(client.ok()) << client.status();
    if (!client.ok()) return nullptr;
    EXPECT_TRUE((*client)->WaitUntilReady(milliseconds(20'000)).ok());
    EXPECT_EQ((*client)->Replicas().size(), 3u);
    return *std::move(client);
  }

  ClientOptions Patient(Routing routing = Routing::kRoundRobin) const {
    ClientOptions options;
    options.target = "";
    options.deadline = milliseconds(20'000);
    options.routing = routing;
    options.failed_reads_are_misses = false;
    options.read_own_writes_for = milliseconds(4'000);
    return options;
  }

  void ReadsItsOwnWrites(Client* client) {
    for (int i = 0; i < 300; ++i) {
      const std::string key = "k" + std::to_string(i % 7);
      const std::string value = std::to_string(i);
      ASSERT_TRUE(client->Set(key, value).ok());
      for (int read = 0; read < 4; ++read) {  // every replica gets its turn
        const absl::StatusOr<MaybeHit> hit = client->Get(key);
        ASSERT_TRUE(hit.ok()) << hit.status();
        ASSERT_TRUE(hit->has_value());
        ASSERT_EQ((*hit)->value.bytes(), value) << "read " << read;
      }
      if (i % 5 != 0) continue;
      ASSERT_TRUE(client->Invalidate({.keys = {key}}).ok());
      for (int read = 0; read < 4; ++read) ASSERT_FALSE(client->Get(key).value().has_value());
    }
  }

  std::unique_ptr<RedisServer> redis_;
  std::vector<std::unique_ptr<LarderServer>> servers_;
};

TEST_F(ClientReplicasTest, ReadsItsOwnWritesInTurn) { ReadsItsOwnWrites(Connect(Patient()).get()); }

TEST_F(ClientReplicasTest, ReadsItsOwnWritesByKey) { ReadsItsOwnWrites(Connect(Patient(Routing::kKeyAffinity)).get()); }

TEST_F(ClientReplicasTest, ReadsItsOwnWritesInBatches) {
  for (const Routing routing : {Routing::kRoundRobin, Routing::kKeyAffinity}) {
    const auto client = Connect(Patient(routing));
    std::vector<std::string> keys;
    for (int k = 0; k < 20; ++k) keys.push_back("b" + std::to_string(k));
    for (int round = 0; round < 30; ++round) {
      std::vector<SetItem> items;
      for (const std::string& key : keys) items.push_back({.key = key, .value = std::to_string(round)});
      const absl::StatusOr<BatchSetResults> set = client->BatchSet(items);
      ASSERT_TRUE(set.ok()) << set.status();
      for (int read = 0; read < 3; ++read) {
        const absl::StatusOr<BatchGetResults> got = client->BatchGet(keys);
        ASSERT_TRUE(got.ok()) << got.status();
        for (const auto& result : *got) {
          ASSERT_TRUE(result.ok() && result->has_value());
          ASSERT_EQ((*result)->value.bytes(), std::to_string(round));
        }
      }
    }
  }
}

TEST_F(ClientReplicasTest, KeyAffinityKeepsEachKeyOnOneReplica) {
  constexpr int kKeys = 3000;
  const auto writer = Connect(Patient());
  std::vector<SetItem> items;
  for (int i = 0; i < kKeys; ++i) {
    items.push_back({.key = "key" + std::to_string(i), .value = "v"});
    if (items.size() < 1000) continue;
    ASSERT_TRUE(writer->BatchSet(items).ok());
    items.clear();
  }
  ASSERT_TRUE(writer->Invalidate({.keys = {"none"}}).ok());
  const auto near_reads = [&](const LarderServer& server) {
    return server.Metric("cache_requests_total", {"result=\"hit\""});
  };
  std::vector<double> before;
  for (const auto& server : servers_) before.push_back(near_reads(*server));
  const auto one = Connect(Patient(Routing::kKeyAffinity));
  const auto other = Connect(Patient(Routing::kKeyAffinity));
  // Two clients agree: what one has read from a replica's store, the other finds in the same replica's near tier.
  for (int i = 0; i < kKeys; ++i) {
    const std::string key = "key" + std::to_string(i);
    // From the store itself: what the writer left in the near tier comes of age at some time in this loop.
    ASSERT_TRUE(one->Get(key, {.near = false}).ok());
    const absl::StatusOr<MaybeHit> hit = other->Get(key);
    ASSERT_TRUE(hit.ok() && hit->has_value());
    ASSERT_EQ((*hit)->tier, Tier::kNear) << key;
  }
  for (size_t i = 0; i < servers_.size(); ++i) {
    const double reads = near_reads(*servers_[i]) - before[i];
    EXPECT_GT(reads, 2 * kKeys / 3 * 0.8);
    EXPECT_LT(reads, 2 * kKeys / 3 * 1.2);
  }
}

TEST_F(ClientReplicasTest, AReplicaThatIsKilledCostsReadsNoError) {
  for (const Routing routing : {Routing::kRoundRobin, Routing::kKeyAffinity}) {
    const auto client = Connect(Patient(routing));
    ASSERT_TRUE(client->Set("k", "v").ok());
    for (int i = 0; i < 600; ++i) {
      if (i == 200) servers_[0]->Kill();
      const absl::StatusOr<MaybeHit> hit = client->Get("k" + std::to_string(i));
      ASSERT_TRUE(hit.ok()) << i << ": " << hit.status();
    }
    ASSERT_TRUE(servers_[0]->Restart().ok());
    // It is found again.
    const auto served = [&] { return servers_[0]->Metric("grpc_server_started_total", {"grpc_method=\"Get\""}); };
    int reads = 0;
    const bool found = Eventually([&] {
      EXPECT_TRUE(client->Get("r" + std::to_string(++reads)).ok());
      return served() > 0;
    });
    EXPECT_TRUE(found);
  }
}

// Calls at a fixed rate, whatever becomes of those before; counts what the application sees.
class Caller {
 public:
  Caller(Client* client, int per_second) : client_(client), per_second_(per_second), thread_([this] { Run(); }) {}
  ~Caller() { Stop(); }

  void Stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
    while (under_way_ > 0) std::this_thread::yield();  // each ends by its deadline
  }

  int made() const { return made_; }
  std::map<std::string, int> errors() const {
    MutexLock lock(&mutex_);
    return errors_;
  }

 private:
  void Run() {
    const auto began = Steady::now();
    while (!stopping_) {
      const auto due = began + std::chrono::microseconds(int64_t{1'000'000} * made_ / per_second_);
      if (Steady::now() < due) {
        std::this_thread::sleep_until(due);
      }
      Call(made_++);
    }
  }

  void Call(int number) {
    const std::string key = "c" + std::to_string(number % 500);
    ++under_way_;
    if (number % 10 == 3) {
      client_->SetAsync(key, "v", {}, [this](const absl::StatusOr<SetResult>& result) { End("Set", result.status()); });
    } else if (number % 10 == 7) {
      client_->InvalidateAsync({.keys = {key}}, {}, [this](const absl::StatusOr<InvalidateResult>& result) {
        End("Invalidate", result.status());
      });
    } else {
      client_->GetAsync(key, {}, [this](const absl::StatusOr<MaybeHit>& hit) { End("Get", hit.status()); });
    }
  }

  void End(const std::string& method, const absl::Status& status) {
    if (!status.ok()) {
      MutexLock lock(&mutex_);
      ++errors_[method + ": " + status.ToString()];
    }
    --under_way_;
  }

  Client* const client_;
  const int per_second_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> made_{0};
  std::atomic<int> under_way_{0};
  mutable Mutex mutex_;
  std::map<std::string, int> errors_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

TEST_F(ClientReplicasTest, RollingRestartAtAThousandCallsASecondCostsNoError) {
  ClientOptions options = Patient();
  options.deadline = Slow() ? milliseconds(10'000) : milliseconds(250);
  const int rate = Slow() ? 200 : 1000;
  const auto client = Connect(options);
  Caller caller(client.get(), rate);
  const auto reached = [&](int calls) {
    return Eventually([&] { return caller.made() >= calls; }, std::chrono::seconds(60));
  };
  for (const auto& server : servers_) {
    ASSERT_TRUE(reached(caller.made() + rate));
    server->Stop();
    const absl::StatusOr<int> code = server->AwaitEnd();
    ASSERT_TRUE(code.ok()) << code.status();
    EXPECT_EQ(*code, 0);
    ASSERT_TRUE(reached(caller.made() + rate));
    ASSERT_TRUE(server->Restart().ok());
    // The next one goes only when this one is in use again, as a Deployment does it.
    ASSERT_TRUE(Eventually([&] { return server->Metric("grpc_server_started_total", {"grpc_method=\"Get\""}) > 10; }));
  }
  caller.Stop();
  EXPECT_GE(caller.made(), 6 * rate);
  for (const auto& [error, count] : caller.errors()) ADD_FAILURE() << count << " x " << error;
}

}  // namespace
}  // namespace larder
