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
