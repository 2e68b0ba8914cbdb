#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/near_cache.h"

namespace larder {
namespace {

bool Yes() { return true; }

EntryRef MakeEntry(uint64_t version, size_t size) {
  return Entry::Create({.version = version, .expires_nanos = 1'000}, "", std::string(size, 'v'));
}

TEST(NearCacheConcurrencyTest, InvariantsHoldAfterAllKindsOfCallsAtOnce) {
  constexpr size_t kCapacity = 400'000;
  NearCache cache({.capacity_bytes = kCapacity, .shards = 4});
  std::atomic<uint64_t> admitted = 0;
  const auto work = [&](uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int i = 0; i < 20'000; ++i) {
      const std::string key = std::to_string(random() % 3'000);
      const uint64_t hash = NearCache::Hash(key);
      switch (random() % 8) {
        case 0:
        case 1:
        case 2:
          if (cache.Admit(key, hash, MakeEntry(hash, random() % 1'000), Yes)) ++admitted;
          break;
        case 3:
          cache.Erase(key, hash);
          break;
        case 4:
          if (i % 1'000 == 4) cache.Clear();
          EXPECT_LE(cache.Stats().bytes, kCapacity);
          break;
        default:
          const EntryRef entry = cache.Find(key, hash, i % 100 == 5 ? 1'000 : 999);
          if (entry) {
            EXPECT_EQ(entry->meta().version, hash);
          }
      }
    }
  };
  std::vector<std::thread> threads;
  for (uint64_t seed = 1; seed <= 4; ++seed) threads.emplace_back(work, seed);
  for (std::thread& thread : threads) thread.join();

  NearCacheStats stats = cache.Stats();
  EXPECT_EQ(stats.admitted, admitted.load());
  EXPECT_EQ(stats.admitted, stats.entries + stats.evicted + stats.expired + stats.removed);
  EXPECT_LE(stats.bytes, kCapacity);
  EXPECT_GT(stats.evicted, 0u);
  cache.Clear();
  EXPECT_EQ(cache.Stats().bytes, 0u);
}

// A writer raises the number, then erases; a reader admits what it read only if the number is still the one it read.
// Whatever is found after an erase is then at least as new as that erase.
TEST(NearCacheConcurrencyTest, WhatWasErasedDoesNotComeBackThroughAnOlderAdmission) {
  NearCache cache({.capacity_bytes = 1 << 20});
  const std::string key = "key";
  const uint64_t hash = NearCache::Hash(key);
  std::atomic<uint64_t> number = 1;
  std::atomic<bool> done = false;
  std::vector<std::thread> fillers;
  for (int i = 0; i < 2; ++i) {
    fillers.emplace_back([&] {
      while (!done.load()) {
        const uint64_t read = number.load();
        cache.Admit(key, hash, MakeEntry(read, 10), [&] { return number.load() == read; });
      }
    });
  }
  uint64_t too_old = 0;
  for (uint64_t next = 2; next < 20'000; ++next) {
    number.store(next);
    cache.Erase(key, hash);
    const EntryRef entry = cache.Find(key, hash, 0);
    if (entry && entry->meta().version < next) ++too_old;
  }
  done.store(true);
  for (std::thread& filler : fillers) filler.join();
  EXPECT_EQ(too_old, 0u);
}

}  // namespace
}  // namespace larder
