// What every store promises, asked of each of them: the tests' common ground.
#ifndef LARDER_TESTS_UNIT_STORE_STORE_CONTRACT_H_
#define LARDER_TESTS_UNIT_STORE_STORE_CONTRACT_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "server/store/stamp_table.h"
#include "server/store/store.h"
#include "tests/support/store_calls.h"

namespace larder {

inline constexpr int64_t kMinute = 60 * kNanosPerSecond;
inline constexpr int64_t kHour = 60 * kMinute;
// How far, in nanoseconds, a time that a store tells may be off: by as long as its answer was on its way.
inline constexpr double kALittle = 1e9;

inline constexpr Condition kIfAbsent{Condition::Kind::kAbsent, 0};
inline constexpr Condition kIfPresent{Condition::Kind::kPresent, 0};
inline Condition IfVersion(uint64_t version) { return {Condition::Kind::kVersion, version}; }

// Who was told that a key may be looked at again.
class WakeLog {
 public:
  void Add(std::string_view name_space, std::string_view key) {
    MutexLock lock(&mutex_);
    ++counts_[std::string(name_space) + ":" + std::string(key)];
  }
  int Count(const std::string& name_space_and_key) {
    MutexLock lock(&mutex_);
    return counts_[name_space_and_key];
  }

 private:
  Mutex mutex_;
  std::map<std::string, int> counts_ ABSL_GUARDED_BY(mutex_);
};

// A store and its time. The store tells `wakes` until the world's end.
class World {
 public:
  virtual ~World() = default;
  virtual Store& store() = 0;
  virtual const Clock& clock() = 0;
  // Lets time pass until `condition` holds; false if it does not within `nanos` and a little.
  virtual bool PassUntil(int64_t nanos, absl::FunctionRef<bool()> condition) = 0;

  // COHERENCE C4: whether the end of a sweep retires the stamps of patterns.
  virtual bool retires_stamps() const { return true; }

  WakeLog& wakes() { return wakes_; }

 protected:
  Store::WakeListener Listener() {
    return [this](std::string_view name_space, std::string_view key) { wakes_.Add(name_space, key); };
  }

 private:
  WakeLog wakes_;
};

struct WorldKind {
  std::string name;
  std::function<std::unique_ptr<World>()> make;
};

class StoreContractTest : public testing::TestWithParam<WorldKind> {
 protected:
  using Tags = std::vector<std::string_view>;

  Store& store() { return world_->store(); }
  int64_t Now() { return world_->clock().NowNanos(); }
  bool PassTime(int64_t nanos) {
    const int64_t end = Now() + nanos;
    return world_->PassUntil(nanos, [&] { return Now() >= end; });
  }
  // News may take a while to come.
  bool AwaitWake(const std::string& name_space_and_key) {
    return world_->PassUntil(kNanosPerSecond, [&] { return world_->wakes().Count(name_space_and_key) > 0; });
  }

  EntryMeta Meta(int64_t ttl_nanos = kMinute) {
    EntryMeta meta;
    meta.version = ++last_version_;
    meta.created_nanos = Now();
    meta.expires_nanos = Now() + ttl_nanos;
    return meta;
  }
  // Stale after `fresh_nanos`, gone after that and `stale_nanos`.
  EntryMeta StaleMeta(int64_t fresh_nanos, int64_t stale_nanos) {
    EntryMeta meta = Meta(fresh_nanos + stale_nanos);
    meta.stale_nanos = meta.created_nanos + fresh_nanos;
    return meta;
  }
  EntryRef MakeEntry(std::string_view value, int64_t ttl_nanos = kMinute, std::string_view content_type = "") {
    return Entry::Create(Meta(ttl_nanos), content_type, value);
  }
  static EntryRef Tagged(const EntryMeta& meta, std::string_view value, const Tags& tags) {
    return Entry::Create(meta, "", value, TagList::Encode(tags));
  }

  static Tags TagsOf(const Entry& entry) {
    Tags tags;
    for (std::string_view tag : entry.tags()) tags.push_back(tag);
    return tags;
  }

  WriteRequest Request(std::string key, EntryRef entry, Condition condition = {}) {
    WriteRequest request;
    request.name_space = "default";
    request.key = std::move(key);
    request.entry = std::move(entry);
    request.condition = condition;
    return request;
  }
  WriteResult Write(WriteRequest request) {
    absl::StatusOr<WriteResult> result = WriteNow(store(), std::move(request));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : WriteResult{};
  }
  WriteResult Set(std::string key, std::string_view value, Condition condition = {}, int64_t ttl_nanos = kMinute) {
    return Write(Request(std::move(key), MakeEntry(value, ttl_nanos), condition));
  }
  WriteResult SetTagged(std::string key, std::string_view value, const Tags& tags) {
    return Write(Request(std::move(key), Tagged(Meta(), value, tags)));
  }
  WriteResult Fill(std::string key, const FillToken& token, std::string_view value, const Tags& tags = {}) {
    WriteRequest request = Request(std::move(key), Tagged(Meta(), value, tags));
    request.fill = token;
    return Write(std::move(request));
  }
  WriteResult SetAsOf(std::string key, ClockPosition as_of, std::string_view value, const Tags& tags = {}) {
    WriteRequest request = Request(std::move(key), Tagged(Meta(), value, tags));
    request.as_of = as_of;
    return Write(std::move(request));
  }

  ReadResult Read(std::vector<std::string> keys, ClockPosition known = {}, std::string name_space = "default") {
    absl::StatusOr<ReadResult> result = ReadNow(store(), {std::move(name_space), std::move(keys), known, 0});
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : ReadResult{};
  }
  static Judgement Judge(const std::string& key, const Entry& entry, const ControlUpdate& complete) {
    if (entry.meta().generation != complete.generation) return Judgement::kDead;
    StampTable stamps;
    for (const Stamp& stamp : complete.stamps) stamps.Add(stamp);
    return stamps.Judge(key, entry.tags(), entry.meta().epoch);
  }
  // The entry as a caller would judge it who knows nothing yet: null if it is dead.
  EntryRef Get(const std::string& key, const std::string& name_space = "default") {
    ReadResult result = Read({key}, {}, name_space);
    if (result.entries.size() != 1 || !result.entries[0]) return nullptr;
    if (Judge(key, *result.entries[0], result.control) == Judgement::kDead) return nullptr;
    return result.entries[0];
  }
  std::string Value(const std::string& key) {
    EntryRef entry = Get(key);
    return entry ? std::string(entry->value()) : "(none)";
  }
  // Whether there is an entry, by the control record or by its time not fresh.
  bool IsStale(const std::string& key) {
    ReadResult result = Read({key});
    if (result.entries.size() != 1 || !result.entries[0]) return false;
    const Judgement judgement = Judge(key, *result.entries[0], result.control);
    return judgement == Judgement::kStale ||
           (judgement == Judgement::kValid && result.entries[0]->meta().stale_nanos <= Now());
  }

  LeaseResult Lease(std::string key, uint64_t found_version = 0, bool found_dead = false,
                    int64_t lease_nanos = 10 * kNanosPerSecond) {
    LeaseRequest request;
    request.name_space = "default";
    request.key = std::move(key);
    request.token = ++last_token_;
    request.lease_nanos = lease_nanos;
    request.found_version = found_version;
    request.found_dead = found_dead;
    absl::StatusOr<LeaseResult> result = LeaseNow(store(), std::move(request));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : LeaseResult{};
  }
  FillToken Granted(std::string key, uint64_t found_version = 0) {
    const LeaseResult result = Lease(std::move(key), found_version);
    EXPECT_EQ(result.outcome, LeaseResult::Outcome::kGranted);
    return result.fill;
  }
  ReleaseRequest Releasing(std::string key, const FillToken& token) {
    ReleaseRequest request;
    request.name_space = "default";
    request.key = std::move(key);
    request.token = token.token;
    return request;
  }
  bool Release(ReleaseRequest request) {
    absl::StatusOr<ReleaseResult> result = ReleaseNow(store(), std::move(request));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() && result->held;
  }

  ClockPosition Position() {
    absl::StatusOr<ControlUpdate> update = ReadControlNow(store(), "default", {});
    EXPECT_TRUE(update.ok()) << update.status();
    return update.ok() ? ClockPosition{update->generation, update->epoch} : ClockPosition{};
  }
  GroupResult Invalidate(GroupRequest request) {
    request.name_space = "default";
    absl::StatusOr<GroupResult> result = InvalidateGroupsNow(store(), std::move(request));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : GroupResult{};
  }
  ControlUpdate InvalidateTag(std::string tag, bool soft = false) {
    GroupRequest request;
    request.tags = {std::move(tag)};
    request.soft = soft;
    return Invalidate(std::move(request)).control;
  }
  ControlUpdate InvalidatePattern(std::string pattern, bool soft = false) {
    GroupRequest request;
    request.patterns = {std::move(pattern)};
    request.soft = soft;
    return Invalidate(std::move(request)).control;
  }
  ControlUpdate InvalidateAll(ClockPosition known = {}, bool soft = false) {
    GroupRequest request;
    request.all = true;
    request.soft = soft;
    request.known = known;
    return Invalidate(std::move(request)).control;
  }
  int64_t Erase(std::vector<std::string> keys, std::vector<uint64_t> soft_versions = {}) {
    absl::StatusOr<EraseResult> result = EraseNow(store(), {"default", std::move(keys), std::move(soft_versions), 0});
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? result->erased : -1;
  }
  TouchResult Touch(const std::string& key, int64_t ttl_nanos, int64_t max_life_nanos, uint64_t version = 0) {
    TouchRequest request;
    request.name_space = "default";
    request.key = key;
    request.ttl_nanos = ttl_nanos;
    request.max_life_nanos = max_life_nanos;
    request.version = version;
    absl::StatusOr<TouchResult> result = TouchNow(store(), std::move(request));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : TouchResult{};
  }

  StoredItem Look(const std::string& key) {
    absl::StatusOr<LookResult> result = LookNow(store(), {"default", {key}, {}, 0});
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() && result->items.size() == 1 ? result->items[0] : StoredItem{};
  }
  // All that a whole scan meets, by key.
  std::map<std::string, StoredItem> ScanAll(int count = 500) {
    std::map<std::string, StoredItem> items;
    ScanRequest request;
    request.name_space = "default";
    request.count = count;
    do {
      absl::StatusOr<ScanResult> result = ScanNow(store(), request);
      EXPECT_TRUE(result.ok()) << result.status();
      if (!result.ok()) break;
      for (StoredItem& item : result->items) {
        std::string key = item.key;
        items[std::move(key)] = std::move(item);
      }
      request.cursor = result->cursor;
    } while (!request.cursor.empty());
    return items;
  }
  int64_t EraseVersions(std::vector<std::pair<std::string, uint64_t>> keys) {
    absl::StatusOr<EraseResult> result = EraseVersionsNow(store(), {"default", std::move(keys), 0});
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? result->erased : -1;
  }
  // A whole walk over what is there. `pattern`: matches the keys that begin with `matching`.
  EraseDeadResult EraseDead(ClockPosition fence, int count = 500, uint64_t pattern = 0, std::string matching = "") {
    EraseDeadRequest request;
    request.name_space = "default";
    request.count = count;
    request.fence = fence;
    request.latest_pattern = [=](std::string_view key) { return key.starts_with(matching) ? pattern : 0; };
    EraseDeadResult all;
    do {
      absl::StatusOr<EraseDeadResult> result = EraseDeadNow(store(), request);
      EXPECT_TRUE(result.ok()) << result.status();
      if (!result.ok()) break;
      all.mine = result->mine;
      all.erased += result->erased;
      all.scanned += result->scanned;
      all.has_seen_all = all.has_seen_all && result->has_seen_all;
      all.control = std::move(result->control);
      request.cursor = std::move(result->cursor);
    } while (all.mine && !request.cursor.empty());
    return all;
  }
  SweepResult Sweep(SweepRequest::Step step, uint64_t sweeper, ClockPosition fence = {},
                    int64_t lease_nanos = 10 * kNanosPerSecond) {
    SweepRequest request;
    request.name_space = "default";
    request.step = step;
    request.sweeper = sweeper;
    request.lease_nanos = lease_nanos;
    request.fence = fence;
    absl::StatusOr<SweepResult> result = SweepNow(store(), std::move(request));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : SweepResult{};
  }

  // How many stamps of the kind there are.
  static int64_t CountStamps(const ControlUpdate& update, Stamp::Group group, std::string_view name = "") {
    return std::count_if(update.stamps.begin(), update.stamps.end(),
                         [&](const Stamp& stamp) { return stamp.group == group && stamp.name == name; });
  }
  // The epoch of the whole namespace's hard stamp; 0: there is none.
  static uint64_t AllStamp(const ControlUpdate& update) {
    for (const Stamp& stamp : update.stamps) {
      if (stamp.group == Stamp::Group::kAll && !stamp.soft) return stamp.epoch;
    }
    return 0;
  }

  std::unique_ptr<World> world_ = GetParam().make();
  uint64_t last_version_ = 0xfedc'ba98'0000'0000;  // above 2^53, where a double would lose digits
  uint64_t last_token_ = 0xfedc'ba98'8000'0000;
};

}  // namespace larder

#endif  // LARDER_TESTS_UNIT_STORE_STORE_CONTRACT_H_
