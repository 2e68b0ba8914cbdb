// The stream of an Enumerate call.
#ifndef CLIENT_EXAMPLES_BOOKINGS_ORIGIN_KEY_WRITER_H_
#define CLIENT_EXAMPLES_BOOKINGS_ORIGIN_KEY_WRITER_H_

#include <cstdint>
#include <string>
#include <utility>

#include "grpcpp/support/sync_stream.h"
#include "larder/v1/origin.grpc.pb.h"

namespace bookings {

// Passes on the keys with the prefix that was asked for, up to the limit, in messages of the size that the contract
// allows. Writing waits while larderd has no use for more.
class KeyWriter {
 public:
  // Both must outlive this.
  KeyWriter(const larder::v1::EnumerateRequest& request, grpc::ServerWriter<larder::v1::EnumerateResponse>* writer)
      : request_(request), writer_(*writer) {}

  // False if no more are wanted.
  bool Add(std::string key) {
    if (!key.starts_with(request_.prefix())) return true;
    message_.add_keys(std::move(key));
    ++added_;
    const bool last = added_ == request_.limit();
    if (!last && message_.keys_size() < kMostKeys) return true;
    return Flush() && !last;
  }

  // False if the stream was ended.
  bool Flush() {
    if (message_.keys().empty()) return true;
    const bool written = writer_.Write(message_);
    message_.Clear();
    return written;
  }

 private:
  static constexpr int kMostKeys = 1000;

  const larder::v1::EnumerateRequest& request_;
  grpc::ServerWriter<larder::v1::EnumerateResponse>& writer_;
  larder::v1::EnumerateResponse message_;
  int64_t added_ = 0;
};

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_ORIGIN_KEY_WRITER_H_
