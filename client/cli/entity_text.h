// An entity as people write it.
#ifndef LARDER_CLIENT_CLI_ENTITY_TEXT_H_
#define LARDER_CLIENT_CLI_ENTITY_TEXT_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "larder/v1/cache.pb.h"

namespace larder {

// `appointment,staff_id=7,date=2026-03-01`: the name, then fields in any order. In a value `\,` stands for a comma and
// `\\` for a backslash. INVALID_ARGUMENT, quoting `text`, if it is anything else or names a field twice.
absl::StatusOr<v1::Entity> ParseEntity(std::string_view text);

}  // namespace larder

#endif  // LARDER_CLIENT_CLI_ENTITY_TEXT_H_
