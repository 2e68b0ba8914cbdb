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

TEST(GhostTableTest, EmptyHoldsNothing) {
  GhostTable ghosts;
  EXPECT_FALSE(ghosts.Take(0, 100));
  ghosts.Insert(1, 0);
  EXPECT_FALSE(ghosts.Take(1, 0));
}

TEST(GhostTableTest, TakenOnce) {
  GhostTable ghosts;
  ghosts.Insert(42, 10);
  EXPECT_TRUE(ghosts.Take(42, 10));
  EXPECT_FALSE(ghosts.Take(42, 10));
}

TEST(GhostTableTest, ForgetsWhatIsOlderThanTheWindow) {
  const std::vector<uint64_t> hashes = Hashes(11);
  GhostTable ghosts;
  for (uint64_t hash : hashes) ghosts.Insert(hash, 1'000);
  EXPECT_FALSE(ghosts.Take(hashes[0], 10)) << "ten others were inserted after it";
  EXPECT_TRUE(ghosts.Take(hashes[1], 10));
  EXPECT_TRUE(ghosts.Take(hashes[10], 10));
}

TEST(GhostTableTest, InsertedAgainIsYoungAgain) {
  const std::vector<uint64_t> hashes = Hashes(11);
  GhostTable ghosts;
  for (uint64_t hash : hashes) ghosts.Insert(hash, 1'000);
  ghosts.Insert(hashes[0], 1'000);
  EXPECT_TRUE(ghosts.Take(hashes[0], 1));
  EXPECT_FALSE(ghosts.Take(hashes[0], 1'000)) << "it was there twice";
}

TEST(GhostTableTest, RemembersNearlyAllOfItsWindowAndGrowsWithIt) {
  const std::vector<uint64_t> hashes = Hashes(100'000);
  GhostTable ghosts;
  for (size_t window = 1; const uint64_t hash : hashes) ghosts.Insert(hash, std::min<size_t>(++window, 40'000));
  size_t remembered = 0;
  size_t recalled_wrongly = 0;
  for (size_t i = 0; i < hashes.size(); ++i) {
    const bool taken = ghosts.Take(hashes[i], 40'000);
    (i < 60'000 ? recalled_wrongly : remembered) += taken ? 1 : 0;
  }
  EXPECT_GT(remembered, 36'000u);
  EXPECT_LT(recalled_wrongly, 10u) << "fingerprints collide now and then";
}

}  // namespace
}  // namespace larder
