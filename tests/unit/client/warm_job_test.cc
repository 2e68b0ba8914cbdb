#include "larder/warm_job.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cmath>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "client/src/pace.h"
#include "client/src/start_thread.h"
#include "client/src/warm_run.h"
#include "client/src/warm_schedule.h"
#include "core/clock.h"
#include "larder/testing/fake_cache.h"
#include "tests/support/eventually.h"
#include "tests/support/manual_clock.h"
#include "tests/unit/client/held_cache.h"
#include "tests/unit/client/recording_observer.h"

namespace larder {
namespace {

struct Number {
  int value = 0;
};

}  // namespace

template <>
struct Codec<Number> {
  static std::string ContentType() { return "application/x-number"; }
  static absl::StatusOr<std::string> Encode(const Number& number) { return std::to_string(number.value); }
  static absl::StatusOr<Number> Decode(std::string_view bytes) { return Number{static_cast<int>(bytes.size())}; }
};

namespace {

using std::chrono::milliseconds;
using Progress = WarmJob::Progress;

std::vector<std::string> Numbered(int count) {
  std::vector<std::string> keys;
  for (int i = 0; i < count; ++i) keys.push_back("k" + std::to_string(i));
  return keys;
}

class WarmJobTest : public ::testing::Test {
 protected:
  static WarmJob::Options OptionsFor(std::vector<std::string> keys) {
    WarmJob::Options options;
    options.name = "catalogue";
    options.keys = [keys = std::move(keys)] { return keys; };
    return options;
  }

  template <typename Load>
  std::unique_ptr<WarmJob> Job(WarmJob::Options options, Load load) {
    absl::StatusOr<std::unique_ptr<WarmJob>> job =
        WarmJob::For<std::string>(cache_, std::move(options), std::move(load));
    EXPECT_TRUE(job.ok()) << job.status();
    return *std::move(job);
  }

  std::string ValueAt(std::string_view key) {
    const absl::StatusOr<MaybeHit> hit = cache_.Get(key);
    return hit.ok() && hit->has_value() ? (*hit)->value.ToString() : "none";
  }

  testing::FakeCache cache_;
  std::atomic<int> loads_{0};
};

TEST_F(WarmJobTest, LoadsWhatIsMissingAndLeavesTheRest) {
  ASSERT_TRUE(cache_.Set("k3", "older").ok());
  ASSERT_TRUE(cache_.Set("k249", "oldest").ok());
  std::vector<std::string> keys = Numbered(250);
  keys.push_back("k0");  // named twice
  WarmJob::Options options = OptionsFor(keys);
  options.ttl = std::chrono::minutes(1);
  const auto job = Job(std::move(options), [&](const std::string& key) {
    ++loads_;
    return "loaded " + key;
  });

  absl::StatusOr<Progress> progress = job->RunOnce();
  ASSERT_TRUE(progress.ok()) << progress.status();
  EXPECT_EQ(progress->total, 250);
  EXPECT_EQ(progress->loaded, 248);
  EXPECT_EQ(progress->skipped, 2);
  EXPECT_EQ(progress->absent, 0);
  EXPECT_EQ(progress->failed, 0);
  EXPECT_EQ(loads_, 248);
  EXPECT_EQ(ValueAt("k0"), "loaded k0");
  EXPECT_EQ(ValueAt("k3"), "older");
  EXPECT_EQ(ValueAt("k249"), "oldest");
  EXPECT_EQ(cache_.calls().batch_gets, 3);

  progress = job->RunOnce();
  EXPECT_EQ(progress->skipped, 250);
  EXPECT_EQ(loads_, 248);
  cache_.Advance(std::chrono::minutes(2));
  EXPECT_FALSE(cache_.Contains("k0"));
  EXPECT_TRUE(cache_.Contains("k3"));
}

TEST_F(WarmJobTest, LeavesWhatIsOfAnotherType) {
  ASSERT_TRUE(cache_.Set("k0", "text").ok());
  const auto job = WarmJob::For<Number>(cache_, OptionsFor(Numbered(2)), [&](const std::string&) {
    ++loads_;
    return Number{7};
  });
  ASSERT_TRUE(job.ok()) << job.status();
  const absl::StatusOr<Progress> progress = (*job)->RunOnce();
  EXPECT_EQ(progress->skipped, 1);
  EXPECT_EQ(progress->loaded, 1);
  EXPECT_EQ(loads_, 1);
  EXPECT_EQ(ValueAt("k0"), "text");
  EXPECT_EQ(ValueAt("k1"), "7");
}

// Between the look at many keys and the load of one.
TEST_F(WarmJobTest, LeavesWhatComesToBeOfAnotherType) {
  WarmJob::Options options = OptionsFor(Numbered(2));
  options.concurrency = 1;
  const auto job = WarmJob::For<Number>(cache_, std::move(options), [&](const std::string& key) {
    if (++loads_ == 1) {
      EXPECT_TRUE(cache_.Set(key == "k0" ? "k1" : "k0", "theirs").ok());
    }
    return Number{7};
  });
  ASSERT_TRUE(job.ok()) << job.status();
  const absl::StatusOr<Progress> progress = (*job)->RunOnce();
  EXPECT_EQ(progress->loaded, 1);
  EXPECT_EQ(progress->skipped, 1);
  EXPECT_EQ(loads_, 1);
  EXPECT_NE(ValueAt("k0") == "theirs", ValueAt("k1") == "theirs");
}

TEST_F(WarmJobTest, LoadsAnewWhatWouldExpireBeforeTheNextRun) {
  WarmJob::Options options = OptionsFor(Numbered(3));
  options.ttl = std::chrono::minutes(60);
  options.every = std::chrono::minutes(40);
  ASSERT_TRUE(cache_.SetAs("k2", Number{9}, {.ttl = std::chrono::minutes(30)}).ok());
  const auto job = WarmJob::For<std::optional<Number>>(
      cache_, std::move(options), [&](const std::string&) -> std::optional<Number> { return Number{++loads_}; });
  ASSERT_TRUE(job.ok()) << job.status();
  ASSERT_TRUE(cache_.Set("k0", "text", {.ttl = std::chrono::minutes(20)}).ok());
  EXPECT_EQ((*job)->RunOnce()->loaded, 2);
  EXPECT_EQ(ValueAt("k0"), "text") << "not the loader's to replace";
  EXPECT_NE(ValueAt("k2"), "9");

  cache_.Advance(std::chrono::minutes(20));  // 40 minutes are left
  EXPECT_EQ((*job)->RunOnce()->skipped, 2);
  EXPECT_EQ(loads_, 3) << "k0 has expired";
  cache_.Advance(milliseconds(1));
  const absl::StatusOr<Progress> progress = (*job)->RunOnce();
  EXPECT_EQ(progress->loaded, 2);
  EXPECT_EQ(progress->skipped, 1);
  EXPECT_EQ((*cache_.Get("k1"))->ttl, std::chrono::minutes(60));
}

TEST(WarmJobDueTest, DoesNotReplaceADueEntryThatAnotherProcessChangedMeanwhile) {
  HeldCache cache;
  ASSERT_TRUE(cache.elsewhere().Set("k0", "old", {.ttl = std::chrono::minutes(30)}).ok());
  WarmJob::Options options;
  options.keys = [] { return Numbered(1); };
  options.every = std::chrono::minutes(40);
  int loads = 0;
  const auto job = WarmJob::For<std::string>(cache, std::move(options), [&](const std::string&) {
    ++loads;
    EXPECT_TRUE(cache.elsewhere().Set("k0", "newer").ok());
    return std::string("older");
  });
  EXPECT_EQ((*job)->RunOnce()->skipped, 1);
  EXPECT_EQ(loads, 1);
  EXPECT_EQ((*cache.elsewhere().Get("k0"))->value.bytes(), "newer");
}

// One over-long key, or a namespace that takes fewer keys at a time, makes no run ask for each key singly.
TEST(WarmJobLookTest, AsksForFewerKeysWhereManyAreRefused) {
  RecordingObserver observer;
  testing::FakeCache cache({.observer = &observer, .max_batch_keys = 30});
  std::vector<std::string> keys = Numbered(100);
  for (const std::string& key : keys) ASSERT_TRUE(cache.Set(key, "there").ok());
  WarmJob::Options options;
  options.keys = [&] { return keys; };
  const auto job =
      WarmJob::For<std::string>(cache, std::move(options), [](const std::string&) { return std::string("?"); });
  EXPECT_EQ((*job)->RunOnce()->skipped, 100);
  EXPECT_EQ(cache.calls().gets, 0);
  EXPECT_EQ(cache.calls().batch_gets, 7);  // of 100, twice 50, four times 25

  keys[50] = std::string(513, 'k');
  const absl::StatusOr<Progress> progress = (*job)->RunOnce();
  EXPECT_EQ(progress->skipped, 99);
  EXPECT_EQ(progress->failed, 1);
  EXPECT_EQ(progress->failures.at(0).index, 50);
  EXPECT_EQ(progress->failures.at(0).status, absl::InvalidArgumentError("key: 513 bytes, the limit is 512"));
  EXPECT_EQ(cache.calls().gets, 0);
  EXPECT_EQ(observer.reads(), (std::vector<int>{0, 0, 0, 1})) << "the run's own looks are not told";
}

TEST_F(WarmJobTest, TakesTheKeysInAnotherOrderEachRun) {
  std::vector<std::string> first, second;
  for (std::vector<std::string>* order : {&first, &second}) {
    WarmJob::Options options = OptionsFor(Numbered(90));
    options.concurrency = 1;
    const auto job = Job(std::move(options), [&](const std::string& key) {
      order->push_back(key);
      return key;
    });
    EXPECT_EQ(job->RunOnce()->loaded, 90);
    ASSERT_TRUE(cache_.Invalidate({.all = true}).ok());
  }
  EXPECT_NE(first, second);
  std::sort(first.begin(), first.end());
  std::sort(second.begin(), second.end());
  EXPECT_EQ(first, second);
}

// Starts so many threads and no more.
internal::ThreadStarter Starter(int threads) {
  return [left = std::make_shared<std::atomic<int>>(threads)](std::function<void()> work) {
    return (*left)-- > 0 ? internal::StartThread(std::move(work)) : std::thread();
  };
}

TEST_F(WarmJobTest, MakesDoWithTheThreadsThatThereAre) {
  const SystemClock clock;
  const WarmJob::Options options = OptionsFor(Numbered(5));
  const internal::WarmLoad load = [](const std::string&, const Ttl&, milliseconds, const LoadOptions& how) {
    how.report->source = LoadReport::Source::kLoader;
    how.report->stored = true;
    return true;
  };
  internal::WarmRun some(&cache_, &options, &load, &clock, Starter(2));
  EXPECT_EQ(some.Run()->loaded, 5);
  internal::WarmRun none(&cache_, &options, &load, &clock, Starter(0));
  EXPECT_EQ(none.Run().status(), absl::ResourceExhaustedError("no thread could be started"));
}

TEST_F(WarmJobTest, ASchedulesThreadThatIsNotToBeHadIsToldAndMayBeTriedAgain) {
  const SystemClock clock;
  WarmJob::Options options = OptionsFor({});
  std::vector<absl::Status> ended;
  options.ended = [&](const absl::StatusOr<Progress>& progress) { ended.push_back(progress.status()); };
  int attempts = 0;
  internal::WarmSchedule schedule(&cache_, options, {}, &clock, [&](std::function<void()>) {
    ++attempts;
    return std::thread();
  });
  schedule.Start();
  schedule.Start();
  EXPECT_EQ(attempts, 2);
  const absl::Status told = absl::ResourceExhaustedError("warm job 'catalogue': no thread could be started");
  EXPECT_EQ(ended, std::vector<absl::Status>({told, told}));
  schedule.Stop();
}

// A schedule of one run is over when `ended` is told.
TEST_F(WarmJobTest, AStartAtTheEndOfTheOnlyRunIsNotLost) {
  WarmJob::Options options = OptionsFor(Numbered(1));
  WarmJob* self = nullptr;
  std::future<void> again;
  std::atomic<int> runs{0};
  options.ended = [&](const absl::StatusOr<Progress>&) {
    if (++runs > 1) return;
    again = std::async(std::launch::async, [&] { self->Start(); });
    // Returns at once if it is lost; otherwise it waits for this run's end.
    EXPECT_EQ(again.wait_for(milliseconds(50)), std::future_status::timeout);
  };
  const auto job = Job(std::move(options), [](const std::string& key) { return key; });
  self = job.get();
  job->Start();
  EXPECT_TRUE(Eventually([&] { return runs == 2; }));
  again.wait();
}

TEST_F(WarmJobTest, CountsLoadersThatFailAndCachesNothingOfThem) {
  const auto load = [](const std::string& key) -> absl::StatusOr<std::string> {
    if (key == "k7") throw std::runtime_error("it broke");
    if (key.back() == '0') return key;
    return absl::UnavailableError("the database is away");
  };
  absl::StatusOr<Progress> progress = Job(OptionsFor(Numbered(300)), load)->RunOnce();
  ASSERT_TRUE(progress.ok()) << progress.status();
  EXPECT_EQ(progress->loaded, 30);
  EXPECT_EQ(progress->failed, 270);
  EXPECT_EQ(cache_.size(), 30u);
  EXPECT_EQ(progress->failures.size(), WarmJob::kMaxFailures);

  // Few enough for all of them to be told.
  progress = Job(OptionsFor(Numbered(100)), load)->RunOnce();
  ASSERT_TRUE(progress.ok()) << progress.status();
  EXPECT_EQ(progress->failures.size(), 90u);
  const auto thrown = std::find_if(progress->failures.begin(), progress->failures.end(),
                                   [](const WarmFailure& failure) { return failure.key == "k7"; });
  ASSERT_NE(thrown, progress->failures.end());
  EXPECT_EQ(thrown->index, 7);
  EXPECT_EQ(thrown->status, absl::InternalError("the loader threw: it broke"));
}

TEST_F(WarmJobTest, CountsAbsencesAndCachesThemIfTold) {
  const auto load = [](const std::string& key) -> std::optional<std::string> {
    if (key == "k1") return std::nullopt;
    return key;
  };
  WarmJob::Options options = OptionsFor(Numbered(2));
  auto job = WarmJob::For<std::optional<std::string>>(cache_, options, load);
  absl::StatusOr<Progress> progress = (*job)->RunOnce();
  EXPECT_EQ(progress->loaded, 1);
  EXPECT_EQ(progress->absent, 1);
  EXPECT_FALSE(cache_.Contains("k1"));

  options.absent_ttl = std::chrono::minutes(1);
  job = WarmJob::For<std::optional<std::string>>(cache_, options, load);
  EXPECT_EQ((*job)->RunOnce()->absent, 1);
  EXPECT_TRUE(cache_.Contains("k1"));
  EXPECT_EQ((*job)->RunOnce()->skipped, 2);
}

TEST_F(WarmJobTest, DoesNotFillWhatWasInvalidatedMeanwhile) {
  const auto job = Job(OptionsFor(Numbered(1)), [&](const std::string& key) {
    EXPECT_TRUE(cache_.Invalidate({.keys = {key}}).ok());
    return std::string("of before");
  });
  const absl::StatusOr<Progress> progress = job->RunOnce();
  EXPECT_EQ(progress->loaded, 0);
  EXPECT_EQ(progress->skipped, 1);
  EXPECT_FALSE(cache_.Contains("k0"));
}

TEST_F(WarmJobTest, GivesUpWhenTheCacheIsOutOfReach) {
  WarmJob::Options options = OptionsFor(Numbered(300));
  options.concurrency = 1;
  options.give_up_after = 5;
  std::optional<Progress> last;
  options.progress = [&](const Progress& progress) { last = progress; };
  const auto job = Job(std::move(options), [&](const std::string& key) {
    ++loads_;
    return key;
  });
  cache_.SetDown(true);
  const absl::Status status = job->RunOnce().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(std::string(status.message()).starts_with("warm job 'catalogue': ")) << status;
  EXPECT_EQ(loads_, 5);
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->failed, 5);

  cache_.SetDown(false);
  EXPECT_EQ(job->RunOnce()->loaded, 300);
}

TEST_F(WarmJobTest, FailuresOfTheCacheThatAreNotInARowEndNothing) {
  WarmJob::Options options = OptionsFor(Numbered(20));
  options.concurrency = 1;
  options.give_up_after = 2;
  const auto job = Job(std::move(options), [&](const std::string& key) {
    if (loads_++ % 2 == 0) cache_.FailNext(absl::UnavailableError("away"));  // the write of this value
    return key;
  });
  const absl::StatusOr<Progress> progress = job->RunOnce();
  ASSERT_TRUE(progress.ok()) << progress.status();
  EXPECT_EQ(progress->failed, 10);
  EXPECT_EQ(progress->loaded, 10);
  EXPECT_EQ(progress->failures.front().status, absl::UnavailableError("away"));
}

TEST_F(WarmJobTest, EndsWithTheStatusOfTheKeys) {
  WarmJob::Options options = OptionsFor({});
  options.keys = [] { return absl::NotFoundError("no such table"); };
  std::optional<absl::Status> ended;
  options.ended = [&](const absl::StatusOr<Progress>& progress) { ended = progress.status(); };
  const auto load = [](const std::string& key) { return key; };
  EXPECT_EQ(Job(options, load)->RunOnce().status(), absl::NotFoundError("warm job 'catalogue': no such table"));
  EXPECT_EQ(ended, absl::NotFoundError("warm job 'catalogue': no such table"));
  options.keys = []() -> std::vector<std::string> { throw std::runtime_error("it broke"); };
  EXPECT_EQ(Job(options, load)->RunOnce().status(),
            absl::InternalError("warm job 'catalogue': what names the keys threw: it broke"));
  options.keys = [] { return std::vector<std::string>(); };
  EXPECT_EQ(Job(options, load)->RunOnce()->total, 0);
}

TEST_F(WarmJobTest, RunsAsManyLoadersAtATimeAsItIsTold) {
  WarmJob::Options options = OptionsFor(Numbered(12));
  options.concurrency = 3;
  std::barrier together(3);
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  const auto job = Job(std::move(options), [&](const std::string& key) {
    const int now = ++running;
    for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
    }
    together.arrive_and_wait();
    --running;
    together.arrive_and_wait();
    return key;
  });
  EXPECT_EQ(job->RunOnce()->loaded, 12);
  EXPECT_EQ(most, 3);
}

TEST_F(WarmJobTest, RefusesOptionsThatMakeNoSense) {
  const auto refusal = [&](auto change) {
    WarmJob::Options options = OptionsFor({});
    change(&options);
    return WarmJob::For<std::string>(cache_, options, [](const std::string& key) { return key; }).status();
  };
  const auto wrong = [](std::string_view what) {
    return absl::InvalidArgumentError("warm job 'catalogue': " + std::string(what));
  };
  using Options = WarmJob::Options;
  EXPECT_EQ(refusal([](Options* o) { o->keys = nullptr; }), wrong("keys: is not given"));
  EXPECT_EQ(refusal([](Options* o) { o->concurrency = 0; }), wrong("concurrency: 0 is not from 1 to 64"));
  EXPECT_EQ(refusal([](Options* o) { o->concurrency = 65; }), wrong("concurrency: 65 is not from 1 to 64"));
  EXPECT_EQ(refusal([](Options* o) { o->max_per_second = -1; }),
            wrong("max_per_second: -1 is neither 0 nor at least 0.001"));
  EXPECT_EQ(refusal([](Options* o) { o->max_per_second = std::nan(""); }),
            wrong("max_per_second: nan is neither 0 nor at least 0.001"));
  EXPECT_EQ(refusal([](Options* o) { o->give_up_after = 0; }), wrong("give_up_after: 0 is less than 1"));
  EXPECT_EQ(refusal([](Options* o) { o->every = milliseconds(-1); }),
            wrong("every: -1 ms is not from 0 to 31622400000 ms"));
  EXPECT_EQ(refusal([](Options* o) { o->deadline = milliseconds(-1); }),
            wrong("deadline: -1 ms, must be 1 to 86400000 ms"));
}

TEST_F(WarmJobTest, ARunExcludesAnother) {
  WarmJob* self = nullptr;
  const auto job = Job(OptionsFor(Numbered(1)), [&](const std::string& key) {
    EXPECT_EQ(self->RunOnce().status(), absl::FailedPreconditionError("warm job 'catalogue': a run is under way"));
    return key;
  });
  self = job.get();
  EXPECT_EQ(job->RunOnce()->loaded, 1);
}

TEST_F(WarmJobTest, StopEndsARunBetweenKeys) {
  WarmJob::Options options = OptionsFor(Numbered(50));
  options.max_per_second = 0.001;  // the second one would be loaded in a quarter of an hour
  std::latch loaded(1);
  const auto job = Job(std::move(options), [&](const std::string& key) {
    ++loads_;
    loaded.count_down();
    return key;
  });
  std::future<absl::StatusOr<Progress>> run = std::async(std::launch::async, [&] { return job->RunOnce(); });
  loaded.wait();
  job->Stop();
  EXPECT_EQ(run.get().status(), absl::CancelledError("warm job 'catalogue': the job was stopped"));
  EXPECT_EQ(loads_, 1);
}

TEST_F(WarmJobTest, RepeatsItselfUntilItIsStopped) {
  WarmJob::Options options = OptionsFor(Numbered(1));
  options.every = milliseconds(1);
  std::atomic<int> runs{0};
  std::promise<void> thrice;
  options.ended = [&](const absl::StatusOr<Progress>&) {
    if (++runs == 3) thrice.set_value();
  };
  const auto job = Job(std::move(options), [](const std::string& key) { return key; });
  job->Start();
  job->Start();
  thrice.get_future().wait();
  job->Stop();
  const int stopped_after = runs;
  EXPECT_EQ(job->RunOnce()->skipped, 1);  // a stopped job can still be run
  EXPECT_EQ(runs, stopped_after + 1);
}

TEST_F(WarmJobTest, StopDoesNotWaitForTheNextRun) {
  WarmJob::Options options = OptionsFor(Numbered(1));
  options.every = std::chrono::hours(1);
  std::atomic<int> runs{0};
  options.ended = [&](const absl::StatusOr<Progress>&) {
    ++runs;
    runs.notify_all();
  };
  const auto job = Job(std::move(options), [](const std::string& key) { return key; });
  for (int started = 1; started <= 3; ++started) {
    job->Start();
    runs.wait(started - 1);
    job->Stop();
    EXPECT_EQ(runs, started);
  }
}

TEST_F(WarmJobTest, RunsOnceOnAThreadOfItsOwnWithoutAnInterval) {
  WarmJob::Options options = OptionsFor(Numbered(1));
  std::promise<Progress> ended;
  options.ended = [&](const absl::StatusOr<Progress>& progress) { ended.set_value(*progress); };
  const auto job = Job(std::move(options), [](const std::string& key) { return key; });
  job->Start();
  EXPECT_EQ(ended.get_future().get().loaded, 1);
}

TEST_F(WarmJobTest, ReportsWhileItRuns) {
  ManualClock clock;
  WarmJob::Options options = OptionsFor(Numbered(2));
  options.concurrency = 1;
  std::vector<Progress> reports;
  std::latch reported(1);
  options.progress = [&](const Progress& progress) {
    reports.push_back(progress);
    if (reports.size() == 1) reported.count_down();
  };
  const internal::WarmLoad load = [&](const std::string&, const Ttl&, milliseconds, const LoadOptions& how) {
    if (++loads_ == 2) {
      clock.Advance(150 * kNanosPerMilli);
      reported.wait();
    }
    how.report->source = LoadReport::Source::kLoader;
    how.report->stored = true;
    return true;
  };
  internal::WarmRun run(&cache_, &options, &load, &clock);
  ASSERT_TRUE(run.Run().ok());
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_EQ(reports[0].loaded, 1);
  EXPECT_EQ(reports[0].elapsed, milliseconds(150));
  EXPECT_EQ(reports[1].loaded, 2);
  EXPECT_EQ(reports[1].total, 2);
}

TEST(PaceTest, SpreadsStartsEvenly) {
  internal::Pace pace(4);
  EXPECT_EQ(pace.Take(kNanosPerSecond), kNanosPerSecond);
  EXPECT_EQ(pace.Take(kNanosPerSecond), kNanosPerSecond + 250 * kNanosPerMilli);
  EXPECT_EQ(pace.Take(kNanosPerSecond), kNanosPerSecond + 500 * kNanosPerMilli);
  // What was left out is not made up for.
  EXPECT_EQ(pace.Take(9 * kNanosPerSecond), 9 * kNanosPerSecond);
  EXPECT_EQ(pace.Take(9 * kNanosPerSecond), 9 * kNanosPerSecond + 250 * kNanosPerMilli);
}

TEST(PaceTest, WithoutALimitEveryStartIsNow) {
  internal::Pace pace(0);
  EXPECT_EQ(pace.Take(5), 5);
  EXPECT_EQ(pace.Take(5), 5);
}

}  // namespace
}  // namespace larder
