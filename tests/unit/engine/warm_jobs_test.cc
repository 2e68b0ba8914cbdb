// What a run does, and what it is asked.
#include "server/engine/warm_jobs.h"

#include <gmock/gmock.h>

#include <string>

#include "tests/support/eventually.h"
#include "tests/unit/engine/warm_jobs_fixture.h"

namespace larder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using State = WarmJobStatus::State;

TEST_F(WarmJobsTest, LoadsWhatIsMissingAndSkipsWhatIsThere) {
  Make({{.name = "w", .keys = {"a", "b", "absent"}}});
  EXPECT_EQ(Get("b"), "of b");
  EXPECT_EQ(Now().state, State::kWaiting);
  jobs_->Start(true);
  const WarmJobStatus status = Now();
  EXPECT_EQ(status.state, State::kDone);
  EXPECT_EQ(status.counts.found, 3);
  EXPECT_EQ(status.counts.written, 1);
  EXPECT_EQ(status.counts.skipped, 2);
  EXPECT_THAT(origin_.loaded, ElementsAre("b", "a", "absent"));
  EXPECT_EQ(Get("a"), "of a");
  EXPECT_EQ(origin_.loaded.size(), 3u) << "it was cached";
  EXPECT_THAT(registry_.RenderText(),
              HasSubstr("cache_warm_keys_total{job=\"w\",namespace=\"shop\",result=\"written\"} 1"));
}

TEST_F(WarmJobsTest, KeepsToItsConcurrency) {
  origin_.hold = true;
  Start({{.name = "w", .keys = Numbered(20), .concurrency = 3}});
  EXPECT_EQ(origin_.loaded.size(), 3u);
  EXPECT_EQ(Now().state, State::kRunning);
  for (int i = 0; i < 20; ++i) origin_.AnswerOne();
  EXPECT_EQ(origin_.most_at_once, 3u);
  EXPECT_EQ(Now().counts.written, 20);
  EXPECT_EQ(Now().state, State::kDone);
}

TEST_F(WarmJobsTest, KeepsToItsRateInAnySecond) {
  Start({{.name = "w", .keys = Numbered(1'000), .max_per_second = 100}});
  std::vector<size_t> loaded_by;  // after each 10 ms
  for (int i = 0; i < 1'100; ++i) {
    scheduler_.Advance(10 * kNanosPerMilli);
    loaded_by.push_back(origin_.loaded.size());
  }
  size_t most = 0;
  for (size_t i = 100; i < loaded_by.size(); ++i) most = std::max(most, loaded_by[i] - loaded_by[i - 100]);
  EXPECT_EQ(most, 100u);
  EXPECT_EQ(Now().state, State::kDone);
  EXPECT_NEAR(static_cast<double>(Now().elapsed_nanos), 10e9, 0.1e9);
}

TEST_F(WarmJobsTest, HighRatesAreKeptToo) {
  std::vector<std::string> keys = Numbered(3'000);
  Start({{.name = "w", .keys = keys, .concurrency = 1'000, .max_per_second = 1'000}});
  scheduler_.Advance(kNanosPerSecond - 1);
  EXPECT_EQ(origin_.loaded.size(), 1'000u);
}

TEST_F(WarmJobsTest, ManyThatEndAtOnceNeedNoDeepStack) {
  Start({{.name = "w", .keys = Numbered(10'000), .concurrency = 1}});
  scheduler_.Advance(kNanosPerSecond);
  EXPECT_EQ(Now().counts.written, 10'000);
  EXPECT_EQ(Now().state, State::kDone);
}

TEST_F(WarmJobsTest, ASecondRequestJoinsTheRunUnderWay) {
  origin_.hold = true;
  Make({{.name = "w", .keys = {"a"}}});
  jobs_->Start(false);
  EXPECT_EQ(Now().run, 0u) << "none runs by itself";
  EXPECT_EQ(told_ready_, 1);
  const absl::StatusOr<WarmJobStatus> first = jobs_->Run("shop", "w");
  const absl::StatusOr<WarmJobStatus> second = jobs_->Run("", "w");
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(first->run, 1u);
  EXPECT_EQ(second->run, 1u);
  EXPECT_EQ(origin_.loaded.size(), 1u);
  origin_.AnswerOne();
  EXPECT_EQ(jobs_->Now(*first).state, State::kDone);
  origin_.hold = false;
  ASSERT_TRUE(jobs_->Run("", "w").ok());
  EXPECT_EQ(jobs_->Now(*first).run, 2u) << "the last that ended";
}

TEST_F(WarmJobsTest, UnknownJobsAreRefused) {
  Start({});
  EXPECT_EQ(jobs_->Run("", "x").status(), absl::InvalidArgumentError("job: \"x\" is not configured"));
}

TEST_F(WarmJobsTest, ANameOfTwoNamespacesMustBeSaid) {
  NamespacePolicy a = PolicyNamed("a");
  NamespacePolicy b = PolicyNamed("b");
  a.warm_jobs = {{.name = "w", .keys = {"x"}}};
  b.warm_jobs = a.warm_jobs;
  Make({});
  Registry registry;
  const std::vector<NamespacePolicy> policies = {a, b};
  CacheEngine engine({.near_capacity_bytes = 1 << 20, .namespaces = policies, .version_seed = 2, .origins = {}},
                     &store_, &clock_, &scheduler_, &registry);
  WarmJobs jobs(
      policies,
      {.engine = &engine, .store = &store_, .clock = &clock_, .scheduler = &scheduler_, .registry = &registry});
  EXPECT_EQ(jobs.Run("", "w").status(),
            absl::InvalidArgumentError("namespace: must say which job \"w\" is meant; it is in a, b"));
  EXPECT_TRUE(jobs.Run("b", "w").ok());
}

TEST_F(WarmJobsTest, AnOriginThatIsDownFailsTheRun) {
  origin_.down = true;
  Start({{.name = "w", .keys = {"a", "b"}, .hold_readiness_ms = 60'000}});
  EXPECT_EQ(Now().state, State::kFailed);
  EXPECT_EQ(Now().counts.failed, 2);
  EXPECT_EQ(Now().detail, "every one failed; the last: \"b\": origin: no connection");
  EXPECT_EQ(told_ready_, 1) << "the first run has ended";
  EXPECT_THAT(registry_.RenderText(), HasSubstr("cache_warm_job_last_success_timestamp_seconds{job=\"w\","
                                                "namespace=\"shop\"} 0"));
}

TEST_F(WarmJobsTest, GivesUpAfterSoManyFailuresInARow) {
  origin_.down = true;
  Start({{.name = "w", .keys = Numbered(1'000), .concurrency = 4}});
  EXPECT_EQ(Now().state, State::kFailed);
  EXPECT_EQ(origin_.loaded.size(), 100u);
  EXPECT_EQ(Now().detail, "100 in a row failed; the last: \"k99\": origin: no connection");
}

TEST_F(WarmJobsTest, SingleFailuresFailNoRun) {
  Start({{.name = "w", .keys = {"a", std::string(600, 'x'), "b"}}});
  EXPECT_EQ(Now().state, State::kDone);
  EXPECT_EQ(Now().counts.written, 2);
  EXPECT_EQ(Now().counts.failed, 1);
  EXPECT_THAT(Now().detail, HasSubstr("key: "));
}

TEST_F(WarmJobsTest, EnumeratedKeysAreTakenNoFasterThanTheyAreLoaded) {
  origin_.hold = true;
  origin_.keys_there = 5'000;
  Start({{.name = "w", .prefix = "p", .concurrency = 10}});
  ASSERT_TRUE(Eventually([&] { return origin_.taken >= static_cast<int>(WarmJobRun::kMaxQueued); }));
  EXPECT_LE(origin_.taken, static_cast<int>(WarmJobRun::kMaxQueued) + 10);
  jobs_->Stop();
  origin_.Shutdown();
  EXPECT_LE(origin_.taken, static_cast<int>(WarmJobRun::kMaxQueued) + 10) << "the end of the run ended it";
  EXPECT_EQ(Now().state, State::kFailed);
  EXPECT_EQ(Now().detail, "the server is about to stop");
}

TEST_F(WarmJobsTest, AnEnumerationThatFailsFailsTheRunButNotItsKeys) {
  origin_.keys_there = 3;
  origin_.end_of_keys = absl::UnavailableError("gone");
  Start({{.name = "w", .prefix = "p"}});
  ASSERT_TRUE(Eventually([&] { return Now().state == State::kFailed; }));
  EXPECT_EQ(Now().detail, "origin: gone");
  EXPECT_EQ(Now().counts.written, 3);
}

TEST_F(WarmJobsTest, WritesTheEntriesOfAFileIntoGaps) {
  Make({{.name = "w",
         .file = WriteFile("{\"key\": \"a\", \"value\": \"1\", \"tags\": [\"t\"]}\n"
                           "\n"
                           "{\"key\": \"b\", \"value\": \"2\"}\n"
                           "{\"key\": \"c\"}\n")}});
  EXPECT_EQ(Get("b"), "of b");
  jobs_->Start(true);
  ASSERT_TRUE(Eventually([&] { return Now().state == State::kDone; }));
  EXPECT_EQ(Now().counts.found, 3);
  EXPECT_EQ(Now().counts.written, 1);
  EXPECT_EQ(Now().counts.skipped, 1);
  EXPECT_EQ(Now().counts.failed, 1);
  EXPECT_EQ(Now().detail, "line 4: value: missing (value or value_base64)");
  EXPECT_EQ(Get("a"), "1");
  EXPECT_EQ(Get("b"), "of b");
}

// COHERENCE E4: the run's entries are as of its beginning.
TEST_F(WarmJobsTest, AFileDoesNotBringBackWhatWasInvalidatedSinceTheRunBegan) {
  Start({{.name = "w",
          .file = WriteFile("{\"key\": \"a\", \"value\": \"1\"}\n{\"key\": \"b\", \"value\": \"2\"}\n"),
          .concurrency = 1,
          .max_per_second = 1}});
  ASSERT_TRUE(Eventually([&] { return Now().counts.found == 2 && Now().counts.written == 1; }));
  bool invalidated = false;
  engine_->Invalidate({}, {.name_space = "shop", .all = true},
                      [&](const absl::StatusOr<InvalidateAnswer>& answer) { invalidated = answer.ok(); });
  ASSERT_TRUE(invalidated);
  scheduler_.Advance(kNanosPerSecond);
  ASSERT_TRUE(Eventually([&] { return Now().state == State::kDone; }));
  EXPECT_EQ(Now().counts.skipped, 1);
  EXPECT_EQ(Get("b"), "of b");
}

TEST_F(WarmJobsTest, AFileThatIsNotThereFailsTheRun) {
  Start({{.name = "w", .file = "/nowhere/x"}, {.name = "x", .file = "/"}});
  ASSERT_TRUE(Eventually([&] { return jobs_->All().at(1).state == State::kFailed; }));
  ASSERT_TRUE(Eventually([&] { return Now().state == State::kFailed; }));
  EXPECT_EQ(Now().detail, "/nowhere/x: No such file or directory");
  EXPECT_EQ(jobs_->All().at(1).detail, "/: not a regular file");
}

TEST_F(WarmJobsTest, ANamespaceThatIsOffIsNotWarmed) {
  Make({{.name = "w", .keys = {"a"}}}, /*enabled=*/false);
  jobs_->Start(true);
  EXPECT_EQ(Now().state, State::kFailed);
  EXPECT_EQ(Now().detail, "the namespace is switched off");
}

}  // namespace
}  // namespace larder
