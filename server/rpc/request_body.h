// An encoded request, wherever it lies.
#ifndef LARDER_SERVER_RPC_REQUEST_BODY_H_
#define LARDER_SERVER_RPC_REQUEST_BODY_H_

#include <string_view>

#include "grpcpp/support/byte_buffer.h"

namespace larder {

// The whole of a unary call's buffer, or a part of a stream's message. A view: what it was made of must outlive it.
class RequestBody {
 public:
  explicit RequestBody(const grpc::ByteBuffer& buffer) : buffer_(&buffer) {}
  explicit RequestBody(std::string_view bytes) : bytes_(bytes) {}

  // Null: `bytes` has it.
  const grpc::ByteBuffer* buffer() const { return buffer_; }
  std::string_view bytes() const { return bytes_; }

 private:
  const grpc::ByteBuffer* buffer_ = nullptr;
  std::string_view bytes_;
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_REQUEST_BODY_H_
