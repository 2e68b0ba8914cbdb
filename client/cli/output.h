// What a command writes, for people or for programs.
#ifndef LARDER_CLIENT_CLI_OUTPUT_H_
#define LARDER_CLIENT_CLI_OUTPUT_H_

#include <grpcpp/support/status.h>

#include <cstdio>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace larder {

// What the process ends with.
enum class ExitCode { kOk = 0, kMiss = 1, kUsage = 2, kService = 3 };

// Answers go to stdout: lines for people, or with `json` one JSON object a line. Errors and details go to stderr.
// Not thread-safe.
class Output {
 public:
  struct Options {
    bool json = false;
    bool verbose = false;
  };

  // The streams must outlive it.
  Output(const Options& options, std::FILE* out, std::FILE* err);

  bool json() const { return options_.json; }

  // An answer as it is.
  void Bytes(std::string_view bytes);
  // An answer for people.
  void Line(std::string_view line);
  // An answer for programs.
  void Json(const nlohmann::ordered_json& object);

  // To stderr, with --verbose only.
  void Detail(std::string_view line);
  // To stderr, as `larder: <message>`.
  void Complain(std::string_view message);

  // Ends a call that failed: `larder: CODE: message`, and with `json` also an object `error` on stdout.
  ExitCode Fail(const grpc::Status& status);
  // The same for a condition that did not hold, with the version that is there.
  ExitCode FailCondition(const grpc::Status& status, const std::optional<std::string>& current_version);
  // Ends a command whose arguments or files cannot be used.
  ExitCode Refuse(std::string_view message);

  bool out_is_terminal() const;

  // False, after a complaint, if anything could not be written.
  bool Flush();

 private:
  const Options options_;
  std::FILE* const out_;
  std::FILE* const err_;
};

// The name of a google.rpc.Code, such as `UNAVAILABLE`.
std::string CodeName(int code);

}  // namespace larder

#endif  // LARDER_CLIENT_CLI_OUTPUT_H_
