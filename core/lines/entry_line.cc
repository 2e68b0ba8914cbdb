#include "core/lines/entry_line.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/lines/duration.h"

namespace larder {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 13> kFields = {
    "key",  "key_base64",   "value",     "value_base64", "ttl",     "ttl_ms", "class",
    "tags", "content_type", "stale_for", "stale_for_ms", "sliding", "absent"};

absl::Status Refusal(std::string_view field, std::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat(std::string(field), ": ", std::string(reason)));
}

absl::StatusOr<json> ParseObject(std::string_view text) {
  json object;
  try {
    object = json::parse(text);
  } catch (const json::parse_error& error) {
    return absl::InvalidArgumentError(absl::StrCat("not JSON: wrong at byte ", error.byte));
  } catch (const json::exception&) {  // such as a number out of range
    return absl::InvalidArgumentError("not JSON that can be read");
  }
  if (!object.is_object()) return absl::InvalidArgumentError("not a JSON object");
  for (const auto& item : object.items()) {
    if (std::find(kFields.begin(), kFields.end(), item.key()) == kFields.end()) {
      return Refusal(item.key(), "no such field");
    }
  }
  return object;
}

absl::StatusOr<std::string> TextField(const json& object, const std::string& field) {
  const json& value = object.at(field);
  if (!value.is_string()) return Refusal(field, "must be a string");
  return value.get<std::string>();
}

// `field` as text or `field`_base64, whichever is there; one of them must be, and not both.
absl::StatusOr<std::string> BytesField(const json& object, const std::string& field) {
  const std::string encoded_field = field + "_base64";
  const bool plain = object.contains(field);
  const bool encoded = object.contains(encoded_field);
  if (plain && encoded) return Refusal(field, absl::StrCat("not together with ", encoded_field));
  if (plain) return TextField(object, field);
  if (!encoded) return Refusal(field, absl::StrCat("missing (", field, " or ", encoded_field, ")"));
  const absl::StatusOr<std::string> text = TextField(object, encoded_field);
  if (!text.ok()) return text.status();
  std::string bytes;
  if (!absl::Base64Unescape(*text, &bytes)) return Refusal(encoded_field, "not base64");
  return bytes;
}

absl::Status ReadExpiry(const json& object, EntryLine* entry) {
  const bool has_ttl = object.contains("ttl");
  const bool has_ttl_ms = object.contains("ttl_ms");
  const bool has_class = object.contains("class");
  if (has_ttl && has_ttl_ms) return Refusal("ttl", "not together with ttl_ms");
  if (has_class && (has_ttl || has_ttl_ms)) return Refusal("class", "not together with ttl or ttl_ms");
  if (has_ttl) {
    const absl::StatusOr<std::string> text = TextField(object, "ttl");
    if (!text.ok()) return text.status();
    const absl::StatusOr<int64_t> millis = ParseDurationMillis(*text);
    if (!millis.ok()) return Refusal("ttl", std::string(millis.status().message()));
    entry->ttl_ms = *millis;
  }
  if (has_ttl_ms) {
    const json& millis = object.at("ttl_ms");
    // Unsigned is how every number without a sign is read; past 2^63 the sign would turn.
    if (!millis.is_number_unsigned() || millis.get<int64_t>() <= 0)
      return Refusal("ttl_ms", "must be a whole number above 0");
    entry->ttl_ms = millis.get<int64_t>();
  }
  if (has_class) {
    const absl::StatusOr<std::string> name = TextField(object, "class");
    if (!name.ok()) return name.status();
    entry->ttl_class = *name;
  }
  return absl::OkStatus();
}

absl::Status ReadFlag(const json& object, const std::string& field, bool* flag) {
  if (!object.contains(field)) return absl::OkStatus();
  if (!object.at(field).is_boolean()) return Refusal(field, "must be true or false");
  *flag = object.at(field).get<bool>();
  return absl::OkStatus();
}

absl::Status ReadTags(const json& object, EntryLine* entry) {
  if (!object.contains("tags")) return absl::OkStatus();
  const json& tags = object.at("tags");
  if (!tags.is_array()) return Refusal("tags", "must be an array of strings");
  for (const json& tag : tags) {
    if (!tag.is_string()) return Refusal("tags", "must be an array of strings");
    entry->tags.push_back(tag.get<std::string>());
  }
  return absl::OkStatus();
}

absl::Status ReadStaleFor(const json& object, EntryLine* entry) {
  const bool has_text = object.contains("stale_for");
  const bool has_millis = object.contains("stale_for_ms");
  if (has_text && has_millis) return Refusal("stale_for", "not together with stale_for_ms");
  if (has_text) {
    const absl::StatusOr<std::string> text = TextField(object, "stale_for");
    if (!text.ok()) return text.status();
    const absl::StatusOr<int64_t> millis = ParseDurationMillis(*text);
    if (!millis.ok()) return Refusal("stale_for", std::string(millis.status().message()));
    entry->stale_for_ms = *millis;
  }
  if (has_millis) {
    const json& millis = object.at("stale_for_ms");
    if (!millis.is_number_unsigned() || millis.get<int64_t>() < 0) {
      return Refusal("stale_for_ms", "must be a whole number of 0 or more");
    }
    entry->stale_for_ms = millis.get<int64_t>();
  }
  return absl::OkStatus();
}

// What there is besides key, value, expiry and content type.
absl::Status ReadRest(const json& object, EntryLine* entry) {
  absl::Status status = ReadTags(object, entry);
  status.Update(ReadStaleFor(object, entry));
  status.Update(ReadFlag(object, "sliding", &entry->sliding));
  return status;
}

}  // namespace

absl::StatusOr<EntryLine> ParseEntryLine(std::string_view text) {
  const absl::StatusOr<json> object = ParseObject(text);
  if (!object.ok()) return object.status();
  EntryLine entry;
  absl::StatusOr<std::string> key = BytesField(*object, "key");
  if (!key.ok()) return key.status();
  entry.key = *std::move(key);
  if (absl::Status status = ReadFlag(*object, "absent", &entry.absent); !status.ok()) return status;
  if (!entry.absent) {
    absl::StatusOr<std::string> value = BytesField(*object, "value");
    if (!value.ok()) return value.status();
    entry.value = *std::move(value);
  } else if (object->contains("value") || object->contains("value_base64")) {
    return Refusal("absent", "not with a value");
  }
  if (absl::Status status = ReadRest(*object, &entry); !status.ok()) return status;
  if (absl::Status status = ReadExpiry(*object, &entry); !status.ok()) return status;
  if (object->contains("content_type")) {
    absl::StatusOr<std::string> content_type = TextField(*object, "content_type");
    if (!content_type.ok()) return content_type.status();
    entry.content_type = *std::move(content_type);
  }
  return entry;
}

}  // namespace larder
