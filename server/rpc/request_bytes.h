// The bytes of a request in one piece.
#ifndef LARDER_SERVER_RPC_REQUEST_BYTES_H_
#define LARDER_SERVER_RPC_REQUEST_BYTES_H_

#include <string_view>

#include "absl/status/status.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/slice.h"
#include "server/rpc/request_body.h"

namespace larder {

// Keeps the bytes for as long as it lives, or until Clear. What came in one slice, as all that is small does, is not
// copied; what came in several is, once. Stays where it is: a small slice holds its bytes in itself.
class RequestBytes {
 public:
  RequestBytes() = default;
  // `body` must outlive this.
  explicit RequestBytes(const RequestBody& body);
  RequestBytes(const RequestBytes&) = delete;
  RequestBytes& operator=(const RequestBytes&) = delete;

  // Takes a reference to what the buffer holds, which may then go. False if it is not readable.
  bool Hold(const grpc::ByteBuffer& buffer);
  void Clear();

  bool ok() const { return ok_; }
  std::string_view view() const { return view_; }

 private:
  grpc::Slice slice_;
  std::string_view view_;
  bool ok_ = true;
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_REQUEST_BYTES_H_
