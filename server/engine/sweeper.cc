#include "server/engine/sweeper.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace larder {
namespace {

constexpr int64_t kNoDeadline = std::numeric_limits<int64_t>::max();
constexpr int64_t kLease = 30 * kNanosPerSecond;
constexpr int64_t kRenewEvery = kLease / 3;
constexpr int64_t kForgetEvery = 60 * kNanosPerSecond;
// Longer than any operation of the store may take: what was read before a sweep ended has been judged by then.
constexpr int64_t kReadsAreOver = 65 * kNanosPerSecond;
constexpr int64_t kMostBehind = 200 * kNanosPerMilli;
constexpr size_t kWalkStep = 1'000;
constexpr int64_t kWalkPause = kNanosPerMilli;  // in which other timers get their turn

}  // namespace

Sweeper::Sweeper(const Options& options, CacheEngine* engine, Store* store, const Clock* clock, Scheduler* scheduler,
                 Registry* registry)
    : options_(options), store_(store), clock_(clock), scheduler_(scheduler) {
  for (Keyspace* space : engine->keyspaces()) {
    auto area = std::make_unique<Area>();
    area->space = space;
    registry->AddGauge("cache_sweep_running", "1 while this replica sweeps the namespace.",
                       {{"namespace", space->name()}}, [at = area.get()] {
                         MutexLock lock(&at->mutex);
                         return at->running ? 1.0 : 0.0;
                       });
    areas_.push_back(std::move(area));
  }
}

void Sweeper::Start() {
  scheduler_->At(clock_->NowNanos() + options_.interval_nanos, [this] { Look(); });
}

std::vector<Sweeper::Progress> Sweeper::progress() const {
  std::vector<Progress> all;
  for (const auto& area : areas_) {
    Progress progress;
    progress.name_space = area->space->name();
    progress.pending = IsPending(*area);
    MutexLock lock(&area->mutex);
    progress.running = area->running;
    progress.scanned = area->scanned;
    progress.removed = area->removed;
    progress.elapsed_nanos = area->running ? clock_->NowNanos() - area->began_nanos : area->elapsed_nanos;
    all.push_back(std::move(progress));
  }
  return all;
}

bool Sweeper::IsPending(const Area& area) const {
  const uint64_t latest = area.space->clock().latest_hard();
  const uint64_t generation = area.space->clock().known().generation;
  const uint64_t swept = area.space->clock().floor();  // by whichever replica
  MutexLock lock(&area.mutex);
  return latest > std::max(swept, area.swept_generation == generation ? area.swept_epoch : 0);
}

void Sweeper::Look() {
  const int64_t now = clock_->NowNanos();
  for (const auto& area : areas_) {
    {
      MutexLock lock(&area->mutex);
      if (area->running) continue;
    }
    DropStamps(*area, now);
    if (IsPending(*area)) Begin(*area);
  }
  scheduler_->At(now + options_.interval_nanos, [this] { Look(); });
}

SweepRequest Sweeper::RequestFor(const Area& area, SweepRequest::Step step) const {
  return {.name_space = area.space->name(),
          .step = step,
          .sweeper = options_.id,
          .lease_nanos = kLease,
          .fence = area.fence,
          .known = area.space->clock().known(),
          .deadline_nanos = kNoDeadline};
}

void Sweeper::Begin(Area& area) {
  const int64_t now = clock_->NowNanos();
  {
    MutexLock lock(&area.mutex);
    area.running = true;
    area.began_nanos = now;
  }
  store_->Sweep(RequestFor(area, SweepRequest::Step::kBegin), [this, &area, now](absl::StatusOr<SweepResult> result) {
    if (result.ok()) area.space->Absorb(result->control);
    // Another replica's, or all swept already. How far is not known here, so that this asks again.
    if (!result.ok() || !result->mine) {
      MutexLock lock(&area.mutex);
      area.running = false;
      return;
    }
    {
      MutexLock lock(&area.mutex);
      area.scanned = 0;
      area.removed = 0;
    }
    area.fence = result->fence;
    area.has_seen_all = true;
    area.cursor.clear();
    area.renewed_nanos = now;
    area.due_nanos = now;
    Step(area);
  });
}

void Sweeper::Step(Area& area) {
  EraseDeadRequest step{
      .name_space = area.space->name(),
      .cursor = area.cursor,
      .count = options_.step_keys,
      .fence = area.fence,
      .latest_pattern = [at = area.space](std::string_view key) { return at->clock().LatestHardPattern(key); },
      .known = area.space->clock().known(),
      .deadline_nanos = kNoDeadline};
  store_->EraseDead(std::move(step), [this, &area](absl::StatusOr<EraseDeadResult> result) {
    if (result.ok()) area.space->Absorb(result->control);
    if (!result.ok() || !result->mine) return Stop(area, /*done=*/false);
    area.cursor = std::move(result->cursor);
    area.has_seen_all = area.has_seen_all && result->has_seen_all;
    area.space->metrics().swept.Add(static_cast<uint64_t>(result->erased));
    {
      MutexLock lock(&area.mutex);
      area.scanned += result->scanned;
      area.removed += result->erased;
    }
    Next(area);
  });
}

void Sweeper::Next(Area& area) {
  if (area.cursor.empty()) return End(area);
  const int64_t now = clock_->NowNanos();
  if (now - area.renewed_nanos >= kRenewEvery) return Renew(area);
  // By a timetable, so that a slow step does not make the sweep slower than it must be; but no long delay is made up
  // for.
  const int64_t step_nanos = options_.step_keys * kNanosPerSecond / options_.max_keys_per_second;
  area.due_nanos = std::max(area.due_nanos, now - kMostBehind) + step_nanos;
  scheduler_->At(std::max(now, area.due_nanos), [this, &area] { Step(area); });
}

void Sweeper::Renew(Area& area) {
  area.renewed_nanos = clock_->NowNanos();
  store_->Sweep(RequestFor(area, SweepRequest::Step::kRenew), [this, &area](absl::StatusOr<SweepResult> result) {
    if (result.ok()) area.space->Absorb(result->control);
    if (!result.ok() || !result->mine) return Stop(area, /*done=*/false);
    Next(area);
  });
}

void Sweeper::End(Area& area) {
  if (!area.has_seen_all) return Stop(area, /*done=*/false);
  store_->Sweep(RequestFor(area, SweepRequest::Step::kEnd), [this, &area](absl::StatusOr<SweepResult> result) {
    if (result.ok()) area.space->Absorb(result->control);
    Stop(area, result.ok() && result->mine);
  });
}

void Sweeper::Stop(Area& area, bool done) {
  MutexLock lock(&area.mutex);
  area.running = false;
  area.elapsed_nanos = clock_->NowNanos() - area.began_nanos;
  if (!done) return;
  area.swept_epoch = area.fence.epoch;
  area.swept_generation = area.fence.generation;
}

void Sweeper::DropStamps(Area& area, int64_t now) {
  Keyspace& space = *area.space;
  if (space.clock().tags() + space.clock().patterns() == 0) return;
  if (now - area.forgot_nanos >= kForgetEvery) {
    area.forgot_nanos = now;
    int64_t longest_ms = space.policy().max_ttl_ms + space.policy().lease_ms;
    if (space.policy().origin.has_value()) longest_ms += space.policy().origin->hard_timeout_ms;
    const int64_t longest = longest_ms * kNanosPerMilli + kReadsAreOver;
    const uint64_t generation = space.clock().known().generation;
    const auto forget = [&space, generation](const absl::StatusOr<uint64_t>& epoch) {
      // Another generation counts its epochs anew.
      if (epoch.ok() && space.clock().known().generation == generation) space.clock().Forget(*epoch);
    };
    store_->ForgetOldStamps(space.name(), longest, kNoDeadline, forget);
  }

  const uint64_t floor = space.clock().floor();
  if (floor != area.seen_floor) {
    area.seen_floor = floor;
    area.floor_seen_nanos = now;
  }
  if (floor == area.dropped_floor || now - area.floor_seen_nanos < kReadsAreOver) return;
  area.dropped_floor = floor;
  WalkNear(area, floor, {});
}

void Sweeper::WalkNear(Area& area, uint64_t floor, NearCache::Place place) {
  Keyspace& space = *area.space;
  std::vector<std::string> dead;
  const auto visit = [&](std::string_view key, const EntryRef& entry) {
    if (space.clock().Judge(key, *entry) == Judgement::kDead) dead.emplace_back(key);
  };
  const bool more = space.near().Walk(&place, kWalkStep, visit);
  for (const std::string& key : dead) space.near().Erase(key, NearCache::Hash(key));
  if (!more) return space.clock().ForgetHardPatterns(floor);
  scheduler_->At(clock_->NowNanos() + kWalkPause, [this, &area, floor, place] { WalkNear(area, floor, place); });
}

}  // namespace larder
