#include "server/engine/timer_thread.h"

#include <future>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/manual_clock.h"

namespace larder {
namespace {

// Holds the thread until it is let go, so that a test can give tasks in any order.
class Gate {
 public:
  explicit Gate(TimerThread* timer) {
    timer->At(0, [this] {
      entered_.set_value();
      left_.get_future().wait();
    });
    entered_.get_future().wait();
  }
  void Open() { left_.set_value(); }

 private:
  std::promise<void> entered_;
  std::promise<void> left_;
};

TEST(TimerThreadTest, TasksRunInTheOrderOfTheirTimesAndThenOfTheirGiving) {
  ManualClock clock(kNanosPerSecond);
  TimerThread timer(&clock);
  Gate gate(&timer);
  std::vector<int> order;
  std::promise<void> done;
  timer.At(400, [&] { order.push_back(4); });
  timer.At(200, [&] { order.push_back(2); });
  timer.At(300, [&] { order.push_back(30); });
  timer.At(300, [&] { order.push_back(31); });
  timer.At(100, [&] { order.push_back(1); });
  timer.At(500, [&] { done.set_value(); });
  gate.Open();
  done.get_future().wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 30, 31, 4}));
}

TEST(TimerThreadTest, ATaskMayGiveAnother) {
  ManualClock clock;
  TimerThread timer(&clock);
  std::promise<void> done;
  timer.At(0, [&] { timer.At(0, [&] { timer.At(0, [&] { done.set_value(); }); }); });
  done.get_future().wait();
}

TEST(TimerThreadTest, ATaskRunsNoSoonerThanItsTime) {
  const SystemClock clock;
  TimerThread timer(&clock);
  const int64_t when = clock.NowNanos() + 20 * kNanosPerMilli;
  std::promise<int64_t> ran;
  timer.At(when, [&] { ran.set_value(clock.NowNanos()); });
  EXPECT_GE(ran.get_future().get(), when);
}

TEST(TimerThreadTest, AnEarlierTaskIsNotKeptByALaterOne) {
  const SystemClock clock;
  TimerThread timer(&clock);
  std::promise<void> ran;
  timer.At(clock.NowNanos() + 3600 * kNanosPerSecond, [] { FAIL(); });
  timer.At(clock.NowNanos() + kNanosPerMilli, [&] { ran.set_value(); });
  ran.get_future().wait();
}

TEST(TimerThreadTest, WhatHasNotRunIsDroppedWhenItStops) {
  ManualClock clock;
  TimerThread timer(&clock);
  auto held = std::make_shared<int>(0);
  timer.At(clock.NowNanos() + kNanosPerSecond, [held] { ++*held; });
  ASSERT_EQ(held.use_count(), 2);
  timer.Stop();
  EXPECT_EQ(held.use_count(), 1);
  timer.At(0, [held] { ++*held; });
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(*held, 0);
}

TEST(TimerThreadTest, StoppingWaitsForTheTaskThatRuns) {
  ManualClock clock;
  TimerThread timer(&clock);
  std::promise<void> entered;
  std::promise<void> leave;
  bool ended = false;
  timer.At(0, [&] {
    entered.set_value();
    leave.get_future().wait();
    ended = true;
  });
  entered.get_future().wait();
  leave.set_value();
  timer.Stop();
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace larder
