#include "client/cli/replay_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/clock.h"

namespace larder {
namespace {

ReplayReport SampleReport() {
  ReplayReport report;
  report.elapsed_nanos = 2 * kNanosPerSecond;
  report.requests = 1'003;
  report.near_hits = 700;
  report.store_hits = 100;
  report.misses = 200;
  report.sets = 198;
  report.get_errors[14] = 3;
  report.set_errors[4] = 2;
  report.get_latency.Record(10'000);
  return report;
}

TEST(ReplayReportTest, RatiosAreSharesOfTheAnswers) {
  const nlohmann::ordered_json json = ReportJson(SampleReport());
  EXPECT_DOUBLE_EQ(json["hit_ratio"].get<double>(), 0.8);
  EXPECT_DOUBLE_EQ(json["near_hit_ratio"].get<double>(), 0.7);
  EXPECT_DOUBLE_EQ(json["store_hit_ratio"].get<double>(), 0.1);
  EXPECT_DOUBLE_EQ(json["requests_per_second"].get<double>(), 501.5);
  EXPECT_DOUBLE_EQ(json["operations_per_second"].get<double>(), 599.0);
  EXPECT_EQ(json["get_errors"].dump(), R"({"UNAVAILABLE":3})");
  EXPECT_EQ(json["set_errors"].dump(), R"({"DEADLINE_EXCEEDED":2})");
  EXPECT_EQ(json["get_latency_us"]["count"].get<int>(), 1);
  EXPECT_DOUBLE_EQ(json["get_latency_us"]["p50"].get<double>(), 10.0);
}

TEST(ReplayReportTest, PeopleSeeTheSame) {
  ReplayReport report = SampleReport();
  report.wrong = 1;
  report.first_wrong = "replay:7: 3 bytes that are not the 100 of this object";
  EXPECT_EQ(RenderReport(report),
            "requests   1,003 in 2s: 501 requests/s, 599 operations/s with the sets\n"
            "hit ratio  0.8000: near 0.7000, store 0.1000\n"
            "hits       near 700, store 100; misses 200; sets 198\n"
            "get        p50 10 us  p90 10 us  p99 10 us  p99.9 10 us  max 10 us  (1 calls)\n"
            "set        p50 0 us  p90 0 us  p99 0 us  p99.9 0 us  max 0 us  (0 calls)\n"
            "errors     5: get UNAVAILABLE 3, set DEADLINE_EXCEEDED 2\n"
            "wrong      1: first replay:7: 3 bytes that are not the 100 of this object\n");
}

TEST(ReplayReportTest, AnEmptyReplayIsClean) {
  const ReplayReport report;
  EXPECT_TRUE(report.clean());
  EXPECT_DOUBLE_EQ(ReportJson(report)["hit_ratio"].get<double>(), 0.0);
}

TEST(ReplayReportTest, AnyErrorOrWrongValueIsNotClean) {
  ReplayReport wrong;
  wrong.wrong = 1;
  EXPECT_FALSE(wrong.clean());
  ReplayReport get_error;
  get_error.get_errors[14] = 1;
  EXPECT_FALSE(get_error.clean());
  ReplayReport set_error;
  set_error.set_errors[14] = 1;
  EXPECT_FALSE(set_error.clean());
}

}  // namespace
}  // namespace larder
