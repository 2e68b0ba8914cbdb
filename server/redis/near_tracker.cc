#include "server/redis/near_tracker.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/planted.h"
#include "server/redis/control_record.h"
#include "server/redis/tracking_commands.h"

namespace larder {
namespace {

constexpr uint64_t kHandshakeId = 0;
constexpr uint64_t kServerId = 1;
constexpr uint64_t kTrackingId = 2;
constexpr uint64_t kRenewalId = 3;
constexpr uint64_t kAcknowledgementId = 4;
constexpr uint64_t kLookId = 5;
// From here on, one for each script.
constexpr uint64_t kScriptId = 6;
constexpr Script kScripts[] = {Script::kRegister, Script::kListen};

// How long Redis may owe an answer before it is taken for gone.
constexpr int64_t kSilence = 2 * kNanosPerSecond;
// Either side may be the one that is behind: the store is not made to look again for every attempt of ours.
constexpr int64_t kBetweenTellings = 5 * kNanosPerSecond;
// However often a control record changes, they are not all asked for more often than this.
constexpr int64_t kLeastBetweenRenewals = 10 * kNanosPerMilli;
// While somebody waits for it.
constexpr int64_t kLeastWhileAsked = kNanosPerMilli;
// Of more than these, which no fleet has, some wait in vain.
constexpr size_t kMostAskers = 4'096;

}  // namespace

NearTracker::NearTracker(RedisLoop* loop, const Clock* clock, const RedisOptions& options, Where where,
                         const std::map<std::string, NamespaceKeys>* namespaces, OwnMembership* membership,
                         StoreIdentity store_identity, OnOtherServer on_other_server, OnUnknown on_unknown,
                         OnTrouble on_trouble)
    : loop_(loop),
      clock_(clock),
      options_(options),
      where_(std::move(where)),
      namespaces_(*namespaces),
      membership_(*membership),
      store_identity_(std::move(store_identity)),
      on_other_server_(std::move(on_other_server)),
      on_unknown_(std::move(on_unknown)),
      on_trouble_(std::move(on_trouble)),
      next_(namespaces->end()),
      listener_(loop, ListenerEvents()),
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
  target_ = options_;
  if (where_) {
    const std::optional<RedisEndpoint> place = where_();
    if (!place.has_value()) return Lose("nobody knows where Redis is");
    target_ = OptionsFor(options_, *place);
  }
  RedisSession::Listener* const listener = this;
  session_ = std::make_unique<RedisSession>(loop_, listener);
  if (absl::Status status = session_->Connect(target_); !status.ok()) return Lose(std::string(status.message()));
  timer_ = loop_->AddTimer(clock_->NowNanos() + options_.connect_timeout_nanos, [this] {
    timer_ = {};
    Lose("not connected in time");
  });
}

void NearTracker::OnConnected() {
  handshake_ = std::make_unique<RedisHandshake>(
      target_, std::vector<std::string>(),
      [this](const RedisPipeline& pipeline) {
        for (size_t i = 0; i < pipeline.size(); ++i) session_->Send(kHandshakeId, pipeline.command(i));
      },
      RedisHandshake::Scope::kLogin);
  handshake_->Start();
}

void NearTracker::Follow() {
  const std::optional<RedisEndpoint> place = where_ ? where_() : std::nullopt;
  if (session_ == nullptr || !place.has_value()) return;
  if (*place != RedisEndpoint{target_.host, target_.port}) Lose("Redis is elsewhere");
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
    on_other_server_("another connection met another server");
  }
  Lose("another server than the store's");
}

void NearTracker::BeginTracking() {
  was_registered_ = false;
  const bool knows_flags = KnowsScriptFlags(RedisReplyView(facts_[0]).Text().value_or(""));
  RedisPipeline pipeline;
  for (const Script script : kScripts) pipeline.AddLoad(script, {.knows_flags = knows_flags});
  for (size_t i = 0; i < pipeline.size(); ++i) session_->Send(kScriptId + i, pipeline.command(i));
}

void NearTracker::OnReply(uint64_t id, RedisReplyPtr reply) {
  if (id == kServerId) return OnServer(std::move(reply));
  if (id >= kScriptId) return OnScript(kScripts[id - kScriptId], RedisReplyView(reply));
  // Where publishing is not allowed, whoever asked waits until this process would serve nothing any more.
  if (id == kAcknowledgementId) return;
  if (id == kTrackingId) return OnTracking(RedisReplyView(reply));
  if (id == kRenewalId) return OnRenewal(RedisReplyView(reply));
  if (id == kLookId && !RedisReplyView(reply).IsError()) return Lose("Redis tells of changes by now");
  if (handshake_ == nullptr) return;
  handshake_->OnReply(std::move(reply));
  if (!handshake_->status().ok()) return Lose(std::string(handshake_->status().message()));
  if (!handshake_->done()) return;
  speaks_resp3_ = handshake_->speaks_resp3();
  handshake_.reset();
  AskServer();
}

void NearTracker::OnScript(Script script, RedisReplyView reply) {
  if (reply.IsError()) return GiveUp(reply);
  hashes_[static_cast<size_t>(script)] = std::string(reply.Text().value_or(""));
  if (script != std::end(kScripts)[-1]) return;
  if (!options_.tracks) return Listen("");
  // In the old protocol Redis would agree, and say nothing.
  if (!speaks_resp3_) return Listen("it does not speak RESP3 here");
  RedisPipeline pipeline;
  AddTracking(pipeline, namespaces_);
  session_->Send(kTrackingId, pipeline.command(0));
}

void NearTracker::OnTracking(RedisReplyView reply) {
  if (reply.ErrorCode() == "ERR" || IsConfigurationError(reply.ErrorCode())) {
    return Listen(std::string(StatusOfReply(reply).message()));
  }
  if (reply.IsError()) return GiveUp(reply);
  SetRefusal("");
  Begin();
}

void NearTracker::Begin() {
  // From the first registration on others wait for an acknowledgement, not for the age of what is served here
  // (COHERENCE S1).
  holder_->OnBegin();
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
  const ChangedKey changed = ParseChangedKey(key, options_.prefix, namespaces_);
  if (changed.kind == ChangedKey::Kind::kControlRecord) return RenewSoon();
  if (changed.kind == ChangedKey::Kind::kEntry) holder_->OnChanged(*changed.name_space, changed.key);
}

void NearTracker::RenewSoon() {
  if (!tracks_.load()) return;
  renew_again_ = true;
  if (!renewing_) RenewNotBefore(sent_nanos_ + kLeastBetweenRenewals);
}

void NearTracker::RenewNotBefore(int64_t due_nanos) {
  if (clock_->NowNanos() >= due_nanos) return Renew();
  // Between renewals the timer is the next one's.
  if (timer_.first == 0 || timer_.first > due_nanos) SetTimer(due_nanos, &NearTracker::Renew);
}

void NearTracker::Acknowledge(uint64_t asker, uint64_t round) {
  if (!tracks_.load()) return;
  if (askers_.size() >= kMostAskers && !askers_.contains(asker)) return;
  uint64_t& last = askers_[asker];
  last = std::max(last, round);
  if (!renewing_) RenewNotBefore(sent_nanos_ + kLeastWhileAsked);
}

// COHERENCE S1, S2: why a STRONG write may go by a member that has acknowledged it, or said nothing for the lease.
//  * Redis hands out what it has to tell at the end of the turn in which a key was written, to everybody, before any
//    reply of that turn leaves. So whoever has the write's reply knows that the news of it stands in every tracking
//    connection's stream, and that what a member asks from then on is answered behind it.
//  * A member that acknowledges has had an answer to what it asked after it was asked to acknowledge, and that is after
//    the write's reply. The news came first, and the stamps of groups are in the answer itself.
//  * A member that says nothing: the last renewal that counted, if it did not bring the news, was asked before the
//    write's reply. (Its answer may be of the same turn as the write, and the connection lost in between.) The lease is
//    counted from the asking, so that it ends within one lease of the write's reply; there is no age to serve by
//    meanwhile. A session that comes after it begins with nothing.
//  * One that was not in the record had its registration run out, which takes longer than the lease, or lost with the
//    record, for which the record's own age is waited; or registers later, and empties its near tier before it counts.
void NearTracker::Renew() {
  if (!tracks_.load()) return;
  // The store has found another server since.
  if (identity_ != store_identity_()) return Lose("another server than the store's");
  renewing_ = true;
  renew_again_ = false;
  expected_ = Answer::kRole;
  is_whole_ = true;
  next_ = namespaces_.begin();
  answered_ = 0;
  asked_.clear();
  listened_.clear();
  new_marks_.clear();
  heard_own_word_ = false;
  // Only of those who asked before this is sent can it be the proof.
  promised_ = std::exchange(askers_, {});
  // COHERENCE N1: a server that is no master any more renews nothing.
  RedisPipeline pipeline;
  registered_as_ = ++membership_.sequence;
  pipeline.Add({"ROLE"});
  // A write, which a master that has lost its replicas refuses where `min-replicas-to-write` says so.
  AddRegister(pipeline, membership_.names, identity_,
              {.acknowledges = true, .bound_nanos = options_.near_lease_nanos, .hold_nanos = options_.near_lease_nanos},
              registered_as_);
  for (const auto& [name, keys] : namespaces_) {
    asked_.push_back(holder_->Known(name));
    if (by_channel()) {
      AddListen(pipeline, keys, asked_.back());
    } else {
      AddControlRead(pipeline, keys.control, AskedFrom(asked_.back()));
    }
  }
  if (by_channel()) pipeline.Add({"PUBLISH", membership_.names.own_channel, absl::StrCat(registered_as_)});
  pipeline.FillHashes(hashes_);
  sent_nanos_ = clock_->NowNanos();
  for (size_t i = 0; i < pipeline.size(); ++i) session_->Send(kRenewalId, pipeline.command(i));
  loop_->CancelTimer(timer_);
  timer_ = loop_->AddTimer(sent_nanos_ + kSilence, [this] {
    timer_ = {};
    Lose("nothing came from Redis");
  });
  LookAgain();
}

// Redis, or what the user may do, may be another by now.
void NearTracker::LookAgain() {
  if (!by_channel() || !options_.tracks || !speaks_resp3_) return;
  if (sent_nanos_ - looked_nanos_ < options_.look_again_nanos) return;
  looked_nanos_ = sent_nanos_;
  RedisPipeline pipeline;
  AddTracking(pipeline, namespaces_);
  session_->Send(kLookId, pipeline.command(0));
}

void NearTracker::OnRenewal(RedisReplyView reply) {
  if (!renewing_) return;
  if (expected_ == Answer::kRole) return OnRole(reply);
  if (expected_ == Answer::kRegistration) return OnRegistered(reply);
  if (expected_ == Answer::kOwnWord) return OnOwnWord(reply);
  const auto at = next_++;
  const ClockPosition known = asked_[answered_++];
  by_channel() ? OnListened(at->first, known, reply) : OnControlRecord(at->first, known, reply);
  // Not if it was lost on the way.
  if (!renewing_ || next_ != namespaces_.end()) return;
  if (!by_channel()) return EndRenewal();
  expected_ = Answer::kOwnWord;
}

void NearTracker::OnRole(RedisReplyView reply) {
  if (reply.IsError()) return GiveUp(reply);
  if (reply.size() == 0 || reply[0].Text().value_or("") != "master") return Lose("Redis is not the master");
  expected_ = Answer::kRegistration;
}

void NearTracker::OnRegistered(RedisReplyView reply) {
  // COHERENCE N1: nor must the store be read from a master that may have been replaced.
  if (!options_.sentinels.empty() && reply.ErrorCode() == "NOREPLICAS") {
    on_other_server_("the master has no replica that hears it");
  }
  if (reply.IsError()) return GiveUp(reply);
  const absl::StatusOr<RegisterAnswer> answer = ParseRegister(reply);
  if (!answer.ok()) return Refuse(std::string(answer.status().message()));
  expected_ = Answer::kControl;
  const Registration registration = membership_.Take(*answer, registered_as_);
  registered_ = registration.counts;
  // COHERENCE N2: what was read before Redis began to tell of changes must not be kept as if it had been told of them;
  // not sooner, as until there can be a lease it may be all there is to answer with. S1: nor if it was passed over
  // meanwhile. By channels it is the first mark that says when that was (N6).
  const bool is_first = registered_ && !std::exchange(was_registered_, true) && !by_channel();
  if ((is_first && !Planted(Bug::kNoFlush)) || !registration.was_member) holder_->OnChanged("", "");
  is_whole_ = registered_;
}

void NearTracker::EndRenewal() {
  renewing_ = false;
  backoff_.Reset();
  const Trouble before = std::exchange(told_, by_channel() ? Trouble::kByChannel : Trouble::kNone);
  if (told_ > before && options_.tracks && on_trouble_) on_trouble_(refusal());
  if (is_whole_) {
    RedisPipeline pipeline;
    for (const auto& [asker, round] : promised_) {
      pipeline.Add({"PUBLISH", AckChannel(membership_.names, asker), RoundMessage(membership_.names.id, round)});
    }
    for (size_t i = 0; i < pipeline.size(); ++i) session_->Send(kAcknowledgementId, pipeline.command(i));
  } else {
    // Those who have asked again since have a later round here.
    askers_.merge(promised_);
  }
  promised_.clear();
  SetTimer(sent_nanos_ + options_.renew_every_nanos, &NearTracker::Renew);
  // Of what was not taken in whole there is news soon, or the next renewal comes in its time.
  if (is_whole_ && !askers_.empty()) return RenewNotBefore(sent_nanos_ + kLeastWhileAsked);
  if (renew_again_) RenewSoon();
}

void NearTracker::OnControlRecord(const std::string& name_space, ClockPosition known, RedisReplyView reply) {
  absl::StatusOr<std::optional<ControlRange>> range = ParseControlRange(reply);
  if (!range.ok() && reply.IsError()) return GiveUp(reply);
  if (!range.ok()) return Refuse(std::string(range.status().message()));
  // What this connection answers is in no order with what the others do, so that it must not begin a generation.
  if (!range->has_value() || (*range)->generation != known.generation) {
    is_whole_ = false;
    return on_unknown_(name_space);
  }
  // A renewal that did not register renews no lease (COHERENCE S1).
  if (!registered_) return;
  ControlUpdate update = UpdateOf(**std::move(range), known, /*sequence=*/0);
  if (Planted(Bug::kPingRenews)) {
    update = ControlUpdate();
    update.generation = known.generation;
    update.epoch = update.since = known.epoch;
  }
  if (!holder_->OnCurrent(name_space, update, sent_nanos_)) is_whole_ = false;
}

void NearTracker::DropSession() {
  loop_->CancelTimer(timer_);
  timer_ = {};
  handshake_.reset();
  renewing_ = false;
  askers_.clear();
  promised_.clear();
  listener_.Close();
  marks_.clear();
  if (tracks_.exchange(false)) holder_->OnLost();
  by_channel_.store(false);
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
  SetRefusal(absl::StrCat("Redis does not tell of changed keys (", reason, "), so near entries go by their age"));
  SetTimer(clock_->NowNanos() + std::max(options_.look_again_nanos, options_.max_backoff_nanos), &NearTracker::Connect);
  if (std::exchange(told_, Trouble::kByAge) != Trouble::kByAge && on_trouble_) on_trouble_(refusal());
}

void NearTracker::SetRefusal(const std::string& reason) {
  MutexLock lock(&refusal_mutex_);
  refusal_ = reason;
}

std::string NearTracker::refusal() const {
  MutexLock lock(&refusal_mutex_);
  return refusal_;
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
