// What `inspect` and `list` say of an entry alike.
#ifndef LARDER_CLIENT_CLI_VERDICT_TEXT_H_
#define LARDER_CLIENT_CLI_VERDICT_TEXT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "larder/v1/admin.pb.h"

namespace larder {

// `fresh`, `old generation`.
std::string VerdictName(v1::Verdict verdict);

// Whether a Get is answered with the entry.
bool IsServed(v1::Verdict verdict);

nlohmann::ordered_json ToJson(const v1::EntryInfo& entry);

// `name`, or `name_base64` where the bytes are not UTF-8, as JSON texts must be.
void SetBytes(std::string_view name, const std::string& bytes, nlohmann::ordered_json* object);

}  // namespace larder

#endif  // LARDER_CLIENT_CLI_VERDICT_TEXT_H_
