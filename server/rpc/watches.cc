#include "server/rpc/watches.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/watch_call.h"

namespace larder {

Watches::Watches(Options options, CacheEngine* engine, const Clock* clock, Scheduler* scheduler, Registry* registry)
    : options_(options),
      engine_(engine),
      clock_(clock),
      scheduler_(scheduler),
      gaps_(registry->AddCounter("cache_watch_gaps_total", "Times that a watcher was told of a gap.")),
      cut_off_(registry->AddCounter("cache_watch_cut_off_total", "Watchers that were cut off for being too slow.")) {
  registry->AddGauge("cache_watchers", "Watch streams that are open.", {}, [this] {
    MutexLock lock(&mutex_);
    return static_cast<double>(count_);
  });
  for (Keyspace* space : engine_->keyspaces()) {
    space->changes().SetListener([this, space] { WakeLater(space); });
    registry->AddCounterCallback("cache_watch_events_total", "Changes that were to be told to watchers.",
                                 {{"namespace", space->name()}},
                                 [space] { return static_cast<double>(space->changes().events()); });
  }
}

absl::StatusOr<Keyspace*> Watches::Find(std::string_view name_space) const {
  absl::StatusOr<Keyspace*> space = engine_->Find(name_space);
  if (!space.ok()) return space;
  if (options_.incarnation != 0) return space;
  return absl::FailedPreconditionError(
      "near.coherence: this replica is not told what changes in its store; only without `age`, or with the embedded "
      "store, can it be watched");
}

absl::Status Watches::Add(Keyspace* space, std::weak_ptr<WatchCall> call) {
  MutexLock lock(&mutex_);
  if (ended_) return absl::UnavailableError("the server is shutting down");
  if (count_ >= options_.max_watchers) {
    return absl::ResourceExhaustedError(
        absl::StrCat("watch.max_watchers: ", options_.max_watchers, " streams are open already"));
  }
  ++count_;
  auto& calls = calls_[space];
  calls.erase(std::remove_if(calls.begin(), calls.end(), [](const auto& watch) { return watch.expired(); }),
              calls.end());
  calls.push_back(std::move(call));
  return absl::OkStatus();
}

void Watches::Remove() {
  MutexLock lock(&mutex_);
  --count_;
}

Watches::Calls Watches::Of(Keyspace* space) {
  Calls alive;
  MutexLock lock(&mutex_);
  for (const auto& watch : calls_[space]) {
    if (auto call = watch.lock()) alive.push_back(std::move(call));
  }
  return alive;
}

void Watches::WakeLater(Keyspace* space) {
  scheduler_->At(clock_->NowNanos(), [this, space] {
    for (const auto& call : Of(space)) call->Wake();
  });
}

void Watches::EndAll() {
  {
    MutexLock lock(&mutex_);
    ended_ = true;
  }
  for (Keyspace* space : engine_->keyspaces()) {
    for (const auto& call : Of(space)) call->End();
  }
}

absl::StatusOr<uint64_t> Watches::Renew(std::string_view name_space) const {
  absl::StatusOr<Keyspace*> space = Find(name_space);
  if (!space.ok()) return space.status();
  if (const std::optional<uint64_t> position = (*space)->changes().Proved(clock_->NowNanos())) return *position;
  return absl::UnavailableError("the store has not told of changes for as long as near.lease");
}

}  // namespace larder
