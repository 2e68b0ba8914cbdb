// What is stale when something of the system of record has changed.
#ifndef LARDER_SERVER_POLICY_ENTITY_RULE_H_
#define LARDER_SERVER_POLICY_ENTITY_RULE_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace larder {

// Text in which `{field}` stands for a value; `{{` and `}}` stand for braces. Plain data, compared by what it means.
class Template {
 public:
  // INVALID_ARGUMENT saying where it is not well formed: an unmatched brace, or a field that is not [a-z0-9_]{1,63}.
  static absl::StatusOr<Template> Parse(std::string_view text);

  friend bool operator==(const Template&, const Template&) = default;

  // In the order in which they stand; one may stand twice.
  const std::vector<std::string>& fields() const { return fields_; }

  // As Parse takes it.
  std::string Text() const;

  // Every field of fields() must be in `values`.
  std::string Expand(const std::map<std::string, std::string, std::less<>>& values) const;

 private:
  Template() = default;

  std::vector<std::string> literals_;  // one more than the fields
  std::vector<std::string> fields_;
};

struct EntityRule {
  friend bool operator==(const EntityRule&, const EntityRule&) = default;

  std::vector<Template> keys = {};
  std::vector<Template> tags = {};
  std::vector<Template> patterns = {};
};

using EntityRules = std::map<std::string, EntityRule, std::less<>>;

// Something that changed.
struct EntityChange {
  std::string_view name;
  std::vector<std::pair<std::string_view, std::string_view>> fields;
};

// What an entity's change makes stale.
struct Expansion {
  std::vector<std::string> keys = {};
  std::vector<std::string> tags = {};
  std::vector<std::string> patterns = {};
};

// INVALID_ARGUMENT, naming it: an entity that has no rule, a field that a template wants and that is missing, a field
// that no template wants, a value that goes into a pattern and is empty or has `*` or `?`, or a result that breaks the
// limit on keys, tags or patterns. Each result is there once.
absl::StatusOr<Expansion> ExpandEntity(const EntityRules& rules, const EntityChange& change);

}  // namespace larder

#endif  // LARDER_SERVER_POLICY_ENTITY_RULE_H_
