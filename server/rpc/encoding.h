// The pieces that protobuf's encoding is made of, for the messages that are written by hand.
#ifndef LARDER_SERVER_RPC_ENCODING_H_
#define LARDER_SERVER_RPC_ENCODING_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace larder {

enum class WireType : uint32_t {
  kVarint = 0,
  kFixed64 = 1,
  kLengthDelimited = 2,
  kStartGroup = 3,
  kEndGroup = 4,
  kFixed32 = 5
};

constexpr uint32_t TagOf(int field, WireType type) {
  return static_cast<uint32_t>(field) << 3 | static_cast<uint32_t>(type);
}

constexpr size_t kMaxVarintBytes = 10;

constexpr size_t VarintSize(uint64_t value) {
  // Seven bits a byte, and one byte for 0.
  return (static_cast<size_t>(std::bit_width(value | 1)) + 6) / 7;
}

// Each writes at `at`, where there must be room, and returns the place after what it wrote.

inline uint8_t* PutVarint(uint64_t value, uint8_t* at) {
  while (value >= 0x80) {
    *at++ = static_cast<uint8_t>(value | 0x80);
    value >>= 7;
  }
  *at++ = static_cast<uint8_t>(value);
  return at;
}

inline uint8_t* PutFixed64(uint64_t value, uint8_t* at) {
  for (int i = 0; i < 8; ++i) *at++ = static_cast<uint8_t>(value >> (8 * i));
  return at;
}

inline uint8_t* PutBytes(std::string_view bytes, uint8_t* at) {
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  return at + bytes.size();
}

// The same for fields with a tag of one byte; one with its default is left out.

inline uint8_t* PutVarintField(int field, uint64_t value, uint8_t* at) {
  if (value == 0) return at;
  *at++ = static_cast<uint8_t>(TagOf(field, WireType::kVarint));
  return PutVarint(value, at);
}

inline uint8_t* PutFixed64Field(int field, uint64_t value, uint8_t* at) {
  if (value == 0) return at;
  *at++ = static_cast<uint8_t>(TagOf(field, WireType::kFixed64));
  return PutFixed64(value, at);
}

inline uint8_t* PutBytesField(int field, std::string_view bytes, uint8_t* at) {
  if (bytes.empty()) return at;
  *at++ = static_cast<uint8_t>(TagOf(field, WireType::kLengthDelimited));
  return PutBytes(bytes, PutVarint(bytes.size(), at));
}

}  // namespace larder

#endif  // LARDER_SERVER_RPC_ENCODING_H_
