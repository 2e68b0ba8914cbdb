// What a Pipeline stream has to tell, until it is told.
#ifndef LARDER_SERVER_RPC_PIPELINE_RESULTS_H_
#define LARDER_SERVER_RPC_PIPELINE_RESULTS_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/status/status.h"
#include "google/protobuf/message_lite.h"
#include "grpcpp/support/byte_buffer.h"
#include "server/rpc/answer_writer.h"
#include "server/rpc/get_response.h"

namespace larder {

// Encoded results, gathered into PipelineResponses that each stay within a size, unless a single result takes more. Not
// thread-safe.
class PipelineResults {
 public:
  // What a message has beyond the answer, where it is the only one in it, at most.
  static constexpr size_t kFrameBytes = 32;

  explicit PipelineResults(size_t max_message_bytes) : max_message_bytes_(max_message_bytes) {}

  // `field`: that of the operation, and so of its result.
  void Add(uint64_t id, int field, GetResponseWriter&& answer);
  void Add(uint64_t id, int field, AnswerWriter&& answer);
  void Add(uint64_t id, int field, const google::protobuf::MessageLite& answer);
  void AddFailure(uint64_t id, const absl::Status& status, uint64_t version);

  bool empty() const { return messages_.empty(); }
  // Of all that waits.
  size_t bytes() const { return bytes_; }
  // The oldest message; there must be one.
  grpc::ByteBuffer Take();
  void Clear();

 private:
  // Where the answer, of so many bytes, is to be written.
  AnswerWriter* Begin(uint64_t id, int field, size_t answer_bytes);

  const size_t max_message_bytes_;
  std::deque<AnswerWriter> messages_;
  size_t bytes_ = 0;
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_PIPELINE_RESULTS_H_
