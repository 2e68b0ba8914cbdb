#include "core/position_index.h"

#include <map>
#include <random>

#include "gtest/gtest.h"

namespace larder {
namespace {

bool Any(uint32_t) { return true; }

TEST(PositionIndexTest, FindsNothingWhenEmpty) { EXPECT_FALSE(PositionIndex().Find(7, Any)); }

TEST(PositionIndexTest, AsksWhetherItIsTheRightOneOfEqualHashes) {
  PositionIndex index;
  index.Insert(7, 0);
  index.Insert(7, 1);
  EXPECT_EQ(index.Find(7, [](uint32_t position) { return position == 1; }), 1u);
  EXPECT_FALSE(index.Find(7, [](uint32_t) { return false; }));
  EXPECT_FALSE(index.Find(8, Any));
}

TEST(PositionIndexTest, MovesAndClears) {
  PositionIndex index;
  index.Insert(7, 5);
  index.Move(7, 5, 2);
  EXPECT_EQ(index.Find(7, Any), 2u);
  index.Clear();
  EXPECT_FALSE(index.Find(7, Any));
}

// Against a std::map, with hashes so few that long runs of neighbours form and wrap around the table's end.
TEST(PositionIndexTest, AgreesWithAMapUnderRandomUse) {
  std::mt19937 random(1);
  PositionIndex index;
  std::map<uint32_t, uint64_t> hashes;  // by position
  for (int step = 0; step < 50'000; ++step) {
    const auto position = static_cast<uint32_t>(random() % 400);
    const auto present = hashes.find(position);
    if (present == hashes.end()) {
      const uint64_t hash = random() % 64 * 17;
      index.Insert(hash, position);
      hashes.emplace(position, hash);
    } else {
      index.Erase(present->second, position);
      hashes.erase(present);
    }
    if (step % 50 != 0) continue;
    for (uint32_t other = 0; other < 400; ++other) {
      const auto expected = hashes.find(other);
      const uint64_t hash = expected == hashes.end() ? other % 64 * 17 : expected->second;
      const bool found = index.Find(hash, [other](uint32_t at) { return at == other; }).has_value();
      ASSERT_EQ(found, expected != hashes.end()) << "position " << other << ", step " << step;
    }
  }
}

}  // namespace
}  // namespace larder
