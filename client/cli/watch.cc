#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/cli/command.h"
#include "client/cli/text.h"
#include "client/cli/verdict_text.h"

namespace larder {
namespace {

using nlohmann::ordered_json;

// Writes what is told as it comes: whoever reads the output must see it at once.
class WatchWriter {
 public:
  explicit WatchWriter(Output& output) : output_(output) {}

  // False if nothing more can be written.
  bool Write(const v1::WatchResponse& message) {
    if (!has_begun_) WriteBegin(message);
    if (message.kind_case() == v1::WatchResponse::kGap) WriteGap(message);
    uint64_t sequence = message.events().first_sequence();
    for (const v1::WatchEvent& event : message.events().events()) WriteEvent(sequence++, event);
    return output_.Flush();
  }

 private:
  void WriteBegin(const v1::WatchResponse& message) {
    has_begun_ = true;
    const std::string incarnation = absl::StrCat(message.incarnation());
    if (output_.json()) {
      output_.Json({{"event", "begin"}, {"incarnation", incarnation}, {"sequence", message.sequence()}});
    } else {
      output_.Line(absl::StrCat("watching from ", message.sequence(), " of incarnation ", incarnation));
    }
  }

  void WriteGap(const v1::WatchResponse& message) {
    const std::string reason(absl::StripPrefix(v1::WatchGap::Reason_Name(message.gap().reason()), "REASON_"));
    if (output_.json()) {
      output_.Json({{"event", "gap"}, {"sequence", message.sequence()}, {"reason", reason}});
    } else {
      output_.Line(absl::StrCat(message.sequence(), " gap: ", absl::AsciiStrToLower(reason)));
    }
  }

  void WriteEvent(uint64_t sequence, const v1::WatchEvent& event) {
    std::string kind = "all";
    std::string name;
    switch (event.what_case()) {
      case v1::WatchEvent::kKey:
        kind = "key";
        name = event.key();
        break;
      case v1::WatchEvent::kTag:
        kind = "tag";
        name = event.tag();
        break;
      case v1::WatchEvent::kPattern:
        kind = "pattern";
        name = event.pattern();
        break;
      default:
        break;
    }
    if (output_.json()) {
      ordered_json object = {{"event", kind}, {"sequence", sequence}};
      if (kind != "all") SetBytes(kind, name, &object);
      if (kind != "key") object["soft"] = event.soft();
      return output_.Json(object);
    }
    output_.Line(absl::StrCat(sequence, event.soft() ? " soft " : " ", kind,
                              kind == "all" ? "" : absl::StrCat(" ", Quoted(name))));
  }

  Output& output_;
  bool has_begun_ = false;
};

ExitCode RunWatch(const Connection& connection, Output& output) {
  v1::WatchRequest request;
  request.set_namespace_(connection.name_space());
  grpc::ClientContext context;
  if (connection.timeout_given()) connection.SetDeadline(&context);
  const auto stream = connection.cache().Watch(&context, request);
  WatchWriter writer(output);
  v1::WatchResponse message;
  while (stream->Read(&message)) {
    if (!writer.Write(message)) context.TryCancel();
  }
  const grpc::Status status = stream->Finish();
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED && connection.timeout_given()) return ExitCode::kOk;
  return output.Fail(status);
}

}  // namespace

void AddWatch(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("watch", "Write what changes in a namespace, as it happens");
  command->footer(
      "A line for each event, with its position: a key that was written, a tag, a pattern or all that was "
      "invalidated,\n"
      "or a gap, where it is not known what changed. Goes on until it is interrupted, or --timeout has passed.");
  command->callback([&action] { action = RunWatch; });
}

}  // namespace larder
