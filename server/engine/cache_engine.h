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
#include "server/engine/loader.h"
#include "server/engine/origin.h"
#include "server/engine/pending_get.h"
#include "server/engine/scheduler.h"
#include "server/engine/strong_writes.h"
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
  uint64_t stale_hits = 0;
  uint64_t absent_hits = 0;
  uint64_t leases = 0;
  uint64_t waits = 0;
  uint64_t fills = 0;
  uint64_t fills_aborted = 0;
  uint64_t origin_loads = 0;
  uint64_t origin_errors = 0;
  uint64_t invalidated_groups = 0;
  uint64_t swept = 0;
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
    std::map<std::string, Origin*> origins;   // by namespace
    size_t max_strong_waits = 10'000;         // STRONG writes that may be under way at once
  };

  // The pointees must live longer than the engine, the registry for as long as it is rendered; the scheduler must have
  // been stopped before the engine goes. The store must not have been called yet.
  CacheEngine(Options options, Store* store, const Clock* clock, Scheduler* scheduler, Registry* registry);
  ~CacheEngine();
  CacheEngine(const CacheEngine&) = delete;
  CacheEngine& operator=(const CacheEngine&) = delete;

  void Get(const CallContext& call, const GetCommand& command, Done<GetAnswer> done);
  void BatchGet(const CallContext& call, const BatchGetCommand& command, Done<std::vector<BatchGetItem>> done);
  void Set(const CallContext& call, const SetCommand& command, Done<SetAnswer> done);
  void Touch(const CallContext& call, const TouchCommand& command, Done<TouchAnswer> done);
  void Invalidate(const CallContext& call, const InvalidateCommand& command, Done<InvalidateAnswer> done);
  // `done` is told whether the lease was still held.
  void Release(const CallContext& call, const ReleaseCommand& command, Done<bool> done);

  // Checks the whole batch before it writes anything; then each entry succeeds or fails on its own. The name_space of
  // the commands is not looked at. If one of them is STRONG all are, and those that were written end together.
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

  // Answers with a miss who waits for somebody else's load, and with UNAVAILABLE whose STRONG write waits for other
  // replicas, and lets nobody wait any more: the server is about to stop.
  void StopWaiting();

  // INVALID_ARGUMENT naming `namespace`, or `key` where that breaks a limit, and counted as refused. Empty: `default`.
  absl::StatusOr<Keyspace*> Find(std::string_view name_space) const;
  absl::StatusOr<Keyspace*> FindForKey(std::string_view name_space, std::string_view key) const;

  // For those who work on a whole namespace. Null if it is not configured.
  Keyspace* FindKeyspace(std::string_view name_space) const;
  std::vector<Keyspace*> keyspaces() const;  // by name

 private:
  absl::Status CheckGet(const Keyspace& space, const GetCommand& command) const;
  int64_t WaitEnd(const Keyspace& space, const CallContext& call, int64_t wait_ms, int64_t now) const;

  // Whether what was read before is still what would be read, however long ago: nobody else writes, or what others
  // write is being told (COHERENCE N1).
  bool IsCurrent(const Keyspace& space, int64_t now) const;
  // The near tier's answer, or none. `is_store_lost`: the store was asked and could not be reached, so that what is not
  // known to be current may be answered too, as degraded.
  std::optional<GetAnswer> FromNear(Keyspace& space, std::string_view key, uint64_t hash, int64_t now,
                                    bool is_store_lost) const;
  // COHERENCE D4: whether the near tier may answer for a store that is away.
  static bool IsServableDegraded(const Keyspace& space, const Entry& entry, int64_t now);
  // Ends Gets that the store could not be asked for: by the near tier where that may, else with the error.
  void AnswerWithoutStore(Keyspace& space, std::string_view key, uint64_t hash, const absl::Status& status,
                          PendingGets gets);
  // Joins a read of the key that is under way, if it may, or sends one.
  void JoinOrRead(Keyspace& space, std::string_view key, uint64_t hash, PendingGet get);
  void ReadStore(Keyspace& space, std::string key, uint64_t hash, PendingGets gets);
  void Land(Keyspace& space, ReadFlight& flight, absl::StatusOr<ReadResult> result);
  void EndOverdueLater(Keyspace& space);

  // What an entry that the store sent is worth: an answer, and admitted to the near tier, or no entry. `found` then
  // says what it was.
  GetAnswer FromStore(Keyspace& space, std::string_view key, uint64_t hash, uint64_t mark, EntryRef entry,
                      Loader::Found* found);
  // Counts a hit, answers it, and sees to it that what is due is loaded anew.
  void AnswerHit(Keyspace& space, std::string_view key, GetAnswer answer, PendingGet get);
  void KeepFresh(Keyspace& space, std::string_view key, const GetAnswer& answer);
  void Slide(Keyspace& space, std::string_view key, const Entry& entry, int64_t now);

  struct Batch;
  void ReadBatch(std::shared_ptr<Batch> batch, int64_t deadline_nanos);
  void LandBatch(const std::shared_ptr<Batch>& batch, int64_t deadline_nanos, absl::StatusOr<ReadResult> result);
  // False if the near tier cannot answer it either.
  bool AnswerItemWithoutStore(Batch& batch, size_t wanted, bool is_store_lost);
  void LoadMissing(const std::shared_ptr<Batch>& batch, const std::vector<size_t>& missing,
                   const std::vector<Loader::Found>& found, int64_t deadline_nanos);

  // What of a write is not in the command.
  struct WriteTerms {
    int64_t ttl_ms = 0;  // resolved, before jitter
    std::optional<ClockPosition> as_of = {};
    uint64_t dead_version = 0;
  };
  struct Write;
  void WriteChecked(const CallContext& call, Keyspace& space, const SetCommand& command, const WriteTerms& terms,
                    Done<SetAnswer> done);
  void SendWrite(std::shared_ptr<Write> write);
  void EndWrite(const std::shared_ptr<Write>& write, absl::StatusOr<WriteResult> result);
  void EndWriteWithoutStore(Write& write, const absl::Status& status);
  void SetWhileDisabled(const CallContext& call, Keyspace& space, const SetCommand& command, int64_t ttl_ms,
                        Done<SetAnswer> done);
  void EraseKeys(Keyspace& space, EraseRequest request, Done<EraseResult> done);
  void InvalidateGroups(Keyspace& space, GroupRequest groups, InvalidateAnswer so_far, Done<InvalidateAnswer> done);

  Store* const store_;
  const Clock* const clock_;
  Scheduler* const scheduler_;
  VersionSource versions_;
  Counter& refused_for_no_namespace_;
  StrongWrites strong_;
  std::map<std::string, std::unique_ptr<Keyspace>, std::less<>> spaces_;  // fixed after construction
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_CACHE_ENGINE_H_
