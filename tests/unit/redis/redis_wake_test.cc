// Who is told that a lease has ended, and what the connection that tells it goes through.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/redis_store_fixture.h"

namespace larder {
namespace {

using Outcome = LeaseResult::Outcome;

class RedisWakeTest : public RedisStoreFixture {
 protected:
  // The keys that were told, "" where any may be meant; without a namespace where news may have been lost.
  class Log {
   public:
    void Add(std::string_view name_space, std::string_view key) {
      MutexLock lock(&mutex_);
      ++told_[std::string(name_space) + "/" + std::string(key)];
    }
    int Count(const std::string& what) {
      MutexLock lock(&mutex_);
      return told_[what];
    }
    int Lost() { return Count("/"); }

   private:
    Mutex mutex_;
    std::map<std::string, int> told_ ABSL_GUARDED_BY(mutex_);
  };

  // Subscribed before it returns.
  void Listen(const RedisOptions& options) {
    wake_listener_ = [this](std::string_view name_space, std::string_view key) { log_.Add(name_space, key); };
    StartStore(options);
    wake_listener_ = nullptr;
    ASSERT_TRUE(AwaitSubscribers(1));
  }
  bool AwaitSubscribers(int count) {
    return Eventually([&] {
      return Redis({"PUBSUB", "NUMSUB", "larder:{default}:wake"}) ==
                 "larder:{default}:wake\n" + std::to_string(count) &&
             Redis({"PUBSUB", "NUMSUB", "larder:{other}:wake"}) == "larder:{other}:wake\n" + std::to_string(count);
    });
  }
  bool AwaitTold(const std::string& key) {
    return Eventually([&] { return log_.Count("default/" + key) > 0; });
  }
  FillToken LeaseOf(const std::string& key, bool somebody_waits) {
    absl::StatusOr<LeaseResult> lease = LeaseNow(*store_, LeaseOn(key, ++last_token_));
    EXPECT_EQ(lease->outcome, Outcome::kGranted) << lease.status();
    if (somebody_waits) {
      EXPECT_EQ(LeaseNow(*store_, LeaseOn(key, ++last_token_))->outcome, Outcome::kHeld);
    }
    return lease->fill;
  }
  // Sees a fill through, from lease to news.
  void ExpectWakes(const std::string& key) {
    const FillToken fill = LeaseOf(key, true);
    EXPECT_TRUE(Fill(*store_, key, fill, "v")->applied);
    EXPECT_TRUE(AwaitTold(key));
  }

  ~RedisWakeTest() override { store_.reset(); }  // it tells the log

  Log log_;
  uint64_t last_token_ = 0xfedc'0000'0000'0000;
};

TEST_F(RedisWakeTest, NewsIsPublishedOnlyWhereSomebodyWaits) {
  StartServer();
  Listen(PatientOptions());
  for (const bool waited : {false, true}) {
    const std::string prefix = waited ? "waited " : "unwaited ";
    const int64_t before = Calls("publish");
    std::map<std::string, FillToken> leases;
    for (const char* how : {"fill", "set", "erase", "soft", "release", "exact", "dead"}) {
      leases[how] = LeaseOf(prefix + how, waited);
    }
    EXPECT_TRUE(Fill(*store_, prefix + "fill", leases["fill"], "v")->applied);
    EXPECT_TRUE(Set(*store_, prefix + "set", "v")->applied);
    EXPECT_TRUE(EraseNow(*store_, {"default", {prefix + "erase", "absent"}, {}, 0}).ok());
    EXPECT_TRUE(EraseNow(*store_, {"default", {prefix + "soft"}, {last_version_.fetch_add(1)}, 0}).ok());
    EXPECT_TRUE(ReleaseNow(*store_, {"default", prefix + "release", leases["release"].token, 0, 0, 0, 0})->held);
    EXPECT_TRUE(EraseVersionsNow(*store_, {"default", {{prefix + "exact", leases["exact"].token}}, 0}).ok());
    const auto is_dead = [&](std::string_view key) { return key == prefix + "dead" ? uint64_t{1} << 50 : 0; };
    EXPECT_TRUE(EraseDeadNow(*store_, {"default", "", 1'000, {Generation(*store_), 1}, is_dead, {}, 0}).ok());
    EXPECT_EQ(Calls("publish") - before, waited ? 7 : 0);
    // Once told they are told of no more: nobody waits for the entry that is there now.
    EXPECT_TRUE(Set(*store_, prefix + "fill", "v")->applied);
    EXPECT_TRUE(EraseNow(*store_, {"default", {prefix + "fill"}, {}, 0}).ok());
    EXPECT_EQ(Calls("publish") - before, waited ? 7 : 0);
    if (!waited) continue;
    for (const auto& [how, token] : leases) EXPECT_TRUE(AwaitTold(prefix + how)) << how;
  }
}

TEST_F(RedisWakeTest, AStaleEntryTellsOnce) {
  StartServer();
  Listen(PatientOptions());
  const uint64_t version = Set(*store_, "key", "old")->current_version;
  const absl::StatusOr<LeaseResult> lease = LeaseNow(*store_, LeaseOn("key", ++last_token_, version));
  ASSERT_EQ(lease->outcome, Outcome::kGranted);
  EXPECT_EQ(LeaseNow(*store_, LeaseOn("key", ++last_token_, version))->outcome, Outcome::kHeld);
  const int64_t before = Calls("publish");
  EXPECT_TRUE(ReleaseNow(*store_, {"default", "key", lease->fill.token, 0, 0, kMinute, 0})->held);
  EXPECT_TRUE(AwaitTold("key"));
  EXPECT_TRUE(Set(*store_, "key", "new")->applied);
  EXPECT_EQ(Calls("publish") - before, 1);
}

// COHERENCE C3, P3: with the record every lease is dead.
TEST_F(RedisWakeTest, ALostControlRecordIsToldOfOnce) {
  StartServer();
  Listen(PatientOptions());
  LeaseOf("key", true);
  const int before = log_.Count("default/");
  Redis({"DEL", kControlKey});
  EXPECT_NE(Generation(*store_), 0u);
  EXPECT_TRUE(Eventually([&] { return log_.Count("default/") > before; }));
  const int64_t told = Calls("publish");
  EXPECT_EQ(LeaseNow(*store_, LeaseOn("key", ++last_token_))->outcome, Outcome::kGranted);
  EXPECT_NE(Generation(*store_), 0u);
  EXPECT_EQ(Calls("publish"), told);
}

// Whoever waits asks nothing meanwhile: it hears of the fill, on another replica too.
TEST_F(RedisWakeTest, WaitingCostsRedisNothing) {
  StartServer();
  Listen(PatientOptions());
  std::unique_ptr<RedisStore> filler = MakeStore(PatientOptions());
  ASSERT_TRUE(AwaitReady(*filler));
  ASSERT_TRUE(AwaitSubscribers(2));
  const absl::StatusOr<LeaseResult> lease = LeaseNow(*filler, LeaseOn("key", ++last_token_));
  ASSERT_EQ(lease->outcome, Outcome::kGranted);
  ASSERT_EQ(LeaseNow(*store_, LeaseOn("key", ++last_token_))->outcome, Outcome::kHeld);
  const int64_t scripts = Calls("evalsha");
  const int64_t reads = Calls("get") + Calls("pttl") + Calls("getrange");
  EXPECT_TRUE(Fill(*filler, "key", lease->fill, "v")->applied);
  EXPECT_TRUE(AwaitTold("key"));
  EXPECT_EQ(Calls("evalsha") - scripts, 1);
  EXPECT_EQ(Calls("get") + Calls("pttl") + Calls("getrange") - reads, 2) << "those of the fill itself";
}

TEST_F(RedisWakeTest, KeysOfAnyBytesAndNamespacesAreToldApart) {
  StartServer();
  Listen(PatientOptions());
  const std::string key("a\0:e:\r\n*", 8);
  ExpectWakes(key);
  LeaseRequest other = LeaseOn("key", ++last_token_);
  other.name_space = "other";
  ASSERT_EQ(LeaseNow(*store_, other)->outcome, Outcome::kGranted);
  ASSERT_EQ(LeaseNow(*store_, other)->outcome, Outcome::kHeld);
  EXPECT_TRUE(EraseNow(*store_, {"other", {"key"}, {}, 0}).ok());
  EXPECT_TRUE(Eventually([&] { return log_.Count("other/key") == 1; }));
  EXPECT_EQ(log_.Count("default/key"), 0);
  // What others publish there is no news.
  Redis({"PUBLISH", "larder:{default}:wake", "rubbish"});
  ExpectWakes("last");
  EXPECT_EQ(log_.Count("default/rubbish"), 0);
}

TEST_F(RedisWakeTest, ALostSubscriptionIsMadeAgainAndDisturbsNothing) {
  StartServer();
  Listen(PatientOptions());
  ASSERT_TRUE(Eventually([&] { return log_.Lost() >= 1; })) << "once it has begun";
  const int lost = log_.Lost();
  const uint64_t generation = Generation(*store_);
  ASSERT_EQ(Redis({"CLIENT", "KILL", "TYPE", "pubsub"}), "1");
  EXPECT_TRUE(Eventually([&] { return log_.Lost() == lost + 2; })) << "once it is lost, and once it is there again";
  ASSERT_TRUE(AwaitSubscribers(1));
  ExpectWakes("key");
  EXPECT_EQ(log_.Lost(), lost + 2);
  EXPECT_EQ(store_->disconnects(), 0);
  EXPECT_EQ(store_->state(), StoreInfo::State::kReady);
  EXPECT_EQ(Generation(*store_), generation);
  EXPECT_EQ(WarningCount(), 0u);
}

TEST_F(RedisWakeTest, ItComesBackWithRedis) {
  StartServer();
  Listen(PatientOptions());
  server_->Kill();
  ASSERT_TRUE(Eventually([&] { return store_->state() != StoreInfo::State::kReady; }));
  ASSERT_TRUE(server_->Restart().ok());
  ASSERT_TRUE(AwaitReady(*store_));
  ASSERT_TRUE(AwaitSubscribers(1));
  ExpectWakes("key");
}

// Nothing is asked on that connection that would find out that nobody is there any more.
TEST_F(RedisWakeTest, ASilentConnectionIsFoundOut) {
  StartServer();
  RedisOptions options = PatientOptions();
  options.operation_timeout_nanos = 100 * kNanosPerMilli;
  Listen(options);
  ASSERT_TRUE(Eventually([&] { return log_.Lost() >= 1; }));
  const int lost = log_.Lost();
  // While it answers it is kept.
  const int64_t subscribed = Calls("subscribe");
  ASSERT_TRUE(Eventually([&] { return Calls("subscribe") >= subscribed + 3; }));
  EXPECT_EQ(log_.Lost(), lost);
  server_->Pause();
  EXPECT_TRUE(Eventually([&] { return log_.Lost() > lost; }));
  server_->Resume();
  ASSERT_TRUE(AwaitReady(*store_));
  EXPECT_TRUE(Eventually([&] { return log_.Lost() >= lost + 2; }));
}

TEST_F(RedisWakeTest, WorksWithAPasswordAndTheOldProtocol) {
  RedisServer::Options server_options;
  server_options.password = "hunter2";
  server_options.extra_args = {"--rename-command", "HELLO", ""};
  StartServer(server_options);
  RedisOptions options = PatientOptions();
  options.password = "hunter2";
  options.operation_timeout_nanos = 200 * kNanosPerMilli;
  Listen(options);
  ExpectWakes("key");
  // Subscribing again is answered in this protocol, too.
  const int64_t subscribed = Calls("subscribe");
  const int lost = log_.Lost();
  ASSERT_TRUE(Eventually([&] { return Calls("subscribe") >= subscribed + 2; }));
  ExpectWakes("other");
  EXPECT_EQ(log_.Lost(), lost);
}

TEST_F(RedisWakeTest, WorksInAnotherDatabaseOverAUnixSocket) {
  RedisServer::Options server_options;
  server_options.unix_socket = true;
  StartServer(server_options);
  RedisOptions options = PatientOptions();
  options.unix_path = server_->unix_path();
  options.port = 1;
  options.database = 2;
  Listen(options);
  ExpectWakes("key");
}

// Everything but the news works, and an operator is told why that does not.
TEST_F(RedisWakeTest, AMissingRightToTheChannelIsSaidOnce) {
  StartServer();
  ASSERT_EQ(Redis({"ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "resetchannels"}), "OK");
  RedisOptions options = PatientOptions();
  options.user = "app";
  options.password = "pw";
  StartStore(options);
  ASSERT_TRUE(Eventually([&] { return WarningCount() >= 1; }));
  const FillToken fill = LeaseOf("key", true);
  EXPECT_TRUE(Fill(*store_, "key", fill, "v")->applied) << "though its news cannot be published";
  EXPECT_EQ(Value(*store_, "key"), "v");
  const int64_t tried = Calls("auth") + Calls("hello");
  ASSERT_TRUE(Eventually([&] { return Calls("auth") + Calls("hello") >= tried + 3; }));
  EXPECT_EQ(store_->state(), StoreInfo::State::kReady);
  MutexLock lock(&warnings_mutex_);
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_THAT(warnings_[0],
              testing::HasSubstr("Redis does not tell of loads that end, so callers wait in vain: NOPERM"));
}

TEST_F(RedisWakeTest, NothingIsToldAfterShutdown) {
  StartServer();
  Listen(PatientOptions());
  ASSERT_TRUE(Eventually([&] { return log_.Lost() >= 1; }));
  store_->Shutdown();
  const int lost = log_.Lost();
  EXPECT_TRUE(AwaitSubscribers(0));
  EXPECT_EQ(log_.Lost(), lost);
}

}  // namespace
}  // namespace larder
