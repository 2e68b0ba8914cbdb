#include "client/testing/fake_state.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/version_payload.h"
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
}

void SetHitRatio(v1::CacheStats* stats) {
  const int64_t gets = stats->store_hits() + stats->misses();
  if (gets > 0) stats->set_hit_ratio(static_cast<double>(stats->store_hits()) / static_cast<double>(gets));
}

}  // namespace

FakeCache::State::State(const FakeCacheOptions& options) : limits_(options) {
  MutexLock lock(&mutex_);
  for (const std::string& name : options.name_spaces) spaces_[name];
  spaces_[options.name_space];
  spaces_["default"];
}

void FakeCache::State::Advance(milliseconds by) {
  MutexLock lock(&mutex_);
  now_ += by;
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

absl::StatusOr<FakeCache::State::Space*> FakeCache::State::FindSpace(const std::string& name_space) {
  if (absl::Status status = CheckSpace(name_space); !status.ok()) return status;
  return &spaces_[name_space];
}

absl::Status FakeCache::State::CheckSpace(const std::string& name_space) const {
  if (absl::Status status = limits_.CheckNamespace(name_space); !status.ok()) return status;
  if (spaces_.contains(name_space)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("namespace: \"", name_space, "\" is not configured"));
}

FakeCache::State::Cached* FakeCache::State::FindValid(Space* space, const std::string& key) {
  const auto found = space->entries.find(key);
  if (found == space->entries.end()) return nullptr;
  if (found->second.expires > now_) return &found->second;
  space->entries.erase(found);
  return nullptr;
}

MaybeHit FakeCache::State::Look(Space* space, const std::string& key) {
  const Cached* cached = FindValid(space, key);
  ++(cached == nullptr ? space->counts.misses : space->counts.hits);
  if (cached == nullptr) return std::nullopt;
  return Hit{.value = cached->value,
             .version = cached->version,
             .tier = Tier::kStore,
             .freshness = Freshness::kFresh,
             .age = now_ - cached->created,
             .ttl = cached->expires - now_};
}

absl::StatusOr<MaybeHit> FakeCache::State::Get(const std::string& name_space, const std::string& key) {
  MutexLock lock(&mutex_);
  const absl::StatusOr<Space*> space = FindSpace(name_space);
  if (!space.ok()) return space.status();
  if (absl::Status status = limits_.CheckKey(key); !status.ok()) {
    ++(*space)->counts.refused;
    return status;
  }
  return Look(*space, key);
}

absl::StatusOr<BatchGetResults> FakeCache::State::BatchGet(const std::string& name_space,
                                                           const std::vector<std::string>& keys) {
  MutexLock lock(&mutex_);
  const absl::StatusOr<Space*> space = FindSpace(name_space);
  if (!space.ok()) return space.status();
  absl::Status status = limits_.CheckBatch(keys.size(), "keys");
  for (size_t i = 0; status.ok() && i < keys.size(); ++i) status = InElement("keys", i, limits_.CheckKey(keys[i]));
  if (!status.ok()) {
    ++(*space)->counts.refused;
    return status;
  }
  BatchGetResults results;
  results.reserve(keys.size());
  for (const std::string& key : keys) results.emplace_back(Look(*space, key));
  return results;
}

std::optional<uint64_t> FakeCache::State::Against(Space* space, const SetItem& item) {
  const Cached* cached = FindValid(space, item.key);
  const uint64_t current = cached == nullptr ? 0 : cached->version;
  bool holds = true;
  switch (item.condition.kind()) {
    case Condition::Kind::kAlways:
      break;
    case Condition::Kind::kIfAbsent:
      holds = current == 0;
      break;
    case Condition::Kind::kIfPresent:
      holds = current != 0;
      break;
    case Condition::Kind::kIfVersion:
      holds = current == item.condition.version();
      break;
  }
  if (holds) return std::nullopt;
  ++space->counts.sets_aborted;
  return current;
}

SetResult FakeCache::State::Put(Space* space, const SetItem& item, milliseconds ttl) {
  const uint64_t version = ++last_version_;
  space->entries.insert_or_assign(item.key, Cached{Value(item.value, item.content_type), version, now_, now_ + ttl});
  ++space->counts.sets;
  return {version, ttl};
}

absl::StatusOr<SetResult> FakeCache::State::Set(const std::string& name_space, const SetItem& item) {
  MutexLock lock(&mutex_);
  const absl::StatusOr<Space*> space = FindSpace(name_space);
  if (!space.ok()) return space.status();
  const absl::StatusOr<milliseconds> ttl = limits_.CheckItem(name_space, item);
  if (!ttl.ok()) {
    ++(*space)->counts.refused;
    return ttl.status();
  }
  if (const std::optional<uint64_t> current = Against(*space, item)) return Refused(*current, /*in_batch=*/false);
  return Put(*space, item, *ttl);
}

absl::StatusOr<BatchSetResults> FakeCache::State::BatchSet(const std::string& name_space,
                                                           const std::vector<SetItem>& items) {
  MutexLock lock(&mutex_);
  const absl::StatusOr<Space*> space = FindSpace(name_space);
  if (!space.ok()) return space.status();
  absl::Status status = limits_.CheckBatch(items.size(), "entries");
  std::vector<milliseconds> ttls;
  for (size_t i = 0; status.ok() && i < items.size(); ++i) {
    const absl::StatusOr<milliseconds> ttl = limits_.CheckItem(name_space, items[i]);
    status = InElement("entries", i, ttl.status());
    if (ttl.ok()) ttls.push_back(*ttl);
  }
  if (!status.ok()) {
    ++(*space)->counts.refused;
    return status;
  }
  BatchSetResults results;
  results.reserve(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    if (const std::optional<uint64_t> current = Against(*space, items[i])) {
      results.emplace_back(Refused(*current, /*in_batch=*/true));
    } else {
      results.emplace_back(Put(*space, items[i], ttls[i]));
    }
  }
  return results;
}

absl::StatusOr<bool> FakeCache::State::Touch(const std::string& name_space, const std::string& key, const Ttl& ttl) {
  MutexLock lock(&mutex_);
  const absl::StatusOr<Space*> space = FindSpace(name_space);
  if (!space.ok()) return space.status();
  absl::Status status = limits_.CheckKey(key);
  const absl::StatusOr<milliseconds> wanted = limits_.ResolveTtl(name_space, ttl);
  status.Update(wanted.status());
  if (!status.ok()) {
    ++(*space)->counts.refused;
    return status;
  }
  Cached* cached = FindValid(*space, key);
  if (cached == nullptr) return false;
  // The whole life is capped.
  cached->expires = std::min(now_ + *wanted, cached->created + limits_.max_ttl());
  if (FindValid(*space, key) == nullptr) return false;
  ++(*space)->counts.touches;
  return true;
}

absl::StatusOr<InvalidateResult> FakeCache::State::Invalidate(const std::string& name_space, const Invalidation& what) {
  MutexLock lock(&mutex_);
  const absl::StatusOr<Space*> found = FindSpace(name_space);
  if (!found.ok()) return found.status();
  Space& space = **found;
  absl::Status status;
  if (what.keys.empty() && !what.all) status = absl::InvalidArgumentError("keys: none named, and `all` not set");
  if (!what.keys.empty()) status = limits_.CheckBatch(what.keys.size(), "keys");
  for (size_t i = 0; status.ok() && i < what.keys.size(); ++i) {
    status = InElement("keys", i, limits_.CheckKey(what.keys[i]));
  }
  if (!status.ok()) {
    ++space.counts.refused;
    return status;
  }
  InvalidateResult result;
  for (const std::string& key : what.keys) {
    if (FindValid(&space, key) != nullptr) ++result.dropped;
    space.entries.erase(key);
  }
  space.counts.invalidated_keys += static_cast<int64_t>(what.keys.size());
  if (what.all) {
    space.entries.clear();
    ++space.epoch;
  }
  return result;
}

int64_t FakeCache::State::Epoch(const std::string& name_space) const {
  MutexLock lock(&mutex_);
  const auto space = spaces_.find(name_space);
  return space == spaces_.end() ? 0 : space->second.epoch;
}

absl::StatusOr<bool> FakeCache::State::Warm(const std::string& name_space, const SetItem& item, int64_t epoch) {
  SetItem fill = item;
  fill.condition = Condition::IfAbsent();
  MutexLock lock(&mutex_);
  const absl::StatusOr<Space*> space = FindSpace(name_space);
  if (!space.ok()) return space.status();
  const absl::StatusOr<milliseconds> ttl = limits_.CheckItem(name_space, fill);
  if (!ttl.ok()) {
    ++(*space)->counts.refused;
    return ttl.status();
  }
  if ((*space)->epoch != epoch || Against(*space, fill).has_value()) return false;
  Put(*space, fill, *ttl);
  return true;
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
  response->set_uptime_ms(now_.count());
  response->mutable_store()->set_kind("fake");
  response->mutable_store()->set_state(down_ ? "down" : "ready");
  for (const std::string& name : names) {
    v1::CacheStats* stats = response->add_namespaces();
    stats->set_name(name);
    const Space& space = spaces_.at(name);
    const Counts& counts = space.counts;
    stats->set_store_hits(counts.hits);
    stats->set_misses(counts.misses);
    stats->set_sets(counts.sets);
    stats->set_sets_aborted(counts.sets_aborted);
    stats->set_touches(counts.touches);
    stats->set_invalidated_keys(counts.invalidated_keys);
    stats->set_invalidated_all(space.epoch);
    stats->set_refused(counts.refused);
    SetHitRatio(stats);
    Add(*stats, response->mutable_total());
  }
  SetHitRatio(response->mutable_total());
  return ServiceStats(std::move(response));
}

bool FakeCache::State::Contains(const std::string& name_space, const std::string& key) const {
  MutexLock lock(&mutex_);
  const auto space = spaces_.find(name_space);
  if (space == spaces_.end()) return false;
  const auto found = space->second.entries.find(key);
  return found != space->second.entries.end() && found->second.expires > now_;
}

size_t FakeCache::State::size() const {
  MutexLock lock(&mutex_);
  size_t valid = 0;
  for (const auto& [name, space] : spaces_) {
    for (const auto& [key, cached] : space.entries) valid += cached.expires > now_ ? 1 : 0;
  }
  return valid;
}

milliseconds FakeCache::State::now() const {
  MutexLock lock(&mutex_);
  return now_;
}

}  // namespace larder::testing
