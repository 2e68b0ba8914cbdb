// Keys are found wherever the nodes of a Cluster have them, also while they move.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/redis/cluster_map.h"
#include "tests/support/redis_cluster_fixture.h"

namespace larder {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

using RedisClusterTest = RedisClusterFixture;

TEST(ClusterMapTest, KnowsTheSlotsOfKeys) {
  // As the specification has it.
  EXPECT_EQ(HashSlotOf("123456789"), 0x31C3 % 16'384);
  EXPECT_EQ(HashSlotOf("{user1000}.following"), HashSlotOf("user1000"));
  EXPECT_EQ(HashSlotOf("{user1000}.following"), HashSlotOf("{user1000}.followers"));
  EXPECT_EQ(HashSlotOf("foo{{bar}}zap"), HashSlotOf("{bar"));
  EXPECT_EQ(HashSlotOf("foo{bar}{zap}"), HashSlotOf("bar"));
  EXPECT_NE(HashSlotOf("foo{}{bar}"), HashSlotOf("bar"));
  EXPECT_NE(HashSlotOf("foo{bar"), HashSlotOf("bar"));
}

TEST(ClusterMapTest, ReadsWhatTheNodesSay) {
  const std::string text =
      "b1 10.0.0.2:6379@16379,two.example master - 0 1 2 connected 5461-10922 [5462->-a1]\n"
      "a1 :6379@16379 myself,master - 0 0 1 connected 0-100 200 [93-<-b1]\n"
      "c1 [::1]:7000@17000 slave a1 0 1 1 connected\n"
      "d1 ::1:7001@17001 master,fail - 0 1 3 disconnected 300-301\n"
      "f1 10.0.0.3:6379@16379 master,fail - 0 1 3 connected\n"
      "e1 :0@0 master,noaddr - 0 1 3 disconnected 400\n";
  const auto masters = ParseClusterNodes(text, {"asked", 1}, /*by_name=*/false);
  ASSERT_TRUE(masters.has_value());
  ASSERT_EQ(masters->size(), 3u);
  EXPECT_EQ((*masters)[0].endpoint, (RedisEndpoint{"asked", 6379}));
  EXPECT_EQ((*masters)[0].slots, (std::vector<std::pair<int, int>>{{0, 100}, {200, 200}}));
  EXPECT_EQ((*masters)[1].endpoint, (RedisEndpoint{"10.0.0.2", 6379}));
  EXPECT_EQ((*masters)[2].endpoint, (RedisEndpoint{"::1", 7001}));
  const auto named = ParseClusterNodes(text, {"asked", 1}, /*by_name=*/true);
  EXPECT_EQ((*named)[1].endpoint, (RedisEndpoint{"two.example", 6379}));
  for (const char* wrong : {"a1", "a1 x master - 0 0 1 connected", "a1 h:1@2 master - 0 0 1 connected 16384",
                            "a1 h:1@2 master - 0 0 1 connected 7-6", "a1 h:70000@2 master - 0 0 1 connected 1"}) {
    EXPECT_FALSE(ParseClusterNodes(wrong, {"asked", 1}, false).has_value()) << wrong;
  }
}

TEST(ClusterMapTest, ReadsWhereItIsSentOn) {
  const auto moved = ParseRedirection("MOVED 3999 127.0.0.1:6381", {"asked", 1});
  ASSERT_TRUE(moved.has_value());
  EXPECT_FALSE(moved->once);
  EXPECT_EQ(moved->slot, 3'999);
  EXPECT_EQ(moved->endpoint, (RedisEndpoint{"127.0.0.1", 6381}));
  const auto ask = ParseRedirection("ASK 1 :6381", {"asked", 1});
  ASSERT_TRUE(ask.has_value());
  EXPECT_TRUE(ask->once);
  EXPECT_EQ(ask->endpoint, (RedisEndpoint{"asked", 6381}));
  for (const char* wrong : {"MOVED", "MOVED 1", "MOVED x 1:1", "MOVED 16384 h:1", "ERR 1 h:1", "MOVED 1 h"}) {
    EXPECT_FALSE(ParseRedirection(wrong, {"asked", 1}).has_value()) << wrong;
  }
}

TEST_F(RedisClusterTest, KeepsKeysOnAllNodesAndSaysSo) {
  ASSERT_NO_FATAL_FAILURE(StartCluster());
  ASSERT_NO_FATAL_FAILURE(StartWhole());
  for (size_t i = 0; i < 3; ++i) {
    const std::string key = KeyOn(i);
    ASSERT_TRUE(Set(*store_, key, "value").ok());
    EXPECT_EQ(Value(*store_, key), "value");
    EXPECT_EQ(cluster_->Ask(i, {"EXISTS", kDefaultEntry + key}), "1");
  }
  const absl::StatusOr<StoreInfo> info = DescribeNow(*store_);
  EXPECT_THAT(info->address, HasSubstr("Cluster (127.0.0.1:"));
  EXPECT_GE(info->keys, 3);
  EXPECT_FALSE(info->redis_version.empty());
  EXPECT_EQ(info->state, StoreInfo::State::kReady);
}

TEST_F(RedisClusterTest, OneThatIsNoClusterIsRefusedInPlainWords) {
  StartServer();
  RedisOptions options = PatientOptions();
  options.cluster.push_back({"127.0.0.1", server_->port()});
  store_ = MakeStore(options);
  EXPECT_TRUE(Eventually([&] { return Detail().find("it does not run as a Cluster") != std::string::npos; }))
      << Detail();
  EXPECT_TRUE(absl::IsUnavailable(Set(*store_, "key", "value").status()));
}

// The keys of a live reshard are found where they are: no error, and no wrong answer.
TEST_F(RedisClusterTest, AReshardUnderLoadCostsNoErrorAndNoWrongAnswer) {
  ASSERT_NO_FATAL_FAILURE(StartCluster({.empty_masters = 1}));
  ASSERT_NO_FATAL_FAILURE(StartWhole());
  constexpr int kThreads = 3;
  constexpr int kKeys = 40;
  // Their slots, the control record's and the members' among them, go round all nodes, the one without any first.
  std::set<int> slots = {HashSlotOf("larder:{default}:ctl"), HashSlotOf("larder:{other}:ctl"),
                         HashSlotOf("larder:members")};
  for (int i = 0; i < kThreads * kKeys; ++i) slots.insert(SlotOf(absl::StrCat("key", i)));
  std::atomic<bool> stop{false};
  std::atomic<int> answers{0};
  Mutex mutex;
  std::set<std::string> wrong;
  std::vector<std::thread> load;
  for (int t = 0; t < kThreads; ++t) {
    load.emplace_back([&, t] {
      const auto fail = [&](const std::string& what) {
        MutexLock lock(&mutex);
        wrong.insert(what);
      };
      for (int i = 0; !stop.load(); ++i) {
        // Each thread has keys of its own, so that it knows what they hold.
        const std::string key = absl::StrCat("key", t * kKeys + i % kKeys);
        const std::string value = absl::StrCat(t, "-", i);
        const absl::StatusOr<WriteResult> written = Set(*store_, key, value);
        if (!written.ok()) fail("Set: " + written.status().ToString());
        if (const std::string found = Value(*store_, key); found != value) fail("after a Set: " + found);
        if (i % 3 == 0) {
          const absl::StatusOr<EraseResult> erased = EraseNow(*store_, {"default", {key}, {}, 0});
          if (!erased.ok()) fail("Erase: " + erased.status().ToString());
          if (const std::string found = Value(*store_, key); found != "(none)") fail("after an Erase: " + found);
          LeaseRequest lease = LeaseOn(key, last_version_.fetch_add(1) + 1);
          const absl::StatusOr<LeaseResult> leased = LeaseNow(*store_, lease);
          if (!leased.ok() || leased->outcome != LeaseResult::Outcome::kGranted) {
            fail("Lease: " + leased.status().ToString());
          } else if (const auto filled = Fill(*store_, key, leased->fill, value); !filled.ok() || !filled->applied) {
            fail("Fill: " + filled.status().ToString());
          }
        }
        if (i % 5 == 0) {
          GroupRequest group;
          group.name_space = "default";
          group.tags = {absl::StrCat("tag", t)};
          if (const auto done = InvalidateGroupsNow(*store_, group); !done.ok())
            fail("tag: " + done.status().ToString());
        }
        answers.fetch_add(1);
      }
    });
  }
  ASSERT_TRUE(cluster_->Move(16'383, 2, 3).ok());
  std::map<int, size_t> owner;
  for (int slot : slots) owner[slot] = FirstOwner(slot);
  int moves = 0;
  const auto end = std::chrono::steady_clock::now() + seconds(10);
  for (size_t round = 0; std::chrono::steady_clock::now() < end || round < 4; ++round) {
    for (int slot : slots) {
      // The last has a slot of its own by now, so that it stays a master when it gives these away.
      const size_t to = round == 0 ? 3 : (owner[slot] + 1) % 4;
      if (to == owner[slot]) continue;
      const absl::Status moved = cluster_->Move(slot, owner[slot], to);
      EXPECT_TRUE(moved.ok()) << moved;
      owner[slot] = to;
      ++moves;
    }
  }
  stop = true;
  for (std::thread& thread : load) thread.join();
  std::cout << answers << " rounds of answers during " << moves << " moves of slots\n";
  EXPECT_GT(answers.load(), 300);
  for (const std::string& what : wrong) ADD_FAILURE() << what;
}

}  // namespace
}  // namespace larder
