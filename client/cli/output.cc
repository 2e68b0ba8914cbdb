#include "client/cli/output.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace larder {
namespace {

using nlohmann::ordered_json;

void Write(std::FILE* file, std::string_view bytes) { std::fwrite(bytes.data(), 1, bytes.size(), file); }

}  // namespace

std::string CodeName(int code) {
  const std::string name = absl::StatusCodeToString(static_cast<absl::StatusCode>(code));
  return name.empty() ? absl::StrCat("CODE_", code) : name;
}

Output::Output(const Options& options, std::FILE* out, std::FILE* err) : options_(options), out_(out), err_(err) {}

void Output::Bytes(std::string_view bytes) { Write(out_, bytes); }

void Output::Line(std::string_view line) {
  Write(out_, line);
  Write(out_, "\n");
}

void Output::Json(const ordered_json& object) {
  // Messages of a server may hold anything.
  Line(object.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
}

void Output::Detail(std::string_view line) {
  if (!options_.verbose) return;
  Write(err_, line);
  Write(err_, "\n");
}

void Output::Complain(std::string_view message) {
  Write(err_, "larder: ");
  Write(err_, message);
  Write(err_, "\n");
}

ExitCode Output::Fail(const grpc::Status& status) {
  const std::string code = CodeName(status.error_code());
  if (json()) Json({{"error", {{"code", code}, {"message", status.error_message()}}}});
  Complain(absl::StrCat(code, ": ", status.error_message()));
  return ExitCode::kService;
}

ExitCode Output::FailCondition(const grpc::Status& status, const std::optional<std::string>& current_version) {
  const std::string code = CodeName(status.error_code());
  if (json()) {
    const ordered_json version = current_version.has_value() ? ordered_json(*current_version) : ordered_json(nullptr);
    Json({{"error", {{"code", code}, {"message", status.error_message()}, {"current_version", version}}}});
  }
  Complain(
      absl::StrCat(code, ": ", status.error_message(), " (current version: ", current_version.value_or("none"), ")"));
  return ExitCode::kService;
}

ExitCode Output::Refuse(std::string_view message) {
  Complain(message);
  return ExitCode::kUsage;
}

bool Output::out_is_terminal() const { return isatty(fileno(out_)) == 1; }

bool Output::Flush() {
  if (std::fflush(out_) == 0 && std::ferror(out_) == 0) return true;
  Complain(absl::StrCat("cannot write the output: ", std::strerror(errno)));
  return false;
}

}  // namespace larder
