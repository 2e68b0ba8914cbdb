// What the subcommands have in common.
#ifndef LARDER_CLIENT_CLI_COMMAND_H_
#define LARDER_CLIENT_CLI_COMMAND_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/connection.h"
#include "client/cli/output.h"

namespace larder {

// Does what the command line asked for.
using Action = std::function<ExitCode(const Connection&, Output&)>;

// Each adds its subcommand to `app`; when that is the one that was named, parsing stores its work in `action`. Both
// must outlive the parsing.
void AddGet(CLI::App& app, Action& action);
void AddSet(CLI::App& app, Action& action);
void AddTouch(CLI::App& app, Action& action);
void AddInvalidate(CLI::App& app, Action& action);
void AddInspect(CLI::App& app, Action& action);
void AddList(CLI::App& app, Action& action);
void AddStats(CLI::App& app, Action& action);
void AddPing(CLI::App& app, Action& action);
void AddWarm(CLI::App& app, Action& action);
void AddReplay(CLI::App& app, Action& action);
void AddWatch(CLI::App& app, Action& action);

// An option that takes a duration with a unit.
CLI::Option* AddDuration(CLI::App& app, const std::string& name, std::optional<int64_t>& millis,
                         const std::string& help);

// A positional that takes its argument byte for byte, `[a,b]` and `{}` included, which CLI11 would take apart.
CLI::Option* AddVerbatim(CLI::App& app, const std::string& name, std::optional<std::string>& text,
                         const std::string& help);

// An option that may be given several times, each with one argument, which is taken byte for byte likewise.
CLI::Option* AddTexts(CLI::App& app, const std::string& name, std::vector<std::string>& texts, const std::string& help);

// Refuses arguments that a proto `string` field cannot hold.
std::string CheckUtf8(const std::string& text);

// `--ttl` and `--class`, of which one at most may be given.
struct Expiry {
  std::optional<int64_t> ttl_ms;
  std::string ttl_class;
};
void AddExpiry(CLI::App& app, Expiry& expiry);

template <typename Request>
void SetExpiry(const Expiry& expiry, Request* request) {
  if (expiry.ttl_ms.has_value()) request->set_ttl_ms(*expiry.ttl_ms);
  if (!expiry.ttl_class.empty()) request->set_ttl_class(expiry.ttl_class);
}

// All of a file, or of stdin if `path` is `-`. NOT_FOUND, naming the file, if it cannot be read.
absl::StatusOr<std::string> ReadAll(const std::string& path);

}  // namespace larder

#endif  // LARDER_CLIENT_CLI_COMMAND_H_
