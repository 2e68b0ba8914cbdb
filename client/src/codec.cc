#include "larder/codec.h"

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/src/quote.h"
#include "client/src/version_payload.h"
#include "larder/calls.h"

namespace larder {

std::optional<uint64_t> CurrentVersion(const absl::Status& status) {
  const auto payload = status.GetPayload(internal::kVersionPayloadUrl);
  if (!payload.has_value()) return std::nullopt;
  uint64_t version = 0;
  if (!absl::SimpleAtoi(std::string(*payload), &version)) return std::nullopt;
  return version;
}

namespace internal {

absl::Status WrongType(std::string_view key, std::string_view found, std::string_view wanted, std::string_view why) {
  std::string message = absl::StrCat("key ", Quoted(key), ": the cached value is ");
  if (!why.empty()) {
    absl::StrAppend(&message, "not a valid ", Quoted(wanted), ": ", std::string(why));
  } else if (found.empty()) {
    absl::StrAppend(&message, "of no content type, not ", Quoted(wanted));
  } else {
    absl::StrAppend(&message, Quoted(found), ", not ", Quoted(wanted));
  }
  return absl::FailedPreconditionError(message);
}

}  // namespace internal
}  // namespace larder
