// What a replay found.
#ifndef LARDER_CLIENT_CLI_REPLAY_REPORT_H_
#define LARDER_CLIENT_CLI_REPLAY_REPORT_H_

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "client/cli/latency_histogram.h"

namespace larder {

// Each key of a batch counts as one; latencies are those of calls.
struct ReplayReport {
  int64_t elapsed_nanos = 0;
  uint64_t requests = 0;  // gets that were begun
  uint64_t near_hits = 0;
  uint64_t store_hits = 0;
  uint64_t misses = 0;
  uint64_t sets = 0;                   // that were acknowledged
  uint64_t wrong = 0;                  // hits whose value was not that of the object
  std::map<int, uint64_t> get_errors;  // by google.rpc.Code
  std::map<int, uint64_t> set_errors;
  std::string last_error;
  std::string first_wrong;  // what the first wrong hit was
  bool gave_up = false;     // too many errors in a row
  LatencyHistogram get_latency;
  LatencyHistogram set_latency;

  // True if there was neither an error nor a wrong value.
  bool clean() const { return wrong == 0 && get_errors.empty() && set_errors.empty(); }
};

// Several lines for people, ending with a newline.
std::string RenderReport(const ReplayReport& report);

nlohmann::ordered_json ReportJson(const ReplayReport& report);

}  // namespace larder

#endif  // LARDER_CLIENT_CLI_REPLAY_REPORT_H_
