// The contract's messages and gRPC's words, as the engine knows them.
#ifndef LARDER_SERVER_ORIGIN_ORIGIN_WIRE_H_
#define LARDER_SERVER_ORIGIN_ORIGIN_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"
#include "larder/v1/origin.grpc.pb.h"
#include "server/engine/origin.h"
#include "server/policy/policy.h"

namespace larder {

// What calls need to be made; replaced whole, so that a call under way keeps what it began with.
struct OriginRoute {
  NamespacePolicy policy;  // has an origin
  std::shared_ptr<v1::Origin::Stub> stub;

  const OriginPolicy& origin() const { return *policy.origin; }
};

// A connection of its own, made when the first call needs it. Does not block.
std::shared_ptr<v1::Origin::Stub> ConnectToOrigin(const std::string& target, int max_receive_bytes);

// How a call that gRPC ended with an error is told. UNAVAILABLE, DEADLINE_EXCEEDED after `timeout_ms`, or UNKNOWN.
absl::Status ToOriginError(const grpc::Status& status, int64_t timeout_ms);

// What became of one key; takes the bytes out of `loaded`. UNKNOWN with the origin's own words, or FAILED_PRECONDITION
// where it is nothing that the namespace takes.
absl::StatusOr<OriginValue> ToOriginValue(const NamespacePolicy& policy, v1::LoadedKey& loaded);

}  // namespace larder

#endif  // LARDER_SERVER_ORIGIN_ORIGIN_WIRE_H_
