#include "client/testing/fake_entities.h"

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/src/quote.h"
#include "client/testing/fake_limits.h"

namespace larder::testing {
namespace {

using Fields = std::map<std::string, std::string>;

// Calls `literal` and `field` for the parts of a template; one that is not well formed is all literal from there on.
template <typename Literal, typename Field>
void Parse(const std::string& text, Literal literal, Field field) {
  for (size_t at = 0; at < text.size(); ++at) {
    const bool brace = text[at] == '{' || text[at] == '}';
    if (brace && at + 1 < text.size() && text[at + 1] == text[at]) {
      literal(text.substr(at++, 1));
    } else if (const size_t end = text.find('}', at); text[at] == '{' && end != std::string::npos) {
      field(text.substr(at + 1, end - at - 1));
      at = end;
    } else {
      literal(text.substr(at, 1));
    }
  }
}

void AddFields(const std::vector<std::string>& templates, std::set<std::string>* fields) {
  for (const std::string& text : templates) {
    Parse(
        text, [](const std::string&) {}, [&](std::string field) { fields->insert(std::move(field)); });
  }
}

void Expand(const std::vector<std::string>& templates, const Fields& values, std::vector<std::string>* to) {
  for (const std::string& text : templates) {
    std::string result;
    Parse(
        text, [&](const std::string& literal) { result += literal; },
        [&](const std::string& field) { result += values.at(field); });
    if (std::find(to->begin(), to->end(), result) == to->end()) to->push_back(std::move(result));
  }
}

absl::Status CheckFields(const FakeEntityRule& rule, const Entity& entity) {
  std::set<std::string> wanted;
  AddFields(rule.patterns, &wanted);
  const std::set<std::string> in_patterns = wanted;
  AddFields(rule.keys, &wanted);
  AddFields(rule.tags, &wanted);
  for (const auto& [field, value] : entity.fields) {
    if (wanted.contains(field)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("fields: ", internal::Quoted(field), " is not a field of entity ", internal::Quoted(entity.name),
                     " (it has: ", wanted.empty() ? "none" : absl::StrJoin(wanted, ", "), ")"));
  }
  for (const std::string& field : wanted) {
    if (entity.fields.contains(field)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("fields: ", internal::Quoted(field), " of entity ", internal::Quoted(entity.name), " is missing"));
  }
  for (const std::string& field : in_patterns) {
    const std::string& value = entity.fields.at(field);
    if (!value.empty() && value.find_first_of("*?") == std::string::npos) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("fields: ", internal::Quoted(field), " goes into a pattern and must not be empty or hold * or ?"));
  }
  return absl::OkStatus();
}

absl::Status AddExpansion(const std::map<std::string, FakeEntityRule>& rules, const Entity& entity,
                          Invalidation* what) {
  const auto rule = rules.find(entity.name);
  if (rule == rules.end()) {
    std::vector<std::string> names;
    for (const auto& [name, unused] : rules) names.push_back(name);
    return absl::InvalidArgumentError(absl::StrCat(
        "name: ", internal::Quoted(entity.name),
        " is not an entity of the namespace (it has: ", names.empty() ? "none" : absl::StrJoin(names, ", "), ")"));
  }
  if (absl::Status status = CheckFields(rule->second, entity); !status.ok()) return status;
  Expand(rule->second.keys, entity.fields, &what->keys);
  Expand(rule->second.tags, entity.fields, &what->tags);
  Expand(rule->second.patterns, entity.fields, &what->patterns);
  return absl::OkStatus();
}

}  // namespace

absl::Status ExpandEntities(const std::map<std::string, FakeEntityRule>& rules, Invalidation* what) {
  for (size_t i = 0; i < what->entities.size(); ++i) {
    absl::Status status = AddExpansion(rules, what->entities[i], what);
    if (!status.ok()) return InElement("entities", i, status);
  }
  return absl::OkStatus();
}

}  // namespace larder::testing
