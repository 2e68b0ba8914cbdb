#include <google/protobuf/repeated_ptr_field.h>

#include <map>

#include "absl/strings/str_cat.h"
#include "server/config/resolve.h"
#include "server/config/text.h"

namespace larder {
namespace {

using config::v1::NamespaceConfig;
using Texts = google::protobuf::RepeatedPtrField<std::string>;

constexpr size_t kMaxEntities = 200;
constexpr int kMaxTemplates = 100;  // of one kind

// The shortest that a template can make: with nothing in place of its fields.
size_t ShortestResult(const Template& text) {
  std::map<std::string, std::string, std::less<>> nothing;
  for (const std::string& field : text.fields()) nothing[field];
  return text.Expand(nothing).size();
}

// The templates of one kind, whose results may be so long.
std::vector<Template> ResolveTemplates(const std::string& path, const Texts& texts, size_t limit, Findings& findings) {
  if (texts.size() > kMaxTemplates) {
    findings.AddProblem(path, absl::StrCat(texts.size(), ", the limit is ", kMaxTemplates));
    return {};
  }
  std::vector<Template> templates;
  for (int i = 0; i < texts.size(); ++i) {
    const std::string element = absl::StrCat(path, "[", i, "]");
    absl::StatusOr<Template> parsed = Template::Parse(texts[i]);
    if (!parsed.ok()) {
      findings.AddProblem(element, absl::StrCat(Quote(texts[i]), ": ", parsed.status().message()));
    } else if (texts[i].empty()) {
      findings.AddProblem(element, absl::StrCat("empty, must be 1 to ", limit, " bytes"));
    } else if (const size_t shortest = ShortestResult(*parsed); shortest > limit) {
      findings.AddProblem(element, absl::StrCat(shortest, " bytes without its fields, the limit is ", limit));
    } else {
      templates.push_back(*std::move(parsed));
    }
  }
  return templates;
}

EntityRule ResolveRule(const std::string& path, const config::v1::EntityRule& config, Findings& findings) {
  if (config.keys().empty() && config.tags().empty() && config.patterns().empty()) {
    findings.AddProblem(path, "has neither keys nor tags nor patterns");
  }
  return {.keys = ResolveTemplates(path + ".keys", config.keys(), kMaxKeyBytes, findings),
          .tags = ResolveTemplates(path + ".tags", config.tags(), kMaxTagBytes, findings),
          .patterns = ResolveTemplates(path + ".patterns", config.patterns(), kMaxPatternBytes, findings)};
}

}  // namespace

EntityRules ResolveEntities(const std::string& path, const NamespaceConfig& own, const NamespaceConfig& defaults,
                            Findings& findings) {
  struct Source {
    std::string path;
    const config::v1::EntityRule* config;
  };
  std::map<std::string, Source> sources;
  const auto add = [&sources](const std::string& from, const NamespaceConfig& config) {
    for (const auto& [name, rule] : config.entities()) {
      sources[name] = {absl::StrCat(from, ".entities.", PathName(name)), &rule};
    }
  };
  add("defaults", defaults);
  add(path, own);
  if (sources.size() > kMaxEntities) {
    findings.AddProblem(absl::StrCat(path, ".entities"),
                        absl::StrCat(sources.size(), " entities, the limit is ", kMaxEntities));
    return {};
  }
  EntityRules rules;
  for (const auto& [name, source] : sources) {
    if (!IsValidNamespaceName(name)) findings.AddProblem(source.path, "a name must match [a-z0-9_-]{1,63}");
    rules[name] = ResolveRule(source.path, *source.config, findings);
  }
  return rules;
}

}  // namespace larder
