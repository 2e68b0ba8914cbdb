#include "client/testing/fake_space.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/pattern.h"

namespace larder::testing {
namespace {

using std::chrono::milliseconds;

bool HasAny(const std::vector<std::string>& tags, const std::vector<std::string>& wanted) {
  return std::any_of(tags.begin(), tags.end(), [&](const std::string& tag) {
    return std::find(wanted.begin(), wanted.end(), tag) != wanted.end();
  });
}

bool MatchesAny(const std::string& key, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return MatchesPattern(pattern, key); });
}

}  // namespace

FakeSpace::Cached* FakeSpace::Find(const std::string& key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  if (found->second.expires > world_->now) return &found->second;
  entries_.erase(found);
  return nullptr;
}

MaybeHit FakeSpace::ToHit(const Cached& cached) {
  const bool stale = cached.stale <= world_->now;
  ++counts.hits;
  counts.stale_hits += stale ? 1 : 0;
  counts.absent_hits += cached.absent ? 1 : 0;
  return Hit{.value = cached.value,
             .version = cached.version,
             .tier = Tier::kStore,
             .freshness = stale ? Freshness::kStale : Freshness::kFresh,
             .age = world_->now - cached.created,
             .ttl = std::max(cached.stale - world_->now, milliseconds(0)),
             .hard_ttl = cached.expires - world_->now,
             .absent = cached.absent};
}

FakeSpace::Stamps FakeSpace::StampsOf(const std::string& key, const std::vector<std::string>& tags) const {
  Stamps last = all_stamps_;
  const auto take = [&last](const Stamps& stamps) {
    last.hard = std::max(last.hard, stamps.hard);
    last.soft = std::max(last.soft, stamps.soft);
  };
  for (const std::string& tag : tags) {
    if (const auto found = tag_stamps_.find(tag); found != tag_stamps_.end()) take(found->second);
  }
  for (const auto& [pattern, stamps] : pattern_stamps_) {
    if (MatchesPattern(pattern, key)) take(stamps);
  }
  return last;
}

bool FakeSpace::IsHeld(const std::string& key) const {
  const auto found = held_.find(key);
  if (found == held_.end() || found->second.until <= world_->now) return false;
  return StampsOf(key, {}).hard <= found->second.since;  // a lease from before cannot be filled
}

Lease FakeSpace::Grant(const std::string& key, uint64_t version) {
  const uint64_t since = world_->changes++;
  Held& held = held_[key];
  held = {.token = absl::StrCat("lease-", since),
          .since = since,
          .version = version,
          .until = world_->now + limits_->lease()};
  ++counts.leases;
  return {.token = held.token, .ttl = limits_->lease()};
}

bool FakeSpace::IsDue(const Cached& cached) const {
  if (cached.stale <= world_->now) return true;
  if (limits_->eager_refresh() <= 0) return false;
  const auto life = static_cast<double>((cached.stale - cached.created).count());
  return static_cast<double>((world_->now - cached.created).count()) >= life * limits_->eager_refresh();
}

LeasedRead FakeSpace::Get(const std::string& key, bool fresh_only, bool want_lease) {
  LeasedRead read;
  Cached* cached = Find(key);
  const bool stale = cached != nullptr && cached->stale <= world_->now;
  if (cached != nullptr && !(stale && fresh_only)) {
    if (cached->sliding.count() > 0 && !stale) Touch(key, cached->sliding);
    read.hit = ToHit(*cached);
    if (want_lease && IsDue(*cached) && !IsHeld(key)) read.lease = Grant(key, cached->version);
    return read;
  }
  ++counts.misses;
  if (!want_lease) return read;
  if (IsHeld(key)) {
    read.as_of = held_[key].token;
  } else {
    read.lease = Grant(key, cached == nullptr ? 0 : cached->version);
  }
  return read;
}

bool FakeSpace::HoldsLease(const SetItem& item) {
  const auto found = held_.find(item.key);
  if (found == held_.end() || found->second.token.empty() || found->second.token != item.condition.token()) {
    return false;
  }
  const Held& held = found->second;
  if (StampsOf(item.key, item.tags).hard > held.since) return false;
  // The right to load what is missing goes with its placeholder; that to load something anew with what is there.
  if (held.version == 0) return held.until > world_->now;
  const Cached* cached = Find(item.key);
  return cached != nullptr && cached->version == held.version;
}

std::optional<uint64_t> FakeSpace::Against(const SetItem& item) {
  const Cached* cached = Find(item.key);
  const uint64_t current = cached == nullptr ? 0 : cached->version;
  switch (item.condition.kind()) {
    case Condition::Kind::kAlways:
      return std::nullopt;
    case Condition::Kind::kIfAbsent:
      return current == 0 ? std::nullopt : std::optional(current);
    case Condition::Kind::kIfPresent:
      return current != 0 ? std::nullopt : std::optional(current);
    case Condition::Kind::kIfVersion:
      return current == item.condition.version() ? std::nullopt : std::optional(current);
    case Condition::Kind::kLease:
      return HoldsLease(item) ? std::nullopt : std::optional(current);
  }
  return current;
}

SetResult FakeSpace::Put(const SetItem& item, const FakeLifetime& lifetime) {
  Cached cached;
  cached.value = Value(item.value, item.content_type);
  cached.version = ++world_->changes;
  cached.created = world_->now;
  cached.stale = world_->now + lifetime.soft;
  cached.expires = world_->now + lifetime.hard;
  cached.sliding = item.sliding ? lifetime.soft : milliseconds(0);
  cached.absent = item.absent;
  cached.tags = item.tags;
  const SetResult result{cached.version, lifetime.soft};
  entries_.insert_or_assign(item.key, std::move(cached));
  held_.erase(item.key);
  ++counts.sets;
  return result;
}

std::optional<uint64_t> FakeSpace::Set(const SetItem& item, const FakeLifetime& lifetime, SetResult* result) {
  const bool fill = item.condition.kind() == Condition::Kind::kLease;
  if (const std::optional<uint64_t> current = Against(item)) {
    ++(fill ? counts.fills_aborted : counts.sets_aborted);
    return current;
  }
  // Loaded before a group that it belongs to was made stale (COHERENCE E5): it is so, too.
  const bool softened = fill && StampsOf(item.key, item.tags).soft > held_[item.key].since;
  FakeLifetime given = lifetime;
  if (softened) given.soft = milliseconds(0);
  *result = Put(item, given);
  counts.fills += fill ? 1 : 0;
  if (softened) Soften(&entries_.at(item.key));
  return std::nullopt;
}

bool FakeSpace::Warm(const SetItem& item, const FakeLifetime& lifetime, uint64_t as_of) {
  const Stamps stamps = StampsOf(item.key, item.tags);
  if (std::max(stamps.hard, stamps.soft) > as_of) return false;
  if (Find(item.key) != nullptr) {
    ++counts.sets_aborted;
    return false;
  }
  Put(item, lifetime);
  return true;
}

bool FakeSpace::Release(const std::string& key, const std::string& token) {
  const auto found = held_.find(key);
  if (found == held_.end() || found->second.token != token || found->second.until <= world_->now) return false;
  if (found->second.version == 0) {
    held_.erase(found);
  } else {
    found->second = Held();
    found->second.until = world_->now + limits_->refresh_retry();
  }
  return true;
}

bool FakeSpace::Touch(const std::string& key, milliseconds ttl) {
  Cached* cached = Find(key);
  // What somebody has called wrong is not made fresh by the wish; what has aged is.
  if (cached == nullptr || cached->softened) return false;
  const milliseconds last = cached->created + limits_->max_ttl();
  const milliseconds stale_for = cached->expires - cached->stale;
  cached->stale = std::min(world_->now + ttl, last);
  cached->expires = std::min(cached->stale + stale_for, last);
  return Find(key) != nullptr;
}

void FakeSpace::Kill(const std::string& key, InvalidationMode mode) {
  held_.erase(key);
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  if (mode == InvalidationMode::kHard) {
    entries_.erase(found);
  } else {
    found->second.version = ++world_->changes;
    Soften(&found->second);
  }
}

void FakeSpace::KillGrouped(const std::string& key, InvalidationMode mode) {
  if (mode == InvalidationMode::kHard) return Kill(key, mode);
  if (Cached* cached = Find(key); cached != nullptr) Soften(cached);
}

void FakeSpace::Soften(Cached* cached) {
  cached->stale = std::min(cached->stale, world_->now);
  cached->softened = true;
}

InvalidateResult FakeSpace::Invalidate(const Invalidation& what) {
  InvalidateResult result;
  for (const std::string& key : what.keys) {
    if (Find(key) != nullptr) ++result.dropped;
    Kill(key, what.mode);
  }
  std::vector<std::string> grouped;
  for (const auto& [key, cached] : entries_) {
    if (what.all || HasAny(cached.tags, what.tags) || MatchesAny(key, what.patterns)) grouped.push_back(key);
  }
  for (const std::string& key : grouped) KillGrouped(key, what.mode);

  const uint64_t change = ++world_->changes;
  const auto stamp = [&](Stamps& stamps) {
    (what.mode == InvalidationMode::kHard ? stamps.hard : stamps.soft) = change;
  };
  for (const std::string& tag : what.tags) stamp(tag_stamps_[tag]);
  for (const std::string& pattern : what.patterns) stamp(pattern_stamps_[pattern]);
  if (what.all) stamp(all_stamps_);
  counts.invalidated_keys += static_cast<int64_t>(what.keys.size());
  counts.invalidated_groups += static_cast<int64_t>(what.tags.size() + what.patterns.size());
  counts.invalidated_all += what.all ? 1 : 0;
  return result;
}

bool FakeSpace::Contains(const std::string& key) const {
  const auto found = entries_.find(key);
  return found != entries_.end() && found->second.expires > world_->now;
}

size_t FakeSpace::size() const {
  return static_cast<size_t>(std::count_if(entries_.begin(), entries_.end(),
                                           [&](const auto& entry) { return entry.second.expires > world_->now; }));
}

}  // namespace larder::testing
