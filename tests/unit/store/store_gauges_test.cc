#include "server/store/store_gauges.h"

#include <deque>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "server/store/embedded_store.h"
#include "tests/support/manual_clock.h"
#include "tests/support/passing_store.h"
#include "tests/support/redis_store_fixture.h"

namespace larder {
namespace {

constexpr int64_t kLookEvery = StoreGauges::kLookEvery;

std::string MetricOf(const Registry& registry, const std::string& name) {
  const std::string text = registry.RenderText();
  const std::string line = "\n" + name + " ";
  const size_t at = text.find(line);
  if (at == std::string::npos) return "(none)";
  const size_t begin = at + line.size();
  return text.substr(begin, text.find('\n', begin) - begin);
}

// A store that says of itself what the test wants, when the test wants.
class ToldStore final : public PassingStore {
 public:
  using PassingStore::PassingStore;

  StoreInfo info;
  BreakerState breaker_state = BreakerState::kClosed;
  std::deque<StoreCallback<StoreInfo>> asked;

  void Answer() { AnswerWith(info); }
  void AnswerWith(absl::StatusOr<StoreInfo> answer) {
    StoreCallback<StoreInfo> done = std::move(asked.front());
    asked.pop_front();
    std::move(done)(std::move(answer));
  }

  void Describe(int64_t /*deadline*/, StoreCallback<StoreInfo> done) override { asked.push_back(std::move(done)); }
  StoreInfo::State state() const override { return info.state; }
  BreakerState breaker() const override { return breaker_state; }
  int64_t disconnects() const override { return info.disconnects; }
};

class StoreGaugesTest : public testing::Test {
 protected:
  StoreGaugesTest() {
    store_.info.state = StoreInfo::State::kReady;
    store_.info.measured = true;
    store_.info.round_trip_micros = 250;
    store_.info.keys = 7;
    store_.info.used_memory_bytes = 3'000'000;
    store_.info.max_memory_bytes = 4'000'000;
    store_.info.evictions = 1'000'000;
    store_.info.disconnects = 2;
    store_.info.unreadable_entries = 3;
  }

  std::string Told(const std::string& name) const { return MetricOf(registry_, name); }
  void Look() {
    gauges_.Refresh();
    ASSERT_EQ(store_.asked.size(), 1u);
    store_.Answer();
    clock_.Advance(kLookEvery);
  }

  ManualClock clock_;
  Registry registry_;
  EmbeddedStore embedded_{&clock_, {.capacity_bytes = 1 << 20}};
  ToldStore store_{&embedded_};
  StoreGauges gauges_{&store_, &clock_, &registry_};
};

TEST_F(StoreGaugesTest, TellsWhatTheStoreSays) {
  Look();
  EXPECT_EQ(Told("cache_store_up"), "1");
  EXPECT_EQ(Told("cache_store_memory_used_bytes"), "3000000");
  EXPECT_EQ(Told("cache_store_memory_max_bytes"), "4000000");
  EXPECT_EQ(Told("cache_store_keys"), "7");
  EXPECT_EQ(Told("cache_store_round_trip_seconds"), "0.00025");
  EXPECT_EQ(Told("cache_store_disconnects_total"), "2");
  EXPECT_EQ(Told("cache_store_unreadable_entries_total"), "3");
}

TEST_F(StoreGaugesTest, AsksOnceInTenSecondsAndNeverTwiceAtATime) {
  gauges_.Refresh();
  ASSERT_EQ(store_.asked.size(), 1u);
  clock_.Advance(2 * kLookEvery);
  gauges_.Refresh();
  EXPECT_EQ(store_.asked.size(), 1u);
  store_.Answer();

  gauges_.Refresh();
  ASSERT_EQ(store_.asked.size(), 1u);
  store_.Answer();
  clock_.Advance(kLookEvery - 1);
  gauges_.Refresh();
  EXPECT_EQ(store_.asked.size(), 0u);
  clock_.Advance(1);
  gauges_.Refresh();
  EXPECT_EQ(store_.asked.size(), 1u);
}

TEST_F(StoreGaugesTest, AScrapeDoesNotAsk) {
  registry_.RenderText();
  EXPECT_EQ(store_.asked.size(), 0u);
}

TEST_F(StoreGaugesTest, KnowsNoFigureBeforeTheFirstAnswerNorWhileTheStoreIsAway) {
  const auto expect_gauges = [this](const std::string& memory, const std::string& keys, const std::string& trip) {
    EXPECT_EQ(Told("cache_store_memory_used_bytes"), memory);
    EXPECT_EQ(Told("cache_store_keys"), keys);
    EXPECT_EQ(Told("cache_store_round_trip_seconds"), trip);
  };
  expect_gauges("Nan", "Nan", "Nan");
  EXPECT_EQ(Told("cache_store_unreadable_entries_total"), "0");
  Look();
  expect_gauges("3000000", "7", "0.00025");

  store_.info.state = StoreInfo::State::kDown;
  expect_gauges("Nan", "Nan", "Nan");
  EXPECT_EQ(Told("cache_store_up"), "0");
  // What the process itself has counted it goes on telling.
  store_.info.measured = false;
  store_.info.disconnects = 9;
  Look();
  EXPECT_EQ(Told("cache_store_disconnects_total"), "9");

  store_.info.state = StoreInfo::State::kReady;
  expect_gauges("Nan", "Nan", "Nan");
  store_.info.measured = true;
  Look();
  expect_gauges("3000000", "7", "0.00025");
}

TEST_F(StoreGaugesTest, AsksAtOnceWhenTheStoreIsBack) {
  store_.info.state = StoreInfo::State::kDown;
  store_.info.measured = false;
  gauges_.Refresh();
  store_.Answer();
  store_.info.state = StoreInfo::State::kReady;
  gauges_.Refresh();
  EXPECT_EQ(store_.asked.size(), 1u);
}

// Nobody has seen it away, and what is there now may be another store.
TEST_F(StoreGaugesTest, ForgetsAndAsksAtOnceWhenTheStoreWasLostAndBackInsideTenSeconds) {
  Look();
  gauges_.Refresh();
  store_.Answer();
  EXPECT_EQ(Told("cache_store_keys"), "7");
  ++store_.info.disconnects;
  EXPECT_EQ(Told("cache_store_keys"), "Nan");
  EXPECT_EQ(Told("cache_store_memory_used_bytes"), "Nan");
  EXPECT_EQ(Told("cache_store_up"), "1");
  EXPECT_EQ(Told("cache_store_disconnects_total"), "3");

  store_.info.keys = 1;
  clock_.Advance(1);
  gauges_.Refresh();
  ASSERT_EQ(store_.asked.size(), 1u);
  EXPECT_EQ(Told("cache_store_keys"), "Nan");
  store_.Answer();
  EXPECT_EQ(Told("cache_store_keys"), "1");
  // And then no sooner than ever.
  gauges_.Refresh();
  EXPECT_EQ(store_.asked.size(), 0u);
}

TEST_F(StoreGaugesTest, AnAnswerOfALostConnectionIsNotToldAndAskedForAgain) {
  gauges_.Refresh();
  ASSERT_EQ(store_.asked.size(), 1u);
  const StoreInfo of_the_first = store_.info;
  ++store_.info.disconnects;
  store_.AnswerWith(of_the_first);
  EXPECT_EQ(Told("cache_store_keys"), "Nan");
  gauges_.Refresh();
  ASSERT_EQ(store_.asked.size(), 1u);
  store_.Answer();
  EXPECT_EQ(Told("cache_store_keys"), "7");
}

TEST_F(StoreGaugesTest, AnErrorMakesGaugesUnknownAndLeavesCounters) {
  Look();
  gauges_.Refresh();
  store_.AnswerWith(absl::DeadlineExceededError("late"));
  EXPECT_EQ(Told("cache_store_keys"), "Nan");
  EXPECT_EQ(Told("cache_store_disconnects_total"), "2");
}

TEST_F(StoreGaugesTest, CountsEvictionsFromTheFirstLookOnAndOverResetsOfTheStoresCount) {
  EXPECT_EQ(Told("cache_store_evictions_total"), "0");
  Look();
  EXPECT_EQ(Told("cache_store_evictions_total"), "0");
  store_.info.evictions += 40;
  Look();
  EXPECT_EQ(Told("cache_store_evictions_total"), "40");
  // Reset: it counts from 0 again.
  store_.info.evictions = 2;
  Look();
  EXPECT_EQ(Told("cache_store_evictions_total"), "42");
  store_.info.measured = false;
  store_.info.evictions = 0;
  Look();
  EXPECT_EQ(Told("cache_store_evictions_total"), "42");
}

TEST_F(StoreGaugesTest, CountsNoEvictionsOfAnotherStoreFromBeforeItsFirstLook) {
  Look();
  store_.info.evictions += 40;
  Look();
  // Another Redis, which has evicted more; the first one's count is no base for its own.
  ++store_.info.disconnects;
  store_.info.evictions += 500'000;
  Look();
  EXPECT_EQ(Told("cache_store_evictions_total"), "40");
  // And one that has evicted less.
  ++store_.info.disconnects;
  store_.info.evictions = 3;
  Look();
  EXPECT_EQ(Told("cache_store_evictions_total"), "40");
  store_.info.evictions += 2;
  Look();
  EXPECT_EQ(Told("cache_store_evictions_total"), "42");
}

TEST_F(StoreGaugesTest, TellsTheBreaker) {
  EXPECT_EQ(Told("cache_breaker_state"), "0");
  store_.breaker_state = BreakerState::kHalfOpen;
  EXPECT_EQ(Told("cache_breaker_state"), "1");
  store_.breaker_state = BreakerState::kOpen;
  EXPECT_EQ(Told("cache_breaker_state"), "2");
}

TEST(EmbeddedStoreGaugesTest, TellsOfTheEmbeddedStore) {
  ManualClock clock;
  Registry registry;
  EmbeddedStore store(&clock, {.capacity_bytes = 1 << 20});
  StoreGauges gauges(&store, &clock, &registry);
  gauges.Refresh();
  EXPECT_EQ(MetricOf(registry, "cache_store_memory_max_bytes"), "1048576");
  EXPECT_EQ(MetricOf(registry, "cache_store_keys"), "0");
  EXPECT_EQ(MetricOf(registry, "cache_breaker_state"), "0");
  store.Shutdown();
  EXPECT_EQ(MetricOf(registry, "cache_breaker_state"), "2");
}

class RedisStoreGaugesTest : public RedisStoreFixture {};

TEST_F(RedisStoreGaugesTest, TellsOfRedisAndOfItsLoss) {
  RedisServer::Options options;
  options.extra_args = {"--maxmemory", "64mb"};
  StartServer(options);
  StartStore(PatientOptions());
  Registry registry;
  ManualClock clock;
  StoreGauges gauges(store_.get(), &clock, &registry);
  const auto told = [&](const std::string& name) { return MetricOf(registry, name); };
  EXPECT_TRUE(Set(*store_, "key", "value").ok());
  gauges.Refresh();
  ASSERT_TRUE(Eventually([&] { return told("cache_store_memory_max_bytes") == "67108864"; }));
  EXPECT_GT(std::stod(told("cache_store_memory_used_bytes")), 100'000);
  // The entry and the control records of two namespaces.
  EXPECT_EQ(told("cache_store_keys"), "3");
  EXPECT_GT(std::stod(told("cache_store_round_trip_seconds")), 0);
  EXPECT_EQ(told("cache_store_up"), "1");
  EXPECT_EQ(told("cache_breaker_state"), "0");

  server_->Kill();
  ASSERT_TRUE(Eventually([&] { return told("cache_breaker_state") == "2"; }));
  EXPECT_EQ(told("cache_store_up"), "0");
  EXPECT_EQ(told("cache_store_keys"), "Nan");
  clock.Advance(kLookEvery);
  gauges.Refresh();
  EXPECT_EQ(told("cache_store_disconnects_total"), "1");

  ASSERT_TRUE(server_->Restart().ok());
  ASSERT_TRUE(Eventually([&] { return told("cache_breaker_state") == "0"; }));
  gauges.Refresh();
  EXPECT_TRUE(Eventually([&] { return told("cache_store_memory_max_bytes") == "67108864"; }));
  store_->Shutdown();
}

// A Redis that takes connections but answers nothing: the attempt is under way until it times out.
TEST_F(RedisStoreGaugesTest, TellsAnAttemptFromAPause) {
  StartServer();
  RedisOptions options = PatientOptions();
  options.connect_timeout_nanos = 300 * kNanosPerMilli;
  options.min_backoff_nanos = 300 * kNanosPerMilli;
  options.max_backoff_nanos = 300 * kNanosPerMilli;
  server_->Pause();
  store_ = MakeStore(options);
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(Eventually([&] { return store_->breaker() == BreakerState::kHalfOpen; })) << round;
    EXPECT_TRUE(Eventually([&] { return store_->breaker() == BreakerState::kOpen; })) << round;
  }
  server_->Resume();
  EXPECT_TRUE(Eventually([&] { return store_->breaker() == BreakerState::kClosed; }));
}

}  // namespace
}  // namespace larder
