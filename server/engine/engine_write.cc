// The writing half of CacheEngine: Set, Release, Touch, and changes of policy.
#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "core/planted.h"
#include "server/engine/cache_engine.h"
#include "server/engine/new_entry.h"
#include "server/engine/own_write.h"
#include "server/engine/wait_for_others.h"

namespace larder {
namespace {

constexpr int kMaxWriteTries = 3;

// COHERENCE E3: the store judges by generation and tags; whether a pattern killed the entry is found here.
bool KilledByPattern(Keyspace& space, std::string_view key, uint64_t epoch) {
  for (const Stamp& stamp : space.clock().Concerning(key, TagList({}))) {
    if (stamp.group == Stamp::Group::kPattern && !stamp.soft && stamp.epoch > epoch) return true;
  }
  return false;
}

EntrySpec SpecOf(const SetCommand& command, int64_t ttl_ms) {
  return {.key = command.key,
          .value = command.value,
          .content_type = command.content_type,
          .tags = command.tags,
          .stale_for_ms = command.stale_for_ms,
          .sliding = command.sliding,
          .absent = command.absent,
          .ttl_ms = ttl_ms};
}

}  // namespace

void CacheEngine::Set(const CallContext& call, const SetCommand& command, Done<SetAnswer> done) {
  absl::StatusOr<Keyspace*> found = Find(command.name_space);
  if (!found.ok()) return std::move(done)(found.status());
  Keyspace& space = **found;
  const absl::StatusOr<int64_t> ttl_ms = CheckSet(space.policy(), command);
  if (!ttl_ms.ok()) {
    space.metrics().refused.Add();
    return std::move(done)(ttl_ms.status());
  }
  if (command.strong) {
    if (absl::Status full = strong_.Enter(); !full.ok()) return std::move(done)(std::move(full));
    done = WaitForOthers<SetAnswer>(
        strong_, call.deadline_nanos, [](const SetAnswer& answer) { return answer.applied; },
        [](const SetAnswer&, const absl::Status& status) { return status; }, std::move(done));
  }
  WriteChecked(call, space, command, {.ttl_ms = *ttl_ms}, std::move(done));
}

void CacheEngine::SetIfUntouchedSince(const CallContext& call, const SetCommand& command, ClockPosition as_of,
                                      Done<SetAnswer> done) {
  absl::StatusOr<Keyspace*> found = Find(command.name_space);
  if (!found.ok()) return std::move(done)(found.status());
  Keyspace& space = **found;
  const absl::StatusOr<int64_t> ttl_ms = CheckSet(space.policy(), command);
  if (!ttl_ms.ok()) {
    space.metrics().refused.Add();
    return std::move(done)(ttl_ms.status());
  }
  SetCommand fill = command;
  fill.condition = {.kind = Condition::Kind::kAbsent};
  WriteChecked(call, space, fill, {.ttl_ms = *ttl_ms, .as_of = as_of}, std::move(done));
}

// A Set under way.
struct CacheEngine::Write {
  Write(Keyspace& in, std::string_view key) : space(in), own(in, std::string(key)) {}

  Keyspace& space;
  OwnWrite own;
  EntryRef entry;
  Condition condition;
  std::optional<FillToken> fill;
  std::optional<ClockPosition> as_of;
  uint64_t dead_version = 0;
  uint64_t alive_version = 0;
  int tries = 0;
  int64_t ttl_ms = 0;
  bool strong = false;
  int64_t started_nanos = 0;
  int64_t deadline_nanos = 0;
  Done<SetAnswer> done;
};

void CacheEngine::WriteChecked(const CallContext& call, Keyspace& space, const SetCommand& command,
                               const WriteTerms& terms, Done<SetAnswer> done) {
  if (!space.policy().enabled) return SetWhileDisabled(call, space, command, terms.ttl_ms, std::move(done));

  const int64_t start = clock_->NowNanos();
  NewEntry made = MakeNewEntry(space.policy(), SpecOf(command, terms.ttl_ms), versions_, start);
  auto write = std::make_shared<Write>(space, command.key);
  write->entry = std::move(made.entry);
  write->condition = command.condition;
  write->fill = command.fill;
  write->as_of = terms.as_of;
  write->ttl_ms = made.ttl_ms;
  write->strong = command.strong;
  write->started_nanos = start;
  write->deadline_nanos = call.deadline_nanos;
  write->done = std::move(done);
  SendWrite(std::move(write));
}

void CacheEngine::SendWrite(std::shared_ptr<Write> write) {
  ++write->tries;
  WriteRequest request{.name_space = write->space.name(),
                       .key = write->own.key(),
                       .entry = write->entry,
                       .condition = write->condition,
                       .fill = Planted(Bug::kNoFillCheck) ? std::nullopt : write->fill,
                       .as_of = write->as_of,
                       .dead_version = write->dead_version,
                       .alive_version = write->alive_version,
                       .known = write->space.clock().known(),
                       .deadline_nanos = write->deadline_nanos};
  store_->Write(std::move(request),
                [this, write](absl::StatusOr<WriteResult> result) { EndWrite(write, std::move(result)); });
}

void CacheEngine::EndWrite(const std::shared_ptr<Write>& write, absl::StatusOr<WriteResult> result) {
  KeyspaceMetrics& metrics = write->space.metrics();
  if (!result.ok()) return EndWriteWithoutStore(*write, result.status());
  write->space.Absorb(result->control);
  if (!result->applied) {
    const uint64_t current = result->current_version;
    const bool dead = current != 0 && current != write->dead_version &&
                      KilledByPattern(write->space, write->own.key(), result->current_epoch);
    // Nothing was written, so that it may be tried again: this time the store is told what was found of the entry.
    if ((dead || result->must_judge) && write->tries < kMaxWriteTries && !write->fill.has_value()) {
      (dead ? write->dead_version : write->alive_version) = current;
      return SendWrite(write);
    }
    // Whoever waits for the key need not wait for the end of a lease that cannot be used any more.
    if (write->fill.has_value()) write->space.loader().GiveBack(write->own.key(), *write->fill, /*failed=*/false);
    write->own.End();
    (write->fill.has_value() ? metrics.fills_aborted : metrics.sets_aborted).Add();
    return std::move(write->done)(SetAnswer{.applied = false, .version = dead ? 0 : current});
  }
  // COHERENCE P2: a pattern that was invalidated since killed it on arrival, which the store could not know.
  const bool loaded = write->fill.has_value() || write->as_of.has_value();
  if (loaded && write->space.clock().Judge(write->own.key(), *write->entry) == Judgement::kDead) {
    write->own.End();
    (write->fill.has_value() ? metrics.fills_aborted : metrics.sets_aborted).Add();
    return std::move(write->done)(SetAnswer{});
  }
  const uint64_t written = write->entry->meta().version;
  write->own.EndAdmitting(std::move(write->entry));
  (write->fill.has_value() ? metrics.fills : metrics.sets).Add();
  metrics.set_latency.Record(clock_->NowNanos() - write->started_nanos);
  std::move(write->done)(SetAnswer{.applied = true, .version = written, .ttl_ms = write->ttl_ms});
}

// COHERENCE D2: the store's journal has the key, so that what is kept here never outlives the store's return.
void CacheEngine::EndWriteWithoutStore(Write& write, const absl::Status& status) {
  Keyspace& space = write.space;
  const NamespacePolicy& policy = space.policy();
  const bool plain = write.condition.kind == Condition::Kind::kNone && !write.fill.has_value() &&
                     !write.as_of.has_value() && !write.strong;
  const bool keeps = policy.on_store_loss == StoreLoss::kMemory && policy.degraded_max_age_ms > 0 && plain &&
                     absl::IsUnavailable(status) && !store_->exclusive() &&
                     space.near().Fits(write.own.key().size(), *write.entry);
  if (!keeps) {
    write.own.End();
    space.metrics().set_errors.Add();
    return std::move(write.done)(status);
  }
  // A copy: the store may still hold on to what it was given.
  EntryMeta meta = write.entry->meta();
  meta.unshared = true;
  const ClockPosition known = space.clock().known();
  meta.generation = known.generation;
  meta.epoch = known.epoch;
  EntryRef kept = Entry::Create(meta, write.entry->content_type(), write.entry->value(), write.entry->tags().encoded(),
                                write.own.key());
  // Another write of the key came between, and neither is kept.
  if (!write.own.EndAdmitting(std::move(kept))) {
    space.metrics().set_errors.Add();
    return std::move(write.done)(status);
  }
  space.metrics().sets.Add();
  std::move(write.done)(SetAnswer{.applied = true, .version = meta.version, .ttl_ms = write.ttl_ms, .degraded = true});
}

void CacheEngine::Release(const CallContext& call, const ReleaseCommand& command, Done<bool> done) {
  absl::StatusOr<Keyspace*> found = FindForKey(command.name_space, command.key);
  if (!found.ok()) return std::move(done)(found.status());
  Keyspace& space = **found;
  const NamespacePolicy& policy = space.policy();
  ReleaseRequest release{.name_space = space.name(),
                         .key = std::string(command.key),
                         .token = command.lease.token,
                         .pause_nanos = policy.refresh_retry_ms * kNanosPerMilli,
                         .serve_stale_nanos = policy.stale_if_error_ms * kNanosPerMilli,
                         .max_life_nanos = policy.max_ttl_ms * kNanosPerMilli,
                         .deadline_nanos = call.deadline_nanos};
  // What it gives a stale entry to live must be seen here, too.
  OwnWrite own(space, std::string(command.key));
  store_->Release(std::move(release),
                  [&space, own = std::move(own), done = std::move(done)](absl::StatusOr<ReleaseResult> result) mutable {
                    own.End();
                    if (!result.ok()) return std::move(done)(result.status());
                    if (result->held) space.metrics().releases.Add();
                    std::move(done)(result->held);
                  });
}

// Nothing is stored, but what the store still has under the key is now old: were the cache switched on again with it
// there, it would be served.
void CacheEngine::SetWhileDisabled(const CallContext& call, Keyspace& space, const SetCommand& command, int64_t ttl_ms,
                                   Done<SetAnswer> done) {
  if (command.condition.kind == Condition::Kind::kPresent || command.condition.kind == Condition::Kind::kVersion ||
      command.fill.has_value()) {
    space.metrics().sets_aborted.Add();
    return std::move(done)(SetAnswer{});
  }
  const uint64_t version = versions_.Next();
  EraseRequest erase{.name_space = space.name(),
                     .keys = {std::string(command.key)},
                     .soft_versions = {},
                     .deadline_nanos = call.deadline_nanos};
  EraseKeys(space, std::move(erase),
            [version, ttl_ms, done = std::move(done)](absl::StatusOr<EraseResult> erased) mutable {
              if (!erased.ok()) return std::move(done)(erased.status());
              std::move(done)(SetAnswer{.applied = true, .version = version, .ttl_ms = ttl_ms});
            });
}

void CacheEngine::Touch(const CallContext& call, const TouchCommand& command, Done<TouchAnswer> done) {
  absl::StatusOr<Keyspace*> found = FindForKey(command.name_space, command.key);
  if (!found.ok()) return std::move(done)(found.status());
  Keyspace& space = **found;
  const absl::StatusOr<int64_t> ttl_ms = ResolveTtl(space.policy(), command.ttl);
  if (!ttl_ms.ok()) {
    space.metrics().refused.Add();
    return std::move(done)(ttl_ms.status());
  }
  if (!space.policy().enabled) return std::move(done)(TouchAnswer{});

  // The near tier's copy has the old expiry, so a touch is a write like any other here.
  OwnWrite own(space, std::string(command.key));
  TouchRequest touch{.name_space = space.name(),
                     .key = own.key(),
                     .ttl_nanos = *ttl_ms * kNanosPerMilli,
                     .max_life_nanos = space.policy().max_ttl_ms * kNanosPerMilli,
                     .version = 0,
                     .known = space.clock().known(),
                     .deadline_nanos = call.deadline_nanos};
  store_->Touch(std::move(touch), [&space, own = std::move(own),
                                   done = std::move(done)](absl::StatusOr<TouchResult> result) mutable {
    own.End();
    if (!result.ok()) {
      space.metrics().touch_errors.Add();
      return std::move(done)(result.status());
    }
    space.Absorb(result->control);
    if (result->found && KilledByPattern(space, own.key(), result->epoch)) *result = TouchResult{};
    (result->found ? space.metrics().touches : space.metrics().touch_misses).Add();
    std::move(done)(
        TouchAnswer{.found = result->found, .version = result->version, .ttl_ms = result->ttl_nanos / kNanosPerMilli});
  });
}

void CacheEngine::Position(const CallContext& call, std::string_view name_space, Done<ClockPosition> done) {
  absl::StatusOr<Keyspace*> found = Find(name_space);
  if (!found.ok()) return std::move(done)(found.status());
  Keyspace& space = **found;
  store_->ReadControl(space.name(), space.clock().known(), call.deadline_nanos,
                      [&space, done = std::move(done)](absl::StatusOr<ControlUpdate> update) mutable {
                        if (!update.ok()) return std::move(done)(update.status());
                        space.Absorb(*update);
                        std::move(done)(ClockPosition{update->generation, update->epoch});
                      });
}

void CacheEngine::ReplacePolicies(const std::vector<NamespacePolicy>& policies, int64_t deadline_nanos,
                                  Done<bool> done) {
  // Counts the barriers under way, and one for this function itself.
  struct Pending {
    std::atomic<size_t> left{1};
    Mutex mutex;
    absl::Status first ABSL_GUARDED_BY(mutex);
    Done<bool> done;

    void End(const absl::Status& status) {
      {
        MutexLock lock(&mutex);
        first.Update(status);
      }
      if (left.fetch_sub(1) != 1) return;
      absl::Status result;
      {
        MutexLock lock(&mutex);
        result = first;
      }
      std::move(done)(result.ok() ? absl::StatusOr<bool>(true) : absl::StatusOr<bool>(result));
    }
  };
  auto pending = std::make_shared<Pending>();
  pending->done = std::move(done);

  for (const NamespacePolicy& policy : policies) {
    const auto found = spaces_.find(policy.name);
    if (found == spaces_.end()) continue;
    Keyspace& space = *found->second;
    const uint64_t revision = space.BeginPolicyChange();
    if (policy == space.policy()) continue;
    if (!policy.enabled || space.policy().enabled) {
      space.ReplacePolicy(policy, revision);
      continue;
    }
    pending->left.fetch_add(1);
    store_->RaiseBarrier(space.name(), deadline_nanos,
                         [&space, policy, revision, pending](absl::StatusOr<ControlUpdate> update) {
                           if (update.ok()) {
                             space.Absorb(*update);
                             space.ReplacePolicy(policy, revision);
                           }
                           pending->End(update.status());
                         });
  }
  pending->End(absl::OkStatus());
}

}  // namespace larder
