#include "server/redis/redis_loop.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

namespace larder {
namespace {

// Blocks until the loop has come this far.
void Await(RedisLoop& loop) {
  Mutex mutex;
  CondVar done;
  bool is_done = false;
  ASSERT_TRUE(loop.Post([&] {
    MutexLock lock(&mutex);
    is_done = true;
    done.NotifyAll();
  }));
  MutexLock lock(&mutex);
  while (!is_done) done.Wait(&mutex);
}

TEST(RedisLoopTest, RunsEveryTaskOnceAndEachThreadsInOrder) {
  constexpr int kThreads = 4;
  constexpr int kTasks = 20'000;
  SystemClock clock;
  RedisLoop loop(&clock);
  ASSERT_TRUE(loop.Start().ok());
  std::vector<int> seen(kThreads, 0);  // the loop's thread alone
  std::atomic<bool> in_order{true};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTasks; ++i) {
        ASSERT_TRUE(loop.Post([&, t, i] {
          if (seen[static_cast<size_t>(t)]++ != i) in_order.store(false);
        }));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  loop.Stop();
  EXPECT_EQ(seen, std::vector<int>(kThreads, kTasks));
  EXPECT_TRUE(in_order.load());
}

TEST(RedisLoopTest, StopRunsWhatWasAcceptedAndRefusesTheRestUntouched) {
  SystemClock clock;
  RedisLoop loop(&clock);
  ASSERT_TRUE(loop.Start().ok());
  std::atomic<int> accepted{0};
  std::atomic<int> ran{0};
  std::thread poster([&] {
    bool open = true;
    while (open) {
      RedisLoop::Task task = [&] { ran.fetch_add(1); };
      open = loop.Post(std::move(task));
      if (open) {
        accepted.fetch_add(1);
      } else {
        std::move(task)();  // still ours
        accepted.fetch_add(1);
      }
    }
  });
  while (accepted.load() < 1'000) std::this_thread::yield();
  loop.Stop();
  poster.join();
  EXPECT_EQ(ran.load(), accepted.load());
}

TEST(RedisLoopTest, ATaskMayPostAnother) {
  SystemClock clock;
  RedisLoop loop(&clock);
  ASSERT_TRUE(loop.Start().ok());
  std::atomic<bool> second{false};
  ASSERT_TRUE(loop.Post([&] { loop.Post([&] { second.store(true); }); }));
  Await(loop);
  Await(loop);
  EXPECT_TRUE(second.load());
  loop.Stop();
}

TEST(RedisLoopTest, TimersRunInOrderOfTheirTimeAndNeverEarly) {
  SystemClock clock;
  RedisLoop loop(&clock);
  ASSERT_TRUE(loop.Start().ok());
  Mutex mutex;
  CondVar done;
  std::vector<int> order;
  bool early = false;
  ASSERT_TRUE(loop.Post([&] {
    const int64_t now = clock.NowNanos();
    for (int i : {3, 1, 2}) {
      const int64_t due = now + i * 10 * kNanosPerMilli;
      loop.AddTimer(due, [&, i, due] {
        MutexLock lock(&mutex);
        order.push_back(i);
        early = early || clock.NowNanos() < due;
        done.NotifyAll();
      });
    }
    const RedisLoop::TimerId cancelled = loop.AddTimer(now + 5 * kNanosPerMilli, [&] {
      MutexLock lock(&mutex);
      order.push_back(0);
    });
    loop.CancelTimer(cancelled);
  }));
  {
    MutexLock lock(&mutex);
    while (order.size() < 3) done.Wait(&mutex);
    EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
    EXPECT_FALSE(early);
  }
  loop.Stop();
}

// A Redis that goes away while it is written to must not take the process with it.
TEST(RedisLoopTest, AWriteThatNobodyReadsIsAnErrorOnly) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const UniqueFd write_end(ends[1]);
  ::close(ends[0]);
  SystemClock clock;
  RedisLoop loop(&clock);
  ASSERT_TRUE(loop.Start().ok());
  std::atomic<int> error{0};
  ASSERT_TRUE(loop.Post([&] {
    if (::write(write_end.get(), "x", 1) < 0) error.store(errno);
  }));
  loop.Stop();
  EXPECT_EQ(error.load(), EPIPE);
}

TEST(RedisLoopTest, StopsWithoutHavingStarted) {
  SystemClock clock;
  RedisLoop loop(&clock);
  loop.Stop();
  EXPECT_FALSE(loop.Post([] {}));
}

}  // namespace
}  // namespace larder
