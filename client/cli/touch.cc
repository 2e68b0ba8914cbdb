#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/text.h"

namespace larder {
namespace {

struct TouchOptions {
  std::optional<std::string> key;
  Expiry expiry;
};

ExitCode RunTouch(const TouchOptions& options, const Connection& connection, Output& output) {
  v1::TouchRequest request;
  request.set_namespace_(connection.name_space());
  request.set_key(*options.key);
  SetExpiry(options.expiry, &request);
  v1::TouchResponse response;
  grpc::ClientContext context;
  connection.SetDeadline(&context);
  const grpc::Status status = connection.cache().Touch(&context, request, &response);
  if (!status.ok()) return output.Fail(status);
  if (response.status() != v1::STATUS_HIT) {
    if (output.json()) output.Json({{"status", "miss"}});
    if (!output.json()) output.Complain(absl::StrCat("no entry under ", Quoted(*options.key)));
    return ExitCode::kMiss;
  }
  if (output.json()) {
    output.Json({{"status", "hit"}, {"version", std::to_string(response.version())}, {"ttl_ms", response.ttl_ms()}});
  } else {
    output.Line(absl::StrCat("version ", response.version(), ", ttl ", HumanMillis(response.ttl_ms())));
  }
  return ExitCode::kOk;
}

}  // namespace

void AddTouch(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("touch", "Give an entry a new time to live; exit code 1 if there is none");
  const auto options = std::make_shared<TouchOptions>();
  AddVerbatim(*command, "KEY", options->key, "The key")->required();
  AddExpiry(*command, options->expiry);
  command->callback([options, &action] {
    action = [options](const Connection& connection, Output& output) { return RunTouch(*options, connection, output); };
  });
}

}  // namespace larder
