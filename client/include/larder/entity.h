// What makes cached values stale, said in terms of the things that they are about.
//
// A reader declares what its values depend on, a writer says what has changed; tags made of both meet in the service,
// which needs no configuration for it:
//
//   InvalidateOn("appointment").Field("staff_id", 0)       every value made from argument 0 carries the tags
//                                                          `entity:appointment` and `entity:appointment:staff_id=7`
//   EntityChanged("appointment", {{"staff_id", 7}, {"date", day}})   drops, of the values that depend on appointments,
//                                                          those of this staff member, of this date, of both, and
//                                                          those that are declared without fields
//   EntityChanged("appointment")                           drops them all
#ifndef LARDER_ENTITY_H_
#define LARDER_ENTITY_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "larder/calls.h"
#include "larder/export.h"
#include "larder/key_builder.h"

namespace larder {

// A field of an entity and its value, which reads as it does in a key: 7 and "7" are one value.
struct EntityField {
  template <internal::KeyScalar T>
  EntityField(std::string field, const T& of) : name(std::move(field)), value(internal::ScalarKeyText(of)) {}

  std::string name;
  std::string value;  // escaped, see KeyBuilder
};

// What a change of the entity makes stale, to be given to Cache::Invalidate or returned to Invalidating. Readers whose
// fields are all among `fields`, with the same values, are dropped, and those that have none. So a writer must give
// every field that some reader declares, and a change that moves a value, such as from one date to another, is two
// changes: see operator+=. Without fields, with more than kMaxEntityFields, or with one named twice, every value of the
// entity is dropped.
//
// n fields are 2^n tags, each of which the service remembers until no entry from before can be left (`max_live_tags`).
LARDER_EXPORT Invalidation EntityChanged(std::string_view entity, const std::vector<EntityField>& fields = {});

inline constexpr size_t kMaxEntityFields = 5;

// Both together, each thing once. The mode is soft only if both are.
LARDER_EXPORT Invalidation& operator+=(Invalidation& what, Invalidation more);

// What makes the results of a cached function stale: a change of an entity, or only of those whose fields have the
// values of the function's arguments. Goes into CachedOptions::invalidate_on.
class LARDER_EXPORT InvalidateOn {
 public:
  // `entity` must match [a-z0-9_-]{1,63}.
  explicit InvalidateOn(std::string entity) : entity_(std::move(entity)) {}

  // The field, [a-z0-9_]{1,63}, has the value of this argument, counted from 0, which is a bool, number, enum, text,
  // duration or date, or a std::optional of one: a call where that has no value depends on all values of the field.
  InvalidateOn& Field(std::string name, size_t argument) & {
    fields_.push_back({std::move(name), argument});
    return *this;
  }
  InvalidateOn&& Field(std::string name, size_t argument) && { return std::move(Field(std::move(name), argument)); }

  // INVALID_ARGUMENT, naming what is wrong, for a function where argument i may be used if usable[i].
  absl::Status Check(const std::vector<bool>& usable) const;

  // Appends the two tags of a value made from these arguments, in the form that they have in a key; none: no value.
  void AppendTags(const std::vector<std::optional<std::string>>& arguments, std::vector<std::string>* tags) const;

 private:
  struct Named {
    std::string name;
    size_t argument;
  };

  std::string entity_;
  std::vector<Named> fields_;
};

}  // namespace larder

#endif  // LARDER_ENTITY_H_
