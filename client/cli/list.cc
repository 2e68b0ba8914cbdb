#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "client/cli/text.h"
#include "client/cli/verdict_text.h"
#include "larder/v1/admin.grpc.pb.h"

namespace larder {
namespace {

using nlohmann::ordered_json;

constexpr int64_t kDefaultLimit = 1'000;

struct ListOptions {
  std::optional<std::string> pattern;
  bool all_pages = false;
  int64_t limit = 0;  // keys; 0: not given
  int page_size = 0;
  bool with_invalid = false;
};

// Writes keys as they come, so that a long list needs no memory.
class Lister {
 public:
  Lister(const ListOptions& options, const Connection& connection, Output& output)
      : options_(options),
        connection_(connection),
        output_(output),
        stub_(v1::Admin::NewStub(connection.channel())),
        // Without either, what fits on a few screens.
        limit_(options.limit > 0   ? options.limit
               : options.all_pages ? INT64_MAX
                                   : kDefaultLimit) {}

  ExitCode Run() {
    v1::ListRequest request;
    request.set_namespace_(connection_.name_space());
    request.set_pattern(options_.pattern.value_or(""));
    request.set_page_size(options_.page_size);
    request.set_with_invalid(options_.with_invalid);
    bool more = false;
    do {
      v1::ListResponse response;
      grpc::ClientContext context;
      connection_.SetDeadline(&context);
      const grpc::Status status = stub_->List(&context, request, &response);
      if (!status.ok()) return output_.Fail(status);
      more = !response.next_page().empty();
      for (const v1::ListedKey& key : response.keys()) {
        if (written_ == limit_) more = true;
        if (written_ < limit_) Write(key);
      }
      request.set_page(response.next_page());
    } while (!request.page().empty() && written_ < limit_);
    if (more) TellMore();
    return written_ > 0 ? ExitCode::kOk : ExitCode::kMiss;
  }

 private:
  void Write(const v1::ListedKey& key) {
    if (output_.json()) {
      ordered_json object;
      SetBytes("key", key.key(), &object);
      object["verdict"] = VerdictName(key.verdict());
      object["entry"] = key.has_entry() ? ToJson(key.entry()) : ordered_json(nullptr);
      output_.Json(object);
    } else {
      if (written_ == 0) {
        output_.Line(
            absl::StrFormat("%-14s %8s %8s %8s %10s  %s", "verdict", "age", "stale in", "gone in", "takes", "key"));
      }
      const v1::EntryInfo& entry = key.entry();
      const bool known = entry.version() != 0;
      const auto time = [&](int64_t millis) { return known ? HumanMillis(millis) : "-"; };
      output_.Line(absl::StrFormat("%-14s %8s %8s %8s %10s  %s", VerdictName(key.verdict()), time(entry.age_ms()),
                                   time(entry.ttl_ms()), time(entry.hard_ttl_ms()),
                                   key.has_entry() ? HumanBytes(static_cast<double>(entry.stored_bytes())) : "-",
                                   Quoted(key.key())));
    }
    ++written_;
  }

  // More pages at least; they may hold no more keys.
  void TellMore() {
    if (output_.json()) output_.Json({{"more", true}});
    if (!output_.json()) output_.Complain("there may be more: --all-pages, or a larger --limit");
  }

  const ListOptions& options_;
  const Connection& connection_;
  Output& output_;
  const std::unique_ptr<v1::Admin::Stub> stub_;
  const int64_t limit_;
  int64_t written_ = 0;
};

}  // namespace

void AddList(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("list", "List the keys in the store; exit code 1 if there are none");
  command->footer(
      "In no order; a key that is written meanwhile may be there twice, or not at all. With --json a line for each "
      "key,\n"
      "and {\"more\": true} at the end if there may be more.");
  const auto options = std::make_shared<ListOptions>();
  AddVerbatim(*command, "PATTERN", options->pattern, "Keys that match; *: any bytes, ?: any one byte [all]");
  CLI::Option* limit = command->add_option("--limit", options->limit, "Stop after so many keys [1000]");
  limit->type_name("COUNT")->check(CLI::Range(int64_t{1}, INT64_MAX));
  command->add_flag("--all-pages", options->all_pages, "Go on to the end")->excludes(limit);
  command->add_option("--page-size", options->page_size, "Keys that the server looks at for each page [1000]")
      ->type_name("COUNT")
      ->check(CLI::Range(1, 10'000));
  command->add_flag("--with-invalid", options->with_invalid,
                    "Also keys that are not served: invalidated, leased, unreadable");
  command->callback([options, &action] {
    action = [options](const Connection& connection, Output& output) {
      return Lister(*options, connection, output).Run();
    };
  });
}

}  // namespace larder
