#include "server/engine/new_entry.h"

#include "core/clock.h"

namespace larder {

absl::StatusOr<int64_t> CheckSet(const NamespacePolicy& policy, const SetCommand& command) {
  if (absl::Status status = CheckKey(policy, command.key); !status.ok()) return status;
  if (absl::Status status = CheckValue(policy, command.value); !status.ok()) return status;
  if (command.absent && !command.value.empty()) {
    return absl::InvalidArgumentError("value: must be empty where `absent` is set");
  }
  if (absl::Status status = CheckContentType(command.content_type); !status.ok()) return status;
  if (absl::Status status = CheckTags(policy, command.tags); !status.ok()) return status;
  const bool unsaid = !command.ttl.ttl_ms.has_value() && !command.ttl.ttl_class.has_value();
  absl::StatusOr<int64_t> ttl_ms =
      command.absent && unsaid ? absl::StatusOr<int64_t>(policy.absent_ttl_ms) : ResolveTtl(policy, command.ttl);
  if (!ttl_ms.ok()) return ttl_ms;
  if (absl::Status status = ResolveLifetime(policy, *ttl_ms, command.stale_for_ms).status(); !status.ok()) {
    return status;
  }
  return ttl_ms;
}

NewEntry MakeNewEntry(const NamespacePolicy& policy, const EntrySpec& spec, VersionSource& versions,
                      int64_t now_nanos) {
  const int64_t ttl_ms = ApplyJitter(policy, spec.ttl_ms, versions.Next());
  const absl::StatusOr<Lifetime> resolved = ResolveLifetime(policy, ttl_ms, spec.stale_for_ms);
  const Lifetime life = resolved.ok() ? *resolved : Lifetime{ttl_ms, ttl_ms};
  const EntryMeta meta{.version = versions.Next(),
                       .created_nanos = now_nanos,
                       .expires_nanos = now_nanos + life.hard_ms * kNanosPerMilli,
                       .stale_nanos = now_nanos + life.soft_ms * kNanosPerMilli,
                       .read_nanos = now_nanos,
                       .sliding_nanos = spec.sliding ? life.soft_ms * kNanosPerMilli : 0,
                       .absent = spec.absent};
  return {Entry::Create(meta, spec.content_type, spec.value, TagList::Encode(spec.tags), spec.key), life.soft_ms};
}

}  // namespace larder
