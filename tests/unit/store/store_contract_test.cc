// What every store promises, asked of each of them.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "server/redis/redis_store.h"
#include "server/store/embedded_store.h"
#include "server/store/store.h"
#include "tests/support/eventually.h"
#include "tests/support/manual_clock.h"
#include "tests/support/redis_server.h"
#include "tests/support/store_calls.h"

namespace larder {
namespace {

constexpr int64_t kMinute = 60 * kNanosPerSecond;

// A store and its time.
class World {
 public:
  virtual ~World() = default;
  virtual Store& store() = 0;
  virtual const Clock& clock() = 0;
  // Lets time pass until `condition` holds; false if it does not within `nanos` and a little.
  virtual bool PassUntil(int64_t nanos, absl::FunctionRef<bool()> condition) = 0;
};

class EmbeddedWorld final : public World {
 public:
  Store& store() override { return store_; }
  const Clock& clock() override { return clock_; }
  bool PassUntil(int64_t nanos, absl::FunctionRef<bool()> condition) override {
    const int64_t end = clock_.NowNanos() + nanos;
    while (!condition()) {
      if (clock_.NowNanos() > end) return false;
      clock_.Advance(kNanosPerMilli);
    }
    return true;
  }

 private:
  ManualClock clock_;
  EmbeddedStore store_{&clock_, {size_t{64} << 20}};
};

class RedisWorld final : public World {
 public:
  RedisWorld() {
    absl::StatusOr<std::unique_ptr<RedisServer>> server = RedisServer::Start();
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    RedisStore::Parts parts;
    parts.options.port = server_->port();
    parts.options.operation_timeout_nanos = 10 * kNanosPerSecond;  // a busy machine is no failure here
    parts.options.connect_timeout_nanos = 10 * kNanosPerSecond;
    parts.namespaces = {"default", "other"};
    store_ = std::make_unique<RedisStore>(&clock_, parts);
    EXPECT_TRUE(store_->Start().ok());
    EXPECT_TRUE(Eventually([this] { return store_->state() == StoreInfo::State::kReady; }));
  }
  ~RedisWorld() override { store_->Shutdown(); }

  Store& store() override { return *store_; }
  const Clock& clock() override { return clock_; }
  bool PassUntil(int64_t nanos, absl::FunctionRef<bool()> condition) override {
    return Eventually(condition, std::chrono::milliseconds(nanos / kNanosPerMilli + 5'000));
  }

 private:
  SystemClock clock_;
  std::unique_ptr<RedisServer> server_;
  std::unique_ptr<RedisStore> store_;
};

struct Kind {
  std::string name;
  std::function<std::unique_ptr<World>()> make;
};

class StoreContractTest : public testing::TestWithParam<Kind> {
 protected:
  Store& store() { return world_->store(); }
  int64_t Now() { return world_->clock().NowNanos(); }

  EntryRef MakeEntry(std::string_view value, int64_t ttl_nanos = kMinute, std::string_view content_type = "") {
    EntryMeta meta;
    meta.version = ++last_version_;
    meta.created_nanos = Now();
    meta.expires_nanos = Now() + ttl_nanos;
    return Entry::Create(meta, content_type, value);
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

  ReadResult Read(std::vector<std::string> keys, ClockPosition known = {}, std::string name_space = "default") {
    absl::StatusOr<ReadResult> result = ReadNow(store(), {std::move(name_space), std::move(keys), known, 0});
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : ReadResult{};
  }

  // The entry as a caller would judge it who knows nothing yet: null if it is dead.
  EntryRef Get(const std::string& key, const std::string& name_space = "default") {
    ReadResult result = Read({key}, {}, name_space);
    if (result.entries.size() != 1 || !result.entries[0]) return nullptr;
    const EntryMeta& meta = result.entries[0]->meta();
    if (meta.generation != result.control.generation || meta.epoch < result.control.all_stamp) return nullptr;
    return result.entries[0];
  }
  std::string Value(const std::string& key) {
    EntryRef entry = Get(key);
    return entry ? std::string(entry->value()) : "(none)";
  }

  ClockPosition Position() {
    absl::StatusOr<ControlUpdate> update = ReadControlNow(store(), "default", {});
    EXPECT_TRUE(update.ok()) << update.status();
    return {update->generation, update->epoch};
  }
  ControlUpdate InvalidateAll(ClockPosition known = {}) {
    absl::StatusOr<ControlUpdate> update = InvalidateAllNow(store(), "default", known);
    EXPECT_TRUE(update.ok()) << update.status();
    return update.ok() ? *update : ControlUpdate{};
  }
  TouchResult Touch(const std::string& key, int64_t ttl_nanos, int64_t max_life_nanos) {
    absl::StatusOr<TouchResult> result = TouchNow(store(), {"default", key, ttl_nanos, max_life_nanos, {}, 0});
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : TouchResult{};
  }

  std::unique_ptr<World> world_ = GetParam().make();
  uint64_t last_version_ = 0xfedc'ba98'0000'0000;  // above 2^53, where a double would lose digits
};

INSTANTIATE_TEST_SUITE_P(, StoreContractTest,
                         testing::Values(Kind{"Embedded", [] { return std::make_unique<EmbeddedWorld>(); }},
                                         Kind{"Redis", [] { return std::make_unique<RedisWorld>(); }}),
                         [](const auto& made) { return made.param.name; });

std::string AllBytes() {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
  return bytes;
}

constexpr Condition kIfAbsent{Condition::Kind::kAbsent, 0};
constexpr Condition kIfPresent{Condition::Kind::kPresent, 0};
Condition IfVersion(uint64_t version) { return {Condition::Kind::kVersion, version}; }

TEST_P(StoreContractTest, MissesAKeyThatWasNeverSet) {
  const ReadResult result = Read({"absent"});
  ASSERT_EQ(result.entries.size(), 1u);
  EXPECT_FALSE(result.entries[0]);
  EXPECT_NE(result.control.generation, 0u);
  EXPECT_EQ(result.control.epoch, 1u);
  EXPECT_EQ(result.control.all_stamp, 0u);
  EXPECT_EQ(result.control.since, 0u);
}

TEST_P(StoreContractTest, GivesBackWhatWasSet) {
  const int64_t before = Now();
  EntryRef entry = MakeEntry("value", kMinute, "text/plain");
  const uint64_t version = entry->meta().version;
  const WriteResult written = Write(Request("key", std::move(entry)));
  EXPECT_TRUE(written.applied);
  EXPECT_EQ(written.current_version, version);
  EntryRef got = Get("key");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->value(), "value");
  EXPECT_EQ(got->content_type(), "text/plain");
  EXPECT_EQ(got->meta().version, version);
  EXPECT_EQ(got->meta().generation, written.control.generation);
  EXPECT_EQ(got->meta().epoch, 1u);
  EXPECT_GT(got->meta().expires_nanos, Now());
  EXPECT_LE(got->meta().expires_nanos, Now() + kMinute);
  EXPECT_GE(got->meta().created_nanos, before - 10 * kNanosPerMilli);
  EXPECT_LE(got->meta().created_nanos, Now());
}

TEST_P(StoreContractTest, TakesEveryByteInKeysAndValues) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    EXPECT_TRUE(Set(one, one + "v").applied);
  }
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    EXPECT_EQ(Value(one), one + "v") << "byte " << byte;
  }
  EXPECT_TRUE(Set(AllBytes(), AllBytes()).applied);
  EXPECT_EQ(Value(AllBytes()), AllBytes());
}

TEST_P(StoreContractTest, TakesValuesFromEmptyToOneMebibyte) {
  EXPECT_TRUE(Set("empty", "").applied);
  EntryRef empty = Get("empty");
  ASSERT_TRUE(empty);
  EXPECT_EQ(empty->value(), "");
  const std::string key(512, '\xff');
  std::string large(size_t{1} << 20, '\0');
  uint32_t state = 1;
  for (char& c : large) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  EXPECT_TRUE(Set(key, large).applied);
  EXPECT_TRUE(Value(key) == large);
  const std::string even(size_t{1} << 20, 'x');  // compressed where the store compresses
  EXPECT_TRUE(Set(key, even).applied);
  EXPECT_TRUE(Value(key) == even);
}

TEST_P(StoreContractTest, KeepsNamespacesApart) {
  Set("key", "mine");
  EXPECT_FALSE(Get("key", "other"));
  WriteRequest request = Request("key", MakeEntry("theirs"));
  request.name_space = "other";
  EXPECT_TRUE(Write(std::move(request)).applied);
  InvalidateAll();
  EXPECT_EQ(Value("key"), "(none)");
  EntryRef theirs = Get("key", "other");
  ASSERT_TRUE(theirs);
  EXPECT_EQ(theirs->value(), "theirs");
}

TEST_P(StoreContractTest, IfAbsent) {
  const WriteResult first = Set("key", "1", kIfAbsent);
  EXPECT_TRUE(first.applied);
  const WriteResult second = Set("key", "2", kIfAbsent);
  EXPECT_FALSE(second.applied);
  EXPECT_EQ(second.current_version, first.current_version);
  EXPECT_EQ(Value("key"), "1");
}

TEST_P(StoreContractTest, IfPresent) {
  const WriteResult first = Set("key", "1", kIfPresent);
  EXPECT_FALSE(first.applied);
  EXPECT_EQ(first.current_version, 0u);
  EXPECT_EQ(Value("key"), "(none)");
  Set("key", "1");
  EXPECT_TRUE(Set("key", "2", kIfPresent).applied);
  EXPECT_EQ(Value("key"), "2");
}

TEST_P(StoreContractTest, IfVersion) {
  EXPECT_FALSE(Set("key", "0", IfVersion(7)).applied);
  const uint64_t first = Set("key", "1").current_version;
  EXPECT_FALSE(Set("key", "2", IfVersion(first + 1)).applied);
  EXPECT_FALSE(Set("key", "2", IfVersion(first - 1)).applied);
  EXPECT_FALSE(Set("key", "2", IfVersion(0)).applied);
  EXPECT_EQ(Value("key"), "1");
  const WriteResult second = Set("key", "2", IfVersion(first));
  EXPECT_TRUE(second.applied);
  EXPECT_NE(second.current_version, first);
  const WriteResult third = Set("key", "3", IfVersion(first));
  EXPECT_FALSE(third.applied);
  EXPECT_EQ(third.current_version, second.current_version);
  EXPECT_EQ(Value("key"), "2");
}

TEST_P(StoreContractTest, NoVersionHoldsAfterAnErase) {
  const uint64_t version = Set("key", "1").current_version;
  ASSERT_TRUE(EraseNow(store(), {"default", {"key"}, 0}).ok());
  const WriteResult result = Set("key", "2", IfVersion(version));
  EXPECT_FALSE(result.applied);
  EXPECT_EQ(result.current_version, 0u);
}

TEST_P(StoreContractTest, EraseCountsTheKeysThatWereThere) {
  Set("a", "1");
  Set("b", "2");
  absl::StatusOr<EraseResult> result = EraseNow(store(), {"default", {"a", "b", "c", "a"}, 0});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->erased, 2);
  EXPECT_EQ(Value("a"), "(none)");
  EXPECT_EQ(EraseNow(store(), {"default", {}, 0})->erased, 0);
}

TEST_P(StoreContractTest, ErasesMoreKeysThanOneCommandTakes) {
  std::vector<std::string> keys;
  for (int i = 0; i < 2'500; ++i) keys.push_back("key" + std::to_string(i));
  for (size_t i = 0; i < keys.size(); i += 100) Set(keys[i], "v");
  EXPECT_EQ(EraseNow(store(), {"default", keys, 0})->erased, 25);
  for (const EntryRef& entry : Read(keys).entries) EXPECT_FALSE(entry);
}

TEST_P(StoreContractTest, ABatchIsAnsweredInOrderWithItsDuplicates) {
  Set("a", "1");
  Set("b", "2");
  const ReadResult result = Read({"b", "absent", "a", "b", "a"});
  ASSERT_EQ(result.entries.size(), 5u);
  EXPECT_EQ(result.entries[0]->value(), "2");
  EXPECT_FALSE(result.entries[1]);
  EXPECT_EQ(result.entries[2]->value(), "1");
  EXPECT_EQ(result.entries[3]->value(), "2");
  EXPECT_EQ(result.entries[4]->value(), "1");
  EXPECT_TRUE(Read({}).entries.empty());
}

TEST_P(StoreContractTest, AnEntryGoesWhenItsTimeIsUp) {
  const int64_t ttl = 300 * kNanosPerMilli;
  const int64_t set_at = Now();
  Set("key", "1", {}, ttl);
  Set("stays", "1");
  EXPECT_EQ(Value("key"), "1");
  EXPECT_TRUE(world_->PassUntil(ttl, [&] { return !Get("key"); }));
  EXPECT_GE(Now() - set_at, ttl - 2 * kNanosPerMilli);  // times are in whole milliseconds in Redis
  EXPECT_EQ(Value("stays"), "1");
  // It counts as absent for every condition.
  EXPECT_FALSE(Set("key", "2", kIfPresent).applied);
  EXPECT_TRUE(Set("key", "2", kIfAbsent).applied);
}

TEST_P(StoreContractTest, NoEntryIsGivenWithALaterExpiryThanItHas) {
  const int64_t ttl = 200 * kNanosPerMilli;
  Set("key", "1", {}, ttl);
  const int64_t latest = Now() + ttl;
  EXPECT_TRUE(world_->PassUntil(ttl, [&] {
    EntryRef got = Get("key");
    if (!got) return true;
    EXPECT_LE(got->meta().expires_nanos, latest);
    return false;
  }));
}

TEST_P(StoreContractTest, AnEntryThatHasExpiredBeforeItIsSetIsGoneAtOnce) {
  EXPECT_TRUE(Set("key", "1", {}, -kNanosPerSecond).applied);
  EXPECT_TRUE(world_->PassUntil(10 * kNanosPerMilli, [&] { return !Get("key"); }));
}

TEST_P(StoreContractTest, TouchGivesANewLife) {
  const uint64_t version = Set("key", "value", {}, 500 * kNanosPerMilli).current_version;
  const TouchResult touched = Touch("key", kMinute, 10 * kMinute);
  EXPECT_TRUE(touched.found);
  EXPECT_EQ(touched.version, version);
  EXPECT_EQ(touched.ttl_nanos, kMinute);
  const int64_t past = Now() + 510 * kNanosPerMilli;
  EXPECT_TRUE(world_->PassUntil(520 * kNanosPerMilli, [&] { return Now() > past; }));
  EntryRef got = Get("key");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->value(), "value");
  EXPECT_EQ(got->meta().version, version);
  EXPECT_GE(Now() - got->meta().created_nanos, 500 * kNanosPerMilli);  // it is as old as before
}

TEST_P(StoreContractTest, TouchMayShortenALife) {
  Set("key", "value");
  EXPECT_EQ(Touch("key", 30 * kNanosPerMilli, 10 * kMinute).ttl_nanos, 30 * kNanosPerMilli);
  EXPECT_TRUE(world_->PassUntil(30 * kNanosPerMilli, [&] { return !Get("key"); }));
}

TEST_P(StoreContractTest, TouchCapsTheWholeLife) {
  Set("key", "value");
  const int64_t max_life = 800 * kNanosPerMilli;
  const int64_t set_at = Now();
  EXPECT_TRUE(world_->PassUntil(40 * kNanosPerMilli, [&] { return Now() - set_at >= 40 * kNanosPerMilli; }));
  const TouchResult first = Touch("key", kMinute, max_life);
  ASSERT_TRUE(first.found);
  EXPECT_LE(first.ttl_nanos, max_life - 38 * kNanosPerMilli);
  // However often it is touched, it goes.
  EXPECT_TRUE(world_->PassUntil(max_life, [&] { return !Touch("key", kMinute, max_life).found; }));
  EXPECT_FALSE(Get("key"));
}

TEST_P(StoreContractTest, TouchFindsOnlyValidEntries) {
  EXPECT_FALSE(Touch("absent", kMinute, 10 * kMinute).found);
  Set("key", "value");
  InvalidateAll();
  const TouchResult dead = Touch("key", kMinute, 10 * kMinute);
  EXPECT_FALSE(dead.found);
  EXPECT_EQ(dead.version, 0u);
  EXPECT_EQ(Value("key"), "(none)");
}

TEST_P(StoreContractTest, InvalidateAllKillsEveryOlderEntryInOneStep) {
  for (int i = 0; i < 100; ++i) Set("key" + std::to_string(i), "old");
  const ClockPosition before = Position();
  const ControlUpdate update = InvalidateAll(before);
  EXPECT_EQ(update.generation, before.generation);
  EXPECT_EQ(update.epoch, before.epoch + 1);
  EXPECT_EQ(update.all_stamp, before.epoch + 1);
  EXPECT_EQ(update.since, before.epoch);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Value("key" + std::to_string(i)), "(none)");
  Set("key1", "new");
  EXPECT_EQ(Value("key1"), "new");
  EXPECT_EQ(Get("key1")->meta().epoch, update.epoch);
}

TEST_P(StoreContractTest, ADeadEntryCountsAsAbsent) {
  const uint64_t version = Set("key", "old").current_version;
  InvalidateAll();
  const WriteResult by_version = Set("key", "new", IfVersion(version));
  EXPECT_FALSE(by_version.applied);
  EXPECT_EQ(by_version.current_version, 0u);
  EXPECT_FALSE(Set("key", "new", kIfPresent).applied);
  EXPECT_TRUE(Set("key", "new", kIfAbsent).applied);
  EXPECT_EQ(Value("key"), "new");
}

TEST_P(StoreContractTest, AWriteAsOfAnOlderPositionIsRefusedAfterAnInvalidation) {
  const ClockPosition before = Position();
  WriteRequest in_time = Request("a", MakeEntry("1"));
  in_time.as_of = before;
  EXPECT_TRUE(Write(std::move(in_time)).applied);
  InvalidateAll();
  WriteRequest too_late = Request("b", MakeEntry("1"));
  too_late.as_of = before;
  const WriteResult refused = Write(std::move(too_late));
  EXPECT_FALSE(refused.applied);
  EXPECT_EQ(refused.current_version, 0u);
  EXPECT_EQ(Value("b"), "(none)");
  WriteRequest after = Request("b", MakeEntry("2"));
  after.as_of = Position();
  EXPECT_TRUE(Write(std::move(after)).applied);
  EXPECT_EQ(Value("b"), "2");
}

TEST_P(StoreContractTest, AWriteAsOfAPositionCarriesItsEpoch) {
  InvalidateAll();
  const ClockPosition first = Position();
  InvalidateAll();
  InvalidateAll();
  WriteRequest stale = Request("key", MakeEntry("1"));
  stale.as_of = ClockPosition{first.generation, first.epoch + 1};
  EXPECT_FALSE(Write(std::move(stale)).applied);
  WriteRequest ahead = Request("key", MakeEntry("1"));
  ahead.as_of = ClockPosition{first.generation, first.epoch + 2};
  EXPECT_TRUE(Write(std::move(ahead)).applied);
  EXPECT_EQ(Get("key")->meta().epoch, first.epoch + 2);
}

TEST_P(StoreContractTest, AWriteAsOfAnotherGenerationIsRefused) {
  ClockPosition before = Position();
  ASSERT_TRUE(RaiseBarrierNow(store(), "default").ok());
  before.epoch = 1'000'000;
  WriteRequest request = Request("key", MakeEntry("1"));
  request.as_of = before;
  EXPECT_FALSE(Write(std::move(request)).applied);
  EXPECT_EQ(Value("key"), "(none)");
}

TEST_P(StoreContractTest, ABarrierKillsEverythingOlder) {
  InvalidateAll();
  Set("key", "old");
  const ClockPosition before = Position();
  absl::StatusOr<ControlUpdate> update = RaiseBarrierNow(store(), "default");
  ASSERT_TRUE(update.ok()) << update.status();
  EXPECT_NE(update->generation, before.generation);
  EXPECT_NE(update->generation, 0u);
  EXPECT_EQ(update->since, 0u);
  EXPECT_EQ(Value("key"), "(none)");
  EXPECT_TRUE(Set("key", "new", kIfAbsent).applied);
  EXPECT_EQ(Value("key"), "new");
}

TEST_P(StoreContractTest, AReaderOfAnotherGenerationGetsTheWholeRecord) {
  const ControlUpdate first = InvalidateAll();
  InvalidateAll();
  // As one who knows a far later epoch of a generation that is gone.
  const ControlUpdate update = Read({"key"}, {first.generation ^ 1, 1'000'000}).control;
  EXPECT_EQ(update.since, 0u);
  EXPECT_EQ(update.generation, first.generation);
  EXPECT_EQ(update.epoch, first.epoch + 1);
  EXPECT_EQ(update.all_stamp, first.epoch + 1);
}

TEST_P(StoreContractTest, AReaderIsToldWhatIsLaterThanItKnows) {
  const ControlUpdate first = InvalidateAll();
  const ClockPosition known{first.generation, first.epoch};
  const ControlUpdate nothing_new = Read({"key"}, known).control;
  EXPECT_EQ(nothing_new.since, known.epoch);
  EXPECT_EQ(nothing_new.epoch, known.epoch);
  EXPECT_EQ(nothing_new.all_stamp, 0u);
  InvalidateAll();
  const ControlUpdate news = Set("key", "1").control;
  EXPECT_EQ(news.all_stamp, first.epoch + 1);
  WriteRequest request = Request("key", MakeEntry("2"));
  request.known = known;
  const ControlUpdate from_known = Write(std::move(request)).control;
  EXPECT_EQ(from_known.since, known.epoch);
  EXPECT_EQ(from_known.all_stamp, first.epoch + 1);
  const ControlUpdate from_touch = Touch("key", kMinute, kMinute).control;
  EXPECT_EQ(from_touch.all_stamp, first.epoch + 1);
}

TEST_P(StoreContractTest, UpdatesRiseInTheOrderOfTheAnswers) {
  uint64_t last_sequence = 0;
  uint64_t last_epoch = 0;
  for (int i = 0; i < 20; ++i) {
    for (const ControlUpdate& update :
         {Read({"key"}).control, Set("key", "v").control, Touch("key", kMinute, kMinute).control, InvalidateAll()}) {
      EXPECT_GT(update.sequence, last_sequence);
      EXPECT_GE(update.epoch, last_epoch);
      last_sequence = update.sequence;
      last_epoch = update.epoch;
    }
  }
}

TEST_P(StoreContractTest, ACallWhoseDeadlineHasPassedDoesNothing) {
  absl::StatusOr<ReadResult> read = ReadNow(store(), {"default", {"key"}, {}, Now() - 1});
  EXPECT_EQ(read.status().code(), absl::StatusCode::kDeadlineExceeded);
  WriteRequest request = Request("key", MakeEntry("1"));
  request.deadline_nanos = Now() - 1;
  EXPECT_EQ(WriteNow(store(), std::move(request)).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Value("key"), "(none)");
}

TEST_P(StoreContractTest, DescribesItself) {
  Set("key", "value");
  absl::StatusOr<StoreInfo> info = DescribeNow(store());
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->state, StoreInfo::State::kReady);
  EXPECT_EQ(info->detail, "");
  EXPECT_GE(info->keys, 1);
  EXPECT_GT(info->used_memory_bytes, 0);
  EXPECT_NE(info->eviction_policy, "");
  EXPECT_EQ(info->unreadable_entries, 0);
}

TEST_P(StoreContractTest, RefusesCallsAfterShutdown) {
  store().Shutdown();
  EXPECT_EQ(store().state(), StoreInfo::State::kDown);
  EXPECT_EQ(ReadNow(store(), {"default", {"key"}, {}, 0}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(WriteNow(store(), Request("key", MakeEntry("1"))).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(TouchNow(store(), {"default", "key", 1, 1, {}, 0}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(EraseNow(store(), {"default", {"key"}, 0}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(InvalidateAllNow(store(), "default", {}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(RaiseBarrierNow(store(), "default").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReadControlNow(store(), "default", {}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(DescribeNow(store())->state, StoreInfo::State::kDown);
}

}  // namespace
}  // namespace larder
