#include "client/cli/replay_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/output.h"
#include "client/cli/text.h"
#include "core/clock.h"

namespace larder {
namespace {

using nlohmann::ordered_json;

double Seconds(const ReplayReport& report) {
  return std::max(static_cast<double>(report.elapsed_nanos) / static_cast<double>(kNanosPerSecond), 1e-9);
}

uint64_t Answered(const ReplayReport& report) { return report.near_hits + report.store_hits + report.misses; }

double ShareOfAnswers(const ReplayReport& report, uint64_t part) {
  const uint64_t answered = Answered(report);
  return answered == 0 ? 0 : static_cast<double>(part) / static_cast<double>(answered);
}

double RequestsPerSecond(const ReplayReport& report) { return static_cast<double>(report.requests) / Seconds(report); }

double OperationsPerSecond(const ReplayReport& report) {
  return static_cast<double>(Answered(report) + report.sets) / Seconds(report);
}

double QuantileMicros(const LatencyHistogram& latency, double q) {
  return static_cast<double>(latency.QuantileNanos(q)) / static_cast<double>(kNanosPerMicro);
}

std::string LatencyLine(std::string_view name, const LatencyHistogram& latency) {
  return absl::StrFormat("%-10s p50 %s  p90 %s  p99 %s  p99.9 %s  max %s  (%s calls)\n", std::string(name),
                         HumanMicros(QuantileMicros(latency, 0.5)), HumanMicros(QuantileMicros(latency, 0.9)),
                         HumanMicros(QuantileMicros(latency, 0.99)), HumanMicros(QuantileMicros(latency, 0.999)),
                         HumanMicros(QuantileMicros(latency, 1)), WithCommas(latency.count()));
}

ordered_json LatencyJson(const LatencyHistogram& latency) {
  return {{"count", latency.count()},
          {"p50", QuantileMicros(latency, 0.5)},
          {"p90", QuantileMicros(latency, 0.9)},
          {"p99", QuantileMicros(latency, 0.99)},
          {"p999", QuantileMicros(latency, 0.999)},
          {"max", QuantileMicros(latency, 1)}};
}

std::string ErrorsLine(const ReplayReport& report) {
  std::string parts;
  uint64_t total = 0;
  for (const auto& [name, errors] : {std::pair("get", &report.get_errors), std::pair("set", &report.set_errors)}) {
    for (const auto& [code, count] : *errors) {
      absl::StrAppend(&parts, parts.empty() ? "" : ", ", name, " ", CodeName(code), " ", WithCommas(count));
      total += count;
    }
  }
  return absl::StrCat("errors     ", WithCommas(total), parts.empty() ? "" : absl::StrCat(": ", parts), "\n");
}

ordered_json ErrorsJson(const std::map<int, uint64_t>& errors) {
  ordered_json object = ordered_json::object();
  for (const auto& [code, count] : errors) object[CodeName(code)] = count;
  return object;
}

}  // namespace

std::string RenderReport(const ReplayReport& report) {
  std::string text = absl::StrFormat("requests   %s in %s: %s requests/s, %s operations/s with the sets\n",
                                     WithCommas(report.requests), HumanMillis(report.elapsed_nanos / kNanosPerMilli),
                                     WithCommas(static_cast<uint64_t>(RequestsPerSecond(report))),
                                     WithCommas(static_cast<uint64_t>(OperationsPerSecond(report))));
  absl::StrAppend(&text,
                  absl::StrFormat("hit ratio  %.4f: near %.4f, store %.4f\n",
                                  ShareOfAnswers(report, report.near_hits + report.store_hits),
                                  ShareOfAnswers(report, report.near_hits), ShareOfAnswers(report, report.store_hits)));
  absl::StrAppend(&text, "hits       near ", WithCommas(report.near_hits), ", store ", WithCommas(report.store_hits),
                  "; misses ", WithCommas(report.misses), "; sets ", WithCommas(report.sets), "\n");
  absl::StrAppend(&text, LatencyLine("get", report.get_latency), LatencyLine("set", report.set_latency),
                  ErrorsLine(report), "wrong      ", WithCommas(report.wrong),
                  report.first_wrong.empty() ? "" : absl::StrCat(": first ", report.first_wrong), "\n");
  return text;
}

ordered_json ReportJson(const ReplayReport& report) {
  return {{"requests", report.requests},
          {"elapsed_ms", report.elapsed_nanos / kNanosPerMilli},
          {"requests_per_second", RequestsPerSecond(report)},
          {"operations_per_second", OperationsPerSecond(report)},
          {"hit_ratio", ShareOfAnswers(report, report.near_hits + report.store_hits)},
          {"near_hit_ratio", ShareOfAnswers(report, report.near_hits)},
          {"store_hit_ratio", ShareOfAnswers(report, report.store_hits)},
          {"near_hits", report.near_hits},
          {"store_hits", report.store_hits},
          {"misses", report.misses},
          {"sets", report.sets},
          {"get_latency_us", LatencyJson(report.get_latency)},
          {"set_latency_us", LatencyJson(report.set_latency)},
          {"get_errors", ErrorsJson(report.get_errors)},
          {"set_errors", ErrorsJson(report.set_errors)},
          {"wrong", report.wrong},
          {"gave_up", report.gave_up}};
}

}  // namespace larder
