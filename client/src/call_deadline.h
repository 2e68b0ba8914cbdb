// What a call may say of its deadline.
#ifndef LARDER_CLIENT_SRC_CALL_DEADLINE_H_
#define LARDER_CLIENT_SRC_CALL_DEADLINE_H_

#include <chrono>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace larder::internal {

// So that times in nanoseconds stay far from what an integer holds.
inline constexpr std::chrono::milliseconds kMaxCallDeadline = std::chrono::hours(24);

// 0 is the client's own, which has been checked.
inline absl::Status CheckCallDeadline(std::chrono::milliseconds deadline) {
  if (deadline.count() >= 0 && deadline <= kMaxCallDeadline) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("deadline: ", deadline.count(), " ms, must be 1 to ", kMaxCallDeadline.count(), " ms"));
}

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_CALL_DEADLINE_H_
