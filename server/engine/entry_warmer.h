// One warm-up: entries in, counts out.
#ifndef LARDER_SERVER_ENGINE_ENTRY_WARMER_H_
#define LARDER_SERVER_ENGINE_ENTRY_WARMER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/mutex.h"
#include "server/engine/cache_engine.h"

namespace larder {

struct EntryWarmFailure {
  int64_t index = 0;
  std::string key;
  absl::Status status;
};

struct EntryWarmProgress {
  int64_t written = 0;
  int64_t skipped = 0;
  int64_t failed = 0;
  int64_t written_bytes = 0;
  int64_t elapsed_nanos = 0;
  std::vector<EntryWarmFailure> failures;  // since the last report
};

// Fills gaps in the cache and never overwrites: each entry is written as of the moment at which it first met its
// namespace, and only if no valid entry is there (COHERENCE E4), so that a warm-up cannot bring back what an
// invalidation of the namespace dropped while it ran. Of a single key's invalidation nothing remains in the store: an
// entry of it that is submitted later is written. Thread-safe. Shared with the callbacks of writes under way, hence
// make_shared.
class EntryWarmer : public std::enable_shared_from_this<EntryWarmer> {
 public:
  // Bounds on the entries being written, and on those plus the failures not yet taken.
  static constexpr int64_t kMaxInFlight = 64;
  static constexpr int64_t kMaxUnreported = 100;

  // `on_entry_done` runs after each entry, on any thread, without locks held.
  EntryWarmer(CacheEngine* engine, const Clock* clock, std::function<void()> on_entry_done);

  // True if another entry may be submitted without passing the bounds.
  bool HasRoom() const;

  // Starts to write the entry.
  void Submit(const CallContext& call, const SetCommand& command);
  // Counts an entry that could not even be read.
  void Refuse(std::string_view key, const absl::Status& status);

  // No entry is being written.
  bool Idle() const;
  // So many failures wait to be taken that they should be, whatever the time.
  bool ReportIsDue() const;

  // The counts so far, and the failures since the last call.
  EntryWarmProgress TakeProgress();

 private:
  void Write(const CallContext& call, const SetCommand& command, int64_t index, ClockPosition as_of);
  void End(int64_t index, std::string_view key, int64_t bytes, const absl::StatusOr<SetAnswer>& answer);

  CacheEngine* const engine_;
  const Clock* const clock_;
  const std::function<void()> on_entry_done_;
  const int64_t started_nanos_;

  mutable Mutex mutex_;
  int64_t submitted_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  EntryWarmProgress progress_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, ClockPosition, std::less<>> positions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_ENTRY_WARMER_H_
