#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/replayer.h"

namespace larder {
namespace {

struct ReplayCommandOptions {
  ReplayOptions replay;
  std::string file;
  std::string value_size = "fixed:100";
};

ExitCode RunReplay(const ReplayCommandOptions& options, const Connection& connection, Output& output) {
  const absl::StatusOr<ValueGenerator> values = ValueGenerator::Parse(options.value_size);
  if (!values.ok()) return output.Refuse(absl::StrCat("--value-size: ", values.status().message()));
  const absl::StatusOr<std::unique_ptr<TraceReader>> trace = TraceReader::Open(options.file);
  if (!trace.ok()) return output.Refuse(std::string(trace.status().message()));

  const SystemClock clock;
  ProgressBar bar(stderr, &clock, "requests");
  ReplayReport report;
  const absl::Status status = Replay(options.replay, connection, *values, clock, trace->get(), &bar, &report);
  if (output.json()) {
    output.Json(ReportJson(report));
  } else {
    output.Bytes(RenderReport(report));
  }
  if (!report.last_error.empty()) output.Complain(absl::StrCat("last error: ", report.last_error));
  if (report.gave_up) {
    output.Complain(absl::StrCat("gave up: ", options.replay.session.max_errors, " calls in a row failed"));
  }
  if (!status.ok()) return output.Refuse(std::string(status.message()));
  return report.clean() ? ExitCode::kOk : ExitCode::kService;
}

void AddLoadOptions(CLI::App& command, ReplayCommandOptions& options) {
  command.add_option("--concurrency", options.replay.concurrency, "Calls in flight")
      ->check(CLI::Range(1, 65'536))
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--batch", options.replay.session.batch, "Keys to a call; above 1: BatchGet and BatchSet")
      ->check(CLI::Range(1, 1'000))
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--connections", options.replay.connections, "Connections to spread the calls over")
      ->check(CLI::Range(1, 256))
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--limit", options.replay.limit, "Stop after this many requests; 0: the whole trace")
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--max-errors", options.replay.session.max_errors,
                  "Give up when this many calls in a row have failed; 0: never")
      ->type_name("N")
      ->capture_default_str();
}

void AddValueOptions(CLI::App& command, ReplayCommandOptions& options) {
  AddDuration(command, "--ttl", options.replay.session.ttl_ms, "Time to live of what is set [the namespace's]");
  command
      .add_option("--value-size", options.value_size,
                  "Bytes of a value: fixed:N, uniform:MIN-MAX, lognormal:MU,SIGMA[,MAX], pareto:ALPHA,MIN-MAX")
      ->type_name("DIST")
      ->capture_default_str();
  command.add_option("--key-prefix", options.replay.session.key_prefix, "Goes before the id to make the key")
      ->capture_default_str();
  command
      .add_flag("--verify,!--no-verify", options.replay.session.verify,
                "Check that each value is that of its object [on]")
      ->disable_flag_override();
}

}  // namespace

void AddReplay(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("replay", "Replay a trace as a cache-aside application, and measure");
  const auto options = std::make_shared<ReplayCommandOptions>();
  options->replay.session.key_prefix = "replay:";
  options->replay.session.max_errors = 10'000;
  command->add_option("FILE", options->file, "Object ids, 32 bits little-endian; .zst: compressed")
      ->required()
      ->type_name("FILE.u32[.zst]");
  AddLoadOptions(*command, *options);
  AddValueOptions(*command, *options);
  command->footer(
      "Each request is a get and, on a miss, a set. Sizes and bytes of the values follow from the ids, so that any\n"
      "value can be verified; use another --key-prefix, or invalidate, before replaying with another --value-size.\n"
      "The exit code is 3 if any call failed or any value was wrong.");
  command->callback([options, &action] {
    action = [options](const Connection& connection, Output& output) {
      return RunReplay(*options, connection, output);
    };
  });
}

}  // namespace larder
