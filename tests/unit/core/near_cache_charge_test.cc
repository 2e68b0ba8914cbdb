#include <gtest/gtest.h>
#include <malloc.h>

#include <string>
#include <string_view>

#include "core/near_cache.h"

namespace larder {
namespace {

EntryRef MakeEntry(std::string_view key, std::string_view value) {
  return Entry::Create({.expires_nanos = INT64_MAX}, "", value, {}, key);
}

TEST(NearCacheChargeTest, ChargeCountsKeyValueAndOverhead) {
  const EntryRef entry = MakeEntry("", std::string(100, 'x'));
  EXPECT_GT(NearCache::Charge(32, *entry), 32 + entry->footprint());
  EXPECT_EQ(NearCache::Charge(32 + 160, *entry), NearCache::Charge(32, *entry) + 160);
}

size_t MallocBytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

// What is charged is what the memory allocator is asked for: no less, and little more, when the cache is full and has
// evicted as much as it holds. But for what each shard takes besides, and the slack of tables that are not full yet.
TEST(NearCacheChargeTest, ChargesWhatItTakes) {
  constexpr size_t kCapacity = 8 << 20;
  const size_t before = MallocBytes();
  if (before == 0) GTEST_SKIP() << "a sanitizer's allocator does not tell";
  NearCache cache({.capacity_bytes = kCapacity, .shards = 1});
  const size_t shard = MallocBytes() - before;
  for (int i = 0; cache.Stats().evicted < cache.Stats().entries || i == 0; ++i) {
    const std::string key = "key" + std::to_string(i);
    cache.Admit(key, NearCache::Hash(key), MakeEntry(key, std::string(i % 200, 'v')), [] { return true; });
  }
  const auto taken = static_cast<double>(MallocBytes() - before - shard);
  const auto charged = static_cast<double>(cache.Stats().bytes);
  EXPECT_LE(taken, charged * 1.01);
  EXPECT_GE(taken, charged * 0.9);
}

}  // namespace
}  // namespace larder
