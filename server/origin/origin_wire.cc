#include "server/origin/origin_wire.h"

#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"

namespace larder {
namespace {

// Of the origin's words that are handed on: they end up in the trailers of our own answers, which have limits.
constexpr size_t kMaxErrorBytes = 500;

absl::Status CheckAnswer(const NamespacePolicy& policy, const v1::LoadedKey& loaded) {
  if (absl::Status status = CheckValue(policy, loaded.value()); !status.ok()) return status;
  if (absl::Status status = CheckContentType(loaded.content_type()); !status.ok()) return status;
  const std::vector<std::string_view> tags(loaded.tags().begin(), loaded.tags().end());
  if (absl::Status status = CheckTags(policy, tags); !status.ok()) return status;
  if (!loaded.has_stale_for_ms()) return absl::OkStatus();
  return ResolveLifetime(policy, policy.default_ttl_ms, loaded.stale_for_ms()).status();
}

}  // namespace

std::shared_ptr<v1::Origin::Stub> ConnectToOrigin(const std::string& target, int max_receive_bytes) {
  grpc::ChannelArguments arguments;
  // Else it would share a connection with other channels to the same target, and with that one's fate.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // An origin is near; a proxy that the environment names for the web is not on the way to it.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // One that comes back is found again within a second; gRPC's own default goes up to two minutes.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetMaxReceiveMessageSize(max_receive_bytes);
  return v1::Origin::NewStub(grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments));
}

absl::Status ToOriginError(const grpc::Status& status, int64_t timeout_ms) {
  const std::string words = status.error_message().substr(0, kMaxErrorBytes);
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      return absl::UnavailableError(absl::StrCat("the origin cannot be reached: ", words));
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return absl::DeadlineExceededError(absl::StrCat("the origin did not answer within ", timeout_ms, " ms"));
    default: {
      // Both kinds of status have the same codes.
      const auto code = static_cast<absl::StatusCode>(status.error_code());
      return absl::UnknownError(
          absl::StrCat("the origin failed the call: ", absl::StatusCodeToString(code), ": ", words));
    }
  }
}

absl::StatusOr<OriginValue> ToOriginValue(const NamespacePolicy& policy, v1::LoadedKey& loaded) {
  const bool known = loaded.has_value() || loaded.has_error() || loaded.absent();
  if (!known) return absl::FailedPreconditionError("the origin's answer has no outcome for the key");
  if (loaded.has_error()) return absl::UnknownError(loaded.error().substr(0, kMaxErrorBytes));
  if (const absl::Status status = CheckAnswer(policy, loaded); !status.ok()) {
    const std::string what(status.message());
    return absl::FailedPreconditionError(absl::StrCat("the origin's answer breaks a limit: ", what));
  }
  OriginValue answer;
  answer.absent = loaded.absent();
  if (loaded.has_value()) answer.value = std::move(*loaded.mutable_value());
  if (loaded.has_ttl_ms()) answer.ttl.ttl_ms = loaded.ttl_ms();
  if (loaded.has_ttl_class()) answer.ttl.ttl_class = loaded.ttl_class();
  if (loaded.has_stale_for_ms()) answer.stale_for_ms = loaded.stale_for_ms();
  answer.content_type = loaded.content_type();
  answer.tags.assign(loaded.tags().begin(), loaded.tags().end());
  answer.do_not_cache = loaded.do_not_cache();
  return answer;
}

}  // namespace larder
