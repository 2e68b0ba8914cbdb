#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "client/cli/text.h"
#include "client/cli/verdict_text.h"
#include "larder/v1/admin.grpc.pb.h"

namespace larder {
namespace {

using nlohmann::ordered_json;

// Stamps that people are shown; programs get all.
constexpr int kStampsShown = 10;

std::string GroupText(const v1::StampInfo& stamp) {
  if (stamp.has_tag()) return absl::StrCat("tag ", Quoted(stamp.tag()));
  if (stamp.has_pattern()) return absl::StrCat("pattern ", Quoted(stamp.pattern()));
  return "the whole namespace";
}

// One tier's fields by name. Both tiers have the same ones, in the same order.
std::vector<std::pair<std::string, std::string>> Fields(const v1::EntryInfo& entry) {
  std::vector<std::string> tags;
  for (const std::string& tag : entry.tags()) tags.push_back(Quoted(tag));
  const bool entry_is_there = entry.version() != 0;
  const auto time = [&](int64_t millis) { return entry_is_there ? HumanMillis(millis) : "-"; };
  return {{"version", entry_is_there ? std::to_string(entry.version()) : "-"},
          {"age", time(entry.age_ms())},
          {"stale in", entry_is_there && entry.ttl_ms() == 0 ? "it is" : time(entry.ttl_ms())},
          {"gone in", time(entry.hard_ttl_ms())},
          {"sliding", entry.sliding_ttl_ms() == 0 ? "no" : HumanMillis(entry.sliding_ttl_ms())},
          {"leased for", entry.lease_ttl_ms() == 0 ? "-" : HumanMillis(entry.lease_ttl_ms())},
          {"known absent", entry.absent() ? "yes" : "no"},
          {"epoch", std::to_string(entry.epoch())},
          {"generation", absl::StrFormat("%016x", entry.generation())},
          {"takes", HumanBytes(static_cast<double>(entry.stored_bytes()))},
          {"content type", entry.content_type().empty() ? "-" : Quoted(entry.content_type())},
          {"tags", tags.empty() ? "-" : absl::StrJoin(tags, " ")}};
}

void WriteTiers(const v1::InspectResponse& response, Output& output) {
  if (!response.has_near() && !response.has_store()) return;
  const auto near = Fields(response.near());
  const auto store = Fields(response.store());
  output.Line("");
  output.Line(absl::StrFormat("%-13s %-22s %s", "", "near tier", "store"));
  for (size_t i = 0; i < near.size(); ++i) {
    const std::string in_near = response.has_near() ? near[i].second : "-";
    const std::string in_store = response.has_store() ? store[i].second : "-";
    output.Line(absl::StrFormat("%-13s %-22s %s", near[i].first, in_near, in_store));
  }
}

void WriteForPeople(const std::string& key, const v1::InspectResponse& response, Output& output) {
  output.Line(absl::StrCat(Quoted(key), ": ", VerdictName(response.verdict())));
  output.Line(response.reason());
  WriteTiers(response, output);
  const v1::ClockInfo& clock = response.clock();
  output.Line("");
  output.Line(absl::StrFormat("clock: epoch %d, swept up to %d, generation %016x", clock.epoch(), clock.swept_epoch(),
                              clock.generation()));
  const int shown = std::min(response.stamps_size(), kStampsShown);
  for (int i = 0; i < shown; ++i) {
    const v1::StampInfo& stamp = response.stamps(i);
    output.Line(absl::StrCat("  epoch ", stamp.epoch(), ": ", GroupText(stamp), " was invalidated (",
                             stamp.soft() ? "SOFT" : "HARD", ")"));
  }
  if (shown < response.stamps_size()) {
    output.Line(absl::StrCat("  and ", response.stamps_size() - shown, " earlier ones, which --json shows"));
  }
}

void WriteJson(const std::string& key, const v1::InspectResponse& response, Output& output) {
  ordered_json object;
  SetBytes("key", key, &object);
  object["verdict"] = VerdictName(response.verdict());
  object["reason"] = response.reason();
  object["near"] = response.has_near() ? ToJson(response.near()) : ordered_json(nullptr);
  object["store"] = response.has_store() ? ToJson(response.store()) : ordered_json(nullptr);
  object["clock"] = {{"generation", std::to_string(response.clock().generation())},
                     {"epoch", response.clock().epoch()},
                     {"swept_epoch", response.clock().swept_epoch()}};
  object["stamps"] = ordered_json::array();
  for (const v1::StampInfo& stamp : response.stamps()) {
    ordered_json one;
    if (stamp.all()) one["all"] = true;
    if (stamp.has_tag()) one["tag"] = stamp.tag();
    if (stamp.has_pattern()) SetBytes("pattern", stamp.pattern(), &one);
    one["epoch"] = stamp.epoch();
    one["soft"] = stamp.soft();
    object["stamps"].push_back(std::move(one));
  }
  output.Json(object);
}

ExitCode RunInspect(const std::string& key, const Connection& connection, Output& output) {
  v1::InspectRequest request;
  request.set_namespace_(connection.name_space());
  request.set_key(key);
  v1::InspectResponse response;
  grpc::ClientContext context;
  connection.SetDeadline(&context);
  const grpc::Status status = v1::Admin::NewStub(connection.channel())->Inspect(&context, request, &response);
  if (!status.ok()) return output.Fail(status);
  if (output.json()) {
    WriteJson(key, response, output);
  } else {
    WriteForPeople(key, response, output);
  }
  return IsServed(response.verdict()) ? ExitCode::kOk : ExitCode::kMiss;
}

}  // namespace

void AddInspect(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("inspect", "Explain a key: why it is served or not; exit code 1 if it is not");
  command->footer("Changes nothing. The near tier is that of the server that is asked.");
  const auto key = std::make_shared<std::optional<std::string>>();
  AddVerbatim(*command, "KEY", *key, "The key")->required();
  command->callback([key, &action] {
    action = [key](const Connection& connection, Output& output) { return RunInspect(**key, connection, output); };
  });
}

}  // namespace larder
