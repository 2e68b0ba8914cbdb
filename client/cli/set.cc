#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/text.h"

namespace larder {
namespace {

struct SetOptions {
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::string file;
  Expiry expiry;
  std::string content_type;
  std::vector<std::string> tags;
  std::optional<int64_t> stale_for_ms;
  bool sliding = false;
  bool absent = false;
  bool if_absent = false;
  bool if_present = false;
  std::optional<uint64_t> if_version;
  bool strong = false;
};

// The version that stood in the way of a condition, from the trailing metadata.
std::optional<std::string> CurrentVersion(const grpc::ClientContext& context) {
  const auto& metadata = context.GetServerTrailingMetadata();
  const auto found = metadata.find("larder-version");
  if (found == metadata.end()) return std::nullopt;
  return std::string(found->second.data(), found->second.size());
}

absl::StatusOr<std::string> ReadValue(const SetOptions& options) {
  if (options.absent) return "";
  if (!options.file.empty()) return ReadAll(options.file);
  if (*options.value == "-") return ReadAll("-");
  return *options.value;
}

ExitCode RunSet(const SetOptions& options, const Connection& connection, Output& output) {
  const int values = (options.value.has_value() ? 1 : 0) + (options.file.empty() ? 0 : 1) + (options.absent ? 1 : 0);
  if (values != 1) return output.Refuse("set: give a value, - for stdin, --file, or --absent");
  absl::StatusOr<std::string> value = ReadValue(options);
  if (!value.ok()) return output.Refuse(std::string(value.status().message()));

  v1::SetRequest request;
  request.set_namespace_(connection.name_space());
  request.set_key(*options.key);
  request.set_value(*std::move(value));
  SetExpiry(options.expiry, &request);
  request.set_content_type(options.content_type);
  for (const std::string& tag : options.tags) request.add_tags(tag);
  if (options.stale_for_ms.has_value()) request.set_stale_for_ms(*options.stale_for_ms);
  request.set_sliding(options.sliding);
  request.set_absent(options.absent);
  if (options.if_absent) request.set_if_absent(true);
  if (options.if_present) request.set_if_present(true);
  if (options.if_version.has_value()) request.set_if_version(*options.if_version);
  if (options.strong) request.set_consistency(v1::CONSISTENCY_STRONG);

  v1::SetResponse response;
  grpc::ClientContext context;
  connection.SetDeadline(&context);
  const grpc::Status status = connection.cache().Set(&context, request, &response);
  if (status.error_code() == grpc::StatusCode::ABORTED) return output.FailCondition(status, CurrentVersion(context));
  if (!status.ok()) return output.Fail(status);
  if (output.json()) {
    nlohmann::ordered_json object = {{"version", std::to_string(response.version())}, {"ttl_ms", response.ttl_ms()}};
    if (response.degraded()) object["degraded"] = true;
    output.Json(object);
  } else {
    output.Line(absl::StrCat("version ", response.version(), ", ttl ", HumanMillis(response.ttl_ms()),
                             response.degraded() ? ", kept by one replica alone until the store is back" : ""));
  }
  return ExitCode::kOk;
}

}  // namespace

void AddSet(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("set", "Write a value under a key");
  const auto options = std::make_shared<SetOptions>();
  AddVerbatim(*command, "KEY", options->key, "The key")->required();
  AddVerbatim(*command, "VALUE", options->value, "The value; -: read it from stdin");
  command->add_option("-f,--file", options->file, "Read the value from this file; -: stdin")->type_name("FILE");
  AddExpiry(*command, options->expiry);
  command->add_option("--content-type", options->content_type, "Handed back with the value")->check(CheckUtf8);
  AddTexts(*command, "--tag", options->tags, "A group that the entry belongs to; may be given again")->check(CheckUtf8);
  AddDuration(*command, "--stale-for", options->stale_for_ms, "Serve it as stale for so long after its time to live");
  command->add_flag("--sliding", options->sliding, "Each get gives it its time to live anew");
  command->add_flag("--absent", options->absent, "Write, instead of a value, that it is known that there is none");
  CLI::Option* absent = command->add_flag("--if-absent", options->if_absent, "Only if there is no entry");
  CLI::Option* present = command->add_flag("--if-present", options->if_present, "Only if there is an entry");
  CLI::Option* version = command->add_option("--if-version", options->if_version, "Only if the entry has this version");
  version->type_name("VERSION");
  command->add_flag("--strong", options->strong, "Return once no replica serves what was there before");
  absent->excludes(present);
  absent->excludes(version);
  present->excludes(version);
  command->footer(
      "If the condition does not hold, nothing is written, and the exit code is 3 with ABORTED and the\n"
      "version that is there.");
  command->callback([options, &action] {
    action = [options](const Connection& connection, Output& output) { return RunSet(*options, connection, output); };
  });
}

}  // namespace larder
