#ifndef LARDER_TESTS_UNIT_RPC_RPC_TEST_UTIL_H_
#define LARDER_TESTS_UNIT_RPC_RPC_TEST_UTIL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "google/protobuf/stubs/logging.h"
#include "grpcpp/support/byte_buffer.h"
#include "larder/v1/cache.pb.h"
#include "server/engine/commands.h"
#include "tests/unit/rpc/random_bytes.h"

namespace larder {

// What the buffer's slices hold, one after another.
std::string BytesOf(const grpc::ByteBuffer& buffer);

// The bytes in slices of random sizes, each allocated exactly, so that a sanitizer sees who reads too far.
grpc::ByteBuffer InSlices(const std::string& bytes, Random& random);

// What an answer says, by the class that protobuf makes: how the code that writes by hand has to write it.
v1::GetResponse MessageOf(const GetAnswer& answer, uint64_t incarnation);

// An answer of any kind. Values have sizes around those at which something changes.
GetAnswer RandomAnswer(Random& random);

// Protobuf says on standard error what it refuses, which a test that is about nothing else does not want.
class SilencedProtobuf {
 public:
  SilencedProtobuf() : before_(google::protobuf::SetLogHandler(nullptr)) {}
  ~SilencedProtobuf() { google::protobuf::SetLogHandler(before_); }
  SilencedProtobuf(const SilencedProtobuf&) = delete;
  SilencedProtobuf& operator=(const SilencedProtobuf&) = delete;

 private:
  google::protobuf::LogHandler* const before_;
};

}  // namespace larder

#endif  // LARDER_TESTS_UNIT_RPC_RPC_TEST_UTIL_H_
