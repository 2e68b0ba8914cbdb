// What a benchmark has measured, for people and as JSON.
#ifndef LARDER_TESTS_BENCH_REPORT_H_
#define LARDER_TESTS_BENCH_REPORT_H_

#include <string>

#include "absl/status/status.h"
#include "nlohmann/json.hpp"

namespace larder::bench {

// `{"ratios": {name: number}, "absolute": {name: number}, "machine": {name: fact}}`. Knows the machine's facts from its
// making on. Not thread-safe.
class Report {
 public:
  Report();

  // Each also goes to standard output, as a line. A name that comes again replaces what it had.
  void Ratio(const std::string& name, double value);
  void Absolute(const std::string& name, double value);  // its name ends with the unit

  void Machine(const std::string& name, nlohmann::json fact);
  // To the list of that name among the machine's facts.
  void Append(const std::string& name, const std::string& text);

  // The figures are not to be trusted, and why: `"void": true` and the reasons among the machine's facts, and a loud
  // line on standard error.
  void Void(const std::string& reason);
  bool is_void() const;

  const nlohmann::json& json() const { return json_; }

  // UNAVAILABLE, naming the path, if it cannot be written.
  absl::Status WriteJson(const std::string& path) const;

 private:
  nlohmann::json json_;
};

}  // namespace larder::bench

#endif  // LARDER_TESTS_BENCH_REPORT_H_
