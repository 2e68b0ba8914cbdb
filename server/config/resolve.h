// From the configuration's messages to the settings: defaults, inheritance, checks.
#ifndef LARDER_SERVER_CONFIG_RESOLVE_H_
#define LARDER_SERVER_CONFIG_RESOLVE_H_

#include "larder/config/v1/config.pb.h"
#include "server/config/findings.h"
#include "server/config/resources.h"
#include "server/config/server_config.h"

namespace larder {

// The settings, complete only if nothing was added to the findings. Reads the password file, if one is named.
ServerSettings Resolve(const config::v1::ServerConfig& config, const Resources& resources, Findings& findings);

// The namespaces' part of it, in resolve_namespaces.cc. `grpc` is resolved already.
std::vector<NamespacePolicy> ResolveNamespaces(const config::v1::ServerConfig& config, const ServerSettings::Grpc& grpc,
                                               Findings& findings);

}  // namespace larder

#endif  // LARDER_SERVER_CONFIG_RESOLVE_H_
