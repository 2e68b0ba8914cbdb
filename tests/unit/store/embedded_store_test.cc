// What only the embedded store promises; the rest is in store_contract_test.cc.
#include "server/store/embedded_store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/manual_clock.h"
#include "tests/support/store_calls.h"

namespace larder {
namespace {

class EmbeddedStoreTest : public testing::Test {
 protected:
  WriteRequest Request(std::string key, std::string_view value, uint64_t version) {
    EntryMeta meta;
    meta.version = version;
    meta.created_nanos = clock_.NowNanos();
    meta.expires_nanos = clock_.NowNanos() + 60 * kNanosPerSecond;
    WriteRequest request;
    request.name_space = "default";
    request.key = std::move(key);
    request.entry = Entry::Create(meta, "", value);
    return request;
  }

  ManualClock clock_;
  EmbeddedStore store_{&clock_, {size_t{8} << 20}};
};

TEST_F(EmbeddedStoreTest, IsItsOwnOnlyWriter) { EXPECT_TRUE(store_.exclusive()); }

TEST_F(EmbeddedStoreTest, RefusesAnEntryThatItCannotHold) {
  absl::StatusOr<WriteResult> result = WriteNow(store_, Request("key", std::string(size_t{9} << 20, 'x'), 1));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(result.status().message()).find("larger than the embedded store can hold"), std::string::npos);
}

TEST_F(EmbeddedStoreTest, ARefusedEntryLeavesTheOneThatIsThere) {
  ASSERT_TRUE(WriteNow(store_, Request("key", "old", 1)).ok());
  ASSERT_FALSE(WriteNow(store_, Request("key", std::string(9 << 20, 'x'), 2)).ok());
  EXPECT_EQ(ReadNow(store_, {"default", {"key"}, {}, 0})->entries[0]->value(), "old");
}

TEST_F(EmbeddedStoreTest, StaysWithinItsBoundAndCountsWhatItPushedOut) {
  for (uint64_t i = 1; i <= 20'000; ++i) {
    ASSERT_TRUE(WriteNow(store_, Request("key" + std::to_string(i), std::string(1'000, 'x'), i)).ok());
  }
  absl::StatusOr<StoreInfo> info = DescribeNow(store_);
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->kind, "embedded");
  EXPECT_EQ(info->max_memory_bytes, 8 << 20);
  EXPECT_LE(info->used_memory_bytes, 8 << 20);
  EXPECT_GT(info->used_memory_bytes, 4 << 20);
  EXPECT_GT(info->evictions, 10'000);
}

TEST_F(EmbeddedStoreTest, ReadingADeadEntryFreesIt) {
  ASSERT_TRUE(WriteNow(store_, Request("key", "value", 1)).ok());
  ASSERT_TRUE(InvalidateAllNow(store_, "default", {}).ok());
  EXPECT_EQ(DescribeNow(store_)->keys, 1);
  absl::StatusOr<ReadResult> result = ReadNow(store_, {"default", {"key"}, {}, 0});
  EXPECT_FALSE(result->entries[0]);
  EXPECT_EQ(DescribeNow(store_)->keys, 0);
}

TEST_F(EmbeddedStoreTest, ATouchLeavesThoseWhoHoldTheEntryAlone) {
  ASSERT_TRUE(WriteNow(store_, Request("key", "value", 1)).ok());
  const EntryRef held = ReadNow(store_, {"default", {"key"}, {}, 0})->entries[0];
  const int64_t expires = held->meta().expires_nanos;
  clock_.Advance(kNanosPerSecond);
  ASSERT_TRUE(TouchNow(store_, {"default", "key", 300 * kNanosPerSecond, 1'000 * kNanosPerSecond, {}, 0})->found);
  EXPECT_EQ(held->meta().expires_nanos, expires);
  const EntryRef touched = ReadNow(store_, {"default", {"key"}, {}, 0})->entries[0];
  EXPECT_EQ(touched->meta().expires_nanos, clock_.NowNanos() + 300 * kNanosPerSecond);
  EXPECT_EQ(touched->meta().created_nanos, held->meta().created_nanos);
}

// Of all who would replace the same version, one does.
TEST_F(EmbeddedStoreTest, ConditionsHoldAmongThreads) {
  constexpr int kThreads = 4;
  constexpr uint64_t kRounds = 2'000;
  ASSERT_TRUE(WriteNow(store_, Request("key", "0", 1)).ok());
  std::atomic<uint64_t> next_version{2};
  std::atomic<uint64_t> applied{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (uint64_t round = 0; round < kRounds; ++round) {
        const EntryRef seen = ReadNow(store_, {"default", {"key"}, {}, 0})->entries[0];
        ASSERT_TRUE(seen);
        const uint64_t count = std::stoull(std::string(seen->value()));
        WriteRequest request = Request("key", std::to_string(count + 1), next_version.fetch_add(1));
        request.condition = {Condition::Kind::kVersion, seen->meta().version};
        if (WriteNow(store_, std::move(request))->applied) applied.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ReadNow(store_, {"default", {"key"}, {}, 0})->entries[0]->value(), std::to_string(applied.load()));
  EXPECT_GE(applied.load(), kRounds);
}

// COHERENCE E3: once an invalidation is acknowledged, no entry that was written before it is ever read again, whatever
// others do to it meanwhile.
TEST_F(EmbeddedStoreTest, NothingOlderIsReadAfterAnInvalidation) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> others;
  others.emplace_back([&] {
    while (!stop.load())
      ASSERT_TRUE(TouchNow(store_, {"default", "key", kNanosPerSecond, kNanosPerSecond, {}, 0}).ok());
  });
  others.emplace_back([&] {
    while (!stop.load()) ASSERT_TRUE(ReadNow(store_, {"default", {"key"}, {}, 0}).ok());
  });
  const auto check = [&] {
    for (uint64_t i = 1; i <= 3'000; ++i) {
      ASSERT_TRUE(WriteNow(store_, Request("key", "value", i))->applied);
      ASSERT_TRUE(InvalidateAllNow(store_, "default", {}).ok());
      ASSERT_FALSE(ReadNow(store_, {"default", {"key"}, {}, 0})->entries[0]) << i;
      ASSERT_TRUE(WriteNow(store_, Request("key", "new", 10'000 + i))->applied);
      // The one that found the dead entry must not have erased its successor.
      ASSERT_TRUE(ReadNow(store_, {"default", {"key"}, {}, 0})->entries[0]) << i;
    }
  };
  check();
  stop.store(true);
  for (std::thread& other : others) other.join();
}

}  // namespace
}  // namespace larder
