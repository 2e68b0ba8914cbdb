// When jobs run, what waits for them, and what is remembered for them.
#include <gmock/gmock.h>

#include <optional>
#include <string>

#include "server/engine/warm_jobs.h"
#include "tests/unit/engine/warm_jobs_fixture.h"

namespace larder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using State = WarmJobStatus::State;

TEST_F(WarmJobsTest, RunsAgainAfterItsInterval) {
  Start({{.name = "w", .keys = {"a"}, .every_ms = 60'000}});
  EXPECT_EQ(Now().run, 1u);
  scheduler_.Advance(59 * kNanosPerSecond);
  EXPECT_EQ(Now().run, 1u);
  scheduler_.Advance(kNanosPerSecond);
  EXPECT_EQ(Now().run, 2u);
  EXPECT_EQ(Now().counts.skipped, 1);
  scheduler_.Advance(30 * kNanosPerSecond);
  ASSERT_TRUE(jobs_->Run("", "w").ok());
  scheduler_.Advance(59 * kNanosPerSecond);
  EXPECT_EQ(Now().run, 3u) << "counted from its last start";
  scheduler_.Advance(kNanosPerSecond);
  EXPECT_EQ(Now().run, 4u);
}

TEST_F(WarmJobsTest, ARunThatTakesLongerThanItsIntervalIsNotRunBesideItself) {
  origin_.hold = true;
  Start({{.name = "w", .keys = {"a"}, .every_ms = 1'000}});
  scheduler_.Advance(5 * kNanosPerSecond);
  EXPECT_EQ(Now().run, 1u);
  origin_.hold = false;
  origin_.AnswerOne();
  EXPECT_EQ(Now().state, State::kDone);
  scheduler_.Advance(0);
  EXPECT_EQ(Now().run, 2u) << "it was due already";
}

TEST_F(WarmJobsTest, NotAtStartMeansAfterTheFirstInterval) {
  Start({{.name = "w", .keys = {"a"}, .at_start = false, .every_ms = 1'000}});
  EXPECT_EQ(Now().run, 0u);
  scheduler_.Advance(kNanosPerSecond);
  EXPECT_EQ(Now().run, 1u);
}

TEST_F(WarmJobsTest, ReadinessWaitsForTheFirstRuns) {
  origin_.hold = true;
  Start({{.name = "a", .keys = {"1"}, .hold_readiness_ms = 10'000},
         {.name = "b", .keys = {"2"}, .hold_readiness_ms = 10'000},
         {.name = "c", .keys = {"3"}}});
  EXPECT_THAT(jobs_->Holding(), ElementsAre("shop/a", "shop/b"));
  origin_.AnswerOne();
  EXPECT_THAT(jobs_->Holding(), ElementsAre("shop/b"));
  EXPECT_EQ(told_ready_, 0);
  origin_.AnswerOne();
  EXPECT_EQ(told_ready_, 1);
  scheduler_.Advance(20 * kNanosPerSecond);
  EXPECT_EQ(told_ready_, 1) << "once";
}

TEST_F(WarmJobsTest, ReadinessDoesNotWaitForEver) {
  origin_.hold = true;
  Start({{.name = "a", .keys = {"1"}, .hold_readiness_ms = 10'000}});
  scheduler_.Advance(10 * kNanosPerSecond - 1);
  EXPECT_EQ(told_ready_, 0);
  scheduler_.Advance(1);
  EXPECT_EQ(told_ready_, 1);
  EXPECT_THAT(jobs_->Holding(), IsEmpty());
  EXPECT_EQ(Now().state, State::kRunning);
}

TEST_F(WarmJobsTest, NothingIsTheReadinessOfAServerThatStops) {
  origin_.hold = true;
  Start({{.name = "a", .keys = {"1"}, .hold_readiness_ms = 10'000}});
  jobs_->Stop();
  scheduler_.Advance(20 * kNanosPerSecond);
  EXPECT_EQ(told_ready_, 0);
  EXPECT_EQ(jobs_->Run("", "a").status(), absl::UnavailableError("the server is about to stop"));
  origin_.AnswerOne();
}

TEST_F(WarmJobsTest, TheHottestKeysOfBeforeAreLoaded) {
  const WarmJobPolicy hottest = {.name = "w", .hottest = 2};
  Start({hottest});
  EXPECT_EQ(Now().state, State::kDone);
  EXPECT_EQ(Now().counts.found, 0) << "nothing was noted yet";
  for (int i = 0; i < 4'000; ++i) {
    clock_.Advance(1);
    Get("hot");
    if (i % 2 == 0) Get("warm");
    if (i % 10 == 0) Get("cool");
  }
  jobs_->NoteHotKeys(kNanosPerSecond);
  jobs_->Stop();

  // The next process over the same store, with the cache gone.
  engine_->Invalidate({}, {.name_space = "shop", .all = true}, [](const absl::StatusOr<InvalidateAnswer>&) {});
  origin_.loaded.clear();
  NamespacePolicy shop = PolicyNamed("shop");
  shop.origin = OriginPolicy{};
  shop.warm_jobs = {hottest};
  Registry registry;
  CacheEngine engine(
      {.near_capacity_bytes = 1 << 20, .namespaces = {shop}, .version_seed = 2, .origins = {{"shop", &origin_}}},
      &store_, &clock_, &scheduler_, &registry);
  WarmJobs next({shop}, {.engine = &engine,
                         .store = &store_,
                         .origins = {{"shop", &origin_}},
                         .clock = &clock_,
                         .scheduler = &scheduler_,
                         .registry = &registry});
  next.Start(true);
  EXPECT_THAT(origin_.loaded, ElementsAre("hot", "warm"));
  EXPECT_EQ(next.All().at(0).counts.written, 2);
  EXPECT_THAT(engine.FindKeyspace("shop")->hot_keys()->Top(10), IsEmpty()) << "a warm-up's reads are nobody's";
}

TEST_F(WarmJobsTest, HotKeysAreNotedEachMinute) {
  Start({{.name = "w", .hottest = 2}});
  for (int i = 0; i < 400; ++i) {
    clock_.Advance(1);
    Get("hot");
  }
  const auto note = [&] {
    std::string text;
    store_.GetNote("shop", "hot-keys/0", clock_.NowNanos() + kNanosPerSecond,
                   [&](absl::StatusOr<std::optional<std::string>> found) { text = (*found).value_or(""); });
    return text;
  };
  scheduler_.Advance(59 * kNanosPerSecond);
  EXPECT_EQ(note(), "");
  scheduler_.Advance(kNanosPerSecond);
  EXPECT_THAT(note(), HasSubstr("3:hot"));
}

}  // namespace
}  // namespace larder
