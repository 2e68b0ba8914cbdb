#include "client/testing/fake_state.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/version_payload.h"
#include "client/testing/fake_entities.h"
#include "larder/v1/cache.pb.h"

namespace larder::testing {
namespace {

using std::chrono::milliseconds;

absl::Status Refused(uint64_t current_version, bool in_batch) {
  const std::string detail = in_batch               ? ""
                             : current_version == 0 ? ": there is no entry"
                                                    : absl::StrCat(": the entry's version is ", current_version);
  absl::Status status = absl::AbortedError("the condition does not hold" + detail);
  internal::SetCurrentVersion(status, current_version);
  return status;
}

void Add(const v1::CacheStats& from, v1::CacheStats* to) {
  to->set_store_hits(to->store_hits() + from.store_hits());
  to->set_misses(to->misses() + from.misses());
  to->set_sets(to->sets() + from.sets());
  to->set_sets_aborted(to->sets_aborted() + from.sets_aborted());
  to->set_touches(to->touches() + from.touches());
  to->set_invalidated_keys(to->invalidated_keys() + from.invalidated_keys());
  to->set_invalidated_all(to->invalidated_all() + from.invalidated_all());
  to->set_refused(to->refused() + from.refused());
  to->set_stale_hits(to->stale_hits() + from.stale_hits());
  to->set_absent_hits(to->absent_hits() + from.absent_hits());
  to->set_leases(to->leases() + from.leases());
  to->set_fills(to->fills() + from.fills());
  to->set_fills_aborted(to->fills_aborted() + from.fills_aborted());
  to->set_invalidated_groups(to->invalidated_groups() + from.invalidated_groups());
}

void SetCounts(const FakeSpace::Counts& counts, v1::CacheStats* stats) {
  stats->set_store_hits(counts.hits);
  stats->set_misses(counts.misses);
  stats->set_sets(counts.sets);
  stats->set_sets_aborted(counts.sets_aborted);
  stats->set_touches(counts.touches);
  stats->set_invalidated_keys(counts.invalidated_keys);
  stats->set_invalidated_all(counts.invalidated_all);
  stats->set_refused(counts.refused);
  stats->set_stale_hits(counts.stale_hits);
  stats->set_absent_hits(counts.absent_hits);
  stats->set_leases(counts.leases);
  stats->set_fills(counts.fills);
  stats->set_fills_aborted(counts.fills_aborted);
  stats->set_invalidated_groups(counts.invalidated_groups);
}

void SetHitRatio(v1::CacheStats* stats) {
  const int64_t gets = stats->store_hits() + stats->misses();
  if (gets > 0) stats->set_hit_ratio(static_cast<double>(stats->store_hits()) / static_cast<double>(gets));
}

}  // namespace

FakeCache::State::State(const FakeCacheOptions& options) : limits_(options), entities_(options.entities) {
  MutexLock lock(&mutex_);
  for (const std::string& name : options.name_spaces) AddSpace(name);
  AddSpace(options.name_space);
  AddSpace("default");
}

void FakeCache::State::AddSpace(const std::string& name_space) { spaces_.try_emplace(name_space, &limits_, &world_); }

void FakeCache::State::Advance(milliseconds by) {
  MutexLock lock(&mutex_);
  world_.now += by;
}

void FakeCache::State::SetDown(bool down) {
  MutexLock lock(&mutex_);
  down_ = down;
}

void FakeCache::State::FailNext(absl::Status status, int calls) {
  MutexLock lock(&mutex_);
  next_failure_ = std::move(status);
  failures_left_ = calls;
}

absl::Status FakeCache::State::Begin(int64_t Calls::*kind) {
  MutexLock lock(&mutex_);
  ++(calls_.*kind);
  if (failures_left_ > 0) {
    --failures_left_;
    return next_failure_;
  }
  return down_ ? absl::UnavailableError("the fake service is down") : absl::OkStatus();
}

FakeCache::Calls FakeCache::State::calls() const {
  MutexLock lock(&mutex_);
  return calls_;
}

absl::StatusOr<FakeSpace*> FakeCache::State::FindSpace(const std::string& name_space) {
  if (absl::Status status = CheckSpace(name_space); !status.ok()) return status;
  return &spaces_.at(name_space);
}

absl::Status FakeCache::State::CheckSpace(const std::string& name_space) const {
  if (absl::Status status = limits_.CheckNamespace(name_space); !status.ok()) return status;
  if (spaces_.contains(name_space)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("namespace: \"", name_space, "\" is not configured"));
}

absl::StatusOr<LeasedRead> FakeCache::State::Get(const std::string& name_space, const std::string& key, bool fresh_only,
                                                 bool want_lease) {
  MutexLock lock(&mutex_);
  const absl::StatusOr<FakeSpace*> space = FindSpace(name_space);
  if (!space.ok()) return space.status();
  if (absl::Status status = limits_.CheckKey(key); !status.ok()) {
    ++(*space)->counts.refused;
    return status;
  }
  return (*space)->Get(key, fresh_only, want_lease);
}

absl::StatusOr<bool> FakeCache::State::Release(const std::string& name_space, const std::string& key,
                                               const std::string& lease) {
  MutexLock lock(&mutex_);
  const absl::StatusOr<FakeSpace*> space = FindSpace(name_space);
  if (!space.ok()) return space.status();
  if (absl::Status status = limits_.CheckKey(key); !status.ok()) {
    ++(*space)->counts.refused;
    return status;
  }
  return (*space)->Release(key, lease);
}

absl::StatusOr<BatchGetResults> FakeCache::State::BatchGet(const std::string& name_space,
                                                           const std::vector<std::string>& keys, bool fresh_only) {
  MutexLock lock(&mutex_);
  const absl::StatusOr<FakeSpace*> space = FindSpace(name_space);
  if (!space.ok()) return space.status();
  absl::Status status = limits_.CheckBatch(keys.size(), "keys");
  for (size_t i = 0; status.ok() && i < keys.size(); ++i) status = InElement("keys", i, limits_.CheckKey(keys[i]));
  if (!status.ok()) {
    ++(*space)->counts.refused;
    return status;
  }
  BatchGetResults results;
  results.reserve(keys.size());
  for (const std::string& key : keys) results.emplace_back((*space)->Get(key, fresh_only, /*want_lease=*/false).hit);
  return results;
}

absl::StatusOr<SetResult> FakeCache::State::Set(const std::string& name_space, const SetItem& item) {
  MutexLock lock(&mutex_);
  const absl::StatusOr<FakeSpace*> space = FindSpace(name_space);
  if (!space.ok()) return space.status();
  const absl::StatusOr<FakeLifetime> lifetime = limits_.CheckItem(name_space, item);
  if (!lifetime.ok()) {
    ++(*space)->counts.refused;
    return lifetime.status();
  }
  SetResult result;
  const std::optional<uint64_t> against = (*space)->Set(item, *lifetime, &result);
  if (against.has_value()) return Refused(*against, /*in_batch=*/false);
  return result;
}

absl::StatusOr<BatchSetResults> FakeCache::State::BatchSet(const std::string& name_space,
                                                           const std::vector<SetItem>& items) {
  MutexLock lock(&mutex_);
  const absl::StatusOr<FakeSpace*> space = FindSpace(name_space);
  if (!space.ok()) return space.status();
  absl::Status status = limits_.CheckBatch(items.size(), "entries");
  std::vector<FakeLifetime> lifetimes;
  for (size_t i = 0; status.ok() && i < items.size(); ++i) {
    const absl::StatusOr<FakeLifetime> lifetime = limits_.CheckItem(name_space, items[i]);
    status = InElement("entries", i, lifetime.status());
    if (lifetime.ok()) lifetimes.push_back(*lifetime);
  }
  if (!status.ok()) {
    ++(*space)->counts.refused;
    return status;
  }
  BatchSetResults results;
  results.reserve(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    SetResult result;
    const std::optional<uint64_t> against = (*space)->Set(items[i], lifetimes[i], &result);
    results.push_back(against.has_value() ? absl::StatusOr<SetResult>(Refused(*against, /*in_batch=*/true)) : result);
  }
  return results;
}

absl::StatusOr<bool> FakeCache::State::Touch(const std::string& name_space, const std::string& key, const Ttl& ttl) {
  MutexLock lock(&mutex_);
  const absl::StatusOr<FakeSpace*> space = FindSpace(name_space);
  if (!space.ok()) return space.status();
  absl::Status status = limits_.CheckKey(key);
  const absl::StatusOr<milliseconds> wanted = limits_.ResolveTtl(name_space, ttl);
  status.Update(wanted.status());
  if (!status.ok()) {
    ++(*space)->counts.refused;
    return status;
  }
  const bool touched = (*space)->Touch(key, *wanted);
  (*space)->counts.touches += touched ? 1 : 0;
  return touched;
}

absl::Status FakeCache::State::CheckInvalidation(const Invalidation& what) const {
  const bool names_groups = !what.tags.empty() || !what.patterns.empty() || !what.entities.empty();
  if (what.keys.empty() && !names_groups && !what.all) {
    return absl::InvalidArgumentError("keys: none named, and `all` not set");
  }
  absl::Status status = what.keys.empty() ? absl::OkStatus() : limits_.CheckBatch(what.keys.size(), "keys");
  for (size_t i = 0; status.ok() && i < what.keys.size(); ++i) {
    status = InElement("keys", i, limits_.CheckKey(what.keys[i]));
  }
  status.Update(limits_.CheckGroups(what));
  return status;
}

absl::StatusOr<InvalidateResult> FakeCache::State::Invalidate(const std::string& name_space, Invalidation what) {
  MutexLock lock(&mutex_);
  const absl::StatusOr<FakeSpace*> space = FindSpace(name_space);
  if (!space.ok()) return space.status();
  absl::Status status = CheckInvalidation(what);
  if (status.ok()) status = ExpandEntities(entities_, &what);
  if (!status.ok()) {
    ++(*space)->counts.refused;
    return status;
  }
  return (*space)->Invalidate(what);
}

uint64_t FakeCache::State::changes() const {
  MutexLock lock(&mutex_);
  return world_.changes;
}

absl::StatusOr<bool> FakeCache::State::Warm(const std::string& name_space, const SetItem& item, uint64_t as_of) {
  SetItem fill = item;
  fill.condition = Condition();
  MutexLock lock(&mutex_);
  const absl::StatusOr<FakeSpace*> space = FindSpace(name_space);
  if (!space.ok()) return space.status();
  const absl::StatusOr<FakeLifetime> lifetime = limits_.CheckItem(name_space, fill);
  if (!lifetime.ok()) {
    ++(*space)->counts.refused;
    return lifetime.status();
  }
  return (*space)->Warm(fill, *lifetime, as_of);
}

absl::StatusOr<ServiceStats> FakeCache::State::Stats(const std::vector<std::string>& name_spaces) const {
  MutexLock lock(&mutex_);
  std::vector<std::string> names = name_spaces;
  for (const std::string& name : names) {
    if (absl::Status status = CheckSpace(name); !status.ok()) return status;
  }
  if (names.empty()) {
    for (const auto& [name, space] : spaces_) names.push_back(name);
  }
  auto response = std::make_shared<v1::StatsResponse>();
  response->set_server_version("fake");
  response->set_uptime_ms(world_.now.count());
  response->mutable_store()->set_kind("fake");
  response->mutable_store()->set_state(down_ ? "down" : "ready");
  for (const std::string& name : names) {
    v1::CacheStats* stats = response->add_namespaces();
    stats->set_name(name);
    SetCounts(spaces_.at(name).counts, stats);
    SetHitRatio(stats);
    Add(*stats, response->mutable_total());
  }
  SetHitRatio(response->mutable_total());
  return ServiceStats(std::move(response));
}

bool FakeCache::State::Contains(const std::string& name_space, const std::string& key) const {
  MutexLock lock(&mutex_);
  const auto space = spaces_.find(name_space);
  return space != spaces_.end() && space->second.Contains(key);
}

size_t FakeCache::State::size() const {
  MutexLock lock(&mutex_);
  size_t valid = 0;
  for (const auto& [name, space] : spaces_) valid += space.size();
  return valid;
}

milliseconds FakeCache::State::now() const {
  MutexLock lock(&mutex_);
  return world_.now;
}

}  // namespace larder::testing
