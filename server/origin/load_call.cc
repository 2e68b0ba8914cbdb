#include "server/origin/load_call.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

void Count(const absl::StatusOr<OriginValue>& answer, OriginMetrics& metrics) {
  if (answer.ok()) {
    (answer->absent ? metrics.keys_absent : metrics.keys_value).Add();
  } else {
    (absl::IsUnknown(answer.status()) ? metrics.keys_error : metrics.keys_failed).Add();
  }
}

}  // namespace

void LoadCall::Start(grpc::CompletionQueue* queue) {
  v1::LoadRequest request;
  request.set_namespace_(route_->policy.name);
  for (const QueuedLoad& load : loads_) request.add_keys(load.key());
  context_.set_deadline(gpr_time_from_millis(origin().hard_timeout_ms, GPR_TIMESPAN));
  reader_ = route_->stub->PrepareAsyncLoad(&context_, request, queue);
  reader_->StartCall();
  reader_->Finish(&response_, &grpc_status_, this);
}

void LoadCall::OnEnd() {
  if (!grpc_status_.ok()) {
    status_ = ToOriginError(grpc_status_, origin().hard_timeout_ms);
  } else if (static_cast<size_t>(response_.results_size()) != loads_.size()) {
    status_ = absl::FailedPreconditionError(
        absl::StrCat("the origin answered ", loads_.size(), " keys with ", response_.results_size(), " results"));
  }
  dispatcher_->OnEnd(this);
}

void LoadCall::Answer(OriginMetrics& metrics) {
  for (size_t i = 0; i < loads_.size(); ++i) {
    if (!status_.ok()) {
      metrics.keys_failed.Add();
      std::move(loads_[i]).Finish(status_);
      continue;
    }
    absl::StatusOr<OriginValue> answer = ToOriginValue(route_->policy, *response_.mutable_results(static_cast<int>(i)));
    Count(answer, metrics);
    std::move(loads_[i]).Finish(std::move(answer));
  }
}

}  // namespace larder
