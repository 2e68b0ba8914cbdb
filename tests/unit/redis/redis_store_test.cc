// What Redis may hold, lose or be, and what the store makes of it.
#include "server/redis/redis_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/redis/scripts.h"
#include "tests/support/redis_store_fixture.h"

namespace larder {
namespace {

using testing::HasSubstr;

class RedisStoreTest : public RedisStoreFixture {
 protected:
  static GroupRequest TagAndPattern() {
    GroupRequest request;
    request.name_space = "default";
    request.tags = {"tag"};
    request.patterns = {"pattern"};
    return request;
  }
  // Every command that they take, each with what it takes to get there.
  void UseAllOfLeasesAndGroups() {
    std::atomic<int> told{0};
    store_->SetWakeListener([&told](std::string_view, std::string_view key) { told += key == "lease" ? 1 : 0; });
    ASSERT_TRUE(Eventually([&] { return Redis({"PUBSUB", "CHANNELS"}).find("default") != std::string::npos; }));
    const absl::StatusOr<LeaseResult> lease = LeaseNow(*store_, LeaseOn("lease", 1));
    ASSERT_TRUE(lease.ok()) << lease.status();
    EXPECT_EQ(LeaseNow(*store_, LeaseOn("lease", 2))->outcome, LeaseResult::Outcome::kHeld);
    EXPECT_TRUE(Fill(*store_, "lease", lease->fill, "v")->applied);
    EXPECT_TRUE(Eventually([&] { return told.load() == 1; }));
    store_->SetWakeListener(nullptr);
    const absl::StatusOr<LeaseResult> stale = LeaseNow(*store_, LeaseOn("lease", 3, last_version_.load()));
    EXPECT_TRUE(ReleaseNow(*store_, {"default", "lease", 3, kMinute, 2 * kMinute, 2 * kMinute, 0})->held);
    EXPECT_EQ(EraseNow(*store_, {"default", {"lease"}, {5}, 0})->erased, 1);
    EXPECT_TRUE(InvalidateGroupsNow(*store_, TagAndPattern()).ok());
    EXPECT_EQ(LookNow(*store_, {"default", {"lease"}, {}, 0})->items[0].kind, StoredItem::Kind::kEntry);
    const ClockPosition fence = {Generation(*store_), 1};
    EXPECT_EQ(EraseDeadNow(*store_, {"default", "", 100, fence, nullptr, {}, 0})->erased, 0);
    EXPECT_EQ(ScanNow(*store_, {"default", "", 1'000, {}, 0})->items.size(), 3u);
    EXPECT_EQ(EraseVersionsNow(*store_, {"default", {{"lease", 5}}, 0})->erased, 1);
    SweepRequest sweep{"default", SweepRequest::Step::kBegin, 1, kMinute, {}, {}, 0};
    sweep.fence = SweepNow(*store_, sweep)->fence;
    sweep.step = SweepRequest::Step::kEnd;
    EXPECT_TRUE(SweepNow(*store_, sweep)->mine);
    const absl::StatusOr<uint64_t> forgotten = ForgetOldStampsNow(*store_, "default", kMinute);
    EXPECT_TRUE(forgotten.ok()) << forgotten.status();
    EXPECT_TRUE(PutNoteNow(*store_, "default", "name", "text", kMinute).ok());
    EXPECT_EQ(GetNoteNow(*store_, "default", "name")->value_or(""), "text");
  }
};

TEST_F(RedisStoreTest, KeepsThingsWhereTheDocumentationSays) {
  StartBoth();
  ASSERT_TRUE(Set(*store_, "key", "value").ok());
  EXPECT_EQ(Redis({"TYPE", "larder:default:e:key"}), "string");
  EXPECT_EQ(Redis({"TYPE", kControlKey}), "zset");
  EXPECT_EQ(Redis({"TTL", kControlKey}), "-1");
  EXPECT_THAT(Redis({"PTTL", "larder:default:e:key"}), testing::Not("-1"));
  EXPECT_EQ(Redis({"GETRANGE", "larder:default:e:key", "0", "4"}), "\x89LDR\x01");
  EXPECT_FALSE(store_->exclusive());
}

// COHERENCE E7.
TEST_F(RedisStoreTest, WhatIsNotOursIsAMissUntilItIsSet) {
  StartBoth();
  ASSERT_TRUE(Set(*store_, "whole", "value").ok());
  const std::string whole = Redis({"GET", "larder:default:e:whole"});
  std::string newer = whole;
  newer[4] = 2;
  const std::vector<std::pair<std::string, std::string>> values = {{"foreign", "text"},
                                                                   {"empty", ""},
                                                                   {"truncated", whole.substr(0, whole.size() - 1)},
                                                                   {"headless", whole.substr(0, 20)},
                                                                   {"newer", newer}};
  for (const auto& [key, value] : values) Redis({"SET", "larder:default:e:" + key, value, "PX", "60000"});
  Redis({"RPUSH", "larder:default:e:list", "a"});
  Redis({"SET", "larder:default:e:eternal", whole});
  const std::vector<std::string> keys = {"foreign", "empty", "truncated", "headless", "newer", "list", "eternal"};

  absl::StatusOr<ReadResult> result = ReadNow(*store_, {"default", keys, {}, 0});
  ASSERT_TRUE(result.ok()) << result.status();
  for (const EntryRef& entry : result->entries) EXPECT_FALSE(entry);
  EXPECT_EQ(DescribeNow(*store_)->unreadable_entries, 7);
  EXPECT_EQ(WarningCount(), 1u);

  for (const std::string& key : keys) {
    EXPECT_FALSE(TouchNow(*store_, {"default", key, kMinute, kMinute, 0, {}, 0})->found) << key;
    const absl::StatusOr<WriteResult> present = WriteNow(*store_, Request(key, "n", {Condition::Kind::kPresent, 0}));
    ASSERT_TRUE(present.ok()) << key << present.status();
    EXPECT_FALSE(present->applied) << key;
    EXPECT_TRUE(Set(*store_, key, "now ours")->applied) << key;
    EXPECT_EQ(Value(*store_, key), "now ours") << key;
  }
}

// COHERENCE C4: a sweep must know of what only a later release can judge, and leave that and what is not ours. What is
// ours and dead goes, damaged or without a time to live: it would stay for good.
TEST_F(RedisStoreTest, ASweepTellsOfWhatItCannotJudge) {
  StartBoth();
  ASSERT_TRUE(Set(*store_, "whole", "value").ok());
  const std::string whole = Redis({"GET", "larder:default:e:whole"});
  ASSERT_TRUE(InvalidateAllNow(*store_, "default", {}).ok());
  const auto sweep = [&] {
    const ClockPosition fence = {ReadControlNow(*store_, "default", {})->generation, 2};
    return *EraseDeadNow(*store_, {"default", "", 1'000, fence, nullptr, {}, 0});
  };
  std::string format = whole, flag = whole;
  format[4] = 2;
  flag[5] = 8;
  const auto put = [&](const std::string& key, const std::string& value) {
    Redis({"SET", "larder:default:e:" + key, value, "PX", "60000"});
  };
  put("foreign", "text");
  put("truncated", whole.substr(0, whole.size() - 1));
  Redis({"RPUSH", "larder:default:e:list", "x"});
  Redis({"SET", "larder:default:e:eternal", whole});
  const EraseDeadResult ours = sweep();
  EXPECT_EQ(ours.scanned, 5);
  EXPECT_EQ(ours.erased, 3);
  EXPECT_TRUE(ours.has_seen_all);
  EXPECT_EQ(ScanNow(*store_, {"default", "", 1'000, {}, 0})->items.size(), 2u);
  for (const auto& [key, value] : {std::pair("format", format), std::pair("flag", flag)}) {
    put(key, value);
    EXPECT_FALSE(sweep().has_seen_all) << key;
    Redis({"PERSIST", std::string("larder:default:e:") + key});
    EXPECT_TRUE(sweep().has_seen_all) << "what nobody reads holds nothing up";
    Redis({"DEL", std::string("larder:default:e:") + key});
  }
  format[4] = 0;
  put("zero", format);
  EXPECT_EQ(sweep().erased, 0) << "no format of ours";
}

// COHERENCE C4: what could not be looked at must not pass for nothing.
TEST_F(RedisStoreTest, ASweepThatMayNotLookFails) {
  StartServer();
  ASSERT_EQ(Redis({"ACL", "SETUSER", "larder", "on", ">secret", "~*", "&*", "+@all", "-getrange"}), "OK");
  RedisOptions options = PatientOptions();
  options.user = "larder";
  options.password = "secret";
  StartStore(options);
  ASSERT_EQ(Redis({"SET", "larder:default:e:key", "v", "PX", "60000"}), "OK");
  const ClockPosition fence = {Generation(*store_), 2};
  EXPECT_FALSE(EraseDeadNow(*store_, {"default", "", 1'000, fence, nullptr, {}, 0}).ok());
}

TEST_F(RedisStoreTest, ALookTellsWhatItCannotRead) {
  StartBoth();
  ASSERT_TRUE(Set(*store_, "large", std::string(1'000, 'v')).ok());
  const std::string whole = Redis({"GET", "larder:default:e:large"});
  std::string format = whole, flag = whole;
  format[4] = 2;
  flag[5] = 8;
  const std::vector<std::pair<std::string, std::string>> values = {
      {"foreign", "text"}, {"truncated", whole.substr(0, 500)}, {"format", format}, {"flag", flag}};
  for (const auto& [key, value] : values) Redis({"SET", "larder:default:e:" + key, value, "PX", "60000"});
  RedisOptions options = PatientOptions();
  options.max_value_bytes = 10;
  std::unique_ptr<RedisStore> small = MakeStore(options);
  ASSERT_TRUE(AwaitReady(*small));
  const absl::StatusOr<ScanResult> scan = ScanNow(*small, {"default", "", 1'000, {}, 0});
  ASSERT_TRUE(scan.ok()) << scan.status();
  EXPECT_EQ(scan->items.size(), 5u);
  for (const StoredItem& item : scan->items) {
    EXPECT_EQ(item.kind, item.key == "large" ? StoredItem::Kind::kEntry : StoredItem::Kind::kUnreadable) << item.key;
  }
}

// A value that is replaced in between must not be given the time of the one that replaces it.
TEST_F(RedisStoreTest, AReadAsksForTheTimeBeforeTheValue) {
  const RedisPipeline read = ReadCommands(KeysOf("larder", "default"), {"key"}, {});
  EXPECT_THAT(std::string(read.command(0)), HasSubstr("PTTL"));
  EXPECT_THAT(std::string(read.command(1)), HasSubstr("GET"));
}

TEST_F(RedisStoreTest, AFlushOfTheScriptsCostsNothing) {
  StartBoth();
  ASSERT_TRUE(Set(*store_, "key", "1").ok());
  EXPECT_EQ(Redis({"SCRIPT", "FLUSH"}), "OK");
  EXPECT_TRUE(Set(*store_, "key", "2")->applied);
  EXPECT_EQ(Value(*store_, "key"), "2");
  Redis({"SCRIPT", "FLUSH"});
  EXPECT_TRUE(TouchNow(*store_, {"default", "key", kMinute, kMinute, 0, {}, 0})->found);
  Redis({"SCRIPT", "FLUSH"});
  EXPECT_EQ(InvalidateAllNow(*store_, "default", {})->epoch, 2u);
  EXPECT_EQ(Value(*store_, "key"), "(none)");
}

// COHERENCE C3: with the record its stamps are lost.
TEST_F(RedisStoreTest, ALostControlRecordIsANewGeneration) {
  StartBoth();
  ASSERT_TRUE(Set(*store_, "key", "old").ok());
  uint64_t generation = Generation(*store_);
  Redis({"DEL", kControlKey});
  EXPECT_EQ(Value(*store_, "key"), "(none)");
  EXPECT_NE(Generation(*store_), generation);

  // Whatever operation finds it missing makes it, and is done.
  ASSERT_TRUE(Set(*store_, "key", "old").ok());
  Redis({"DEL", kControlKey});
  EXPECT_FALSE(TouchNow(*store_, {"default", "key", kMinute, kMinute, 0, {}, 0})->found);
  EXPECT_EQ(Value(*store_, "key"), "(none)");

  ASSERT_TRUE(Set(*store_, "key", "old").ok());
  Redis({"DEL", kControlKey});
  absl::StatusOr<WriteResult> written = WriteNow(*store_, Request("key", "new", {Condition::Kind::kAbsent, 0}));
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_TRUE(written->applied);
  EXPECT_EQ(Value(*store_, "key"), "new");

  generation = Generation(*store_);
  Redis({"DEL", kControlKey});
  absl::StatusOr<ControlUpdate> update = InvalidateAllNow(*store_, "default", {generation, 5});
  ASSERT_TRUE(update.ok()) << update.status();
  EXPECT_NE(update->generation, generation);
  EXPECT_EQ(update->since, 0u);
  EXPECT_EQ(AllStamp(*update), 2u);
  EXPECT_EQ(Value(*store_, "key"), "(none)");
}

TEST_F(RedisStoreTest, AFlushOfEverythingIsANewGeneration) {
  StartBoth();
  ASSERT_TRUE(Set(*store_, "key", "old").ok());
  const uint64_t generation = Generation(*store_);
  EXPECT_EQ(Redis({"FLUSHALL"}), "OK");
  EXPECT_EQ(Value(*store_, "key"), "(none)");
  EXPECT_NE(Generation(*store_), generation);
  EXPECT_TRUE(Set(*store_, "key", "new")->applied);
  EXPECT_EQ(Value(*store_, "key"), "new");
}

TEST_F(RedisStoreTest, ADamagedControlRecordIsAsGoodAsNone) {
  StartBoth();
  const uint64_t generation = Generation(*store_);
  ASSERT_TRUE(Set(*store_, "key", "old").ok());
  Redis({"SET", kControlKey, "text"});
  EXPECT_EQ(Value(*store_, "key"), "(none)");
  EXPECT_NE(Generation(*store_), generation);
  Redis({"ZREM", kControlKey, "epoch"});
  EXPECT_TRUE(Set(*store_, "key", "new")->applied);
  Redis({"ZREM", kControlKey, "epoch"});
  EXPECT_EQ(Value(*store_, "key"), "(none)");
}

TEST_F(RedisStoreTest, ANewerControlRecordIsLeftAlone) {
  StartBoth();
  Redis({"DEL", kControlKey});
  Redis({"ZADD", kControlKey, "+inf", "head:2:something", "1", "epoch"});
  const absl::Status read = ReadNow(*store_, {"default", {"key"}, {}, 0}).status();
  EXPECT_EQ(read.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(read.message(), "the control record in Redis is of a format that this release cannot read");
  const absl::Status write = Set(*store_, "key", "v").status();
  EXPECT_FALSE(write.ok());
  EXPECT_THAT(std::string(write.message()), HasSubstr("of format 2, which this release cannot read"));
  EXPECT_EQ(Redis({"ZSCORE", kControlKey, "head:2:something"}), "inf");
}

// COHERENCE C3: what a restarted Redis has may be older than what was acknowledged.
TEST_F(RedisStoreTest, ARestartWithTheSameDataIsANewGeneration) {
  StartBoth();
  ASSERT_TRUE(Set(*store_, "key", "old").ok());
  const uint64_t generation = Generation(*store_);
  ASSERT_EQ(Redis({"SAVE"}), "OK");
  server_->Kill();
  ASSERT_TRUE(Eventually([&] { return store_->state() != StoreInfo::State::kReady; }));
  ASSERT_TRUE(server_->Restart().ok());
  ASSERT_TRUE(AwaitReady(*store_));
  EXPECT_EQ(Redis({"EXISTS", "larder:default:e:key"}), "1");
  EXPECT_EQ(Value(*store_, "key"), "(none)");
  EXPECT_NE(Generation(*store_), generation);
  EXPECT_EQ(DescribeNow(*store_)->disconnects, 1);
}

TEST_F(RedisStoreTest, TwoReplicasAgreeOnOneGeneration) {
  StartBoth();
  std::unique_ptr<RedisStore> second = MakeStore(PatientOptions());
  ASSERT_TRUE(AwaitReady(*second));
  EXPECT_EQ(Generation(*store_), Generation(*second));
  ASSERT_EQ(Redis({"SAVE"}), "OK");
  server_->Kill();
  ASSERT_TRUE(Eventually(
      [&] { return store_->state() != StoreInfo::State::kReady && second->state() != StoreInfo::State::kReady; }));
  ASSERT_TRUE(server_->Restart().ok());
  ASSERT_TRUE(AwaitReady(*store_));
  ASSERT_TRUE(AwaitReady(*second));
  EXPECT_EQ(Generation(*store_), Generation(*second));
  ASSERT_TRUE(Set(*store_, "key", "shared").ok());
  EXPECT_EQ(Value(*second, "key"), "shared");
  ASSERT_TRUE(InvalidateAllNow(*second, "default", {}).ok());
  EXPECT_EQ(Value(*store_, "key"), "(none)");
}

// COHERENCE C6.
TEST_F(RedisStoreTest, WithoutMemoryWritesFailButInvalidationsDoNot) {
  StartBoth();
  ASSERT_TRUE(Set(*store_, "key", "value").ok());
  ASSERT_EQ(Redis({"CONFIG", "SET", "maxmemory-policy", "noeviction"}), "OK");
  ASSERT_EQ(Redis({"CONFIG", "SET", "maxmemory", "1"}), "OK");
  const absl::Status write = Set(*store_, "key", "more").status();
  EXPECT_EQ(write.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(write.message(), "Redis is out of memory");
  EXPECT_EQ(Value(*store_, "key"), "value");
  absl::StatusOr<ControlUpdate> update = InvalidateAllNow(*store_, "default", {});
  ASSERT_TRUE(update.ok()) << update.status();
  EXPECT_EQ(Value(*store_, "key"), "(none)");
  EXPECT_TRUE(RaiseBarrierNow(*store_, "default").ok());
  EXPECT_EQ(DescribeNow(*store_)->max_memory_bytes, 1);
  EXPECT_EQ(DescribeNow(*store_)->eviction_policy, "noeviction");
}

// COHERENCE C6, E5.
TEST_F(RedisStoreTest, WithoutMemoryEverythingThatInvalidatesOrFreesWorks) {
  StartBoth();
  for (const char* key : {"hard", "soft", "exact", "dead"}) ASSERT_TRUE(Set(*store_, key, "value").ok());
  ASSERT_EQ(Redis({"CONFIG", "SET", "maxmemory-policy", "noeviction"}), "OK");
  ASSERT_EQ(Redis({"CONFIG", "SET", "maxmemory", "1"}), "OK");
  const uint64_t version = last_version_.load();
  EXPECT_EQ(EraseNow(*store_, {"default", {"hard"}, {}, 0})->erased, 1);
  EXPECT_EQ(EraseNow(*store_, {"default", {"soft"}, {9}, 0})->erased, 1);
  EXPECT_EQ(EraseVersionsNow(*store_, {"default", {{"exact", version - 1}}, 0})->erased, 1);
  const auto is_dead = [](std::string_view key) { return key == "dead" ? 2 : 0; };
  EXPECT_EQ(EraseDeadNow(*store_, {"default", "", 100, {Generation(*store_), 1}, is_dead, {}, 0})->erased, 1);
  for (const bool soft : {false, true}) {
    GroupRequest groups = TagAndPattern();
    groups.soft = soft;
    const absl::StatusOr<GroupResult> invalidated = InvalidateGroupsNow(*store_, groups);
    EXPECT_TRUE(invalidated.ok()) << invalidated.status();
  }
  SweepRequest sweep{"default", SweepRequest::Step::kBegin, 1, kMinute, {}, {}, 0};
  const absl::StatusOr<SweepResult> begun = SweepNow(*store_, sweep);
  ASSERT_TRUE(begun.ok()) << begun.status();
  EXPECT_TRUE(begun->mine);
  sweep.fence = begun->fence;
  sweep.step = SweepRequest::Step::kEnd;
  EXPECT_TRUE(SweepNow(*store_, sweep)->mine);
  const absl::StatusOr<uint64_t> forgotten = ForgetOldStampsNow(*store_, "default", kMinute);
  EXPECT_TRUE(forgotten.ok()) << forgotten.status();
  EXPECT_EQ(LeaseNow(*store_, LeaseOn("key", 1)).status().code(), absl::StatusCode::kResourceExhausted);
}

// As before Redis 7, where scripts have no flags: each writes first what takes no memory.
TEST_F(RedisStoreTest, WithoutMemoryScriptsWithoutFlagsWorkToo) {
  StartBoth();
  ASSERT_TRUE(Set(*store_, "soft", "value").ok());
  ASSERT_EQ(Redis({"CONFIG", "SET", "maxmemory-policy", "noeviction"}), "OK");
  ASSERT_EQ(Redis({"CONFIG", "SET", "maxmemory", "1"}), "OK");
  const std::string generation = "00000000000000ab";
  auto run = [this](Script script, std::vector<std::string> rest) {
    std::vector<std::string> args = {"EVAL", ScriptBody(script, {})};
    args.insert(args.end(), rest.begin(), rest.end());
    return Redis(args);
  };
  EXPECT_EQ(run(Script::kErase, {"2", kControlKey, "larder:default:e:soft", "soft", "12345678"}), "1");
  const std::string in_force = absl::StrCat(absl::Hex(Generation(*store_), absl::kZeroPad16));
  EXPECT_THAT(run(Script::kEraseDead, {"2", kControlKey, "larder:default:e:soft", in_force, "0", in_force, "9"}),
              testing::StartsWith("1\n1\n0\n"));
  Redis({"DEL", kControlKey});
  EXPECT_THAT(run(Script::kEnsure, {"1", kControlKey, generation, "id", "", "1"}),
              HasSubstr("head:1:00000000000000ab:id"));
  const std::vector<std::string> group = {"1", kControlKey, generation, "0", "h", "0", "10", "10", "1", "tag"};
  EXPECT_THAT(run(Script::kInvalidateGroups, group), HasSubstr("ht:tag\n2"));
  EXPECT_THAT(run(Script::kSweep,
                  {"2", kControlKey, "larder:{default}:sweep", generation, "0", "begin", "s", "1000", generation, "0"}),
              testing::StartsWith("1\n2\n"));
  EXPECT_EQ(run(Script::kAge, {"1", kControlKey, "60000"}), generation + "\n0");
  EXPECT_EQ(run(Script::kForget, {"1", kControlKey, generation, "2", "any", "0"}), "-1");
  EXPECT_THAT(run(Script::kRaiseBarrier, {"1", kControlKey, generation}), HasSubstr("epoch\n1"));
}

TEST_F(RedisStoreTest, SpeaksTheOldProtocolWhereHelloIsUnknown) {
  RedisServer::Options options;
  options.password = "hunter2";
  options.extra_args = {"--rename-command", "HELLO", ""};
  StartServer(options);
  RedisOptions store_options = PatientOptions();
  store_options.password = "hunter2";
  StartStore(store_options);
  ASSERT_TRUE(Set(*store_, "key", "value").ok());
  EXPECT_EQ(Value(*store_, "key"), "value");
  absl::StatusOr<ControlUpdate> update = InvalidateAllNow(*store_, "default", {});
  EXPECT_EQ(AllStamp(*update), 2u);
  EXPECT_EQ(AllStamp(*ReadControlNow(*store_, "default", {})), 2u);
  EXPECT_EQ(Value(*store_, "key"), "(none)");
}

// The rights that docs/envelope.md names suffice.
TEST_F(RedisStoreTest, NeedsNoMoreRightsThanTheDocumentationSays) {
  StartServer();
  const std::vector<std::string> rights = {
      "ACL",      "SETUSER",      "larder", "reset", "on",      ">pw",        "~larder:*",     "&larder:*", "+hello",
      "+auth",    "+select",      "+ping",  "+info", "+dbsize", "+scan",      "+subscribe",    "+publish",  "+time",
      "+evalsha", "+script|load", "+get",   "+set",  "+pttl",   "+pexpire",   "+getrange",     "+getbit",   "+setrange",
      "+strlen",  "+unlink",      "+zadd",  "+zrem", "+zscore", "+zrevrange", "+zrangebyscore"};
  ASSERT_EQ(Redis(rights), "OK");
  RedisOptions options = PatientOptions();
  options.user = "larder";
  options.password = "pw";
  StartStore(options);
  ASSERT_TRUE(Set(*store_, "key", "value").ok());
  EXPECT_EQ(Value(*store_, "key"), "value");
  EXPECT_TRUE(TouchNow(*store_, {"default", "key", kMinute, kMinute, 0, {}, 0})->found);
  EXPECT_FALSE(TouchNow(*store_, {"default", "key", kMinute, 0, 0, {}, 0})->found);
  EXPECT_TRUE(EraseNow(*store_, {"default", {"key"}, {}, 0}).ok());
  absl::StatusOr<ControlUpdate> control = InvalidateAllNow(*store_, "default", {});
  ASSERT_TRUE(control.ok()) << control.status();
  // As of a position: over no key, over an entry, and over what is not ours.
  Redis({"SET", "larder:default:e:foreign", "text"});
  const std::vector<std::pair<std::string, bool>> writes = {{"absent", true}, {"absent", true}, {"foreign", false}};
  for (const auto& [key, applies] : writes) {
    WriteRequest request = Request(key, "as of");
    request.as_of = ClockPosition{control->generation, control->epoch};
    const absl::StatusOr<WriteResult> written = WriteNow(*store_, request);
    ASSERT_TRUE(written.ok()) << key << written.status();
    EXPECT_EQ(written->applied, applies) << key;
  }
  UseAllOfLeasesAndGroups();
  EXPECT_TRUE(RaiseBarrierNow(*store_, "default").ok());
  EXPECT_EQ(DescribeNow(*store_)->detail, "");
  EXPECT_EQ(WarningCount(), 0u);
}

TEST_F(RedisStoreTest, WorksOverAUnixSocketAndInAnotherDatabase) {
  RedisServer::Options options;
  options.unix_socket = true;
  StartServer(options);
  RedisOptions store_options = PatientOptions();
  store_options.unix_path = server_->unix_path();
  store_options.port = 1;
  store_options.database = 2;
  store_options.prefix = "app";
  StartStore(store_options);
  ASSERT_TRUE(Set(*store_, "key", "value").ok());
  EXPECT_EQ(Value(*store_, "key"), "value");
  EXPECT_EQ(Redis({"DBSIZE"}), "0");
  EXPECT_THAT(Redis({"INFO", "keyspace"}), HasSubstr("db2:keys=3"));
}

TEST_F(RedisStoreTest, DescribesRedis) {
  StartBoth();
  absl::StatusOr<StoreInfo> info = DescribeNow(*store_);
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->kind, "redis");
  EXPECT_EQ(info->state, StoreInfo::State::kReady);
  EXPECT_GT(info->round_trip_micros, 0);
  EXPECT_EQ(info->keys, 2);  // the control records
  EXPECT_EQ(info->eviction_policy, "noeviction");
  EXPECT_NE(info->redis_version, "");
  EXPECT_EQ(info->disconnects, 0);
}

TEST_F(RedisStoreTest, RefusesANamespaceThatItWasNotToldOf) {
  StartBoth();
  const absl::Status status = ReadNow(*store_, {"unknown", {"key"}, {}, 0}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(status.message(), "the store was not told of namespace \"unknown\"");
}

TEST_F(RedisStoreTest, CompressesWhereThatPays) {
  StartBoth();
  ASSERT_TRUE(Set(*store_, "small", std::string(4'095, 'x')).ok());
  ASSERT_TRUE(Set(*store_, "large", std::string(100'000, 'x')).ok());
  EXPECT_EQ(Redis({"STRLEN", "larder:default:e:small"}), std::to_string(96 + 4'095));
  EXPECT_LT(std::stoi(Redis({"STRLEN", "larder:default:e:large"})), 1'000);
  EXPECT_EQ(Value(*store_, "large"), std::string(100'000, 'x'));
}

}  // namespace
}  // namespace larder
