#include "server/origin/load_queue.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace larder {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

void Ignore(const absl::StatusOr<OriginValue>&) {}

std::vector<std::string> Keys(const LoadQueue::Loads& loads) {
  std::vector<std::string> keys;
  for (const QueuedLoad& load : loads) keys.push_back(load.key());
  return keys;
}

TEST(LoadQueueTest, HasEachKeyOnceInTheOrderOfArrival) {
  LoadQueue queue;
  queue.Add("b", 1, Ignore);
  queue.Add("a", 2, Ignore);
  queue.Add("b", 3, Ignore);
  EXPECT_EQ(queue.keys(), 2);
  EXPECT_EQ(queue.waiting(), 3);
  EXPECT_EQ(queue.since_nanos(), 1);
  EXPECT_THAT(Keys(queue.TakeAll()), ElementsAre("b", "a"));
  EXPECT_EQ(queue.waiting(), 0);
}

TEST(LoadQueueTest, AKeyThatWasTakenIsQueuedAnew) {
  LoadQueue queue;
  queue.Add("a", 1, Ignore);
  EXPECT_THAT(Keys(queue.Take(1)), ElementsAre("a"));
  queue.Add("a", 2, Ignore);
  EXPECT_EQ(queue.since_nanos(), 2);
  EXPECT_THAT(Keys(queue.Take(5)), ElementsAre("a"));
}

TEST(LoadQueueTest, TakesNoMoreThanItIsAskedFor) {
  LoadQueue queue;
  for (const char* key : {"a", "b", "c"}) queue.Add(key, 1, Ignore);
  EXPECT_THAT(Keys(queue.Take(2)), ElementsAre("a", "b"));
  EXPECT_EQ(queue.keys(), 1);
}

TEST(LoadQueueTest, TakesOnlyWhatCameBefore) {
  LoadQueue queue;
  queue.Add("a", 1, Ignore);
  queue.Add("b", 2, Ignore);
  EXPECT_THAT(Keys(queue.TakeOlder(1)), IsEmpty());
  EXPECT_THAT(Keys(queue.TakeOlder(2)), ElementsAre("a"));
}

TEST(LoadQueueTest, EveryoneWhoJoinedGetsTheAnswer) {
  LoadQueue queue;
  std::vector<std::string> got;
  const auto done = [&got](const absl::StatusOr<OriginValue>& answer) { got.push_back(answer->value); };
  for (int i = 0; i < 3; ++i) queue.Add("a", 1, done);
  LoadQueue::Loads loads = queue.TakeAll();
  OriginValue value;
  value.value = "x";
  std::move(loads.front()).Finish(value);
  EXPECT_THAT(got, ElementsAre("x", "x", "x"));
}

}  // namespace
}  // namespace larder
