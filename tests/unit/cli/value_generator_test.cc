#include "client/cli/value_generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace larder {
namespace {

constexpr uint32_t kIds = 20'000;

std::vector<size_t> SizesOf(const std::string& text) {
  const ValueGenerator values = ValueGenerator::Parse(text).value();
  std::vector<size_t> sizes;
  for (uint32_t id = 0; id < kIds; ++id) sizes.push_back(values.SizeOf(id));
  std::sort(sizes.begin(), sizes.end());
  return sizes;
}

TEST(ValueGeneratorTest, MakesTheSameValueAgainAndMatchesItAlone) {
  const ValueGenerator values = ValueGenerator::Parse("uniform:9-200").value();
  const ValueGenerator same = ValueGenerator::Parse("uniform:9-200").value();
  std::set<std::string> seen;
  std::string value;
  std::string again;
  for (uint32_t id = 0; id < 2'000; ++id) {
    values.Generate(id, &value);
    same.Generate(id, &again);
    ASSERT_EQ(value, again);
    ASSERT_EQ(value.size(), values.SizeOf(id));
    ASSERT_TRUE(values.Matches(id, value));
    ASSERT_TRUE(seen.insert(value).second) << id;
  }
}

TEST(ValueGeneratorTest, NoticesEveryChangedByteAndEveryOtherSize) {
  const ValueGenerator values = ValueGenerator::Parse("fixed:21").value();
  std::string value;
  values.Generate(5, &value);
  for (char& byte : value) {
    byte = static_cast<char>(byte ^ 1);
    EXPECT_FALSE(values.Matches(5, value));
    byte = static_cast<char>(byte ^ 1);
  }
  EXPECT_FALSE(values.Matches(6, value));
  EXPECT_FALSE(values.Matches(5, value + "x"));
  EXPECT_FALSE(values.Matches(5, value.substr(0, 20)));
  EXPECT_FALSE(values.Matches(5, ""));
}

TEST(ValueGeneratorTest, FixedAndEmptyValues) {
  EXPECT_EQ(SizesOf("fixed:0").back(), 0u);
  EXPECT_EQ(SizesOf("fixed:100").front(), 100u);
  EXPECT_EQ(SizesOf("fixed:100").back(), 100u);
  EXPECT_TRUE(ValueGenerator::Parse("fixed:0").value().Matches(1, ""));
}

TEST(ValueGeneratorTest, UniformReachesBothEndsAndIsEven) {
  const std::vector<size_t> sizes = SizesOf("uniform:50-200");
  EXPECT_EQ(sizes.front(), 50u);
  EXPECT_EQ(sizes.back(), 200u);
  EXPECT_NEAR(static_cast<double>(sizes[kIds / 4]), 87.5, 3);
  EXPECT_NEAR(static_cast<double>(sizes[kIds / 2]), 125, 3);
  EXPECT_EQ(SizesOf("uniform:7-7").front(), 7u);
}

TEST(ValueGeneratorTest, LognormalHasItsMedianAndSpreadAndIsClipped) {
  const std::vector<size_t> sizes = SizesOf("lognormal:5,1,1000");
  EXPECT_NEAR(static_cast<double>(sizes[kIds / 2]), std::exp(5), 6);
  // One standard deviation above: the 84.13 % point.
  EXPECT_NEAR(static_cast<double>(sizes[static_cast<size_t>(kIds * 0.8413)]), std::exp(6), 20);
  EXPECT_GE(sizes.front(), 1u);
  EXPECT_EQ(sizes.back(), 1000u);
  EXPECT_LE(SizesOf("lognormal:13,3").back(), size_t{1} << 20);
}

TEST(ValueGeneratorTest, ParetoStaysInItsBoundsWithItsMedian) {
  const std::vector<size_t> sizes = SizesOf("pareto:1.2,64-65536");
  EXPECT_EQ(sizes.front(), 64u);
  EXPECT_LE(sizes.back(), 65'536u);
  EXPECT_GT(sizes.back(), 20'000u);
  EXPECT_NEAR(static_cast<double>(sizes[kIds / 2]), 64 * std::pow(2, 1 / 1.2), 3);
}

TEST(ValueGeneratorTest, RefusesWhatIsNoDistribution) {
  for (const char* text : {"", "fixed", "fixed:", "fixed:-1", "fixed:1,2", "fixed:8388609", "uniform:5", "uniform:9-3",
                           "uniform:1-2-3", "lognormal:5", "lognormal:5,-1", "lognormal:nan,1", "lognormal:5,1,0",
                           "pareto:0,1-2", "pareto:1,0-2", "pareto:1", "zipf:1"}) {
    const absl::Status status = ValueGenerator::Parse(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_EQ(status.message(),
              "\"" + std::string(text) +
                  "\" is not fixed:N, uniform:MIN-MAX, lognormal:MU,SIGMA[,MAX] or pareto:ALPHA,MIN-MAX with sizes up "
                  "to 8388608 bytes");
  }
}

}  // namespace
}  // namespace larder
