// PipelineRequest, taken apart without being parsed as a whole.
#ifndef LARDER_SERVER_RPC_PIPELINE_READER_H_
#define LARDER_SERVER_RPC_PIPELINE_READER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/rpc/field_reader.h"

namespace larder {

// One operation as it lies in its message.
struct EncodedOperation {
  uint64_t id = 0;
  int field = 0;               // which of the oneof
  std::string_view body = {};  // the encoded request
  int64_t timeout_ms = 0;
  size_t size = 0;  // of the whole operation, in bytes
  // INVALID_ARGUMENT: it cannot be done. `id` is then as far as it could be told.
  absl::Status problem = absl::OkStatus();
};

// How many operations a PipelineRequest has. INVALID_ARGUMENT if the bytes are not one.
absl::StatusOr<size_t> CountOperations(std::string_view message);

// The operations of a PipelineRequest that CountOperations has found well formed, in their order.
class PipelineReader {
 public:
  PipelineReader() = default;
  // A view: the bytes must outlive it.
  explicit PipelineReader(std::string_view message) : fields_(message) { Find(); }

  bool has_next() const { return has_next_; }
  // The size of the next one, in bytes.
  size_t next_size() const { return next_.size(); }
  EncodedOperation Take();

 private:
  void Find();

  FieldReader fields_{std::string_view()};
  std::string_view next_;
  bool has_next_ = false;
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_PIPELINE_READER_H_
