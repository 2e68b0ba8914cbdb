#include "server/redis/redis_loop.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

constexpr int kEventsPerTurn = 16;

// Reads the count off an eventfd or timerfd, so that it is no longer ready.
void Drain(int fd) {
  uint64_t count = 0;
  // EAGAIN where it was not ready after all.
  [[maybe_unused]] const ssize_t size = ::read(fd, &count, sizeof(count));
}

// hiredis writes to sockets without MSG_NOSIGNAL. The signal goes to the thread that wrote, so that blocking it there
// is enough, and leaves the rest of the process as it is.
void BlockPipeSignal() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

absl::Status AddToEpoll(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (fd >= 0 && ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cannot set up an event loop: ", std::strerror(errno)));
}

}  // namespace

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) ::close(fd_);
}

RedisLoop::~RedisLoop() { assert(!thread_.joinable()); }

absl::Status RedisLoop::Start() {
  epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  wake_ = UniqueFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  timer_ = UniqueFd(::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC));
  if (absl::Status status = AddToEpoll(epoll_.get(), wake_.get()); !status.ok()) return status;
  if (absl::Status status = AddToEpoll(epoll_.get(), timer_.get()); !status.ok()) return status;
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

void RedisLoop::Stop() {
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
  }
  if (!thread_.joinable()) return;
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

bool RedisLoop::Post(Task&& task) {
  bool was_empty = false;
  {
    MutexLock lock(&mutex_);
    if (stopped_) return false;
    was_empty = tasks_.empty();
    tasks_.push_back(std::move(task));
  }
  // Whoever found the queue filled knows that the loop is being woken already.
  if (was_empty) ::eventfd_write(wake_.get(), 1);
  return true;
}

RedisLoop::TimerId RedisLoop::AddTimer(int64_t due_nanos, Task task) {
  const TimerId id{due_nanos, ++last_timer_};
  timers_.emplace(id, std::move(task));
  return id;
}

void RedisLoop::CancelTimer(TimerId timer) { timers_.erase(timer); }

void RedisLoop::Watch(int fd, bool reading, bool writing, Handler* handler) {
  const uint32_t events = (reading ? EPOLLIN : 0U) | (writing ? EPOLLOUT : 0U);
  auto known = watched_.find(fd);
  if (known != watched_.end() && known->second.events == events) return;
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (events == 0) {
    if (known == watched_.end()) return;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, &event);
    watched_.erase(known);
    return;
  }
  ::epoll_ctl(epoll_.get(), known == watched_.end() ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
  watched_[fd] = Watched{handler, events};
}

void RedisLoop::Run() {
  own_thread_.store(std::this_thread::get_id());
  BlockPipeSignal();
  bool running = true;
  while (running) {
    ArmTimer();
    HandleEvents();
    running = RunTasks();
    if (running) RunTimers();
    EndTurn();
  }
  timers_.clear();
  dead_.clear();
}

void RedisLoop::HandleEvents() {
  std::array<epoll_event, kEventsPerTurn> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, -1);
  for (int i = 0; i < count; ++i) {
    const int fd = events[static_cast<size_t>(i)].data.fd;
    const uint32_t happened = events[static_cast<size_t>(i)].events;
    if (fd == wake_.get() || fd == timer_.get()) {
      Drain(fd);
      if (fd == timer_.get()) armed_for_ = 0;
      continue;
    }
    // Looked up before each step, since a handler may be forgotten by what came before. An error or hang-up is told
    // to whoever waits, who finds it out by reading or writing.
    const uint32_t broken = happened & (EPOLLERR | EPOLLHUP);
    if (auto found = watched_.find(fd); found != watched_.end() && (found->second.events & EPOLLIN) != 0) {
      if ((happened & EPOLLIN) != 0 || broken != 0) found->second.handler->OnReadable();
    }
    if (auto found = watched_.find(fd); found != watched_.end() && (found->second.events & EPOLLOUT) != 0) {
      if ((happened & EPOLLOUT) != 0 || broken != 0) found->second.handler->OnWritable();
    }
  }
}

bool RedisLoop::RunTasks() {
  bool stopped = false;
  {
    MutexLock lock(&mutex_);
    running_.swap(tasks_);
    stopped = stopped_;
  }
  for (Task& task : running_) std::move(task)();
  running_.clear();
  // What a last task posted is refused by then, so that nothing is left behind.
  return !stopped;
}

void RedisLoop::RunTimers() {
  const int64_t now = clock_->NowNanos();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    Task task = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    std::move(task)();
  }
}

void RedisLoop::EndTurn() {
  // By descriptor, since a handler may forget itself or another.
  for (auto next = watched_.begin(); next != watched_.end();) {
    const int fd = next->first;
    next->second.handler->OnTurnEnd();
    next = watched_.upper_bound(fd);
  }
  dead_.clear();
}

void RedisLoop::ArmTimer() {
  const int64_t due = timers_.empty() ? 0 : timers_.begin()->first.first;
  if (due == armed_for_) return;
  armed_for_ = due;
  itimerspec spec{};
  if (due != 0) {
    // Relative, so that any clock will do; 0 would disarm it.
    const int64_t wait = std::max<int64_t>(1, due - clock_->NowNanos());
    spec.it_value.tv_sec = wait / kNanosPerSecond;
    spec.it_value.tv_nsec = wait % kNanosPerSecond;
  }
  ::timerfd_settime(timer_.get(), 0, &spec, nullptr);
}

}  // namespace larder
