#include "server/redis/near_tracker.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/planted.h"
#include "server/redis/control_record.h"

namespace larder {
namespace {

constexpr uint64_t kHandshakeId = 0;
constexpr uint64_t kServerId = 1;
constexpr uint64_t kTrackingId = 2;
constexpr uint64_t kRenewalId = 3;

// A server that does not do it is not asked again and again.
constexpr int64_t kRefusedFor = 30 * kNanosPerSecond;
// How long Redis may owe an answer before it is taken for gone.
constexpr int64_t kSilence = 2 * kNanosPerSecond;
// Either side may be the one that is behind: the store is not made to look again for every attempt of ours.
constexpr int64_t kBetweenTellings = 5 * kNanosPerSecond;
// However often a control record changes, they are not all asked for more often than this.
constexpr int64_t kLeastBetweenRenewals = 10 * kNanosPerMilli;

}  // namespace

NearTracker::NearTracker(RedisLoop* loop, const Clock* clock, const RedisOptions& options,
                         const std::map<std::string, NamespaceKeys>* namespaces, StoreIdentity store_identity,
                         OnOtherServer on_other_server, OnUnknown on_unknown, OnTrouble on_trouble)
    : loop_(loop),
      clock_(clock),
      options_(options),
      namespaces_(*namespaces),
      store_identity_(std::move(store_identity)),
      on_other_server_(std::move(on_other_server)),
      on_unknown_(std::move(on_unknown)),
      on_trouble_(std::move(on_trouble)),
      next_(namespaces->end()),
      backoff_(options.min_backoff_nanos, options.max_backoff_nanos) {}

NearTracker::~NearTracker() { assert(session_ == nullptr); }

void NearTracker::Start(NearHolder* holder) {
  holder_ = holder;
  Connect();
}

void NearTracker::SetTimer(int64_t due_nanos, void (NearTracker::*then)()) {
  loop_->CancelTimer(timer_);
  timer_ = loop_->AddTimer(due_nanos, [this, then] {
    timer_ = {};
    (this->*then)();
  });
}

void NearTracker::Connect() {
  if (closed_) return;
  RedisSession::Listener* const listener = this;
  session_ = std::make_unique<RedisSession>(loop_, listener);
  if (absl::Status status = session_->Connect(options_); !status.ok()) return Lose(std::string(status.message()));
  timer_ = loop_->AddTimer(clock_->NowNanos() + options_.connect_timeout_nanos, [this] {
    timer_ = {};
    Lose("not connected in time");
  });
}

void NearTracker::OnConnected() {
  handshake_ = std::make_unique<RedisHandshake>(
      options_, std::vector<std::string>(),
      [this](const RedisPipeline& pipeline) {
        for (size_t i = 0; i < pipeline.size(); ++i) session_->Send(kHandshakeId, pipeline.command(i));
      },
      RedisHandshake::Scope::kLogin);
  handshake_->Start();
}

void NearTracker::AskServer() {
  facts_.clear();
  RedisPipeline pipeline;
  pipeline.Add({"INFO", "server"}).Add({"INFO", "replication"}).Add({"SELECT", absl::StrCat(options_.database)});
  for (size_t i = 0; i < pipeline.size(); ++i) session_->Send(kServerId, pipeline.command(i));
}

// COHERENCE C3: it must be the server that the store reads and writes, and the master. What another says proves
// nothing.
void NearTracker::OnServer(RedisReplyPtr reply) {
  if (RedisReplyView(reply).IsError()) return GiveUp(RedisReplyView(reply));
  facts_.push_back(std::move(reply));
  if (facts_.size() < 3) return;
  const std::string_view server = RedisReplyView(facts_[0]).Text().value_or("");
  const std::string_view replication = RedisReplyView(facts_[1]).Text().value_or("");
  identity_ = ServerIdentity(server, replication);
  if (InfoField(replication, "role").value_or("") != "master") return Lose("Redis is not the master");
  const std::string stores = store_identity_();
  if (!stores.empty() && stores == identity_) return BeginTracking();
  const int64_t now = clock_->NowNanos();
  if (!stores.empty() && (told_of_other_nanos_ == 0 || now - told_of_other_nanos_ >= kBetweenTellings)) {
    told_of_other_nanos_ = now;
    on_other_server_();
  }
  Lose("another server than the store's");
}

void NearTracker::BeginTracking() {
  RedisPipeline pipeline;
  // Not NOLOOP: where another has touched a key in the same turn, Redis would keep that to itself too.
  pipeline.Begin(4 + 4 * namespaces_.size()).Arg("CLIENT").Arg("TRACKING").Arg("ON").Arg("BCAST");
  for (const auto& [name, keys] : namespaces_) {
    pipeline.Arg("PREFIX").Arg(keys.entry_prefix).Arg("PREFIX").Arg(keys.control);
  }
  session_->Send(kTrackingId, pipeline.command(0));
}

void NearTracker::OnReply(uint64_t id, RedisReplyPtr reply) {
  if (id == kServerId) return OnServer(std::move(reply));
  if (id == kTrackingId) return OnTracking(RedisReplyView(reply));
  if (id == kRenewalId) return OnRenewal(RedisReplyView(reply));
  if (handshake_ == nullptr) return;
  handshake_->OnReply(std::move(reply));
  if (!handshake_->status().ok()) return Lose(std::string(handshake_->status().message()));
  if (!handshake_->done()) return;
  const bool is_told_unasked = handshake_->speaks_resp3();
  handshake_.reset();
  if (!is_told_unasked) return Refuse("it does not speak RESP3 here");
  AskServer();
}

void NearTracker::OnTracking(RedisReplyView reply) {
  if (reply.ErrorCode() == "ERR") return Refuse(std::string(StatusOfReply(reply).message()));
  if (reply.IsError()) return GiveUp(reply);
  // What was read before Redis began to tell of changes must not be kept as if it had been told of them.
  if (!Planted(Bug::kNoFlush)) holder_->OnChanged("", "");
  tracks_.store(true);
  Renew();
}

void NearTracker::OnPush(RedisReplyView push) {
  if (!tracks_.load() || push.size() != 2 || push[0].Text().value_or("") != "invalidate") return;
  // The whole database was emptied, or Redis has lost count.
  if (!push[1].IsArray()) {
    holder_->OnChanged("", "");
    return RenewSoon();
  }
  for (size_t i = 0; i < push[1].size(); ++i) OnKeyChanged(push[1][i].Text().value_or(""));
}

void NearTracker::OnKeyChanged(std::string_view key) {
  // `<prefix>:<namespace>:e:<key>` or `<prefix>:{<namespace>}:ctl`: a namespace's name holds no colon.
  if (!key.starts_with(options_.prefix)) return;
  std::string_view rest = key.substr(options_.prefix.size());
  if (rest.starts_with(":{")) return RenewSoon();
  const size_t end = rest.find(':', 1);
  if (end == std::string_view::npos) return;
  const auto found = namespaces_.find(std::string(rest.substr(1, end - 1)));
  if (found == namespaces_.end() || !key.starts_with(found->second.entry_prefix)) return;
  holder_->OnChanged(found->first, key.substr(found->second.entry_prefix.size()));
}

void NearTracker::RenewSoon() {
  if (!tracks_.load()) return;
  renew_again_ = true;
  if (renewing_) return;
  const int64_t due = sent_nanos_ + kLeastBetweenRenewals;
  if (clock_->NowNanos() >= due) return Renew();
  SetTimer(due, &NearTracker::Renew);
}

void NearTracker::Renew() {
  if (!tracks_.load()) return;
  // The store has found another server since.
  if (identity_ != store_identity_()) return Lose("another server than the store's");
  renewing_ = true;
  renew_again_ = false;
  is_role_next_ = true;
  next_ = namespaces_.begin();
  answered_ = 0;
  asked_.clear();
  // COHERENCE N1: a server that is no master any more renews nothing.
  RedisPipeline pipeline;
  pipeline.Add({"ROLE"});
  for (const auto& [name, keys] : namespaces_) {
    asked_.push_back(holder_->Known(name));
    AddControlRead(pipeline, keys.control, AskedFrom(asked_.back()));
  }
  sent_nanos_ = clock_->NowNanos();
  for (size_t i = 0; i < pipeline.size(); ++i) session_->Send(kRenewalId, pipeline.command(i));
  loop_->CancelTimer(timer_);
  timer_ = loop_->AddTimer(sent_nanos_ + kSilence, [this] {
    timer_ = {};
    Lose("nothing came from Redis");
  });
}

void NearTracker::OnRenewal(RedisReplyView reply) {
  if (!renewing_) return;
  if (std::exchange(is_role_next_, false)) {
    if (reply.IsError()) return GiveUp(reply);
    if (reply.size() == 0 || reply[0].Text().value_or("") != "master") return Lose("Redis is not the master");
    return;
  }
  const auto at = next_++;
  OnControlRecord(at->first, asked_[answered_++], reply);
  // Lost on the way.
  if (!renewing_ || next_ != namespaces_.end()) return;
  renewing_ = false;
  backoff_.Reset();
  told_trouble_ = false;
  if (renew_again_) return RenewSoon();
  SetTimer(sent_nanos_ + options_.renew_every_nanos, &NearTracker::Renew);
}

void NearTracker::OnControlRecord(const std::string& name_space, ClockPosition known, RedisReplyView reply) {
  absl::StatusOr<std::optional<ControlRange>> range = ParseControlRange(reply);
  if (!range.ok() && reply.IsError()) return GiveUp(reply);
  if (!range.ok()) return Refuse(std::string(range.status().message()));
  // What this connection answers is in no order with what the others do, so that it must not begin a generation.
  if (!range->has_value() || (*range)->generation != known.generation) return on_unknown_(name_space);
  ControlUpdate update = UpdateOf(**std::move(range), known, /*sequence=*/0);
  if (Planted(Bug::kPingRenews)) {
    update = ControlUpdate();
    update.generation = known.generation;
    update.epoch = update.since = known.epoch;
  }
  holder_->OnCurrent(name_space, update, sent_nanos_);
}

void NearTracker::DropSession() {
  loop_->CancelTimer(timer_);
  timer_ = {};
  handshake_.reset();
  renewing_ = false;
  if (tracks_.exchange(false)) holder_->OnLost();
  if (session_ == nullptr) return;
  session_->Close();
  loop_->DestroyLater(std::move(session_));
}

// Why there is no connection is told of by the store's own.
void NearTracker::Lose(const std::string& reason) {
  static_cast<void>(reason);
  DropSession();
  if (!closed_) SetTimer(clock_->NowNanos() + backoff_.Next(), &NearTracker::Connect);
}

void NearTracker::Refuse(const std::string& reason) {
  DropSession();
  SetTimer(clock_->NowNanos() + std::max(kRefusedFor, options_.max_backoff_nanos), &NearTracker::Connect);
  if (on_trouble_ && !std::exchange(told_trouble_, true)) on_trouble_(reason);
}

void NearTracker::GiveUp(RedisReplyView error) {
  const std::string reason(StatusOfReply(error).message());
  IsConfigurationError(error.ErrorCode()) ? Refuse(reason) : Lose(reason);
}

void NearTracker::Close() {
  closed_ = true;
  tracks_.store(false);
  DropSession();
}

}  // namespace larder
