#include "server/rpc/watch_cursor.h"

#include <cstddef>

namespace larder {
namespace {

constexpr size_t kBytesOfNumber = 8;

void Append(uint64_t number, std::string* out) {
  for (size_t i = 0; i < kBytesOfNumber; ++i) out->push_back(static_cast<char>(number >> 8 * i & 0xff));
}

uint64_t NumberAt(std::string_view bytes) {
  uint64_t number = 0;
  for (size_t i = 0; i < kBytesOfNumber; ++i) {
    number |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << 8 * i;
  }
  return number;
}

}  // namespace

std::string EncodeWatchCursor(const WatchCursor& cursor) {
  std::string bytes;
  Append(cursor.incarnation, &bytes);
  Append(cursor.sequence, &bytes);
  return bytes;
}

std::optional<WatchCursor> DecodeWatchCursor(std::string_view bytes) {
  if (bytes.size() != 2 * kBytesOfNumber) return std::nullopt;
  return WatchCursor{.incarnation = NumberAt(bytes), .sequence = NumberAt(bytes.substr(kBytesOfNumber))};
}

}  // namespace larder
