#include "client/src/wire.h"

#include <algorithm>
#include <utility>

#include "client/src/value_access.h"
#include "client/src/version_payload.h"
#include "core/clock.h"

namespace larder::internal {
namespace {

template <typename Message>
void SetExpiry(const Ttl& ttl, Message* message) {
  if (ttl.is_default()) return;
  if (ttl.is_class()) {
    message->set_ttl_class(ttl.ttl_class());
  } else {
    message->set_ttl_ms(ttl.duration().count());
  }
}

void SetCondition(const Condition& condition, v1::SetRequest* message) {
  switch (condition.kind()) {
    case Condition::Kind::kAlways:
      return;
    case Condition::Kind::kIfAbsent:
      return message->set_if_absent(true);
    case Condition::Kind::kIfPresent:
      return message->set_if_present(true);
    case Condition::Kind::kIfVersion:
      return message->set_if_version(condition.version());
    case Condition::Kind::kLease:
      return message->set_lease(condition.token());
  }
}

// What SetOptions and SetItem have in common but for their conditions, which a warm-up has none of.
template <typename Options, typename Message>
void SetEntry(const Options& options, Message* message) {
  message->set_content_type(options.content_type);
  SetExpiry(options.ttl, message);
  for (const std::string& tag : options.tags) message->add_tags(tag);
  if (options.stale_for.has_value()) message->set_stale_for_ms(options.stale_for->count());
  message->set_sliding(options.sliding);
  message->set_absent(options.absent);
}

Tier ToTier(v1::Tier tier) {
  if (tier == v1::TIER_NEAR) return Tier::kNear;
  if (tier == v1::TIER_ORIGIN) return Tier::kOrigin;
  return Tier::kStore;
}

// A service that says nothing of it has no stale entries.
int64_t HardTtlMillis(const v1::GetResponse& response) { return std::max(response.hard_ttl_ms(), response.ttl_ms()); }

std::chrono::milliseconds Millis(int64_t nanos) { return std::chrono::milliseconds(nanos / kNanosPerMilli); }

}  // namespace

v1::SetRequest ToMessage(std::string key, std::string value, const SetOptions& options) {
  v1::SetRequest message;
  message.set_namespace_(options.name_space);
  message.set_key(std::move(key));
  message.set_value(std::move(value));
  SetEntry(options, &message);
  SetCondition(options.condition, &message);
  if (options.consistency == Consistency::kStrong) message.set_consistency(v1::CONSISTENCY_STRONG);
  return message;
}

v1::SetRequest ToMessage(SetItem item) {
  v1::SetRequest message;
  message.set_key(std::move(item.key));
  message.set_value(std::move(item.value));
  SetEntry(item, &message);
  SetCondition(item.condition, &message);
  return message;
}

v1::WarmRequest ToWarmMessage(SetItem item, const std::string& name_space) {
  v1::WarmRequest message;
  message.set_namespace_(name_space);
  message.set_key(std::move(item.key));
  message.set_value(std::move(item.value));
  SetEntry(item, &message);
  return message;
}

v1::TouchRequest ToMessage(std::string key, const TouchOptions& options) {
  v1::TouchRequest message;
  message.set_namespace_(options.name_space);
  message.set_key(std::move(key));
  SetExpiry(options.ttl, &message);
  return message;
}

v1::InvalidateRequest ToMessage(Invalidation what, const std::string& name_space) {
  v1::InvalidateRequest message;
  message.set_namespace_(name_space);
  for (std::string& key : what.keys) message.add_keys(std::move(key));
  for (std::string& tag : what.tags) message.add_tags(std::move(tag));
  for (std::string& pattern : what.patterns) message.add_patterns(std::move(pattern));
  for (const Entity& entity : what.entities) {
    v1::Entity* added = message.add_entities();
    added->set_name(entity.name);
    for (const auto& [field, value] : entity.fields) (*added->mutable_fields())[field] = value;
  }
  message.set_all(what.all);
  if (what.mode == InvalidationMode::kSoft) message.set_mode(v1::INVALIDATION_MODE_SOFT);
  if (what.consistency == Consistency::kStrong) message.set_consistency(v1::CONSISTENCY_STRONG);
  return message;
}

bool IsHit(const v1::GetResponse& response) {
  return response.status() == v1::STATUS_HIT || response.status() == v1::STATUS_ABSENT;
}

LeasedRead ToLeasedMiss(const v1::GetResponse& response) {
  LeasedRead read;
  if (response.has_lease()) {
    read.lease = Lease{.token = response.lease().token(), .ttl = std::chrono::milliseconds(response.lease().ttl_ms())};
  }
  read.as_of = response.as_of();
  return read;
}

EntryRef ToEntry(const v1::GetResponse& response, int64_t sent_nanos, std::string_view near_key) {
  EntryMeta meta;
  meta.version = response.version();
  meta.created_nanos = sent_nanos - response.age_ms() * kNanosPerMilli;
  meta.stale_nanos = sent_nanos + response.ttl_ms() * kNanosPerMilli;
  meta.expires_nanos = sent_nanos + HardTtlMillis(response) * kNanosPerMilli;
  meta.read_nanos = sent_nanos;
  meta.absent = response.status() == v1::STATUS_ABSENT;
  const std::string& type = response.content_type();
  return Entry::Create(meta, std::string_view(type).substr(0, kMaxContentTypeBytes), response.value(), {}, near_key);
}

Hit ToHit(const v1::GetResponse& response, EntryRef entry) {
  Hit hit;
  hit.value = ValueAccess::FromEntry(std::move(entry));
  hit.version = response.version();
  hit.tier = ToTier(response.tier());
  hit.freshness = response.freshness() == v1::FRESHNESS_FRESH ? Freshness::kFresh : Freshness::kStale;
  hit.age = std::chrono::milliseconds(response.age_ms());
  hit.ttl = std::chrono::milliseconds(response.ttl_ms());
  hit.hard_ttl = std::chrono::milliseconds(HardTtlMillis(response));
  hit.absent = response.status() == v1::STATUS_ABSENT;
  hit.degraded = response.degraded();
  return hit;
}

Hit ToNearHit(EntryRef entry, int64_t now_nanos) {
  const EntryMeta& meta = entry->meta();
  Hit hit;
  hit.version = meta.version;
  hit.tier = Tier::kClient;
  hit.age = Millis(now_nanos - meta.created_nanos);
  hit.ttl = Millis(std::max<int64_t>(meta.stale_nanos - now_nanos, 0));
  hit.hard_ttl = Millis(std::max<int64_t>(meta.expires_nanos - now_nanos, 0));
  hit.absent = meta.absent;
  hit.value = ValueAccess::FromEntry(std::move(entry));
  return hit;
}

bool IsFreshHit(const v1::GetResponse& response) {
  return IsHit(response) && response.freshness() == v1::FRESHNESS_FRESH && response.ttl_ms() > 0 &&
         !response.degraded();
}

absl::StatusOr<SetResult> FromMessage(const v1::BatchSetResult& result) {
  if (result.code() == 0) {
    return SetResult{result.version(), std::chrono::milliseconds(result.ttl_ms()), result.degraded()};
  }
  absl::Status status(static_cast<absl::StatusCode>(result.code()), result.message());
  if (status.code() == absl::StatusCode::kAborted && result.version() != 0) SetCurrentVersion(status, result.version());
  return status;
}

WarmProgress FromMessage(const v1::WarmProgress& progress) {
  WarmProgress result;
  result.written = progress.written();
  result.skipped = progress.skipped();
  result.failed = progress.failed();
  result.written_bytes = progress.written_bytes();
  result.elapsed = std::chrono::milliseconds(progress.elapsed_ms());
  for (const v1::WarmFailure& failure : progress.failures()) {
    result.failures.push_back({failure.index(), failure.key(),
                               absl::Status(static_cast<absl::StatusCode>(failure.code()), failure.message())});
  }
  return result;
}

}  // namespace larder::internal
