#include "client/cli/latency_histogram.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace larder {
namespace {

TEST(LatencyHistogramTest, IsZeroWhenEmpty) {
  const LatencyHistogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.max_nanos(), 0);
  EXPECT_EQ(histogram.QuantileNanos(0.5), 0);
}

TEST(LatencyHistogramTest, IsExactForSmallDurations) {
  LatencyHistogram histogram;
  for (int64_t nanos = 1; nanos <= 20; ++nanos) histogram.Record(nanos);
  EXPECT_EQ(histogram.QuantileNanos(0), 1);
  EXPECT_EQ(histogram.QuantileNanos(0.5), 10);
  EXPECT_EQ(histogram.QuantileNanos(0.51), 11);
  EXPECT_EQ(histogram.QuantileNanos(0.9), 18);
  EXPECT_EQ(histogram.QuantileNanos(1), 20);
}

TEST(LatencyHistogramTest, QuantilesStayWithinTheirErrorOverAllMagnitudes) {
  // A single record among longer ones: its quantile must bound it from above by 1 % at most.
  for (int64_t nanos = 1; nanos < int64_t{1} << 41; nanos += nanos / 7 + 1) {
    LatencyHistogram histogram;
    histogram.Record(nanos);
    histogram.Record(nanos * 2);
    const int64_t median = histogram.QuantileNanos(0.5);
    ASSERT_GE(median, nanos);
    ASSERT_LE(static_cast<double>(median), static_cast<double>(nanos) * 1.01);
  }
}

TEST(LatencyHistogramTest, QuantilesFollowTheRanks) {
  LatencyHistogram histogram;
  for (int i = 0; i < 990; ++i) histogram.Record(1'000);
  for (int i = 0; i < 10; ++i) histogram.Record(1'000'000);
  EXPECT_LE(histogram.QuantileNanos(0.99), 1'010);
  EXPECT_GE(histogram.QuantileNanos(0.991), 1'000'000 * 99 / 100);
  EXPECT_EQ(histogram.QuantileNanos(0.999), 1'000'000);
}

TEST(LatencyHistogramTest, MergesAsIfAllHadBeenRecordedInOne) {
  LatencyHistogram one;
  LatencyHistogram other;
  LatencyHistogram both;
  for (int64_t nanos = 1; nanos < 5'000'000; nanos += nanos / 3 + 1) {
    (nanos % 2 == 0 ? one : other).Record(nanos);
    both.Record(nanos);
  }
  one.Merge(other);
  EXPECT_EQ(one.count(), both.count());
  EXPECT_EQ(one.max_nanos(), both.max_nanos());
  for (double q = 0; q <= 1; q += 0.05) EXPECT_EQ(one.QuantileNanos(q), both.QuantileNanos(q)) << q;
}

TEST(LatencyHistogramTest, TakesNegativeAndHugeDurations) {
  LatencyHistogram histogram;
  histogram.Record(-5);
  EXPECT_EQ(histogram.QuantileNanos(1), 0);
  histogram.Record(std::numeric_limits<int64_t>::max());
  EXPECT_EQ(histogram.count(), 2u);
  EXPECT_EQ(histogram.QuantileNanos(1), std::numeric_limits<int64_t>::max());
}

}  // namespace
}  // namespace larder
