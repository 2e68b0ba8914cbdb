// A namespace's system of record, as the engine sees it.
#ifndef LARDER_SERVER_ENGINE_ORIGIN_H_
#define LARDER_SERVER_ENGINE_ORIGIN_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "server/policy/policy.h"

namespace larder {

// What the system of record has under a key, and how it wants that to be cached.
struct OriginValue {
  std::string value;
  bool absent = false;  // there is none
  TtlChoice ttl;
  std::optional<int64_t> stale_for_ms;
  std::string content_type;
  std::vector<std::string> tags;
  bool do_not_cache = false;
};

// Thread-safe; returns at once and runs each `done` exactly once, on any thread. `done` must not block.
//
// Errors: UNAVAILABLE it cannot be reached, or is being left alone after failures; DEADLINE_EXCEEDED it did not answer
// in time; RESOURCE_EXHAUSTED too many keys wait for it; FAILED_PRECONDITION it answered what it must not; UNKNOWN it
// said that it could not load this key, and why.
class Origin {
 public:
  virtual ~Origin() = default;

  // Keys that are asked for at about the same time go out in one call.
  virtual void Load(std::string key, absl::AnyInvocable<void(absl::StatusOr<OriginValue>) &&> done) = 0;

  // Hands the keys with this prefix to `take`, some at a time, on one thread after the other, until there are no more,
  // `limit` of them (0: no limit) were given, or `take` says false; then runs `done`. `take` may block for a while: no
  // more are asked for meanwhile.
  virtual void Enumerate(std::string prefix, int64_t limit, absl::AnyInvocable<bool(std::vector<std::string>)> take,
                         absl::AnyInvocable<void(absl::Status) &&> done) = 0;

  // Fails what waits with UNAVAILABLE and waits for what is under way to be cancelled. Blocks for a short while.
  virtual void Shutdown() = 0;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_ORIGIN_H_
