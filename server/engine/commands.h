// What the engine is asked and what it answers: plain data that knows no transport.
#ifndef LARDER_SERVER_ENGINE_COMMANDS_H_
#define LARDER_SERVER_ENGINE_COMMANDS_H_

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "core/entry.h"
#include "server/policy/policy.h"
#include "server/store/store.h"

namespace larder {

// What belongs to a call rather than to its subject.
struct CallContext {
  int64_t deadline_nanos = std::numeric_limits<int64_t>::max();  // on the engine's Clock
};

// Views need to live until the engine's method returns, no longer.

struct GetCommand {
  std::string_view name_space;  // empty: `default`
  std::string_view key;
  bool from_store = false;  // past the near tier
};

enum class Tier { kNear, kStore };

struct GetAnswer {
  EntryRef entry;  // null: a miss
  Tier tier = Tier::kStore;
  int64_t age_nanos = 0;
  int64_t ttl_nanos = 0;
};

struct BatchGetCommand {
  std::string_view name_space;
  std::vector<std::string_view> keys;
  bool from_store = false;
};

struct BatchGetItem {
  bool available = true;  // false: the store could not be asked
  GetAnswer answer;
};

struct SetCommand {
  std::string_view name_space;
  std::string_view key;
  std::string_view value;
  std::string_view content_type;
  TtlChoice ttl;
  Condition condition;
};

struct SetAnswer {
  bool applied = false;  // false: the condition did not hold
  uint64_t version = 0;  // of the new entry; where it was not applied, of the one that is there (0: none)
  int64_t ttl_ms = 0;
};

struct TouchCommand {
  std::string_view name_space;
  std::string_view key;
  TtlChoice ttl;
};

struct TouchAnswer {
  bool found = false;
  uint64_t version = 0;
  int64_t ttl_ms = 0;
};

struct InvalidateCommand {
  std::string_view name_space;
  std::vector<std::string_view> keys;
  bool all = false;
};

struct InvalidateAnswer {
  int64_t dropped = 0;
};

template <typename T>
using Done = absl::AnyInvocable<void(absl::StatusOr<T>) &&>;

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_COMMANDS_H_
