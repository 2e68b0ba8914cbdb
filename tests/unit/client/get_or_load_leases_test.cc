// GetOrLoad over leases: each outcome of the read, and what becomes of the lease.
#include <atomic>
#include <chrono>
#include <functional>
#include <latch>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "larder/cache.h"
#include "larder/testing/fake_cache.h"
#include "larder/v1/cache.pb.h"
#include "larder/warm_job.h"
#include "tests/support/eventually.h"
#include "tests/unit/client/held_cache.h"
#include "tests/unit/client/recording_observer.h"

namespace larder {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using testing::FakeCache;
using Source = LoadReport::Source;

const absl::Status kBroken = absl::InternalError("the database is on fire");

// An entry that is stale now and lives on for a minute.
void PutStale(FakeCache& cache, const std::string& value) {
  ASSERT_TRUE(cache.Set("k", value, {.ttl = milliseconds(1), .stale_for = minutes(1)}).ok());
  cache.Advance(milliseconds(1));
}

// What another process is given that reads the key just now and can load it.
LeasedRead ReadElsewhere(FakeCache& cache, const GetOptions& options = {}) {
  absl::StatusOr<LeasedRead> read = cache.GetOrLease("k", options);
  EXPECT_TRUE(read.ok()) << read.status();
  return read.ok() ? *std::move(read) : LeasedRead();
}

std::optional<std::string> Stored(Cache& cache) {
  const absl::StatusOr<MaybeHit> hit = cache.Get("k");
  EXPECT_TRUE(hit.ok()) << hit.status();
  if (!hit.ok() || !hit->has_value()) return std::nullopt;
  return (*hit)->value.ToString();
}

class Loads : public ::testing::Test {
 protected:
  absl::StatusOr<std::string> Load(Cache& cache, absl::StatusOr<std::string> loaded, LoadOptions options = {}) {
    options.report = &report_;
    return cache.GetOrLoad<std::string>(
        "k", minutes(2),
        [&] {
          ++loads_;
          return loaded;
        },
        options);
  }

  int loads_ = 0;
  LoadReport report_;
};

// --- what was read ---------------------------------------------------------------------------------------------------

TEST_F(Loads, AMissIsFilledWithItsLease) {
  FakeCache cache;
  EXPECT_EQ(*Load(cache, std::string("v")), "v");
  EXPECT_TRUE(report_.stored);
  const absl::StatusOr<ServiceStats> stats = cache.Stats();
  EXPECT_EQ((*stats)->total().leases(), 1);
  EXPECT_EQ((*stats)->total().fills(), 1) << "and not by a plain Set";
  EXPECT_EQ(cache.calls().releases, 0);
}

TEST_F(Loads, AStaleValueWithoutALeaseIsUsed) {
  FakeCache cache;
  PutStale(cache, "old");
  ASSERT_TRUE(ReadElsewhere(cache).lease.has_value());
  EXPECT_EQ(*Load(cache, std::string("new")), "old");
  EXPECT_EQ(loads_, 0);
  EXPECT_EQ(report_.source, Source::kStale);
  EXPECT_TRUE(report_.load_error.ok());
}

TEST_F(Loads, AStaleValueWithALeaseIsLoadedAnew) {
  FakeCache cache;
  PutStale(cache, "old");
  EXPECT_EQ(*Load(cache, std::string("new")), "new");
  EXPECT_EQ(report_.source, Source::kLoader);
  EXPECT_TRUE(report_.stored);
  EXPECT_EQ(Stored(cache), "new");
  EXPECT_EQ((*cache.Get("k"))->ttl, minutes(2));
}

TEST_F(Loads, AFreshValueThatIsAboutToExpireIsLoadedAnewByOne) {
  FakeCache cache({.eager_refresh = 0.5});
  ASSERT_TRUE(cache.Set("k", "old", {.ttl = seconds(10)}).ok());
  EXPECT_EQ(*Load(cache, std::string("new")), "old");
  EXPECT_EQ(report_.source, Source::kCache);
  cache.Advance(seconds(5));
  const LeasedRead another = ReadElsewhere(cache);
  ASSERT_TRUE(another.lease.has_value());
  EXPECT_EQ(*Load(cache, std::string("new")), "old") << "that one is at it";
  ASSERT_TRUE(*cache.Release("k", another.lease->token));
  cache.Advance(seconds(1));
  EXPECT_EQ(*Load(cache, std::string("new")), "new");
  EXPECT_EQ(loads_, 1);
}

TEST_F(Loads, FreshOnlyTakesNoStaleValue) {
  FakeCache cache;
  PutStale(cache, "old");
  EXPECT_EQ(*Load(cache, std::string("new"), {.fresh_only = true}), "new");
  EXPECT_TRUE(report_.stored);

  PutStale(cache, "old");
  EXPECT_EQ(Load(cache, kBroken, {.fresh_only = true}).status(), kBroken);
  EXPECT_EQ(report_.source, Source::kLoader);
}

TEST_F(Loads, AMissThatWasWaitedForInVainIsFilledAsOfIt) {
  FakeCache cache;
  const LeasedRead another = ReadElsewhere(cache);
  ASSERT_TRUE(another.lease.has_value());
  EXPECT_EQ(*Load(cache, std::string("mine")), "mine");
  EXPECT_TRUE(report_.stored);
  EXPECT_EQ(cache.calls().gets, 3) << "one that waits for nobody, then one that waits";
  // The one that had the lease comes too late.
  const SetOptions late{.condition = Condition::Lease(another.lease->token)};
  EXPECT_EQ(cache.Set("k", "theirs", late).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Stored(cache), "mine");
}

TEST_F(Loads, WaitsForOthersForMaxWaitAndNoLonger) {
  HeldCache cache;
  ASSERT_TRUE(ReadElsewhere(cache.elsewhere()).lease.has_value());
  EXPECT_EQ(*Load(cache, std::string("v"), {.max_wait = minutes(7)}), "v");
  EXPECT_LE(cache.last_get().wait, minutes(7));
  EXPECT_GT(cache.last_get().wait, minutes(6));
  EXPECT_EQ(cache.last_get().deadline, milliseconds(250)) << "which the wait comes before";

  ASSERT_TRUE(cache.elsewhere().Invalidate({.keys = {"k"}}).ok());
  ASSERT_TRUE(ReadElsewhere(cache.elsewhere()).lease.has_value());
  EXPECT_EQ(*Load(cache, std::string("v"), {.max_wait = milliseconds(0)}), "v");
  EXPECT_EQ(cache.last_get().wait, milliseconds(0));
  EXPECT_THAT(cache.sent(), ElementsAre("Get k", "Get k", "Set k", "Get k", "Set k"));
}

TEST_F(Loads, WaitsForAllOthersTogetherForMaxWait) {
  HeldCache cache;
  ASSERT_TRUE(ReadElsewhere(cache.elsewhere()).lease.has_value());
  cache.Hold("Get");
  std::thread loads([&] { EXPECT_EQ(*Load(cache, std::string("v"), {.max_wait = minutes(7)}), "v"); });
  cache.AwaitHeld("Get");
  const auto later = std::chrono::steady_clock::now() + milliseconds(20);
  EXPECT_TRUE(Eventually([&] { return std::chrono::steady_clock::now() > later; }));
  cache.Release("Get");
  loads.join();
  EXPECT_LE(cache.last_get().wait, minutes(7) - milliseconds(20)) << "it counts from the call's start";
}

TEST_F(Loads, WhatOthersLoadedMeanwhileIsTaken) {
  HeldCache cache;
  const LeasedRead another = ReadElsewhere(cache.elsewhere());
  cache.Hold("Get");
  std::thread loads([&] { EXPECT_EQ(*Load(cache, std::string("mine")), "theirs"); });
  cache.AwaitHeld("Get");
  cache.Hold("Get answer");
  cache.Release("Get");
  cache.AwaitHeld("Get answer");  // a miss: somebody is at it
  cache.Hold("Get");
  cache.Release("Get answer");
  cache.AwaitHeld("Get");
  ASSERT_TRUE(cache.elsewhere().Set("k", "theirs", {.condition = Condition::Lease(another.lease->token)}).ok());
  cache.Release("Get");
  loads.join();
  EXPECT_EQ(loads_, 0);
  EXPECT_EQ(report_.source, Source::kCache);
}

TEST_F(Loads, WithoutAnAnswerToTheWaitNothingIsStored) {
  HeldCache cache;
  ASSERT_TRUE(ReadElsewhere(cache.elsewhere()).lease.has_value());
  cache.Hold("Get");
  std::thread loads([&] { EXPECT_EQ(*Load(cache, std::string("v")), "v"); });
  cache.AwaitHeld("Get");
  cache.Hold("Get answer");
  cache.Release("Get");
  cache.AwaitHeld("Get answer");
  cache.Hold("Get");
  cache.Release("Get answer");
  cache.AwaitHeld("Get");
  cache.elsewhere().FailNext(absl::UnavailableError("gone"));
  cache.Release("Get");
  loads.join();
  EXPECT_EQ(report_.read, absl::UnavailableError("gone"));
  EXPECT_FALSE(report_.stored);
  EXPECT_THAT(cache.sent(), ElementsAre("Get k", "Get k"));
}

// --- the loader fails ------------------------------------------------------------------------------------------------

TEST_F(Loads, AFailureGivesTheLeaseBack) {
  FakeCache cache;
  EXPECT_EQ(Load(cache, kBroken).status(), kBroken);
  EXPECT_EQ(cache.calls().releases, 1);
  EXPECT_TRUE(ReadElsewhere(cache).lease.has_value()) << "the next one may try at once";
}

TEST_F(Loads, AFailureReturnsTheStaleValueWhereThereIsOne) {
  FakeCache cache;
  PutStale(cache, "old");
  EXPECT_EQ(*Load(cache, kBroken), "old");
  EXPECT_EQ(loads_, 1);
  EXPECT_EQ(report_.source, Source::kStale);
  EXPECT_EQ(report_.load_error, kBroken);
  EXPECT_EQ(cache.calls().releases, 1);
  EXPECT_EQ(*Load(cache, kBroken), "old");
  EXPECT_EQ(loads_, 1) << "it is not tried again at once";
  EXPECT_TRUE(report_.load_error.ok());
  cache.Advance(seconds(1));
  EXPECT_EQ(*Load(cache, std::string("new")), "new");
  EXPECT_EQ(Stored(cache), "new");
}

TEST_F(Loads, AFailureReturnsTheFreshValueThatWasToBeRefreshed) {
  FakeCache cache({.eager_refresh = 0.5});
  ASSERT_TRUE(cache.Set("k", "old", {.ttl = seconds(10)}).ok());
  cache.Advance(seconds(5));
  EXPECT_EQ(*Load(cache, kBroken), "old");
  EXPECT_EQ(report_.source, Source::kCache);
  EXPECT_EQ(report_.load_error, kBroken);
}

// COHERENCE E5.
TEST_F(Loads, AFailureRevivesNothingThatAHardInvalidationKilled) {
  HeldCache cache;
  PutStale(cache.elsewhere(), "old");
  const auto load = [&]() -> absl::StatusOr<std::string> {
    EXPECT_TRUE(cache.elsewhere().Invalidate({.keys = {"k"}}).ok());
    return kBroken;
  };
  // This caller read it before; the next one does not find it.
  EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), load), "old");
  EXPECT_EQ(Load(cache, kBroken).status(), kBroken);
}

TEST_F(Loads, AValueThatIsRefusedGivesTheLeaseBack) {
  FakeCache cache({.max_value_bytes = 3});
  EXPECT_EQ(*Load(cache, std::string("large")), "large");
  EXPECT_EQ(report_.write, absl::InvalidArgumentError("value: 5 bytes, the limit is 3"));
  EXPECT_EQ(cache.calls().releases, 1);
}

TEST_F(Loads, AWriteOfUnknownOutcomeGivesNothingBack) {
  for (const absl::Status& failure : {absl::DeadlineExceededError("late"), absl::UnavailableError("gone")}) {
    FakeCache cache;
    const auto load = [&] {
      cache.FailNext(failure);
      return std::string("v");
    };
    EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), load, {.report = &report_}), "v");
    EXPECT_EQ(report_.write, failure);
    EXPECT_EQ(cache.calls().releases, 0);
  }
}

TEST_F(Loads, AFailureToGiveTheLeaseBackChangesNothing) {
  FakeCache cache;
  const auto load = [&]() -> absl::StatusOr<std::string> {
    cache.SetDown(true);
    return kBroken;
  };
  EXPECT_EQ(cache.GetOrLoad<std::string>("k", minutes(1), load, {.report = &report_}).status(), kBroken);
  cache.SetDown(false);
  EXPECT_FALSE(ReadElsewhere(cache).lease.has_value());
  cache.Advance(seconds(10));
  EXPECT_TRUE(ReadElsewhere(cache).lease.has_value()) << "it has ended by itself";
}

// --- an absence ------------------------------------------------------------------------------------------------------

TEST_F(Loads, AnAbsenceThatIsNotCachedGivesTheLeaseBack) {
  FakeCache cache;
  const auto none = []() -> std::optional<std::string> { return std::nullopt; };
  EXPECT_EQ(*cache.GetOrLoad<std::optional<std::string>>("k", minutes(1), none), std::nullopt);
  EXPECT_EQ(cache.calls().sets, 0);
  EXPECT_EQ(cache.calls().releases, 1);
}

TEST_F(Loads, AnAbsenceThatIsNotCachedDropsWhatWasThere) {
  FakeCache cache;
  PutStale(cache, "old");
  const auto none = []() -> std::optional<std::string> { return std::nullopt; };
  EXPECT_EQ(*cache.GetOrLoad<std::optional<std::string>>("k", minutes(1), none, {.report = &report_}), std::nullopt);
  EXPECT_TRUE(report_.write.ok());
  EXPECT_FALSE(report_.stored);
  const MaybeHit passing = *cache.Get("k");
  EXPECT_TRUE(!passing.has_value() || passing->absent);
  cache.Advance(milliseconds(1));
  EXPECT_FALSE(cache.Contains("k"));
}

TEST_F(Loads, AnAbsenceThatIsNotCachedDropsNothingThatWasStoredMeanwhile) {
  HeldCache cache;
  PutStale(cache.elsewhere(), "old");
  const auto none = [&]() -> std::optional<std::string> {
    EXPECT_TRUE(cache.elsewhere().Set("k", "newer").ok());
    return std::nullopt;
  };
  EXPECT_EQ(*cache.GetOrLoad<std::optional<std::string>>("k", minutes(1), none, {.report = &report_}), std::nullopt);
  EXPECT_TRUE(report_.write.ok()) << report_.write;
  EXPECT_FALSE(report_.stored);
  EXPECT_EQ(Stored(cache), "newer");
}

TEST_F(Loads, AnAbsenceReplacesAStaleValue) {
  FakeCache cache;
  PutStale(cache, "old");
  const auto none = []() -> std::optional<std::string> { return std::nullopt; };
  const LoadOptions options{.absent_ttl = seconds(10), .report = &report_};
  EXPECT_EQ(*cache.GetOrLoad<std::optional<std::string>>("k", minutes(1), none, options), std::nullopt);
  EXPECT_TRUE(report_.stored);
  EXPECT_TRUE((*cache.Get("k"))->absent);
}

// --- an entry that a warm-up finds due
// --------------------------------------------------------------------------------

class DueLoads : public Loads {
 protected:
  absl::StatusOr<WarmJob::Progress> Warm(Cache& cache, std::function<absl::StatusOr<std::string>()> load) {
    WarmJob::Options options;
    options.keys = [] { return std::vector<std::string>{"k"}; };
    options.tags = [](const std::string&) { return std::vector<std::string>{"t"}; };
    options.ttl = minutes(60);
    options.every = minutes(40);
    const auto job = WarmJob::For<std::string>(cache, std::move(options), [&](const std::string&) {
      ++loads_;
      return load();
    });
    EXPECT_TRUE(job.ok()) << job.status();
    return (*job)->RunOnce();
  }
};

TEST_F(DueLoads, IsServedAsStaleWhileItIsLoadedWithALease) {
  FakeCache cache;
  ASSERT_TRUE(cache.Set("k", "old", {.ttl = minutes(30)}).ok());
  const auto run = Warm(cache, [&] {
    const MaybeHit hit = *cache.Get("k");
    EXPECT_TRUE(hit.has_value() && hit->freshness == Freshness::kStale);
    return std::string("new");
  });
  EXPECT_EQ(run->loaded, 1);
  EXPECT_EQ(Stored(cache), "new");
  EXPECT_EQ((*cache.Get("k"))->freshness, Freshness::kFresh);
  EXPECT_EQ((*cache.Stats())->total().fills(), 1);

  EXPECT_EQ(Warm(cache, [] { return kBroken; })->skipped, 1);
  cache.Advance(minutes(30));
  EXPECT_EQ(Warm(cache, [] { return kBroken; })->failed, 1);
  EXPECT_EQ((*cache.Get("k"))->freshness, Freshness::kStale) << "it is there still";
}

// COHERENCE E4, P2.
TEST_F(DueLoads, WhatAGroupInvalidationMadeOldIsNotStored) {
  for (const bool by_another : {false, true}) {
    HeldCache cache;
    ASSERT_TRUE(cache.elsewhere().Set("k", "old", {.ttl = minutes(30), .tags = {"t"}}).ok());
    Cache& invalidator = by_another ? static_cast<Cache&>(cache.elsewhere()) : cache;
    const auto run = Warm(cache, [&] {
      EXPECT_TRUE(invalidator.Invalidate({.tags = {"t"}}).ok());
      return std::string("of before");
    });
    EXPECT_EQ(run->loaded, 0);
    EXPECT_EQ(Stored(cache), std::nullopt);
  }
}

TEST_F(DueLoads, AStaleOneThatAnotherLoadsIsLeftToThat) {
  FakeCache cache;
  PutStale(cache, "old");
  const LeasedRead another = ReadElsewhere(cache);
  ASSERT_TRUE(another.lease.has_value());
  EXPECT_EQ(Warm(cache, [] { return std::string("?"); })->skipped, 1);
  EXPECT_EQ(loads_, 0);
  EXPECT_TRUE(cache.Set("k", "theirs", {.condition = Condition::Lease(another.lease->token)}).ok());
}

// --- invalidations meanwhile -----------------------------------------------------------------------------------------

// COHERENCE P2, as far as another process is concerned.
TEST_F(Loads, WhatAnotherProcessInvalidatedMeanwhileIsReturnedAndNotStored) {
  const std::vector<Invalidation> kinds = {{.keys = {"k"}},
                                           {.tags = {"t"}},
                                           {.patterns = {"?"}},
                                           {.all = true},
                                           {.keys = {"k"}, .mode = InvalidationMode::kSoft}};
  for (const Invalidation& kind : kinds) {
    HeldCache cache;
    const auto load = [&] {
      EXPECT_TRUE(cache.elsewhere().Invalidate(kind).ok());
      return std::string("old");
    };
    const LoadOptions options{.tags = {"t"}, .report = &report_};
    EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), load, options), "old");
    EXPECT_FALSE(report_.stored);
    EXPECT_TRUE(report_.write.ok()) << report_.write;
    EXPECT_EQ(Stored(cache), std::nullopt);
  }
}

TEST_F(Loads, WhatThisProcessInvalidatedByGroupIsNotStoredAndOthersAre) {
  FakeCache cache;
  const auto invalidating = [&](const Invalidation& what) {
    return [&cache, what] {
      EXPECT_TRUE(cache.Invalidate(what).ok());
      return std::string("v");
    };
  };
  const LoadOptions options{.tags = {"t"}, .report = &report_};
  EXPECT_TRUE(cache.GetOrLoad<std::string>("a", minutes(1), invalidating({.tags = {"t"}}), options).ok());
  EXPECT_FALSE(report_.stored);
  EXPECT_TRUE(cache.GetOrLoad<std::string>("b", minutes(1), invalidating({.patterns = {"b*"}}), options).ok());
  EXPECT_FALSE(report_.stored);
  EXPECT_TRUE(cache.GetOrLoad<std::string>("c", minutes(1), invalidating({.tags = {"u"}}), options).ok());
  EXPECT_TRUE(report_.stored) << "it has no such tag";
}

// COHERENCE W5.
TEST_F(Loads, NobodyJoinsAfterAnInvalidationOfGroups) {
  HeldCache cache;
  std::latch loading(1), go_on(1);
  std::thread early([&] {
    const auto load = [&] {
      loading.count_down();
      go_on.wait();
      return std::string("old");
    };
    EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), load, {.tags = {"t"}}), "old");
  });
  loading.wait();
  ASSERT_TRUE(cache.Invalidate({.tags = {"t"}}).ok());
  EXPECT_EQ(*Load(cache, std::string("new"), {.tags = {"t"}}), "new");
  go_on.count_down();
  early.join();
  EXPECT_EQ(Stored(cache), std::nullopt) << "the lease was from before, whoever filled it";
  EXPECT_EQ(*Load(cache, std::string("new"), {.tags = {"t"}}), "new");
  EXPECT_TRUE(report_.stored) << "it was given back";
}

// --- several callers -------------------------------------------------------------------------------------------------

TEST_F(Loads, AStaleValueReachesThoseWhoWaitButNotWhoWantAFreshOne) {
  HeldCache cache;
  PutStale(cache.elsewhere(), "old");
  cache.Hold("Release");  // the flight goes on until the lease has been given back
  std::thread first([&] {
    EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), []() -> absl::StatusOr<std::string> { return kBroken; }),
              "old");
  });
  cache.AwaitHeld("Release");
  EXPECT_EQ(*Load(cache, std::string("?")), "old");
  EXPECT_EQ(report_.source, Source::kStale);
  EXPECT_EQ(report_.load_error, kBroken);
  EXPECT_EQ(loads_, 0);
  EXPECT_EQ(*Load(cache, std::string("new"), {.fresh_only = true}), "new");
  EXPECT_TRUE(report_.stored) << "as of the miss that it began with";
  cache.Release("Release");
  first.join();
}

// COHERENCE P3, within one process.
TEST_F(Loads, AThousandCallersRunOneLoader) {
  constexpr int kCallers = 1'000;
  for (const bool stale : {false, true}) {
    FakeCache cache;
    if (stale) PutStale(cache, "old");
    std::latch arrived(kCallers);
    std::atomic<int> loads = 0;
    std::vector<std::thread> threads;
    threads.reserve(kCallers);
    for (int i = 0; i < kCallers; ++i) {
      threads.emplace_back([&] {
        arrived.arrive_and_wait();
        const auto value = cache.GetOrLoad<std::string>("k", minutes(1), [&] {
          ++loads;
          return std::string("new");
        });
        EXPECT_TRUE(value.ok() && (*value == "new" || (stale && *value == "old")));
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(loads, 1);
    EXPECT_EQ(Stored(cache), "new");
  }
}

}  // namespace
}  // namespace larder
