// Environment variables as overrides of the configuration's values.
#ifndef LARDER_SERVER_CONFIG_ENVIRONMENT_H_
#define LARDER_SERVER_CONFIG_ENVIRONMENT_H_

#include <string>
#include <vector>

#include "larder/config/v1/config.pb.h"
#include "server/config/findings.h"
#include "server/config/server_config.h"

namespace larder {

inline constexpr char kConfigFileVariable[] = "LARDER_CONFIG";

// What only a variable says, and no field of the file.
struct EnvironmentSwitches {
  bool warming_enabled = true;
};

// Lays the variables over `config`. Those that are empty count as not set.
EnvironmentSwitches ApplyEnvironment(const Environment& environment, config::v1::ServerConfig& config,
                                     Findings& findings);

// Every variable that larderd reads; the family of the TTL classes as `CACHE_TTL_<CLASS>`.
std::vector<std::string> EnvironmentNames();

}  // namespace larder

#endif  // LARDER_SERVER_CONFIG_ENVIRONMENT_H_
