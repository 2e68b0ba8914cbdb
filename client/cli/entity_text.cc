#include "client/cli/entity_text.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/cli/text.h"

namespace larder {
namespace {

absl::Status Refusal(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(Quoted(text), " is no entity such as appointment,staff_id=7,",
                                                 "date=2026-03-01: ", std::string(why)));
}

// At commas that no backslash stands before.
std::vector<std::string> Split(std::string_view text) {
  std::vector<std::string> parts(1);
  for (size_t at = 0; at < text.size(); ++at) {
    const bool escaped = text[at] == '\\' && at + 1 < text.size() && (text[at + 1] == ',' || text[at + 1] == '\\');
    if (escaped) {
      parts.back() += text[++at];
    } else if (text[at] == ',') {
      parts.emplace_back();
    } else {
      parts.back() += text[at];
    }
  }
  return parts;
}

}  // namespace

absl::StatusOr<v1::Entity> ParseEntity(std::string_view text) {
  const std::vector<std::string> parts = Split(text);
  if (parts.front().empty()) return Refusal(text, "it has no name");
  v1::Entity entity;
  entity.set_name(parts.front());
  for (size_t i = 1; i < parts.size(); ++i) {
    const size_t equals = parts[i].find('=');
    if (equals == std::string::npos || equals == 0) {
      return Refusal(text, absl::StrCat(Quoted(parts[i]), " is not field=value"));
    }
    const std::string field = parts[i].substr(0, equals);
    if (entity.fields().contains(field)) return Refusal(text, absl::StrCat("field ", Quoted(field), " is there twice"));
    (*entity.mutable_fields())[field] = parts[i].substr(equals + 1);
  }
  return entity;
}

}  // namespace larder
