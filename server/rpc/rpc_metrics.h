#ifndef LARDER_SERVER_RPC_RPC_METRICS_H_
#define LARDER_SERVER_RPC_RPC_METRICS_H_

#include <array>
#include <string>

#include "grpcpp/support/status.h"
#include "server/metrics/metrics.h"

namespace larder {

// As `grpc_code` has it. `code` is that of a gRPC or absl status, 0 to 16.
const char* CodeName(int code);

// The counters of one method, resolved once. Thread-safe.
class MethodMetrics {
 public:
  // `type` is `unary`, `server_stream` or `bidi_stream`.
  MethodMetrics(Registry& registry, const std::string& service, const std::string& method, const std::string& type);

  void Started() { started_->Add(); }
  void Handled(grpc::StatusCode code, int64_t nanos);

 private:
  static constexpr int kCodes = 17;

  Counter* started_;
  Histogram* seconds_;
  std::array<Counter*, kCodes> handled_;
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_RPC_METRICS_H_
