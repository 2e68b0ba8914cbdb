#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"

namespace larder {
namespace {

constexpr int kMaxKeys = 1'000;  // to one call

struct InvalidateOptions {
  std::vector<std::string> keys;
  bool all = false;
};

ExitCode RunInvalidate(const InvalidateOptions& options, const Connection& connection, Output& output) {
  if (options.keys.empty() && !options.all) return output.Refuse("invalidate: give keys, or --all");
  v1::InvalidateRequest request;
  request.set_namespace_(connection.name_space());
  for (const std::string& key : options.keys) request.add_keys(key);
  request.set_all(options.all);
  v1::InvalidateResponse response;
  grpc::ClientContext context;
  connection.SetDeadline(&context);
  const grpc::Status status = connection.cache().Invalidate(&context, request, &response);
  if (!status.ok()) return output.Fail(status);
  if (output.json()) {
    output.Json({{"dropped", response.dropped()}, {"all", options.all}});
  } else if (options.all) {
    output.Line("dropped the whole namespace");
  } else {
    output.Line(absl::StrCat("dropped ", response.dropped(), " of ", options.keys.size()));
  }
  return ExitCode::kOk;
}

}  // namespace

void AddInvalidate(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("invalidate", "Drop entries, or the whole namespace");
  const auto options = std::make_shared<InvalidateOptions>();
  CLI::callback_t accept = [](const CLI::results_t&) { return true; };
  // Keys are taken byte for byte, so not as a vector: there CLI11 would take `[a,b]` apart. TakeAll asks for no
  // minimum.
  CLI::Option* keys = command->add_option("KEY", std::move(accept), "The keys");
  keys->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->expected(kMaxKeys, -1)->option_text("TEXT ...");
  command->add_flag("--all", options->all, "Drop every entry of the namespace");
  command->callback([options, keys, &action] {
    options->keys = keys->results();
    action = [options](const Connection& connection, Output& output) {
      return RunInvalidate(*options, connection, output);
    };
  });
}

}  // namespace larder
