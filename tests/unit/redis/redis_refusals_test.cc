// What Redis answers when it will not serve, and what is made of that.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/redis_store_fixture.h"

namespace larder {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class RedisRefusalsTest : public RedisStoreFixture {
 protected:
  std::string Detail() { return DescribeNow(*store_)->detail; }
  bool AwaitDetail(const std::string& part) {
    return Eventually([&] { return Detail().find(part) != std::string::npos; });
  }
  bool HasWarned(const std::string& part) {
    MutexLock lock(&warnings_mutex_);
    for (const std::string& warning : warnings_) {
      if (warning.find(part) != std::string::npos) return true;
    }
    return false;
  }
  absl::Status ReadStatus() { return ReadNow(*store_, {"default", {"key"}, {}, 0}).status(); }
};

// It has what it needs in a moment: not taken for a failure of the kind that is tried ever more seldom.
TEST_F(RedisRefusalsTest, OneThatLoadsItsDataIsWaitedFor) {
  RedisServer::Options server;
  server.extra_args = {
      "--enable-debug-command", "yes", "--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024"};
  StartServer(server);
  ASSERT_EQ(Redis({"DEBUG", "POPULATE", "4000", "filler", "100"}), "OK");
  ASSERT_EQ(Redis({"SAVE"}), "OK");
  RedisOptions options = PatientOptions();
  options.max_backoff_nanos = 60 * kNanosPerSecond;
  options.min_backoff_nanos = 20 * kNanosPerMilli;
  StartStore(options);
  server_->Kill();
  // It ends with the thread that starts it.
  std::thread watch([this] {
    EXPECT_TRUE(AwaitDetail("Redis is loading its data (LOADING)")) << Detail();
    EXPECT_EQ(ReadStatus().code(), absl::StatusCode::kUnavailable);
  });
  EXPECT_TRUE(server_->Restart().ok());
  watch.join();
  EXPECT_TRUE(AwaitReady(*store_, std::chrono::seconds(5))) << Detail();
  // Each attempt begins with one; with pauses that grow it would be seven or eight in two seconds.
  EXPECT_GT(Calls("hello"), 15);
  EXPECT_TRUE(Set(*store_, "key", "value").ok());
}

TEST_F(RedisRefusalsTest, AReplicaWithoutItsMasterIsNotServedFrom) {
  StartBoth();
  ASSERT_TRUE(Set(*store_, "key", "value").ok());
  ASSERT_EQ(Redis({"CONFIG", "SET", "replica-serve-stale-data", "no"}), "OK");
  ASSERT_EQ(Redis({"REPLICAOF", "127.0.0.1", "1"}), "OK");
  const absl::Status status = ReadStatus();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("MASTERDOWN"));
  ASSERT_TRUE(AwaitDetail("Redis is a replica (role:slave); Larder needs the master")) << Detail();
  ASSERT_EQ(Redis({"REPLICAOF", "NO", "ONE"}), "OK");
  ASSERT_TRUE(AwaitReady(*store_));
  EXPECT_EQ(Value(*store_, "key"), "(none)");
}

TEST_F(RedisRefusalsTest, AClusterIsRefusedInPlainWords) {
  RedisServer::Options server;
  server.extra_args = {"--cluster-enabled", "yes"};
  StartServer(server);
  store_ = MakeStore(PatientOptions());
  ASSERT_TRUE(AwaitDetail("Redis runs as a Cluster; write redis+cluster:// in the URL")) << Detail();
  EXPECT_TRUE(HasWarned("runs as a Cluster"));
  EXPECT_EQ(ReadStatus().code(), absl::StatusCode::kUnavailable);
}

// Nothing is wrong with the connection, and one that is made meanwhile says what it waits for.
TEST_F(RedisRefusalsTest, OneThatRunsSomebodysScriptIsWaitedFor) {
  StartBoth();
  ASSERT_TRUE(Set(*store_, "key", "value").ok());
  ASSERT_EQ(Redis({"CONFIG", "SET", "lua-time-limit", "5"}), "OK");
  std::thread script([this] { Redis({"EVAL", "while true do end", "0"}); });
  EXPECT_TRUE(Eventually([&] { return ReadStatus().code() == absl::StatusCode::kUnavailable; }));
  EXPECT_THAT(std::string(ReadStatus().message()), HasSubstr("BUSY"));
  std::unique_ptr<RedisStore> other = MakeStore(PatientOptions());
  EXPECT_TRUE(Eventually([&] {
    return DescribeNow(*other)->detail == "Redis is busy running somebody's script (BUSY)";
  })) << DescribeNow(*other)->detail;
  EXPECT_EQ(Redis({"SCRIPT", "KILL"}), "OK");
  script.join();
  EXPECT_EQ(Value(*store_, "key"), "value");
  EXPECT_EQ(DescribeNow(*store_)->disconnects, 0);
  EXPECT_TRUE(AwaitReady(*other));
}

TEST_F(RedisRefusalsTest, AUserThatIsTakenAwayIsSaidAndLogged) {
  StartServer();
  ASSERT_EQ(Redis({"ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all"}), "OK");
  RedisOptions options = PatientOptions();
  options.user = "app";
  options.password = "pw";
  StartStore(options);
  ASSERT_EQ(Redis({"ACL", "DELUSER", "app"}), "1");
  ASSERT_TRUE(AwaitDetail("Redis refused the user or password (WRONGPASS)")) << Detail();
  EXPECT_TRUE(HasWarned("WRONGPASS"));
  ASSERT_EQ(Redis({"ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all"}), "OK");
  EXPECT_TRUE(AwaitReady(*store_));
}

// A reason that waits for somebody to act is told although the connection was away already; one that does not is not.
TEST_F(RedisRefusalsTest, WhatSomebodyMustMendIsToldWhenItIsFound) {
  RedisServer::Options server;
  server.password = "secret";
  StartServer(server);
  server_->Kill();
  store_ = MakeStore(PatientOptions());
  ASSERT_TRUE(AwaitDetail("Connection refused"));
  EXPECT_EQ(WarningCount(), 1u);
  ASSERT_TRUE(server_->Restart().ok());
  ASSERT_TRUE(AwaitDetail("Redis requires a password (NOAUTH)")) << Detail();
  EXPECT_EQ(WarningCount(), 2u);
  EXPECT_TRUE(HasWarned("NOAUTH"));
}

TEST_F(RedisRefusalsTest, SaysWhatAnEvictionPolicyCosts) {
  StartBoth();
  EXPECT_TRUE(DescribeNow(*store_)->advice.empty());
  EXPECT_EQ(DescribeNow(*store_)->address, "127.0.0.1:" + std::to_string(server_->port()));
  ASSERT_EQ(Redis({"CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "noeviction"}), "OK");
  EXPECT_THAT(DescribeNow(*store_)->advice,
              testing::ElementsAre(StartsWith("Redis' maxmemory-policy noeviction refuses")));
  ASSERT_EQ(Redis({"CONFIG", "SET", "maxmemory-policy", "volatile-lru"}), "OK");
  EXPECT_TRUE(DescribeNow(*store_)->advice.empty());
  ASSERT_EQ(Redis({"CONFIG", "SET", "maxmemory-policy", "allkeys-lru"}), "OK");
  EXPECT_THAT(DescribeNow(*store_)->advice,
              testing::ElementsAre(HasSubstr("0 operations of this server found it gone")));
  ASSERT_EQ(Redis({"DEL", kControlKey}), "1");
  ASSERT_TRUE(Set(*store_, "key", "value").ok());
  EXPECT_THAT(DescribeNow(*store_)->advice,
              testing::ElementsAre(HasSubstr("1 operations of this server found it gone")));
}

// COHERENCE C3: the control record is evicted again and again, and no old value is served for all that.
class RedisEvictionTest : public RedisRefusalsTest, public testing::WithParamInterface<const char*> {};

TEST_P(RedisEvictionTest, UnderChurnNothingStaleIsServed) {
  RedisServer::Options server;
  server.extra_args = {"--maxmemory", "4mb", "--maxmemory-policy", GetParam(), "--maxmemory-samples", "1"};
  StartServer(server);
  RedisOptions options = PatientOptions();
  options.compress_from_bytes = 0;
  StartStore(options);
  std::unique_ptr<RedisStore> writer = MakeStore(options);
  ASSERT_TRUE(AwaitReady(*writer));

  constexpr int kKeys = 10;
  constexpr int kRounds = 1'500;
  // The least that a read begun from now on may find; 0: nothing was ever written.
  std::vector<std::atomic<int>> floors(kKeys);
  std::atomic<bool> stop{false};
  std::atomic<int> reads{0};
  std::atomic<int> hits{0};
  std::atomic<int> stale{0};
  std::thread reader([&] {
    for (int i = 0; !stop.load(); i = (i + 1) % kKeys) {
      const int floor = floors[static_cast<size_t>(i)].load();
      const std::string value = Value(*store_, "key" + std::to_string(i));
      reads.fetch_add(1);
      if (value.empty() || value.find_first_not_of("0123456789") != std::string::npos) continue;
      hits.fetch_add(1);
      if (std::stoi(value) < floor) stale.fetch_add(1);
    }
  });
  const std::string filler(20'000, 'f');
  for (int round = 1; round <= kRounds; ++round) {
    const int i = round % kKeys;
    const std::string key = "key" + std::to_string(i);
    if (round % 10 == 3) {
      if (EraseNow(*writer, {"default", {key}, {}, 0}).ok()) floors[static_cast<size_t>(i)].store(round);
    } else if (round % 50 == 7) {
      if (InvalidateAllNow(*writer, "default", {}).ok()) {
        for (std::atomic<int>& floor : floors) floor.store(round);
      }
    } else if (Set(*writer, key, std::to_string(round)).ok()) {
      floors[static_cast<size_t>(i)].store(round);
    }
    static_cast<void>(Set(*writer, "filler" + std::to_string(round % 400), filler));
  }
  stop.store(true);
  reader.join();
  EXPECT_EQ(stale.load(), 0);
  EXPECT_GT(hits.load(), 100) << "of " << reads.load();
  const StoreInfo info = *DescribeNow(*writer);
  EXPECT_GT(info.evictions, 100);
  ASSERT_EQ(info.advice.size(), 1u);
  std::cout << GetParam() << ": " << hits.load() << " hits of " << reads.load() << " reads, " << info.evictions
            << " evictions; " << info.advice[0] << "\n";
  EXPECT_THAT(info.advice[0], HasSubstr(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Policies, RedisEvictionTest, testing::Values("allkeys-lru", "allkeys-random"),
                         [](const auto& policy) { return std::string(policy.param).substr(8); });

}  // namespace
}  // namespace larder
