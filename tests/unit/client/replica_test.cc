#include "client/src/replica.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "tests/support/eventually.h"

namespace larder::internal {
namespace {

// Three servers that serve nothing: to be reached is all that is asked of them. gRPC takes one that knows no health
// service for healthy.
class ReplicaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 3; ++i) {
      int port = 0;
      grpc::ServerBuilder builder;
      builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
      queues_.push_back(builder.AddCompletionQueue());
      servers_.push_back(builder.BuildAndStart());
      ASSERT_NE(servers_.back(), nullptr);
      // A server moves only while somebody polls its queue.
      pollers_.emplace_back([queue = queues_.back().get()] {
        void* tag = nullptr;
        bool ok = false;
        while (queue->Next(&tag, &ok)) {
        }
      });
      addresses_.push_back({"ipv4:127.0.0.1:" + std::to_string(port), "localhost"});
    }
  }
  void TearDown() override {
    for (const auto& server : servers_) server->Shutdown(std::chrono::system_clock::now());
    for (const auto& queue : queues_) queue->Shutdown();
    for (std::thread& poller : pollers_) poller.join();
  }

  std::vector<Address> Addresses(size_t count) const { return {addresses_.begin(), addresses_.begin() + count}; }

  // ... once all of them have been reached.
  void Update(ReplicaSet* set, std::vector<Address> addresses) {
    set->Update(addresses);
    ASSERT_TRUE(Eventually([&] {
      const auto all = set->All();
      return std::all_of(all.begin(), all.end(), [](const auto& replica) { return replica->Distance() == 0; });
    }));
  }

 private:
  std::vector<Address> addresses_;
  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues_;
  std::vector<std::unique_ptr<grpc::Server>> servers_;
  std::vector<std::thread> pollers_;
};

ClientOptions ByKey() {
  ClientOptions options;
  options.routing = Routing::kKeyAffinity;
  return options;
}

std::string PickFor(ReplicaSet* set, int key) {
  return set->Pick(StableHash("default", "key" + std::to_string(key)), {})->address().uri;
}

TEST_F(ReplicaTest, TheHashIsTheSameEverywhere) {
  // Clients of other releases must agree on it.
  EXPECT_EQ(StableHash("default", "appointment:7"), StableHash("default", std::string("appointment:7")));
  EXPECT_EQ(StableHash("", ""), 2737183428366584608u);
  EXPECT_NE(StableHash("a", "bc"), StableHash("ab", "c"));
}

TEST_F(ReplicaTest, NoneIsKnownBeforeTheFirstUpdate) {
  ReplicaSet set((ClientOptions()));
  EXPECT_EQ(set.Pick(0, {}), nullptr);
  EXPECT_FALSE(set.several());
}

TEST_F(ReplicaTest, InTurnEachIsTaken) {
  ReplicaSet set((ClientOptions()));
  Update(&set, Addresses(3));
  EXPECT_TRUE(set.several());
  std::map<std::string, int> taken;
  for (int i = 0; i < 300; ++i) ++taken[set.Pick(0, {})->address().uri];
  ASSERT_EQ(taken.size(), 3u);
  for (const auto& [address, count] : taken) EXPECT_EQ(count, 100) << address;
}

TEST_F(ReplicaTest, WhatWasTriedIsTriedLast) {
  for (const ClientOptions& options : {ClientOptions(), ByKey()}) {
    ReplicaSet set(options);
    Update(&set, Addresses(2));
    const auto first = set.Pick(1, {});
    Replica* const tried[] = {first.get()};
    for (int i = 0; i < 10; ++i) EXPECT_NE(set.Pick(1, tried), first);
  }
}

TEST_F(ReplicaTest, ByKeyKeysAreSpreadAndFewMoveWhenAReplicaGoes) {
  constexpr int kKeys = 3000;
  ReplicaSet set(ByKey());
  Update(&set, Addresses(3));
  std::map<int, std::string> before;
  std::map<std::string, int> share;
  for (int key = 0; key < kKeys; ++key) ++share[before[key] = PickFor(&set, key)];
  ASSERT_EQ(share.size(), 3u);
  for (const auto& [address, count] : share) EXPECT_NEAR(count, kKeys / 3, kKeys / 20) << address;

  Update(&set, Addresses(2));
  for (int key = 0; key < kKeys; ++key) {
    if (before[key] == Addresses(3)[2].uri) continue;
    EXPECT_EQ(PickFor(&set, key), before[key]) << key;
  }
}

TEST_F(ReplicaTest, ByKeyALoadedReplicaIsPassedOver) {
  ReplicaSet set(ByKey());
  Update(&set, Addresses(3));
  const auto first = set.Pick(1, {});
  first->in_flight() = 1000;
  EXPECT_NE(set.Pick(1, {}), first);
  first->in_flight() = 20;  // under the floor, sharing is worth more than spreading
  EXPECT_EQ(set.Pick(1, {}), first);
}

TEST_F(ReplicaTest, AnUpdateKeepsThoseThatStay) {
  ReplicaSet set((ClientOptions()));
  Update(&set, Addresses(2));
  const auto before = set.All();
  Update(&set, Addresses(3));
  const auto after = set.All();
  EXPECT_EQ(before[0], after[0]);
  EXPECT_EQ(before[1], after[1]);
  EXPECT_NE(after[2]->id(), after[1]->id());
}

TEST_F(ReplicaTest, OneReplicaThatTookAnothersPlaceCountsAsSeveral) {
  ReplicaSet set((ClientOptions()));
  Update(&set, {Addresses(2)[0]});
  EXPECT_FALSE(set.several());
  Update(&set, {Addresses(2)[1]});
  EXPECT_TRUE(set.several());
}

}  // namespace
}  // namespace larder::internal
