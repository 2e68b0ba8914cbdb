#include "client/src/watch_stream.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "client/src/random.h"
#include "core/near_cache.h"

namespace larder::internal {
namespace {

constexpr int64_t kRenewalsPerLease = 4;  // so that one that is late, or lost, costs no near hit
constexpr int64_t kFirstPause = 50 * kNanosPerMilli;
constexpr int64_t kLongestPause = 2 * kNanosPerSecond;
constexpr int64_t kFullPause = 5 * kNanosPerSecond;      // too many watch already
constexpr int64_t kRefusedPause = 30 * kNanosPerSecond;  // it takes another configuration or release
constexpr int kMostDoublings = 8;

}  // namespace

void WatchStream::Start(CallEnv* env, NearTier* near, WatchSet* set, std::shared_ptr<Replica> replica,
                        std::string name_space, size_t slot) {
  auto* stream = new WatchStream(env, near, set, std::move(replica), std::move(name_space), slot);
  if (stream->queue_->Enter(stream)) return stream->SetTimer(0);
  set->Forget(stream->replica_->id(), stream->name_space_, slot);
  delete stream;
}

WatchStream::WatchStream(CallEnv* env, NearTier* near, WatchSet* set, std::shared_ptr<Replica> replica,
                         std::string name_space, size_t slot)
    : env_(env),
      near_(near),
      set_(set),
      replica_(std::move(replica)),
      name_space_(std::move(name_space)),
      slot_(slot),
      queue_(env->NextQueue()),
      lease_nanos_(std::chrono::nanoseconds(env->options.near.lease).count()) {}

void* WatchStream::Tag(Operation* operation) {
  ++pending_;
  return static_cast<Event*>(operation);
}

void WatchStream::Operation::OnEvent(bool ok) {
  WatchStream* const stream = stream_;
  --stream->pending_;
  (stream->*on_end_)(ok);
  stream->EndIfOver();
}

void WatchStream::EndIfOver() {
  if (!over_ || pending_ > 0) return;
  set_->Forget(replica_->id(), name_space_, slot_);
  queue_->Leave(this);
  delete this;
}

// The first timer is due at once, so that it needs no cancelling: it is set on the thread of whoever starts the stream.
void WatchStream::Cancel() {
  over_ = true;
  if (context_.has_value()) context_->TryCancel();
  if (renewal_context_.has_value()) renewal_context_->TryCancel();
  if (next_open_nanos_ != 0) alarm_->Cancel();
}

void WatchStream::SetTimer(int64_t due_nanos) {
  alarm_.emplace();
  alarm_->Set(queue_->queue(), DeadlineAfter(due_nanos - env_->clock.NowNanos()), Tag(&timer_));
}

bool WatchStream::IsReplicaKnown() const {
  const auto replicas = env_->replicas.All();
  return std::find(replicas.begin(), replicas.end(), replica_) != replicas.end();
}

void WatchStream::OnTimer(bool /*ok*/) {
  if (over_) return;
  if (!IsReplicaKnown()) {
    over_ = true;
    if (context_.has_value()) context_->TryCancel();
    return;
  }
  const int64_t now = env_->clock.NowNanos();
  if (!context_.has_value() && now >= next_open_nanos_) Open();
  if (has_begun_) Renew();
  const int64_t tick = now + lease_nanos_ / kRenewalsPerLease;
  next_open_nanos_ = std::max(next_open_nanos_, now);  // never 0 again
  SetTimer(context_.has_value() ? tick : next_open_nanos_);
}

void WatchStream::Open() {
  context_.emplace();
  has_begun_ = false;
  if (!env_->AddToken(&*context_).ok()) {
    context_.reset();
    next_open_nanos_ = env_->clock.NowNanos() + kRefusedPause;
    return;
  }
  v1::WatchRequest request;
  request.set_namespace_(name_space_);
  request.set_cursor(cursor_);
  reader_ = replica_->stub().PrepareAsyncWatch(&*context_, request, queue_->queue());
  reader_->StartCall(Tag(&started_));
}

void WatchStream::OnStarted(bool ok) {
  if (!ok) return reader_->Finish(&status_, Tag(&finished_));
  reader_->Read(&message_, Tag(&read_));
}

void WatchStream::OnRead(bool ok) {
  if (!ok) {
    near_->sessions().SetOpen(slot_, false);
    return reader_->Finish(&status_, Tag(&finished_));
  }
  if (!over_) Apply(message_);
  reader_->Read(&message_, Tag(&read_));
}

void WatchStream::OnFinished(bool /*ok*/) {
  near_->sessions().SetOpen(slot_, false);
  next_open_nanos_ = env_->clock.NowNanos() + PauseAfter(status_);
  has_begun_ = false;
  reader_.reset();
  context_.reset();
  alarm_->Cancel();  // it is due when the lease was to be renewed
}

int64_t WatchStream::PauseAfter(const grpc::Status& status) {
  failures_ = has_begun_ ? 0 : failures_ + 1;
  if (!has_begun_) {
    switch (status.error_code()) {
      case grpc::StatusCode::FAILED_PRECONDITION:
      case grpc::StatusCode::UNIMPLEMENTED:
      case grpc::StatusCode::INVALID_ARGUMENT:
      case grpc::StatusCode::PERMISSION_DENIED:
      case grpc::StatusCode::UNAUTHENTICATED:
        return kRefusedPause;
      case grpc::StatusCode::RESOURCE_EXHAUSTED:
        return kFullPause;
      default:
        break;
    }
  }
  const int64_t pause = std::min(kFirstPause << std::min(failures_, kMostDoublings), kLongestPause);
  // Half of it at least, so that clients who lost a replica together do not come back together.
  return pause / 2 + static_cast<int64_t>(RandomBits() % static_cast<uint64_t>(pause / 2));
}

void WatchStream::Apply(const v1::WatchResponse& message) {
  const bool is_first = !std::exchange(has_begun_, true);
  const bool is_gap = message.kind_case() == v1::WatchResponse::kGap;
  // COHERENCE W4: only what goes on from where this had come to has missed nothing.
  const bool goes_on = message.incarnation() == incarnation_ && (!is_first || message.sequence() == applied_);
  const bool is_events = message.kind_case() == v1::WatchResponse::kEvents;
  const bool is_heartbeat = message.kind_case() == v1::WatchResponse::kHeartbeat;
  const bool follows = !is_events || message.events().first_sequence() == applied_ + 1;
  // What a later release may tell besides is a gap to this one.
  const bool keeps = goes_on && !is_gap && (is_heartbeat || is_events) && follows;
  if (!keeps) BeginSession(message.incarnation());
  if (keeps && is_events) ApplyEvents(message);
  applied_ = message.sequence();
  cursor_ = message.cursor();
  TakeLease();
  if (is_first) near_->sessions().SetOpen(slot_, true);
  if (is_first || !keeps) Renew();
}

void WatchStream::ApplyEvents(const v1::WatchResponse& message) {
  bool names_groups = false;
  for (const v1::WatchEvent& event : message.events().events()) {
    if (event.what_case() != v1::WatchEvent::kKey) {
      names_groups = true;
      continue;
    }
    const std::string near_key = NearKey(name_space_, event.key());
    near_->Drop(near_key, NearCache::Hash(near_key));
  }
  // Which entries a group concerns is not known here.
  if (names_groups) near_->DropSession(slot_);
}

void WatchStream::BeginSession(uint64_t incarnation) {
  incarnation_ = incarnation;
  near_->sessions().Begin(slot_, incarnation);
  near_->DropSession(slot_);
}

void WatchStream::Renew() {
  if (renewal_context_.has_value() || over_) return;
  renewal_context_.emplace();
  renewal_context_->set_deadline(DeadlineAfter(lease_nanos_));
  if (!env_->AddToken(&*renewal_context_).ok()) return renewal_context_.reset();
  v1::RenewWatchRequest request;
  request.set_namespace_(name_space_);
  // COHERENCE W2: it counts from here.
  renewal_sent_nanos_ = env_->clock.NowNanos();
  renewal_reader_ = replica_->stub().PrepareAsyncRenewWatch(&*renewal_context_, request, queue_->queue());
  renewal_reader_->StartCall();
  renewal_reader_->Finish(&renewal_, &renewal_status_, Tag(&renewed_));
}

void WatchStream::OnRenewed(bool /*ok*/) {
  if (renewal_status_.ok()) {
    promise_ = {
        .incarnation = renewal_.incarnation(), .sequence = renewal_.sequence(), .sent_nanos = renewal_sent_nanos_};
    TakeLease();
  }
  renewal_reader_.reset();
  renewal_context_.reset();
}

void WatchStream::TakeLease() {
  if (!promise_.has_value() || promise_->incarnation != incarnation_ || promise_->sequence > applied_) return;
  near_->sessions().Renew(slot_, promise_->sent_nanos + lease_nanos_);
  promise_.reset();
}

}  // namespace larder::internal
