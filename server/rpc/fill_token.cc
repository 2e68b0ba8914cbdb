#include "server/rpc/fill_token.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

constexpr size_t kNumberBytes = 8;

void Append(uint64_t number, std::string& to) {
  for (size_t i = 0; i < kNumberBytes; ++i) to.push_back(static_cast<char>(number >> (8 * (kNumberBytes - 1 - i))));
}

uint64_t NumberAt(std::string_view bytes, size_t place) {
  uint64_t number = 0;
  for (char byte : bytes.substr(place * kNumberBytes, kNumberBytes)) number = number << 8 | static_cast<uint8_t>(byte);
  return number;
}

}  // namespace

std::string EncodeFillToken(const FillToken& token) {
  std::string bytes;
  bytes.reserve(3 * kNumberBytes);
  Append(token.token, bytes);
  Append(token.as_of.generation, bytes);
  Append(token.as_of.epoch, bytes);
  return bytes;
}

absl::StatusOr<FillToken> DecodeFillToken(std::string_view bytes) {
  if (bytes.size() != 3 * kNumberBytes || NumberAt(bytes, 0) == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("lease: these ", bytes.size(), " bytes are no token that a Get has given"));
  }
  return FillToken{NumberAt(bytes, 0), {NumberAt(bytes, 1), NumberAt(bytes, 2)}};
}

}  // namespace larder
