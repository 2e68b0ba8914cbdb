// The README's C++, which readme_test holds against this: here to be compiled, with the contract as it is.
#include <chrono>
#include <iostream>
#include <string>

#include "grpcpp/grpcpp.h"
#include "larder/v1/cache.grpc.pb.h"

namespace {

void Use(const std::string& value) { std::cout << value << '\n'; }

}  // namespace

int main() {
  auto channel = grpc::CreateChannel("127.0.0.1:50051", grpc::InsecureChannelCredentials());
  auto cache = larder::v1::Cache::NewStub(channel);

  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(250));
  larder::v1::GetRequest request;
  request.set_key("user:7");
  larder::v1::GetResponse answer;
  const grpc::Status status = cache->Get(&context, request, &answer);
  if (status.ok() && answer.status() == larder::v1::STATUS_HIT) Use(answer.value());
  return status.ok() ? 0 : 1;
}
