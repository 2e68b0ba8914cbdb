// GetResponse and BatchGetResponse, written without their protobuf classes: the answers of the hot path.
#ifndef LARDER_SERVER_RPC_GET_RESPONSE_H_
#define LARDER_SERVER_RPC_GET_RESPONSE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "larder/v1/cache.pb.h"
#include "server/engine/commands.h"
#include "server/rpc/answer_writer.h"

namespace larder {

// One GetResponse: measured when it is made, so that its length can go in front of it, then written. Byte for byte what
// protobuf writes: fields in the order of their numbers, those that have their default left out.
class GetResponseWriter {
 public:
  // `incarnation`: of this replica; 0: not told.
  GetResponseWriter(GetAnswer answer, uint64_t incarnation);
  // One that says `status` and nothing else.
  explicit GetResponseWriter(v1::Status status);

  // Of the whole message, in bytes.
  size_t size() const { return head_size() + value_field_size(); }
  // What of it is written in one piece: all but a large value.
  size_t piece_size() const { return head_size() + value_prefix_size() + (copies_value() ? value_.size() : 0); }

  // Once. A large value is not copied: `to` then holds a reference to the entry.
  void Write(AnswerWriter* to);

 private:
  // The most that the fields before and after `content_type` can take.
  static constexpr size_t kFrontBytes = 40;
  static constexpr size_t kBackBytes = 128;

  void PutEntry();
  void PutBack(uint64_t incarnation);

  size_t head_size() const { return front_size_ + content_type_size() + back_size_; }
  size_t content_type_size() const;
  size_t value_prefix_size() const;
  size_t value_field_size() const { return value_prefix_size() + value_.size(); }
  bool copies_value() const { return value_.size() < AnswerWriter::kCopyBelowBytes; }

  GetAnswer answer_;
  std::string_view content_type_;  // of the answer's entry
  std::string_view value_;         // likewise
  size_t front_size_ = 0;
  size_t back_size_ = 0;
  std::array<uint8_t, kFrontBytes> front_;
  std::array<uint8_t, kBackBytes> back_;
};

// A BatchGetResponse of at most `max_bytes`: hits that do not fit are marked STATUS_RETRY. Large values as above.
AnswerWriter WriteBatch(std::vector<BatchGetItem> items, size_t max_bytes, uint64_t incarnation);

}  // namespace larder

#endif  // LARDER_SERVER_RPC_GET_RESPONSE_H_
