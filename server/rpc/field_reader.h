// Reads encoded messages without their protobuf classes.
#ifndef LARDER_SERVER_RPC_FIELD_READER_H_
#define LARDER_SERVER_RPC_FIELD_READER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/rpc/encoding.h"

namespace larder {

// The fields of one encoded message, one after another, as views of its bytes. Takes and refuses exactly what
// protobuf's own parser does: fields that are not known, or of another wire type than expected, are skipped, groups
// among them; a varint may be longer than it need be, up to the limit of its kind. After each Next exactly one of the
// other reading methods must be called. A message is well formed if ok() once Next has returned false.
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  // Goes on to the next field. False at the end, and where there is none to be read.
  bool Next() {
    if (at_ == end_ || !ok_) return false;
    const auto first = static_cast<uint8_t>(*at_);
    // What nearly every tag is: one byte that is no start of a longer one.
    if (first < 0x80) {
      tag_ = first;
      ++at_;
    } else {
      ReadLongTag();
    }
    // Field 0 does not exist, and no group has been opened that could end here.
    if (tag_ >> 3 == 0 || (tag_ & 7) == static_cast<uint32_t>(WireType::kEndGroup)) ok_ = false;
    return ok_;
  }

  bool ok() const { return ok_; }
  uint32_t tag() const { return tag_; }

  // Of the field that Next has come to. 0 or nothing where it is cut off or too long, which ok() then tells.
  uint64_t ReadVarint() {
    if (at_ != end_ && static_cast<uint8_t>(*at_) < 0x80) return static_cast<uint8_t>(*at_++);
    return ReadLongVarint();
  }
  std::string_view ReadBytes() {
    const size_t size = ReadSize();
    if (size > Left()) {
      ok_ = false;
      return {};
    }
    const std::string_view bytes(at_, size);
    at_ += size;
    return bytes;
  }
  void Skip() { SkipField(tag_, kMaxGroups); }

 private:
  // How deeply groups may be nested.
  static constexpr int kMaxGroups = 100;

  size_t Left() const { return static_cast<size_t>(end_ - at_); }
  void ReadLongTag();
  uint64_t ReadLongVarint();
  size_t ReadSize() {
    if (at_ != end_ && static_cast<uint8_t>(*at_) < 0x80) return static_cast<uint8_t>(*at_++);
    return ReadLongSize();
  }
  size_t ReadLongSize();
  void SkipBytes(size_t count);
  void SkipField(uint32_t tag, int groups_left);
  void SkipGroup(uint32_t start_tag, int groups_left);

  const char* at_;
  const char* end_;
  uint32_t tag_ = 0;
  bool ok_ = true;
};

// As protobuf has it for `string` fields: no surrogates, nothing beyond U+10FFFF, nothing longer than it need be.
bool IsValidUtf8(std::string_view text);

}  // namespace larder

#endif  // LARDER_SERVER_RPC_FIELD_READER_H_
