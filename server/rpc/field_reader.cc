#include "server/rpc/field_reader.h"

namespace larder {
namespace {

// A tag and a length take five bytes at most.
constexpr int kMaxShortVarintBytes = 5;

bool IsContinuation(std::string_view text, size_t at) {
  return at < text.size() && (static_cast<uint8_t>(text[at]) & 0xc0) == 0x80;
}

// Bytes of the character at `at`; 0: there is none.
size_t CharacterSize(std::string_view text, size_t at) {
  const auto first = static_cast<uint8_t>(text[at]);
  if (first < 0x80) return 1;
  if (!IsContinuation(text, at + 1)) return 0;
  const auto second = static_cast<uint8_t>(text[at + 1]);
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (!IsContinuation(text, at + 2)) return 0;
  if (first == 0xe0 && second < 0xa0) return 0;  // would have fitted in two bytes
  if (first == 0xed && second > 0x9f) return 0;  // half of a surrogate pair
  if (first >= 0xe0 && first <= 0xef) return 3;
  if (!IsContinuation(text, at + 3)) return 0;
  if (first == 0xf0 && second < 0x90) return 0;  // would have fitted in three
  if (first == 0xf4 && second > 0x8f) return 0;  // beyond U+10FFFF
  return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

}  // namespace

bool IsValidUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t size = CharacterSize(text, at);
    if (size == 0) return false;
    at += size;
  }
  return true;
}

// Bits beyond the 32nd are dropped, not refused.
void FieldReader::ReadLongTag() {
  tag_ = 0;
  for (int i = 0; i < kMaxShortVarintBytes && at_ != end_; ++i) {
    const auto byte = static_cast<uint8_t>(*at_++);
    tag_ |= static_cast<uint32_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) return;
  }
  ok_ = false;
}

// Likewise beyond the 64th.
uint64_t FieldReader::ReadLongVarint() {
  uint64_t value = 0;
  for (size_t i = 0; i < kMaxVarintBytes && at_ != end_; ++i) {
    const auto byte = static_cast<uint8_t>(*at_++);
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) return value;
  }
  ok_ = false;
  return 0;
}

size_t FieldReader::ReadLongSize() {
  uint64_t size = 0;
  for (int i = 0; i < kMaxShortVarintBytes && at_ != end_; ++i) {
    const auto byte = static_cast<uint8_t>(*at_++);
    size |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    // Lengths of 2 GiB and more are larger than any message; the caller refuses them for that.
    if (byte < 0x80) return size;
  }
  ok_ = false;
  return 0;
}

void FieldReader::SkipBytes(size_t count) {
  if (count > Left()) {
    ok_ = false;
    return;
  }
  at_ += count;
}

void FieldReader::SkipField(uint32_t tag, int groups_left) {
  switch (static_cast<WireType>(tag & 7)) {
    case WireType::kVarint:
      ReadVarint();
      return;
    case WireType::kFixed64:
      return SkipBytes(8);
    case WireType::kLengthDelimited:
      return SkipBytes(ReadSize());
    case WireType::kStartGroup:
      return SkipGroup(tag, groups_left);
    case WireType::kFixed32:
      return SkipBytes(4);
    case WireType::kEndGroup:
      break;
  }
  ok_ = false;
}

void FieldReader::SkipGroup(uint32_t start_tag, int groups_left) {
  if (groups_left == 0) {
    ok_ = false;
    return;
  }
  while (ok_ && at_ != end_) {
    ReadLongTag();
    if (!ok_ || tag_ >> 3 == 0) break;
    if ((tag_ & 7) != static_cast<uint32_t>(WireType::kEndGroup)) {
      SkipField(tag_, groups_left - 1);
    } else if (tag_ >> 3 == start_tag >> 3) {
      return;
    } else {
      break;
    }
  }
  ok_ = false;
}

}  // namespace larder
