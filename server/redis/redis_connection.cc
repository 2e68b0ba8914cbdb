#include "server/redis/redis_connection.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/redis/control_record.h"

namespace larder {
namespace {

// hiredis moves what is left of its buffer after each write: kept short, so that a large value costs no others.
constexpr size_t kWriteAhead = size_t{1} << 20;
constexpr uint64_t kHandshakeId = 0;

double Seconds(int64_t nanos) { return static_cast<double>(nanos) / static_cast<double>(kNanosPerSecond); }

}  // namespace

RedisConnection::RedisConnection(RedisLoop* loop, const Clock* clock, const RedisOptions& options,
                                 std::vector<std::string> control_keys, Observer observer, MasterFinder* finder)
    : loop_(loop),
      clock_(clock),
      options_(options),
      address_(options.cluster.empty() ? RedisAddress(options) : EndpointText({options.host, options.port})),
      control_keys_(std::move(control_keys)),
      observer_(std::move(observer)),
      finder_(finder),
      detail_("not connected yet"),
      not_ready_since_(clock->NowNanos()),
      backoff_(options.min_backoff_nanos, options.max_backoff_nanos) {}

RedisConnection::~RedisConnection() {
  assert(session_ == nullptr);
  assert(operations_.empty() && pending_.load() == 0);
}

void RedisConnection::Start() {
  loop_->Post([this] { Connect(); });
}

OperationDeadline RedisConnection::DeadlineFor(int64_t callers_deadline_nanos) const {
  return DeadlineOf(clock_->NowNanos(), options_.operation_timeout_nanos, callers_deadline_nanos);
}

BreakerState RedisConnection::breaker() const {
  if (state_.load() == StoreInfo::State::kReady) return BreakerState::kClosed;
  return trying_.load() ? BreakerState::kHalfOpen : BreakerState::kOpen;
}

std::string RedisConnection::identity() const {
  MutexLock lock(&detail_mutex_);
  return facts_.identity;
}

std::string RedisConnection::version() const {
  MutexLock lock(&detail_mutex_);
  return facts_.version;
}

ScriptForm RedisConnection::scripts() const {
  MutexLock lock(&detail_mutex_);
  return facts_.scripts;
}

std::optional<RedisEndpoint> RedisConnection::any_server() const {
  if (finder_ != nullptr) return finder_->master();
  return RedisEndpoint{options_.host, options_.port};
}

void RedisConnection::AddEnsure(RedisPipeline& pipeline, const std::string& control_key) const {
  larder::AddEnsure(pipeline, control_key, {.there = identity()});
}

std::string RedisConnection::detail() const {
  MutexLock lock(&detail_mutex_);
  return detail_;
}

void RedisConnection::Publish(StoreInfo::State state, std::string detail) {
  MutexLock lock(&detail_mutex_);
  if (state_.load() == StoreInfo::State::kReady) not_ready_since_ = clock_->NowNanos();
  detail_ = std::move(detail);
  state_.store(state);
}

std::string RedisConnection::address() const {
  MutexLock lock(&detail_mutex_);
  return found_at_.empty() ? address_ : absl::StrCat(found_at_, ", ", address_);
}

// Each turn of fortune once, not each attempt in between; and each reason that waits for somebody to act.
void RedisConnection::Announce(bool ready, const std::string& reason, bool needs_configuration) {
  const bool is_news = needs_configuration && std::exchange(announced_reason_, reason) != reason;
  if (ready) announced_reason_.clear();
  if ((announced_ready_ == ready && !is_news) || !observer_) return;
  announced_ready_ = ready;
  observer_(ready, ready ? absl::StrCat("connected to Redis at ", address())
                         : absl::StrCat("no connection to Redis at ", address(), ": ", reason));
}

absl::Status RedisConnection::NotConnected() const {
  MutexLock lock(&detail_mutex_);
  return absl::UnavailableError(absl::StrFormat("Redis at %s is not available (for %.1f s): %s",
                                                found_at_.empty() ? address_ : found_at_,
                                                Seconds(clock_->NowNanos() - not_ready_since_), detail_));
}

absl::Status RedisConnection::TimedOut(const OperationDeadline& deadline) const {
  return larder::TimedOut(deadline, options_.operation_timeout_nanos);
}

// --- Operations ---

absl::Status RedisConnection::Reserve(size_t bytes) {
  if (state_.load() != StoreInfo::State::kReady) return NotConnected();
  const size_t pending = pending_.fetch_add(1) + 1;
  const size_t pending_bytes = pending_bytes_.fetch_add(bytes) + bytes;
  if (pending <= options_.max_pending && pending_bytes <= options_.max_pending_bytes) return absl::OkStatus();
  pending_.fetch_sub(1);
  pending_bytes_.fetch_sub(bytes);
  return absl::ResourceExhaustedError(
      pending > options_.max_pending
          ? absl::StrCat("the limit of ", options_.max_pending, " operations waiting for Redis is reached")
          : absl::StrCat("the limit of ", options_.max_pending_bytes, " bytes waiting for Redis is reached"));
}

void RedisConnection::Submit(RedisOperation operation) {
  if (clock_->NowNanos() >= operation.deadline.give_up_nanos) {
    return std::move(operation.done)(TimedOut(operation.deadline));
  }
  if (absl::Status status = Reserve(operation.pipeline.bytes()); !status.ok()) {
    return std::move(operation.done)(std::move(status));
  }
  // Taken back if the loop has stopped, so that it can still be ended.
  auto shared = std::make_unique<RedisOperation>(std::move(operation));
  RedisOperation* const taken = shared.get();
  RedisLoop::Task task = [this, owned = std::move(shared)]() mutable { Begin(std::move(*owned)); };
  if (!loop_->Post(std::move(task))) Finish(std::move(*taken), NotConnected());
}

void RedisConnection::Begin(RedisOperation operation) {
  const int64_t now = clock_->NowNanos();
  if (state_.load() != StoreInfo::State::kReady) return Finish(std::move(operation), NotConnected());
  if (now >= operation.deadline.give_up_nanos) {
    absl::Status status = TimedOut(operation.deadline);
    return Finish(std::move(operation), std::move(status));
  }
  const uint64_t id = ++last_id_;
  operation.pipeline.FillHashes(hashes_);
  expiries_.emplace(operation.deadline.give_up_nanos, id);
  operations_[id].operation = std::move(operation);
  waiting_.push_back(id);
  ArmExpiry();
  SendWaiting();
}

void RedisConnection::SendWaiting() {
  while (session_ != nullptr && !waiting_.empty() && session_->unwritten_bytes() < kWriteAhead) {
    const uint64_t id = waiting_.front();
    waiting_.pop_front();
    auto found = operations_.find(id);
    // Timed out before it was sent: then it never is.
    if (found == operations_.end()) continue;
    Pending& pending = found->second;
    pending.answer.sent_nanos = clock_->NowNanos();
    const RedisPipeline& pipeline = pending.operation.pipeline;
    pending.answer.replies.reserve(pipeline.size());
    for (size_t i = 0; i < pipeline.size(); ++i) {
      // A session that is gone tells of it before the turn ends, which ends this operation too.
      if (!SendCommand(id, pipeline.command(i))) return;
    }
  }
}

bool RedisConnection::SendCommand(uint64_t id, std::string_view command) {
  if (!session_->Send(id, command)) return false;
  if (unanswered_++ == 0) progress_nanos_ = clock_->NowNanos();
  return true;
}

void RedisConnection::OnReply(uint64_t id, RedisReplyPtr reply) {
  --unanswered_;
  if (id == kHandshakeId) {
    if (handshake_ == nullptr) return;
    handshake_->OnReply(std::move(reply));
    return HandshakeStep();
  }
  auto found = operations_.find(id);
  // It has timed out: nobody waits for this.
  if (found == operations_.end()) return;
  Pending& pending = found->second;
  pending.answer.replies.push_back(std::move(reply));
  if (pending.answer.replies.size() < pending.operation.pipeline.size()) return;
  Pending ended = std::move(pending);
  operations_.erase(found);
  Finish(std::move(ended.operation), std::move(ended.answer));
}

void RedisConnection::Finish(RedisOperation operation, absl::StatusOr<RedisAnswer> result) {
  pending_.fetch_sub(1);
  pending_bytes_.fetch_sub(operation.pipeline.bytes());
  if (result.ok()) {
    result->sent = std::move(operation.pipeline);
    result->order = ++order_;
    result->silence_nanos = silence_nanos_;
  }
  std::move(operation.done)(std::move(result));
}

void RedisConnection::FailAll() {
  // Taken out first: a callback may submit another operation, which must not be failed with these.
  std::unordered_map<uint64_t, Pending> lost;
  lost.swap(operations_);
  waiting_.clear();
  expiries_ = {};
  for (auto& [id, pending] : lost) Finish(std::move(pending.operation), NotConnected());
}

void RedisConnection::ArmExpiry() {
  if (expiries_.empty()) return;
  const int64_t due = expiries_.top().first;
  if (expiry_timer_.first != 0 && expiry_timer_.first <= due) return;
  loop_->CancelTimer(expiry_timer_);
  expiry_timer_ = loop_->AddTimer(due, [this] { ExpireDue(); });
}

void RedisConnection::ExpireDue() {
  expiry_timer_ = {};
  const int64_t now = clock_->NowNanos();
  while (!expiries_.empty() && expiries_.top().first <= now) {
    auto found = operations_.find(expiries_.top().second);
    expiries_.pop();
    if (found == operations_.end()) continue;
    RedisOperation operation = std::move(found->second.operation);
    operations_.erase(found);
    absl::Status status = TimedOut(operation.deadline);
    Finish(std::move(operation), std::move(status));
  }
  // Those that have ended are taken off the top, so that no timer is set for them.
  while (!expiries_.empty() && !operations_.contains(expiries_.top().second)) expiries_.pop();
  ArmExpiry();
}

// --- The connection ---

void RedisConnection::Connect() {
  if (closed_) return;
  trying_.store(true);
  if (finder_ == nullptr) return ConnectTo(options_);
  is_finding_ = true;
  finder_->Find([this](absl::StatusOr<RedisEndpoint> master) {
    is_finding_ = false;
    if (closed_) return;
    if (!master.ok()) {
      const absl::Status& status = master.status();
      return Lose(std::string(status.message()), Retry::kBackOff, absl::IsInvalidArgument(status));
    }
    {
      MutexLock lock(&detail_mutex_);
      found_at_ = EndpointText(*master);
    }
    ConnectTo(OptionsFor(options_, *master));
  });
}

void RedisConnection::ConnectTo(RedisOptions target) {
  target_ = std::move(target);
  RedisSession::Listener* const listener = this;
  session_ = std::make_unique<RedisSession>(loop_, listener);
  unanswered_ = 0;
  if (absl::Status status = session_->Connect(target_); !status.ok()) {
    return Lose(std::string(status.message()), Retry::kBackOff, absl::IsInvalidArgument(status));
  }
  // Covers the handshake too.
  connect_timer_ = loop_->AddTimer(clock_->NowNanos() + options_.connect_timeout_nanos, [this] {
    connect_timer_ = {};
    const std::string awaited = session_->Awaited();
    Lose(absl::StrCat("not ready within ", options_.connect_timeout_nanos / kNanosPerMilli, " ms",
                      awaited.empty() ? "" : absl::StrCat("; what took so long is ", awaited)),
         Retry::kBackOff);
  });
}

void RedisConnection::OnConnected() {
  handshake_ = std::make_unique<RedisHandshake>(target_, control_keys_, [this](const RedisPipeline& pipeline) {
    for (size_t i = 0; i < pipeline.size(); ++i) SendCommand(kHandshakeId, pipeline.command(i));
  });
  handshake_->Start();
}

void RedisConnection::HandshakeStep() {
  if (!handshake_->status().ok()) {
    return Lose(std::string(handshake_->status().message()), handshake_->is_loading() ? Retry::kSoon : Retry::kBackOff,
                handshake_->needs_configuration());
  }
  if (handshake_->done()) BecomeReady();
}

void RedisConnection::BecomeReady() {
  hashes_ = handshake_->facts().hashes;
  {
    MutexLock lock(&detail_mutex_);
    facts_ = handshake_->facts();
  }
  handshake_.reset();
  backoff_.Reset();
  loop_->CancelTimer(connect_timer_);
  connect_timer_ = {};
  Publish(StoreInfo::State::kReady, "");
  trying_.store(false);
  Announce(true, "");
  CheckSilence();
}

void RedisConnection::OnBytes() {
  const int64_t now = clock_->NowNanos();
  silence_nanos_ = unanswered_ != 0 ? now - progress_nanos_ : 0;
  progress_nanos_ = now;
}

// The other side may be gone without a word: then nothing is ever answered, and no error comes either.
void RedisConnection::CheckSilence() {
  silence_timer_ = {};
  const int64_t now = clock_->NowNanos();
  const int64_t limit = 2 * options_.operation_timeout_nanos;
  if (unanswered_ != 0 && now - progress_nanos_ > limit) {
    return Lose(absl::StrCat("nothing came from Redis for ", limit / kNanosPerMilli, " ms"), Retry::kBackOff);
  }
  silence_timer_ = loop_->AddTimer(now + options_.operation_timeout_nanos / 2, [this] { CheckSilence(); });
}

void RedisConnection::OnClosed(const std::string& reason) {
  Lose(reason, Retry::kBackOff, session_->needs_configuration());
}

void RedisConnection::Reconnect(const std::string& reason) {
  if (!closed_ && state_.load() == StoreInfo::State::kReady) Lose(reason, Retry::kBackOff);
}

void RedisConnection::Follow() {
  const std::optional<RedisEndpoint> master = finder_->master();
  // An answer that is still due leads there by itself.
  if (closed_ || is_finding_ || !master.has_value()) return;
  if (session_ != nullptr && *master == RedisEndpoint{target_.host, target_.port}) return;
  if (session_ != nullptr) Lose(absl::StrCat("the master is now at ", EndpointText(*master)), Retry::kSoon);
  loop_->CancelTimer(connect_timer_);
  connect_timer_ = {};
  Connect();
}

void RedisConnection::DropSession() {
  loop_->CancelTimer(connect_timer_);
  loop_->CancelTimer(silence_timer_);
  connect_timer_ = {};
  silence_timer_ = {};
  handshake_.reset();
  trying_.store(false);
  if (session_ == nullptr) return;
  session_->Close();
  loop_->DestroyLater(std::move(session_));
}

void RedisConnection::Lose(const std::string& reason, Retry retry, bool needs_configuration) {
  const bool was_ready = state_.load() == StoreInfo::State::kReady;
  if (was_ready) disconnects_.fetch_add(1);
  Publish(was_ready ? StoreInfo::State::kConnecting : StoreInfo::State::kDown, reason);
  Announce(false, reason, needs_configuration);
  DropSession();
  const int64_t pause = retry == Retry::kSoon ? backoff_.shortest() : backoff_.Next();
  connect_timer_ = loop_->AddTimer(clock_->NowNanos() + pause, [this] {
    connect_timer_ = {};
    Connect();
  });
  // Last, since callbacks may do anything that Submit allows.
  if (was_ready) FailAll();
}

void RedisConnection::Close() {
  closed_ = true;
  Publish(StoreInfo::State::kDown, "the store is shut down");
  DropSession();
  loop_->CancelTimer(expiry_timer_);
  FailAll();
}

}  // namespace larder
