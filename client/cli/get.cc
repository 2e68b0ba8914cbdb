#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/text.h"

namespace larder {
namespace {

using nlohmann::ordered_json;

struct GetOptions {
  std::optional<std::string> key;
  bool from_store = false;
  bool fresh_only = false;
  std::optional<int64_t> wait_ms;
  std::string output_path = "-";
  bool raw = false;
};

const char* TierName(v1::Tier tier) {
  if (tier == v1::TIER_NEAR) return "near";
  if (tier == v1::TIER_STORE) return "store";
  if (tier == v1::TIER_ORIGIN) return "origin";
  return "unknown";
}

bool IsFresh(const v1::GetResponse& response) { return response.freshness() == v1::FRESHNESS_FRESH; }

// What the answer says about the entry, but for its value.
ordered_json Describe(const v1::GetResponse& response) {
  ordered_json object = {{"status", response.status() == v1::STATUS_ABSENT ? "absent" : "hit"},
                         {"tier", TierName(response.tier())},
                         {"fresh", IsFresh(response)},
                         {"age_ms", response.age_ms()},
                         {"ttl_ms", response.ttl_ms()},
                         {"hard_ttl_ms", response.hard_ttl_ms()},
                         {"version", std::to_string(response.version())},
                         {"content_type", response.content_type()}};
  if (response.degraded()) object["degraded"] = true;
  return object;
}

bool WriteFile(const std::string& path, const std::string& bytes) {
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return false;
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  return std::fclose(file) == 0 && written;
}

std::string Detail(const v1::GetResponse& response) {
  return absl::StrCat("tier ", TierName(response.tier()), ", ", IsFresh(response) ? "fresh" : "stale",
                      response.degraded() ? ", degraded" : "", ", age ", HumanMillis(response.age_ms()), ", ttl ",
                      HumanMillis(response.ttl_ms()), ", gone in ", HumanMillis(response.hard_ttl_ms()), ", version ",
                      response.version(), ", ", response.value().size(), " bytes, content type ",
                      Quoted(response.content_type()));
}

void ComplainOfDegraded(const v1::GetResponse& response, Output& output) {
  if (!response.degraded() || output.json()) return;
  output.Complain("the service cannot reach its store: this is what one replica remembers");
}

// It is known that there is no value: as good as a miss to who wants one.
ExitCode WriteAbsence(const GetOptions& options, const v1::GetResponse& response, Output& output) {
  output.Detail(Detail(response));
  ComplainOfDegraded(response, output);
  if (output.json()) output.Json(Describe(response));
  if (!output.json()) output.Complain(absl::StrCat("it is known that there is nothing under ", Quoted(*options.key)));
  return ExitCode::kMiss;
}

ExitCode WriteHit(const GetOptions& options, const v1::GetResponse& response, Output& output) {
  const std::string& value = response.value();
  output.Detail(Detail(response));
  if (!IsFresh(response) && !output.json()) output.Complain("the value is stale");
  ComplainOfDegraded(response, output);
  const bool to_file = options.output_path != "-";
  if (to_file && !WriteFile(options.output_path, value)) {
    return output.Refuse(absl::StrCat(options.output_path, ": ", std::strerror(errno)));
  }
  if (output.json()) {
    ordered_json object = Describe(response);
    if (!to_file && IsUtf8(value)) object["value"] = value;
    if (!to_file && !IsUtf8(value)) object["value_base64"] = absl::Base64Escape(value);
    output.Json(object);
  } else if (!to_file) {
    output.Bytes(value);
    if (!options.raw && output.out_is_terminal()) output.Line("");
  }
  return ExitCode::kOk;
}

ExitCode RunGet(const GetOptions& options, const Connection& connection, Output& output) {
  v1::GetRequest request;
  request.set_namespace_(connection.name_space());
  request.set_key(*options.key);
  if (options.from_store) request.set_read_from(v1::READ_FROM_STORE);
  request.set_fresh_only(options.fresh_only);
  request.set_wait_ms(options.wait_ms.value_or(0));
  v1::GetResponse response;
  grpc::ClientContext context;
  connection.SetDeadline(&context, options.wait_ms.value_or(0));
  const grpc::Status status = connection.cache().Get(&context, request, &response);
  if (!status.ok()) return output.Fail(status);
  if (response.status() == v1::STATUS_HIT) return WriteHit(options, response, output);
  if (response.status() == v1::STATUS_ABSENT) return WriteAbsence(options, response, output);
  if (output.json()) output.Json({{"status", "miss"}});
  if (!output.json()) output.Complain(absl::StrCat("no entry under ", Quoted(*options.key)));
  return ExitCode::kMiss;
}

}  // namespace

void AddGet(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("get", "Write the value under a key; exit code 1 if there is none");
  const auto options = std::make_shared<GetOptions>();
  AddVerbatim(*command, "KEY", options->key, "The key")->required();
  command->add_flag("--from-store", options->from_store, "Read past the near tier");
  command->add_flag("--fresh-only", options->fresh_only, "Take a stale or degraded value for none");
  AddDuration(*command, "--wait", options->wait_ms, "Wait so long for a value that is being loaded, besides --timeout");
  command->add_option("-o,--output", options->output_path, "Write the value to this file; -: stdout")
      ->type_name("FILE")
      ->capture_default_str();
  command->add_flag("--raw", options->raw, "Never add a newline (else one is added on a terminal)");
  command->callback([options, &action] {
    action = [options](const Connection& connection, Output& output) { return RunGet(*options, connection, output); };
  });
}

}  // namespace larder
