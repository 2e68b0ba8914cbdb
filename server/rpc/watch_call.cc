#include "server/rpc/watch_call.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/watch_cursor.h"
#include "server/rpc/wire.h"

namespace larder {
namespace {

constexpr int64_t kDefaultHeartbeatMs = 10'000;
constexpr int64_t kLeastHeartbeatMs = 100;
constexpr int64_t kMostHeartbeatMs = 60'000;
// How often a stream is looked after, at least: whether it has been cut off while its caller took nothing.
constexpr int64_t kTickNanos = kNanosPerSecond;
// How long who was cut off may take to hear why.
constexpr int64_t kCutOffGrace = 10 * kNanosPerSecond;

v1::WatchGap::Reason WireReason(Change::Gap gap) {
  switch (gap) {
    case Change::Gap::kCursor:
      return v1::WatchGap::REASON_CURSOR;
    case Change::Gap::kLost:
      return v1::WatchGap::REASON_LOST;
    case Change::Gap::kFlushed:
      return v1::WatchGap::REASON_FLUSHED;
    case Change::Gap::kGeneration:
      return v1::WatchGap::REASON_GENERATION;
    case Change::Gap::kSwept:
      return v1::WatchGap::REASON_SWEPT;
    case Change::Gap::kNone:
      break;
  }
  return v1::WatchGap::REASON_UNSPECIFIED;
}

void Fill(const Change& change, v1::WatchEvent* event) {
  event->set_soft(change.soft);
  switch (change.kind) {
    case Change::Kind::kKey:
      return event->set_key(change.name);
    case Change::Kind::kTag:
      return event->set_tag(change.name);
    case Change::Kind::kPattern:
      return event->set_pattern(change.name);
    case Change::Kind::kAll:
    case Change::Kind::kGap:
      return event->set_all(true);
  }
}

}  // namespace

void WatchCall::OnStart() {
  if (absl::Status status = Open(); !status.ok()) return Finish(status);
  TickLater();
  Wake();
}

absl::Status WatchCall::Open() {
  v1::WatchRequest request;
  if (absl::Status status = Parse(*incoming(), &request); !status.ok()) return status;
  const int64_t heartbeat_ms = request.heartbeat_ms() == 0 ? kDefaultHeartbeatMs : request.heartbeat_ms();
  if (heartbeat_ms < kLeastHeartbeatMs || heartbeat_ms > kMostHeartbeatMs) {
    return absl::InvalidArgumentError(absl::StrCat("heartbeat_ms: ", request.heartbeat_ms(), ", must be ",
                                                   kLeastHeartbeatMs, " to ", kMostHeartbeatMs));
  }
  heartbeat_nanos_ = heartbeat_ms * kNanosPerMilli;
  std::optional<WatchCursor> cursor;
  if (!request.cursor().empty()) {
    cursor = DecodeWatchCursor(request.cursor());
    if (!cursor.has_value()) return absl::InvalidArgumentError("cursor: not one that Watch has told");
  }
  absl::StatusOr<Keyspace*> space = watches_->Find(request.namespace_());
  if (!space.ok()) return space.status();
  if (absl::Status status = watches_->Add(*space, std::static_pointer_cast<WatchCall>(shared_from_this()));
      !status.ok()) {
    return status;
  }
  space_ = *space;
  // COHERENCE W4: of another incarnation no position can be gone on from.
  std::optional<uint64_t> from;
  if (cursor.has_value() && cursor->incarnation == watches_->incarnation()) from = cursor->sequence;
  MutexLock lock(&mutex_);
  const bool goes_on = space_->changes().Open(from, &position_);
  begins_with_gap_ = cursor.has_value() && !(from.has_value() && goes_on);
  is_open_ = true;
  return absl::OkStatus();
}

void WatchCall::Wake() {
  MutexLock lock(&mutex_);
  Advance();
}

void WatchCall::End() {
  MutexLock lock(&mutex_);
  has_finished_ = true;
  Finish(absl::UnavailableError("the server is shutting down"));
}

void WatchCall::OnWritten() {
  MutexLock lock(&mutex_);
  is_writing_ = false;
  Advance();
}

void WatchCall::OnClosed() {
  {
    MutexLock lock(&mutex_);
    has_finished_ = true;
    if (!std::exchange(is_open_, false)) return;
  }
  space_->changes().Close();
  watches_->Remove();
}

void WatchCall::TickLater() {
  watches_->scheduler()->At(clock().NowNanos() + std::min(heartbeat_nanos_, kTickNanos), [weak = weak_from_this()] {
    if (auto self = weak.lock()) static_cast<WatchCall*>(self.get())->Tick();
  });
}

void WatchCall::Tick() {
  {
    MutexLock lock(&mutex_);
    if (!is_open_) return;
    if (cut_off_nanos_ != 0 && clock().NowNanos() - cut_off_nanos_ >= kCutOffGrace) return context()->TryCancel();
    // Its caller takes nothing, and so does not ask for more.
    if (!has_finished_ && is_writing_ && !space_->changes().Holds(position_)) CutOff();
    Advance();
  }
  TickLater();
}

void WatchCall::Advance() {
  if (!is_open_ || is_writing_ || has_finished_) return;
  if (!std::exchange(has_begun_, true)) return begins_with_gap_ ? SendGap(Change::Gap::kCursor) : SendHeartbeat();
  const ChangeLog::Batch batch = space_->changes().Read(position_);
  if (batch.is_cut_off) return CutOff();
  if (!batch.changes.empty()) return SendChanges(batch);
  if (clock().NowNanos() - sent_nanos_ >= heartbeat_nanos_) SendHeartbeat();
}

void WatchCall::CutOff() {
  has_finished_ = true;
  cut_off_nanos_ = clock().NowNanos();
  watches_->cut_off().Add();
  Finish(absl::ResourceExhaustedError(
      absl::StrCat("watch.buffer_events: cut off, since more changes than are held came while the caller took none; "
                   "what came after position ",
                   position_, " was not told")));
}

void WatchCall::SendChanges(const ChangeLog::Batch& batch) {
  const uint64_t first = position_ + 1;
  position_ += batch.changes.size();
  if (batch.changes.front().kind == Change::Kind::kGap) return SendGap(batch.changes.front().gap);
  v1::WatchResponse message;
  message.mutable_events()->set_first_sequence(first);
  for (const Change& change : batch.changes) Fill(change, message.mutable_events()->add_events());
  Send(std::move(message));
}

void WatchCall::SendGap(Change::Gap gap) {
  watches_->gaps().Add();
  v1::WatchResponse message;
  message.mutable_gap()->set_reason(WireReason(gap));
  Send(std::move(message));
}

void WatchCall::SendHeartbeat() {
  v1::WatchResponse message;
  message.mutable_heartbeat();
  Send(std::move(message));
}

void WatchCall::Send(v1::WatchResponse message) {
  message.set_incarnation(watches_->incarnation());
  message.set_sequence(position_);
  message.set_cursor(EncodeWatchCursor({.incarnation = watches_->incarnation(), .sequence = position_}));
  sent_nanos_ = clock().NowNanos();
  is_writing_ = Write(Serialize(message));
}

}  // namespace larder
