// `larder`: the cache from the command line.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/connection.h"
#include "client/cli/output.h"

namespace larder {
namespace {

constexpr const char* kDescription = "Talks to a Larder cache server.";

constexpr const char* kFooter =
    "Exit codes: 0 found or done; 1 a miss; 2 wrong usage, or a local file cannot be used; 3 the service answered\n"
    "with an error, the condition of a set did not hold (ABORTED), or a part of warm or replay failed.\n"
    "Durations need a unit: 250ms, 5m, 1h30m, 7d. A key or value that begins with a dash goes after `--`.\n"
    "With --json, versions are strings, as 64 bits do not fit a JSON number everywhere.";

struct GlobalOptions {
  Connection::Options connection;
  Output::Options output;
};

void AddGlobalOptions(CLI::App& app, GlobalOptions& options) {
  app.description(kDescription);
  app.footer(kFooter);
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return absl::StrCat("larder: ", error.what(), " (larder --help tells more)\n");
  });
  app.set_version_flag("--version", "larder " LARDER_VERSION);
  app.add_option("--address", options.connection.address, "Where the server listens")
      ->envname("LARDER_ADDRESS")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  app.add_option("-n,--namespace", options.connection.name_space, "Namespace; none: the server's default")
      ->envname("LARDER_NAMESPACE")
      ->type_name("NAME")
      ->check(CheckUtf8);
  AddDuration(app, "--timeout", options.connection.timeout_ms, "How long each call may take [1s]");
  app.add_flag("--json", options.output.json, "Write JSON, one object a line");
  app.add_flag("-v,--verbose", options.output.verbose, "Write details to stderr");
  app.require_subcommand(1);
  // Global options may also stand after the subcommand.
  app.fallthrough();
}

int Run(int argc, char** argv) {
  GlobalOptions options;
  options.connection.address = "127.0.0.1:50051";
  Action action;
  CLI::App app;
  app.name("larder");
  AddGlobalOptions(app, options);
  for (const auto add : {AddGet, AddSet, AddTouch, AddInvalidate, AddInspect, AddList, AddStats, AddPing, AddWarm,
                         AddReplay, AddWatch}) {
    add(app, action);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version end parsing too, with code 0.
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
  }
  const Connection connection(options.connection);
  Output output(options.output, stdout, stderr);
  const ExitCode code = action(connection, output);
  return static_cast<int>(output.Flush() ? code : ExitCode::kUsage);
}

}  // namespace
}  // namespace larder

int main(int argc, char** argv) { return larder::Run(argc, argv); }
