// What an application sees of GetOrLoad, and of what is built on it, against a real service.
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "larder/cached.h"
#include "larder/client.h"
#include "larder/invalidating.h"
#include "larder/warm_job.h"
#include "tests/support/larder_server.h"

namespace larder {

// A type that is no text.
struct Stock {
  int pieces = 0;
};

template <>
struct Codec<Stock> {
  static std::string ContentType() { return "application/x-stock"; }
  static absl::StatusOr<std::string> Encode(const Stock& stock) { return std::to_string(stock.pieces); }
  static absl::StatusOr<Stock> Decode(std::string_view bytes) { return Stock{std::stoi(std::string(bytes))}; }
};

namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using Source = LoadReport::Source;

constexpr milliseconds kPatient{20'000};

class ClientLoadsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = LarderServer::Start();
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    client_ = Connect();
    other_ = Connect();
    ASSERT_TRUE(client_ != nullptr && other_ != nullptr);
  }

  std::unique_ptr<Client> Connect() {
    auto client = Client::Connect({.target = server_->address(), .deadline = kPatient});
    EXPECT_TRUE(client.ok()) << client.status();
    if (!client.ok()) return nullptr;
    EXPECT_TRUE((*client)->WaitUntilReady(kPatient).ok());
    return *std::move(client);
  }

  // What another process finds in the store.
  std::optional<std::string> Stored(const std::string& key) {
    const absl::StatusOr<MaybeHit> hit = other_->Get(key, {.near = false});
    EXPECT_TRUE(hit.ok()) << hit.status();
    if (!hit.ok() || !hit->has_value()) return std::nullopt;
    return (*hit)->value.ToString();
  }

  template <typename T, typename Loader>
  absl::StatusOr<T> Load(Loader loader, milliseconds deadline = kPatient) {
    LoadOptions options;
    options.deadline = deadline;
    options.absent_ttl = minutes(1);
    options.report = &report_;
    return client_->GetOrLoad<T>("k", minutes(5), loader, options);
  }

  std::unique_ptr<LarderServer> server_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Client> other_;
  LoadReport report_;
};

TEST_F(ClientLoadsTest, AFailureOfTheLoaderIsReturnedAndNothingIsCached) {
  const absl::Status broken = absl::InternalError("the database is on fire");
  EXPECT_EQ(Load<std::string>([&]() -> absl::StatusOr<std::string> { return broken; }).status(), broken);
  EXPECT_EQ(report_.source, Source::kLoader);
  EXPECT_TRUE(report_.read.ok()) << report_.read;
  EXPECT_FALSE(report_.stored);
  EXPECT_EQ(Stored("k"), std::nullopt);
  EXPECT_EQ(*Load<std::string>([] { return std::string("v"); }), "v") << "it is asked again";
  EXPECT_EQ(Stored("k"), "v");
}

TEST_F(ClientLoadsTest, ADeadlineThatPassesAtTheReadIsReportedAndTheValueReturned) {
  server_->Pause();
  EXPECT_EQ(*Load<std::string>([] { return std::string("v"); }, milliseconds(100)), "v");
  server_->Resume();
  EXPECT_EQ(report_.source, Source::kLoader);
  EXPECT_EQ(report_.read.code(), absl::StatusCode::kDeadlineExceeded) << report_.read;
  EXPECT_TRUE(report_.write.ok()) << "it was not tried";
  EXPECT_FALSE(report_.stored);
  EXPECT_EQ(Stored("k"), std::nullopt);
}

TEST_F(ClientLoadsTest, ADeadlineThatPassesAtTheWriteIsReportedAndTheValueReturned) {
  const auto load = [&] {
    server_->Pause();
    return std::string("v");
  };
  EXPECT_EQ(*Load<std::string>(load, milliseconds(1'000)), "v");
  server_->Resume();
  EXPECT_TRUE(report_.read.ok()) << report_.read;
  EXPECT_EQ(report_.write.code(), absl::StatusCode::kDeadlineExceeded) << report_.write;
  EXPECT_FALSE(report_.stored) << "as far as is known";
}

TEST_F(ClientLoadsTest, AnOversizedValueIsReturnedAndTheRefusalReported) {
  const std::string large((size_t{1} << 20) + 1, 'v');
  EXPECT_EQ(*Load<std::string>([&] { return large; }), large);
  EXPECT_EQ(report_.write, absl::InvalidArgumentError("value: 1048577 bytes, the limit is 1048576"));
  EXPECT_FALSE(report_.stored);
  EXPECT_EQ(Stored("k"), std::nullopt);
}

TEST_F(ClientLoadsTest, AValueOfTheWrongTypeIsReplaced) {
  ASSERT_TRUE(other_->SetAs<std::string>("k", "many").ok());
  EXPECT_EQ(Load<Stock>([] { return Stock{3}; })->pieces, 3);
  EXPECT_EQ(report_.read, absl::FailedPreconditionError(
                              R"(key "k": the cached value is "application/octet-stream", not "application/x-stock")"));
  EXPECT_TRUE(report_.stored);
  EXPECT_EQ((*other_->GetAs<Stock>("k"))->pieces, 3);
}

TEST_F(ClientLoadsTest, AnAbsenceIsCached) {
  int loads = 0;
  for (int i = 0; i < 2; ++i) {
    const auto found = Load<std::optional<Stock>>([&]() -> std::optional<Stock> {
      ++loads;
      return std::nullopt;
    });
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_FALSE(found->has_value());
  }
  EXPECT_EQ(loads, 1);
  EXPECT_EQ(report_.source, Source::kCache);
  const absl::StatusOr<MaybeHit> hit = other_->Get("k");
  ASSERT_TRUE(hit.ok() && hit->has_value()) << hit.status();
  EXPECT_TRUE((*hit)->absent);
  EXPECT_EQ((*hit)->value.size(), 0u);
}

TEST_F(ClientLoadsTest, WhatIsInvalidatedWhileItLoadsIsReturnedAndNotCached) {
  const auto load = [&] {
    EXPECT_TRUE(client_->Invalidate({.keys = {"k"}}).ok());
    return std::string("of before");
  };
  EXPECT_EQ(*Load<std::string>(load), "of before");
  EXPECT_FALSE(report_.stored);
  EXPECT_TRUE(report_.write.ok()) << report_.write;
  EXPECT_EQ(Stored("k"), std::nullopt);
}

TEST_F(ClientLoadsTest, ARefusedKeyIsReportedInTheWordsOfTheService) {
  for (const std::string& key : {std::string(), std::string(513, 'k')}) {
    const absl::Status refused = client_->Get(key).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(*client_->GetOrLoad<std::string>(key, minutes(5), [] { return std::string("v"); }, {.report = &report_}),
              "v");
    EXPECT_EQ(report_.read, refused);
  }
}

TEST_F(ClientLoadsTest, CachedFunctionsAndInvalidatingWritesWorkTogether) {
  int pieces = 3;
  int calls = 0;
  auto stock =
      Cached<Stock>(*client_, {.prefix = "stock", .ttl = minutes(5), .names = {"product"}}, [&](int /*product*/) {
        ++calls;
        return Stock{pieces};
      });
  // The service refuses the second key, and drops the first all the same.
  auto sell = Invalidating(
      *client_, [&](int /*product*/) { return --pieces; },
      [&](int /*left*/, int product) {
        return std::vector<std::string>{stock.Key(product), std::string(513, 'k')};
      });
  EXPECT_EQ(stock(7)->pieces, 3);
  EXPECT_EQ(stock(7)->pieces, 3);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(Stored("stock?product=7"), "3");

  const absl::StatusOr<Written<int>> sold = sell(7);
  ASSERT_TRUE(sold.ok()) << sold.status();
  EXPECT_EQ(sold->result, 2);
  EXPECT_EQ(sold->invalidation, absl::InvalidArgumentError("keys[0]: key: 513 bytes, the limit is 512"));
  EXPECT_EQ(Stored("stock?product=7"), std::nullopt);
  EXPECT_EQ(stock(7)->pieces, 2);
}

TEST_F(ClientLoadsTest, AWarmJobFillsTheCache) {
  ASSERT_TRUE(other_->SetAs<std::string>("k3", "another's").ok());
  ASSERT_TRUE(other_->SetAs("k4", Stock{1}, {.ttl = minutes(10)}).ok());
  WarmJob::Options options;
  options.keys = [] {
    std::vector<std::string> keys;
    for (int i = 0; i < 250; ++i) keys.push_back("k" + std::to_string(i));
    return keys;
  };
  options.ttl = minutes(60);
  options.every = minutes(30);
  const auto job = WarmJob::For<Stock>(*client_, std::move(options),
                                       [](const std::string& key) { return Stock{static_cast<int>(key.size())}; });
  ASSERT_TRUE(job.ok()) << job.status();
  absl::StatusOr<WarmJob::Progress> run = (*job)->RunOnce();
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->loaded, 249);
  EXPECT_EQ(run->skipped, 1);
  EXPECT_EQ(Stored("k249"), "4");
  EXPECT_EQ(Stored("k3"), "another's");
  EXPECT_EQ(Stored("k4"), "2") << "it would have expired before the next run";
  run = (*job)->RunOnce();
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->skipped, 250);
}

}  // namespace
}  // namespace larder
