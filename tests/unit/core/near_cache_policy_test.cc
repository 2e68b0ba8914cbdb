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

  void Erase(uint32_t id) { cache_.Erase(KeyOf(id), NearCache::Hash(KeyOf(id))); }

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
  EXPECT_GE(hits, 785u);
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
TEST(NearCachePolicyTest, NewcomerIsFoundRightAway) {
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
  const std::vector<uint32_t> trace = ZipfTrace(60'000, 10'000, param.exponent, 3);
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

// On the second half of the trace, when the first has been learned from.
void ExpectNoWorseThanLru(const std::vector<uint32_t>& trace, size_t objects) {
  const auto middle = trace.begin() + static_cast<std::ptrdiff_t>(trace.size() / 2);
  const std::vector<uint32_t> second(middle, trace.end());
  ObjectCache cache(objects);
  cache.HitRatio({trace.begin(), middle});
  EXPECT_GE(cache.HitRatio(second), LruHitRatio(second, objects) - 0.005);
}

std::vector<uint32_t> Loop(uint32_t first, uint32_t objects, int rounds) {
  std::vector<uint32_t> trace;
  for (int round = 0; round < rounds; ++round) {
    for (uint32_t i = 0; i < objects; ++i) trace.push_back(first + i);
  }
  return trace;
}

// LRU hits nothing here. The best that can be done is to hold on to a thousand.
TEST(NearCachePolicyTest, LoopLargerThanTheCacheIsHeldInPart) {
  ObjectCache cache(1'000);
  cache.HitRatio(Loop(0, 1'500, 20));
  EXPECT_GE(cache.HitRatio(Loop(0, 1'500, 20)), 0.5);
}

// What LRU is made for, and what a policy that distrusts newcomers gets wrong.
TEST(NearCachePolicyTest, AskedForTwiceAndNeverAgainIsNoWorseThanLru) {
  std::vector<uint32_t> trace;
  for (uint32_t id = 0; id < 20'000; ++id) {
    trace.push_back(id);
    if (id >= 450) trace.push_back(id - 450);
  }
  ExpectNoWorseThanLru(trace, 1'000);
}

TEST(NearCachePolicyTest, LoopsThatFitOneAfterTheOtherAreNoWorseThanLru) {
  std::vector<uint32_t> trace;
  for (uint32_t phase = 0; phase < 40; ++phase) {
    const std::vector<uint32_t> loop = Loop(phase * 1'000, 900, 3);
    trace.insert(trace.end(), loop.begin(), loop.end());
  }
  ExpectNoWorseThanLru(trace, 1'000);
}

TEST(NearCachePolicyTest, ShiftingPopularityIsNoWorseThanLru) {
  std::vector<uint32_t> trace = ZipfTrace(100'000, 5'000, 0.8, 5);
  for (size_t i = 0; i < trace.size(); ++i) trace[i] += static_cast<uint32_t>(i / 10'000 * 10'000);
  ExpectNoWorseThanLru(trace, 1'000);
}

// History is kept beyond an expiry or an erasure: who was popular is so still.
TEST(NearCachePolicyTest, ErasedAndAdmittedAgainIsNoNewcomer) {
  ObjectCache cache(1'000);
  for (int round = 0; round < 5; ++round) {
    for (uint32_t id = 0; id < 500; ++id) cache.Access(id);
  }
  for (uint32_t id = 0; id < 500; ++id) {
    cache.Erase(id);
    cache.Access(id);
  }
  for (uint32_t id = 1'000'000; id < 1'010'000; ++id) cache.Access(id);
  size_t hits = 0;
  for (uint32_t id = 0; id < 500; ++id) hits += cache.Access(id) ? 1 : 0;
  EXPECT_GE(hits, 490u);
}

}  // namespace
}  // namespace larder
