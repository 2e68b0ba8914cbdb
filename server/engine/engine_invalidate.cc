// The invalidations of CacheEngine.
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/engine/cache_engine.h"
#include "server/engine/own_write.h"
#include "server/engine/wait_for_others.h"

namespace larder {
namespace {

// Of each kind, once entities are expanded: what one step of the store may be asked to do.
constexpr size_t kMaxTargets = 1'000;

// What a command comes to, its entities expanded.
struct Targets {
  std::vector<std::string> keys;
  std::vector<std::string> tags;
  std::vector<std::string> patterns;
};

absl::Status CheckGroups(size_t count, std::string_view field) {
  if (count <= kMaxGroups) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(std::string(field), ": ", count, ", the limit is ", kMaxGroups));
}

absl::Status AddNamed(const NamespacePolicy& policy, const InvalidateCommand& command, Targets& targets) {
  if (!command.keys.empty()) {
    if (absl::Status status = CheckBatch(policy, command.keys.size(), "keys"); !status.ok()) return status;
  }
  if (absl::Status status = CheckGroups(command.tags.size(), "tags"); !status.ok()) return status;
  if (absl::Status status = CheckGroups(command.patterns.size(), "patterns"); !status.ok()) return status;
  for (size_t i = 0; i < command.keys.size(); ++i) {
    if (absl::Status status = InElement("keys", i, CheckKey(policy, command.keys[i])); !status.ok()) return status;
    targets.keys.emplace_back(command.keys[i]);
  }
  for (size_t i = 0; i < command.tags.size(); ++i) {
    if (absl::Status status = InElement("tags", i, CheckTag(command.tags[i])); !status.ok()) return status;
    targets.tags.emplace_back(command.tags[i]);
  }
  for (size_t i = 0; i < command.patterns.size(); ++i) {
    if (absl::Status status = InElement("patterns", i, CheckPattern(command.patterns[i])); !status.ok()) return status;
    targets.patterns.emplace_back(command.patterns[i]);
  }
  return absl::OkStatus();
}

absl::Status AddEntities(const NamespacePolicy& policy, const InvalidateCommand& command, Targets& targets) {
  if (absl::Status status = CheckGroups(command.entities.size(), "entities"); !status.ok()) return status;
  const auto append = [](std::vector<std::string>&& from, std::vector<std::string>& to) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  for (size_t i = 0; i < command.entities.size(); ++i) {
    absl::StatusOr<Expansion> expansion = ExpandEntity(policy.entities, command.entities[i]);
    if (!expansion.ok()) return InElement("entities", i, expansion.status());
    append(std::move(expansion->keys), targets.keys);
    append(std::move(expansion->tags), targets.tags);
    append(std::move(expansion->patterns), targets.patterns);
  }
  return absl::OkStatus();
}

absl::StatusOr<Targets> Resolve(const NamespacePolicy& policy, const InvalidateCommand& command) {
  Targets targets;
  if (absl::Status status = AddNamed(policy, command, targets); !status.ok()) return status;
  if (absl::Status status = AddEntities(policy, command, targets); !status.ok()) return status;
  const std::pair<size_t, std::string_view> sizes[] = {
      {targets.keys.size(), "keys"}, {targets.tags.size(), "tags"}, {targets.patterns.size(), "patterns"}};
  for (const auto& [size, name] : sizes) {
    if (size <= kMaxTargets) continue;
    return absl::InvalidArgumentError(absl::StrCat("entities: with what is named they come to ", size, " ",
                                                   std::string(name), ", the limit is ", kMaxTargets));
  }
  if (!command.all && targets.keys.empty() && targets.tags.empty() && targets.patterns.empty()) {
    return absl::InvalidArgumentError("keys: none named, and `all` not set");
  }
  return targets;
}

}  // namespace

void CacheEngine::Invalidate(const CallContext& call, const InvalidateCommand& command, Done<InvalidateAnswer> done) {
  absl::StatusOr<Keyspace*> found = Find(command.name_space);
  if (!found.ok()) return std::move(done)(found.status());
  Keyspace& space = **found;
  absl::StatusOr<Targets> targets = Resolve(space.policy(), command);
  if (!targets.ok()) {
    space.metrics().refused.Add();
    return std::move(done)(targets.status());
  }
  if (command.strong) {
    if (absl::Status full = strong_.Enter(); !full.ok()) return std::move(done)(std::move(full));
    done = WaitForOthers<InvalidateAnswer>(
        strong_, call.deadline_nanos, [](const InvalidateAnswer&) { return true; },
        [](const InvalidateAnswer&, const absl::Status& status) { return status; }, std::move(done));
  }

  const bool may_defer = command.may_defer && !command.strong;
  GroupRequest groups{.name_space = space.name(),
                      .all = command.all,
                      .tags = std::move(targets->tags),
                      .patterns = std::move(targets->patterns),
                      .soft = command.soft,
                      .max_tags = space.policy().max_live_tags,
                      .max_patterns = space.policy().max_live_patterns,
                      .known = {},
                      .deadline_nanos = call.deadline_nanos,
                      .may_defer = may_defer};
  if (targets->keys.empty()) return InvalidateGroups(space, std::move(groups), {}, std::move(done));
  const size_t named = targets->keys.size();
  EraseRequest erase{.name_space = space.name(),
                     .keys = std::move(targets->keys),
                     .soft_versions = {},
                     .deadline_nanos = call.deadline_nanos,
                     .may_defer = may_defer};
  // COHERENCE E5: what is made stale gets a new version, so that no fill that was loaded before lands as fresh.
  if (command.soft) {
    for (size_t i = 0; i < named; ++i) erase.soft_versions.push_back(versions_.Next());
  }
  EraseKeys(space, std::move(erase),
            [this, &space, named, groups = std::move(groups),
             done = std::move(done)](absl::StatusOr<EraseResult> erased) mutable {
              KeyspaceMetrics& metrics = space.metrics();
              if (!erased.ok()) {
                metrics.invalidated_keys_errors.Add();
                return std::move(done)(erased.status());
              }
              (erased->deferred ? metrics.invalidated_keys_deferred : metrics.invalidated_keys).Add(named);
              InvalidateGroups(space, std::move(groups), {.dropped = erased->erased, .deferred = erased->deferred},
                               std::move(done));
            });
}

// COHERENCE D1: deferred or not, the keys leave the near tier before the caller is told.
void CacheEngine::EraseKeys(Keyspace& space, EraseRequest request, Done<EraseResult> done) {
  std::vector<OwnWrite> own;
  own.reserve(request.keys.size());
  for (const std::string& key : request.keys) own.emplace_back(space, key);
  store_->Erase(std::move(request),
                [own = std::move(own), done = std::move(done)](absl::StatusOr<EraseResult> result) mutable {
                  for (OwnWrite& write : own) write.End();
                  std::move(done)(std::move(result));
                });
}

void CacheEngine::InvalidateGroups(Keyspace& space, GroupRequest groups, InvalidateAnswer so_far,
                                   Done<InvalidateAnswer> done) {
  const size_t named = groups.tags.size() + groups.patterns.size();
  const bool all = groups.all;
  if (named == 0 && !all) return std::move(done)(so_far);
  groups.known = space.clock().known();
  store_->InvalidateGroups(std::move(groups), [&space, named, all, so_far,
                                               done = std::move(done)](absl::StatusOr<GroupResult> result) mutable {
    KeyspaceMetrics& metrics = space.metrics();
    if (!result.ok()) {
      (all ? metrics.invalidated_all_errors : metrics.invalidated_groups_errors).Add();
      return std::move(done)(result.status());
    }
    if (result->deferred) {
      // COHERENCE D1: it binds this replica already (Deferrals).
      if (all) metrics.invalidated_all_deferred.Add();
      metrics.invalidated_groups_deferred.Add(named);
      so_far.deferred = true;
    } else {
      // COHERENCE C2: before it is acknowledged, so that no later Get here is answered by what it killed.
      space.Absorb(result->control);
      if (all) metrics.invalidated_all.Add();
      metrics.invalidated_groups.Add(named);
    }
    if (result->collapsed) metrics.collapses.Add();
    so_far.collapsed = result->collapsed;
    std::move(done)(so_far);
  });
}

}  // namespace larder
