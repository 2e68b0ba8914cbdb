// The stubs beside the client in one process: both know the messages, and there must be one copy of them.
#include <grpcpp/grpcpp.h>
#include <larder/client.h>
#include <larder/v1/cache.grpc.pb.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto client = larder::Client::Connect({.target = argv[1]});
  if (!client.ok() || !(*client)->Set("stubs", "as well", {.deadline = std::chrono::seconds(10)}).ok()) return 1;

  const auto stub = larder::v1::Cache::NewStub(grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  larder::v1::GetRequest request;
  larder::v1::GetResponse response;
  request.set_key("stubs");
  const grpc::Status status = stub->Get(&context, request, &response);
  std::cout << response.value() << "\n";
  const auto stats = (*client)->Stats({.deadline = std::chrono::seconds(10)});
  return status.ok() && response.value() == "as well" && stats.ok() && (*stats)->total().sets() > 0 ? 0 : 1;
}
