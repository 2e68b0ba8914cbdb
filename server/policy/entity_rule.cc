#include "server/policy/entity_rule.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/policy/policy.h"
#include "server/policy/words.h"

namespace larder {
namespace {

using Values = std::map<std::string, std::string, std::less<>>;

constexpr size_t kMaxFieldBytes = 63;

bool IsFieldName(std::string_view name) {
  if (name.empty() || name.size() > kMaxFieldBytes) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

// Positions count from 1.
absl::Status Malformed(size_t at, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("at position ", at + 1, ": ", std::string(what)));
}

absl::StatusOr<const EntityRule*> FindRule(const EntityRules& rules, std::string_view name) {
  const auto found = rules.find(name);
  if (found != rules.end()) return &found->second;
  std::vector<std::string_view> names;
  for (const auto& [known, rule] : rules) names.push_back(known);
  return absl::InvalidArgumentError(absl::StrCat(
      "name: ", QuoteCallers(name), " is not an entity of the namespace (it has: ", ListNames(names), ")"));
}

std::set<std::string_view> FieldsOf(const EntityRule& rule) {
  std::set<std::string_view> fields;
  for (const std::vector<Template>* templates : {&rule.keys, &rule.tags, &rule.patterns}) {
    for (const Template& text : *templates) fields.insert(text.fields().begin(), text.fields().end());
  }
  return fields;
}

// A value with a wildcard would widen a pattern to what its author did not mean.
absl::Status CheckWildcards(const EntityRule& rule, const Values& values) {
  for (const Template& pattern : rule.patterns) {
    for (const std::string& field : pattern.fields()) {
      const std::string& value = values.find(field)->second;
      // Empty, it would widen the pattern to what nobody meant.
      if (!value.empty() && value.find_first_of("*?") == std::string::npos) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("fields: ", QuoteCallers(field), " goes into a pattern and must not be empty or hold * or ?"));
    }
  }
  return absl::OkStatus();
}

// Exactly the fields that the rule's templates want.
absl::StatusOr<Values> TakeValues(const EntityRule& rule, const EntityChange& change) {
  const std::set<std::string_view> wanted = FieldsOf(rule);
  Values values;
  for (const auto& [field, value] : change.fields) {
    if (wanted.count(field) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("fields: ", QuoteCallers(field), " is not a field of entity ", QuoteCallers(change.name),
                       " (it has: ", ListNames(std::vector<std::string_view>(wanted.begin(), wanted.end())), ")"));
    }
    if (!values.emplace(field, value).second) {
      return absl::InvalidArgumentError(absl::StrCat("fields: ", QuoteCallers(field), " is there twice"));
    }
  }
  for (const std::string_view field : wanted) {
    if (values.find(field) != values.end()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("fields: ", QuoteCallers(field), " of entity ", QuoteCallers(change.name), " is missing"));
  }
  const absl::Status wildcards = CheckWildcards(rule, values);
  if (!wildcards.ok()) return wildcards;
  return values;
}

absl::Status CheckKeyBytes(std::string_view key) {
  if (key.empty()) return absl::InvalidArgumentError(absl::StrCat("empty, must be 1 to ", kMaxKeyBytes, " bytes"));
  if (key.size() <= kMaxKeyBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(key.size(), " bytes, the limit is ", kMaxKeyBytes));
}

// In the order of the templates.
absl::StatusOr<std::vector<std::string>> ExpandAll(std::string_view kind, const std::vector<Template>& templates,
                                                   const Values& values, absl::Status (*check)(std::string_view)) {
  std::vector<std::string> results;
  for (const Template& text : templates) {
    std::string result = text.Expand(values);
    if (const absl::Status status = check(result); !status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("fields: they make the ", std::string(kind), " ", QuoteCallers(result), ": ", status.message()));
    }
    if (std::find(results.begin(), results.end(), result) == results.end()) results.push_back(std::move(result));
  }
  return results;
}

}  // namespace

absl::StatusOr<Template> Template::Parse(std::string_view text) {
  Template parsed;
  std::string literal;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c != '{' && c != '}') {
      literal += c;
    } else if (at + 1 < text.size() && text[at + 1] == c) {
      literal += c;
      ++at;
    } else if (c == '}') {
      return Malformed(at, "a } without its {; write }} for a brace");
    } else {
      const size_t end = text.find('}', at);
      if (end == std::string_view::npos) return Malformed(at, "a { without its }; write {{ for a brace");
      const std::string_view field = text.substr(at + 1, end - at - 1);
      if (!IsFieldName(field)) {
        return Malformed(at, absl::StrCat(QuoteCallers(field), " is not a field, which must match [a-z0-9_]{1,63}"));
      }
      parsed.literals_.push_back(std::move(literal));
      literal.clear();
      parsed.fields_.emplace_back(field);
      at = end;
    }
  }
  parsed.literals_.push_back(std::move(literal));
  return parsed;
}

std::string Template::Text() const {
  std::string text;
  for (size_t i = 0; i < literals_.size(); ++i) {
    text += absl::StrReplaceAll(literals_[i], {{"{", "{{"}, {"}", "}}"}});
    if (i < fields_.size()) absl::StrAppend(&text, "{", fields_[i], "}");
  }
  return text;
}

std::string Template::Expand(const Values& values) const {
  std::string text;
  for (size_t i = 0; i < literals_.size(); ++i) {
    text += literals_[i];
    if (i < fields_.size()) text += values.find(fields_[i])->second;
  }
  return text;
}

absl::StatusOr<Expansion> ExpandEntity(const EntityRules& rules, const EntityChange& change) {
  const absl::StatusOr<const EntityRule*> rule = FindRule(rules, change.name);
  if (!rule.ok()) return rule.status();
  const absl::StatusOr<Values> values = TakeValues(**rule, change);
  if (!values.ok()) return values.status();
  absl::StatusOr<std::vector<std::string>> keys = ExpandAll("key", (*rule)->keys, *values, CheckKeyBytes);
  if (!keys.ok()) return keys.status();
  absl::StatusOr<std::vector<std::string>> tags = ExpandAll("tag", (*rule)->tags, *values, CheckTag);
  if (!tags.ok()) return tags.status();
  absl::StatusOr<std::vector<std::string>> patterns = ExpandAll("pattern", (*rule)->patterns, *values, CheckPattern);
  if (!patterns.ok()) return patterns.status();
  return Expansion{.keys = *std::move(keys), .tags = *std::move(tags), .patterns = *std::move(patterns)};
}

}  // namespace larder
