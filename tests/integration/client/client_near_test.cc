// The near cache in the client, against a real server.
#include <chrono>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "larder/client.h"
#include "tests/support/larder_server.h"
#include "tests/unit/client/allocation_count.h"

namespace larder {
namespace {

using std::chrono::milliseconds;

class ClientNearTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = LarderServer::Start();
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  std::unique_ptr<Client> Connect(milliseconds max_age, Observer* observer = nullptr) {
    ClientOptions options;
    options.target = server_->address();
    options.deadline = milliseconds(20'000);
    options.near.capacity_bytes = 16 << 20;
    options.near.max_age = max_age;
    options.near.watch = false;  // its age alone bounds an entry; client_watch_test has the rest
    options.observer = observer;
    auto client = Client::Connect(options);
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? *std::move(client) : nullptr;
  }

  Hit MustGet(Client* client, const std::string& key, const GetOptions& options = {}) {
    absl::StatusOr<MaybeHit> hit = client->Get(key, options);
    EXPECT_TRUE(hit.ok() && hit->has_value()) << key;
    return hit.ok() && hit->has_value() ? **hit : Hit();
  }

  std::unique_ptr<LarderServer> server_;
};

TEST_F(ClientNearTest, AHitIsAHandleOnTheSameBytesAndNoCall) {
  const auto client = Connect(std::chrono::hours(1));
  const absl::StatusOr<SetResult> set = client->Set("k", "value", {.content_type = "text/x"});
  ASSERT_TRUE(set.ok());
  const Hit first = MustGet(client.get(), "k");
  EXPECT_EQ(first.tier, Tier::kNear);
  const double calls = server_->Metric("grpc_server_started_total", {"grpc_method=\"Get\""});
  const Hit second = MustGet(client.get(), "k");
  const Hit third = MustGet(client.get(), "k");
  EXPECT_EQ(second.tier, Tier::kClient);
  EXPECT_EQ(second.value.bytes(), "value");
  EXPECT_EQ(second.value.content_type(), "text/x");
  EXPECT_EQ(second.version, set->version);
  EXPECT_EQ(second.value.bytes().data(), third.value.bytes().data());
  EXPECT_EQ(server_->Metric("grpc_server_started_total", {"grpc_method=\"Get\""}), calls);
}

TEST_F(ClientNearTest, AHitTakesNoAllocation) {
  const auto client = Connect(std::chrono::hours(1));
  const std::string key(512, 'k');
  ASSERT_TRUE(client->Set(key, "value").ok());
  MustGet(client.get(), key);
  ASSERT_EQ(MustGet(client.get(), key).tier, Tier::kClient);
  size_t size = 0;
  const int before = AllocationCount();
  for (int i = 0; i < 10; ++i) size += (*client->Get(key))->value.size();
  EXPECT_EQ(AllocationCount() - before, 0);
  EXPECT_EQ(size, 50u);
}

TEST_F(ClientNearTest, OwnWritesAreReadAtOnce) {
  const auto client = Connect(std::chrono::hours(1));
  ASSERT_TRUE(client->Set("k", "1").ok());
  EXPECT_EQ(MustGet(client.get(), "k").value.bytes(), "1");
  ASSERT_TRUE(client->Set("k", "2").ok());
  EXPECT_EQ(MustGet(client.get(), "k").value.bytes(), "2");
  ASSERT_TRUE(client->BatchSet({{.key = "k", .value = "3"}}).ok());
  EXPECT_EQ(MustGet(client.get(), "k").value.bytes(), "3");
  ASSERT_TRUE(client->Invalidate({.keys = {"k"}}).ok());
  EXPECT_FALSE(client->Get("k").value().has_value());
  ASSERT_TRUE(client->Set("k", "4").ok());
  EXPECT_EQ(MustGet(client.get(), "k").value.bytes(), "4");
  ASSERT_TRUE(client->Invalidate({.all = true}).ok());
  EXPECT_FALSE(client->Get("k").value().has_value());
}

TEST_F(ClientNearTest, AnotherProcessWritesAreSeenPastItAndAfterItsAge) {
  const auto reader = Connect(milliseconds(1'000));
  const auto writer = Connect(milliseconds(1'000));
  ASSERT_TRUE(writer->Set("k", "1").ok());
  EXPECT_EQ(MustGet(reader.get(), "k").value.bytes(), "1");
  ASSERT_TRUE(writer->Set("k", "2").ok());
  const auto acknowledged = std::chrono::steady_clock::now();
  std::string seen = MustGet(reader.get(), "k").value.ToString();
  EXPECT_EQ(seen, "1");  // nobody told it
  while (seen != "2") {
    const auto asked = std::chrono::steady_clock::now();
    seen = MustGet(reader.get(), "k").value.ToString();
    ASSERT_TRUE(seen == "2" || asked - acknowledged <= milliseconds(1'000)) << "an old value was served for too long";
  }
}

TEST_F(ClientNearTest, AReadPastItSeesWhatAnotherProcessWrote) {
  const auto reader = Connect(std::chrono::hours(1));
  const auto writer = Connect(std::chrono::hours(1));
  ASSERT_TRUE(writer->Set("k", "1").ok());
  EXPECT_EQ(MustGet(reader.get(), "k").value.bytes(), "1");
  ASSERT_TRUE(writer->Set("k", "2").ok());
  EXPECT_EQ(MustGet(reader.get(), "k", {.near = false}).value.bytes(), "2");
}

TEST_F(ClientNearTest, AHandleOutlivesEverything) {
  auto client = Connect(std::chrono::hours(1));
  ASSERT_TRUE(client->Set("k", std::string(100'000, 'x')).ok());
  const Value value = MustGet(client.get(), "k").value;
  ASSERT_TRUE(client->Invalidate({.all = true}).ok());
  client.reset();
  server_.reset();
  EXPECT_EQ(value.bytes(), std::string(100'000, 'x'));
}

}  // namespace
}  // namespace larder
