#include <gtest/gtest.h>

#include <thread>

#include "server/metrics/metrics.h"

namespace larder {
namespace {

TEST(RegistryTest, RendersTheExpositionFormat) {
  Registry registry;
  Counter& hits = registry.AddCounter("cache_requests_total", "Requests.", {{"namespace", "shop"}, {"result", "hit"}});
  registry.AddCounter("cache_requests_total", "Requests.", {{"namespace", "a\"b\\c\nd"}, {"result", "miss"}});
  registry.AddGauge("cache_near_bytes", "Bytes in the near tier.", {}, [] { return 4096.0; });
  registry.AddCounterCallback("cache_evictions_total", "Evictions.", {{"reason", "size"}}, [] { return 7.0; });
  Histogram& fills = registry.AddHistogram("cache_fill_seconds", "Time to fill.");
  hits.Add(3'000'000'000);
  fills.Record(20'000);
  fills.Record(2'000'000);
  fills.Record(60'000'000'000);

  EXPECT_EQ(registry.RenderText(), R"(# HELP cache_evictions_total Evictions.
# TYPE cache_evictions_total counter
cache_evictions_total{reason="size"} 7
# HELP cache_fill_seconds Time to fill.
# TYPE cache_fill_seconds histogram
cache_fill_seconds_count 3
cache_fill_seconds_sum 60.00202
cache_fill_seconds_bucket{le="1e-05"} 0
cache_fill_seconds_bucket{le="2.5e-05"} 1
cache_fill_seconds_bucket{le="5e-05"} 1
cache_fill_seconds_bucket{le="0.0001"} 1
cache_fill_seconds_bucket{le="0.00025"} 1
cache_fill_seconds_bucket{le="0.0005"} 1
cache_fill_seconds_bucket{le="0.001"} 1
cache_fill_seconds_bucket{le="0.0025"} 2
cache_fill_seconds_bucket{le="0.005"} 2
cache_fill_seconds_bucket{le="0.01"} 2
cache_fill_seconds_bucket{le="0.025"} 2
cache_fill_seconds_bucket{le="0.05"} 2
cache_fill_seconds_bucket{le="0.1"} 2
cache_fill_seconds_bucket{le="0.25"} 2
cache_fill_seconds_bucket{le="0.5"} 2
cache_fill_seconds_bucket{le="1"} 2
cache_fill_seconds_bucket{le="2.5"} 2
cache_fill_seconds_bucket{le="5"} 2
cache_fill_seconds_bucket{le="10"} 2
cache_fill_seconds_bucket{le="+Inf"} 3
# HELP cache_near_bytes Bytes in the near tier.
# TYPE cache_near_bytes gauge
cache_near_bytes 4096
# HELP cache_requests_total Requests.
# TYPE cache_requests_total counter
cache_requests_total{namespace="shop",result="hit"} 3000000000
cache_requests_total{namespace="a\"b\\c\nd",result="miss"} 0
)");
}

TEST(RegistryTest, RendersNothingWhereThereIsNothing) { EXPECT_EQ(Registry().RenderText(), ""); }

// A callback may itself make metrics: no lock is held while it runs.
TEST(RegistryTest, RunsCallbacksOutsideItsLock) {
  Registry registry;
  const auto make_another = [&registry] { return static_cast<double>(registry.AddCounter("b_total", "B.").Value()); };
  registry.AddGauge("a_bytes", "A.", {}, make_another);
  EXPECT_EQ(registry.RenderText(), "# HELP a_bytes A.\n# TYPE a_bytes gauge\na_bytes 0\n");
}

TEST(RegistryTest, RendersWhileOthersRecordAndRegister) {
  Registry registry;
  Counter& counter = registry.AddCounter("a_total", "A.");
  Histogram& histogram = registry.AddHistogram("a_seconds", "A.");
  std::thread writer([&] {
    for (int i = 0; i < 300; ++i) {
      counter.Add();
      histogram.Record(i);
      registry.AddCounter("b_total", "B.", {{"i", std::to_string(i)}});
    }
  });
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(registry.RenderText().empty());
  writer.join();
  EXPECT_NE(registry.RenderText().find("a_total 300\n"), std::string::npos);
  EXPECT_NE(registry.RenderText().find("a_seconds_count 300\n"), std::string::npos);
}

using RegistryDeathTest = testing::Test;

TEST(RegistryDeathTest, RefusesErrorsOfTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Registry registry;
  registry.AddCounter("a_total", "A.", {{"x", "1"}, {"y", "2"}});
  EXPECT_DEATH(registry.AddCounter("a_total", "A.", {{"y", "2"}, {"x", "1"}}), "metric a_total: made twice");
  EXPECT_DEATH(registry.AddCounter("a_total", "B."), "metric a_total: another help text");
  EXPECT_DEATH(registry.AddGauge("a_total", "A.", {}, [] { return 0.0; }), "only a counter may end in _total");
  EXPECT_DEATH(registry.AddCounter("a", "A."), "metric a: a counter must end in _total");
  EXPECT_DEATH(registry.AddHistogram("a", "A."), "metric a: a histogram must end in _seconds");
  EXPECT_DEATH(registry.AddCounter("", "A."), "metric : not a name");
  EXPECT_DEATH(registry.AddCounter("0_total", "A."), "metric 0_total: not a name");
  EXPECT_DEATH(registry.AddCounter("a b_total", "A."), "metric a b_total: not a name");
  EXPECT_DEATH(registry.AddCounter("b_total", ""), "metric b_total: no help text");
  EXPECT_DEATH(registry.AddCounter("b_total", "B.", {{"le", "1"}}), "metric b_total: not a name for a label");
  EXPECT_DEATH(registry.AddCounter("b_total", "B.", {{"x", "1"}, {"x", "2"}}), "metric b_total: a label twice");
}

}  // namespace
}  // namespace larder
