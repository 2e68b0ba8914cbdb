#include "server/rpc/request_bytes.h"

namespace larder {

RequestBytes::RequestBytes(const RequestBody& body) {
  if (body.buffer() == nullptr) {
    view_ = body.bytes();
  } else {
    Hold(*body.buffer());
  }
}

bool RequestBytes::Hold(const grpc::ByteBuffer& buffer) {
  ok_ = buffer.TrySingleSlice(&slice_).ok() || buffer.DumpToSingleSlice(&slice_).ok();
  view_ = {};
  if (ok_) view_ = {reinterpret_cast<const char*>(slice_.begin()), slice_.size()};
  return ok_;
}

void RequestBytes::Clear() {
  slice_ = grpc::Slice();
  view_ = {};
  ok_ = true;
}

}  // namespace larder
