#include <atomic>
#include <chrono>
#include <latch>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "larder/cache.h"
#include "larder/testing/fake_cache.h"
#include "tests/support/eventually.h"
#include "tests/unit/client/held_cache.h"
#include "tests/unit/client/recording_observer.h"

namespace larder {

// A type that is no string.
struct Number {
  int value = 0;
};

template <>
struct Codec<Number> {
  static std::string ContentType() { return "application/x-number"; }
  static absl::StatusOr<std::string> Encode(const Number& number) {
    if (number.value < 0) return absl::InvalidArgumentError("a number is not negative");
    return std::to_string(number.value);
  }
  static absl::StatusOr<Number> Decode(std::string_view bytes) {
    if (bytes.empty()) return absl::DataLossError("no digits");
    return Number{std::stoi(std::string(bytes))};
  }
};

namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using testing::FakeCache;
using Source = LoadReport::Source;
using Load = RecordingObserver::Load;

// What is cached, for all processes to see.
std::optional<std::string> Stored(Cache& cache, const std::string& key) {
  const absl::StatusOr<MaybeHit> hit = cache.Get(key);
  EXPECT_TRUE(hit.ok()) << hit.status();
  if (!hit.ok() || !hit->has_value()) return std::nullopt;
  return (*hit)->value.ToString();
}

// A GetOrLoad on a thread of its own, whose loader stops until it is let go.
class SlowLoad {
 public:
  SlowLoad(Cache& cache, std::string key, absl::StatusOr<std::string> loaded, LoadOptions options = {})
      : thread_([this, &cache, key, loaded, options]() mutable {
          options.report = &report_;
          result_ = cache.GetOrLoad<std::string>(
              key, minutes(1),
              [&] {
                loading_.count_down();
                go_on_.wait();
                return loaded;
              },
              options);
        }) {}
  ~SlowLoad() { static_cast<void>(Finish()); }

  void AwaitLoader() { loading_.wait(); }
  void LetGo() {
    let_go_ = true;
    go_on_.count_down();
  }
  // Lets it go and waits for its end.
  absl::StatusOr<std::string> Finish() {
    if (!let_go_) LetGo();
    return Join();
  }
  absl::StatusOr<std::string> Join() {
    if (thread_.joinable()) thread_.join();
    return result_;
  }
  const LoadReport& report() const { return report_; }

 private:
  bool let_go_ = false;
  std::latch loading_{1}, go_on_{1};
  LoadReport report_;
  absl::StatusOr<std::string> result_;
  std::thread thread_;
};

TEST(GetOrLoad, LoadsOnceAndThenReadsTheCache) {
  RecordingObserver observer;
  FakeCache cache({.observer = &observer});
  int loads = 0;
  LoadReport report;
  const auto get = [&] {
    return cache.GetOrLoad<Number>("k", minutes(2), [&] { return Number{++loads}; }, {.report = &report});
  };
  EXPECT_EQ(get()->value, 1);
  EXPECT_EQ(report.source, Source::kLoader);
  EXPECT_TRUE(report.read.ok());
  EXPECT_TRUE(report.write.ok());
  EXPECT_TRUE(report.stored);
  EXPECT_EQ((*cache.Get("k"))->value.content_type(), "application/x-number");
  EXPECT_EQ((*cache.Get("k"))->ttl, minutes(2));

  EXPECT_EQ(get()->value, 1);
  EXPECT_EQ(report.source, Source::kCache);
  EXPECT_FALSE(report.stored);
  cache.Advance(minutes(2));
  EXPECT_EQ(get()->value, 2);
  EXPECT_EQ(loads, 2);
  EXPECT_THAT(observer.loads(),
              ElementsAre(Load{"k", absl::StatusCode::kOk, false}, Load{"k", absl::StatusCode::kOk, false}));
  EXPECT_THAT(observer.reads(), ElementsAre(0, 3, 2, 0));
}

TEST(GetOrLoad, AFailureOfTheLoaderIsReturnedAndNotCached) {
  RecordingObserver observer;
  FakeCache cache({.observer = &observer});
  const absl::Status broken = absl::InternalError("the database is on fire");
  LoadReport report;
  EXPECT_EQ(cache
                .GetOrLoad<std::string>("k", minutes(1), [&]() -> absl::StatusOr<std::string> { return broken; },
                                        {.report = &report})
                .status(),
            broken);
  EXPECT_EQ(report.source, Source::kLoader);
  EXPECT_FALSE(report.stored);
  EXPECT_EQ(cache.calls().sets, 0);
  EXPECT_THAT(observer.loads(), ElementsAre(Load{"k", absl::StatusCode::kInternal, false}));
  EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), [] { return std::string("v"); }), "v");
}

TEST(GetOrLoad, AnExceptionOfTheLoaderBecomesAStatusAndEndsTheFlight) {
  FakeCache cache;
  EXPECT_EQ(
      cache.GetOrLoad<std::string>("k", minutes(1), []() -> std::string { throw std::runtime_error("no connection"); })
          .status(),
      absl::InternalError("the loader threw: no connection"));
  EXPECT_EQ(cache.GetOrLoad<std::string>("k", minutes(1), []() -> std::string { throw 7; }).status(),
            absl::InternalError("the loader threw what is no std::exception"));
  EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), [] { return std::string("v"); }, {.max_wait = {}}), "v");
}

TEST(GetOrLoad, AValueThatCannotBeEncodedIsAFailure) {
  FakeCache cache;
  EXPECT_EQ(cache.GetOrLoad<Number>("k", minutes(1), [] { return Number{-1}; }).status(),
            absl::InvalidArgumentError("a number is not negative"));
  EXPECT_EQ(cache.size(), 0u);
}

TEST(GetOrLoad, GoesOnWithoutTheService) {
  RecordingObserver observer;
  for (const bool failed_reads_are_misses : {true, false}) {
    FakeCache cache({.failed_reads_are_misses = failed_reads_are_misses, .observer = &observer});
    cache.SetDown(true);
    LoadReport report;
    EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), [] { return std::string("v"); }, {.report = &report}),
              "v");
    EXPECT_EQ(report.source, Source::kLoader);
    EXPECT_EQ(report.read, absl::UnavailableError("the fake service is down"));
    EXPECT_TRUE(report.write.ok());
    EXPECT_FALSE(report.stored);
    EXPECT_EQ(cache.calls().sets, 0) << "a cache that did not answer the read is not asked to store";
  }
  EXPECT_THAT(observer.reads(), ElementsAre(0, 0, 0, 2));
}

TEST(GetOrLoad, AReadPastItsDeadlineIsReportedAndNothingStored) {
  FakeCache cache;
  cache.FailNext(absl::DeadlineExceededError("250 ms are up"));
  LoadReport report;
  EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), [] { return std::string("v"); }, {.report = &report}), "v");
  EXPECT_EQ(report.read, absl::DeadlineExceededError("250 ms are up"));
  EXPECT_FALSE(cache.Contains("k"));
}

TEST(GetOrLoad, AWritePastItsDeadlineIsReported) {
  FakeCache cache;
  LoadReport report;
  const auto load = [&] {
    cache.FailNext(absl::DeadlineExceededError("250 ms are up"));
    return std::string("v");
  };
  EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), load, {.report = &report}), "v");
  EXPECT_TRUE(report.read.ok());
  EXPECT_EQ(report.write, absl::DeadlineExceededError("250 ms are up"));
  EXPECT_FALSE(report.stored);
}

TEST(GetOrLoad, AnOversizedValueIsReturnedAndTheRefusalReported) {
  FakeCache cache;
  const std::string large((size_t{1} << 20) + 1, 'v');
  LoadReport report;
  EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), [&] { return large; }, {.report = &report}), large);
  EXPECT_EQ(report.write, absl::InvalidArgumentError("value: 1048577 bytes, the limit is 1048576"));
  EXPECT_FALSE(report.stored);
  EXPECT_FALSE(cache.Contains("k"));
}

TEST(GetOrLoad, ADeadlineThatIsRefusedIsReportedAndTheValueReturned) {
  FakeCache cache;
  for (const milliseconds deadline : {milliseconds(-1), milliseconds::max()}) {
    LoadReport report;
    EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), [] { return std::string("v"); },
                                            {.deadline = deadline, .report = &report}),
              "v");
    EXPECT_EQ(report.read.code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(cache.size(), 0u);
}

TEST(GetOrLoad, AValueOfAnotherTypeIsLoadedAgainAndReplaced) {
  FakeCache cache;
  ASSERT_TRUE(cache.Set("k", "v", {.content_type = "text/plain"}).ok());
  LoadReport report;
  EXPECT_EQ(cache.GetOrLoad<Number>("k", minutes(1), [] { return Number{4}; }, {.report = &report})->value, 4);
  EXPECT_EQ(report.read,
            absl::FailedPreconditionError(R"(key "k": the cached value is "text/plain", not "application/x-number")"));
  EXPECT_EQ(report.source, Source::kLoader);
  EXPECT_TRUE(report.stored);
  EXPECT_EQ(Stored(cache, "k"), "4");

  ASSERT_TRUE(cache.Set("k", "", {.content_type = "application/x-number"}).ok());
  EXPECT_EQ(cache.GetOrLoad<Number>("k", minutes(1), [] { return Number{5}; }, {.report = &report})->value, 5);
  EXPECT_EQ(report.read, absl::FailedPreconditionError(
                             R"(key "k": the cached value is not a valid "application/x-number": no digits)"));
  EXPECT_EQ(Stored(cache, "k"), "5");
}

TEST(GetOrLoad, DoesNotOverwriteWhatAnotherProcessStoredMeanwhile) {
  HeldCache cache;
  LoadReport report;
  // Where nothing was, and where something of another type was.
  for (int round = 0; round < 2; ++round) {
    const auto load = [&] {
      EXPECT_FALSE(cache.elsewhere().Contains("k")) << "what was of no use is gone before its successor is loaded";
      EXPECT_TRUE(cache.elsewhere().Set("k", "theirs", {.content_type = "text/plain"}).ok());
      return Number{1};
    };
    EXPECT_EQ(cache.GetOrLoad<Number>("k", minutes(1), load, {.report = &report})->value, 1);
    EXPECT_TRUE(report.write.ok()) << report.write;
    EXPECT_FALSE(report.stored);
    EXPECT_EQ(Stored(cache, "k"), "theirs");
  }
  EXPECT_THAT(cache.sent(), ElementsAre("Get k", "Set k", "Get k", "Get k", "Invalidate k", "Get k", "Set k", "Get k"));
}

// COHERENCE E4, P2: that an entry of no use is still there says nothing of the invalidations of its successor's groups.
TEST(GetOrLoad, WhatIsOfNoUseIsReplacedWithALeaseOnly) {
  for (const bool absent : {false, true}) {
    for (const bool invalidated : {false, true}) {
      FakeCache cache;
      ASSERT_TRUE(cache.Set("k", "", {.content_type = absent ? "" : "text/plain", .absent = absent}).ok());
      LoadReport report;
      const auto load = [&] {
        if (invalidated) {
          EXPECT_TRUE(cache.Invalidate({.tags = {"t"}}).ok());
        }
        return Number{1};
      };
      EXPECT_EQ(cache.GetOrLoad<Number>("k", minutes(1), load, {.tags = {"t"}, .report = &report})->value, 1);
      EXPECT_EQ(report.stored, !invalidated);
      EXPECT_EQ(Stored(cache, "k"), invalidated ? std::nullopt : std::optional<std::string>("1"));
    }
  }
}

TEST(GetOrLoad, WhatIsOfNoUseIsNotReplacedWithoutALease) {
  HeldCache cache;
  ASSERT_TRUE(cache.elsewhere().Set("k", "theirs", {.content_type = "text/plain"}).ok());
  cache.Hold("Get answer");
  LoadReport report;
  std::thread loads([&] {
    EXPECT_EQ(cache.GetOrLoad<Number>("k", minutes(1), [] { return Number{1}; }, {.report = &report})->value, 1);
  });
  cache.AwaitHeld("Get answer");
  cache.elsewhere().FailNext(absl::UnavailableError("gone"));
  cache.Release("Get answer");
  loads.join();
  EXPECT_FALSE(report.stored);
  EXPECT_EQ(report.write, absl::UnavailableError("gone"));
  EXPECT_EQ(Stored(cache, "k"), "theirs");
}

TEST(GetOrLoad, WhatTookThePlaceOfWhatIsOfNoUseIsTaken) {
  HeldCache cache;
  ASSERT_TRUE(cache.elsewhere().Set("k", "text", {.content_type = "text/plain"}).ok());
  cache.Hold("Invalidate answer");
  LoadReport report;
  std::thread loads([&] {
    EXPECT_EQ(cache.GetOrLoad<Number>("k", minutes(1), [] { return Number{1}; }, {.report = &report})->value, 7);
  });
  cache.AwaitHeld("Invalidate answer");
  ASSERT_TRUE(cache.elsewhere().SetAs("k", Number{7}).ok());
  cache.Release("Invalidate answer");
  loads.join();
  EXPECT_EQ(report.source, Source::kCache);
  EXPECT_TRUE(report.read.ok()) << report.read;
}

TEST(GetOrLoad, AnAbsenceIsCachedOnPurposeOnly) {
  using MaybeNumber = std::optional<Number>;
  FakeCache cache;
  int loads = 0;
  const auto get = [&](const LoadOptions& options) {
    const absl::StatusOr<MaybeNumber> got = cache.GetOrLoad<MaybeNumber>(
        "k", minutes(5),
        [&]() -> MaybeNumber {
          ++loads;
          return std::nullopt;
        },
        options);
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_FALSE(got->has_value());
  };
  LoadReport report;
  get({.report = &report});
  EXPECT_FALSE(report.stored);
  EXPECT_EQ(cache.size(), 0u);

  get({.absent_ttl = seconds(10), .report = &report});
  EXPECT_TRUE(report.stored);
  EXPECT_EQ(loads, 2);
  EXPECT_EQ((*cache.Get("k"))->ttl, seconds(10));
  EXPECT_TRUE((*cache.Get("k"))->absent);
  EXPECT_EQ((*cache.Get("k"))->value.size(), 0u);
  EXPECT_FALSE(cache.GetAs<Number>("k")->has_value());

  get({});
  EXPECT_EQ(loads, 2) << "known to be absent";
  cache.Advance(seconds(10));
  get({});
  EXPECT_EQ(loads, 3);
}

TEST(GetOrLoad, AnAbsenceIsAMissToATypeThatHasNone) {
  FakeCache cache;
  ASSERT_TRUE(cache.Set("k", "", {.absent = true}).ok());
  LoadReport report;
  EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), [] { return std::string("v"); }, {.report = &report}), "v");
  EXPECT_TRUE(report.read.ok()) << report.read;
  EXPECT_TRUE(report.stored);
  EXPECT_EQ(Stored(cache, "k"), "v");
}

TEST(GetOrLoad, AStaleHitAtHandIsNotUsed) {
  HeldCache cache;
  cache.PutAtHand("k", {.value = Value("old"), .freshness = Freshness::kStale});  // as no cache does
  EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), [] { return std::string("new"); }), "new");
  cache.PutAtHand("k", {.value = Value("fresh"), .tier = Tier::kClient});
  EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), [] { return std::string("new"); }), "fresh");
  EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), [] { return std::string("?"); }, {.near = false}), "new");
  EXPECT_FALSE(cache.last_get().near);
}

TEST(GetOrLoad, PassesOnNamespaceDeadlineAndTtl) {
  HeldCache cache({.name_space = "mine", .deadline = milliseconds(70)});
  ASSERT_TRUE(cache.GetOrLoad<std::string>("k", "static", [] { return std::string("v"); }).ok());
  EXPECT_EQ(cache.last_get().name_space, "mine");
  EXPECT_EQ(cache.last_get().deadline, milliseconds(70));
  EXPECT_EQ((*cache.elsewhere().Get("k", {.name_space = "mine"}))->ttl, minutes(60));
  const LoadOptions options{.name_space = "yours", .deadline = milliseconds(9)};
  ASSERT_TRUE(cache
                  .GetOrLoad<std::string>(
                      "k", {}, [] { return std::string("v"); }, options)
                  .ok());
  EXPECT_EQ(cache.last_get().deadline, milliseconds(9));
  EXPECT_TRUE(cache.elsewhere().Contains("k", "yours"));
}

// --- several callers
// --------------------------------------------------------------------------------------------------

TEST(GetOrLoadTogether, OneLoaderRunsAmong64Threads) {
  constexpr int kThreads = 64;
  FakeCache cache;
  std::latch arrived(kThreads);
  std::atomic<int> loads = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      arrived.count_down();
      const auto load = [&] {
        arrived.wait();
        return absl::StrCat("v", ++loads);
      };
      EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), load), "v1");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(loads, 1);
}

TEST(GetOrLoadTogether, OneLoaderRunsThoughTheCacheIsDead) {
  FakeCache cache;
  cache.SetDown(true);
  SlowLoad first(cache, "k", std::string("v"));
  first.AwaitLoader();
  const auto second =
      cache.GetOrLoad<std::string>("k", minutes(1), [] { return std::string("?"); }, {.max_wait = milliseconds(1)});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kDeadlineExceeded) << "it waited for the other's loader";
  EXPECT_EQ(cache.calls().gets, 1);
  EXPECT_EQ(*first.Finish(), "v");
}

TEST(GetOrLoadTogether, ThoseWhoWaitGetTheValueWhileItIsBeingStored) {
  RecordingObserver observer;
  HeldCache cache({.observer = &observer});
  cache.Hold("Set");
  SlowLoad first(cache, "k", std::string("v"));
  first.LetGo();
  cache.AwaitHeld("Set");
  LoadReport report;
  EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), [] { return std::string("?"); }, {.report = &report}), "v");
  EXPECT_EQ(report.source, Source::kJoined);
  EXPECT_FALSE(report.stored);
  cache.Release("Set");
  EXPECT_EQ(*first.Join(), "v");
  EXPECT_EQ(first.report().source, Source::kLoader);
  EXPECT_TRUE(first.report().stored);
  EXPECT_THAT(observer.loads(),
              ElementsAre(Load{"k", absl::StatusCode::kOk, false}, Load{"k", absl::StatusCode::kOk, true}));
  EXPECT_THAT(observer.reads(), ElementsAre(0, 0, 2, 0));
}

TEST(GetOrLoadTogether, AWaitHasAnEnd) {
  RecordingObserver observer;
  FakeCache cache({.observer = &observer});
  SlowLoad first(cache, "k\n", std::string("v"));
  first.AwaitLoader();
  LoadReport report;
  const LoadOptions options{.max_wait = milliseconds(3), .report = &report};
  EXPECT_EQ(cache
                .GetOrLoad<std::string>(
                    "k\n", minutes(1), [] { return std::string("?"); }, options)
                .status(),
            absl::DeadlineExceededError(R"(key "k\n": another caller's loader did not end within 3 ms)"));
  EXPECT_EQ(report.source, Source::kJoined);
  EXPECT_EQ(*first.Finish(), "v");
  EXPECT_THAT(observer.loads(), ElementsAre(Load{"k\n", absl::StatusCode::kDeadlineExceeded, true},
                                            Load{"k\n", absl::StatusCode::kOk, false}));
}

// COHERENCE W5.
TEST(GetOrLoadTogether, NobodyJoinsALoadWhoseLeaseHasEnded) {
  FakeCache cache({.lease = milliseconds(5)});
  SlowLoad first(cache, "k", std::string("old"));
  first.AwaitLoader();
  cache.Advance(milliseconds(5));
  const auto ended = std::chrono::steady_clock::now() + milliseconds(5);
  ASSERT_TRUE(Eventually([&] { return std::chrono::steady_clock::now() > ended; }));
  EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), [] { return std::string("new"); }), "new");
  EXPECT_EQ(*first.Finish(), "old");
  EXPECT_FALSE(first.report().stored);
  EXPECT_EQ(Stored(cache, "k"), "new");
}

TEST(GetOrLoadTogether, AFailureReachesAllWhoWait) {
  constexpr int kThreads = 8;
  RecordingObserver observer;
  FakeCache cache({.observer = &observer});
  std::latch arrived(kThreads);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      arrived.count_down();
      const auto load = [&]() -> absl::StatusOr<std::string> {
        arrived.wait();
        return absl::NotFoundError("no such user");
      };
      EXPECT_EQ(cache.GetOrLoad<std::string>("k", minutes(1), load).status(), absl::NotFoundError("no such user"));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(observer.loads().size(), size_t{kThreads});
  for (const Load& load : observer.loads()) EXPECT_EQ(load.code, absl::StatusCode::kNotFound);
  EXPECT_EQ(cache.size(), 0u);
}

// Calls that have no key in common: none may be given another's value.
TEST(GetOrLoadTogether, CallsOfRefusedKeysShareNothing) {
  const std::pair<std::string, std::string> kinds[] = {{"", "key: empty, must be 1 to 512 bytes"},
                                                       {std::string(513, 'k'), "key: 513 bytes, the limit is 512"}};
  for (const auto& [key, message] : kinds) {
    RecordingObserver observer;
    FakeCache cache({.observer = &observer});
    SlowLoad ada(cache, key, std::string("ada's"));
    ada.AwaitLoader();
    LoadReport report;
    EXPECT_EQ(*cache.GetOrLoad<std::string>(key, minutes(1), [] { return std::string("bob's"); }, {.report = &report}),
              "bob's");
    EXPECT_EQ(*ada.Finish(), "ada's");
    EXPECT_EQ(report.source, Source::kLoader);
    EXPECT_EQ(report.read, absl::InvalidArgumentError(message));
    EXPECT_EQ(ada.report().read, report.read);
    EXPECT_FALSE(report.stored);
    EXPECT_THAT(observer.reads(), ElementsAre(0, 0, 0, 2));
    EXPECT_EQ(observer.loads().size(), 2u);
  }
}

// The flight that is under way may have read, or be loading, what another process replaced before the second call.
TEST(GetOrLoadTogether, AReadOfTheStoreItselfJoinsNobody) {
  for (const bool first_near : {true, false}) {
    HeldCache cache;
    SlowLoad early(cache, "k", std::string("old"), {.near = first_near});
    early.AwaitLoader();
    ASSERT_TRUE(cache.elsewhere().Set("k", "theirs").ok());
    const LoadOptions strict{.near = false, .max_wait = {}};
    EXPECT_EQ(*cache.GetOrLoad<std::string>(
                  "k", minutes(1), [] { return std::string("?"); }, strict),
              "theirs");
    EXPECT_EQ(*early.Finish(), "old");
    EXPECT_EQ(Stored(cache, "k"), "theirs");
  }
}

// ... or nothing would be stored while such calls overlap.
TEST(GetOrLoadTogether, WhoLoadsAloneMayStore) {
  FakeCache cache;
  SlowLoad first(cache, "k", std::string("v"), {.near = false});
  first.AwaitLoader();
  SlowLoad second(cache, "k", std::string("w"), {.near = false});
  second.AwaitLoader();
  EXPECT_EQ(*first.Finish(), "v");
  EXPECT_TRUE(first.report().stored);
  EXPECT_EQ(*second.Finish(), "w");
  EXPECT_FALSE(second.report().stored);
  EXPECT_EQ(Stored(cache, "k"), "v");
}

TEST(GetOrLoadTogether, AnotherTypeIsLoadedAnewAndReplacesTheFirst) {
  HeldCache cache;
  cache.Hold("Set answer");
  SlowLoad first(cache, "k", std::string("v"));
  first.LetGo();
  cache.AwaitHeld("Set answer");
  LoadReport report;
  std::thread second([&] {
    EXPECT_EQ(cache.GetOrLoad<Number>("k", minutes(1), [] { return Number{4}; }, {.report = &report})->value, 4);
  });
  // The first flight is still there, so the second caller has joined it, and did not want what it got.
  EXPECT_TRUE(Eventually([&] { return cache.sent().size() == 6; }));
  cache.Release("Set answer");
  second.join();
  EXPECT_EQ(*first.Join(), "v");
  EXPECT_TRUE(report.stored);
  EXPECT_EQ(report.source, Source::kLoader);
  EXPECT_THAT(cache.sent(), ElementsAre("Get k", "Set k", "Get k", "Invalidate k", "Get k", "Set k"));
  EXPECT_EQ(Stored(cache, "k"), "4");
}

// --- writes meanwhile: the three rules of flights.h -----------------------------------------------------------------

TEST(GetOrLoadAndWrites, WhatWasLoadingAtAnInvalidationIsReturnedButNotStored) {
  const std::vector<Invalidation> kinds = {{.keys = {"k"}}, {.all = true}};
  for (const Invalidation& kind : kinds) {
    FakeCache cache;
    SlowLoad load(cache, "k", std::string("old"));
    load.AwaitLoader();
    ASSERT_TRUE(cache.Invalidate(kind).ok());
    EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), [] { return std::string("new"); }), "new")
        << "nobody joins it";
    EXPECT_EQ(*load.Finish(), "old");
    EXPECT_FALSE(load.report().stored);
    EXPECT_TRUE(load.report().write.ok());
    EXPECT_EQ(Stored(cache, "k"), "new");
    EXPECT_EQ(cache.calls().sets, 1);
  }
}

TEST(GetOrLoadAndWrites, WhatWasLoadingAtASetIsNotStoredEvenAfterTheEntryWentAway) {
  FakeCache cache;
  SlowLoad one(cache, "a", std::string("old"));
  SlowLoad many(cache, "b", std::string("old"));
  one.AwaitLoader();
  many.AwaitLoader();
  ASSERT_TRUE(cache.Set("a", "new", {.ttl = seconds(1)}).ok());
  ASSERT_TRUE(cache.BatchSet({{.key = "x"}, {.key = "b", .value = "new", .ttl = seconds(1)}}).ok());
  cache.Advance(seconds(2));
  EXPECT_EQ(*one.Finish(), "old");
  EXPECT_EQ(*many.Finish(), "old");
  EXPECT_FALSE(cache.Contains("a"));
  EXPECT_FALSE(cache.Contains("b"));
}

TEST(GetOrLoadAndWrites, WritesOfOtherKeysDisturbNothing) {
  FakeCache cache({.name_spaces = {"other"}});
  SlowLoad load(cache, "k", std::string("v"));
  load.AwaitLoader();
  ASSERT_TRUE(cache.Set("other", "v").ok());
  ASSERT_TRUE(cache.Invalidate({.all = true}, {.name_space = "other"}).ok());
  EXPECT_EQ(*load.Finish(), "v");
  EXPECT_TRUE(load.report().stored);
}

TEST(GetOrLoadAndWrites, AnInvalidationIsSentOnlyWhenTheFillUnderWayHasEnded) {
  HeldCache cache;
  cache.Hold("Set");
  SlowLoad load(cache, "k", std::string("old"));
  load.LetGo();
  cache.AwaitHeld("Set");
  std::latch acknowledged(1);
  cache.InvalidateAsync({.keys = {"k"}}, {}, [&](absl::StatusOr<InvalidateResult> result) {
    EXPECT_TRUE(result.ok());
    acknowledged.count_down();
  });
  EXPECT_THAT(cache.sent(), ElementsAre("Get k"));
  cache.Release("Set");
  acknowledged.wait();
  EXPECT_THAT(cache.sent(), ElementsAre("Get k", "Set k", "Invalidate k"));
  EXPECT_EQ(*load.Join(), "old");
  EXPECT_EQ(Stored(cache, "k"), std::nullopt);
}

TEST(GetOrLoadAndWrites, ASetIsNotOvertakenByAFill) {
  HeldCache cache;
  cache.Hold("Set");
  SlowLoad load(cache, "k", std::string("old"));
  load.LetGo();
  cache.AwaitHeld("Set");
  std::latch acknowledged(1);
  cache.SetAsync("k", "new", {}, [&](absl::StatusOr<SetResult> result) {
    EXPECT_TRUE(result.ok());
    acknowledged.count_down();
  });
  cache.Release("Set");
  acknowledged.wait();
  EXPECT_EQ(Stored(cache, "k"), "new");
  EXPECT_EQ(*load.Join(), "old");
}

TEST(GetOrLoadAndWrites, NobodyJoinsAfterwardsWhoseReadWasBeforeTheInvalidationLanded) {
  HeldCache cache;
  ASSERT_TRUE(cache.elsewhere().Set("k", "old").ok());
  cache.Hold("Invalidate");
  std::latch acknowledged(1);
  cache.InvalidateAsync({.keys = {"k"}}, {}, [&](absl::StatusOr<InvalidateResult>) { acknowledged.count_down(); });
  // Begins after the invalidation did, reads before it has landed, and its answer takes its time.
  cache.Hold("Get answer");
  SlowLoad early(cache, "k", std::string("?"));
  cache.AwaitHeld("Get answer");
  cache.Release("Invalidate");
  acknowledged.wait();

  absl::StatusOr<std::string> later;
  std::thread late([&] { later = cache.GetOrLoad<std::string>("k", minutes(1), [] { return std::string("new"); }); });
  // Its own read sets out, rather than that it waits for the other's.
  EXPECT_TRUE(Eventually([&] { return cache.sent().size() == 3; }));
  cache.Release("Get answer");
  late.join();
  EXPECT_EQ(*later, "new");
  EXPECT_EQ(*early.Finish(), "old") << "concurrent with the invalidation";
  EXPECT_EQ(Stored(cache, "k"), "new");
}

TEST(GetOrLoadAndWrites, AnInvalidationFromWithinTheLoaderDoesNotWaitForIt) {
  FakeCache cache;
  LoadReport report;
  const auto load = [&] {
    EXPECT_TRUE(cache.Invalidate({.keys = {"k"}}).ok());
    return std::string("v");
  };
  EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), load, {.report = &report}), "v");
  EXPECT_FALSE(report.stored);
}

// An invalidation by key that returned must hold against loads of all threads: the value is the one that stood when
// the load began or a later one.
TEST(GetOrLoadAndWrites, NoThreadReadsBehindItsOwnInvalidation) {
  constexpr int kThreads = 4, kRounds = 300;
  FakeCache cache;
  std::atomic<int> truth = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        const int written = ++truth;
        EXPECT_TRUE(cache.Invalidate({.keys = {"k"}}).ok());
        const auto read = cache.GetOrLoad<Number>("k", minutes(1), [&] { return Number{truth.load()}; });
        ASSERT_TRUE(read.ok()) << read.status();
        EXPECT_GE(read->value, written);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace larder
