// Entries as they are written.
#ifndef LARDER_SERVER_ENGINE_NEW_ENTRY_H_
#define LARDER_SERVER_ENGINE_NEW_ENTRY_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/entry.h"
#include "server/engine/commands.h"
#include "server/engine/version_source.h"
#include "server/policy/policy.h"

namespace larder {

// What a caller, or the origin, wants stored.
struct EntrySpec {
  std::string_view key;
  std::string_view value;
  std::string_view content_type;
  std::vector<std::string_view> tags;
  std::optional<int64_t> stale_for_ms;
  bool sliding = false;
  bool absent = false;
  int64_t ttl_ms = 0;  // resolved, before jitter
};

struct NewEntry {
  EntryRef entry;
  int64_t ttl_ms = 0;  // until it is stale, after jitter
};

// The TTL in milliseconds, if everything about the command is within the limits; INVALID_ARGUMENT naming the field.
absl::StatusOr<int64_t> CheckSet(const NamespacePolicy& policy, const SetCommand& command);

// With a version of its own and all its times. The spec must have been checked.
NewEntry MakeNewEntry(const NamespacePolicy& policy, const EntrySpec& spec, VersionSource& versions, int64_t now_nanos);

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_NEW_ENTRY_H_
