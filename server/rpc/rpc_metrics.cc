#include "server/rpc/rpc_metrics.h"

#include <algorithm>

namespace larder {
namespace {

constexpr std::array<const char*, 17> kCodeNames = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};

}  // namespace

const char* CodeName(int code) { return kCodeNames[static_cast<size_t>(code)]; }

MethodMetrics::MethodMetrics(Registry& registry, const std::string& service, const std::string& method,
                             const std::string& type) {
  const Labels labels = {{"grpc_service", service}, {"grpc_method", method}, {"grpc_type", type}};
  started_ = &registry.AddCounter("grpc_server_started_total", "Calls that reached this server.", labels);
  seconds_ = &registry.AddHistogram("grpc_server_handling_seconds",
                                    "Time from a call's arrival to its answer inside the server.", labels);
  for (size_t code = 0; code < kCodes; ++code) {
    Labels with_code = labels;
    with_code.emplace_back("grpc_code", kCodeNames[code]);
    handled_[code] = &registry.AddCounter("grpc_server_handled_total", "Calls that were answered, by code.", with_code);
  }
}

void MethodMetrics::Handled(grpc::StatusCode code, int64_t nanos) {
  handled_[static_cast<size_t>(std::clamp<int>(code, 0, kCodes - 1))]->Add();
  seconds_->Record(nanos);
}

}  // namespace larder
