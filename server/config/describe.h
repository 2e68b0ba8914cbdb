// The settings in words: to print, and to compare.
#ifndef LARDER_SERVER_CONFIG_DESCRIBE_H_
#define LARDER_SERVER_CONFIG_DESCRIBE_H_

#include <string>
#include <vector>

#include "server/config/server_config.h"

namespace larder {

// The settings as YAML that LoadConfig takes, with passwords shown as `***`.
std::string DescribeConfig(const ServerSettings& settings);

// `path: old -> new`, a line for each value that differs; passwords are not shown, and long lists not to their end.
struct ConfigDiff {
  std::vector<std::string> policy;         // a reload applies these
  std::vector<std::string> needs_restart;  // a reload leaves these as they were
};

ConfigDiff DiffPolicies(const ServerSettings& before, const ServerSettings& after);

}  // namespace larder

#endif  // LARDER_SERVER_CONFIG_DESCRIBE_H_
