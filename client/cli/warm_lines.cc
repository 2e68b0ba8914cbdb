#include "client/cli/warm_lines.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "client/cli/duration.h"
#include "client/cli/text.h"

namespace larder {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 8> kFields = {"key", "key_base64", "value", "value_base64",
                                                     "ttl", "ttl_ms",     "class", "content_type"};

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

absl::Status ReadExpiry(const json& object, v1::WarmRequest* entry) {
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
    entry->set_ttl_ms(*millis);
  }
  if (has_ttl_ms) {
    const json& millis = object.at("ttl_ms");
    // Unsigned is how every number without a sign is read; past 2^63 the sign would turn.
    if (!millis.is_number_unsigned() || millis.get<int64_t>() <= 0)
      return Refusal("ttl_ms", "must be a whole number above 0");
    entry->set_ttl_ms(millis.get<int64_t>());
  }
  if (has_class) {
    const absl::StatusOr<std::string> name = TextField(object, "class");
    if (!name.ok()) return name.status();
    entry->set_ttl_class(*name);
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::WarmRequest> ReadEntry(std::string_view text, size_t max_entry_bytes) {
  const absl::StatusOr<json> object = ParseObject(text);
  if (!object.ok()) return object.status();
  v1::WarmRequest entry;
  absl::StatusOr<std::string> key = BytesField(*object, "key");
  if (!key.ok()) return key.status();
  entry.set_key(*std::move(key));
  absl::StatusOr<std::string> value = BytesField(*object, "value");
  if (!value.ok()) return value.status();
  entry.set_value(*std::move(value));
  if (const absl::Status status = ReadExpiry(*object, &entry); !status.ok()) return status;
  if (object->contains("content_type")) {
    const absl::StatusOr<std::string> content_type = TextField(*object, "content_type");
    if (!content_type.ok()) return content_type.status();
    entry.set_content_type(*content_type);
  }
  if (entry.ByteSizeLong() > max_entry_bytes) {
    return Refusal("value", absl::StrCat("the entry takes ", entry.ByteSizeLong(), " bytes; at most ", max_entry_bytes,
                                         " fit in a message"));
  }
  return entry;
}

}  // namespace

absl::StatusOr<v1::WarmRequest> ParseWarmLine(uint64_t line_number, std::string_view text, size_t max_entry_bytes) {
  absl::StatusOr<v1::WarmRequest> entry = ReadEntry(text, max_entry_bytes);
  if (entry.ok()) return entry;
  return absl::InvalidArgumentError(absl::StrCat("line ", line_number, ": ", entry.status().message()));
}

void LineIndex::Add(uint64_t line) {
  const bool follows = size_ > 0 && LineOf(size_ - 1) + 1 == line;
  if (!follows) runs_.push_back({size_, line});
  ++size_;
}

uint64_t LineIndex::LineOf(int64_t index) const {
  if (index < 0 || index >= size_) return 0;
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), index,
                                      [](int64_t wanted, const Run& run) { return wanted < run.first_index; });
  const Run& run = *(after - 1);
  return run.first_line + static_cast<uint64_t>(index - run.first_index);
}

}  // namespace larder
