// What is wrong with a configuration, collected so that all of it is told at once.
#ifndef LARDER_SERVER_CONFIG_FINDINGS_H_
#define LARDER_SERVER_CONFIG_FINDINGS_H_

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace larder {

// Paths name values as `namespaces.shop.default_ttl`; origins say where one was given: `larder.yaml:12`, `REDIS_DB`.
class Findings {
 public:
  // The last origin of a path counts: the environment is read after the file.
  void SetOrigin(const std::string& path, const std::string& origin) { origins_[path] = origin; }

  // Where the value was given; if it was not, where what encloses it was; else empty.
  std::string OriginOf(std::string_view path) const;

  // A problem with the value at `path`.
  void AddProblem(const std::string& path, std::string_view what) { AddProblemAt(OriginOf(path), path, what); }
  // The same where the origin is another one than the value's, or the path is empty. Said once, however often added.
  void AddProblemAt(std::string_view origin, std::string_view path, std::string_view what);

  void AddWarning(std::string_view origin, std::string_view what);

  // INVALID_ARGUMENT with a line for each problem; OK if there is none.
  absl::Status ToStatus() const;
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  std::map<std::string, std::string, std::less<>> origins_;
  std::vector<std::string> problems_;  // in the order found
  std::set<std::string> told_;
  std::vector<std::string> warnings_;
};

}  // namespace larder

#endif  // LARDER_SERVER_CONFIG_FINDINGS_H_
