// What the near tier keeps when it cannot keep everything.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/near_cache.h"
#include "tests/support/workloads.h"

namespace larder {
namespace {

std::string KeyOf(uint32_t id) {
  std::string key = std::to_string(id);
  return key.insert(0, 10 - key.size(), '0');
}

EntryRef MakeEntry() { return Entry::Create({.expires_nanos = INT64_MAX}, "", std::string(100, 'v')); }

// A near tier that holds a number of equal objects.
class ObjectCache {
 public:
  explicit ObjectCache(size_t objects, int shards = 1)
      : cache_({.capacity_bytes = objects * NearCache::Charge(10, *MakeEntry()), .shards = shards}) {}

  // As an application does: look, and on a miss put in. True if it was a hit.
  bool Access(uint32_t id) {
    const std::string key = KeyOf(id);
    const uint64_t hash = NearCache::Hash(key);
    if (cache_.Find(key, hash, 0)) return true;
    EXPECT_TRUE(cache_.Admit(key, hash, MakeEntry(), [] { return true; }));
    return false;
  }

  double HitRatio(const std::vector<uint32_t>& trace) {
    size_t hits = 0;
    for (const uint32_t id : trace) hits += Access(id) ? 1 : 0;
    return static_cast<double>(hits) / static_cast<double>(trace.size());
  }

  NearCacheStats Stats() const { return cache_.Stats(); }

 private:
  NearCache cache_;
};

TEST(NearCachePolicyTest, HoldsAsManyAsFit) {
  ObjectCache cache(1'000);
  for (uint32_t id = 0; id < 5'000; ++id) cache.Access(id);
  EXPECT_EQ(cache.Stats().entries, 1'000u);
  EXPECT_EQ(cache.Stats().evicted, 4'000u);
}

TEST(NearCachePolicyTest, HotSetSurvivesAScan) {
  ObjectCache cache(1'000);
  for (int round = 0; round < 3; ++round) {
    for (uint32_t id = 0; id < 800; ++id) cache.Access(id);
  }
  for (uint32_t id = 1'000'000; id < 1'010'000; ++id) cache.Access(id);
  size_t hits = 0;
  for (uint32_t id = 0; id < 800; ++id) hits += cache.Access(id) ? 1 : 0;
  EXPECT_GE(hits, 790u);
}

TEST(NearCachePolicyTest, NewHotSetTakesOver) {
  ObjectCache cache(1'000);
  for (int round = 0; round < 50; ++round) {
    for (uint32_t id = 0; id < 800; ++id) cache.Access(id);
  }
  size_t hits = 0;
  for (int round = 0; round < 20; ++round) {
    for (uint32_t id = 5'000; id < 5'800; ++id) hits += cache.Access(id) ? 1 : 0;
  }
  EXPECT_GE(hits, 17u * 800u);
}

// Everything is admitted, so that what was set is there, however popular the rest is.
TEST(NearCachePolicyTest, NewcomerOutlivesTheNextAdmissions) {
  ObjectCache cache(1'000);
  for (int round = 0; round < 10; ++round) {
    for (uint32_t id = 0; id < 1'000; ++id) cache.Access(id);
  }
  for (uint32_t id = 10'000; id < 20'000; ++id) {
    cache.Access(id);
    ASSERT_TRUE(cache.Access(id));
  }
}

struct ZipfCase {
  double exponent;
  size_t objects;
  int shards;
};

class NearCacheZipfTest : public testing::TestWithParam<ZipfCase> {};

TEST_P(NearCacheZipfTest, NeverFarBelowLru) {
  const ZipfCase& param = GetParam();
  const std::vector<uint32_t> trace = ZipfTrace(200'000, 20'000, param.exponent, 3);
  ObjectCache cache(param.objects, param.shards);
  const double ratio = cache.HitRatio(trace);
  const double lru = LruHitRatio(trace, param.objects);
  EXPECT_GE(ratio, lru - 0.005);
  EXPECT_LE(cache.Stats().entries, param.objects);
}

INSTANTIATE_TEST_SUITE_P(Skews, NearCacheZipfTest,
                         testing::Values(ZipfCase{0.6, 200, 1}, ZipfCase{0.6, 2'000, 1}, ZipfCase{0.8, 1'000, 1},
                                         ZipfCase{0.8, 8'000, 8}, ZipfCase{1.0, 200, 1}, ZipfCase{1.0, 4'000, 4},
                                         ZipfCase{1.2, 500, 1}));

// The worst pattern for LRU, which hits nothing here: no more is asked than to be no worse, and to stay in bounds.
TEST(NearCachePolicyTest, LoopLargerThanTheCacheDoesNoHarm) {
  ObjectCache cache(1'000);
  for (int round = 0; round < 50; ++round) {
    for (uint32_t id = 0; id < 1'100; ++id) cache.Access(id);
  }
  EXPECT_LE(cache.Stats().entries, 1'000u);
  size_t hits = 0;
  for (int round = 0; round < 2; ++round) {
    for (uint32_t id = 0; id < 500; ++id) cache.Access(id);
  }
  for (uint32_t id = 0; id < 500; ++id) hits += cache.Access(id) ? 1 : 0;
  EXPECT_GE(hits, 490u) << "a loop that fits is held afterwards";
}

}  // namespace
}  // namespace larder
