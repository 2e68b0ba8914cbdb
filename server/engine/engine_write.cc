// The writing half of CacheEngine: Set, Touch, Invalidate, and changes of policy.
#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "server/engine/cache_engine.h"

namespace larder {
namespace {

// One write by this replica to one key (COHERENCE N3): nothing that was read meanwhile enters the near tier, and what
// is there leaves it both when the write starts and before it is acknowledged.
class OwnWrite {
 public:
  OwnWrite(Keyspace& space, std::string key)
      : space_(&space), key_(std::move(key)), hash_(NearCache::Hash(key_)), mark_(space.marks().Mark(hash_)) {
    space_->near().Erase(key_, hash_);
  }

  const std::string& key() const { return key_; }

  void End() {
    space_->marks().Mark(hash_);
    space_->near().Erase(key_, hash_);
  }

  // Ends the write and puts what it wrote into the near tier, unless another write of the key began or ended meanwhile:
  // which of the two the store executed last is then not known here. One that began earlier and is still under way will
  // take this one's entry out again when it ends.
  void EndAdmitting(EntryRef entry) {
    const uint64_t mark = space_->marks().Mark(hash_);
    const bool undisturbed = mark == mark_ + 1;
    if (!undisturbed ||
        !space_->near().Admit(key_, hash_, std::move(entry), [&] { return space_->marks().Current(hash_) == mark; })) {
      space_->near().Erase(key_, hash_);
    }
  }

 private:
  Keyspace* space_;
  std::string key_;
  uint64_t hash_;
  uint64_t mark_;
};

}  // namespace

absl::StatusOr<int64_t> CacheEngine::CheckSet(const NamespacePolicy& policy, const SetCommand& command) const {
  if (absl::Status status = CheckKey(policy, command.key); !status.ok()) return status;
  if (absl::Status status = CheckValue(policy, command.value); !status.ok()) return status;
  if (absl::Status status = CheckContentType(command.content_type); !status.ok()) return status;
  return ResolveTtl(policy, command.ttl);
}

void CacheEngine::Set(const CallContext& call, const SetCommand& command, Done<SetAnswer> done) {
  absl::StatusOr<Keyspace*> found = Find(command.name_space);
  if (!found.ok()) return std::move(done)(found.status());
  Keyspace& space = **found;
  const absl::StatusOr<int64_t> ttl_ms = CheckSet(space.policy(), command);
  if (!ttl_ms.ok()) {
    space.metrics().refused.Add();
    return std::move(done)(ttl_ms.status());
  }
  WriteChecked(call, space, command, *ttl_ms, std::nullopt, std::move(done));
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
  WriteChecked(call, space, fill, *ttl_ms, as_of, std::move(done));
}

void CacheEngine::WriteChecked(const CallContext& call, Keyspace& space, const SetCommand& command,
                               int64_t asked_ttl_ms, std::optional<ClockPosition> as_of, Done<SetAnswer> done) {
  if (!space.policy().enabled) return SetWhileDisabled(call, space, command, asked_ttl_ms, std::move(done));

  const int64_t start = clock_->NowNanos();
  const uint64_t version = versions_.Next();
  const int64_t ttl_ms = ApplyJitter(space.policy(), asked_ttl_ms, versions_.Next());
  EntryRef entry = Entry::Create({.version = version,
                                  .created_nanos = start,
                                  .expires_nanos = start + ttl_ms * kNanosPerMilli,
                                  .read_nanos = start},
                                 command.content_type, command.value);
  OwnWrite own(space, std::string(command.key));
  WriteRequest write{.name_space = space.name(),
                     .key = own.key(),
                     .entry = entry,
                     .condition = command.condition,
                     .as_of = as_of,
                     .known = space.clock().known(),
                     .deadline_nanos = call.deadline_nanos};
  store_->Write(std::move(write), [this, &space, own = std::move(own), entry = std::move(entry), ttl_ms, start,
                                   done = std::move(done)](absl::StatusOr<WriteResult> result) mutable {
    if (!result.ok()) {
      own.End();
      space.metrics().set_errors.Add();
      return std::move(done)(result.status());
    }
    space.clock().Apply(result->control);
    if (!result->applied) {
      own.End();
      space.metrics().sets_aborted.Add();
      return std::move(done)(SetAnswer{.applied = false, .version = result->current_version});
    }
    const uint64_t written = entry->meta().version;
    own.EndAdmitting(std::move(entry));
    space.metrics().sets.Add();
    space.metrics().set_latency.Record(clock_->NowNanos() - start);
    std::move(done)(SetAnswer{.applied = true, .version = written, .ttl_ms = ttl_ms});
  });
}

// Nothing is stored, but what the store still has under the key is now old: were the cache switched on again with it
// there, it would be served.
void CacheEngine::SetWhileDisabled(const CallContext& call, Keyspace& space, const SetCommand& command, int64_t ttl_ms,
                                   Done<SetAnswer> done) {
  if (command.condition.kind == Condition::Kind::kPresent || command.condition.kind == Condition::Kind::kVersion) {
    space.metrics().sets_aborted.Add();
    return std::move(done)(SetAnswer{});
  }
  const uint64_t version = versions_.Next();
  EraseKeys(call, space, {std::string(command.key)},
            [version, ttl_ms, done = std::move(done)](absl::StatusOr<int64_t> erased) mutable {
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
                     .known = space.clock().known(),
                     .deadline_nanos = call.deadline_nanos};
  store_->Touch(std::move(touch), [&space, own = std::move(own),
                                   done = std::move(done)](absl::StatusOr<TouchResult> result) mutable {
    own.End();
    if (!result.ok()) {
      space.metrics().touch_errors.Add();
      return std::move(done)(result.status());
    }
    space.clock().Apply(result->control);
    (result->found ? space.metrics().touches : space.metrics().touch_misses).Add();
    std::move(done)(
        TouchAnswer{.found = result->found, .version = result->version, .ttl_ms = result->ttl_nanos / kNanosPerMilli});
  });
}

void CacheEngine::Invalidate(const CallContext& call, const InvalidateCommand& command, Done<InvalidateAnswer> done) {
  absl::StatusOr<Keyspace*> found = Find(command.name_space);
  if (!found.ok()) return std::move(done)(found.status());
  Keyspace& space = **found;
  const NamespacePolicy& policy = space.policy();
  absl::Status status = command.keys.empty() && command.all ? absl::OkStatus()
                        : command.keys.empty() ? absl::InvalidArgumentError("keys: none named, and `all` not set")
                                               : CheckBatch(policy, command.keys.size(), "keys");
  for (size_t i = 0; status.ok() && i < command.keys.size(); ++i) {
    status = InElement("keys", i, CheckKey(policy, command.keys[i]));
  }
  if (!status.ok()) {
    space.metrics().refused.Add();
    return std::move(done)(status);
  }

  if (command.keys.empty()) return InvalidateAll(call, space, 0, std::move(done));
  std::vector<std::string> keys(command.keys.begin(), command.keys.end());
  const size_t named = keys.size();
  EraseKeys(
      call, space, std::move(keys),
      [this, call, &space, named, all = command.all, done = std::move(done)](absl::StatusOr<int64_t> erased) mutable {
        if (!erased.ok()) {
          space.metrics().invalidated_keys_errors.Add();
          return std::move(done)(erased.status());
        }
        space.metrics().invalidated_keys.Add(named);
        if (all) return InvalidateAll(call, space, *erased, std::move(done));
        std::move(done)(InvalidateAnswer{.dropped = *erased});
      });
}

void CacheEngine::EraseKeys(const CallContext& call, Keyspace& space, std::vector<std::string> keys,
                            Done<int64_t> done) {
  std::vector<OwnWrite> own;
  own.reserve(keys.size());
  for (const std::string& key : keys) own.emplace_back(space, key);
  EraseRequest erase{.name_space = space.name(), .keys = std::move(keys), .deadline_nanos = call.deadline_nanos};
  store_->Erase(std::move(erase),
                [own = std::move(own), done = std::move(done)](absl::StatusOr<EraseResult> result) mutable {
                  for (OwnWrite& write : own) write.End();
                  if (!result.ok()) return std::move(done)(result.status());
                  std::move(done)(result->erased);
                });
}

void CacheEngine::InvalidateAll(const CallContext& call, Keyspace& space, int64_t dropped,
                                Done<InvalidateAnswer> done) {
  store_->InvalidateAll(space.name(), space.clock().known(), call.deadline_nanos,
                        [&space, dropped, done = std::move(done)](absl::StatusOr<ControlUpdate> update) mutable {
                          if (!update.ok()) {
                            space.metrics().invalidated_all_errors.Add();
                            return std::move(done)(update.status());
                          }
                          space.clock().Apply(*update);
                          space.metrics().invalidated_all.Add();
                          std::move(done)(InvalidateAnswer{.dropped = dropped});
                        });
}

void CacheEngine::Position(const CallContext& call, std::string_view name_space, Done<ClockPosition> done) {
  absl::StatusOr<Keyspace*> found = Find(name_space);
  if (!found.ok()) return std::move(done)(found.status());
  Keyspace& space = **found;
  store_->ReadControl(space.name(), space.clock().known(), call.deadline_nanos,
                      [&space, done = std::move(done)](absl::StatusOr<ControlUpdate> update) mutable {
                        if (!update.ok()) return std::move(done)(update.status());
                        space.clock().Apply(*update);
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
                             space.clock().Apply(*update);
                             space.ReplacePolicy(policy, revision);
                           }
                           pending->End(update.status());
                         });
  }
  pending->End(absl::OkStatus());
}

}  // namespace larder
