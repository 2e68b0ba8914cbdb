// Every call of the client against a real server, blocking and asynchronous.
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "larder/client.h"
#include "larder/v1/cache.pb.h"
#include "tests/support/larder_server.h"

namespace larder {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

class ClientCallsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = LarderServer::Start({.config = "namespaces:\n  shop:\n    max_value_bytes: 1KiB\n"});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    client_ = Connect({});
  }

  std::unique_ptr<Client> Connect(ClientOptions options) {
    options.target = server_->address();
    options.deadline = milliseconds(20'000);  // none of these is about time
    options.failed_reads_are_misses = false;
    auto client = Client::Connect(options);
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? *std::move(client) : nullptr;
  }

  std::unique_ptr<LarderServer> server_;
  std::unique_ptr<Client> client_;
};

std::string AnyBytes() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

TEST_F(ClientCallsTest, WhatIsSetIsReadByteForByte) {
  const std::string key = AnyBytes();
  const std::string value = AnyBytes() + AnyBytes();
  const absl::StatusOr<SetResult> set =
      client_->Set(key, value, {.ttl = std::chrono::minutes(1), .content_type = "application/x-test"});
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->ttl, std::chrono::minutes(1));

  const absl::StatusOr<MaybeHit> hit = client_->Get(key);
  ASSERT_TRUE(hit.ok()) << hit.status();
  ASSERT_TRUE(hit->has_value());
  EXPECT_EQ((*hit)->value.bytes(), value);
  EXPECT_EQ((*hit)->value.content_type(), "application/x-test");
  EXPECT_EQ((*hit)->version, set->version);
  EXPECT_EQ((*hit)->freshness, Freshness::kFresh);
  EXPECT_LE((*hit)->ttl, milliseconds(60'000));
  EXPECT_GT((*hit)->ttl, milliseconds(30'000));
}

TEST_F(ClientCallsTest, AMissIsAnEmptyOptional) {
  const absl::StatusOr<MaybeHit> hit = client_->Get("nobody");
  ASSERT_TRUE(hit.ok()) << hit.status();
  EXPECT_FALSE(hit->has_value());
}

TEST_F(ClientCallsTest, GetFromTheStoreComesFromTheStore) {
  ASSERT_TRUE(client_->Set("k", "v").ok());
  const absl::StatusOr<MaybeHit> near = client_->Get("k");
  const absl::StatusOr<MaybeHit> store = client_->Get("k", {.near = false});
  ASSERT_TRUE(near.ok() && near->has_value());
  ASSERT_TRUE(store.ok() && store->has_value());
  EXPECT_EQ((*near)->tier, Tier::kNear);
  EXPECT_EQ((*store)->tier, Tier::kStore);
}

TEST_F(ClientCallsTest, AConditionThatDoesNotHoldSaysWhatIsThere) {
  const absl::StatusOr<SetResult> first = client_->Set("k", "1");
  ASSERT_TRUE(first.ok());

  const absl::Status absent = client_->Set("k", "2", {.condition = Condition::IfAbsent()}).status();
  EXPECT_EQ(absent.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(CurrentVersion(absent), first->version);

  const absl::Status other = client_->Set("k", "2", {.condition = Condition::IfVersion(first->version + 1)}).status();
  EXPECT_EQ(other.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(CurrentVersion(other), first->version);

  const absl::Status nothing = client_->Set("new", "2", {.condition = Condition::IfPresent()}).status();
  EXPECT_EQ(nothing.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(CurrentVersion(nothing), std::nullopt);

  EXPECT_TRUE(client_->Set("k", "2", {.condition = Condition::IfVersion(first->version)}).ok());
}

TEST_F(ClientCallsTest, TouchGivesALifeToWhatIsThereOnly) {
  ASSERT_TRUE(client_->Set("k", "v", {.ttl = milliseconds(60'000)}).ok());
  const absl::StatusOr<bool> there = client_->Touch("k", {.ttl = "static"});
  ASSERT_TRUE(there.ok()) << there.status();
  EXPECT_TRUE(*there);
  const absl::StatusOr<MaybeHit> hit = client_->Get("k", {.near = false});
  ASSERT_TRUE(hit.ok() && hit->has_value());
  EXPECT_GT((*hit)->ttl, std::chrono::minutes(30));

  const absl::StatusOr<bool> nobody = client_->Touch("nobody", {.ttl = "static"});
  ASSERT_TRUE(nobody.ok());
  EXPECT_FALSE(*nobody);
}

TEST_F(ClientCallsTest, BatchesAnswerForEachKeyInOrder) {
  std::vector<SetItem> items = {{.key = "a", .value = "1"},
                                {.key = "b", .value = "2", .condition = Condition::IfPresent()},
                                {.key = "c", .value = "3"}};
  const absl::StatusOr<BatchSetResults> set = client_->BatchSet(items);
  ASSERT_TRUE(set.ok()) << set.status();
  ASSERT_EQ(set->size(), 3u);
  EXPECT_TRUE((*set)[0].ok());
  EXPECT_EQ((*set)[1].status().code(), absl::StatusCode::kAborted);
  EXPECT_TRUE((*set)[2].ok());

  const absl::StatusOr<BatchGetResults> got = client_->BatchGet({"c", "b", "a", "c"});
  ASSERT_TRUE(got.ok()) << got.status();
  ASSERT_EQ(got->size(), 4u);
  EXPECT_EQ((*got)[0].value()->value.bytes(), "3");
  EXPECT_FALSE((*got)[1].value().has_value());
  EXPECT_EQ((*got)[2].value()->value.bytes(), "1");
  EXPECT_EQ((*got)[3].value()->value.bytes(), "3");
}

TEST_F(ClientCallsTest, ABatchWhoseValuesPassTheMessageLimitComesWhole) {
  const std::string large(1 << 20, 'x');
  std::vector<std::string> keys;
  for (int i = 0; i < 10; ++i) {
    keys.push_back("large" + std::to_string(i));
    ASSERT_TRUE(client_->Set(keys.back(), large).ok());
  }
  const absl::StatusOr<BatchGetResults> got = client_->BatchGet(keys);  // an answer has 4 MiB
  ASSERT_TRUE(got.ok()) << got.status();
  for (const auto& result : *got) {
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_TRUE(result->has_value());
    EXPECT_EQ((*result)->value.size(), large.size());
  }
}

TEST_F(ClientCallsTest, InvalidateDropsKeysAndNamespaces) {
  ASSERT_TRUE(client_->Set("a", "1").ok());
  ASSERT_TRUE(client_->Set("b", "1").ok());
  ASSERT_TRUE(client_->Set("a", "1", {.name_space = "shop"}).ok());
  const absl::StatusOr<InvalidateResult> keys = client_->Invalidate({.keys = {"a", "nobody"}});
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->dropped, 1);
  EXPECT_FALSE(client_->Get("a").value().has_value());
  EXPECT_TRUE(client_->Get("b").value().has_value());

  ASSERT_TRUE(client_->Invalidate({.all = true}).ok());
  EXPECT_FALSE(client_->Get("b").value().has_value());
  EXPECT_TRUE(client_->Get("a", {.name_space = "shop"}).value().has_value());
}

TEST_F(ClientCallsTest, WarmWritesWhatNobodyHasCached) {
  ASSERT_TRUE(client_->Set("w1", "old").ok());
  int next = 0;
  const auto source = [&]() -> absl::StatusOr<std::optional<SetItem>> {
    if (next == 500) return std::nullopt;
    const int i = next++;
    return SetItem{.key = i == 7 ? std::string() : "w" + std::to_string(i), .value = "new"};
  };
  const absl::StatusOr<WarmProgress> progress = client_->Warm(source);
  ASSERT_TRUE(progress.ok()) << progress.status();
  EXPECT_EQ(progress->written, 498);
  EXPECT_EQ(progress->skipped, 1);
  EXPECT_EQ(progress->failed, 1);
  ASSERT_EQ(progress->failures.size(), 1u);
  EXPECT_EQ(progress->failures[0].index, 7);
  EXPECT_EQ(client_->Get("w1").value()->value.bytes(), "old");
  EXPECT_EQ(client_->Get("w499").value()->value.bytes(), "new");
}

TEST_F(ClientCallsTest, StatsCountsWhatWasDone) {
  ASSERT_TRUE(client_->Set("k", "v").ok());
  ASSERT_TRUE(client_->Get("k").ok());
  ASSERT_TRUE(client_->Get("nobody").ok());
  const absl::StatusOr<ServiceStats> stats = client_->Stats();
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_EQ((*stats)->total().sets(), 1);
  EXPECT_EQ((*stats)->total().misses(), 1);
  EXPECT_EQ((*stats)->total().near_hits(), 1);
}

TEST_F(ClientCallsTest, WhatIsTooLargeIsRefusedByNameWhateverItsSize) {
  const absl::Status value = client_->Set("k", std::string(1025, 'x'), {.name_space = "shop"}).status();
  EXPECT_EQ(value.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(value.message()), AllOf(HasSubstr("value"), HasSubstr("1024")));

  const absl::Status message = client_->Set("k", std::string(20 << 20, 'x')).status();
  EXPECT_EQ(message.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(message.message()), HasSubstr("grpc.max_request_bytes"));

  const absl::Status key = client_->Get(std::string(513, 'k')).status();
  EXPECT_EQ(key.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(key.message()), AllOf(HasSubstr("key"), HasSubstr("512")));
}

TEST_F(ClientCallsTest, AsynchronousCallsAnswerOnceEach) {
  constexpr int kCalls = 1000;
  for (int i = 0; i < kCalls; i += 2) ASSERT_TRUE(client_->Set("k" + std::to_string(i), std::to_string(i)).ok());
  std::vector<std::promise<absl::StatusOr<MaybeHit>>> promises(kCalls);
  for (int i = 0; i < kCalls; ++i) {
    client_->GetAsync("k" + std::to_string(i), {},
                      [&promise = promises[i]](absl::StatusOr<MaybeHit> hit) { promise.set_value(std::move(hit)); });
  }
  for (int i = 0; i < kCalls; ++i) {
    const absl::StatusOr<MaybeHit> hit = promises[i].get_future().get();
    ASSERT_TRUE(hit.ok()) << hit.status();
    ASSERT_EQ(hit->has_value(), i % 2 == 0) << i;
    if (!hit->has_value()) continue;
    EXPECT_EQ((*hit)->value.bytes(), std::to_string(i));
  }
  // They were sent together: far fewer calls than Gets.
  const double batches = server_->Metric("grpc_server_started_total", {"grpc_method=\"BatchGet\""});
  const double gets = server_->Metric("grpc_server_started_total", {"grpc_method=\"Get\""});
  EXPECT_GE(batches, 1);
  EXPECT_LT(batches + gets, kCalls / 2);
}

TEST_F(ClientCallsTest, GatheringCanBeTurnedOff) {
  ClientOptions options;
  options.gather.enabled = false;
  const std::unique_ptr<Client> client = Connect(options);
  std::vector<std::promise<bool>> promises(100);
  for (auto& promise : promises) {
    client->GetAsync("k", {}, [&promise](absl::StatusOr<MaybeHit> hit) { promise.set_value(hit.ok()); });
  }
  for (auto& promise : promises) EXPECT_TRUE(promise.get_future().get());
  EXPECT_EQ(server_->Metric("grpc_server_started_total", {"grpc_method=\"BatchGet\""}), 0);
}

TEST_F(ClientCallsTest, OneBadKeyAmongGatheredOnesIsRefusedAlone) {
  ASSERT_TRUE(client_->Set("good", "v").ok());
  std::vector<std::promise<absl::StatusOr<MaybeHit>>> promises(64);
  for (size_t i = 0; i < promises.size(); ++i) {
    client_->GetAsync(i == 30 ? std::string() : "good", {},
                      [&promise = promises[i]](absl::StatusOr<MaybeHit> hit) { promise.set_value(std::move(hit)); });
  }
  for (size_t i = 0; i < promises.size(); ++i) {
    const absl::StatusOr<MaybeHit> hit = promises[i].get_future().get();
    if (i == 30) {
      EXPECT_EQ(hit.status().code(), absl::StatusCode::kInvalidArgument);
    } else {
      ASSERT_TRUE(hit.ok()) << hit.status();
      EXPECT_TRUE(hit->has_value());
    }
  }
}

TEST_F(ClientCallsTest, DestroyingTheClientEndsItsCalls) {
  server_->Pause();
  std::promise<absl::Status> get;
  std::promise<absl::Status> set;
  client_->GetAsync("k", {}, [&](absl::StatusOr<MaybeHit> hit) { get.set_value(hit.status()); });
  client_->SetAsync("k", "v", {}, [&](absl::StatusOr<SetResult> result) { set.set_value(result.status()); });
  client_.reset();
  EXPECT_EQ(get.get_future().get().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(set.get_future().get().code(), absl::StatusCode::kCancelled);
  server_->Resume();
}

}  // namespace
}  // namespace larder
