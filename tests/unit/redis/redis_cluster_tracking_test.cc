// What is written to any node of a Cluster is heard, or nothing is relied on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

#include "tests/support/redis_cluster_fixture.h"
#include "tests/unit/redis/told_holder.h"

namespace larder {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class RedisClusterTrackingTest : public RedisClusterFixture {
 protected:
  ~RedisClusterTrackingTest() override { store_.reset(); }  // it tells the holder

  void Track(const RedisCluster::Options& options = {}) {
    ASSERT_NO_FATAL_FAILURE(StartCluster(options));
    ASSERT_NO_FATAL_FAILURE(StartWhole());
    store_->SetNearHolder(&holder_);
    ASSERT_TRUE(AwaitTracking());
  }
  // A whole renewal has come since.
  bool AwaitTracking() {
    const int before = holder_.renewals();
    return Eventually([&] { return store_->tracks() && holder_.renewals() > before + 2; }, seconds(30));
  }
  // Set by somebody who knows nothing of Larder.
  void SetBy(size_t node, const std::string& key) {
    ASSERT_EQ(cluster_->Ask(node, {"SET", kDefaultEntry + key, "foreign"}), "OK");
  }
  bool AwaitChange(const std::string& key, int since = 0) {
    return Eventually([&] { return holder_.Changed("default/" + key) > since; });
  }

  ToldHolder holder_;
};

TEST_F(RedisClusterTrackingTest, WhatIsWrittenToAnyNodeIsTold) {
  ASSERT_NO_FATAL_FAILURE(Track());
  EXPECT_EQ(store_->CoherenceAdvice(), "");
  for (size_t i = 0; i < 3; ++i) {
    const std::string key = KeyOn(i);
    SetBy(i, key);
    EXPECT_TRUE(AwaitChange(key)) << key;
  }
  EXPECT_EQ(holder_.lost(), 0);
}

TEST_F(RedisClusterTrackingTest, AnotherStoresWritesAndInvalidationsAreTold) {
  ASSERT_NO_FATAL_FAILURE(Track());
  std::unique_ptr<RedisStore> other = MakeStore(Options());
  ASSERT_TRUE(AwaitWhole(*other));
  for (size_t i = 0; i < 3; ++i) {
    const std::string key = KeyOn(i);
    ASSERT_TRUE(Set(*other, key, "value").ok());
    ASSERT_TRUE(AwaitChange(key)) << key;
    const int changes = holder_.Changed("default/" + key);
    ASSERT_TRUE(EraseNow(*other, {"default", {key}, {}, 0}).ok());
    EXPECT_TRUE(AwaitChange(key, changes)) << key;
  }
  GroupRequest group;
  group.name_space = "default";
  group.tags = {"tag"};
  const uint64_t before = holder_.Known("default").epoch;
  ASSERT_TRUE(InvalidateGroupsNow(*other, group).ok());
  EXPECT_TRUE(Eventually([&] { return holder_.Known("default").epoch > before; }));
  other->Shutdown();
}

// COHERENCE N5: a slot's new place tells from the beginning, and its old one of what it gave away.
TEST_F(RedisClusterTrackingTest, ASlotThatMovesIsToldOfByBoth) {
  ASSERT_NO_FATAL_FAILURE(Track({.empty_masters = 1}));
  const std::string key = KeyOn(1);
  ASSERT_TRUE(Set(*store_, key, "value").ok());
  ASSERT_TRUE(AwaitChange(key));
  const int before = holder_.Changed("default/" + key);
  ASSERT_TRUE(cluster_->Move(SlotOf(key), 1, 3).ok());
  EXPECT_TRUE(AwaitChange(key, before));
  EXPECT_EQ(Value(*store_, key), "value");
  ASSERT_TRUE(AwaitTracking());
  const int moved = holder_.Changed("default/" + key);
  SetBy(3, key);
  EXPECT_TRUE(AwaitChange(key, moved));
  // The records' slots too.
  for (const std::string record : {"larder:{default}:ctl", "larder:members"}) {
    const int slot = HashSlotOf(record);
    ASSERT_TRUE(cluster_->Move(slot, FirstOwner(slot), 3).ok());
    EXPECT_TRUE(AwaitTracking()) << record;
  }
}

// COHERENCE N5: though no connection was lost.
TEST_F(RedisClusterTrackingTest, AMasterThatComesLaterIsListenedTo) {
  ASSERT_NO_FATAL_FAILURE(StartCluster({.empty_masters = 1}));
  cluster_->node(3).Pause();
  ASSERT_NO_FATAL_FAILURE(StartWhole());
  store_->SetNearHolder(&holder_);
  ASSERT_TRUE(AwaitTracking());
  ASSERT_EQ(holder_.lost(), 0);
  cluster_->node(3).Resume();
  const std::string key = KeyOn(1);
  ASSERT_TRUE(cluster_->Move(SlotOf(key), 1, 3).ok());
  // It is read from now, and so all has begun anew.
  ASSERT_TRUE(Set(*store_, key, "value").ok());
  EXPECT_EQ(holder_.lost(), 1);
  ASSERT_TRUE(AwaitTracking());
  const int before = holder_.Changed("default/" + key);
  SetBy(3, key);
  EXPECT_TRUE(AwaitChange(key, before));
}

TEST_F(RedisClusterTrackingTest, OneNodeThatDoesNotAnswerEndsTheLeases) {
  ASSERT_NO_FATAL_FAILURE(Track());
  // The record's node goes on.
  const size_t there = FirstOwner(HashSlotOf(kControlKey));
  RedisServer& paused = cluster_->node((there + 1) % 3);
  paused.Pause();
  EXPECT_TRUE(Eventually([&] { return !store_->tracks(); }));
  EXPECT_EQ(holder_.lost(), 1);
  // Nothing is renewed by the others alone.
  const int renewals = holder_.renewals();
  const std::string key = KeyOn(there);
  EXPECT_TRUE(Set(*store_, key, "value").ok());
  EXPECT_EQ(Value(*store_, key), "value");
  EXPECT_EQ(holder_.renewals(), renewals);
  paused.Resume();
  EXPECT_TRUE(AwaitTracking());
  EXPECT_GT(holder_.Changed("/"), 1) << "all is forgotten first";
}

TEST_F(RedisClusterTrackingTest, APromotedNodeIsListenedTo) {
  ASSERT_NO_FATAL_FAILURE(Track({.replicas = true, .node_timeout_ms = 2'000}));
  const std::string key = KeyOn(kLost);
  cluster_->node(kLost).Kill();
  ASSERT_TRUE(Eventually([&] { return !store_->tracks(); }));
  ASSERT_TRUE(Eventually([&] { return store_->tracks(); }, seconds(30)));
  ASSERT_TRUE(AwaitTracking());
  SetBy(3 + kLost, key);
  EXPECT_TRUE(AwaitChange(key));
}

// The rights that docs/envelope.md names suffice, also for a slot that is on its way.
TEST_F(RedisClusterTrackingTest, NeedsNoMoreRightsThanTheDocumentationSays) {
  ASSERT_NO_FATAL_FAILURE(StartCluster({.empty_masters = 1}));
  for (size_t i = 0; i < 4; ++i) {
    ASSERT_EQ(cluster_->Ask(i, {"ACL",
                                "SETUSER",
                                "larder",
                                "reset",
                                "on",
                                ">pw",
                                "~larder:*",
                                "&larder:*",
                                "+hello",
                                "+auth",
                                "+select",
                                "+ping",
                                "+info",
                                "+dbsize",
                                "+scan",
                                "+subscribe",
                                "+publish",
                                "+time",
                                "+evalsha",
                                "+script|load",
                                "+get",
                                "+set",
                                "+pttl",
                                "+pexpire",
                                "+getrange",
                                "+getbit",
                                "+setrange",
                                "+strlen",
                                "+unlink",
                                "+zadd",
                                "+zrem",
                                "+zscore",
                                "+zrevrange",
                                "+zrangebyscore",
                                "+role",
                                "+client|tracking",
                                "+cluster|nodes",
                                "+cluster|info",
                                "+zmscore",
                                "+asking"}),
              "OK");
  }
  RedisOptions options = Options();
  options.user = "larder";
  options.password = "pw";
  StartStore(options);
  ASSERT_TRUE(AwaitWhole(*store_)) << Detail();
  store_->SetNearHolder(&holder_);
  ASSERT_TRUE(AwaitTracking());
  const std::string key = KeyOn(1);
  ASSERT_EQ(cluster_->Ask(3, {"CLUSTER", "SETSLOT", std::to_string(SlotOf(key)), "IMPORTING", cluster_->IdOf(1)}),
            "OK");
  ASSERT_EQ(cluster_->Ask(1, {"CLUSTER", "SETSLOT", std::to_string(SlotOf(key)), "MIGRATING", cluster_->IdOf(3)}),
            "OK");
  ASSERT_TRUE(Set(*store_, key, "value").ok());
  EXPECT_EQ(Value(*store_, key), "value");
  EXPECT_TRUE(TouchNow(*store_, {"default", key, kMinute, kMinute, 0, {}, 0})->found);
  GroupRequest group;
  group.name_space = "default";
  group.tags = {"tag"};
  EXPECT_TRUE(InvalidateGroupsNow(*store_, group).ok());
  const absl::StatusOr<LeaseResult> leased = LeaseNow(*store_, LeaseOn(KeyOn(0), 7));
  ASSERT_TRUE(leased.ok()) << leased.status();
  EXPECT_TRUE(Fill(*store_, KeyOn(0), leased->fill, "filled")->applied);
  EXPECT_TRUE(EraseNow(*store_, {"default", {key, KeyOn(0), KeyOn(2)}, {}, 0}).ok());
  EXPECT_EQ(DescribeNow(*store_)->detail, "");
  EXPECT_EQ(WarningCount(), 0u);
}

// A slot that stays on its way keeps nobody from the record that has gone before.
TEST_F(RedisClusterTrackingTest, ARecordOnItsWayIsReadWhereItIs) {
  ASSERT_NO_FATAL_FAILURE(Track({.empty_masters = 1}));
  const int slot = HashSlotOf(kControlKey);
  const size_t from = FirstOwner(slot);
  const std::string number = std::to_string(slot);
  ASSERT_EQ(cluster_->Ask(3, {"CLUSTER", "SETSLOT", number, "IMPORTING", cluster_->IdOf(from)}), "OK");
  ASSERT_EQ(cluster_->Ask(from, {"CLUSTER", "SETSLOT", number, "MIGRATING", cluster_->IdOf(3)}), "OK");
  ASSERT_EQ(
      cluster_->Ask(from, {"MIGRATE", "127.0.0.1", std::to_string(cluster_->node(3).port()), kControlKey, "0", "5000"}),
      "OK");
  EXPECT_TRUE(AwaitTracking());
  const std::string key = KeyOn(from);
  // Two looks at least come and go.
  const auto end = std::chrono::steady_clock::now() + seconds(3);
  while (std::chrono::steady_clock::now() < end) ASSERT_TRUE(Set(*store_, key, "value").ok());
  EXPECT_EQ(holder_.lost(), 0);
}

TEST_F(RedisClusterTrackingTest, ARefusalIsToldAndNearEntriesGoByAge) {
  ASSERT_NO_FATAL_FAILURE(StartCluster());
  ASSERT_TRUE(cluster_->node(2).Command({"ACL", "SETUSER", "default", "-client|tracking"}).ok());
  ASSERT_NO_FATAL_FAILURE(StartWhole());
  store_->SetNearHolder(&holder_);
  EXPECT_TRUE(Eventually([&] { return !store_->CoherenceAdvice().empty(); }));
  EXPECT_THAT(store_->CoherenceAdvice(), HasSubstr("let the ACL user run client|tracking"));
  EXPECT_FALSE(store_->tracks());
  EXPECT_EQ(holder_.begun(), 0);
}

}  // namespace
}  // namespace larder
