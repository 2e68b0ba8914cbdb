// What the engine is asked and what it answers: plain data that knows no transport.
#ifndef LARDER_SERVER_ENGINE_COMMANDS_H_
#define LARDER_SERVER_ENGINE_COMMANDS_H_

#include <cstdint>
#include <limits>
#include <optional>
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
  std::string_view name_space = {};  // empty: `default`
  std::string_view key = {};
  bool from_store = false;  // past the near tier
  // The caller can load the value. Refused where the namespace has an origin.
  bool wants_lease = false;
  int64_t wait_ms = 0;         // for what somebody else is loading; >= 0
  bool fresh_only = false;     // what is stale is a miss
  bool counts_as_read = true;  // false: of a warm-up, which says nothing about how much the key is wanted
};

enum class Tier { kNear, kStore, kOrigin };

struct GetAnswer {
  EntryRef entry = {};  // null: a miss. Its meta().absent: it is known that there is none.
  Tier tier = Tier::kStore;
  bool stale = false;
  bool degraded = false;  // from the near tier, while the store is away: a newer value may have been acknowledged
  int64_t age_nanos = 0;
  int64_t ttl_nanos = 0;       // until it is stale; 0: it is
  int64_t hard_ttl_nanos = 0;  // until it is gone
  // The caller is to load the key.
  std::optional<FillToken> lease = {};
  int64_t lease_nanos = 0;
  // Of a miss without a lease: somebody else loads it, but the caller may too.
  std::optional<FillToken> as_of = {};
};

struct BatchGetCommand {
  std::string_view name_space = {};
  std::vector<std::string_view> keys = {};
  bool from_store = false;
  bool fresh_only = false;
};

struct BatchGetItem {
  bool available = true;  // false: the store could not be asked
  GetAnswer answer = {};
};

struct SetCommand {
  std::string_view name_space = {};
  std::string_view key = {};
  std::string_view value = {};
  std::string_view content_type = {};
  TtlChoice ttl = {};
  Condition condition = {};
  std::optional<FillToken> fill = {};  // instead of a condition
  std::vector<std::string_view> tags = {};
  std::optional<int64_t> stale_for_ms = {};
  bool sliding = false;
  bool absent = false;  // `value` must be empty
  bool strong = false;  // acknowledged once no replica serves anything older (COHERENCE S2)
};

struct SetAnswer {
  bool applied = false;  // false: the condition did not hold
  uint64_t version = 0;  // of the new entry; where it was not applied, of the one that is there (0: none)
  int64_t ttl_ms = 0;
  bool degraded = false;  // kept by this replica alone, until the store is back
};

struct ReleaseCommand {
  std::string_view name_space = {};
  std::string_view key = {};
  FillToken lease = {};
};

struct TouchCommand {
  std::string_view name_space = {};
  std::string_view key = {};
  TtlChoice ttl = {};
};

struct TouchAnswer {
  bool found = false;
  uint64_t version = 0;
  int64_t ttl_ms = 0;
};

struct InvalidateCommand {
  std::string_view name_space = {};
  std::vector<std::string_view> keys = {};
  std::vector<std::string_view> tags = {};
  std::vector<std::string_view> patterns = {};
  std::vector<EntityChange> entities = {};
  bool all = false;
  bool soft = false;
  bool strong = false;
  // While the store is away it is done here and put off there, and answered as `deferred`. False: it is refused then,
  // for who must not be told so before every replica is bound by it.
  bool may_defer = true;
};

struct InvalidateAnswer {
  int64_t dropped = 0;
  bool collapsed = false;
  bool deferred = false;  // binds this replica; others once the store is back. No acknowledgement (COHERENCE P4).
};

template <typename T>
using Done = absl::AnyInvocable<void(absl::StatusOr<T>) &&>;

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_COMMANDS_H_
