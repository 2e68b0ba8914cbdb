#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "tests/bench/client_bench.h"

namespace larder::bench {
namespace {

// Microseconds of processor time that this process has taken.
double ProcessMicros() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto micros = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
  };
  return micros(usage.ru_utime) + micros(usage.ru_stime);
}

// One lap: Gets of keys in turn, always as many under way as there are callers, until the time is up.
class Lap {
 public:
  Lap(Client* client, const Entries& entries, int callers, int64_t nanos)
      : client_(client), entries_(entries), callers_(callers), until_nanos_(SystemClock().NowNanos() + nanos) {}

  void RunChains() {
    for (int i = 0; i < callers_; ++i) GoOn();
    MutexLock lock(&mutex_);
    while (ended_ < callers_) all_ended_.Wait(&mutex_);
  }

  void RunThreads() {
    std::vector<std::jthread> threads;
    for (int i = 0; i < callers_; ++i) {
      threads.emplace_back([this] {
        while (!IsOver()) {
          const size_t key = NextKey();
          Check(key, client_->Get(entries_.keys()[key]));
        }
      });
    }
  }

  int64_t gets() const { return gets_.load(); }

 private:
  bool IsOver() const { return SystemClock().NowNanos() >= until_nanos_; }

  size_t NextKey() { return static_cast<size_t>(next_.fetch_add(1, std::memory_order_relaxed) * 7919) % Count(); }
  size_t Count() const { return entries_.keys().size(); }

  void GoOn() {
    const size_t key = NextKey();
    client_->GetAsync(entries_.keys()[key], {}, [this, key](absl::StatusOr<MaybeHit> read) {
      Check(key, read);
      if (!IsOver()) return GoOn();
      MutexLock lock(&mutex_);
      ++ended_;
      all_ended_.NotifyOne();
    });
  }

  void Check(size_t key, const absl::StatusOr<MaybeHit>& read) {
    if (!read.ok()) Die(read.status().ToString());
    if (!read->has_value()) Die(absl::StrCat("no hit of ", entries_.keys()[key]));
    if ((*read)->value.bytes() != entries_.values()[key]) Die(absl::StrCat("a wrong value of ", entries_.keys()[key]));
    gets_.fetch_add(1, std::memory_order_relaxed);
  }

  Client* const client_;
  const Entries& entries_;
  const int callers_;
  const int64_t until_nanos_;
  std::atomic<uint64_t> next_{0};
  std::atomic<int64_t> gets_{0};

  Mutex mutex_;
  CondVar all_ended_;
  int ended_ ABSL_GUARDED_BY(mutex_) = 0;
};

// What the laps of one side came to.
struct Side {
  std::unique_ptr<Client> client;
  std::vector<double> per_second = {};
  std::vector<double> micros = {};  // of this process, for one Get
};

void RunLap(const Settings& settings, const Entries& entries, Callers callers, Side* side) {
  const int64_t began = SystemClock().NowNanos();
  const double used = ProcessMicros();
  Lap lap(side->client.get(), entries, settings.concurrent_gets, settings.lap_millis * kNanosPerMilli);
  if (callers == Callers::kChains) {
    lap.RunChains();
  } else {
    lap.RunThreads();
  }
  const auto gets = static_cast<double>(lap.gets());
  side->per_second.push_back(gets * 1e9 / static_cast<double>(SystemClock().NowNanos() - began));
  side->micros.push_back((ProcessMicros() - used) / gets);
}

}  // namespace

Outcome MeasureGathering(const Settings& settings, const Entries& entries, const LarderServer& server,
                         Callers callers) {
  ClientOptions alone;
  alone.gather.enabled = false;
  Side gathered{ConnectOrDie(server)};
  Side unary{ConnectOrDie(server, alone)};
  for (int lap = 0; lap <= settings.laps; ++lap) {
    RunLap(settings, entries, callers, &gathered);
    RunLap(settings, entries, callers, &unary);
    if (lap != 0) continue;  // to warm up
    for (Side* side : {&gathered, &unary}) side->per_second.clear(), side->micros.clear();
  }
  return {.ratio = Median(gathered.per_second) / Median(unary.per_second),
          .absolute = {{"gathered_per_second", Median(gathered.per_second)},
                       {"unary_per_second", Median(unary.per_second)},
                       {"gathered_client_us", Median(gathered.micros)},
                       {"unary_client_us", Median(unary.micros)}}};
}

}  // namespace larder::bench
