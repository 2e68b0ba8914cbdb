#include "tests/chaos/history.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace larder::chaos {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kDelta = 1'000;
constexpr int64_t kMaxAge = 5'000;
constexpr int kKey = 5;
constexpr int kSoftKey = 1;

Operation Set(uint64_t value, int64_t invoked, int64_t returned, int replica = 0) {
  return {.kind = OperationKind::kSet,
          .key = kKey,
          .replica = replica,
          .invoked = invoked,
          .returned = returned,
          .value = value};
}

Operation Invalidate(int64_t invoked, int64_t returned, int replica = 0) {
  return {
      .kind = OperationKind::kInvalidate, .key = kKey, .replica = replica, .invoked = invoked, .returned = returned};
}

Operation Fill(uint64_t value, int64_t loaded, int64_t invoked, int64_t returned) {
  Operation fill = Set(value, invoked, returned);
  fill.kind = OperationKind::kFill;
  fill.loaded = loaded;
  return fill;
}

Operation Get(uint64_t value, int64_t invoked, int replica = 0) {
  return {.key = kKey, .replica = replica, .invoked = invoked, .returned = invoked + 10, .value = value};
}

// What is wrong with the history's reads; empty: nothing.
std::string Check(const std::vector<Operation>& history, std::vector<Window> faults = {}, std::vector<End> ends = {}) {
  const std::vector<Violation> violations = CheckHistory(history, {.delta = kDelta,
                                                                   .degraded_max_age = kMaxAge,
                                                                   .keys = 8,
                                                                   .replicas = 3,
                                                                   .soft_keys = 2,
                                                                   .faults = std::move(faults),
                                                                   .ends = std::move(ends)});
  std::string all;
  for (const Violation& violation : violations) all += violation.what + "\n";
  return all;
}

TEST(HistoryTest, AMissAndTheLatestValueAreAlwaysRight) {
  EXPECT_THAT(Check({Set(1, 0, 100), Get(1, 200), Get(0, 300), Set(2, 400, 500), Get(2, 600)}), IsEmpty());
}

TEST(HistoryTest, TheReplicaThatAcknowledgedIsBehindByNothing) {
  EXPECT_THAT(Check({Set(1, 0, 100), Set(2, 200, 300), Get(1, 301)}), HasSubstr("same replica"));
  EXPECT_THAT(Check({Set(1, 0, 100), Invalidate(200, 300), Get(1, 301)}), HasSubstr("same replica"));
  EXPECT_THAT(Check({Set(1, 0, 100), Set(2, 200, 300), Get(1, 299)}), IsEmpty()) << "not acknowledged yet";
  EXPECT_THAT(Check({Set(1, 0, 100), Set(2, 200, 300), Get(1, 300)}), IsEmpty()) << "at the same time";
}

TEST(HistoryTest, AnotherReplicaIsBehindByDeltaAtMost) {
  EXPECT_THAT(Check({Set(1, 0, 100), Set(2, 200, 300), Get(1, 300 + kDelta, 1)}), IsEmpty());
  EXPECT_THAT(Check({Set(1, 0, 100), Set(2, 200, 300), Get(1, 301 + kDelta, 1)}), HasSubstr("more than delta"));
  EXPECT_THAT(Check({Set(1, 0, 100), Invalidate(200, 300, kForeign), Get(1, 301 + kDelta, 1)}),
              HasSubstr("more than delta"));
}

TEST(HistoryTest, NobodyIsBehindAStrongWrite) {
  Operation strong = Set(2, 200, 300);
  strong.strong = true;
  EXPECT_THAT(Check({Set(1, 0, 100), strong, Get(1, 301, 1)}), HasSubstr("STRONG"));
  EXPECT_THAT(Check({Set(1, 0, 100), strong, Get(1, 299, 1)}), IsEmpty());
}

TEST(HistoryTest, TheStoreIsBehindNobody) {
  Operation read = Get(1, 301, 1);
  read.from_store = true;
  EXPECT_THAT(Check({Set(1, 0, 100), Set(2, 200, 300), read}), HasSubstr("asked the store"));
}

TEST(HistoryTest, ConcurrentWritesMayEndInEitherOrder) {
  const std::vector<Operation> writes = {Set(1, 0, 300), Set(2, 100, 200, 1)};
  for (const uint64_t value : {1, 2}) {
    std::vector<Operation> history = writes;
    history.push_back(Get(value, 10'000));
    EXPECT_THAT(Check(history), IsEmpty());
  }
}

TEST(HistoryTest, AnUnknownWriteMayTakeEffectAtAnyTime) {
  Operation unknown = Set(1, 0, 100);
  unknown.outcome = Outcome::kUnknown;
  EXPECT_THAT(Check({unknown, Set(2, 200, 300), Get(1, 10'000)}), IsEmpty());
}

TEST(HistoryTest, AnUnknownWriteLandsOnce) {
  Operation unknown = Set(1, 0, 100);
  unknown.outcome = Outcome::kUnknown;
  EXPECT_THAT(Check({unknown, Get(1, 120), Set(2, 200, 300), Get(1, 10'000)}), HasSubstr("same replica"));
  Operation near = Get(1, 120);
  near.near = true;
  EXPECT_THAT(Check({unknown, near, Set(2, 200, 300), near}), IsEmpty()) << "the store may not have it yet";
}

TEST(HistoryTest, ADeferredInvalidationBindsItsReplicaWhileThatLives) {
  Operation deferred = Invalidate(200, 300);
  deferred.outcome = Outcome::kUnknown;
  deferred.local = true;
  EXPECT_THAT(Check({Set(1, 0, 100), deferred, Get(1, 10'000, 1)}), IsEmpty()) << "it is no acknowledgement";
  EXPECT_THAT(Check({Set(1, 0, 100), deferred, Get(1, 301)}), HasSubstr("had deferred"));
  EXPECT_THAT(Check({Set(1, 0, 100), deferred, Get(1, 10'000)}, {}, {{.replica = 0, .time = 400}}), IsEmpty());
  EXPECT_THAT(Check({Set(1, 0, 100), deferred, Get(1, 10'000)}, {}, {{.replica = 1, .time = 400}}),
              HasSubstr("had deferred"));
}

TEST(HistoryTest, FreshOnlyIsKept) {
  Operation stale = Get(1, 400);
  stale.key = kSoftKey;
  stale.stale = stale.fresh_only = true;
  EXPECT_THAT(Check({stale}), HasSubstr("fresh_only"));
}

TEST(HistoryTest, AFillIsAsOldAsWhatItWasLoadedFrom) {
  EXPECT_THAT(Check({Fill(1, 100, 400, 500), Invalidate(200, 300), Get(1, 600)}), HasSubstr("same replica"));
  EXPECT_THAT(Check({Fill(1, 250, 400, 500), Invalidate(200, 300), Get(1, 600)}), IsEmpty());
  Operation unknown = Fill(1, 100, 400, 500);
  unknown.outcome = Outcome::kUnknown;
  EXPECT_THAT(Check({unknown, Invalidate(200, 300), Get(1, 600)}), HasSubstr("same replica"));
  EXPECT_THAT(Check({Set(1, 0, 10), Fill(2, 100, 200, 300), Get(1, 10'000)}), IsEmpty())
      << "a fill replaces nothing that is newer than what it was loaded from";
}

TEST(HistoryTest, NothingIsReadThatNobodyWrote) {
  EXPECT_THAT(Check({Get(9, 100)}), HasSubstr("never written"));
  Operation elsewhere = Get(1, 200);
  elsewhere.key = kKey + 1;
  EXPECT_THAT(Check({Set(1, 0, 100), elsewhere}), HasSubstr("under key 5"));
  Operation refused = Set(1, 0, 100);
  refused.outcome = Outcome::kRefused;
  EXPECT_THAT(Check({refused, Get(1, 200)}), HasSubstr("refused"));
}

TEST(HistoryTest, StaleAnswersAreForSoftInvalidationsAlone) {
  const auto at_soft = [](Operation operation) {
    operation.key = kSoftKey;
    return operation;
  };
  Operation soft = at_soft(Invalidate(200, 300));
  soft.soft = true;
  Operation stale = at_soft(Get(1, 400));
  stale.stale = true;
  EXPECT_THAT(Check({at_soft(Set(1, 0, 100)), soft, stale}), IsEmpty());
  EXPECT_THAT(Check({at_soft(Set(1, 0, 100)), soft, at_soft(Get(1, 400))}), HasSubstr("same replica"));
  Operation earlier = soft;
  earlier.invoked = 150;
  earlier.returned = 160;
  EXPECT_THAT(Check({at_soft(Set(1, 0, 100)), earlier, at_soft(Invalidate(200, 300)), stale}),
              HasSubstr("same replica"))
      << "HARD kills for good";
  EXPECT_THAT(Check({soft, at_soft(Set(1, 310, 320)), stale}), HasSubstr("since its write"));
  Operation elsewhere = Get(1, 400);
  elsewhere.stale = true;
  EXPECT_THAT(Check({Set(1, 0, 100), elsewhere}), HasSubstr("stale answer without"));
}

TEST(HistoryTest, DegradedAnswersAreForFaultsAlone) {
  Operation degraded = Get(1, 5'000, 1);
  degraded.degraded = true;
  const std::vector<Operation> history = {Set(1, 0, 100), Set(2, 200, 300), degraded};
  EXPECT_THAT(Check(history, {{.begin = 4'000, .end = 6'000}}), IsEmpty());
  EXPECT_THAT(Check(history, {{.begin = 1'000, .end = 2'000}}), HasSubstr("degraded answer without"));
  Operation late = degraded;
  late.invoked = 301 + kDelta + kMaxAge;
  late.returned = late.invoked + 10;
  EXPECT_THAT(Check({Set(1, 0, 100), Set(2, 200, 300), late}, {{.begin = 4'000, .end = 7'000}}),
              HasSubstr("may be old"));
  Operation own = degraded;
  own.replica = 0;
  EXPECT_THAT(Check({Set(1, 0, 100), Set(2, 200, 300), own}, {{.begin = 4'000, .end = 6'000}}),
              HasSubstr("same replica"));
}

TEST(HistoryTest, ReadsThatFailedSayNothing) {
  Operation failed = Get(1, 10'000);
  failed.outcome = Outcome::kUnknown;
  EXPECT_THAT(Check({Set(1, 0, 100), Set(2, 200, 300), failed}), IsEmpty());
}

// --- Conditional Sets ---

Operation SetIf(uint64_t replaced, uint64_t value, int64_t invoked, int64_t returned, int replica = 0) {
  Operation write = Set(value, invoked, returned, replica);
  write.replaced = replaced;
  return write;
}

TEST(HistoryTest, AConditionalSetHasSeenWhatItReplaces) {
  EXPECT_THAT(Check({Set(1, 0, 100), SetIf(1, 2, 200, 300, 1), Get(2, 400, 1)}), IsEmpty());
  EXPECT_THAT(Check({Set(1, 0, 100), Set(2, 150, 190), SetIf(1, 3, 200, 300, 1)}), HasSubstr("acknowledged"));
  EXPECT_THAT(Check({Set(1, 0, 100), Invalidate(150, 190), SetIf(1, 3, 200, 300, 1)}), HasSubstr("acknowledged"));
  EXPECT_THAT(Check({SetIf(7, 3, 200, 300)}), HasSubstr("never written"));
}

TEST(HistoryTest, AConditionalSetThatWasRefusedHasSeenNothing) {
  Operation refused = SetIf(1, 3, 200, 300, 1);
  refused.outcome = Outcome::kRefused;
  EXPECT_THAT(Check({Set(1, 0, 100), Set(2, 150, 190), refused}), IsEmpty());
  EXPECT_THAT(Check({Set(1, 0, 100), Set(2, 150, 190), refused, Get(3, 400)}), HasSubstr("refused"));
}

TEST(HistoryTest, NoTwoConditionalSetsReplaceTheSame) {
  EXPECT_THAT(Check({Set(1, 0, 100), SetIf(1, 2, 200, 300), SetIf(1, 3, 200, 300, 1)}), HasSubstr("two conditional"));
}

TEST(HistoryTest, AConditionalSetMayReplaceWhatIsStale) {
  Operation set = Set(1, 0, 100);
  Operation soft = Invalidate(150, 190);
  Operation write = SetIf(1, 2, 200, 300, 1);
  soft.soft = true;
  set.key = soft.key = write.key = kSoftKey;
  EXPECT_THAT(Check({set, soft, write}), IsEmpty());
  soft.soft = false;
  EXPECT_THAT(Check({set, soft, write}), HasSubstr("acknowledged"));
}

// --- Fills ---

TEST(HistoryTest, AFillThatWasRefusedOnArrivalMayHaveBeenSeen) {
  Operation fill = Fill(2, 200, 210, 400);
  fill.outcome = Outcome::kRefused;
  EXPECT_THAT(Check({Set(1, 0, 100), fill, Get(2, 250), Invalidate(300, 310)}), IsEmpty());
  EXPECT_THAT(Check({Set(1, 0, 100), fill, Invalidate(300, 310), Get(2, 320)}), HasSubstr("acknowledged"));
}

TEST(HistoryTest, ASoftInvalidationSinceTheLeaseMakesAFillStale) {
  Operation fill = Fill(2, 300, 310, 400);
  Operation soft = Invalidate(200, 210);
  Operation stale = Get(2, 500);
  soft.soft = stale.stale = true;
  fill.key = soft.key = stale.key = kSoftKey;
  fill.leased = 150;
  EXPECT_THAT(Check({fill, soft, stale}), IsEmpty());
  fill.leased = 250;
  EXPECT_THAT(Check({fill, soft, stale}), HasSubstr("without a SOFT invalidation since its write"));
}

TEST(HistoryTest, WhoIsNotKnownKeepsWhatAllMust) {
  EXPECT_THAT(Check({Set(1, 0, 100), Set(2, 150, 190), Get(1, 200, kForeign)}), IsEmpty());
  EXPECT_THAT(Check({Set(1, 0, 100), Set(2, 150, 190), Get(1, 200 + kDelta, kForeign)}), HasSubstr("delta"));
}

}  // namespace
}  // namespace larder::chaos
