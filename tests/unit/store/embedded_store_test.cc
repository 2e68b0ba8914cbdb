// What only the embedded store promises; the rest is in store_contract.h and what includes it.
#include "server/store/embedded_store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/pattern.h"
#include "tests/support/manual_clock.h"
#include "tests/support/store_calls.h"

namespace larder {
namespace {

// A clock that does something else when it is read for the nth time: it gets in between what the store does.
class MeddlingClock final : public Clock {
 public:
  int64_t NowNanos() const override {
    if (countdown_ > 0 && --countdown_ == 0) std::exchange(meddle_, nullptr)();
    return kNanosPerSecond;
  }
  int64_t WallMillis() const override { return 1'000; }

  void MeddleAt(int nth, std::function<void()> meddle) {
    countdown_ = nth;
    meddle_ = std::move(meddle);
  }
  // Whether it has; it will not any more.
  bool Meddled() {
    countdown_ = 0;
    return meddle_ == nullptr;
  }

 private:
  mutable int countdown_ = 0;
  mutable std::function<void()> meddle_;
};

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
  LeaseResult Lease(std::string key, uint64_t token, uint64_t found_version = 0) {
    LeaseRequest request;
    request.name_space = "default";
    request.key = std::move(key);
    request.token = token;
    request.lease_nanos = 10 * kNanosPerSecond;
    request.found_version = found_version;
    return *LeaseNow(store_, std::move(request));
  }
  WriteResult Fill(std::string key, std::string_view value, uint64_t version, const FillToken& token) {
    WriteRequest request = Request(std::move(key), value, version);
    request.fill = token;
    return *WriteNow(store_, std::move(request));
  }
  void Invalidate(std::vector<std::string> patterns) {
    GroupRequest request;
    request.name_space = "default";
    request.patterns = std::move(patterns);
    ASSERT_TRUE(InvalidateGroupsNow(store_, std::move(request)).ok());
  }
  SweepResult Sweep(SweepRequest::Step step, ClockPosition fence = {}) {
    SweepRequest request;
    request.name_space = "default";
    request.step = step;
    request.sweeper = 1;
    request.lease_nanos = 60 * kNanosPerSecond;
    request.fence = fence;
    return *SweepNow(store_, request);
  }
  // Erases what a pattern has killed, as a sweeper does.
  void EraseMatching(std::string_view pattern, uint64_t before_epoch) {
    ScanRequest scan;
    scan.name_space = "default";
    scan.count = 100;
    do {
      absl::StatusOr<ScanResult> result = ScanNow(store_, scan);
      ASSERT_TRUE(result.ok()) << result.status();
      EraseVersionsRequest dead;
      dead.name_space = "default";
      for (const StoredItem& item : result->items) {
        const EntryMeta& meta = item.head->meta();
        if (meta.epoch < before_epoch && MatchesPattern(pattern, item.key))
          dead.keys.emplace_back(item.key, meta.version);
      }
      ASSERT_TRUE(EraseVersionsNow(store_, std::move(dead)).ok());
      scan.cursor = result->cursor;
    } while (!scan.cursor.empty());
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
  ASSERT_TRUE(TouchNow(store_, {"default", "key", 300 * kNanosPerSecond, 1'000 * kNanosPerSecond, 0, {}, 0})->found);
  EXPECT_EQ(held->meta().expires_nanos, expires);
  const EntryRef touched = ReadNow(store_, {"default", {"key"}, {}, 0})->entries[0];
  EXPECT_EQ(touched->meta().expires_nanos, clock_.NowNanos() + 300 * kNanosPerSecond);
  EXPECT_EQ(touched->meta().created_nanos, held->meta().created_nanos);
}

// It looks at patterns itself, so that a fill that would be dead is refused.
TEST_F(EmbeddedStoreTest, NoFillLandsAfterAnInvalidationByAPattern) {
  const FillToken token = Lease("user:1", 7).fill;
  Invalidate({"user:*"});
  EXPECT_FALSE(Fill("user:1", "loaded before", 1, token).applied);
  EXPECT_EQ(Lease("user:1", 8).outcome, LeaseResult::Outcome::kGranted) << "the dead lease holds nobody up";
}

TEST_F(EmbeddedStoreTest, NobodyFillsAsOfAnotherPositionThanTheLeases) {
  FillToken token = Lease("key", 7).fill;
  Invalidate({"other*"});
  ++token.as_of.epoch;
  EXPECT_FALSE(Fill("key", "value", 1, token).applied);
  --token.as_of.epoch;
  EXPECT_TRUE(Fill("key", "value", 1, token).applied);
}

// COHERENCE P3: told exactly of those leases that somebody was refused, once each, and with no lock held.
TEST_F(EmbeddedStoreTest, OnlyTheRefusedAreToldOfTheEndOfALease) {
  std::vector<std::string> told;
  store_.SetWakeListener([&](std::string_view name_space, std::string_view key) {
    told.push_back(std::string(name_space) + ":" + std::string(key));
    EXPECT_EQ(ReadNow(store_, {"default", {std::string(key)}, {}, 0})->entries.size(), 1u);
    Lease(std::string(key), 99);
  });
  Fill("alone", "value", 1, Lease("alone", 7).fill);
  EXPECT_TRUE(told.empty());
  const FillToken token = Lease("waited", 8).fill;
  Lease("waited", 9);
  Lease("waited", 10);
  EXPECT_TRUE(told.empty());
  Fill("waited", "value", 2, token);
  EXPECT_EQ(told, std::vector<std::string>{"default:waited"});
  ASSERT_TRUE(WriteNow(store_, Request("waited", "again", 3)).ok());
  EXPECT_EQ(told.size(), 1u);
}

TEST_F(EmbeddedStoreTest, WhoWaitsIsToldWhenTheFillIsRefused) {
  int told = 0;
  store_.SetWakeListener([&](std::string_view, std::string_view) { ++told; });
  const FillToken token = Lease("key", 7).fill;
  Lease("key", 8);
  Invalidate({"k*"});
  EXPECT_EQ(told, 0);
  EXPECT_FALSE(Fill("key", "loaded before", 1, token).applied);
  EXPECT_EQ(told, 1);
}

// COHERENCE C4, P3: its fill would be refused, and what it left in the entry keeps nobody out.
TEST_F(EmbeddedStoreTest, ALeaseOfAnEntryBelowTheFenceHoldsNobodyUp) {
  ASSERT_TRUE(WriteNow(store_, Request("key", "old", 1)).ok());
  const FillToken before = Lease("key", 7, 1).fill;
  Invalidate({"other*"});
  ASSERT_TRUE(Sweep(SweepRequest::Step::kBegin).mine);
  const LeaseResult after = Lease("key", 8, 1);
  EXPECT_EQ(after.outcome, LeaseResult::Outcome::kGranted);
  EXPECT_FALSE(Fill("key", "loaded before", 2, before).applied);
  EXPECT_TRUE(Fill("key", "loaded after", 3, after.fill).applied);
}

TEST_F(EmbeddedStoreTest, ARefusedFillOfAnEntryLeavesNoLeaseInIt) {
  ASSERT_TRUE(WriteNow(store_, Request("key", "old", 1)).ok());
  const FillToken token = Lease("key", 7, 1).fill;
  Invalidate({"other*"});
  ASSERT_TRUE(Sweep(SweepRequest::Step::kBegin).mine);
  EXPECT_FALSE(Fill("key", "loaded before", 2, token).applied);
  const EntryRef entry = ReadNow(store_, {"default", {"key"}, {}, 0})->entries[0];
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->meta().leased_nanos, 0);
}

// COHERENCE P2, C4: what is put in was judged by the record as it is then. An invalidation that comes in between is not
// forgotten by a sweep that the newcomer slips past.
TEST(EmbeddedStoreOrderTest, WhateverIsPutInHasSeenEveryInvalidation) {
  EntryMeta meta;
  meta.version = 7;
  meta.created_nanos = kNanosPerSecond;
  meta.expires_nanos = 100 * kNanosPerSecond;
  // Each of them finds the entry if nothing comes in between, and does not if its tag is invalidated.
  const std::map<std::string, std::function<bool(Store&)>> operations = {
      {"touch",
       [](Store& store) {
         return TouchNow(store, {"default", "key", kNanosPerSecond, 50 * kNanosPerSecond, 0, {}, 0})->found;
       }},
      {"soft erase",
       [](Store& store) {
         return EraseNow(store, {"default", {"key"}, {8}, 0})->erased == 1;
       }},
  };
  for (const auto& [name, operation] : operations) {
    int meddled = 0;
    for (int nth = 1; nth <= 5; ++nth) {
      MeddlingClock clock;
      EmbeddedStore store(&clock, {size_t{8} << 20});
      WriteRequest write;
      write.name_space = "default";
      write.key = "key";
      write.entry = Entry::Create(meta, "", "value", TagList::Encode({"tag"}));
      ASSERT_TRUE(WriteNow(store, std::move(write))->applied);
      clock.MeddleAt(nth, [&] {
        GroupRequest request;
        request.name_space = "default";
        request.tags = {"tag"};
        ASSERT_TRUE(InvalidateGroupsNow(store, std::move(request)).ok());
      });
      const bool found = operation(store);
      const bool invalidated = clock.Meddled();
      meddled += invalidated ? 1 : 0;
      EXPECT_EQ(found, !invalidated) << name << ", at the reading " << nth << " of the clock";
    }
    EXPECT_GE(meddled, 1) << name;
  }
}

TEST_F(EmbeddedStoreTest, LeasesAreBounded) {
  for (uint64_t i = 1; i <= 40'000; ++i) Lease("key" + std::to_string(i), i);
  ScanRequest scan;
  scan.name_space = "default";
  scan.count = 1'000'000;
  absl::StatusOr<ScanResult> result = ScanNow(store_, scan);
  EXPECT_LE(result->items.size(), 32'768u);
  EXPECT_GT(result->items.size(), 30'000u);
  EXPECT_EQ(result->cursor, "");
}

TEST_F(EmbeddedStoreTest, RefusesACursorThatIsNotItsOwn) {
  for (const char* cursor :
       {"x", "e", "e1", "e1.", "e1.2.3", "l", "l-1", "l99999999999999999999999", "e1.99999999999"}) {
    ScanRequest scan;
    scan.name_space = "default";
    scan.cursor = cursor;
    EXPECT_EQ(ScanNow(store_, scan).status(), absl::InvalidArgumentError("cursor: not one that a scan has given"))
        << cursor;
  }
  for (const char* cursor : {"e4000000000.7", "l4000000000"}) {
    ScanRequest scan;
    scan.name_space = "default";
    scan.cursor = cursor;
    EXPECT_EQ(ScanNow(store_, scan)->cursor, "") << "past the end";
  }
}

TEST_F(EmbeddedStoreTest, ASweepFreesTheMemory) {
  for (uint64_t i = 1; i <= 2'000; ++i) {
    ASSERT_TRUE(WriteNow(store_, Request((i % 2 == 0 ? "a" : "b") + std::to_string(i), std::string(500, 'x'), i)).ok());
  }
  const int64_t before = DescribeNow(store_)->used_memory_bytes;
  Invalidate({"a*"});
  const SweepResult sweep = Sweep(SweepRequest::Step::kBegin);
  ASSERT_TRUE(sweep.mine);
  EraseMatching("a*", sweep.fence.epoch);
  EXPECT_TRUE(Sweep(SweepRequest::Step::kEnd, sweep.fence).mine);
  EXPECT_EQ(DescribeNow(store_)->keys, 1'000);
  EXPECT_LT(DescribeNow(store_)->used_memory_bytes, before * 6 / 10);
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
      ASSERT_TRUE(TouchNow(store_, {"default", "key", kNanosPerSecond, kNanosPerSecond, 0, {}, 0}).ok());
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

// COHERENCE C4, P2: whatever comes between, no fill that was read before an invalidation outlives the sweep that lets
// the invalidation be forgotten.
TEST_F(EmbeddedStoreTest, NothingOlderOutlivesASweep) {
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> next{1};
  std::vector<std::thread> loaders;
  for (int t = 0; t < 3; ++t) {
    loaders.emplace_back([&] {
      while (!stop.load()) {
        const uint64_t n = next.fetch_add(1);
        const std::string key = "user:" + std::to_string(n % 8);
        const LeaseResult lease = Lease(key, n);
        if (lease.outcome == LeaseResult::Outcome::kGranted) {
          // What it loads tells as of when.
          Fill(key, std::to_string(lease.fill.as_of.epoch), n, lease.fill);
        } else if (EntryRef seen = ReadNow(store_, {"default", {key}, {}, 0})->entries[0]) {
          Lease(key, n, seen->meta().version);
          ASSERT_TRUE(TouchNow(store_, {"default", key, kNanosPerSecond, 10 * kNanosPerSecond, 0, {}, 0}).ok());
        }
      }
    });
  }
  const auto check = [&] {
    for (int round = 0; round < 500; ++round) {
      Invalidate({"user:*"});
      const SweepResult sweep = Sweep(SweepRequest::Step::kBegin);
      ASSERT_TRUE(sweep.mine);
      EraseMatching("user:*", sweep.fence.epoch);
      ASSERT_TRUE(Sweep(SweepRequest::Step::kEnd, sweep.fence).mine);
      for (int k = 0; k < 8; ++k) {
        const EntryRef seen = ReadNow(store_, {"default", {"user:" + std::to_string(k)}, {}, 0})->entries[0];
        if (seen) {
          ASSERT_GE(std::stoull(std::string(seen->value())), sweep.fence.epoch) << round;
        }
      }
    }
  };
  check();
  stop.store(true);
  for (std::thread& loader : loaders) loader.join();
}

// COHERENCE P3: of all who miss at once, one loads.
TEST_F(EmbeddedStoreTest, OneOfManyIsGrantedTheLease) {
  constexpr int kThreads = 4;
  for (int round = 0; round < 300; ++round) {
    std::atomic<int> granted{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        const LeaseResult lease = Lease("key" + std::to_string(round), 1 + static_cast<uint64_t>(t));
        if (lease.outcome == LeaseResult::Outcome::kGranted) granted.fetch_add(1);
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(granted.load(), 1);
  }
}

TEST_F(EmbeddedStoreTest, ANamespaceIsTheSameToAllWhoUseItFirst) {
  for (int round = 0; round < 200; ++round) {
    const std::string name = "n" + std::to_string(round);
    std::vector<uint64_t> generations(4);
    std::vector<std::thread> threads;
    for (uint64_t& generation : generations) {
      threads.emplace_back([&] { generation = ReadControlNow(store_, name, {})->generation; });
    }
    for (std::thread& thread : threads) thread.join();
    for (uint64_t generation : generations) ASSERT_EQ(generation, generations.front());
  }
}

}  // namespace
}  // namespace larder
