#include "larder/cache.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <latch>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "client/src/warm_feed.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "larder/testing/fake_cache.h"
#include "tests/unit/client/allocation_count.h"
#include "tests/unit/client/held_cache.h"
#include "tests/unit/client/recording_observer.h"

namespace larder {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using ::testing::ElementsAre;
using testing::FakeCache;

TEST(Cache, AMissIsAnEmptyOptional) {
  FakeCache cache;
  const absl::StatusOr<MaybeHit> miss = cache.Get("k");
  ASSERT_TRUE(miss.ok());
  EXPECT_FALSE(miss->has_value());
  const auto typed = cache.GetAs<std::string>("k");
  ASSERT_TRUE(typed.ok());
  EXPECT_FALSE(typed->has_value());
}

TEST(Cache, FillsInNamespaceAndDeadlineWhereTheCallNamesNone) {
  HeldCache cache({.name_space = "mine", .deadline = milliseconds(70)});
  ASSERT_TRUE(cache.Get("k").ok());
  EXPECT_EQ(cache.last_get().name_space, "mine");
  EXPECT_EQ(cache.last_get().deadline, milliseconds(70));
  ASSERT_TRUE(cache.Get("k", {.name_space = "yours", .deadline = milliseconds(7), .near = false}).ok());
  EXPECT_EQ(cache.last_get().name_space, "yours");
  EXPECT_EQ(cache.last_get().deadline, milliseconds(7));
  EXPECT_FALSE(cache.last_get().near);

  ASSERT_TRUE(cache.Set("k", "v").ok());
  EXPECT_TRUE(cache.elsewhere().Contains("k", "mine"));
  ASSERT_TRUE(cache.BatchSet({{.key = "b"}}).ok());
  EXPECT_TRUE((*cache.BatchGet({"b"}))[0]->has_value());
  EXPECT_EQ(*cache.Touch("k"), true);
  EXPECT_EQ(cache.Invalidate({.keys = {"k"}})->dropped, 1);
}

TEST(Cache, RefusesWaitsThatMakeNoSense) {
  HeldCache cache;
  for (const milliseconds wait : {milliseconds(-1), milliseconds(86'400'001)}) {
    const absl::Status refused =
        absl::InvalidArgumentError("wait: " + std::to_string(wait.count()) + " ms, must be 0 to 86400000 ms");
    EXPECT_EQ(cache.Get("k", {.wait = wait}).status(), refused);
    EXPECT_EQ(cache.GetOrLease("k", {.wait = wait}).status(), refused);
  }
  EXPECT_EQ(cache.BatchGet({"k"}, {.wait = milliseconds(1)}).status(),
            absl::InvalidArgumentError("wait: a batch does not wait"));
  EXPECT_THAT(cache.sent(), ElementsAre());
}

TEST(Cache, RefusesDeadlinesThatMakeNoSense) {
  HeldCache cache;
  const WarmSource source = [] { return std::optional<SetItem>(); };
  for (const milliseconds deadline : {milliseconds(-1), milliseconds(86'400'001), milliseconds::max()}) {
    const absl::Status refused =
        absl::InvalidArgumentError("deadline: " + std::to_string(deadline.count()) + " ms, must be 1 to 86400000 ms");
    EXPECT_EQ(cache.Get("k", {.deadline = deadline}).status(), refused);
    EXPECT_EQ(cache.Set("k", "v", {.deadline = deadline}).status(), refused);
    EXPECT_EQ(cache.GetOrLease("k", {.deadline = deadline}).status(), refused);
    EXPECT_EQ(cache.Release("k", "lease", {.deadline = deadline}).status(), refused);
    EXPECT_EQ(cache.Touch("k", {.deadline = deadline}).status(), refused);
    EXPECT_EQ(cache.BatchGet({"k"}, {.deadline = deadline}).status(), refused);
    EXPECT_EQ(cache.BatchSet({{.key = "k"}}, {.deadline = deadline}).status(), refused);
    EXPECT_EQ(cache.Invalidate({.all = true}, {.deadline = deadline}).status(), refused);
    EXPECT_EQ(cache.Warm(source, {.deadline = deadline}).status(), refused);
    EXPECT_EQ(cache.Stats({.deadline = deadline}).status(), refused);
    absl::Status ended;
    cache.GetAsync("k", {.deadline = deadline}, [&](absl::StatusOr<MaybeHit> hit) { ended = hit.status(); });
    EXPECT_EQ(ended, refused);
    ended = absl::OkStatus();
    cache.WarmAsync(source, {.deadline = deadline}, [&](absl::StatusOr<WarmProgress> all) { ended = all.status(); });
    EXPECT_EQ(ended, refused);
  }
  EXPECT_TRUE(cache.sent().empty());
  EXPECT_TRUE(cache.Get("k", {.deadline = std::chrono::hours(24)}).ok());
}

static_assert(!std::is_constructible_v<Ttl, int> && !std::is_constructible_v<Ttl, std::nullptr_t>,
              "a number has no unit, and 0 is a null pointer");

TEST(Ttl, IsADurationOrAClassOrTheDefault) {
  EXPECT_TRUE(Ttl().is_default());
  EXPECT_FALSE(Ttl().is_class());
  EXPECT_TRUE(Ttl("static").is_class());
  EXPECT_EQ(Ttl(std::chrono::microseconds(1'001)).duration(), milliseconds(2));
  // What no millisecond count holds, and what is one by chance, is refused as any duration that is too long.
  const auto refusal = [](const Ttl& ttl) {
    FakeCache cache;
    EXPECT_FALSE(ttl.is_class());
    EXPECT_FALSE(ttl.is_default());
    return cache.Set("k", "v", {.ttl = ttl}).status().code();
  };
  EXPECT_EQ(refusal(std::chrono::hours::max()), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refusal(std::chrono::hours::min()), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refusal(milliseconds::min()), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refusal(std::chrono::duration<double>(NAN)), absl::StatusCode::kInvalidArgument);
}

TEST(Cache, AFailedReadIsAMissToGetAndBatchGet) {
  RecordingObserver observer;
  FakeCache cache({.observer = &observer});
  ASSERT_TRUE(cache.BatchSet({{.key = "a"}, {.key = "b"}}).ok());
  for (const absl::Status& failure :
       {absl::UnavailableError("u"), absl::DeadlineExceededError("d"), absl::ResourceExhaustedError("r")}) {
    cache.FailNext(failure, 2);
    const absl::StatusOr<MaybeHit> read = cache.Get("a");
    ASSERT_TRUE(read.ok()) << failure;
    EXPECT_FALSE(read->has_value());
    const absl::StatusOr<BatchGetResults> reads = cache.BatchGet({"a", "b"});
    ASSERT_TRUE(reads.ok()) << failure;
    ASSERT_EQ(reads->size(), 2u);
    EXPECT_FALSE((*reads)[1]->has_value());
  }
  EXPECT_THAT(observer.reads(), ElementsAre(0, 0, 0, 9)) << "the observer is told what they really were";
}

TEST(Cache, OtherFailuresStayFailures) {
  FakeCache cache;
  for (const absl::Status& failure :
       {absl::CancelledError("c"), absl::InternalError("i"), absl::PermissionDeniedError("p")}) {
    cache.FailNext(failure, 2);
    EXPECT_EQ(cache.Get("k").status(), failure);
    EXPECT_EQ(cache.BatchGet({"k"}).status(), failure);
  }
  cache.SetDown(true);
  EXPECT_EQ(cache.Set("k", "v").status().code(), absl::StatusCode::kUnavailable) << "a write is no read";
  EXPECT_EQ(cache.Touch("k").status().code(), absl::StatusCode::kUnavailable);
}

TEST(Cache, AFailedReadIsAFailureWhereThatIsWanted) {
  FakeCache cache({.failed_reads_are_misses = false});
  cache.SetDown(true);
  EXPECT_EQ(cache.Get("k").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(cache.BatchGet({"k"}).status().code(), absl::StatusCode::kUnavailable);
}

// Answers each key of a BatchGet with a failure of its own.
class PartlyDeadCache final : public Cache {
 public:
  explicit PartlyDeadCache(bool failed_reads_are_misses)
      : Cache({.failed_reads_are_misses = failed_reads_are_misses}) {}

 private:
  void DoGet(std::string, GetOptions, Callback<absl::StatusOr<MaybeHit>>) override {}
  void DoGetOrLease(std::string, GetOptions, Callback<absl::StatusOr<LeasedRead>>) override {}
  void DoRelease(std::string, std::string, CallOptions, Callback<absl::StatusOr<bool>>) override {}
  void DoSet(std::string, std::string, SetOptions, Callback<absl::StatusOr<SetResult>>) override {}
  void DoTouch(std::string, TouchOptions, Callback<absl::StatusOr<bool>>) override {}
  void DoBatchGet(std::vector<std::string>, GetOptions, Callback<absl::StatusOr<BatchGetResults>> done) override {
    std::move(done)(BatchGetResults{MaybeHit(Hit{}), absl::UnavailableError("shard down"), absl::InternalError("?")});
  }
  void DoBatchSet(std::vector<SetItem>, CallOptions, Callback<absl::StatusOr<BatchSetResults>>) override {}
  void DoInvalidate(Invalidation, CallOptions, Callback<absl::StatusOr<InvalidateResult>>) override {}
  void DoWarm(std::shared_ptr<internal::WarmFeed>, WarmOptions, Callback<absl::StatusOr<WarmProgress>>) override {}
  void DoStats(StatsOptions, Callback<absl::StatusOr<ServiceStats>>) override {}
};

TEST(Cache, EachKeyOfABatchFailsByItself) {
  const absl::StatusOr<BatchGetResults> lenient = PartlyDeadCache(true).BatchGet({"a", "b", "c"});
  ASSERT_TRUE(lenient.ok());
  EXPECT_TRUE((*lenient)[0].ok() && (*lenient)[0]->has_value());
  EXPECT_TRUE((*lenient)[1].ok() && !(*lenient)[1]->has_value());
  EXPECT_EQ((*lenient)[2].status(), absl::InternalError("?"));
  EXPECT_EQ((*PartlyDeadCache(false).BatchGet({"a", "b", "c"}))[1].status(), absl::UnavailableError("shard down"));
}

TEST(Cache, AnAnswerAtHandNeedsNoCall) {
  RecordingObserver observer;
  HeldCache cache({.observer = &observer, .name_space = "mine"});
  cache.PutAtHand("k", {.value = Value("near"), .tier = Tier::kClient});
  EXPECT_EQ((*cache.Get("k"))->value.bytes(), "near");
  bool called = false;
  cache.GetAsync("k", {}, [&](absl::StatusOr<MaybeHit> hit) { called = (*hit)->value.bytes() == "near"; });
  EXPECT_TRUE(called);
  EXPECT_EQ(*cache.GetOrLoad<std::string>("k", minutes(1), [] { return std::string("?"); }), "near");
  EXPECT_TRUE(cache.sent().empty());
  EXPECT_THAT(observer.reads(), ElementsAre(3, 0, 0, 0));
  EXPECT_FALSE(cache.Get("k", {.near = false})->has_value());
  EXPECT_THAT(cache.sent(), ElementsAre("Get k"));
}

TEST(Cache, AnAnswerAtHandTakesNoAllocation) {
  HeldCache cache({.name_space = "a namespace too long to be kept inside a string"});
  cache.PutAtHand("k", {.value = Value("short"), .tier = Tier::kClient});
  const auto load = [] { return std::string(); };
  size_t size = 0;
  const int before = AllocationCount();
  for (int i = 0; i < 10; ++i) {
    size += (*cache.Get("k"))->value.size();
    size += cache.GetOrLoad<std::string>("k", minutes(1), load)->size();
  }
  EXPECT_EQ(AllocationCount() - before, 0);
  EXPECT_EQ(size, 100u);
}

TEST(Cache, BlockingCallsWaitForAnswersFromOtherThreads) {
  HeldCache cache;
  cache.Hold("Set answer");
  std::thread answers([&] {
    cache.AwaitHeld("Set answer");
    cache.Release("Set answer");
  });
  EXPECT_TRUE(cache.Set("k", "v").ok());
  answers.join();
}

TEST(Cache, GetAsSaysWhatIsWrongWithTheType) {
  FakeCache cache;
  ASSERT_TRUE(cache.SetAs<std::string>("k", "v").ok());
  EXPECT_EQ((*cache.Get("k"))->value.content_type(), "application/octet-stream");
  EXPECT_EQ(**cache.GetAs<std::string>("k"), "v");
  const absl::Status wrong = internal::WrongType(std::string(70, 'k') + "\n", "", "t/u", "");
  EXPECT_EQ(wrong, absl::FailedPreconditionError("key \"" + std::string(63, 'k') +
                                                 "…\": the cached value is of no content type, not \"t/u\""));
}

TEST(CacheWarm, RunsTheSourceOnTheCallersThread) {
  FakeCache cache;
  const std::thread::id caller = std::this_thread::get_id();
  int left = 200;
  const auto progress = cache.Warm([&]() -> absl::StatusOr<std::optional<SetItem>> {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    if (left == 0) return std::nullopt;
    return SetItem{.key = std::to_string(left--), .value = "v"};
  });
  ASSERT_TRUE(progress.ok()) << progress.status();
  EXPECT_EQ(progress->written, 200);
  EXPECT_EQ(cache.size(), 200u);
}

TEST(CacheWarm, EndsWithTheSourcesFailureAfterWhatItGave) {
  FakeCache cache;
  const auto source_of = [](const std::string& key) {
    return [key, given = false]() mutable -> absl::StatusOr<std::optional<SetItem>> {
      if (given) throw std::runtime_error("cursor lost");
      given = true;
      return SetItem{.key = key};
    };
  };
  const absl::Status lost = absl::InternalError("the source threw: cursor lost");
  EXPECT_EQ(cache.Warm(source_of("a")).status(), lost);
  absl::Status ended;
  cache.WarmAsync(source_of("b"), {}, [&](absl::StatusOr<WarmProgress> progress) { ended = progress.status(); });
  EXPECT_EQ(ended, lost);
  EXPECT_EQ(cache.size(), 2u);
}

TEST(CacheWarm, StopsAskingTheSourceWhenTheCallHasEnded) {
  FakeCache cache;
  cache.SetDown(true);
  int asked = 0;
  const auto progress = cache.Warm([&]() -> absl::StatusOr<std::optional<SetItem>> {
    ++asked;
    return SetItem{.key = "k"};
  });
  EXPECT_EQ(progress.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(asked, 1);
}

TEST(HandOverFeed, HoldsABoundedNumberOfEntriesAndTellsWhenToPullAgain) {
  using Kind = internal::WarmFeed::Kind;
  constexpr int kItems = 1'000;
  internal::HandOverFeed feed;
  std::atomic<int> pushed = 0;
  std::thread source([&] {
    while (pushed < kItems && feed.Push({.key = std::to_string(pushed)})) ++pushed;
    feed.End();
  });
  int pulled = 0, furthest_ahead = 0;
  while (true) {
    std::latch ready(1);
    internal::WarmFeed::Pulled next = feed.Pull([&] { ready.count_down(); });
    if (next.kind == Kind::kEnd) break;
    if (next.kind == Kind::kLater) {
      ready.wait();
      continue;
    }
    EXPECT_EQ(next.item.key, std::to_string(pulled++));
    furthest_ahead = std::max(furthest_ahead, pushed - pulled);
  }
  source.join();
  EXPECT_EQ(pulled, kItems);
  EXPECT_LE(furthest_ahead, 64);
}

TEST(HandOverFeed, IsFullByBytesTooAndFreesItsSourceWhenClosed) {
  internal::HandOverFeed feed;
  const std::string large(size_t{4} << 20, 'v');
  EXPECT_TRUE(feed.Push({.key = "a", .value = large}));
  std::latch pushing(1);
  std::thread source([&] {
    pushing.count_down();
    EXPECT_FALSE(feed.Push({.key = "b"}));
  });
  pushing.wait();
  feed.Close();
  source.join();
}

}  // namespace
}  // namespace larder
