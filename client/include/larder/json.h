// Cached values as JSON, for those who have nlohmann-json (3.7 or later).
#ifndef LARDER_JSON_H_
#define LARDER_JSON_H_

#include <algorithm>
#include <cmath>
#include <concepts>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "larder/codec.h"
#include "nlohmann/json.hpp"

namespace larder {

namespace internal {

// JSON has no others: they would be written as null, which reads back as no number.
inline bool NumbersAreFinite(const nlohmann::json& json) {
  if (json.is_number_float()) return std::isfinite(json.get<double>());
  return !json.is_structured() || std::all_of(json.begin(), json.end(), &NumbersAreFinite);
}

}  // namespace internal

// The codec of a type that has nlohmann-json's to_json and from_json:
//
//   template <> struct larder::Codec<Price> : larder::JsonCodec<Price> {};
//
// The content type is `application/json`, so that any such type may be tried on the bytes of any other. Where T has
// `static constexpr std::string_view kJsonType = "shop.Price"` it is `application/json; type=shop.Price`, and they are
// not taken for one another; for a T that is not yours, give the specialisation a ContentType() of its own.
//
// A text that is not UTF-8 cannot be encoded, nor can a number that is not finite (INVALID_ARGUMENT). Unknown fields
// are from_json's to judge.
template <typename T>
struct JsonCodec {
  static std::string ContentType() {
    if constexpr (requires {
                    { T::kJsonType } -> std::convertible_to<std::string_view>;
                  }) {
      return "application/json; type=" + std::string(std::string_view(T::kJsonType));
    } else {
      return "application/json";
    }
  }
  static absl::StatusOr<std::string> Encode(const T& value) {
    const nlohmann::json json(value);
    if (!internal::NumbersAreFinite(json)) return absl::InvalidArgumentError("JSON has no number that is not finite");
    return json.dump();
  }
  static absl::StatusOr<T> Decode(std::string_view bytes) {
    const nlohmann::json json = nlohmann::json::parse(bytes.begin(), bytes.end(), nullptr, /*allow_exceptions=*/false);
    if (json.is_discarded()) return absl::DataLossError("the bytes are no JSON");
    return json.get<T>();
  }
};

// Any JSON.
template <>
struct Codec<nlohmann::json> : JsonCodec<nlohmann::json> {};

}  // namespace larder

#endif  // LARDER_JSON_H_
