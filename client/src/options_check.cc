#include "client/src/options_check.h"

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/src/target.h"

namespace larder::internal {
namespace {

using std::chrono::milliseconds;

absl::Status Refuse(std::string_view field, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(std::string(field), ": ", std::string(why)));
}

struct TimeLimit {
  std::string_view field;
  milliseconds value;
  milliseconds least;
  milliseconds most;
};

struct CountLimit {
  std::string_view field;
  int value;
  int least;
  int most;
};

absl::Status CheckTimes(const ClientOptions& options) {
  constexpr milliseconds kHour = std::chrono::hours(1);
  for (const TimeLimit& limit : {
           TimeLimit{"deadline", options.deadline, milliseconds(1), kHour},
           TimeLimit{"retry.attempt_timeout", options.retry.attempt_timeout, milliseconds(0), kHour},
           TimeLimit{"retry.initial_backoff", options.retry.initial_backoff, milliseconds(1), kHour},
           TimeLimit{"breaker.open_for", options.breaker.open_for, milliseconds(1), kHour},
           TimeLimit{"near.max_age", options.near.max_age, milliseconds(1), kHour},
           TimeLimit{"near.lease", options.near.lease, milliseconds(100), std::chrono::minutes(1)},
           TimeLimit{"read_own_writes_for", options.read_own_writes_for, milliseconds(0), kHour},
           TimeLimit{"keepalive_time", options.keepalive_time, milliseconds(10'000), kHour},
           TimeLimit{"keepalive_timeout", options.keepalive_timeout, milliseconds(1), kHour},
           TimeLimit{"connect_timeout", options.connect_timeout, milliseconds(1), kHour},
           TimeLimit{"resolve_interval", options.resolve_interval, milliseconds(100), kHour},
       }) {
    if (limit.value < limit.least || limit.value > limit.most) {
      return Refuse(limit.field, absl::StrCat("must be ", limit.least.count(), " to ", limit.most.count(), " ms, not ",
                                              limit.value.count()));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckCounts(const ClientOptions& options) {
  for (const CountLimit& limit : {
           CountLimit{"retry.max_attempts", options.retry.max_attempts, 1, 3},
           CountLimit{"breaker.consecutive_failures", options.breaker.consecutive_failures, 0, 1'000'000},
           CountLimit{"gather.max_keys", options.gather.max_keys, 2, 1'000},
           CountLimit{"gather.max_calls", options.gather.max_calls, 1, 1'000},
           CountLimit{"threads", options.threads, 1, 64},
       }) {
    if (limit.value < limit.least || limit.value > limit.most) {
      return Refuse(limit.field, absl::StrCat("must be ", limit.least, " to ", limit.most, ", not ", limit.value));
    }
  }
  return absl::OkStatus();
}

bool IsNamespace(std::string_view name) {
  return !name.empty() && name.size() <= 63 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string_view::npos;
}

bool OnlyUnixSockets(const std::string& text) {
  const absl::StatusOr<std::vector<Target>> targets = ParseTargets(text);
  return targets.ok() &&
         std::all_of(targets->begin(), targets->end(), [](const Target& target) { return !target.path.empty(); });
}

absl::Status CheckTrust(const ClientOptions& options) {
  if (options.tls.has_value() && options.tls->certificate.empty() != options.tls->private_key.empty()) {
    return Refuse("tls.certificate", "certificate and private_key must be given together");
  }
  if (options.token && !options.tls.has_value() && !options.allow_plaintext_token && !OnlyUnixSockets(options.target)) {
    return Refuse("token", "would travel in plaintext; set tls, or allow_plaintext_token");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckOptions(const ClientOptions& options) {
  if (!IsNamespace(options.name_space)) return Refuse("name_space", "must match [a-z0-9_-]{1,63}");
  if (!(options.retry.budget >= 0 && options.retry.budget <= 1)) return Refuse("retry.budget", "must be 0 to 1");
  if (options.max_response_bytes < size_t{4} << 20 || options.max_response_bytes > size_t{1} << 30) {
    return Refuse("max_response_bytes", "must be 4 MiB to 1 GiB");
  }
  if (absl::Status status = CheckTimes(options); !status.ok()) return status;
  if (absl::Status status = CheckCounts(options); !status.ok()) return status;
  return CheckTrust(options);
}

}  // namespace larder::internal
