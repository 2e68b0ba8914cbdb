// Fills the cache with what the application knows how to load.
#ifndef LARDER_WARM_JOB_H_
#define LARDER_WARM_JOB_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "larder/cache.h"
#include "larder/calls.h"
#include "larder/export.h"
#include "larder/load.h"
#include "larder/ttl.h"

namespace larder {

namespace internal {

// Cache::LoadIfDue of one key, without its type.
using WarmLoad = std::function<absl::StatusOr<bool>(const std::string& key, const Ttl& ttl,
                                                    std::chrono::milliseconds due_under, const LoadOptions& how)>;

}  // namespace internal

// Keys and a loader of the application's, run once or on a schedule:
//
//   auto job = larder::WarmJob::For<Service>(cache, {.name = "catalogue", .keys = [&] { return db.ServiceKeys(); }},
//                                            [&](const std::string& key) { return db.LoadService(key); });
//   absl::StatusOr<larder::WarmJob::Progress> done = (*job)->RunOnce();
//
// A key that has an entry when the run comes to it, of whatever type, is left as it is and its loader not called. One
// exception: in a job with `every`, an entry of the loader's type that would expire before the next run is loaded anew,
// and replaced if nobody has changed it since; it is stale meanwhile, and stays so where the loader fails. So keys
// whose TTL is longer than `every` stay warm, but for those that expire during a run, before it comes to them. A stale
// entry that another caller is loading anew is left to that one. What is loaded is written as GetOrLoad writes it, so
// that a key that this process invalidated meanwhile is not filled with what it had before. A loader that fails is
// counted and reported, stops nothing, and caches nothing. A cache that cannot be read or written for some keys in a
// row ends the run.
//
// Each run takes the keys in an order of its own, so that several processes that warm the same ones do not all load the
// same one at a time. The observer is not told of the reads by which it finds out, many keys at a time, what is there;
// it is told of the reads and loads of the keys that are due.
//
// Thread-safe. The cache, and whatever the functions use, must outlive the job.
class LARDER_EXPORT WarmJob {
 public:
  static constexpr int kMaxConcurrency = 64;
  static constexpr size_t kMaxFailures = 100;

  // Of one run. Each key counts once, however often it was named; at the end of a whole run
  // total = loaded + skipped + absent + failed.
  struct Progress {
    int64_t total = 0;
    int64_t loaded = 0;   // and written
    int64_t skipped = 0;  // cached and not due, by this run's start or since, or invalidated by this process meanwhile
    int64_t absent = 0;   // the loader said that there is none
    int64_t failed = 0;   // not loaded or not written
    std::chrono::milliseconds elapsed{0};
    // The first ones to fail, at most kMaxFailures; `index` is the key's place in what `keys` named, each counted once.
    std::vector<WarmFailure> failures = {};
  };

  struct Options {
    // Of the job, in messages.
    std::string name = {};
    // Called at the start of each run; may block.
    std::function<absl::StatusOr<std::vector<std::string>>()> keys = {};
    Ttl ttl = {};
    // For loaders of a std::optional: how long "there is none" is cached. None: it is not.
    std::optional<Ttl> absent_ttl = {};
    // Of the key's entry, as in SetOptions; called before each loader, may block. Where a cached function reads it,
    // they must be those of its Tags. Null: none.
    std::function<std::vector<std::string>(const std::string& key)> tags = {};
    // As in SetOptions.
    std::optional<std::chrono::milliseconds> stale_for = {};
    // Empty: the cache's.
    std::string name_space = {};
    // Of each call of the cache, up to 24 h. 0: the cache's.
    std::chrono::milliseconds deadline{0};
    // Loaders that run at a time, each on a thread of its own. 1 to kMaxConcurrency.
    int concurrency = 4;
    // Loaders started in a second, at least 0.001. 0: as many as there is time for.
    double max_per_second = 0;
    // Keys in a row that the cache could not be read or written for, after which a run gives up. At least 1.
    int give_up_after = 10;
    // From the start of a run to that of the next; a run that takes longer is followed by the next at once. 0: Start
    // makes one run. Up to 366 days.
    std::chrono::milliseconds every{0};
    // Called during a run, ten times a second at most, and at its end; on the run's own thread. Must not throw.
    std::function<void(const Progress&)> progress = {};
    // Called after each run, with what RunOnce returns; on the run's own thread. Must not throw.
    std::function<void(const absl::StatusOr<Progress>&)> ended = {};
  };

  // `load` is called as `T(const std::string& key)` or `absl::StatusOr<T>(key)`, by several threads at a time, and may
  // block. INVALID_ARGUMENT, naming the option, if the options make no sense.
  template <typename T, typename Load>
  static absl::StatusOr<std::unique_ptr<WarmJob>> For(Cache& cache, Options options, Load load);

  // Stops.
  ~WarmJob();
  WarmJob(const WarmJob&) = delete;
  WarmJob& operator=(const WarmJob&) = delete;

  // Makes a run and blocks until it has ended.
  //   FAILED_PRECONDITION  a run of this job is under way
  //   CANCELLED            Stop was called
  //   RESOURCE_EXHAUSTED   there is no thread to be had for a loader; where there are some, but fewer than
  //                        `concurrency`, the run makes do with these
  //   the status of `keys` (INTERNAL if it threw), or the cache's, if the run gave up
  absl::StatusOr<Progress> RunOnce();

  // Makes runs on a thread of its own, the first one now. Does nothing if they are being made. Where there is no thread
  // to be had, no run is made, and `ended` is told RESOURCE_EXHAUSTED, on the calling thread.
  void Start();

  // Ends the run under way, between keys, and the schedule; returns when both have ended, and so waits for loaders. The
  // job may be started again. Neither Start nor Stop may be called by the job's own functions.
  void Stop();

 private:
  class Impl;

  explicit WarmJob(std::unique_ptr<Impl> impl);
  static absl::StatusOr<std::unique_ptr<WarmJob>> Create(Cache& cache, Options options, internal::WarmLoad load);

  const std::unique_ptr<Impl> impl_;
};

template <typename T, typename Load>
absl::StatusOr<std::unique_ptr<WarmJob>> WarmJob::For(Cache& cache, Options options, Load load) {
  static_assert(std::is_invocable_r_v<absl::StatusOr<T>, const Load&, const std::string&>,
                "the loader must be callable as const with a key and return T or absl::StatusOr<T>");
  return Create(cache, std::move(options),
                [&cache, load = std::move(load)](const std::string& key, const Ttl& ttl,
                                                 std::chrono::milliseconds due_under, const LoadOptions& how) {
                  return cache.LoadIfDue<T>(
                      key, ttl, due_under, [&]() -> absl::StatusOr<T> { return load(key); }, how);
                });
}

}  // namespace larder

#endif  // LARDER_WARM_JOB_H_
