#include "client/cli/verdict_text.h"

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "client/cli/text.h"

namespace larder {

using nlohmann::ordered_json;

std::string VerdictName(v1::Verdict verdict) {
  switch (verdict) {
    case v1::VERDICT_NONE:
      return "none";
    case v1::VERDICT_FRESH:
      return "fresh";
    case v1::VERDICT_STALE:
      return "stale";
    case v1::VERDICT_INVALIDATED:
      return "invalidated";
    case v1::VERDICT_OLD_GENERATION:
      return "old generation";
    case v1::VERDICT_LEASED:
      return "leased";
    case v1::VERDICT_UNREADABLE:
      return "unreadable";
    default:
      return "unknown";
  }
}

bool IsServed(v1::Verdict verdict) { return verdict == v1::VERDICT_FRESH || verdict == v1::VERDICT_STALE; }

ordered_json ToJson(const v1::EntryInfo& entry) {
  ordered_json object = {{"version", std::to_string(entry.version())},
                         {"generation", std::to_string(entry.generation())},
                         {"epoch", entry.epoch()},
                         {"age_ms", entry.age_ms()},
                         {"ttl_ms", entry.ttl_ms()},
                         {"hard_ttl_ms", entry.hard_ttl_ms()}};
  if (entry.sliding_ttl_ms() != 0) object["sliding_ttl_ms"] = entry.sliding_ttl_ms();
  if (entry.lease_ttl_ms() != 0) object["lease_ttl_ms"] = entry.lease_ttl_ms();
  if (entry.absent()) object["absent"] = true;
  object["tags"] = ordered_json::array();
  for (const std::string& tag : entry.tags()) object["tags"].push_back(tag);
  object["content_type"] = entry.content_type();
  object["stored_bytes"] = entry.stored_bytes();
  return object;
}

void SetBytes(std::string_view name, const std::string& bytes, ordered_json* object) {
  if (IsUtf8(bytes)) {
    (*object)[std::string(name)] = bytes;
  } else {
    (*object)[std::string(name) + "_base64"] = absl::Base64Escape(bytes);
  }
}

}  // namespace larder
