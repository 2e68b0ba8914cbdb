#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <thread>

#include "server/metrics/metrics.h"

namespace larder {
namespace {

constexpr double kError = 0.07;

TEST(CounterTest, Counts) {
  Counter counter;
  EXPECT_EQ(counter.Value(), 0);
  counter.Add();
  counter.Add(41);
  EXPECT_EQ(counter.Value(), 42);
}

TEST(CounterTest, LosesNothingUnderManyThreads) {
  Counter counter;
  std::vector<std::thread> threads;
  for (int t = 0; t < 40; ++t) {
    threads.emplace_back([&counter] {
      for (int i = 0; i < 5'000; ++i) counter.Add(2);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter.Value(), 40u * 5'000 * 2);
}

TEST(HistogramTest, IsEmptyAtFirst) {
  const HistogramSnapshot snapshot = Histogram().Snapshot();
  EXPECT_EQ(snapshot.count(), 0);
  EXPECT_EQ(snapshot.sum_seconds(), 0);
  EXPECT_EQ(snapshot.QuantileNanos(0.5), 0);
  EXPECT_EQ(snapshot.CountAtMost(std::numeric_limits<int64_t>::max()), 0);
  EXPECT_EQ(HistogramSnapshot().QuantileNanos(0.5), 0);
}

TEST(HistogramTest, TakesNegativeDurationsForZero) {
  Histogram histogram;
  histogram.Record(-1);
  histogram.Record(std::numeric_limits<int64_t>::min());
  const HistogramSnapshot snapshot = histogram.Snapshot();
  EXPECT_EQ(snapshot.CountAtMost(0), 2);
  EXPECT_EQ(snapshot.CountAtMost(-1), 0);
  EXPECT_EQ(snapshot.sum_seconds(), 0);
}

TEST(HistogramTest, KeepsWhatIsLongerThanItsLastBucket) {
  Histogram histogram;
  histogram.Record(std::numeric_limits<int64_t>::max());
  const HistogramSnapshot snapshot = histogram.Snapshot();
  EXPECT_EQ(snapshot.count(), 1);
  EXPECT_GE(snapshot.QuantileNanos(1), 3600e9);
}

TEST(HistogramTest, TellsOneDurationToWithinItsError) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 10'000; ++i) {
    // Uniform over the magnitudes from 1 ns to an hour.
    const auto nanos =
        static_cast<int64_t>(std::exp2(std::uniform_real_distribution<double>(0, std::log2(3600e9))(random)));
    Histogram histogram;
    histogram.Record(nanos);
    const HistogramSnapshot snapshot = histogram.Snapshot();
    const auto exact = static_cast<double>(nanos);
    for (const double q : {0.0, 0.5, 1.0}) ASSERT_NEAR(snapshot.QuantileNanos(q), exact, exact * kError) << nanos;
    ASSERT_EQ(snapshot.CountAtMost(nanos), 1) << nanos;
    ASSERT_EQ(snapshot.CountAtMost(static_cast<int64_t>(exact * (1 - kError)) - 1), 0) << nanos;
    ASSERT_DOUBLE_EQ(snapshot.sum_seconds(), exact * 1e-9);
  }
}

TEST(HistogramTest, TellsQuantilesToWithinItsError) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 20; ++round) {
    std::lognormal_distribution<double> durations(std::uniform_real_distribution<double>(5, 15)(random), 2);
    Histogram histogram;
    std::vector<int64_t> exact;
    for (int i = 0; i < 5'000; ++i) {
      exact.push_back(static_cast<int64_t>(durations(random)) + 1);
      histogram.Record(exact.back());
    }
    std::sort(exact.begin(), exact.end());
    const HistogramSnapshot snapshot = histogram.Snapshot();
    for (const double q : {0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
      const size_t rank = static_cast<size_t>(std::ceil(q * static_cast<double>(exact.size())));
      const auto expected = static_cast<double>(exact[rank - 1]);
      ASSERT_NEAR(snapshot.QuantileNanos(q), expected, expected * kError) << "quantile " << q;
    }
  }
}

TEST(HistogramTest, MergesWithAnother) {
  Histogram one;
  Histogram other;
  one.Record(1'000);
  other.Record(1'000'000);
  other.Record(2'000'000);
  HistogramSnapshot merged;
  merged.Merge(one.Snapshot());
  merged.Merge(other.Snapshot());
  merged.Merge(HistogramSnapshot());
  EXPECT_EQ(merged.count(), 3);
  EXPECT_DOUBLE_EQ(merged.sum_seconds(), 0.003001);
  EXPECT_EQ(merged.CountAtMost(1'000), 1);
}

TEST(HistogramTest, LosesNothingUnderManyThreads) {
  Histogram histogram;
  std::vector<std::thread> threads;
  for (int t = 0; t < 40; ++t) {
    threads.emplace_back([&histogram, t] {
      for (int i = 0; i < 2'000; ++i) histogram.Record(t * 1'000);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(histogram.Snapshot().count(), 40u * 2'000);
  EXPECT_DOUBLE_EQ(histogram.Snapshot().sum_seconds(), 2'000 * 780'000 * 1e-9);
}

}  // namespace
}  // namespace larder
