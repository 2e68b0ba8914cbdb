// What the calls of a cache take and give. Plain data.
#ifndef LARDER_CALLS_H_
#define LARDER_CALLS_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "larder/export.h"
#include "larder/ttl.h"
#include "larder/value.h"

namespace larder {

namespace v1 {
class StatsResponse;  // larder/v1/cache.pb.h, for those who want to look into it
}  // namespace v1

// What every call may say; the other options repeat it.
struct CallOptions {
  std::string name_space = {};  // empty: the client's
  // Until the call ends, retries included: 1 ms to 24 h, or else INVALID_ARGUMENT. 0: the client's.
  std::chrono::milliseconds deadline{0};
};

struct GetOptions {
  std::string name_space = {};
  std::chrono::milliseconds deadline{0};
  // False: the answer reflects every write acknowledged, by anyone, before the call; it comes from the store itself.
  bool near = true;
};

// Where an entry was found.
enum class Tier { kClient, kNear, kStore };

// How far an entry may be relied on.
enum class Freshness {
  kFresh,
  kStale,  // also whatever this release does not know
};

// An entry that was found.
struct Hit {
  Value value;
  uint64_t version = 0;  // unique per write; compared for equality only
  Tier tier = Tier::kStore;
  Freshness freshness = Freshness::kFresh;
  std::chrono::milliseconds age{0};  // since it was written
  std::chrono::milliseconds ttl{0};  // until it expires
};

// An entry, or nothing: a miss.
using MaybeHit = std::optional<Hit>;

// On what condition a write takes place; otherwise it ends ABORTED, and CurrentVersion() of the status says what is
// there.
class Condition {
 public:
  enum class Kind { kAlways, kIfAbsent, kIfPresent, kIfVersion };

  Condition() = default;
  static Condition IfAbsent() { return Condition(Kind::kIfAbsent, 0); }
  static Condition IfPresent() { return Condition(Kind::kIfPresent, 0); }
  static Condition IfVersion(uint64_t version) { return Condition(Kind::kIfVersion, version); }

  Kind kind() const { return kind_; }
  uint64_t version() const { return version_; }

 private:
  Condition(Kind kind, uint64_t version) : kind_(kind), version_(version) {}

  Kind kind_ = Kind::kAlways;
  uint64_t version_ = 0;
};

// The version that stood against a conditional write that ended ABORTED; none if nothing was there.
LARDER_EXPORT std::optional<uint64_t> CurrentVersion(const absl::Status& status);

struct SetOptions {
  std::string name_space = {};
  std::chrono::milliseconds deadline{0};
  Ttl ttl = {};
  Condition condition = {};
  std::string content_type = {};  // up to 255 bytes; handed back by Get
};

struct SetResult {
  uint64_t version = 0;
  std::chrono::milliseconds ttl{0};  // what it was given, after the namespace's jitter
};

// One entry of a BatchSet or a Warm.
struct SetItem {
  std::string key = {};
  std::string value = {};
  Ttl ttl = {};
  Condition condition = {};  // Warm looks at none: it leaves what is there
  std::string content_type = {};
};

struct TouchOptions {
  std::string name_space = {};
  std::chrono::milliseconds deadline{0};
  Ttl ttl = {};
};

// What to drop. At least one of its fields must say something.
struct Invalidation {
  std::vector<std::string> keys = {};  // up to 1,000
  bool all = false;                    // the whole namespace
};

struct InvalidateResult {
  int64_t dropped = 0;  // how many of the named keys had an entry
};

// One result for each key or entry, in the order of the call.
using BatchGetResults = std::vector<absl::StatusOr<MaybeHit>>;
using BatchSetResults = std::vector<absl::StatusOr<SetResult>>;

// Gives the next entry, nothing at the end, or why it cannot; then what was given before is still written. One that
// throws has failed.
using WarmSource = std::function<absl::StatusOr<std::optional<SetItem>>()>;

struct WarmFailure {
  int64_t index = 0;  // the entry's place in the source, from 0
  std::string key = {};
  absl::Status status;
};

struct WarmProgress {
  int64_t written = 0;
  int64_t skipped = 0;  // a valid entry was there
  int64_t failed = 0;
  int64_t written_bytes = 0;
  std::chrono::milliseconds elapsed{0};
  std::vector<WarmFailure> failures = {};  // since the last report, at most 100
};

struct WarmOptions {
  std::string name_space = {};                                   // empty: the client's
  std::chrono::milliseconds deadline{std::chrono::minutes(10)};  // of the whole
  // Called from the client's threads; must not block or throw.
  std::function<void(const WarmProgress&)> progress = {};
};

using ServiceStats = std::shared_ptr<const v1::StatsResponse>;

struct StatsOptions {
  std::vector<std::string> name_spaces = {};  // none: all
  std::chrono::milliseconds deadline{0};      // 0: the client's
};

}  // namespace larder

#endif  // LARDER_CALLS_H_
