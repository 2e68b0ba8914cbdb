// GetOrLoad of several processes, on three replicas with one Redis: one loader a key in the whole fleet.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "larder/client.h"
#include "tests/support/larder_server.h"
#include "tests/support/redis_server.h"

namespace larder {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using Source = LoadReport::Source;
using Steady = std::chrono::steady_clock;

constexpr seconds kPatient{60};
constexpr int kReplicas = 3;

class ClientLeasesTest : public ::testing::Test {
 protected:
  // Each client stands for a process of its own, and calls a replica of its own.
  void Start(const std::string& config = {}) {
    auto redis = RedisServer::Start();
    ASSERT_TRUE(redis.ok()) << redis.status();
    redis_ = *std::move(redis);
    for (int i = 0; i < kReplicas; ++i) {
      auto server = LarderServer::Start({.config = config, .environment = {"REDIS_URL=" + redis_->url()}});
      ASSERT_TRUE(server.ok()) << server.status();
      servers_.push_back(*std::move(server));
      clients_.push_back(Connect(i));
      ASSERT_NE(clients_.back(), nullptr);
    }
  }

  std::unique_ptr<Client> Connect(int replica) {
    ClientOptions options;
    options.target = servers_[static_cast<size_t>(replica)]->address();
    options.deadline = kPatient;
    options.failed_reads_are_misses = false;
    options.breaker.consecutive_failures = 0;
    auto client = Client::Connect(options);
    EXPECT_TRUE(client.ok()) << client.status();
    if (!client.ok()) return nullptr;
    EXPECT_TRUE((*client)->WaitUntilReady(kPatient).ok());
    return *std::move(client);
  }

  Client& client(int i) { return *clients_[static_cast<size_t>(i % kReplicas)]; }

  std::optional<std::string> Stored(const std::string& key) {
    const absl::StatusOr<MaybeHit> hit = client(2).Get(key, {.near = false});
    EXPECT_TRUE(hit.ok()) << hit.status();
    if (!hit.ok() || !hit->has_value()) return std::nullopt;
    return (*hit)->value.ToString();
  }

  // As many callers as come to one popular key at once, over all clients. Returns how often the loader ran.
  int LoadTogether(const std::string& key, const std::vector<std::string>& accepted, bool near) {
    constexpr int kCallers = 1'000;
    std::latch arrived(kCallers);
    std::atomic<int> loads = 0;
    std::vector<std::thread> threads;
    threads.reserve(kCallers);
    for (int i = 0; i < kCallers; ++i) {
      threads.emplace_back([&, i] {
        LoadOptions options;
        options.near = near;
        options.max_wait = kPatient;
        arrived.arrive_and_wait();
        const auto value = client(i).GetOrLoad<std::string>(
            key, minutes(5),
            [&] {
              ++loads;
              std::this_thread::sleep_for(milliseconds(50));  // what a database takes; the others come meanwhile
              return std::string("new");
            },
            options);
        ASSERT_TRUE(value.ok()) << value.status();
        EXPECT_NE(std::find(accepted.begin(), accepted.end(), *value), accepted.end()) << *value;
      });
    }
    for (std::thread& thread : threads) thread.join();
    return loads;
  }

  std::unique_ptr<RedisServer> redis_;
  std::vector<std::unique_ptr<LarderServer>> servers_;
  std::vector<std::unique_ptr<Client>> clients_;
};

// COHERENCE P3. With `near` = false nobody waits in the client: all of them meet in the service.
TEST_F(ClientLeasesTest, AThousandMissesRunOneLoader) {
  Start();
  for (const bool near : {true, false}) {
    const std::string key = near ? "joined" : "alone";
    EXPECT_EQ(LoadTogether(key, {"new"}, near), 1) << key;
    EXPECT_EQ(Stored(key), "new");
  }
}

TEST_F(ClientLeasesTest, AThousandReadsOfAStaleKeyRunOneLoader) {
  Start();
  for (const bool near : {true, false}) {
    const std::string key = near ? "joined" : "alone";
    ASSERT_TRUE(client(0).Set(key, "old", {.ttl = minutes(5), .content_type = Codec<std::string>::ContentType()}).ok());
    ASSERT_TRUE(client(1).Invalidate({.keys = {key}, .mode = InvalidationMode::kSoft}).ok());
    const absl::StatusOr<MaybeHit> stale = client(2).Get(key, {.near = false});
    ASSERT_TRUE(stale.ok() && stale->has_value()) << stale.status();
    EXPECT_EQ((*stale)->freshness, Freshness::kStale);
    EXPECT_EQ(LoadTogether(key, {"old", "new"}, near), 1) << key;
    EXPECT_EQ(Stored(key), "new");
  }
}

TEST_F(ClientLeasesTest, AFailedLoadHandsTheLeaseOn) {
  Start();
  std::latch loading(1), go_on(1);
  std::thread fails([&] {
    const auto value = client(0).GetOrLoad<std::string>("k", minutes(5), [&]() -> absl::StatusOr<std::string> {
      loading.count_down();
      go_on.wait();
      return absl::InternalError("the database is on fire");
    });
    EXPECT_EQ(value.status(), absl::InternalError("the database is on fire"));
  });
  loading.wait();
  std::atomic<bool> failed = false;
  LoadReport report;
  LoadOptions options;
  options.max_wait = kPatient;
  options.report = &report;
  std::thread waits([&] {
    const auto value = client(1).GetOrLoad<std::string>(
        "k", minutes(5),
        [&] {
          EXPECT_TRUE(failed) << "the other had the lease until then";
          return std::string("v");
        },
        options);
    EXPECT_TRUE(value.ok() && *value == "v") << value.status();
  });
  // That it waits is seen by nobody; whether it began before the other failed or after, the outcome is the same.
  failed = true;
  go_on.count_down();
  fails.join();
  waits.join();
  EXPECT_EQ(report.source, Source::kLoader);
  EXPECT_TRUE(report.stored);
  EXPECT_EQ(Stored("k"), "v");
}

TEST_F(ClientLeasesTest, AHolderThatIsGoneFreesTheKeyWhenItsLeaseEnds) {
  Start("defaults:\n  lease: 300ms\n");
  auto gone = Connect(0);
  ASSERT_NE(gone, nullptr);
  const auto began = Steady::now();
  const absl::StatusOr<LeasedRead> read = gone->GetOrLease("k");
  ASSERT_TRUE(read.ok() && read->lease.has_value()) << read.status();
  EXPECT_LE(read->lease->ttl, milliseconds(300));
  gone.reset();

  LoadReport report;
  LoadOptions options;
  options.max_wait = kPatient;
  options.report = &report;
  const auto value = client(1).GetOrLoad<std::string>(
      "k", minutes(5), [] { return std::string("v"); }, options);
  EXPECT_EQ(*value, "v");
  EXPECT_TRUE(report.stored) << report.write;
  const auto took = Steady::now() - began;
  EXPECT_GE(took, milliseconds(250)) << "nobody else had the lease until then";
  EXPECT_LT(took, kPatient) << "nor did anyone wait for longer than it lasts";
  // What the dead one would have stored comes too late.
  const SetOptions late{.condition = Condition::Lease(read->lease->token)};
  EXPECT_EQ(client(0).Set("k", "late", late).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Stored("k"), "v");
}

TEST_F(ClientLeasesTest, WhoWaitedInVainStoresAsOfItsMiss) {
  Start("defaults:\n  lease: 1m\n");
  const absl::StatusOr<LeasedRead> read = client(0).GetOrLease("k");
  ASSERT_TRUE(read.ok() && read->lease.has_value()) << read.status();
  LoadReport report;
  LoadOptions options;
  options.max_wait = milliseconds(50);
  options.report = &report;
  EXPECT_EQ(*client(1).GetOrLoad<std::string>(
                "k", minutes(5), [] { return std::string("v"); }, options),
            "v");
  EXPECT_TRUE(report.stored) << report.write;
  EXPECT_EQ(Stored("k"), "v");
}

// COHERENCE P2.
TEST_F(ClientLeasesTest, WhatIsInvalidatedWhileItLoadsIsNotStored) {
  Start();
  const std::vector<std::pair<std::string, Invalidation>> kinds = {{"key", {.keys = {"k:key"}}},
                                                                   {"tag", {.tags = {"t"}}},
                                                                   {"pattern", {.patterns = {"*:pat*"}}},
                                                                   {"all", {.all = true}}};
  for (const auto& [name, what] : kinds) {
    for (const int invalidator : {0, 1}) {  // the same process, and another
      const std::string key = "k:" + name;
      LoadReport report;
      LoadOptions options;
      options.tags = {"t"};
      options.report = &report;
      const auto load = [&, &invalidation = what] {
        EXPECT_TRUE(client(invalidator).Invalidate(invalidation).ok());
        return std::string("of before");
      };
      EXPECT_EQ(*client(0).GetOrLoad<std::string>(key, minutes(5), load, options), "of before") << name;
      EXPECT_FALSE(report.stored) << name;
      EXPECT_TRUE(report.write.ok()) << report.write;
      EXPECT_EQ(Stored(key), std::nullopt) << name;
      options.max_wait = kPatient;
      EXPECT_EQ(*client(1).GetOrLoad<std::string>(
                    key, minutes(5), [] { return std::string("after"); }, options),
                "after");
      EXPECT_TRUE(report.stored) << name << ": nothing is left in the way";
      ASSERT_TRUE(client(1).Invalidate({.keys = {key}}).ok());
    }
  }
}

// A stale value is served on where it cannot be loaded anew, and by one caller at a time is that tried.
TEST_F(ClientLeasesTest, AStaleValueIsReturnedWhereTheLoaderFails) {
  Start();
  ASSERT_TRUE(client(0).Set("k", "old", {.ttl = minutes(5), .content_type = Codec<std::string>::ContentType()}).ok());
  ASSERT_TRUE(client(0).Invalidate({.keys = {"k"}, .mode = InvalidationMode::kSoft}).ok());
  LoadReport report;
  LoadOptions options;
  options.report = &report;
  const absl::Status broken = absl::InternalError("the database is on fire");
  EXPECT_EQ(*client(1).GetOrLoad<std::string>(
                "k", minutes(5), [&]() -> absl::StatusOr<std::string> { return broken; }, options),
            "old");
  EXPECT_EQ(report.source, Source::kStale);
  EXPECT_EQ(report.load_error, broken);
}

}  // namespace
}  // namespace larder
