// What the client makes of answers: those to batches, and those that this release does not know.
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "larder/client.h"
#include "larder/v1/cache.pb.h"
#include "tests/integration/client/script_test.h"

namespace larder {
namespace {

using ::testing::ElementsAre;

class ClientAnswersTest : public ScriptTest {
 protected:
  ClientOptions WithNearCache() {
    ClientOptions options = Plain();
    options.near.capacity_bytes = size_t{1} << 20;
    options.near.max_age = std::chrono::minutes(30);  // nothing here is about its end
    return options;
  }
};

// A hit whose value is its key.
v1::GetResponse HitOf(const std::string& key) {
  v1::GetResponse hit;
  hit.set_status(v1::STATUS_HIT);
  hit.set_tier(v1::TIER_STORE);
  hit.set_freshness(v1::FRESHNESS_FRESH);
  hit.set_ttl_ms(3'600'000);
  hit.set_version(7);
  hit.set_value(key);
  return hit;
}

v1::GetResponse StatusOnly(v1::Status status) {
  v1::GetResponse result;
  result.set_status(status);
  return result;
}

std::vector<std::string> Keys(const Arrival& call) {
  const auto& keys = call.As<v1::BatchGetRequest>().keys();
  return {keys.begin(), keys.end()};
}

std::string BytesOf(const absl::StatusOr<MaybeHit>& hit) {
  return hit.ok() && hit->has_value() ? (*hit)->value.ToString() : "(none)";
}

// --- batches --------------------------------------------------------------------------------------------------------

TEST_F(ClientAnswersTest, KeysThatDidNotFitAreAskedForAgainUntilAllAreAnswered) {
  service_->On(Method::kBatchGet, [](const Arrival& call) {
    v1::BatchGetResponse response;
    for (const std::string& key : Keys(call)) {
      *response.add_results() = response.results_size() == 0 ? HitOf(key) : StatusOnly(v1::STATUS_RETRY);
    }
    return Answer::Reply(response);
  });
  const auto client = Connect(Plain());
  const absl::StatusOr<BatchGetResults> results = client->BatchGet({"a", "b", "c"});
  ASSERT_TRUE(results.ok()) << results.status();
  ASSERT_EQ(results->size(), 3u);
  EXPECT_EQ(BytesOf((*results)[0]), "a");
  EXPECT_EQ(BytesOf((*results)[1]), "b");
  EXPECT_EQ(BytesOf((*results)[2]), "c");
  const std::vector<Arrival> seen = service_->seen(Method::kBatchGet);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_THAT(Keys(seen[0]), ElementsAre("a", "b", "c"));
  EXPECT_THAT(Keys(seen[1]), ElementsAre("b", "c"));
  EXPECT_THAT(Keys(seen[2]), ElementsAre("c"));
  EXPECT_THAT(recorder_.calls(), ElementsAre(Recorder::Call{"BatchGet", absl::StatusCode::kOk, 3, 3}));
}

TEST_F(ClientAnswersTest, AKeyThatNeverFitsEndsTheAsking) {
  service_->On(Method::kBatchGet, [](const Arrival& call) {
    v1::BatchGetResponse response;
    for (const std::string& key : Keys(call)) {
      *response.add_results() = key == "large" ? StatusOnly(v1::STATUS_RETRY) : HitOf(key);
    }
    return Answer::Reply(response);
  });
  const auto client = Connect(Plain());
  const absl::StatusOr<BatchGetResults> results = client->BatchGet({"a", "large"});
  ASSERT_TRUE(results.ok()) << results.status();
  ASSERT_EQ(results->size(), 2u);
  EXPECT_EQ(BytesOf((*results)[0]), "a");
  EXPECT_FALSE((*results)[1].ok());
  EXPECT_EQ(service_->arrivals(Method::kBatchGet), 2);
}

TEST_F(ClientAnswersTest, AKeyThatTheStoreCouldNotBeAskedForIsUnavailable) {
  service_->On(Method::kBatchGet, [](const Arrival&) {
    v1::BatchGetResponse response;
    *response.add_results() = HitOf("a");
    *response.add_results() = StatusOnly(v1::STATUS_UNAVAILABLE);
    return Answer::Reply(response);
  });
  const auto client = Connect(Plain());
  const absl::StatusOr<BatchGetResults> results = client->BatchGet({"a", "b"});
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_EQ(BytesOf((*results)[0]), "a");
  EXPECT_EQ((*results)[1].status(), absl::UnavailableError("the service could not ask its store for this key"));
  EXPECT_EQ(service_->arrivals(Method::kBatchGet), 1);
  EXPECT_EQ(recorder_.failures(), 1);
}

TEST_F(ClientAnswersTest, AKeyThatTheStoreCouldNotBeAskedForIsAMissWhereFailuresAre) {
  service_->On(Method::kBatchGet, [](const Arrival&) {
    v1::BatchGetResponse response;
    *response.add_results() = HitOf("a");
    *response.add_results() = StatusOnly(v1::STATUS_UNAVAILABLE);
    return Answer::Reply(response);
  });
  ClientOptions options = Plain();
  options.failed_reads_are_misses = true;
  const auto client = Connect(options);
  const absl::StatusOr<BatchGetResults> results = client->BatchGet({"a", "b"});
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_EQ(BytesOf((*results)[0]), "a");
  ASSERT_TRUE((*results)[1].ok()) << (*results)[1].status();
  EXPECT_FALSE((*results)[1]->has_value());
  EXPECT_EQ(recorder_.failures(), 1);
}

TEST_F(ClientAnswersTest, ABatchAnsweredWithTooFewOrTooManyResultsIsBroken) {
  const auto client = Connect(Plain());
  for (const int count : {0, 1, 3, 1000}) {
    v1::BatchGetResponse reads;
    v1::BatchSetResponse writes;
    for (int i = 0; i < count; ++i) {
      *reads.add_results() = HitOf("x");
      writes.add_results()->set_version(1);
    }
    service_->On(Method::kBatchGet, InTurn({Answer::Reply(reads)}));
    service_->On(Method::kBatchSet, InTurn({Answer::Reply(writes)}));
    EXPECT_EQ(client->BatchGet({"a", "b"}).status(),
              absl::InternalError("the service's answer to a batch has not one result for each key"));
    EXPECT_EQ(client->BatchSet({{.key = "a", .value = "v"}, {.key = "b", .value = "v"}}).status(),
              absl::InternalError("the service's answer to a batch has not one result for each entry"));
  }
  EXPECT_EQ(service_->arrivals(Method::kBatchSet), 4);
}

TEST_F(ClientAnswersTest, EachEntryOfABatchSetHasItsOwnEnd) {
  v1::BatchSetResponse response;
  response.add_results()->set_version(5);
  v1::BatchSetResult* aborted = response.add_results();
  aborted->set_code(10);
  aborted->set_message("the entry exists");
  aborted->set_version(42);
  response.add_results()->set_code(14);
  response.add_results()->set_code(99);
  service_->On(Method::kBatchSet, InTurn({Answer::Reply(response)}));
  const auto client = Connect(Plain());
  const absl::StatusOr<BatchSetResults> results =
      client->BatchSet({{.key = "a"}, {.key = "b"}, {.key = "c"}, {.key = "d"}});
  ASSERT_TRUE(results.ok()) << results.status();
  ASSERT_EQ(results->size(), 4u);
  ASSERT_TRUE((*results)[0].ok());
  EXPECT_EQ((*results)[0]->version, 5u);
  EXPECT_EQ((*results)[1].status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(std::string((*results)[1].status().message()), "the entry exists");
  EXPECT_EQ(CurrentVersion((*results)[1].status()), 42u);
  EXPECT_EQ((*results)[2].status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ((*results)[3].status().code(), absl::StatusCode::kUnknown);
}

TEST_F(ClientAnswersTest, AWarmUpThatEndsWithoutItsLastReportIsBroken) {
  v1::WarmProgress progress;
  progress.set_written(3);
  service_->On(Method::kWarm, InTurn({Answer::Reply(progress)}));
  const auto client = Connect(Plain());
  EXPECT_EQ(client->Warm(Entries(3)).status(), absl::InternalError("the stream ended without its last report"));

  service_->On(Method::kWarm, nullptr);
  const absl::StatusOr<WarmProgress> done = client->Warm(Entries(3));
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(done->written, 3);
}

// --- values that this release does not know --------------------------------------------------------------------------

TEST_F(ClientAnswersTest, AnUnknownStatusIsAMiss) {
  v1::GetResponse unknown = HitOf("k");
  unknown.set_status(static_cast<v1::Status>(99));
  service_->On(Method::kGet, InTurn({Answer::Reply(unknown)}));
  v1::BatchGetResponse batch;
  *batch.add_results() = unknown;
  service_->On(Method::kBatchGet, InTurn({Answer::Reply(batch)}));
  v1::TouchResponse touch;
  touch.set_status(static_cast<v1::Status>(99));
  service_->On(Method::kTouch, InTurn({Answer::Reply(touch)}));

  const auto client = Connect(WithNearCache());
  for (int i = 1; i <= 2; ++i) {
    const absl::StatusOr<MaybeHit> hit = client->Get("k");
    ASSERT_TRUE(hit.ok()) << hit.status();
    EXPECT_FALSE(hit->has_value());
    EXPECT_EQ(service_->arrivals(Method::kGet), i);
  }
  const absl::StatusOr<BatchGetResults> results = client->BatchGet({"k"});
  ASSERT_TRUE(results.ok() && (*results)[0].ok());
  EXPECT_FALSE((*results)[0]->has_value());
  const absl::StatusOr<bool> touched = client->Touch("k");
  ASSERT_TRUE(touched.ok()) << touched.status();
  EXPECT_FALSE(*touched);
}

TEST_F(ClientAnswersTest, AnUnknownFreshnessIsStaleAndNeverKept) {
  v1::GetResponse unknown = HitOf("value");
  unknown.set_freshness(static_cast<v1::Freshness>(99));
  service_->On(Method::kGet, InTurn({Answer::Reply(unknown)}));
  v1::BatchGetResponse batch;
  *batch.add_results() = unknown;
  service_->On(Method::kBatchGet, InTurn({Answer::Reply(batch)}));

  const auto client = Connect(WithNearCache());
  for (int i = 1; i <= 2; ++i) {
    const absl::StatusOr<MaybeHit> hit = client->Get("k");
    ASSERT_EQ(BytesOf(hit), "value");
    EXPECT_EQ((*hit)->freshness, Freshness::kStale);
    EXPECT_EQ(service_->arrivals(Method::kGet), i);
    const absl::StatusOr<BatchGetResults> results = client->BatchGet({"other"});
    ASSERT_TRUE(results.ok());
    ASSERT_EQ(BytesOf((*results)[0]), "value");
    EXPECT_EQ((*(*results)[0])->freshness, Freshness::kStale);
    EXPECT_EQ(service_->arrivals(Method::kBatchGet), i);
  }
}

TEST_F(ClientAnswersTest, WhatIsFreshIsKept) {
  service_->On(Method::kGet, InTurn({Answer::Reply(HitOf("value"))}));
  const auto client = Connect(WithNearCache());
  ASSERT_EQ(BytesOf(client->Get("k")), "value");
  const absl::StatusOr<MaybeHit> again = client->Get("k");
  ASSERT_EQ(BytesOf(again), "value");
  EXPECT_EQ((*again)->tier, Tier::kClient);
  EXPECT_EQ((*again)->freshness, Freshness::kFresh);
  EXPECT_EQ(service_->arrivals(Method::kGet), 1);
}

}  // namespace
}  // namespace larder
