// A race, to see that ThreadSanitizer still reports one under tests/tsan.supp and with gRPC and protobuf loaded.
#include <grpcpp/grpcpp.h>

#include <thread>

#include "larder/v1/cache.pb.h"

int main() {
  const grpc::CompletionQueue queue;
  const larder::v1::GetRequest request;
  int raced = static_cast<int>(request.ByteSizeLong());
  std::thread other([&raced] { ++raced; });
  ++raced;
  other.join();
  return raced == 2 ? 0 : 1;
}
