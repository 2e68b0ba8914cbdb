#include "server/redis/cluster_tracker.h"

#include <algorithm>
#include <cassert>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "core/planted.h"
#include "server/redis/cluster_map.h"
#include "server/redis/control_record.h"
#include "server/redis/tracking_commands.h"

namespace larder {
namespace {

// As NearTracker has them.
constexpr int64_t kSilence = 2 * kNanosPerSecond;
constexpr int64_t kLeastBetweenRenewals = 10 * kNanosPerMilli;
constexpr int64_t kLeastWhileAsked = kNanosPerMilli;
constexpr size_t kMostAskers = 4'096;

}  // namespace

ClusterTracker::ClusterTracker(RedisLoop* loop, const Clock* clock, const RedisOptions& options,
                               const std::map<std::string, NamespaceKeys>* namespaces, OwnMembership* membership,
                               Parts parts)
    : loop_(loop),
      clock_(clock),
      options_(options),
      namespaces_(*namespaces),
      membership_(*membership),
      parts_(std::move(parts)),
      backoff_(options.min_backoff_nanos, options.max_backoff_nanos) {}

ClusterTracker::~ClusterTracker() { assert(nodes_.empty()); }

void ClusterTracker::Start(NearHolder* holder) {
  holder_ = holder;
  if (!options_.tracks) return Refuse("that replicas tell each other works with a single Redis only");
  Connect();
}

void ClusterTracker::SetTimer(int64_t due_nanos, void (ClusterTracker::*then)()) {
  loop_->CancelTimer(timer_);
  timer_ = loop_->AddTimer(due_nanos, [this, then] {
    timer_ = {};
    (this->*then)();
  });
}

void ClusterTracker::SetMasters(std::vector<MasterLife> masters) {
  if (masters == masters_) return;
  masters_ = std::move(masters);
  if (holder_ == nullptr || closed_ || !options_.tracks) return;
  Drop();
  // Not here: names may have to be looked up.
  SetTimer(clock_->NowNanos(), &ClusterTracker::Connect);
}

void ClusterTracker::Connect() {
  dropped_.clear();
  if (closed_ || masters_.empty()) return;
  nodes_.resize(masters_.size());
  for (size_t i = 0; i < nodes_.size(); ++i) {
    nodes_[i].life = masters_[i];
    nodes_[i].connection = Open(i);
  }
  for (Node& node : nodes_) {
    if (!node.connection->Connect().ok()) return Lose();
  }
  SetTimer(clock_->NowNanos() + options_.connect_timeout_nanos, &ClusterTracker::OnSilence);
}

std::unique_ptr<TrackedNode> ClusterTracker::Open(size_t i) {
  return std::make_unique<TrackedNode>(
      loop_, OptionsFor(options_, masters_[i].endpoint), masters_[i].run_id, &namespaces_,
      TrackedNode::Events{
          .on_ready = [this] { OnReady(); },
          .on_push = [this](RedisReplyView keys) { OnPush(keys); },
          .on_answer = [this, i](RedisReplyView reply) { OnAnswer(nodes_[i], reply); },
          .on_lost = [this](const std::string& reason, bool refused) { refused ? Refuse(reason) : Lose(); }});
}

void ClusterTracker::OnReady() {
  const bool all = std::all_of(nodes_.begin(), nodes_.end(), [](const Node& node) { return node.connection->ready(); });
  if (all) Probe();
}

// Nothing is registered, and entries go on by their age, before a round can count.
void ClusterTracker::Probe() {
  probing_ = renewing_ = is_of_one_mind_ = true;
  epoch_.clear();
  is_elsewhere_ = NodeOf(membership_.names.record) == nullptr;
  for (const auto& [name, keys] : namespaces_) is_elsewhere_ = is_elsewhere_ || NodeOf(keys.control) == nullptr;
  for (Node& node : nodes_) AskItself(node);
  SetTimer(clock_->NowNanos() + kSilence, &ClusterTracker::OnSilence);
}

void ClusterTracker::AskItself(Node& node) {
  // COHERENCE N1: a server that is no master any more renews nothing, nor does one that the others have given up.
  RedisPipeline pipeline;
  pipeline.Add({"ROLE"}).Add({"CLUSTER", "INFO"});
  node.expected = {{Question::Kind::kRole}, {Question::Kind::kClusterInfo}};
  node.connection->Ask(std::move(pipeline));
}

void ClusterTracker::EndProbe() {
  probing_ = renewing_ = false;
  last_epoch_ = epoch_;
  if (is_of_one_mind_ && !is_elsewhere_) return Begin();
  parts_.look_again();
  Lose();
}

void ClusterTracker::Begin() {
  SetRefusal("");
  // From the first registration on others wait for an acknowledgement, not for the age of what is served here
  // (COHERENCE S1).
  holder_->OnBegin();
  tracks_.store(true);
  was_registered_ = false;
  counted_nanos_ = clock_->NowNanos();
  Renew();
}

ClusterTracker::Node* ClusterTracker::NodeOf(std::string_view key) {
  if (const auto found = importing_.find(key); found != importing_.end()) {
    for (Node& node : nodes_) {
      if (node.life.endpoint == found->second) return &node;
    }
    importing_.erase(found);
  }
  const std::string id = parts_.owner_of(key);
  const auto found = std::find_if(nodes_.begin(), nodes_.end(), [&](const Node& node) { return node.life.id == id; });
  return found == nodes_.end() ? nullptr : &*found;
}

void ClusterTracker::OnPush(RedisReplyView keys) {
  if (!tracks_.load()) return;
  // All that the node had was removed, or it has lost count.
  if (!keys.IsArray()) {
    holder_->OnChanged("", "");
    return RenewSoon();
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    const ChangedKey changed = ParseChangedKey(keys[i].Text().value_or(""), options_.prefix, namespaces_);
    if (changed.kind == ChangedKey::Kind::kControlRecord) RenewSoon();
    if (changed.kind == ChangedKey::Kind::kEntry) holder_->OnChanged(*changed.name_space, changed.key);
  }
}

void ClusterTracker::RenewSoon() {
  if (!tracks_.load()) return;
  renew_again_ = true;
  if (!renewing_) RenewNotBefore(sent_nanos_ + kLeastBetweenRenewals);
}

void ClusterTracker::RenewNotBefore(int64_t due_nanos) {
  // Between rounds the timer is the next one's.
  if (timer_.first == 0 || timer_.first > due_nanos) SetTimer(due_nanos, &ClusterTracker::Renew);
}

void ClusterTracker::Acknowledge(uint64_t asker, uint64_t round) {
  if (!tracks_.load()) return;
  if (askers_.size() >= kMostAskers && !askers_.contains(asker)) return;
  uint64_t& last = askers_[asker];
  last = std::max(last, round);
  if (!renewing_) RenewNotBefore(sent_nanos_ + kLeastWhileAsked);
}

void ClusterTracker::Renew() {
  if (!tracks_.load() || renewing_) return;
  renewing_ = true;
  renew_again_ = false;
  registered_ = false;
  was_member_ = true;
  is_whole_ = is_of_one_mind_ = true;
  is_elsewhere_ = false;
  epoch_.clear();
  updates_.clear();
  // Only of those who asked before this is sent can it be the proof.
  promised_ = std::exchange(askers_, {});
  sent_nanos_ = clock_->NowNanos();
  for (Node& node : nodes_) AskItself(node);
  AskRecords();
  SetTimer(sent_nanos_ + kSilence, &ClusterTracker::OnSilence);
}

void ClusterTracker::AskRecords() {
  if (Node* const node = NodeOf(membership_.names.record)) {
    registered_as_ = ++membership_.sequence;
    RedisPipeline pipeline;
    AddRegister(
        pipeline, membership_.names, node->life.run_id,
        {.acknowledges = true, .bound_nanos = options_.near_lease_nanos, .hold_nanos = options_.near_lease_nanos},
        registered_as_);
    AskOf(*node, std::move(pipeline), {Question::Kind::kRegistration, membership_.names.record});
  }
  for (const auto& [name, keys] : namespaces_) {
    Node* const node = NodeOf(keys.control);
    if (node == nullptr) {
      is_whole_ = false;
      is_elsewhere_ = true;
      continue;
    }
    const ClockPosition known = holder_->Known(name);
    RedisPipeline pipeline;
    AddControlRead(pipeline, keys.control, AskedFrom(known));
    AskOf(*node, std::move(pipeline), {Question::Kind::kControl, keys.control, name, known});
  }
}

void ClusterTracker::AskOf(Node& node, RedisPipeline pipeline, Question question) {
  if (importing_.contains(question.key)) {
    pipeline = pipeline.Asking();
    node.expected.push_back({Question::Kind::kAsking});
  }
  node.expected.push_back(std::move(question));
  node.connection->Ask(std::move(pipeline));
}

void ClusterTracker::OnAnswer(Node& node, RedisReplyView reply) {
  if (!renewing_ || node.expected.empty()) return;
  const Question question = std::move(node.expected.front());
  node.expected.pop_front();
  switch (question.kind) {
    case Question::Kind::kAsking:
      break;
    case Question::Kind::kRole:
      OnRole(reply);
      break;
    case Question::Kind::kClusterInfo:
      OnClusterInfo(reply);
      break;
    case Question::Kind::kRegistration:
      OnRegistered(question, node.life.endpoint, reply);
      break;
    case Question::Kind::kControl:
      OnControlRecord(question, node.life.endpoint, reply);
      break;
  }
  // Not if it was lost on the way.
  const bool all =
      renewing_ && std::all_of(nodes_.begin(), nodes_.end(), [](const Node& each) { return each.expected.empty(); });
  if (all) probing_ ? EndProbe() : EndRound();
}

void ClusterTracker::OnRole(RedisReplyView reply) {
  if (reply.IsError()) return GiveUp(reply);
  if (reply.size() == 0 || reply[0].Text().value_or("") != "master") Lose();
}

void ClusterTracker::OnClusterInfo(RedisReplyView reply) {
  if (reply.IsError()) return GiveUp(reply);
  const std::string_view info = reply.Text().value_or("");
  const std::string epoch(InfoField(info, "cluster_current_epoch").value_or("?"));
  const bool is_first = epoch_.empty();
  if (is_first) epoch_ = epoch;
  if (epoch != epoch_ || InfoField(info, "cluster_state").value_or("") != "ok") is_of_one_mind_ = false;
}

bool ClusterTracker::IsElsewhere(const Question& question, const RedisEndpoint& from, RedisReplyView reply) {
  const std::string_view code = reply.ErrorCode();
  if (code != "MOVED" && code != "ASK" && code != "TRYAGAIN" && code != "CLUSTERDOWN") return false;
  is_whole_ = false;
  is_elsewhere_ = true;
  importing_.erase(question.key);
  const std::optional<Redirection> to = ParseRedirection(reply.Text().value_or(""), from);
  if (to.has_value() && to->once) importing_[question.key] = to->endpoint;
  return true;
}

void ClusterTracker::OnRegistered(const Question& question, const RedisEndpoint& from, RedisReplyView reply) {
  if (IsElsewhere(question, from, reply)) return;
  if (reply.IsError()) return GiveUp(reply);
  const absl::StatusOr<RegisterAnswer> answer = ParseRegister(reply);
  if (!answer.ok()) return Refuse(std::string(answer.status().message()));
  const Registration registration = membership_.Take(*answer, registered_as_);
  registered_ = registration.counts;
  was_member_ = registration.was_member;
}

void ClusterTracker::OnControlRecord(const Question& question, const RedisEndpoint& from, RedisReplyView reply) {
  if (IsElsewhere(question, from, reply)) return;
  absl::StatusOr<std::optional<ControlRange>> range = ParseControlRange(reply);
  if (!range.ok() && reply.IsError()) return GiveUp(reply);
  if (!range.ok()) return Refuse(std::string(range.status().message()));
  // What this connection answers is in no order with what the others do, so that it must not begin a generation.
  if (!range->has_value() || (*range)->generation != question.known.generation) {
    is_whole_ = false;
    return parts_.on_unknown(question.name_space);
  }
  updates_.emplace_back(question.name_space, UpdateOf(**std::move(range), question.known, /*sequence=*/0));
}

// What is not whole for one namespace is whole for the others, but nothing counts without a registration (COHERENCE
// S1), or where the masters are not of one mind.
void ClusterTracker::TakeRound() {
  // One that was replaced may know the new epoch a moment before it knows that.
  const bool counts = registered_ && is_of_one_mind_ && std::exchange(last_epoch_, epoch_) == epoch_;
  if (counts) counted_nanos_ = sent_nanos_;
  const bool is_first = counts && !std::exchange(was_registered_, true);
  // COHERENCE N2, S1: as in NearTracker::OnRegistered.
  if ((is_first && !Planted(Bug::kNoFlush)) || !was_member_) holder_->OnChanged("", "");
  is_whole_ = is_whole_ && counts;
  for (const auto& [name_space, update] : updates_) {
    if (!counts || !holder_->OnCurrent(name_space, update, sent_nanos_)) is_whole_ = false;
  }
}

void ClusterTracker::EndRound() {
  renewing_ = false;
  backoff_.Reset();
  told_ = false;
  TakeRound();
  if (is_whole_) {
    RedisPipeline pipeline;
    for (const auto& [asker, round] : promised_) {
      pipeline.Add({"PUBLISH", AckChannel(membership_.names, asker), RoundMessage(membership_.names.id, round)});
    }
    nodes_.front().connection->Tell(pipeline);
  } else {
    // Those who have asked again since have a later round here.
    askers_.merge(promised_);
  }
  promised_.clear();
  SetTimer(sent_nanos_ + options_.renew_every_nanos, &ClusterTracker::Renew);
  if (is_elsewhere_) parts_.look_again();
  // Entries had better go by their age than not at all.
  if (sent_nanos_ - counted_nanos_ > 2 * options_.near_lease_nanos) return Lose();
  if (is_whole_ && !askers_.empty()) return RenewNotBefore(sent_nanos_ + kLeastWhileAsked);
  if (renew_again_) RenewSoon();
}

void ClusterTracker::Drop() {
  loop_->CancelTimer(timer_);
  timer_ = {};
  renewing_ = probing_ = false;
  askers_.clear();
  promised_.clear();
  importing_.clear();
  for (Node& node : nodes_) {
    if (node.connection != nullptr) node.connection->Close();
  }
  // One of them may be telling this just now.
  std::move(nodes_.begin(), nodes_.end(), std::back_inserter(dropped_));
  nodes_.clear();
  if (tracks_.exchange(false)) holder_->OnLost();
}

// Why there is no connection is told of by the store's own.
void ClusterTracker::Lose() {
  Drop();
  if (!closed_) SetTimer(clock_->NowNanos() + backoff_.Next(), &ClusterTracker::Connect);
}

void ClusterTracker::Refuse(const std::string& reason) {
  Drop();
  SetRefusal(absl::StrCat("Redis does not tell of changed keys (", reason, "), so near entries go by their age"));
  if (options_.tracks) {
    SetTimer(clock_->NowNanos() + std::max(options_.look_again_nanos, options_.max_backoff_nanos),
             &ClusterTracker::Connect);
  }
  if (!std::exchange(told_, true) && parts_.on_trouble) parts_.on_trouble(refusal());
}

void ClusterTracker::GiveUp(RedisReplyView error) {
  const std::string reason(StatusOfReply(error).message());
  IsConfigurationError(error.ErrorCode()) ? Refuse(reason) : Lose();
}

void ClusterTracker::Close() {
  closed_ = true;
  tracks_.store(false);
  Drop();
}

void ClusterTracker::SetRefusal(const std::string& reason) {
  MutexLock lock(&refusal_mutex_);
  refusal_ = reason;
}

std::string ClusterTracker::refusal() const {
  MutexLock lock(&refusal_mutex_);
  return refusal_;
}

}  // namespace larder
