#include "server/origin/origin_breaker.h"

#include "absl/strings/str_cat.h"

namespace larder {

absl::Status OriginBreaker::Admits(int64_t now_nanos) const {
  if (state_ == State::kClosed) return absl::OkStatus();
  if (state_ == State::kOpen && now_nanos >= open_until_nanos_) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("the origin is left alone after failures: ", reason_));
}

OriginBreaker::Ticket OriginBreaker::Begin() {
  if (state_ == State::kOpen) Turn(State::kProbing);
  return turn_;
}

void OriginBreaker::Succeeded(Ticket ticket) {
  if (ticket != turn_) return;
  failures_ = 0;
  state_ = State::kClosed;
}

bool OriginBreaker::Failed(Ticket ticket, const absl::Status& why, int failures_to_open, int64_t open_until_nanos) {
  if (ticket != turn_) return false;
  ++failures_;
  if (state_ == State::kClosed && failures_ < failures_to_open) return false;
  Turn(State::kOpen);
  open_until_nanos_ = open_until_nanos;
  reason_ = std::string(why.message());
  return true;
}

void OriginBreaker::Reset() { Turn(State::kClosed); }

void OriginBreaker::Turn(State state) {
  state_ = state;
  ++turn_;
  failures_ = 0;
}

}  // namespace larder
