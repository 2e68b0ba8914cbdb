#include "server/config/server_config.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "larder/config/v1/config.pb.h"
#include "server/config/environment.h"
#include "server/config/findings.h"
#include "server/config/resolve.h"
#include "server/config/yaml_reader.h"

namespace larder {
namespace {

constexpr size_t kMaxFileBytes = size_t{4} << 20;

// The file's content, or nothing, with the reason in the findings.
std::optional<std::string> ReadFile(const std::string& path, Findings& findings) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string content;
  if (file) {
    content.resize(kMaxFileBytes + 1);
    file.read(content.data(), static_cast<std::streamsize>(content.size()));
    content.resize(static_cast<size_t>(file.gcount()));
  }
  if (!file.eof() && content.size() <= kMaxFileBytes) {
    findings.AddProblemAt(path, "", absl::StrCat("cannot read: ", std::strerror(errno)));
    return std::nullopt;
  }
  if (content.size() > kMaxFileBytes) {
    findings.AddProblemAt(path, "", "larger than 4MiB");
    return std::nullopt;
  }
  return content;
}

}  // namespace

std::string_view ToString(NearCoherence coherence) {
  switch (coherence) {
    case NearCoherence::kTracking:
      return "tracking";
    case NearCoherence::kPubsub:
      return "pubsub";
    case NearCoherence::kAge:
      return "age";
  }
  return "age";
}

std::optional<NearCoherence> ParseNearCoherence(std::string_view text) {
  for (const NearCoherence each : {NearCoherence::kTracking, NearCoherence::kPubsub, NearCoherence::kAge}) {
    if (ToString(each) == text) return each;
  }
  return std::nullopt;
}

Environment ProcessEnvironment() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string variable = *entry;
    const size_t equals = variable.find('=');
    if (equals != std::string::npos) environment.emplace(variable.substr(0, equals), variable.substr(equals + 1));
  }
  return environment;
}

absl::StatusOr<LoadedConfig> LoadConfig(const LoadOptions& options) {
  Findings findings;
  config::v1::ServerConfig config;
  std::string file = options.file;
  const auto named = options.environment.find(kConfigFileVariable);
  if (file.empty() && named != options.environment.end()) file = named->second;
  if (!file.empty()) {
    const std::optional<std::string> text = ReadFile(file, findings);
    if (text.has_value()) ReadYaml(file, *text, config, findings);
  }
  const EnvironmentSwitches switches = ApplyEnvironment(options.environment, config, findings);
  ServerSettings settings = Resolve(config, options.resources, findings);
  settings.warming_enabled = switches.warming_enabled;
  const absl::Status status = findings.ToStatus();
  if (!status.ok()) return status;
  return LoadedConfig{std::move(settings), findings.warnings()};
}

}  // namespace larder
