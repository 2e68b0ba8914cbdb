#include "server/engine/logical_clock.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace larder {
namespace {

using Group = Stamp::Group;

EntryRef At(uint64_t generation, uint64_t epoch, const std::vector<std::string_view>& tags = {}) {
  return Entry::Create({.version = 1, .generation = generation, .epoch = epoch}, "", "v", TagList::Encode(tags));
}

ControlUpdate Whole(uint64_t generation, uint64_t epoch, uint64_t sequence, std::vector<Stamp> stamps = {}) {
  return {.generation = generation,
          .epoch = epoch,
          .since = 0,
          .stamps = std::move(stamps),
          .floor = 0,
          .sequence = sequence};
}

// Of generation 7, in the order of the calls.
ControlUpdate Since(uint64_t since, uint64_t epoch, std::vector<Stamp> stamps = {}, uint64_t floor = 0) {
  return {.generation = 7,
          .epoch = epoch,
          .since = since,
          .stamps = std::move(stamps),
          .floor = floor,
          .sequence = 100 + epoch};
}

Stamp All(uint64_t epoch, bool soft = false) {
  return {.group = Group::kAll, .soft = soft, .epoch = epoch, .name = ""};
}
Stamp Tag(std::string name, uint64_t epoch, bool soft = false) {
  return {.group = Group::kTag, .soft = soft, .epoch = epoch, .name = std::move(name)};
}
Stamp Pattern(std::string name, uint64_t epoch, bool soft = false) {
  return {.group = Group::kPattern, .soft = soft, .epoch = epoch, .name = std::move(name)};
}

TEST(LogicalClockTest, KnowsNothingAtFirst) {
  LogicalClock clock;
  EXPECT_EQ(clock.known(), ClockPosition());
  EXPECT_EQ(clock.latest_hard(), 0u);
  EXPECT_EQ(clock.Judge("k", *At(7, 1)), Judgement::kDead);
}

TEST(LogicalClockTest, OnlyThePresentGenerationIsValid) {
  LogicalClock clock;
  EXPECT_FALSE(clock.Apply(Whole(7, 3, 1)));
  EXPECT_EQ(clock.Judge("k", *At(7, 1)), Judgement::kValid);
  EXPECT_EQ(clock.Judge("k", *At(8, 9)), Judgement::kDead);
}

// COHERENCE E3. Each is remembered in the entry before the stamp comes: the shortcut must notice the change.
TEST(LogicalClockTest, AStampEndsWhatIsOlderAndNotWhatBearsIt) {
  for (const Stamp& stamp : {All(4), Tag("t", 4), Pattern("k*", 4), Pattern("*y", 4)}) {
    LogicalClock clock;
    clock.Apply(Whole(7, 3, 1));
    const EntryRef before = At(7, 3, {"t"}), after = At(7, 4, {"t"});
    EXPECT_EQ(clock.Judge("key", *before), Judgement::kValid);
    clock.Apply(Since(3, 4, {stamp}));
    EXPECT_EQ(clock.Judge("key", *before), Judgement::kDead) << stamp.name;
    EXPECT_EQ(clock.Judge("key", *after), Judgement::kValid) << stamp.name;
    EXPECT_EQ(clock.latest_hard(), 4u);
  }
}

TEST(LogicalClockTest, ASoftStampMakesStaleAndAHardOneEndsThat) {
  LogicalClock clock;
  clock.Apply(Whole(7, 3, 1));
  const EntryRef entry = At(7, 3, {"t"});
  clock.Apply(Since(3, 4, {Tag("t", 4, true)}));
  EXPECT_EQ(clock.latest_hard(), 0u);
  EXPECT_EQ(clock.Judge("k", *entry), Judgement::kStale);
  EXPECT_EQ(clock.Judge("k", *entry), Judgement::kStale) << "as remembered";
  clock.Apply(Since(4, 5, {Tag("other", 5)}));
  EXPECT_EQ(clock.Judge("k", *entry), Judgement::kStale);
  clock.Apply(Since(5, 6, {Tag("t", 6)}));
  EXPECT_EQ(clock.Judge("k", *entry), Judgement::kDead);
  EXPECT_EQ(clock.Judge("k", *entry), Judgement::kDead) << "as remembered";
}

// What an entry remembers is used: it is not looked up again under another key.
TEST(LogicalClockTest, WhileNothingChangesAnEntryIsJudgedOnce) {
  LogicalClock clock;
  clock.Apply(Whole(7, 4, 1, {Pattern("b*", 4), Tag("t", 3, true)}));
  const EntryRef entry = At(7, 1), stale = At(7, 1, {"t"});
  EXPECT_EQ(entry->verdict(), 0u);
  EXPECT_EQ(clock.Judge("a", *entry), Judgement::kValid);
  EXPECT_EQ(clock.Judge("a", *stale), Judgement::kStale);
  const uint64_t verdict = entry->verdict();
  EXPECT_NE(verdict, 0u);
  EXPECT_NE(verdict, stale->verdict());
  clock.Apply(Since(0, 4, {Pattern("b*", 4), Tag("t", 3, true)}));  // no news
  clock.Apply(Since(4, 6));                                         // an epoch alone
  EXPECT_EQ(clock.Judge("b", *entry), Judgement::kValid);
  EXPECT_EQ(clock.Judge("b", *stale), Judgement::kStale);
  clock.Apply(Since(6, 7, {Tag("u", 7)}));
  EXPECT_EQ(clock.Judge("b", *entry), Judgement::kValid) << "nor for the old changes when a new one comes";
  clock.Apply(Since(7, 8, {Pattern("*", 8)}));
  EXPECT_EQ(clock.Judge("b", *entry), Judgement::kDead);
}

// Entries that were judged after few changes, many or none, and new ones like them.
TEST(LogicalClockTest, WhatIsRememberedIsAsGoodAsJudgingAnew) {
  const uint64_t seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random(seed);
  const auto below = [&](uint64_t bound) { return random() % bound; };
  LogicalClock clock(60);
  uint64_t epoch = 1, generation = 7;
  clock.Apply(Whole(generation, epoch, 1));
  struct Kept {
    std::string key, tag;
    EntryRef entry;
  };
  std::vector<Kept> all(40);
  int found[3] = {};
  for (uint64_t step = 2; step < 20'000; ++step) {
    Kept& kept = all[below(all.size())];
    if (!kept.entry) {
      kept = {.key = "k" + std::to_string(below(30)), .tag = "t" + std::to_string(below(30)), .entry = {}};
      kept.entry = At(generation, epoch - below(std::min<uint64_t>(epoch, 3)), {kept.tag});
    }
    const Judgement judgement = clock.Judge(kept.key, *kept.entry);
    const EntryRef anew = At(kept.entry->meta().generation, kept.entry->meta().epoch, {kept.tag});
    ASSERT_EQ(judgement, clock.Judge(kept.key, *anew)) << "seed " << seed << ", step " << step;
    ++found[static_cast<size_t>(judgement)];
    if (judgement == Judgement::kDead) kept.entry = nullptr;
    if (below(3) != 0) continue;
    std::vector<Stamp> stamps;
    const uint64_t late = below(epoch) + 1;
    for (uint64_t i = below(10) == 0 ? below(40) : below(3); i > 0; --i) {
      const std::string number = std::to_string(below(200));
      const bool soft = below(2) == 0;
      const uint64_t at = below(4) == 0 ? late : epoch + 1;
      stamps.push_back(below(2) == 0 ? Tag("t" + number, at, soft) : Pattern("k" + number + "*", at, soft));
    }
    if (below(500) == 0) {
      clock.Apply(Whole(++generation, epoch, step, stamps));
    } else {
      ControlUpdate update = Since(epoch, epoch + 1, stamps);
      update.generation = generation;
      update.sequence = step;
      clock.Apply(update);
      ++epoch;
    }
    if (below(200) == 0) clock.Forget(epoch - std::min<uint64_t>(epoch, 20));
  }
  for (int times : found) EXPECT_GT(times, 100);
}

TEST(LogicalClockTest, ANewGenerationEndsEverything) {
  LogicalClock clock;
  clock.Apply(Whole(7, 30, 1, {Tag("t", 30)}));
  const EntryRef entry = At(7, 30);
  EXPECT_EQ(clock.Judge("k", *entry), Judgement::kValid);
  clock.Apply(Whole(8, 1, 2));
  EXPECT_EQ(clock.Judge("k", *entry), Judgement::kDead);
  EXPECT_EQ(clock.known(), (ClockPosition{8, 1}));
  EXPECT_EQ(clock.Judge("k", *At(8, 1, {"t"})), Judgement::kValid) << "stamps of the old one do not concern it";
  EXPECT_EQ(clock.tags(), 0u);
}

// COHERENCE C3.
TEST(LogicalClockTest, ALateAnswerDoesNotBringAnOldGenerationBack) {
  LogicalClock clock;
  clock.Apply(Whole(7, 1, 1));
  clock.Apply(Whole(8, 1, 3));
  clock.Apply(Whole(7, 1, 2));
  EXPECT_EQ(clock.known().generation, 8u);
}

TEST(LogicalClockTest, AnAnswerOfThePresentGenerationKeepsOlderOnesOutToo) {
  LogicalClock clock;
  clock.Apply(Whole(8, 1, 1));
  clock.Apply(Whole(8, 1, 5));
  clock.Apply(Whole(7, 1, 3));
  EXPECT_EQ(clock.known().generation, 8u);
}

// COHERENCE C3.
TEST(LogicalClockTest, APartialAnswerDoesNotStartAGeneration) {
  LogicalClock clock;
  clock.Apply(Whole(6, 1, 1));
  clock.Apply(Since(4, 5, {Tag("t", 5)}));
  EXPECT_EQ(clock.known(), (ClockPosition{6, 1}));
  EXPECT_EQ(clock.Judge("k", *At(6, 1, {"t"})), Judgement::kValid);
}

// COHERENCE C2.
TEST(LogicalClockTest, TheEpochDoesNotAdvanceOverAGap) {
  LogicalClock clock;
  clock.Apply(Whole(7, 3, 1));
  clock.Apply(Since(5, 6, {Tag("t", 6)}));
  EXPECT_EQ(clock.known().epoch, 3u);
  EXPECT_EQ(clock.Judge("k", *At(7, 5, {"t"})), Judgement::kDead) << "the stamp itself binds at once";
  clock.Apply(Since(3, 5));
  EXPECT_EQ(clock.known().epoch, 5u);
}

// COHERENCE C2: the shortcut compares changes. Here the epoch is known before the stamp is.
TEST(LogicalClockTest, AStampBelowTheKnownEpochStillBinds) {
  LogicalClock clock;
  clock.Apply(Whole(7, 9, 1));
  const EntryRef entry = At(7, 3, {"t"});
  EXPECT_EQ(clock.Judge("k", *entry), Judgement::kValid);
  clock.Apply(Since(5, 6, {Tag("t", 6)}));
  EXPECT_EQ(clock.known().epoch, 9u);
  EXPECT_EQ(clock.Judge("k", *entry), Judgement::kDead);
}

// COHERENCE C4.
TEST(LogicalClockTest, SaysWhenASweptStampMayHaveBeenMissed) {
  LogicalClock clock;
  EXPECT_FALSE(clock.Apply({.generation = 7, .epoch = 4, .since = 0, .stamps = {}, .floor = 4, .sequence = 1}))
      << "nothing was judged before";
  EXPECT_FALSE(clock.Apply(Since(3, 6, {}, 4))) << "it was known";
  EXPECT_TRUE(clock.Apply(Since(6, 9, {}, 7)));
  EXPECT_EQ(clock.known().epoch, 9u);
  EXPECT_FALSE(clock.Apply(Since(6, 9, {}, 7))) << "told a second time";
  EXPECT_TRUE(clock.Apply(Since(11, 14, {}, 13))) << "over a gap";
  EXPECT_FALSE(clock.Apply({.generation = 8, .epoch = 5, .since = 0, .stamps = {}, .floor = 5, .sequence = 1'000}))
      << "everything is dead anyhow";
}

// COHERENCE C4: a clock that stands at 0 has judged too.
TEST(LogicalClockTest, ASweptStampMayBeMissedFromEpochZero) {
  LogicalClock clock;
  clock.Apply(Whole(7, 0, 1));
  EXPECT_EQ(clock.Judge("key", *At(7, 0)), Judgement::kValid);
  EXPECT_TRUE(clock.Apply(Since(0, 2, {}, 2)));
}

// COHERENCE C4: no answer takes a stamp back, neither one from before it nor one from after its sweep.
TEST(LogicalClockTest, NoAnswerClearsAStamp) {
  LogicalClock clock;
  clock.Apply(Whole(7, 5, 1, {Pattern("k*", 5)}));
  clock.Apply(Whole(7, 4, 0));
  clock.Apply(Whole(7, 6, 2));
  clock.Apply(Since(5, 8, {}, 5));
  EXPECT_EQ(clock.Judge("key", *At(7, 4)), Judgement::kDead);
  EXPECT_EQ(clock.known().epoch, 8u);
}

TEST(LogicalClockTest, ForgetsWhatNoEntryIsOlderThan) {
  LogicalClock clock;
  clock.Apply(Whole(7, 6, 1, {Tag("a", 3), Tag("b", 4, true), Pattern("k*", 5), Pattern("*x", 6)}));
  const EntryRef left = At(7, 2);
  EXPECT_EQ(clock.Judge("other", *left), Judgement::kValid);
  clock.Forget(4);
  EXPECT_EQ(clock.tags(), 0u);
  EXPECT_EQ(clock.patterns(), 2u);
  EXPECT_EQ(clock.folds(), 0u);
  EXPECT_EQ(clock.Judge("other", *left), Judgement::kDead) << "should there be one, its stamps are not known";
  EXPECT_EQ(clock.Judge("other", *At(7, 4)), Judgement::kValid);
  clock.Apply(Since(0, 6, {Tag("a", 3)}));
  EXPECT_EQ(clock.tags(), 0u) << "it does not come back";
  clock.Forget(9);
  EXPECT_EQ(clock.latest_hard(), 9u);
}

// COHERENCE C4: what was found dead stays so after the sweep, however much later it is judged again.
TEST(LogicalClockTest, AForgottenPatternRevivesNothingThatItWasSeenToEnd) {
  LogicalClock clock;
  clock.Apply(Whole(7, 4, 1, {Pattern("k*", 3), Pattern("*y", 4), Pattern("s*", 4, true), Tag("t", 4)}));
  const EntryRef dead = At(7, 2), stale = At(7, 2), unseen = At(7, 2), other = At(8, 2);
  EXPECT_EQ(clock.Judge("key", *dead), Judgement::kDead);
  EXPECT_EQ(clock.Judge("s", *stale), Judgement::kStale);
  EXPECT_EQ(clock.Judge("key", *other), Judgement::kDead) << "of a generation that is not known yet";
  clock.ForgetHardPatterns(4);
  EXPECT_EQ(clock.patterns(), 3u) << "they have not been swept";
  clock.Apply(Since(3, 4, {}, 4));
  clock.ForgetHardPatterns(9);
  EXPECT_EQ(clock.patterns(), 1u);
  EXPECT_EQ(clock.tags(), 1u);
  for (uint64_t epoch = 5; epoch < 200; ++epoch) clock.Apply(Since(epoch - 1, epoch, {Tag("u", epoch)}));
  EXPECT_EQ(clock.Judge("key", *dead), Judgement::kDead);
  EXPECT_EQ(clock.Judge("s", *stale), Judgement::kStale);
  EXPECT_EQ(clock.Judge("key", *unseen), Judgement::kValid) << "the stamp is forgotten";
  clock.Apply(Whole(8, 2, 1'000));
  EXPECT_EQ(clock.Judge("key", *other), Judgement::kValid) << "what was found in another generation does not count";
}

TEST(LogicalClockTest, RemembersTheLatestFloorOfTheGeneration) {
  LogicalClock clock;
  EXPECT_EQ(clock.floor(), 0u);
  clock.Apply({.generation = 7, .epoch = 9, .since = 0, .stamps = {}, .floor = 5, .sequence = 1});
  clock.Apply(Since(9, 10));
  EXPECT_EQ(clock.floor(), 5u);
  clock.Apply(Since(9, 12, {}, 11));
  EXPECT_EQ(clock.floor(), 11u);
  clock.Apply(Since(3, 12, {}, 5));
  EXPECT_EQ(clock.floor(), 11u) << "a late answer";
  clock.Apply(Whole(8, 1, 1'000));
  EXPECT_EQ(clock.floor(), 0u);
}

// COHERENCE C5: never a silent loss.
TEST(LogicalClockTest, TheEarlierHalfIsFoldedWhenThereAreTooMany) {
  LogicalClock clock(10);
  clock.Apply(Whole(7, 1, 1));
  std::vector<EntryRef> entries;
  for (uint64_t epoch = 2; epoch <= 101; ++epoch) {
    entries.push_back(At(7, epoch - 1, {"t" + std::to_string(epoch)}));
    EXPECT_EQ(clock.Judge("k", *entries.back()), Judgement::kValid);
    const std::string name = std::to_string(epoch);
    clock.Apply(Since(epoch - 1, epoch, {epoch % 2 == 0 ? Tag("t" + name, epoch) : Pattern("p" + name + "*", epoch)}));
    EXPECT_LE(clock.tags() + clock.patterns(), 10u);
    if (epoch % 2 == 0) {
      for (size_t i = 0; i < entries.size(); i += 2) EXPECT_EQ(clock.Judge("k", *entries[i]), Judgement::kDead) << i;
    }
  }
  EXPECT_GE(clock.folds(), 10u);
  EXPECT_EQ(clock.Judge("k", *At(7, 2)), Judgement::kDead) << "it belongs to no group, but is from before the floor";
  EXPECT_EQ(clock.Judge("k", *At(7, 96)), Judgement::kValid) << "the later half is still told apart";
  EXPECT_EQ(clock.known().epoch, 101u);
}

// COHERENCE C4: a sweep must not leave alive what a stamp has ended that is held no longer, since it retires it for
// all.
TEST(LogicalClockTest, TheLatestPatternOfAKeyIsNoEarlierThanWhatIsForgotten) {
  LogicalClock clock(4);
  clock.Apply(Whole(7, 1, 1));
  clock.Apply(Since(1, 2, {Pattern("a*", 2)}));
  EXPECT_EQ(clock.LatestHardPattern("a1"), 2u);
  EXPECT_EQ(clock.LatestHardPattern("b1"), 0u);
  clock.Apply(Since(2, 6, {Pattern("b*", 3), Pattern("c*", 4), Pattern("d*", 5), Tag("e", 6)}));
  ASSERT_EQ(clock.folds(), 1u);
  EXPECT_GE(clock.LatestHardPattern("a1"), 2u);
  EXPECT_EQ(clock.LatestHardPattern("d1"), 5u);
}

TEST(LogicalClockTest, AnAnswerWithTooManyAtOnceIsFoldedToo) {
  LogicalClock clock(3);
  std::vector<Stamp> stamps;
  for (int i = 0; i < 8; ++i) stamps.push_back(Tag("t" + std::to_string(i), 5));
  clock.Apply(Whole(7, 5, 1, stamps));
  EXPECT_EQ(clock.tags(), 0u);
  EXPECT_EQ(clock.folds(), 1u);
  EXPECT_EQ(clock.latest_hard(), 5u);
  EXPECT_EQ(clock.Judge("k", *At(7, 4)), Judgement::kDead);
  EXPECT_EQ(clock.Judge("k", *At(7, 5)), Judgement::kValid);
  clock.Apply(Whole(8, 1, 2));
  EXPECT_EQ(clock.Judge("k", *At(8, 1)), Judgement::kValid) << "the floor was the old generation's";
}

TEST(LogicalClockTest, TellsWhatConcernsAKey) {
  LogicalClock clock;
  clock.Apply(Whole(7, 9, 1, {All(1, true), Tag("t", 9), Tag("u", 8), Pattern("k*", 7), Pattern("*z", 6)}));
  const std::string tags = TagList::Encode({"t"});
  EXPECT_EQ(clock.Concerning("key", TagList(tags)), (std::vector<Stamp>{Tag("t", 9), Pattern("k*", 7), All(1, true)}));
}

// Readers judge while one thread applies: once an update has been applied, nobody judges by less (COHERENCE N4).
TEST(LogicalClockTest, NobodyJudgesByLessThanWhatWasApplied) {
  constexpr uint64_t kEpochs = 2'000;
  LogicalClock clock(500);
  clock.Apply(Whole(7, 1, 1, {Tag("t", 1)}));
  const EntryRef shared = At(7, kEpochs, {"t"});
  std::atomic<uint64_t> applied{1};
  std::atomic<int> judged{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 3; ++r) {
    readers.emplace_back([&] {
      while (applied.load(std::memory_order_acquire) < kEpochs) {
        const uint64_t before = applied.load(std::memory_order_acquire);
        const EntryRef old = At(7, before - 1, {"t"});
        EXPECT_EQ(clock.Judge("key", *old), Judgement::kDead);
        EXPECT_EQ(clock.Judge("key", *old), Judgement::kDead);
        EXPECT_EQ(clock.Judge("key", *shared), Judgement::kValid);
        EXPECT_GE(clock.known().epoch, before);
        EXPECT_GE(clock.latest_hard(), before);
        judged.fetch_add(1);
      }
    });
  }
  while (judged.load() < 3) std::this_thread::yield();
  for (uint64_t epoch = 2; epoch <= kEpochs; ++epoch) {
    clock.Apply(Since(epoch - 1, epoch, {Tag("t", epoch), Pattern("p" + std::to_string(epoch) + "*", epoch, true)}));
    applied.store(epoch, std::memory_order_release);
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_GT(clock.folds(), 0u);
}

// An entry that is remembered as valid is not served after its stamp was applied, whichever thread judged it.
TEST(LogicalClockTest, ASharedEntryIsNotJudgedByWhatWasRememberedBefore) {
  for (int round = 0; round < 50; ++round) {
    LogicalClock clock;
    clock.Apply(Whole(7, 1, 1));
    const EntryRef entry = At(7, 1, {"t"});
    std::atomic<bool> begun{false}, applied{false}, stop{false};
    std::vector<std::thread> readers;
    for (int r = 0; r < 2; ++r) {
      readers.emplace_back([&] {
        while (!stop.load()) {
          const bool known = applied.load();
          const Judgement judgement = clock.Judge("key", *entry);
          begun = true;
          EXPECT_TRUE(!known || judgement == Judgement::kDead);
        }
      });
    }
    while (!begun.load()) std::this_thread::yield();
    clock.Apply(Since(1, 2, {Tag("t", 2)}));
    applied = true;
    EXPECT_EQ(clock.Judge("key", *entry), Judgement::kDead);
    stop = true;
    for (std::thread& reader : readers) reader.join();
  }
}

}  // namespace
}  // namespace larder
