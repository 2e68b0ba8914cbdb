#include "core/near_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "tests/support/manual_clock.h"

namespace larder {
namespace {

constexpr int64_t kNever = INT64_MAX;

EntryRef MakeEntry(std::string_view value, int64_t expires_nanos = kNever) {
  return Entry::Create({.expires_nanos = expires_nanos}, "", value);
}

bool Yes() { return true; }
bool No() { return false; }

bool Put(NearCache& cache, std::string_view key, EntryRef entry) {
  return cache.Admit(key, NearCache::Hash(key), std::move(entry), Yes);
}

EntryRef Get(NearCache& cache, std::string_view key, int64_t now_nanos = 0) {
  return cache.Find(key, NearCache::Hash(key), now_nanos);
}

bool Remove(NearCache& cache, std::string_view key) { return cache.Erase(key, NearCache::Hash(key)); }

void ExpectAddsUp(const NearCacheStats& stats) {
  EXPECT_EQ(stats.admitted, stats.entries + stats.evicted + stats.expired + stats.removed);
  EXPECT_LE(stats.bytes, stats.capacity_bytes);
}

constexpr NearCache::Options kRoomy = {.capacity_bytes = 1 << 20};

EntryRef MakeEntryWithKey(std::string_view key, std::string_view value, int64_t expires_nanos = kNever) {
  return Entry::Create({.expires_nanos = expires_nanos}, "", value, {}, key);
}

TEST(NearCacheTest, FindsTheVeryEntryThatWasAdmittedIfThatHasTheKey) {
  NearCache cache(kRoomy);
  const EntryRef entry = MakeEntryWithKey("key", "value");
  EXPECT_TRUE(Put(cache, "key", entry));
  EXPECT_EQ(Get(cache, "key").get(), entry.get());
  EXPECT_FALSE(Get(cache, "other"));
}

TEST(NearCacheTest, CopiesAnEntryThatHasNotTheKeyOnce) {
  NearCache cache(kRoomy);
  NearCache other(kRoomy);
  const EntryRef entry = MakeEntryWithKey("other", "value");
  EXPECT_TRUE(Put(cache, "key", entry));
  EXPECT_TRUE(Put(other, "other", entry));
  const EntryRef found = Get(cache, "key");
  EXPECT_EQ(found->key(), "key");
  EXPECT_EQ(found->value(), "value");
  EXPECT_EQ(Get(cache, "key").get(), found.get());
  EXPECT_EQ(Get(other, "other").get(), entry.get());
  EXPECT_FALSE(Get(cache, "other"));
}

// The index knows a hash by its lowest 32 bits, the shard goes by the others.
std::pair<std::string, std::string> TwoKeysThatTheIndexTakesForOne() {
  std::map<uint32_t, std::string> keys;
  for (int i = 0;; ++i) {
    std::string key = std::to_string(i);
    const auto [other, is_new] = keys.try_emplace(static_cast<uint32_t>(NearCache::Hash(key)), key);
    if (!is_new) return {other->second, key};
  }
}

TEST(NearCacheTest, KeysAreToldApartWhereTheIndexCannot) {
  NearCache cache({.capacity_bytes = 1 << 20, .shards = 1});
  const auto [first, second] = TwoKeysThatTheIndexTakesForOne();
  Put(cache, first, MakeEntry("1"));
  EXPECT_FALSE(Get(cache, second));
  Put(cache, second, MakeEntry("2"));
  EXPECT_EQ(Get(cache, first)->value(), "1");
  EXPECT_EQ(Get(cache, second)->value(), "2");
  EXPECT_TRUE(Remove(cache, first));
  EXPECT_FALSE(Get(cache, first));
  EXPECT_EQ(Get(cache, second)->value(), "2");
}

TEST(NearCacheTest, KeysHoldAnyByte) {
  NearCache cache(kRoomy);
  const std::string with_zero("a\0b", 3);
  Put(cache, with_zero, MakeEntry("1"));
  Put(cache, "", MakeEntry("2"));
  Put(cache, "\xff\xfe", MakeEntry("3"));
  EXPECT_EQ(Get(cache, with_zero)->value(), "1");
  EXPECT_EQ(Get(cache, "")->value(), "2");
  EXPECT_EQ(Get(cache, "\xff\xfe")->value(), "3");
  EXPECT_FALSE(Get(cache, "a"));
}

TEST(NearCacheTest, GoneFromTheNanosecondOfItsExpiry) {
  NearCache cache(kRoomy);
  ManualClock clock;
  const int64_t expires_nanos = clock.NowNanos() + 10;
  Put(cache, "key", MakeEntry("value", expires_nanos));
  clock.Advance(9);
  EXPECT_TRUE(Get(cache, "key", clock.NowNanos()));
  clock.Advance(1);
  EXPECT_FALSE(Get(cache, "key", clock.NowNanos()));

  const NearCacheStats stats = cache.Stats();
  EXPECT_EQ(stats.expired, 1u);
  EXPECT_EQ(stats.entries, 0u);
  EXPECT_EQ(stats.bytes, 0u);
  EXPECT_FALSE(Get(cache, "key", 0)) << "it was removed, not hidden";
  EXPECT_EQ(cache.Stats().expired, 1u);
}

TEST(NearCacheTest, AdmitReplacesUnderTheSameKey) {
  NearCache cache(kRoomy);
  Put(cache, "key", MakeEntry("old"));
  const EntryRef held = Get(cache, "key");
  EXPECT_TRUE(Put(cache, "key", MakeEntry("the new one")));
  EXPECT_EQ(Get(cache, "key")->value(), "the new one");
  EXPECT_EQ(held->value(), "old") << "a reader keeps what it found";

  const NearCacheStats stats = cache.Stats();
  EXPECT_EQ(stats.admitted, 2u);
  EXPECT_EQ(stats.removed, 1u);
  EXPECT_EQ(stats.entries, 1u);
  EXPECT_EQ(stats.bytes, NearCache::Charge(3, *Get(cache, "key")));
}

TEST(NearCacheTest, KeepsTheOldOneIfTheNewIsNotValidAnyMore) {
  NearCache cache(kRoomy);
  Put(cache, "key", MakeEntry("old"));
  EXPECT_FALSE(cache.Admit("key", NearCache::Hash("key"), MakeEntry("new"), No));
  EXPECT_EQ(Get(cache, "key")->value(), "old");
  EXPECT_FALSE(cache.Admit("other", NearCache::Hash("other"), MakeEntry("new"), No));
  EXPECT_FALSE(Get(cache, "other"));
  EXPECT_EQ(cache.Stats().admitted, 1u);
}

TEST(NearCacheTest, AsksOnceWhetherTheEntryIsStillValid) {
  NearCache cache(kRoomy);
  int asked = 0;
  cache.Admit("key", NearCache::Hash("key"), MakeEntry("v"), [&] { return ++asked > 0; });
  EXPECT_EQ(asked, 1);
}

TEST(NearCacheTest, EraseSaysWhetherThereWasOne) {
  NearCache cache(kRoomy);
  EXPECT_FALSE(Remove(cache, "key"));
  Put(cache, "key", MakeEntry("value"));
  EXPECT_TRUE(Remove(cache, "key"));
  EXPECT_FALSE(Remove(cache, "key"));
  EXPECT_FALSE(Get(cache, "key"));
  EXPECT_EQ(cache.Stats().removed, 1u);
  EXPECT_EQ(cache.Stats().bytes, 0u);
}

TEST(NearCacheTest, ClearRemovesEverythingAndTheCacheGoesOn) {
  NearCache cache({.capacity_bytes = 1 << 20, .shards = 4});
  for (int i = 0; i < 100; ++i) Put(cache, std::to_string(i), MakeEntry("value"));
  cache.Clear();
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(Get(cache, std::to_string(i)));
  EXPECT_EQ(cache.Stats().removed, 100u);
  EXPECT_EQ(cache.Stats().entries, 0u);
  EXPECT_EQ(cache.Stats().bytes, 0u);
  EXPECT_TRUE(Put(cache, "1", MakeEntry("again")));
  EXPECT_EQ(Get(cache, "1")->value(), "again");
  ExpectAddsUp(cache.Stats());
}

TEST(NearCacheTest, EntryOutlivesItsCache) {
  EntryRef entry;
  {
    NearCache cache(kRoomy);
    Put(cache, "key", MakeEntry("value"));
    entry = Get(cache, "key");
  }
  EXPECT_EQ(entry->value(), "value");
}

TEST(NearCacheTest, TakesAQuarterOfAShardAndNotAByteMore) {
  const EntryRef largest = MakeEntry(std::string(10'000, 'x'));
  const size_t charge = NearCache::Charge(3, *largest);
  NearCache cache({.capacity_bytes = 2 * 4 * charge, .shards = 2});
  EXPECT_TRUE(Put(cache, "key", largest));
  // 16 bytes are the step of the allocator.
  EXPECT_FALSE(Put(cache, "kez", MakeEntry(std::string(10'016, 'x'))));
  EXPECT_EQ(cache.Stats().oversized, 1u);
  EXPECT_EQ(cache.Stats().admitted, 1u);
}

TEST(NearCacheTest, ShardsAreChosenSoLargeThatLargeValuesFit) {
  const auto takes = [](size_t capacity_mib, size_t value_bytes) {
    NearCache cache({.capacity_bytes = capacity_mib << 20});
    return Put(cache, "key", MakeEntry(std::string(value_bytes, 'x')));
  };
  constexpr size_t kMiB = 1 << 20;
  EXPECT_FALSE(takes(4, kMiB));
  EXPECT_TRUE(takes(5, kMiB));
  EXPECT_TRUE(takes(15, 3 * kMiB)) << "one shard";
  EXPECT_FALSE(takes(16, 3 * kMiB)) << "two shards";
  EXPECT_TRUE(takes(16, kMiB * 3 / 2));
  EXPECT_FALSE(takes(512, 3 * kMiB)) << "64 shards";
  EXPECT_TRUE(takes(1024, 3 * kMiB)) << "64 shards still";
}

TEST(NearCacheTest, OversizedRemovesTheOlderOneUnlessItIsInvalidItself) {
  NearCache cache({.capacity_bytes = 1 << 16, .shards = 1});
  Put(cache, "key", MakeEntry("old"));
  const EntryRef huge = MakeEntry(std::string(1 << 16, 'x'));
  EXPECT_FALSE(cache.Admit("key", NearCache::Hash("key"), huge, No));
  EXPECT_TRUE(Get(cache, "key"));
  EXPECT_FALSE(Put(cache, "key", huge));
  EXPECT_FALSE(Get(cache, "key"));
  ExpectAddsUp(cache.Stats());
}

TEST(NearCacheTest, HoldsNothingWithoutCapacity) {
  NearCache cache({.capacity_bytes = 0});
  EXPECT_FALSE(Put(cache, "key", MakeEntry("value")));
  EXPECT_FALSE(Get(cache, "key"));
  EXPECT_FALSE(Remove(cache, "key"));
  EXPECT_EQ(cache.Stats().oversized, 0u) << "it is off, not too small";
  EXPECT_EQ(cache.Stats().capacity_bytes, 0u);
}

// Every step of a random life: the bound holds, the numbers add up, and what is found is what was put in last.
TEST(NearCacheTest, BoundHoldsUnderRandomMixedSizes) {
  for (const int shards : {1, 4}) {
    std::mt19937_64 random(7);
    NearCache cache({.capacity_bytes = 200'000, .shards = shards});
    std::map<std::string, std::string> truth;
    for (int i = 0; i < 20'000; ++i) {
      const std::string key(1 + random() % 40, static_cast<char>('a' + random() % 26));
      const size_t kind = random() % 100;
      if (kind < 50) {
        const size_t size = size_t{1} << (random() % 17);
        std::string value = std::to_string(i) + std::string(random() % size, 'v');
        const bool taken = Put(cache, key, MakeEntry(value));
        EXPECT_EQ(taken, NearCache::Charge(key.size(), *MakeEntry(value)) <= 50'000u / shards);
        if (taken) {
          ASSERT_EQ(Get(cache, key)->value(), value) << "found right after its admission";
          truth[key] = std::move(value);
        } else {
          ASSERT_FALSE(Get(cache, key));
        }
      } else if (kind < 99) {
        const EntryRef entry = Get(cache, key);
        if (entry) {
          ASSERT_EQ(entry->value(), truth[key]);
        }
      } else {
        Remove(cache, key);
        ASSERT_FALSE(Get(cache, key));
      }
      const NearCacheStats stats = cache.Stats();
      ASSERT_LE(stats.bytes, 200'000u);
      ASSERT_EQ(stats.admitted, stats.entries + stats.evicted + stats.expired + stats.removed);
    }
    EXPECT_GT(cache.Stats().evicted, 1'000u);
    cache.Clear();
    EXPECT_EQ(cache.Stats().bytes, 0u);
  }
}

TEST(NearCacheTest, PeekFindsWithoutRemoving) {
  NearCache cache(kRoomy);
  const EntryRef entry = MakeEntryWithKey("key", "value", 100);
  Put(cache, "key", entry);
  EXPECT_EQ(cache.Peek("key", NearCache::Hash("key"), 99).get(), entry.get());
  EXPECT_FALSE(cache.Peek("kez", NearCache::Hash("kez"), 99));
  EXPECT_FALSE(cache.Peek("key", NearCache::Hash("key"), 100));
  EXPECT_EQ(cache.Stats().entries, 1u);
  EXPECT_EQ(cache.Stats().expired, 0u);
}

// What is only looked at is pushed out like what nobody wants.
TEST(NearCacheTest, PeekAndWalkAreNoUses) {
  NearCache cache({.capacity_bytes = 1 << 18, .shards = 1});
  const auto name = [](const char* prefix, int i) { return prefix + std::to_string(i); };
  for (int i = 0; i < 100; ++i) {
    Put(cache, name("found", i), MakeEntry("value"));
    Put(cache, name("peeked", i), MakeEntry("value"));
  }
  for (int i = 0; i < 40'000; ++i) {
    if (i % 100 == 0) {
      NearCache::Place place;
      while (cache.Walk(&place, 10, [](auto, const auto&) {})) continue;
    }
    Get(cache, name("found", i % 100));
    const std::string peeked = name("peeked", i % 100);
    cache.Peek(peeked, NearCache::Hash(peeked), 0);
    Put(cache, name("other", i), MakeEntry("value"));
  }
  int found = 0;
  int peeked = 0;
  for (int i = 0; i < 100; ++i) {
    found += Get(cache, name("found", i)) ? 1 : 0;
    peeked += Get(cache, name("peeked", i)) ? 1 : 0;
  }
  EXPECT_GT(found, 90);
  EXPECT_LT(peeked, found * 8 / 10);
}

TEST(NearCacheTest, AWalkVisitsEveryEntryInBoundedSteps) {
  for (const int shards : {1, 8}) {
    NearCache cache({.capacity_bytes = 8 << 20, .shards = shards});
    NearCache::Place nowhere;
    EXPECT_FALSE(cache.Walk(&nowhere, 10, [](auto, const auto&) { FAIL(); }));
    std::map<std::string, std::string> expected;
    for (int i = 0; i < 1'000; ++i) {
      const std::string key = "key" + std::to_string(i);
      Put(cache, key, MakeEntry("v" + key, /*expires_nanos=*/1));
      expected[key] = "v" + key;
    }
    std::map<std::string, std::string> visited;
    NearCache::Place place;
    bool more = true;
    int steps = 0;
    for (; more; ++steps) {
      size_t in_step = 0;
      more = cache.Walk(&place, 7, [&](std::string_view key, const EntryRef& entry) {
        ++in_step;
        visited[std::string(key)] = std::string(entry->value());
      });
      ASSERT_LE(in_step, 7u);
    }
    EXPECT_EQ(visited, expected);
    EXPECT_GE(steps, 1'000 / 7);
    EXPECT_FALSE(cache.Walk(&place, 7, [](auto, const auto&) { FAIL() << "the walk is over"; }));
  }
}

// Entries change their places when others go: none of those that stay may slip through.
TEST(NearCacheTest, AWalkMissesNothingThatStays) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    NearCache cache({.capacity_bytes = 8 << 20, .shards = 2});
    std::set<std::string> staying;
    std::vector<std::string> leaving;
    for (int i = 0; i < 300; ++i) {
      const std::string key = "key" + std::to_string(i);
      Put(cache, key, MakeEntry("value"));
      if (random() % 2 == 0) {
        staying.insert(key);
      } else {
        leaving.push_back(key);
      }
    }
    std::shuffle(leaving.begin(), leaving.end(), random);
    NearCache::Place place;
    bool more = true;
    for (int step = 0; more; ++step) {
      more = cache.Walk(&place, 1 + random() % 20,
                        [&](std::string_view key, const EntryRef&) { staying.erase(std::string(key)); });
      for (size_t i = random() % 8; i > 0 && !leaving.empty(); --i) {
        Remove(cache, leaving.back());
        leaving.pop_back();
      }
      Put(cache, "new" + std::to_string(step), MakeEntry("value"));
    }
    EXPECT_TRUE(staying.empty()) << "round " << round << " missed " << staying.size();
  }
}

}  // namespace
}  // namespace larder
