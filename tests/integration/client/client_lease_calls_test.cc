// What goes over the wire for leases, staleness, absence and groups, and what is made of the answers.
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "larder/client.h"
#include "larder/v1/cache.pb.h"
#include "tests/integration/client/script_test.h"

namespace larder {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using Source = LoadReport::Source;

class ClientLeaseCallsTest : public ScriptTest {
 protected:
  v1::GetRequest GetSeen(size_t index) const { return service_->seen(Method::kGet).at(index).As<v1::GetRequest>(); }
  v1::SetRequest SetSeen(size_t index) const { return service_->seen(Method::kSet).at(index).As<v1::SetRequest>(); }

  // A GetOrLoad whose loader gives `loaded`.
  absl::StatusOr<std::string> Load(Client& client, const absl::StatusOr<std::string>& loaded,
                                   LoadOptions options = {}) {
    options.report = &report_;
    return client.GetOrLoad<std::string>(
        "k", seconds(5), [&] { return loaded; }, options);
  }

  LoadReport report_;
};

v1::GetResponse Miss(const std::string& lease, const std::string& as_of = {}) {
  v1::GetResponse miss;
  miss.set_status(v1::STATUS_MISS);
  if (!lease.empty()) {
    miss.mutable_lease()->set_token(lease);
    miss.mutable_lease()->set_ttl_ms(10'000);
  }
  miss.set_as_of(as_of);
  return miss;
}

v1::GetResponse Hit(v1::Freshness freshness, const std::string& lease = {}) {
  v1::GetResponse hit = Miss(lease);
  hit.set_status(v1::STATUS_HIT);
  hit.set_tier(v1::TIER_STORE);
  hit.set_freshness(freshness);
  hit.set_ttl_ms(freshness == v1::FRESHNESS_FRESH ? 60'000 : 0);
  hit.set_hard_ttl_ms(90'000);
  hit.set_version(7);
  hit.set_content_type(Codec<std::string>::ContentType());
  hit.set_value("old");
  return hit;
}

TEST_F(ClientLeaseCallsTest, AMissWithALeaseIsFilledWithIt) {
  service_->On(Method::kGet, InTurn({Answer::Reply(Miss(std::string("l\0e", 3)))}));
  const auto client = Connect(Plain());
  LoadOptions options;
  options.tags = {"a", "b"};
  options.stale_for = seconds(30);
  options.sliding = true;
  EXPECT_EQ(*Load(*client, std::string("v"), options), "v");
  EXPECT_TRUE(report_.stored);
  EXPECT_TRUE(GetSeen(0).want_lease());
  EXPECT_EQ(GetSeen(0).wait_ms(), 0);
  EXPECT_FALSE(GetSeen(0).fresh_only());
  const v1::SetRequest set = SetSeen(0);
  EXPECT_EQ(set.lease(), std::string("l\0e", 3));
  EXPECT_EQ(set.value(), "v");
  EXPECT_THAT(set.tags(), ElementsAre("a", "b"));
  EXPECT_EQ(set.stale_for_ms(), 30'000);
  EXPECT_TRUE(set.sliding());
  EXPECT_FALSE(set.absent());
  EXPECT_EQ(service_->arrivals(Method::kGet), 1);
  EXPECT_EQ(service_->arrivals(Method::kRelease), 0);
}

TEST_F(ClientLeaseCallsTest, SomebodyElsesLoadIsWaitedForWithinTheDeadlineAfterTheWait) {
  service_->On(Method::kGet, InTurn({Answer::Reply(Miss({}, "as-of")), Answer::Reply(Hit(v1::FRESHNESS_FRESH))}));
  ClientOptions options = Plain();
  options.deadline = seconds(20);
  const auto client = Connect(options);
  EXPECT_EQ(*Load(*client, std::string("v"), {.max_wait = seconds(40)}), "old");
  EXPECT_EQ(report_.source, Source::kCache);
  const std::vector<Arrival> seen = service_->seen(Method::kGet);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_LE(seen[0].left, seconds(25));
  EXPECT_TRUE(GetSeen(1).want_lease());
  EXPECT_LE(GetSeen(1).wait_ms(), 40'000);
  EXPECT_GT(GetSeen(1).wait_ms(), 30'000);
  EXPECT_LE(seen[1].left, seconds(65));
  EXPECT_GT(seen[1].left, seconds(45)) << "the answer comes after the wait";
}

TEST_F(ClientLeaseCallsTest, AWaitInVainIsFilledAsOfTheMiss) {
  service_->On(Method::kGet, InTurn({Answer::Reply(Miss({}, "first")), Answer::Reply(Miss({}, "second"))}));
  const auto client = Connect(Plain());
  EXPECT_EQ(*Load(*client, std::string("v")), "v");
  EXPECT_TRUE(report_.stored);
  EXPECT_EQ(SetSeen(0).lease(), "second");
}

TEST_F(ClientLeaseCallsTest, AMissWithNeitherIsNotFilled) {
  service_->On(Method::kGet, InTurn({Answer::Reply(Miss({}))}));
  const auto client = Connect(Plain());
  EXPECT_EQ(*Load(*client, std::string("v")), "v");
  EXPECT_FALSE(report_.stored);
  EXPECT_TRUE(report_.write.ok());
  EXPECT_EQ(service_->arrivals(Method::kGet), 1);
  EXPECT_EQ(service_->arrivals(Method::kSet), 0);
}

TEST_F(ClientLeaseCallsTest, AFillThatIsAbortedIsNoFailure) {
  service_->On(Method::kGet, InTurn({Answer::Reply(Miss("lease"))}));
  Answer aborted = Answer::Fail(grpc::StatusCode::ABORTED);
  aborted.version = "9";
  service_->On(Method::kSet, InTurn({aborted, Answer::Fail(grpc::StatusCode::ABORTED)}));
  const auto client = Connect(Plain());
  EXPECT_EQ(*Load(*client, std::string("v")), "v");
  EXPECT_FALSE(report_.stored);
  EXPECT_TRUE(report_.write.ok());
  EXPECT_EQ(service_->arrivals(Method::kRelease), 0) << "something else is there, and the lease is not";
  EXPECT_EQ(*Load(*client, std::string("v")), "v");
  EXPECT_EQ(service_->arrivals(Method::kRelease), 1) << "it may stand in the way of others";
}

TEST_F(ClientLeaseCallsTest, AFailedLoaderReleasesTheLease) {
  service_->On(Method::kGet, InTurn({Answer::Reply(Miss("lease"))}));
  const auto client = Connect(Plain());
  const absl::Status broken = absl::InternalError("broken");
  EXPECT_EQ(Load(*client, broken).status(), broken);
  const std::vector<Arrival> released = service_->seen(Method::kRelease);
  ASSERT_EQ(released.size(), 1u);
  EXPECT_EQ(released[0].As<v1::ReleaseRequest>().namespace_(), "default");
  EXPECT_EQ(released[0].As<v1::ReleaseRequest>().key(), "k");
  EXPECT_EQ(released[0].As<v1::ReleaseRequest>().lease(), "lease");
}

TEST_F(ClientLeaseCallsTest, StaleHitsAreUsedRefreshedAndFallenBackOn) {
  service_->On(Method::kGet,
               InTurn({Answer::Reply(Hit(v1::FRESHNESS_STALE)), Answer::Reply(Hit(v1::FRESHNESS_STALE, "lease"))}));
  const auto client = Connect(Plain());
  EXPECT_EQ(*Load(*client, std::string("new")), "old");
  EXPECT_EQ(report_.source, Source::kStale);
  EXPECT_EQ(*Load(*client, std::string("new")), "new");
  EXPECT_EQ(SetSeen(0).lease(), "lease");
  EXPECT_EQ(*Load(*client, absl::InternalError("broken")), "old");
  EXPECT_EQ(report_.source, Source::kStale);
  EXPECT_EQ(report_.load_error, absl::InternalError("broken"));
  EXPECT_EQ(service_->arrivals(Method::kRelease), 1);
}

// A service that takes the wish for fresh values for nothing.
TEST_F(ClientLeaseCallsTest, FreshOnlyIsAskedForAndHeldTo) {
  service_->On(Method::kGet, InTurn({Answer::Reply(Hit(v1::FRESHNESS_STALE, "lease"))}));
  const auto client = Connect(Plain());
  EXPECT_EQ(*Load(*client, std::string("new"), {.fresh_only = true}), "new");
  EXPECT_TRUE(GetSeen(0).fresh_only());
  EXPECT_EQ(Load(*client, absl::InternalError("broken"), {.fresh_only = true}).status(), absl::InternalError("broken"));
}

TEST_F(ClientLeaseCallsTest, ANamespaceWithAnOriginIsReportedAndLoadedAlone) {
  service_->On(Method::kGet,
               InTurn({Answer::Fail(grpc::StatusCode::INVALID_ARGUMENT, "want_lease: it has an origin")}));
  const auto client = Connect(Plain());
  EXPECT_EQ(*Load(*client, std::string("v")), "v");
  EXPECT_EQ(report_.read, absl::InvalidArgumentError("want_lease: it has an origin"));
  EXPECT_FALSE(report_.stored);
  EXPECT_EQ(service_->arrivals(Method::kSet), 0);
}

TEST_F(ClientLeaseCallsTest, AServiceThatHangsCostsADeadlineAndNoWait) {
  service_->On(Method::kGet, InTurn({Answer().Held()}));
  ClientOptions options = Plain();
  options.deadline = milliseconds(50);
  const auto client = Connect(options);
  EXPECT_EQ(*Load(*client, std::string("v"), {.max_wait = std::chrono::minutes(30)}), "v");
  EXPECT_EQ(report_.read.code(), absl::StatusCode::kDeadlineExceeded);
}

// The time of one attempt is what a service may take, besides what it was told to wait.
TEST_F(ClientLeaseCallsTest, AnAttemptIsNotCutShortByItsWait) {
  ClientOptions options = Plain();
  options.retry.attempt_timeout = seconds(5);
  const auto client = Connect(options);
  ASSERT_TRUE(client->Get("k", {.wait = seconds(30)}).ok());
  ASSERT_TRUE(client->Get("k").ok());
  const std::vector<Arrival> seen = service_->seen(Method::kGet);
  EXPECT_GT(seen.at(0).left, seconds(25));
  EXPECT_LE(seen.at(0).left, seconds(40));
  EXPECT_LE(seen.at(1).left, seconds(10));
}

TEST_F(ClientLeaseCallsTest, OnlyPlainGetsAreGathered) {
  service_->On(Method::kGet, InTurn({Answer().Held()}));
  ClientOptions options = Plain();
  options.gather.max_calls = 1;
  const auto client = Connect(options);
  std::vector<Outcome<MaybeHit>> gets(4);
  Outcome<LeasedRead> leased;
  client->GetAsync("first", {}, gets[0].Setter());
  ASSERT_TRUE(service_->AwaitArrivals(Method::kGet, 1));
  client->GetAsync("a", {}, gets[1].Setter());
  client->GetAsync("b", {.fresh_only = true}, gets[2].Setter());
  client->GetAsync("c", {.wait = seconds(1)}, gets[3].Setter());
  client->GetOrLeaseAsync("d", {}, leased.Setter());
  ASSERT_TRUE(service_->AwaitArrivals(Method::kGet, 3)) << "the one that waits and the one for a lease go at once";
  service_->On(Method::kGet, {});
  service_->Release();
  for (Outcome<MaybeHit>& get : gets) EXPECT_TRUE(get.Take().ok());
  EXPECT_TRUE(leased.Take().ok());
  EXPECT_EQ(service_->arrivals(Method::kGet), 5) << "those of two minds about stale entries share no batch";
}

// --- absence, staleness, groups --------------------------------------------------------------------------------------

TEST_F(ClientLeaseCallsTest, AnAbsenceIsAHitWithoutAValue) {
  v1::GetResponse absent = Hit(v1::FRESHNESS_FRESH);
  absent.set_status(v1::STATUS_ABSENT);
  absent.clear_value();
  absent.clear_content_type();
  v1::BatchGetResponse batch;
  *batch.add_results() = absent;
  service_->On(Method::kGet, InTurn({Answer::Reply(absent)}));
  service_->On(Method::kBatchGet, InTurn({Answer::Reply(batch)}));
  ClientOptions options = Plain();
  options.near.capacity_bytes = size_t{1} << 20;
  options.near.max_age = std::chrono::minutes(30);
  const auto client = Connect(options);
  EXPECT_TRUE((*(*client->BatchGet({"j"}))[0])->absent);
  for (const Tier tier : {Tier::kStore, Tier::kClient}) {
    const absl::StatusOr<MaybeHit> hit = client->Get("k");
    ASSERT_TRUE(hit.ok() && hit->has_value());
    EXPECT_TRUE((*hit)->absent);
    EXPECT_EQ((*hit)->tier, tier);
    EXPECT_EQ((*hit)->value.size(), 0u);
  }
  EXPECT_FALSE(client->GetAs<std::string>("k")->has_value());
  EXPECT_EQ(*client->GetOrLoad<std::optional<std::string>>("k", seconds(5), [] { return std::string("?"); }),
            std::nullopt);
}

TEST_F(ClientLeaseCallsTest, AnAbsenceIsSetAsOne) {
  service_->On(Method::kGet, InTurn({Answer::Reply(Miss("lease"))}));
  const auto client = Connect(Plain());
  const auto none = []() -> std::optional<std::string> { return std::nullopt; };
  EXPECT_EQ(*client->GetOrLoad<std::optional<std::string>>("k", seconds(5), none, {.absent_ttl = Ttl(seconds(3))}),
            std::nullopt);
  EXPECT_TRUE(SetSeen(0).absent());
  EXPECT_EQ(SetSeen(0).ttl_ms(), 3'000);
  EXPECT_EQ(SetSeen(0).value(), "");
  EXPECT_EQ(SetSeen(0).content_type(), "");
}

// COHERENCE P1.
TEST_F(ClientLeaseCallsTest, TheNearCacheKeepsNoStaleEntry) {
  service_->On(Method::kGet, InTurn({Answer::Reply(Hit(v1::FRESHNESS_STALE))}));
  ClientOptions options = Plain();
  options.near.capacity_bytes = size_t{1} << 20;
  const auto client = Connect(options);
  for (int i = 0; i < 2; ++i) {
    const absl::StatusOr<MaybeHit> hit = client->Get("k");
    ASSERT_TRUE(hit.ok() && hit->has_value());
    EXPECT_EQ((*hit)->freshness, Freshness::kStale);
    EXPECT_EQ((*hit)->hard_ttl, seconds(90));
    EXPECT_EQ((*hit)->tier, Tier::kStore);
  }
  EXPECT_EQ(service_->arrivals(Method::kGet), 2);
}

// COHERENCE W5: at the start of the write, and before its acknowledgement.
TEST_F(ClientLeaseCallsTest, AnInvalidationOfGroupsClearsTheNearCache) {
  const std::vector<Invalidation> kinds = {
      {.tags = {"t"}}, {.patterns = {"x*"}}, {.entities = {{.name = "e", .fields = {{"id", "1"}}}}}, {.all = true}};
  for (const Invalidation& kind : kinds) {
    service_ = Start({});
    service_->On(Method::kGet, InTurn({Answer::Reply(Hit(v1::FRESHNESS_FRESH))}));
    service_->On(Method::kInvalidate, InTurn({Answer().Held()}));
    ClientOptions options = Plain();
    options.near.capacity_bytes = size_t{1} << 20;
    options.near.max_age = std::chrono::minutes(30);
    const auto client = Connect(options);
    const auto tier = [&] { return (*client->Get("k"))->tier; };
    EXPECT_EQ(tier(), Tier::kStore);
    EXPECT_EQ(tier(), Tier::kClient);
    Outcome<InvalidateResult> outcome;
    client->InvalidateAsync(kind, {}, outcome.Setter());
    ASSERT_TRUE(service_->AwaitArrivals(Method::kInvalidate, 1));
    EXPECT_EQ(tier(), Tier::kStore) << "it has begun";
    EXPECT_EQ(tier(), Tier::kClient) << "read meanwhile";
    service_->Release();
    ASSERT_TRUE(outcome.Take().ok());
    EXPECT_EQ(tier(), Tier::kStore) << "it has ended";
  }
}

TEST_F(ClientLeaseCallsTest, GroupsAreSent) {
  v1::InvalidateResponse response;
  response.set_dropped(3);
  response.set_collapsed(true);
  service_->On(Method::kInvalidate, InTurn({Answer::Reply(response)}));
  const auto client = Connect(Plain());
  const absl::StatusOr<InvalidateResult> result =
      client->Invalidate({.keys = {"k"},
                          .tags = {"t", "u"},
                          .patterns = {std::string("p\xff*")},
                          .entities = {{.name = "appointment", .fields = {{"staff_id", "7"}, {"date", "2026-03-01"}}}},
                          .mode = InvalidationMode::kSoft});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->dropped, 3);
  EXPECT_TRUE(result->collapsed);
  const auto request = service_->seen(Method::kInvalidate).at(0).As<v1::InvalidateRequest>();
  EXPECT_THAT(request.keys(), ElementsAre("k"));
  EXPECT_THAT(request.tags(), ElementsAre("t", "u"));
  EXPECT_THAT(request.patterns(), ElementsAre("p\xff*"));
  ASSERT_EQ(request.entities_size(), 1);
  EXPECT_EQ(request.entities(0).name(), "appointment");
  EXPECT_EQ(request.entities(0).fields().at("staff_id"), "7");
  EXPECT_EQ(request.entities(0).fields().at("date"), "2026-03-01");
  EXPECT_FALSE(request.all());
  EXPECT_EQ(request.mode(), v1::INVALIDATION_MODE_SOFT);
}

TEST_F(ClientLeaseCallsTest, ItemsOfABatchAndOfAWarmUpSayAllThatASetDoes) {
  const auto client = Connect(Plain());
  const SetItem item{.key = "k", .tags = {"t"}, .stale_for = milliseconds(0), .sliding = true, .absent = true};
  ASSERT_TRUE(client->BatchSet({item}).ok());
  bool given = false;
  ASSERT_TRUE(client
                  ->Warm([&]() -> absl::StatusOr<std::optional<SetItem>> {
                    if (std::exchange(given, true)) return std::nullopt;
                    return item;
                  })
                  .ok());
  const auto check = [](const auto& entry) {
    EXPECT_THAT(entry.tags(), ElementsAre("t"));
    EXPECT_TRUE(entry.has_stale_for_ms());
    EXPECT_EQ(entry.stale_for_ms(), 0);
    EXPECT_TRUE(entry.sliding());
    EXPECT_TRUE(entry.absent());
  };
  check(service_->seen(Method::kBatchSet).at(0).As<v1::BatchSetRequest>().entries(0));
  check(service_->seen(Method::kWarm).at(0).As<v1::WarmRequest>());
}

}  // namespace
}  // namespace larder
