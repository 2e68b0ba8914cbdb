#include "server/engine/logical_clock.h"

#include "gtest/gtest.h"

namespace larder {
namespace {

EntryRef At(uint64_t generation, uint64_t epoch) {
  return Entry::Create({.version = 1, .generation = generation, .epoch = epoch}, "", "v");
}

ControlUpdate Whole(uint64_t generation, uint64_t epoch, uint64_t sequence) {
  return {.generation = generation, .epoch = epoch, .all_stamp = 0, .since = 0, .sequence = sequence};
}

TEST(LogicalClockTest, KnowsNothingAtFirst) {
  LogicalClock clock;
  EXPECT_EQ(clock.known().generation, 0u);
  EXPECT_FALSE(clock.IsValid(*At(7, 1)));
}

TEST(LogicalClockTest, OnlyThePresentGenerationIsValid) {
  LogicalClock clock;
  clock.Apply(Whole(7, 3, 1));
  EXPECT_TRUE(clock.IsValid(*At(7, 1)));
  EXPECT_FALSE(clock.IsValid(*At(8, 9)));
}

TEST(LogicalClockTest, AStampEndsWhatIsOlderAndNotWhatBearsIt) {
  LogicalClock clock;
  clock.Apply(Whole(7, 3, 1));
  const EntryRef before = At(7, 3), after = At(7, 4);
  EXPECT_TRUE(clock.IsValid(*before));  // remembered in the entry: the shortcut must notice the change
  clock.Apply({.generation = 7, .epoch = 4, .all_stamp = 4, .since = 3, .sequence = 2});
  EXPECT_FALSE(clock.IsValid(*before));
  EXPECT_TRUE(clock.IsValid(*after));
}

TEST(LogicalClockTest, ANewGenerationEndsEverything) {
  LogicalClock clock;
  clock.Apply(Whole(7, 30, 1));
  const EntryRef entry = At(7, 30);
  EXPECT_TRUE(clock.IsValid(*entry));
  clock.Apply(Whole(8, 1, 2));
  EXPECT_FALSE(clock.IsValid(*entry));
  EXPECT_EQ(clock.known().generation, 8u);
  EXPECT_EQ(clock.known().epoch, 1u);
}

TEST(LogicalClockTest, ALateAnswerDoesNotBringAnOldGenerationBack) {
  LogicalClock clock;
  clock.Apply(Whole(7, 1, 1));
  clock.Apply(Whole(8, 1, 3));
  clock.Apply(Whole(7, 1, 2));
  EXPECT_EQ(clock.known().generation, 8u);
}

TEST(LogicalClockTest, APartialAnswerDoesNotStartAGeneration) {
  LogicalClock clock;
  clock.Apply(Whole(7, 1, 1));
  clock.Apply({.generation = 8, .epoch = 5, .all_stamp = 0, .since = 4, .sequence = 2});
  EXPECT_EQ(clock.known().generation, 7u);
}

// COHERENCE C2.
TEST(LogicalClockTest, TheEpochDoesNotAdvanceOverAGap) {
  LogicalClock clock;
  clock.Apply(Whole(7, 3, 1));
  clock.Apply({.generation = 7, .epoch = 6, .all_stamp = 6, .since = 5, .sequence = 2});
  EXPECT_EQ(clock.known().epoch, 3u);
  EXPECT_FALSE(clock.IsValid(*At(7, 5))) << "the stamp itself binds at once";
}

}  // namespace
}  // namespace larder
