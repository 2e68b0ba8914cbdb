#include "core/ghost_table.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace larder {
namespace {

std::vector<uint64_t> Hashes(size_t count) {
  std::mt19937_64 random(1);
  std::vector<uint64_t> hashes(count);
  for (uint64_t& hash : hashes) hash = random();
  return hashes;
}

TEST(GhostTableTest, HoldsNothingWithoutRoom) {
  GhostTable ghosts;
  EXPECT_FALSE(ghosts.Take(1));
  ghosts.Insert(1, {}, 0);
  EXPECT_FALSE(ghosts.Take(1));
  EXPECT_EQ(ghosts.bucket_count(), 0u);
}

TEST(GhostTableTest, GivesTheRecordBackOnce) {
  GhostTable ghosts;
  ghosts.Reserve(100);
  ghosts.Insert(42, {.last_access = 7, .hits = 8, .forced = 1, .gap = 9}, 10);
  const std::optional<AccessRecord> record = ghosts.Take(42);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->last_access, 7u);
  EXPECT_EQ(record->hits, 8u);
  EXPECT_EQ(record->forced, 1u);
  EXPECT_EQ(record->gap, 9u);
  EXPECT_FALSE(ghosts.Take(42));
}

TEST(GhostTableTest, FullBucketForgetsTheLeastRecentlyAskedFor) {
  GhostTable ghosts;
  ghosts.Reserve(1);
  ASSERT_EQ(ghosts.bucket_count(), 1u);
  // Hashes are told apart by their lowest 16 bits but the first. The count of accesses wraps around on the way.
  const uint32_t start = UINT32_MAX - 3;
  for (uint32_t i = 1; i <= 9; ++i) ghosts.Insert(uint64_t{i} << 1, {.last_access = start + i}, start + 10);
  EXPECT_FALSE(ghosts.Take(1 << 1));
  for (uint32_t i = 2; i <= 9; ++i) EXPECT_TRUE(ghosts.Take(uint64_t{i} << 1)) << i;
}

TEST(GhostTableTest, BucketsShowWhatIsInThem) {
  GhostTable ghosts;
  ghosts.Reserve(8);
  ghosts.Insert(2, {.last_access = 5, .hits = 6, .gap = 7}, 5);
  size_t occupied = 0;
  for (size_t i = 0; i < ghosts.bucket_count(); ++i) {
    for (const AccessRecord& ghost : ghosts.bucket(i)) {
      if (ghost.tag == 0) continue;
      ++occupied;
      EXPECT_EQ(ghost.last_access, 5u);
      EXPECT_EQ(ghost.hits, 6u);
      EXPECT_EQ(ghost.gap, 7u);
    }
  }
  EXPECT_EQ(occupied, 1u);
}

TEST(GhostTableTest, KeepsNearlyAllOfTheLatestItHasRoomFor) {
  constexpr uint32_t kRoom = 40'000;
  const std::vector<uint64_t> hashes = Hashes(100'000);
  GhostTable ghosts;
  ghosts.Reserve(kRoom);
  for (uint32_t i = 0; i < hashes.size(); ++i) ghosts.Insert(hashes[i], {.last_access = i}, i);
  size_t wrong = 0;
  size_t kept = 0;
  for (uint32_t i = 0; i < hashes.size(); ++i) {
    const std::optional<AccessRecord> record = ghosts.Take(hashes[i]);
    if (!record) continue;
    if (record->last_access != i) ++wrong;
    if (i >= hashes.size() - kRoom / 2) ++kept;
  }
  EXPECT_GE(kept, kRoom / 2 * 98 / 100);
  EXPECT_LE(wrong, 100u);
}

TEST(GhostTableTest, ReserveKeepsWhatIsThereIfThereIsRoom) {
  GhostTable ghosts;
  ghosts.Reserve(100);
  ghosts.Insert(42, {}, 0);
  ghosts.Reserve(50);
  ghosts.Reserve(110);
  EXPECT_TRUE(ghosts.Take(42));
}

}  // namespace
}  // namespace larder
