#include "larder/entity.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "client/src/quote.h"
#include "client/src/sha256.h"

namespace larder {
namespace {

constexpr size_t kMaxNameBytes = 63;
// The service's limit.
constexpr size_t kMaxTagBytes = 128;
// Of a form that is too long: two that share a tag would be dropped together, no more.
constexpr size_t kHashDigits = 32;

constexpr std::string_view kFieldCharacters = "abcdefghijklmnopqrstuvwxyz0123456789_";
constexpr std::string_view kEntityCharacters = "abcdefghijklmnopqrstuvwxyz0123456789_-";

using Values = std::map<std::string, std::string>;

bool IsName(std::string_view name, std::string_view characters) {
  return !name.empty() && name.size() <= kMaxNameBytes && name.find_first_not_of(characters) == std::string_view::npos;
}

// Of every value that depends on the entity.
std::string EntityTag(std::string_view entity) { return "entity:" + std::string(entity); }

// Of the values that depend on these of its fields. What stands in the values is escaped: `,` and `=` do not.
std::string FieldsTag(std::string_view entity, const Values& values) {
  std::string form;
  for (const auto& [name, value] : values) {
    if (!form.empty()) form += ',';
    form += name + "=" + value;
  }
  const std::string head = EntityTag(entity) + ":";
  if (head.size() + form.size() <= kMaxTagBytes) return head + form;
  return head + "!" + internal::Sha256Hex(form).substr(0, kHashDigits);
}

template <typename T>
void Append(std::vector<T>* to, std::vector<T> from) {
  for (T& one : from) {
    if (std::find(to->begin(), to->end(), one) == to->end()) to->push_back(std::move(one));
  }
}

}  // namespace

Invalidation EntityChanged(std::string_view entity, const std::vector<EntityField>& fields) {
  Invalidation what;
  Values all;
  for (const EntityField& field : fields) all.insert_or_assign(field.name, field.value);
  if (all.empty() || fields.size() > kMaxEntityFields || all.size() < fields.size()) {
    what.tags.push_back(EntityTag(entity));
    return what;
  }
  // Each bit says whether a field is in: a reader may depend on any of them, or on none.
  for (unsigned subset = 0; subset < (1u << all.size()); ++subset) {
    Values values;
    unsigned bit = 1;
    for (const auto& field : all) {
      if ((subset & bit) != 0) values.insert(field);
      bit <<= 1;
    }
    what.tags.push_back(FieldsTag(entity, values));
  }
  return what;
}

Invalidation& operator+=(Invalidation& what, Invalidation more) {
  Append(&what.keys, std::move(more.keys));
  Append(&what.tags, std::move(more.tags));
  Append(&what.patterns, std::move(more.patterns));
  Append(&what.entities, std::move(more.entities));
  what.all |= more.all;
  if (more.mode == InvalidationMode::kHard) what.mode = InvalidationMode::kHard;
  return what;
}

absl::Status InvalidateOn::Check(const std::vector<bool>& usable) const {
  const auto refuse = [&](const std::string& why) {
    return absl::InvalidArgumentError(absl::StrCat("invalidate_on: ", internal::Quoted(entity_), ": ", why));
  };
  if (!IsName(entity_, kEntityCharacters)) return refuse("an entity must match [a-z0-9_-]{1,63}");
  if (fields_.size() > kMaxEntityFields) {
    return refuse(absl::StrCat(fields_.size(), " fields, the limit is ", kMaxEntityFields));
  }
  std::set<std::string_view> names;
  for (const Named& field : fields_) {
    const std::string quoted = internal::Quoted(field.name);
    if (!IsName(field.name, kFieldCharacters)) return refuse("field " + quoted + " must match [a-z0-9_]{1,63}");
    if (!names.insert(field.name).second) return refuse("field " + quoted + " is named twice");
    if (field.argument >= usable.size()) {
      return refuse(absl::StrCat("field ", quoted, " is argument ", field.argument, " of a function of ", usable.size(),
                                 " arguments"));
    }
    if (!usable[field.argument]) {
      return refuse(absl::StrCat("field ", quoted, " is argument ", field.argument,
                                 ", which is no bool, number, enum, text, duration or date"));
    }
  }
  return absl::OkStatus();
}

void InvalidateOn::AppendTags(const std::vector<std::optional<std::string>>& arguments,
                              std::vector<std::string>* tags) const {
  Values values;
  for (const Named& field : fields_) {
    if (const auto& value = arguments[field.argument]; value.has_value()) values.emplace(field.name, *value);
  }
  tags->push_back(EntityTag(entity_));
  tags->push_back(FieldsTag(entity_, values));
}

}  // namespace larder
