#include "tests/chaos/client.h"

#include <grpcpp/grpcpp.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace larder::chaos {

std::unique_ptr<v1::Cache::Stub> StubOf(Fleet& fleet, int replica) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  return v1::Cache::NewStub(grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", fleet.call_link(replica).port()),
                                                      grpc::InsecureChannelCredentials(), arguments));
}

Outcome OutcomeOf(const grpc::Status& status) {
  if (status.ok()) return Outcome::kDone;
  if (status.error_code() == grpc::StatusCode::INVALID_ARGUMENT) std::abort();
  return status.error_code() == grpc::StatusCode::ABORTED ? Outcome::kRefused : Outcome::kUnknown;
}

}  // namespace larder::chaos
