#include "server/rpc/pipeline_reader.h"

#include "larder/v1/cache.pb.h"
#include "server/rpc/encoding.h"
#include "server/rpc/wire.h"

namespace larder {
namespace {

using Operation = v1::PipelineOperation;

constexpr uint32_t kOperationsTag = TagOf(v1::PipelineRequest::kOperationsFieldNumber, WireType::kLengthDelimited);
constexpr uint32_t kIdTag = TagOf(Operation::kIdFieldNumber, WireType::kVarint);
constexpr uint32_t kTimeoutTag = TagOf(Operation::kTimeoutMsFieldNumber, WireType::kVarint);

bool IsOperationField(uint32_t tag) {
  const uint32_t field = tag >> 3;
  return (tag & 7) == static_cast<uint32_t>(WireType::kLengthDelimited) && field >= Operation::kGetFieldNumber &&
         field <= Operation::kBatchSetFieldNumber;
}

EncodedOperation Decode(std::string_view bytes) {
  EncodedOperation operation{.size = bytes.size()};
  bool is_ambiguous = false;
  FieldReader fields(bytes);
  while (fields.Next()) {
    if (fields.tag() == kIdTag) {
      operation.id = fields.ReadVarint();
    } else if (fields.tag() == kTimeoutTag) {
      operation.timeout_ms = static_cast<int64_t>(fields.ReadVarint());
    } else if (IsOperationField(fields.tag())) {
      is_ambiguous = operation.field != 0;
      operation.field = static_cast<int>(fields.tag() >> 3);
      operation.body = fields.ReadBytes();
    } else {
      fields.Skip();
    }
    if (is_ambiguous) break;
  }
  if (!fields.ok()) {
    operation.problem = MalformedRequest("larder.v1.PipelineOperation");
  } else if (is_ambiguous) {
    // Protobuf would merge them, or take the last. No encoder writes that; here it is nobody's wish.
    operation.problem = absl::InvalidArgumentError("operation: only one may be set");
  } else if (operation.field == 0) {
    operation.problem = absl::InvalidArgumentError("operation: none is set that this server knows");
  } else if (operation.timeout_ms < 0) {
    operation.problem = absl::InvalidArgumentError("timeout_ms: must not be negative");
  }
  return operation;
}

}  // namespace

absl::StatusOr<size_t> CountOperations(std::string_view message) {
  size_t count = 0;
  FieldReader fields(message);
  while (fields.Next()) {
    if (fields.tag() == kOperationsTag) ++count;
    fields.Skip();
  }
  if (!fields.ok()) return MalformedRequest("larder.v1.PipelineRequest");
  return count;
}

EncodedOperation PipelineReader::Take() {
  const EncodedOperation operation = Decode(next_);
  Find();
  return operation;
}

void PipelineReader::Find() {
  has_next_ = false;
  while (!has_next_ && fields_.Next()) {
    has_next_ = fields_.tag() == kOperationsTag;
    if (has_next_) {
      next_ = fields_.ReadBytes();
    } else {
      fields_.Skip();
    }
  }
}

}  // namespace larder
