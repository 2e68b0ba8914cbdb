#include "tests/bench/service/key_choice.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

namespace larder::bench {
namespace {

constexpr uint64_t kDraws = 4'000'000;

std::vector<uint64_t> Counts(const KeyChoice& choice, uint64_t seed) {
  Random random(seed);
  std::vector<uint64_t> counts(choice.keys());
  for (uint64_t i = 0; i < kDraws; ++i) ++counts[choice.Draw(random)];
  return counts;
}

class ZipfTest : public testing::TestWithParam<double> {};

// Each key's count is near a normal distribution whose spread is known: of a thousand keys none may be five spreads
// off, which chance alone brings about once in two thousand such tests.
TEST_P(ZipfTest, DrawsEachKeyAsOftenAsItsRankSays) {
  constexpr uint64_t kKeys = 1'000;
  const std::vector<uint64_t> counts = Counts(KeyChoice(kKeys, GetParam()), /*seed=*/1);
  double sum = 0;
  for (uint64_t key = 0; key < kKeys; ++key) sum += std::pow(static_cast<double>(key + 1), -GetParam());
  for (uint64_t key = 0; key < kKeys; ++key) {
    const double probability = std::pow(static_cast<double>(key + 1), -GetParam()) / sum;
    const double expected = probability * kDraws;
    EXPECT_NEAR(static_cast<double>(counts[key]), expected, 5 * std::sqrt(expected * (1 - probability))) << key;
  }
}

INSTANTIATE_TEST_SUITE_P(Exponents, ZipfTest, testing::Values(0.0, 0.99, 1.2));

TEST(KeyChoiceTest, DrawsTheOnlyKey) {
  Random random(1);
  for (const double exponent : {0.0, 0.99}) EXPECT_EQ(KeyChoice(1, exponent).Draw(random), 0u);
}

TEST(RandomTest, SeedsDoNotShareTheirFirstNumber) {
  std::set<uint64_t> firsts;
  for (uint64_t seed = 0; seed < 100'000; ++seed) firsts.insert(Random(seed).Next());
  EXPECT_EQ(firsts.size(), 100'000u);
}

TEST(RandomTest, StaysWithinItsBounds) {
  Random random(7);
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_LT(random.Below(3), 3u);
    const double unit = random.Unit();
    ASSERT_GE(unit, 0);
    ASSERT_LT(unit, 1);
  }
}

}  // namespace
}  // namespace larder::bench
