#include "server/engine/timer_thread.h"

#include <algorithm>
#include <utility>

namespace larder {
namespace {

// The machine's own time is added to it, which must not overflow.
constexpr int64_t kLongestSleep = 3600 * kNanosPerSecond;

}  // namespace

TimerThread::TimerThread(const Clock* clock) : clock_(clock), thread_([this] { Run(); }) {}

TimerThread::~TimerThread() { Stop(); }

bool TimerThread::Later(const Entry& a, const Entry& b) {
  return a.when_nanos != b.when_nanos ? a.when_nanos > b.when_nanos : a.order > b.order;
}

void TimerThread::At(int64_t when_nanos, Task task) {
  MutexLock lock(&mutex_);
  if (stopped_) return;
  heap_.push_back({when_nanos, given_++, std::move(task)});
  std::push_heap(heap_.begin(), heap_.end(), Later);
  if (heap_.front().order + 1 == given_) changed_.NotifyOne();  // it is the earliest
}

void TimerThread::Stop() {
  std::vector<Entry> dropped;  // destroyed without the lock: what they hold may come back here
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
    dropped.swap(heap_);
    changed_.NotifyOne();
  }
  if (thread_.joinable()) thread_.join();
}

bool TimerThread::Next(Task& task) {
  MutexLock lock(&mutex_);
  while (!stopped_) {
    if (heap_.empty()) {
      changed_.Wait(&mutex_);
      continue;
    }
    const int64_t left = heap_.front().when_nanos - clock_->NowNanos();
    if (left > 0) {
      changed_.WaitFor(&mutex_, std::min(left, kLongestSleep));
      continue;
    }
    std::pop_heap(heap_.begin(), heap_.end(), Later);
    task = std::move(heap_.back().task);
    heap_.pop_back();
    return true;
  }
  return false;
}

void TimerThread::Run() {
  Task task;
  while (Next(task)) std::exchange(task, nullptr)();
}

}  // namespace larder
