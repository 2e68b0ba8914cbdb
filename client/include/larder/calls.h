// What the calls of a cache take and give. Plain data.
#ifndef LARDER_CALLS_H_
#define LARDER_CALLS_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
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
  // Of what takes no waiting: with a `wait` the call ends after both at most.
  std::chrono::milliseconds deadline{0};
  // False: the answer reflects every write acknowledged, by anyone, before the call; it comes from the store itself.
  bool near = true;
  // A stale entry is a miss.
  bool fresh_only = false;
  // For how long to wait, on a miss, for the value that another caller, or the namespace's origin, is loading: 0 to
  // 24 h; the namespace may allow less. Then, or when that was given up, it is a miss. A batch takes none.
  std::chrono::milliseconds wait{0};
};

// Where an entry was found.
enum class Tier { kClient, kNear, kStore, kOrigin };

// How far an entry may be relied on.
enum class Freshness {
  kFresh,
  // Past its expiry, or invalidated as kSoft, and to be used until there is a newer one. Also whatever this release
  // does not know.
  kStale,
};

// An entry that was found.
struct Hit {
  Value value;
  uint64_t version = 0;  // unique per write; compared for equality only
  Tier tier = Tier::kStore;
  Freshness freshness = Freshness::kFresh;
  std::chrono::milliseconds age{0};       // since it was written
  std::chrono::milliseconds ttl{0};       // until it expires; of one with a `stale_for`, until it is stale
  std::chrono::milliseconds hard_ttl{0};  // until it is gone
  // It says that it is known that there is none. An entry as others are, with a version and a time to live, but its
  // value is of no bytes: who reads one must look.
  bool absent = false;
  // The service could not reach its store, and answered with what one replica had in its memory: somebody may have
  // written or invalidated the key since. `fresh_only` takes it for a miss.
  bool degraded = false;
};

// An entry, or nothing: a miss.
using MaybeHit = std::optional<Hit>;

// The right to load one key's value, given to one caller of all processes.
struct Lease {
  std::string token = {};            // opaque, at most 64 bytes; for Condition::Lease, or Cache::Release
  std::chrono::milliseconds ttl{0};  // for how long nobody else gets one
};

// What a caller gets who can load the value.
struct LeasedRead {
  MaybeHit hit = {};
  // This caller is to load the value, and to Set it or Release the lease: of a miss, of a stale hit, or of a fresh one
  // that is about to expire.
  std::optional<Lease> lease = {};
  // Of a miss where somebody else has the lease: a token for Condition::Lease. Empty: none, and then nothing that is
  // loaded may be stored.
  std::string as_of = {};
};

// On what condition a write takes place; otherwise it ends ABORTED, and CurrentVersion() of the status says what is
// there.
class Condition {
 public:
  enum class Kind { kAlways, kIfAbsent, kIfPresent, kIfVersion, kLease };

  Condition() = default;
  static Condition IfAbsent() { return Condition(Kind::kIfAbsent, 0, {}); }
  static Condition IfPresent() { return Condition(Kind::kIfPresent, 0, {}); }
  static Condition IfVersion(uint64_t version) { return Condition(Kind::kIfVersion, version, {}); }
  // Of a value that was loaded: if nothing was stored under the key, and neither the key nor a group that it belongs to
  // was invalidated, since the token was given. That of a Lease, or the `as_of` of a LeasedRead.
  static Condition Lease(std::string token) { return Condition(Kind::kLease, 0, std::move(token)); }

  Kind kind() const { return kind_; }
  uint64_t version() const { return version_; }
  const std::string& token() const { return token_; }

 private:
  Condition(Kind kind, uint64_t version, std::string token)
      : kind_(kind), version_(version), token_(std::move(token)) {}

  Kind kind_ = Kind::kAlways;
  uint64_t version_ = 0;
  std::string token_;
};

// The version that stood against a conditional write that ended ABORTED; none if nothing was there.
LARDER_EXPORT std::optional<uint64_t> CurrentVersion(const absl::Status& status);

// When a write is acknowledged.
enum class Consistency {
  // Once it has landed. Other replicas may answer with what was there before for as long as their near tiers' bound.
  kBounded,
  // Once no replica of the service answers with what was there before any more. Usually a few round trips; up to the
  // service's `near.lease` (1 s by default) where a replica does not answer, or its `near_max_age` where it goes by
  // age:
  // the deadline must allow for that. Cut short it ends DEADLINE_EXCEEDED or UNAVAILABLE, and may have landed. Clients'
  // own near caches are not waited for: a Get that is not `near` goes past them.
  kStrong,
};

struct SetOptions {
  std::string name_space = {};
  std::chrono::milliseconds deadline{0};
  Ttl ttl = {};
  Condition condition = {};
  std::string content_type = {};  // up to 255 bytes; handed back by Get
  // Groups that the entry belongs to, for Invalidate: up to 32, each 1 to 128 bytes of UTF-8.
  std::vector<std::string> tags = {};
  // For how long after its expiry it is still served, as stale. None: the namespace's.
  std::optional<std::chrono::milliseconds> stale_for = {};
  bool sliding = false;  // each Get gives it its TTL anew, within the namespace's longest from its Set on
  // It is known that there is none; the value must be empty. Without a TTL it gets the namespace's `absent_ttl`.
  bool absent = false;
  Consistency consistency = Consistency::kBounded;
};

struct SetResult {
  uint64_t version = 0;
  std::chrono::milliseconds ttl{0};  // what it was given, after the namespace's jitter
  // The service could not reach its store: one replica keeps the entry in its memory, until the store is back.
  bool degraded = false;
};

// One entry of a BatchSet or a Warm.
struct SetItem {
  std::string key = {};
  std::string value = {};
  Ttl ttl = {};
  Condition condition = {};  // Warm looks at none: it leaves what is there
  std::string content_type = {};
  // As in SetOptions.
  std::vector<std::string> tags = {};
  std::optional<std::chrono::milliseconds> stale_for = {};
  bool sliding = false;
  bool absent = false;
  // Where one entry of a BatchSet is kStrong all are: the call waits once. Warm looks at none.
  Consistency consistency = Consistency::kBounded;
};

struct TouchOptions {
  std::string name_space = {};
  std::chrono::milliseconds deadline{0};
  Ttl ttl = {};
};

// What becomes of what is invalidated.
enum class InvalidationMode {
  kHard,  // it is gone
  kSoft,  // it is stale: served as such until somebody has loaded it anew, for as long as it had left to live
};

// Something of the system of record that changed. The rule that the service's configuration has for its name says which
// keys, tags and patterns that concerns; larder/entity.h is for those who would rather say it in their code.
struct Entity {
  friend bool operator==(const Entity&, const Entity&) = default;

  std::string name = {};
  std::map<std::string, std::string> fields = {};  // those that the rule names, no more and no less
};

// What to drop. At least one of its lists, or `all`, must say something. All that they name goes in one step, however
// many entries that are; an entity's rule, a tag or a pattern may also concern what is being loaded just now.
struct Invalidation {
  std::vector<std::string> keys = {};  // up to 1,000
  std::vector<std::string> tags = {};  // up to 100: every entry that has one of them
  std::vector<std::string> patterns =
      {};                             // up to 100: every entry whose key matches; `*`: any bytes, `?`: any one byte
  std::vector<Entity> entities = {};  // up to 100
  bool all = false;                   // the whole namespace
  InvalidationMode mode = InvalidationMode::kHard;
  Consistency consistency = Consistency::kBounded;
};

struct InvalidateResult {
  // How many of the named keys, those of entities included, had an entry. What groups dropped is not looked at.
  int64_t dropped = 0;
  // There were too many live tags or patterns: the whole namespace was dropped instead.
  bool collapsed = false;
  // The service could not reach its store: what was named is dropped on one replica, and will be everywhere once the
  // store is back. Until then others may answer with it, and it is lost if that replica ends before.
  bool deferred = false;
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
