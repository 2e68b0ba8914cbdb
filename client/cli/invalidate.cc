#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "client/cli/entity_text.h"

namespace larder {
namespace {

constexpr int kMaxKeys = 1'000;  // to one call

struct InvalidateOptions {
  std::vector<std::string> keys;
  std::vector<std::string> tags;
  std::vector<std::string> patterns;
  std::vector<std::string> entities;  // name,field=value,...
  bool all = false;
  bool soft = false;
  bool strong = false;

  size_t groups() const { return tags.size() + patterns.size() + entities.size(); }
};

std::string CheckEntity(const std::string& text) {
  if (std::string wrong = CheckUtf8(text); !wrong.empty()) return wrong;
  const absl::StatusOr<v1::Entity> entity = ParseEntity(text);
  return entity.ok() ? "" : std::string(entity.status().message());
}

// What was done, for people.
std::string Describe(const InvalidateOptions& options, const v1::InvalidateResponse& response) {
  if (response.deferred()) {
    return "deferred: the service cannot reach its store; one replica has done it, the others will once the store is "
           "back";
  }
  const std::string done = options.soft ? "made stale" : "dropped";
  if (options.all) return done + " the whole namespace";
  std::vector<std::string> parts;
  // An entity's rule may name keys, which are counted among the dropped.
  if (!options.keys.empty()) {
    parts.push_back(absl::StrCat(response.dropped(), " of ", options.keys.size()));
  } else if (response.dropped() > 0) {
    parts.push_back(absl::StrCat(response.dropped(), " by key"));
  }
  if (options.groups() > 0) {
    parts.push_back(absl::StrCat("all of ", options.groups(), options.groups() == 1 ? " group" : " groups"));
  }
  std::string line = absl::StrCat(done, " ", absl::StrJoin(parts, " and "));
  if (response.collapsed()) line += "; of tags or patterns there were too many, so the whole namespace";
  return line;
}

ExitCode RunInvalidate(const InvalidateOptions& options, const Connection& connection, Output& output) {
  if (options.keys.empty() && options.groups() == 0 && !options.all) {
    return output.Refuse("invalidate: give keys, --tag, --pattern, --entity, or --all");
  }
  v1::InvalidateRequest request;
  request.set_namespace_(connection.name_space());
  for (const std::string& key : options.keys) request.add_keys(key);
  for (const std::string& tag : options.tags) request.add_tags(tag);
  for (const std::string& pattern : options.patterns) request.add_patterns(pattern);
  for (const std::string& entity : options.entities) {
    // It was checked when it was parsed.
    if (absl::StatusOr<v1::Entity> parsed = ParseEntity(entity); parsed.ok())
      *request.add_entities() = *std::move(parsed);
  }
  request.set_all(options.all);
  if (options.soft) request.set_mode(v1::INVALIDATION_MODE_SOFT);
  if (options.strong) request.set_consistency(v1::CONSISTENCY_STRONG);
  v1::InvalidateResponse response;
  grpc::ClientContext context;
  connection.SetDeadline(&context);
  const grpc::Status status = connection.cache().Invalidate(&context, request, &response);
  if (!status.ok()) return output.Fail(status);
  if (output.json()) {
    nlohmann::ordered_json object = {{"dropped", response.dropped()}, {"all", options.all}};
    if (options.soft) object["soft"] = true;
    if (options.groups() > 0) object["groups"] = options.groups();
    if (response.collapsed()) object["collapsed"] = true;
    if (response.deferred()) object["deferred"] = true;
    output.Json(object);
  } else {
    output.Line(Describe(options, response));
  }
  return ExitCode::kOk;
}

}  // namespace

void AddInvalidate(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("invalidate", "Drop entries, groups of them, or the whole namespace");
  const auto options = std::make_shared<InvalidateOptions>();
  CLI::callback_t accept = [](const CLI::results_t&) { return true; };
  // Keys are taken byte for byte, so not as a vector: there CLI11 would take `[a,b]` apart. TakeAll asks for no
  // minimum.
  CLI::Option* keys = command->add_option("KEY", std::move(accept), "The keys");
  keys->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->expected(kMaxKeys, -1)->option_text("TEXT ...");
  AddTexts(*command, "--tag", options->tags, "Drop every entry with this tag; may be given again")->check(CheckUtf8);
  AddTexts(*command, "--pattern", options->patterns,
           "Drop every entry whose key matches; *: any bytes, ?: any one byte; may be given again");
  AddTexts(*command, "--entity", options->entities, "Drop what the namespace's rule for it says; may be given again")
      ->check(CheckEntity)
      ->type_name("NAME[,FIELD=VALUE]...");
  command->add_flag("--all", options->all, "Drop every entry of the namespace");
  command->add_flag("--soft", options->soft, "Make entries stale instead: served as such until they are loaded anew");
  command->add_flag("--strong", options->strong, "Return once no replica serves what was there before");
  command->callback([options, keys, &action] {
    options->keys = keys->results();
    action = [options](const Connection& connection, Output& output) {
      return RunInvalidate(*options, connection, output);
    };
  });
}

}  // namespace larder
