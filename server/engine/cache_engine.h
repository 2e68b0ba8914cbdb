// The cache: the only class that knows the order of the tiers.
#ifndef LARDER_SERVER_ENGINE_CACHE_ENGINE_H_
#define LARDER_SERVER_ENGINE_CACHE_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "core/clock.h"
#include "server/engine/commands.h"
#include "server/engine/keyspace.h"
#include "server/engine/version_source.h"
#include "server/metrics/metrics.h"
#include "server/policy/policy.h"
#include "server/store/store.h"

namespace larder {

// What Stats tells of one namespace.
struct KeyspaceStats {
  std::string name;
  uint64_t near_hits = 0;
  uint64_t store_hits = 0;
  uint64_t misses = 0;
  uint64_t get_errors = 0;
  uint64_t refused = 0;
  uint64_t sets = 0;
  uint64_t sets_aborted = 0;
  uint64_t set_errors = 0;
  uint64_t touches = 0;
  uint64_t invalidated_keys = 0;
  uint64_t invalidated_all = 0;
  uint64_t near_aged = 0;
  NearCacheStats near;
  HistogramSnapshot near_hit_latency;
  HistogramSnapshot store_hit_latency;
  HistogramSnapshot miss_latency;
  HistogramSnapshot set_latency;

  // Adds the other's numbers to these; the name stays.
  void Add(const KeyspaceStats& other);
};

// The status, with the element of the field that it is about; OK stays OK.
absl::Status InElement(std::string_view field, size_t index, const absl::Status& status);

// Asynchronous and free of any transport. Every method returns at once and runs `done` exactly once: inline, before it
// returns, where no store had to be asked; else on a thread of the store. `done` must not block. Thread-safe.
//
// Errors: INVALID_ARGUMENT naming the field and the limit, and those of the Store. The outcome of a write that ended
// with one of the latter is unknown.
class CacheEngine {
 public:
  struct Options {
    size_t near_capacity_bytes = 0;
    std::vector<NamespacePolicy> namespaces;  // near_share of each resolved, together at most 1
    uint64_t version_seed = 0;                // random, unlike that of any other process
  };

  // The pointees must live longer than the engine, the registry for as long as it is rendered.
  CacheEngine(Options options, Store* store, const Clock* clock, Registry* registry);
  ~CacheEngine();
  CacheEngine(const CacheEngine&) = delete;
  CacheEngine& operator=(const CacheEngine&) = delete;

  void Get(const CallContext& call, const GetCommand& command, Done<GetAnswer> done);
  void BatchGet(const CallContext& call, const BatchGetCommand& command, Done<std::vector<BatchGetItem>> done);
  void Set(const CallContext& call, const SetCommand& command, Done<SetAnswer> done);
  void Touch(const CallContext& call, const TouchCommand& command, Done<TouchAnswer> done);
  void Invalidate(const CallContext& call, const InvalidateCommand& command, Done<InvalidateAnswer> done);

  // Checks the whole batch before it writes anything; then each entry succeeds or fails on its own. The name_space of
  // the commands is not looked at.
  void BatchSet(const CallContext& call, std::string_view name_space, absl::Span<const SetCommand> commands,
                Done<std::vector<absl::StatusOr<SetAnswer>>> done);

  // Where a namespace's logical clock stands: the moment as of which a warm-up writes (COHERENCE E4).
  void Position(const CallContext& call, std::string_view name_space, Done<ClockPosition> done);

  // A Set that only fills a gap: it is not applied if a valid entry is there or the namespace was invalidated since.
  void SetIfUntouchedSince(const CallContext& call, const SetCommand& command, ClockPosition as_of,
                           Done<SetAnswer> done);

  // NOT_FOUND, as INVALID_ARGUMENT naming the field, if a name is not configured. No name: all namespaces.
  absl::StatusOr<std::vector<KeyspaceStats>> Stats(absl::Span<const std::string_view> name_spaces) const;

  // Puts new policies in place of those with the same names; others stay as they are. A namespace that this switches on
  // is barred first: what was stored before it was off may be older than writes that were not stored (its old
  // entries then count as gone). `done` gets the first error; that namespace then stays off.
  void ReplacePolicies(const std::vector<NamespacePolicy>& policies, int64_t deadline_nanos, Done<bool> done);

 private:
  absl::StatusOr<Keyspace*> Find(std::string_view name_space) const;
  absl::StatusOr<Keyspace*> FindForKey(std::string_view name_space, std::string_view key) const;

  // The near tier's answer, or none.
  std::optional<GetAnswer> FromNear(Keyspace& space, std::string_view key, uint64_t hash, int64_t now) const;
  // What an entry that the store sent is worth: an answer, and admitted to the near tier, or a miss.
  GetAnswer FromStore(Keyspace& space, std::string_view key, uint64_t hash, uint64_t mark, EntryRef entry);

  // The TTL, if everything about the command is within the limits.
  absl::StatusOr<int64_t> CheckSet(const NamespacePolicy& policy, const SetCommand& command) const;
  void WriteChecked(const CallContext& call, Keyspace& space, const SetCommand& command, int64_t asked_ttl_ms,
                    std::optional<ClockPosition> as_of, Done<SetAnswer> done);
  void SetWhileDisabled(const CallContext& call, Keyspace& space, const SetCommand& command, int64_t ttl_ms,
                        Done<SetAnswer> done);
  void EraseKeys(const CallContext& call, Keyspace& space, std::vector<std::string> keys, Done<int64_t> done);
  void InvalidateAll(const CallContext& call, Keyspace& space, int64_t dropped, Done<InvalidateAnswer> done);

  Store* const store_;
  const Clock* const clock_;
  VersionSource versions_;
  Counter& refused_for_no_namespace_;
  std::map<std::string, std::unique_ptr<Keyspace>, std::less<>> spaces_;  // fixed after construction
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_CACHE_ENGINE_H_
