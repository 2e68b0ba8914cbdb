// The way from the command line to one Larder server.
#ifndef LARDER_CLIENT_CLI_CONNECTION_H_
#define LARDER_CLIENT_CLI_CONNECTION_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "larder/v1/cache.grpc.pb.h"

namespace larder {

// Knows the server's address, the namespace and how long a call may take. Connects at the first call. Calls fail at
// once, with UNAVAILABLE, while the server cannot be reached; nothing is ever sent twice. Thread-safe.
class Connection {
 public:
  struct Options {
    std::string address;     // as gRPC takes it, such as host:port
    std::string name_space;  // empty: the server's default
    // Not given: a second, or what the command finds right.
    std::optional<int64_t> timeout_ms;
  };

  explicit Connection(Options options);

  const std::string& address() const { return options_.address; }
  const std::string& name_space() const { return options_.name_space; }
  int64_t timeout_ms() const { return options_.timeout_ms.value_or(1'000); }
  bool timeout_given() const { return options_.timeout_ms.has_value(); }

  // Gives the call its deadline, counted from now, after what it is to wait.
  void SetDeadline(grpc::ClientContext* context, int64_t wait_ms = 0) const;

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  v1::Cache::Stub& cache() const { return *cache_; }

  // `count` further channels, each with a TCP connection of its own.
  std::vector<std::shared_ptr<grpc::Channel>> NewChannels(int count) const;

 private:
  const Options options_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::Cache::Stub> cache_;
};

}  // namespace larder

#endif  // LARDER_CLIENT_CLI_CONNECTION_H_
