#include "server/origin/key_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpcpp/support/sync_stream.h"

namespace larder {
namespace {

constexpr int kMostKeysOfMessage = 1000;  // the contract's

}  // namespace

KeyStream::KeyStream(std::shared_ptr<const OriginRoute> route, std::string prefix, int64_t limit, Scheduler* scheduler,
                     const Clock* clock)
    : route_(std::move(route)), prefix_(std::move(prefix)), limit_(limit), scheduler_(scheduler), clock_(clock) {}

absl::Status KeyStream::Run(Take& take) {
  v1::EnumerateRequest request;
  request.set_namespace_(route_->policy.name);
  request.set_prefix(prefix_);
  request.set_limit(limit_);
  reading_since_ = clock_->NowNanos();
  Watch(reading_since_ + route_->origin().hard_timeout_ms * kNanosPerMilli);
  const auto reader = route_->stub->Enumerate(&context_, request);
  absl::Status status;
  bool enough = false;
  v1::EnumerateResponse response;
  while (status.ok() && !enough && reader->Read(&response)) {
    reading_since_ = kNotReading;
    if (cancelled_) break;
    std::vector<std::string> keys;
    status = Unpack(response, keys);
    given_ += static_cast<int64_t>(keys.size());
    if (status.ok() && !keys.empty()) enough = !take(std::move(keys));
    enough = enough || (limit_ > 0 && given_ >= limit_);
    reading_since_ = clock_->NowNanos();
  }
  over_ = true;
  if (enough || !status.ok()) context_.TryCancel();  // what else was to come is not waited for
  const grpc::Status end = reader->Finish();
  if (enough || !status.ok()) return status;
  if (cancelled_) return ShutDown();
  if (end.ok()) return absl::OkStatus();
  if (timed_out_) {
    return absl::DeadlineExceededError(
        absl::StrCat("the origin named no keys for ", route_->origin().hard_timeout_ms, " ms"));
  }
  return ToOriginError(end, route_->origin().hard_timeout_ms);
}

void KeyStream::Cancel() {
  cancelled_ = true;
  context_.TryCancel();
}

absl::Status KeyStream::ShutDown() {
  return absl::UnavailableError("the origin's keys are no longer asked for: the server is shutting down");
}

absl::Status KeyStream::Unpack(v1::EnumerateResponse& response, std::vector<std::string>& keys) const {
  if (response.keys_size() > kMostKeysOfMessage) {
    return absl::FailedPreconditionError(absl::StrCat("the origin named ", response.keys_size(),
                                                      " keys in one message, the limit is ", kMostKeysOfMessage));
  }
  for (std::string& key : *response.mutable_keys()) {
    if (const absl::Status status = CheckKey(route_->policy, key); !status.ok()) {
      const std::string what(status.message());
      return absl::FailedPreconditionError(absl::StrCat("the origin named a key that breaks a limit: ", what));
    }
    if (!key.starts_with(prefix_)) {
      return absl::FailedPreconditionError("the origin named a key without the prefix that was asked for");
    }
    keys.push_back(std::move(key));
  }
  if (limit_ > 0) keys.resize(std::min(keys.size(), static_cast<size_t>(limit_ - given_)));
  return absl::OkStatus();
}

void KeyStream::Watch(int64_t when_nanos) {
  scheduler_->At(when_nanos, [weak = weak_from_this()] {
    if (const std::shared_ptr<KeyStream> self = weak.lock()) self->OnWatch();
  });
}

void KeyStream::OnWatch() {
  if (over_) return;
  const int64_t now = clock_->NowNanos();
  const int64_t timeout = route_->origin().hard_timeout_ms * kNanosPerMilli;
  const int64_t since = std::min(reading_since_.load(), now);
  if (now - since < timeout) return Watch(since + timeout);
  timed_out_ = true;
  context_.TryCancel();
}

}  // namespace larder
