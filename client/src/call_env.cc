#include "client/src/call_env.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/src/random.h"
#include "client/src/version_payload.h"
#include "larder/observer.h"

namespace larder::internal {
namespace {

constexpr char kVersionMetadata[] = "larder-version";

int64_t Nanos(std::chrono::milliseconds time) { return std::chrono::nanoseconds(time).count(); }

}  // namespace

gpr_timespec DeadlineAfter(int64_t nanos) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(std::max<int64_t>(nanos, 0), GPR_TIMESPAN));
}

thread_local int NestedEnd::depth_ = 0;

absl::Status ClientIsClosing() { return absl::CancelledError("the client is being destroyed"); }

CallEnv::CallEnv(const ClientOptions& client_options, std::vector<Target> targets)
    : options(client_options),
      replicas(client_options),
      breaker(client_options.breaker, &clock, client_options.observer),
      budget(client_options.retry.budget),
      resolver(std::move(targets), client_options.resolve_interval,
               [this](const std::vector<Address>& addresses) { replicas.Update(addresses); }) {
  for (int i = 0; i < options.threads; ++i) queues_.push_back(std::make_unique<CallQueue>());
}

absl::Status CallEnv::FillContext(grpc::ClientContext* context, const CallSpec& spec, bool another_may_follow) const {
  const int64_t now = clock.NowNanos();
  int64_t left = spec.deadline_nanos - now;
  const int64_t attempt = Nanos(options.retry.attempt_timeout);
  const int64_t wait = std::max<int64_t>(spec.wait_until_nanos - now, 0);
  if (attempt > 0 && another_may_follow) left = std::min(left, attempt + wait);
  context->set_deadline(DeadlineAfter(left));
  return AddToken(context);
}

absl::Status CallEnv::AddToken(grpc::ClientContext* context) const {
  if (!options.token) return absl::OkStatus();
  std::string token = options.token();
  absl::StripTrailingAsciiWhitespace(&token);  // a file ends with a newline
  // gRPC would end the process.
  const bool printable = std::all_of(token.begin(), token.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
  if (token.empty() || !printable) {
    return absl::UnauthenticatedError("token: must be one or more printable ASCII characters");
  }
  context->AddMetadata("authorization", absl::StrCat("Bearer ", token));
  return absl::OkStatus();
}

void CallEnv::LimitBlame(CallSpec* spec) const {
  if (spec->deadline_nanos - clock.NowNanos() < Nanos(options.deadline) / 2) spec->deadline_is_own = true;
}

int64_t CallEnv::Backoff(int attempts) const {
  if (attempts == 1 && replicas.size() > 1) return 0;
  const int64_t base = Nanos(options.retry.initial_backoff) << std::min(attempts - 1, 20);
  // Half of it at least, so that callers who failed together do not come back together.
  return base / 2 + static_cast<int64_t>(RandomBits() % static_cast<uint64_t>(base / 2 + 1));
}

bool CallEnv::WithdrawRetry() {
  if (budget.Withdraw()) return true;
  if (options.observer != nullptr) options.observer->OnRetryRefused();
  return false;
}

absl::Status CallEnv::TooLarge(const std::string& message) const {
  // "(5242896 vs. 4194304)": the size, and the receiver's limit.
  if (absl::StrContains(message, absl::StrCat("vs. ", options.max_response_bytes, ")"))) {
    return absl::OutOfRangeError(absl::StrCat("max_response_bytes: the service's answer is larger: ", message));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the request is larger than the service's grpc.max_request_bytes: ", message));
}

absl::Status CallEnv::ToAbsl(const grpc::Status& status, const grpc::ClientContext& context) const {
  if (status.ok()) return absl::OkStatus();
  // gRPC's refusal of a message that is too large for its receiver; no pause would help, whatever its code says.
  if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED &&
      absl::StartsWith(status.error_message(), "Received message larger than max")) {
    return TooLarge(status.error_message());
  }
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  if (result.code() == absl::StatusCode::kAborted) {
    const auto& trailers = context.GetServerTrailingMetadata();
    const auto found = trailers.find(kVersionMetadata);
    uint64_t version = 0;
    if (found != trailers.end() &&
        absl::SimpleAtoi(absl::string_view(found->second.data(), found->second.size()), &version)) {
      SetCurrentVersion(result, version);
    }
  }
  return result;
}

absl::Status CallEnv::BreakerIsOpen() const {
  return absl::UnavailableError(
      absl::StrCat("the service is down, and not called for now: ", std::string(breaker.reason().message())));
}

absl::Status CallEnv::NoReplica() {
  resolver.LookSoon();
  return absl::UnavailableError(absl::StrCat("target: no address is known for \"", options.target, "\""));
}

bool CallEnv::SaysServiceIsDown(const absl::Status& status, bool deadline_is_own) const {
  return status.code() == absl::StatusCode::kUnavailable ||
         (status.code() == absl::StatusCode::kDeadlineExceeded && !deadline_is_own);
}

void CallEnv::Close() {
  for (const auto& queue : queues_) queue->Close();
}

}  // namespace larder::internal
