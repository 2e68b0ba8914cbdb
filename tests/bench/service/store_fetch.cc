#include "tests/bench/service/store_fetch.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "server/redis/redis_store.h"
#include "tests/support/eventually.h"

namespace larder::bench {
namespace {

const std::string kNamespace = "default";
constexpr int64_t kTtlNanos = 3'600 * kNanosPerSecond;  // longer than any run
constexpr size_t kWritesAtOnce = 1'000;

absl::StatusOr<std::unique_ptr<RedisStore>> StartStore(const Clock* clock, int redis_port) {
  RedisStore::Parts parts;
  parts.options.port = redis_port;
  parts.options.operation_timeout_nanos = 10 * kNanosPerSecond;  // a busy machine is slow, not broken
  parts.namespaces = {kNamespace};
  auto store = std::make_unique<RedisStore>(clock, std::move(parts));
  if (absl::Status status = store->Start(); !status.ok()) return status;
  if (!Eventually([&store] { return store->state() == StoreInfo::State::kReady; })) {
    return absl::UnavailableError("the store does not reach Redis");
  }
  return store;
}

// Counts what is under way, and keeps the last error. Thread-safe.
class Progress {
 public:
  void Begin(size_t count) {
    MutexLock lock(&mutex_);
    under_way_ += count;
  }
  void End(const absl::Status& status) {
    MutexLock lock(&mutex_);
    if (!status.ok()) status_ = status;
    if (--under_way_ == 0) none_.NotifyAll();
  }
  // Blocks until all have ended.
  absl::Status Await() {
    MutexLock lock(&mutex_);
    while (under_way_ > 0) none_.Wait(&mutex_);
    return status_;
  }

 private:
  Mutex mutex_;
  CondVar none_;
  size_t under_way_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

// Reads one key after the other: the next from the callback of the one before, on the store's thread, as nobody else's
// time is to be measured.
class Reader {
 public:
  Reader(RedisStore* store, const StoreFetch& fetch, uint64_t seed) : store_(store), fetch_(fetch), random_(seed) {}

  void Start(Progress* progress, const std::atomic<bool>* ends, std::atomic<uint64_t>* keys) {
    progress_ = progress;
    ends_ = ends;
    keys_ = keys;
    Next();
  }

 private:
  void Next() {
    key_ = fetch_.choice->Draw(random_);
    store_->Read({.name_space = kNamespace, .keys = {KeyText(key_)}, .known = known_},
                 [this](absl::StatusOr<ReadResult> result) { Take(std::move(result)); });
  }

  void Take(absl::StatusOr<ReadResult> result) {
    if (!result.ok()) return progress_->End(result.status());
    const EntryRef& entry = result->entries[0];
    if (!entry || !fetch_.values->Matches(key_, entry->value())) {
      return progress_->End(absl::DataLossError(absl::StrCat("not what was written is under ", KeyText(key_))));
    }
    known_ = {.generation = result->control.generation, .epoch = result->control.epoch};
    keys_->fetch_add(1, std::memory_order_relaxed);
    if (ends_->load(std::memory_order_relaxed)) return progress_->End(absl::OkStatus());
    Next();
  }

  RedisStore* const store_;
  const StoreFetch& fetch_;
  Random random_;
  Progress* progress_ = nullptr;
  const std::atomic<bool>* ends_ = nullptr;
  std::atomic<uint64_t>* keys_ = nullptr;
  uint64_t key_ = 0;
  ClockPosition known_;
};

}  // namespace

absl::StatusOr<double> RunStoreFetch(const StoreFetch& fetch) {
  const SystemClock clock;
  auto store = StartStore(&clock, fetch.redis_port);
  if (!store.ok()) return store.status();
  Progress progress;
  std::atomic<bool> ends = false;
  std::atomic<uint64_t> keys = 0;
  std::vector<std::unique_ptr<Reader>> readers;
  progress.Begin(fetch.in_flight);
  for (size_t i = 0; i < fetch.in_flight; ++i) {
    readers.push_back(std::make_unique<Reader>(store->get(), fetch, i + 1));
    readers.back()->Start(&progress, &ends, &keys);
  }

  using Seconds = std::chrono::duration<double>;
  std::this_thread::sleep_for(Seconds(fetch.warm_up_seconds));
  const auto start = std::chrono::steady_clock::now();
  const uint64_t before = keys.load();
  std::this_thread::sleep_for(Seconds(fetch.seconds));
  const uint64_t counted = keys.load() - before;
  const Seconds took = std::chrono::steady_clock::now() - start;
  ends = true;
  const absl::Status status = progress.Await();
  (*store)->Shutdown();
  if (!status.ok()) return status;
  return static_cast<double>(counted) / took.count();
}

absl::Status PopulateStore(int redis_port, uint64_t keys, const Values& values) {
  const SystemClock clock;
  auto store = StartStore(&clock, redis_port);
  if (!store.ok()) return store.status();
  absl::Status status;
  for (uint64_t first = 0; first < keys && status.ok(); first += kWritesAtOnce) {
    Progress progress;
    const uint64_t end = std::min<uint64_t>(first + kWritesAtOnce, keys);
    progress.Begin(end - first);
    for (uint64_t key = first; key < end; ++key) {
      const int64_t now = clock.NowNanos();
      const EntryMeta meta = {.version = key + 1, .created_nanos = now, .expires_nanos = now + kTtlNanos};
      WriteRequest request;
      request.name_space = kNamespace;
      request.key = KeyText(key);
      request.entry = Entry::Create(meta, "", values.Of(key));
      (*store)->Write(std::move(request),
                      [&progress](absl::StatusOr<WriteResult> result) { progress.End(result.status()); });
    }
    status = progress.Await();
  }
  (*store)->Shutdown();
  return status;
}

}  // namespace larder::bench
