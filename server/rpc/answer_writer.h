// An answer in the making.
#ifndef LARDER_SERVER_RPC_ANSWER_WRITER_H_
#define LARDER_SERVER_RPC_ANSWER_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/entry.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/slice.h"

namespace larder {

// Bytes one after another, written where gRPC will send them from: small ones into slices of this writer's, large
// values as slices that refer to their entries, which are kept until they have been sent. Not thread-safe.
class AnswerWriter {
 public:
  // Below this a copy is cheaper than a slice that refers to the entry: that takes an allocation and two atomic counts.
  static constexpr size_t kCopyBelowBytes = 512;

  AnswerWriter() = default;
  // `first_bytes`: room for so much is made at once; where that is all that comes, none is left over.
  explicit AnswerWriter(size_t first_bytes) { NewChunk(first_bytes); }
  AnswerWriter(AnswerWriter&& other) noexcept;
  AnswerWriter& operator=(AnswerWriter&& other) noexcept;

  // Room for `count` bytes in one piece, which the caller must write, all of them, before it calls anything else.
  uint8_t* Extend(size_t count);
  void Append(std::string_view bytes);
  // An entry's value.
  void AppendValue(EntryRef entry);
  // All that the other has.
  void Append(AnswerWriter other);

  // Bytes so far, those of values that are referred to included.
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // What was written; nothing is left here.
  grpc::ByteBuffer Build();

 private:
  static constexpr size_t kLeastChunkBytes = 256;
  static constexpr size_t kMostChunkBytes = size_t{16} << 10;

  void NewChunk(size_t bytes);
  void CloseChunk();

  std::vector<grpc::Slice> slices_;  // closed
  grpc::Slice chunk_;                // the one that is being filled
  size_t used_ = 0;                  // of `chunk_`
  size_t next_chunk_bytes_ = kLeastChunkBytes;
  size_t size_ = 0;
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_ANSWER_WRITER_H_
