// How values of a type become bytes and back.
#ifndef LARDER_CODEC_H_
#define LARDER_CODEC_H_

#include <concepts>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "larder/export.h"
#include "larder/value.h"

namespace larder {

// Specialise it for a type of your own:
//   template <> struct larder::Codec<Price> {
//     static std::string ContentType() { return "application/x-price"; }   // up to 255 bytes; checked before Decode
//     static absl::StatusOr<std::string> Encode(const Price& price);
//     static absl::StatusOr<Price> Decode(std::string_view bytes);
//   };
// The content type says which type the bytes are of: two types that are not to be taken for one another need two.
// Functions must be thread-safe; an exception that leaves them becomes a status.
template <typename T>
struct Codec;

// Any bytes, whatever their content type: what was cached as another type reads as a text too.
template <>
struct Codec<std::string> {
  static std::string ContentType() { return "application/octet-stream"; }
  static absl::StatusOr<std::string> Encode(const std::string& value) { return value; }
  static absl::StatusOr<std::string> Decode(std::string_view bytes) { return std::string(bytes); }
  static bool Accepts(std::string_view /*content_type*/) { return true; }
};

// What a protobuf message has; said so that this header needs no protobuf.
template <typename T>
concept ProtobufMessage = requires(T message, const T constant, std::string bytes) {
  { constant.GetTypeName() } -> std::convertible_to<std::string>;
  { constant.SerializeToString(&bytes) } -> std::convertible_to<bool>;
  { message.ParseFromArray(bytes.data(), 0) } -> std::convertible_to<bool>;
};

// Any protobuf message. Its full name is part of the content type.
template <ProtobufMessage T>
struct Codec<T> {
  static std::string ContentType() { return "application/protobuf; type=" + std::string(T().GetTypeName()); }
  static absl::StatusOr<std::string> Encode(const T& message) {
    std::string bytes;
    if (!message.SerializeToString(&bytes)) return absl::InvalidArgumentError("the message cannot be serialised");
    return bytes;
  }
  static absl::StatusOr<T> Decode(std::string_view bytes) {
    T message;
    if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return absl::DataLossError("the bytes are no such message");
    }
    return message;
  }
};

namespace internal {

// FAILED_PRECONDITION. `why`: what the codec said, where the content type is the wanted one.
LARDER_EXPORT absl::Status WrongType(std::string_view key, std::string_view found, std::string_view wanted,
                                     std::string_view why);

struct Encoded {
  std::string bytes;
  std::string content_type;
};

template <typename T>
absl::StatusOr<Encoded> Encode(const T& value) {
  try {
    absl::StatusOr<std::string> bytes = Codec<T>::Encode(value);
    if (!bytes.ok()) return bytes.status();
    return Encoded{*std::move(bytes), Codec<T>::ContentType()};
  } catch (const std::exception& e) {
    return absl::InvalidArgumentError(std::string("the value cannot be encoded: ") + e.what());
  } catch (...) {
    return absl::InvalidArgumentError("the value cannot be encoded: its codec threw what is no std::exception");
  }
}

// A content type is made up only where it is looked at: this is on the path of a near hit.
template <typename T>
bool Accepts(std::string_view content_type) {
  if constexpr (requires { Codec<T>::Accepts(content_type); }) {
    return Codec<T>::Accepts(content_type);
  } else {
    return content_type == Codec<T>::ContentType();
  }
}

// FAILED_PRECONDITION if the value is no T: its content type is another, or its bytes cannot be decoded.
template <typename T>
absl::StatusOr<T> Decode(std::string_view key, const Value& value) {
  const std::string_view found = value.content_type();
  try {
    if (!Accepts<T>(found)) return WrongType(key, found, Codec<T>::ContentType(), {});
    absl::StatusOr<T> decoded = Codec<T>::Decode(value.bytes());
    if (decoded.ok()) return decoded;
    return WrongType(key, found, Codec<T>::ContentType(), std::string(decoded.status().message()));
  } catch (const std::exception& e) {
    return WrongType(key, found, found, e.what());
  } catch (...) {
    return WrongType(key, found, found, "its codec threw what is no std::exception");
  }
}

}  // namespace internal
}  // namespace larder

#endif  // LARDER_CODEC_H_
