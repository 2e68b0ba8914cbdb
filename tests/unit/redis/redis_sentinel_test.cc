// The master that sentinels name is found, followed, and known by its data.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/redis_store_fixture.h"
#include "tests/support/sentinel_fleet.h"
#include "tests/support/test_certificates.h"

namespace larder {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;

class Holder final : public NearHolder {
 public:
  ClockPosition Known(std::string_view name_space) const override {
    MutexLock lock(&mutex_);
    const auto found = known_.find(name_space);
    return found == known_.end() ? ClockPosition{} : found->second;
  }
  void OnChanged(std::string_view, std::string_view) override {}
  void OnBegin() override {}
  bool OnCurrent(std::string_view, const ControlUpdate&, int64_t) override {
    renewals_.fetch_add(1);
    return true;
  }
  void OnControl(std::string_view name_space, const ControlUpdate& update) override {
    MutexLock lock(&mutex_);
    known_[std::string(name_space)] = {update.generation, update.epoch};
  }
  void OnLost() override { lost_.fetch_add(1); }
  int renewals() const { return renewals_.load(); }
  int lost() const { return lost_.load(); }

 private:
  mutable Mutex mutex_;
  std::map<std::string, ClockPosition, std::less<>> known_ ABSL_GUARDED_BY(mutex_);
  std::atomic<int> renewals_{0};
  std::atomic<int> lost_{0};
};

class RedisSentinelTest : public RedisStoreFixture {
 protected:
  ~RedisSentinelTest() override { store_.reset(); }  // it tells the holder

  void StartFleet(const SentinelFleet::Options& options = {}) {
    absl::StatusOr<std::unique_ptr<SentinelFleet>> fleet = SentinelFleet::Start(options);
    ASSERT_TRUE(fleet.ok()) << fleet.status();
    fleet_ = *std::move(fleet);
  }
  // The defaults of a deployment, but that a busy machine is no failure.
  RedisOptions Options() const {
    RedisOptions options;
    options.operation_timeout_nanos = 2 * kNanosPerSecond;
    for (const auto& sentinel : fleet_->sentinels) options.sentinels.push_back({"127.0.0.1", sentinel->port()});
    options.master_name = "mymaster";
    return options;
  }
  std::string Detail() { return DescribeNow(*store_)->detail; }
  std::string Address() { return DescribeNow(*store_)->address; }
  // Empty where there is none: a server that changes its role closes its connections.
  static std::string Answer(const RedisServer& server, const std::vector<std::string>& command) {
    return server.Command(command).value_or("");
  }
  static std::string At(const RedisServer& server) { return "127.0.0.1:" + std::to_string(server.port()); }
  bool AwaitServing(std::chrono::milliseconds limit = seconds(60)) {
    return Eventually([&] { return Set(*store_, "probe", "v").ok(); }, limit);
  }

  std::unique_ptr<SentinelFleet> fleet_;
  Holder holder_;
};

TEST_F(RedisSentinelTest, ServesFromTheMasterThatIsNamedAndSaysSo) {
  StartFleet();
  RedisOptions options = Options();
  // One that is not there is passed over.
  options.sentinels.insert(options.sentinels.begin(), {"127.0.0.1", 1});
  StartStore(options);
  ASSERT_TRUE(Set(*store_, "key", "value").ok());
  EXPECT_EQ(Value(*store_, "key"), "value");
  EXPECT_EQ(Answer(*fleet_->servers[0], {"EXISTS", "larder:default:e:key"}), "1");
  EXPECT_THAT(Address(), AllOf(testing::StartsWith(At(*fleet_->servers[0]) + ", master \"mymaster\" (sentinels "),
                               HasSubstr(At(*fleet_->sentinels[0])), HasSubstr(At(*fleet_->sentinels[2]))));
  EXPECT_TRUE(DescribeNow(*store_)->advice.empty()) << DescribeNow(*store_)->advice[0];
}

// COHERENCE C3: what the new master holds may lack an invalidation that the old one acknowledged.
TEST_F(RedisSentinelTest, IsBackSoonAfterTheSentinelsAreAndServesNothingFromBefore) {
  StartFleet();
  StartStore(Options());
  store_->SetNearHolder(&holder_);
  ASSERT_TRUE(Eventually([&] { return store_->tracks() && holder_.renewals() > 2; }));
  ASSERT_TRUE(Set(*store_, "old", "value").ok());
  for (const size_t replica : {1, 2}) {
    ASSERT_TRUE(Eventually([&] {
      return Answer(*fleet_->servers[replica], {"EXISTS", "larder:default:e:old"}) == "1";
    }));
  }
  const uint64_t generation = Generation(*store_);

  // Under load, from several threads.
  std::atomic<bool> stop{false};
  std::atomic<int64_t> last_success{0};
  std::atomic<int> succeeded{0};
  std::vector<std::thread> load;
  for (int t = 0; t < 3; ++t) {
    load.emplace_back([&, t] {
      for (int i = 0; !stop.load(); ++i) {
        const std::string key = "load" + std::to_string(t) + "-" + std::to_string(i % 50);
        if (Set(*store_, key, "v").ok() && ReadNow(*store_, {"default", {key}, {}, 0}).ok()) {
          succeeded.fetch_add(1);
          last_success.store(clock_.NowNanos());
        } else {
          std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
      }
    });
  }
  EXPECT_TRUE(Eventually([&] { return succeeded.load() > 100; }));

  const int64_t killed = clock_.NowNanos();
  fleet_->servers[0]->Kill();
  // The sentinels' own time: until one of them names another master, which takes a write.
  int64_t named = 0;
  EXPECT_TRUE(Eventually(
      [&] {
        for (size_t i = 0; i < fleet_->sentinels.size(); ++i) {
          RedisServer* const master = fleet_->Master(i);
          if (master == nullptr || master == fleet_->servers[0].get()) continue;
          if (!master->Command({"SET", "probe", "1"}).ok()) continue;
          named = clock_.NowNanos();
          return true;
        }
        return false;
      },
      seconds(60)));
  EXPECT_TRUE(Eventually([&] { return last_success.load() > named; }, seconds(30)));
  const int64_t back = clock_.NowNanos();
  stop.store(true);
  for (std::thread& thread : load) thread.join();
  std::cout << "sentinels' own time " << (named - killed) / kNanosPerMilli << " ms, service back "
            << (back - named) / kNanosPerMilli << " ms later\n";
  RecordProperty("sentinels_millis", std::to_string((named - killed) / kNanosPerMilli));
  RecordProperty("more_millis", std::to_string((back - named) / kNanosPerMilli));
  EXPECT_LE(back - named, kNanosPerSecond);

  EXPECT_NE(Generation(*store_), generation);
  EXPECT_EQ(Value(*store_, "old"), "(none)");
  EXPECT_GE(holder_.lost(), 1);
  const int renewals = holder_.renewals();
  EXPECT_TRUE(Eventually([&] { return store_->tracks() && holder_.renewals() > renewals; }, seconds(30)));

  // The old master comes back as what it is now.
  ASSERT_TRUE(fleet_->servers[0]->Restart().ok());
  ASSERT_TRUE(Eventually(
      [&] {
        return Answer(*fleet_->servers[0], {"INFO", "replication"}).find("role:slave") != std::string::npos;
      },
      seconds(60)));
  EXPECT_TRUE(AwaitServing());
  EXPECT_THAT(Address(), testing::Not(testing::StartsWith(At(*fleet_->servers[0]))));
}

// The old master lives on for seconds, and takes writes that it will lose.
TEST_F(RedisSentinelTest, FollowsASwitchAtOnceThoughTheOldMasterLives) {
  StartFleet();
  StartStore(Options());
  ASSERT_TRUE(Set(*store_, "key", "value").ok());
  const uint64_t generation = Generation(*store_);
  ASSERT_TRUE(Eventually([&] { return fleet_->sentinels[0]->Command({"SENTINEL", "FAILOVER", "mymaster"}).ok(); }));
  ASSERT_TRUE(Eventually([&] { return fleet_->Master() != nullptr && fleet_->Master() != fleet_->servers[0].get(); },
                         seconds(60)));
  const int64_t switched = clock_.NowNanos();
  const std::string there = At(*fleet_->Master());
  EXPECT_TRUE(Eventually([&] { return store_->state() == StoreInfo::State::kReady && Address().find(there) == 0; },
                         seconds(15)))
      << Address();
  std::cout << "followed " << (clock_.NowNanos() - switched) / kNanosPerMilli << " ms after it was told\n";
  EXPECT_LE(clock_.NowNanos() - switched, 2 * kNanosPerSecond);
  EXPECT_TRUE(AwaitServing());
  EXPECT_NE(Generation(*store_), generation);
  EXPECT_EQ(Value(*store_, "key"), "(none)");
}

TEST_F(RedisSentinelTest, SaysWhatKeepsItFromTheMaster) {
  SentinelFleet::Options fleet;
  fleet.replicas = 0;
  fleet.sentinels = 1;
  fleet.quorum = 1;
  fleet.sentinel_password = "sesame";
  StartFleet(fleet);
  const std::string sentinel = "Sentinel at " + At(*fleet_->sentinels[0]);
  RedisOptions options = Options();
  const auto refusal = [&] {
    store_ = MakeStore(options);
    EXPECT_TRUE(Eventually([&] { return Detail() != "not connected yet"; }));
    return Detail();
  };
  EXPECT_EQ(refusal(), sentinel + " requires a password (NOAUTH)");
  options.sentinel_password = "wrong";
  EXPECT_EQ(refusal(), sentinel + " refused the user or password (WRONGPASS)");
  EXPECT_GT(WarningCount(), 0u);
  options.sentinel_password = "sesame";
  options.master_name = "nobody";
  EXPECT_EQ(refusal(), sentinel + ": it knows no master named \"nobody\"");
  options.master_name = "mymaster";
  StartStore(options);
  EXPECT_TRUE(Set(*store_, "key", "value").ok());
  // A sentinel where Redis should be.
  RedisOptions wrong;
  wrong.port = fleet_->sentinels[0]->port();
  wrong.password = "sesame";
  store_ = MakeStore(wrong);
  EXPECT_TRUE(Eventually([&] { return Detail() != "not connected yet"; }));
  EXPECT_THAT(Detail(), HasSubstr("write redis+sentinel:// in the URL"));
}

TEST_F(RedisSentinelTest, SaysThatTheSentinelsCouldNotFailOver) {
  SentinelFleet::Options fleet;
  fleet.replicas = 0;
  fleet.sentinels = 1;
  fleet.quorum = 2;
  StartFleet(fleet);
  StartStore(Options());
  EXPECT_TRUE(Set(*store_, "key", "value").ok()) << "it serves all the same";
  EXPECT_THAT(DescribeNow(*store_)->advice,
              testing::ElementsAre(AllOf(HasSubstr("cannot fail over"), HasSubstr("NOQUORUM"))));
  EXPECT_EQ(WarningCount(), 1u);
  fleet_->servers[0]->Kill();
  EXPECT_TRUE(Eventually([&] {
    const std::string detail = Detail();
    return detail.find("Connection refused") != std::string::npos &&
           detail.find("cannot fail over") != std::string::npos;
  })) << Detail();
}

TEST_F(RedisSentinelTest, AllSentinelsGoneEndsNoConnectionThatIsThere) {
  SentinelFleet::Options fleet;
  fleet.replicas = 0;
  StartFleet(fleet);
  StartStore(Options());
  const int64_t disconnects = DescribeNow(*store_)->disconnects;
  for (const auto& sentinel : fleet_->sentinels) sentinel->Kill();
  const int64_t until = clock_.NowNanos() + 3 * kNanosPerSecond;
  while (clock_.NowNanos() < until) ASSERT_TRUE(Set(*store_, "key", "value").ok());
  EXPECT_EQ(DescribeNow(*store_)->disconnects, disconnects);
  // Lost, it is not found again without one, and then is.
  ASSERT_TRUE(fleet_->servers[0]->Command({"CLIENT", "KILL", "TYPE", "normal"}).ok());
  EXPECT_TRUE(Eventually([&] { return Detail().find("Sentinel at") == 0; })) << Detail();
  ASSERT_TRUE(fleet_->sentinels[1]->Restart().ok());
  EXPECT_TRUE(AwaitReady(*store_));
}

// It says that it is no master, so that it is asked for again, and nothing is written to it or read from it.
TEST_F(RedisSentinelTest, AServerThatIsNoMasterIsNotUsed) {
  SentinelFleet::Options fleet;
  fleet.replicas = 0;
  fleet.sentinels = 1;
  fleet.down_after_ms = 60'000;
  StartFleet(fleet);
  ASSERT_TRUE(fleet_->servers[0]->Command({"REPLICAOF", "127.0.0.1", "1"}).ok());
  store_ = MakeStore(Options());
  EXPECT_TRUE(Eventually([&] { return Detail().find("Redis is a replica (role:slave)") == 0; })) << Detail();
  ASSERT_TRUE(fleet_->servers[0]->Command({"REPLICAOF", "NO", "ONE"}).ok());
  EXPECT_TRUE(AwaitReady(*store_));
}

// COHERENCE N1: it takes no writes, and another may long since have become the master.
TEST_F(RedisSentinelTest, AMasterThatNoReplicaHearsIsNotReadFrom) {
  SentinelFleet::Options fleet;
  fleet.replicas = 1;
  fleet.sentinels = 1;
  fleet.quorum = 1;
  fleet.down_after_ms = 60'000;
  fleet.server_args = {"--min-replicas-to-write", "1", "--min-replicas-max-lag", "5"};
  StartFleet(fleet);
  StartStore(Options());
  store_->SetNearHolder(&holder_);
  ASSERT_TRUE(Eventually([&] { return store_->tracks() && holder_.renewals() > 2; }));
  ASSERT_TRUE(AwaitServing());
  ASSERT_TRUE(Set(*store_, "key", "value").ok());
  // A Redis without sentinels is the only one there is, and read from as long as it answers.
  RedisOptions alone = Options();
  alone.sentinels.clear();
  alone.port = fleet_->servers[0]->port();
  const std::unique_ptr<RedisStore> other = MakeStore(alone);
  ASSERT_TRUE(AwaitReady(*other));

  fleet_->servers[1]->Kill();
  EXPECT_TRUE(Eventually([&] { return Detail().find("none of the master's replicas hears it") == 0; })) << Detail();
  EXPECT_EQ(ReadNow(*store_, {"default", {"key"}, {}, 0}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(store_->tracks());
  EXPECT_EQ(Value(*other, "key"), "value");
  EXPECT_EQ(Set(*other, "key", "new").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Value(*other, "key"), "value");

  ASSERT_TRUE(fleet_->servers[1]->Restart().ok());
  const std::string port = std::to_string(fleet_->servers[0]->port());
  ASSERT_TRUE(fleet_->servers[1]->Command({"REPLICAOF", "127.0.0.1", port}).ok());
  EXPECT_TRUE(AwaitServing());
  EXPECT_EQ(Value(*store_, "key"), "value");
}

// The same, where it is a write that finds out.
TEST_F(RedisSentinelTest, AWriteThatNoReplicaHearsEndsTheReadsToo) {
  SentinelFleet::Options fleet;
  fleet.replicas = 1;
  fleet.sentinels = 1;
  fleet.quorum = 1;
  fleet.down_after_ms = 60'000;
  fleet.server_args = {"--min-replicas-to-write", "1", "--min-replicas-max-lag", "5"};
  StartFleet(fleet);
  StartStore(Options());
  ASSERT_TRUE(AwaitServing());
  fleet_->servers[1]->Kill();
  // Nobody looks before.
  EXPECT_TRUE(ReadNow(*store_, {"default", {"key"}, {}, 0}).ok());
  ASSERT_TRUE(Eventually([&] { return !Set(*store_, "key", "value").ok(); }));
  EXPECT_TRUE(Eventually([&] { return !ReadNow(*store_, {"default", {"key"}, {}, 0}).ok(); }));
  EXPECT_TRUE(Eventually([&] { return Detail().find("none of the master's replicas hears it") == 0; })) << Detail();
}

TEST_F(RedisSentinelTest, OverTlsAndWithPasswordsAllAround) {
  TestCertificates made;
  made.Authority("authority");
  made.Signed("authority", "server", "IP:127.0.0.1");
  SentinelFleet::Options fleet;
  fleet.tls = true;
  fleet.replicas = 1;
  fleet.sentinels = 2;
  fleet.password = "open";
  fleet.sentinel_password = "sesame";
  fleet.server_args = {"--tls-cert-file",    made.pem("server"),
                       "--tls-key-file",     made.key("server"),
                       "--tls-ca-cert-file", made.pem("authority"),
                       "--tls-auth-clients", "no",
                       "--tls-replication",  "yes"};
  fleet.sentinel_args = fleet.server_args;
  StartFleet(fleet);
  RedisOptions options = Options();
  options.sentinels.clear();
  for (const auto& sentinel : fleet_->sentinels) options.sentinels.push_back({"127.0.0.1", sentinel->tls_port()});
  options.password = "open";
  options.sentinel_password = "sesame";
  options.tls.enabled = true;
  options.tls.ca_file = made.pem("authority");
  StartStore(options);
  EXPECT_TRUE(Set(*store_, "key", "value").ok());
  EXPECT_EQ(Value(*store_, "key"), "value");
  EXPECT_THAT(Address(), testing::StartsWith("127.0.0.1:" + std::to_string(fleet_->servers[0]->tls_port())));
  options.tls.ca_file = "";
  store_ = MakeStore(options);
  EXPECT_TRUE(Eventually([&] { return Detail() != "not connected yet"; }));
  EXPECT_THAT(Detail(), HasSubstr("the server's certificate is of a CA that is not trusted here"));
}

}  // namespace
}  // namespace larder
