// From the configuration's messages to the settings: defaults, inheritance, checks.
#ifndef LARDER_SERVER_CONFIG_RESOLVE_H_
#define LARDER_SERVER_CONFIG_RESOLVE_H_

#include <optional>
#include <string>
#include <vector>

#include "larder/config/v1/config.pb.h"
#include "server/config/findings.h"
#include "server/config/resources.h"
#include "server/config/server_config.h"
#include "server/policy/policy.h"

namespace larder {

// The settings, complete only if nothing was added to the findings. Reads the password file, if one is named.
ServerSettings Resolve(const config::v1::ServerConfig& config, const Resources& resources, Findings& findings);

// The namespaces' part of it, in resolve_namespaces.cc. `grpc` is resolved already.
std::vector<NamespacePolicy> ResolveNamespaces(const config::v1::ServerConfig& config, const ServerSettings::Grpc& grpc,
                                               Findings& findings);

// The parts of a namespace, each in the file of its name. `path` is the namespace's.

// Those of `defaults`, and the namespace's own in place of those of the same name.
EntityRules ResolveEntities(const std::string& path, const config::v1::NamespaceConfig& own,
                            const config::v1::NamespaceConfig& defaults, Findings& findings);
// The namespace's own, else that of `defaults`, whole.
std::optional<OriginPolicy> ResolveOrigin(const std::string& path, const config::v1::NamespaceConfig& own,
                                          const config::v1::NamespaceConfig& defaults, Findings& findings);
// The rest of `policy` is resolved already.
std::vector<WarmJobPolicy> ResolveWarmJobs(const std::string& path, const config::v1::NamespaceConfig& own,
                                           const NamespacePolicy& policy, Findings& findings);

}  // namespace larder

#endif  // LARDER_SERVER_CONFIG_RESOLVE_H_
