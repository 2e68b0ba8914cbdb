#include "server/redis/cluster_route.h"

#include <algorithm>
#include <cassert>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/redis/control_record.h"
#include "server/redis/redis_handshake.h"

namespace larder {
namespace {

// How often an operation is sent on before it is given up: slots do not move faster.
constexpr int kMaxHops = 8;
// Before what waits for a node, or for a slot that is on its way, is tried again.
constexpr int64_t kParkedFor = 5 * kNanosPerMilli;
// How often it is asked which masters there are and what they have; and while one is away whose place another may take.
constexpr int64_t kBetweenLooks = kNanosPerSecond;
constexpr int64_t kBetweenLooksForLost = 200 * kNanosPerMilli;
// A server that was silent for so long may have been stopped, and replaced meanwhile. Shorter than any sensible
// `cluster-node-timeout`, and longer than a script runs.
constexpr int64_t kLongSilence = 300 * kNanosPerMilli;
// Answers of one owner of a slot come before all those of the next.
constexpr int kOrderBits = 44;

// An answer to what was asked with ASKING before each command.
void DropAskingReplies(RedisAnswer& answer) {
  std::vector<RedisReplyPtr> replies;
  for (size_t i = 1; i < answer.replies.size(); i += 2) replies.push_back(std::move(answer.replies[i]));
  answer.replies = std::move(replies);
}

}  // namespace

RedisPipeline ClusterRoute::Question() {
  RedisPipeline pipeline;
  pipeline.Add({"CLUSTER", "INFO"}).Add({"CLUSTER", "NODES"});
  return pipeline;
}

ClusterRoute::ClusterRoute(RedisLoop* loop, const Clock* clock, const RedisOptions& options,
                           std::vector<std::string> control_keys, Observer observer, OnMasters on_masters)
    : loop_(loop),
      clock_(clock),
      options_(options),
      control_keys_(std::move(control_keys)),
      observer_(std::move(observer)),
      on_masters_(std::move(on_masters)),
      limit_(options.max_pending, options.max_pending_bytes),
      unjudged_(control_keys_.begin(), control_keys_.end()),
      inquirer_(loop, clock,
                {.role = "the node",
                 .question = Question(),
                 .whom = [this] { return Known(); },
                 .options_for = [this](const RedisEndpoint& place) { return OptionsFor(options_, place); },
                 .judge = [this](const RedisEndpoint& place,
                                 const std::vector<RedisReplyPtr>& replies) { return TakeMap(place, replies); },
                 .on_end = [this](const absl::Status& status) { OnRound(status); },
                 .patience_nanos = options.connect_timeout_nanos / 2,
                 .pause_nanos = [this] { return IsWhole() ? kBetweenLooks : kBetweenLooksForLost; }}) {}

ClusterRoute::~ClusterRoute() { assert(nodes_.empty() && parked_.empty()); }

void ClusterRoute::Start() {
  loop_->Post([this] { inquirer_.Ask(); });
}

void ClusterRoute::Close() {
  closed_ = true;
  inquirer_.Close();
  loop_->CancelTimer(parked_timer_);
  parked_timer_ = {};
  std::deque<ErrandPtr> parked;
  parked.swap(parked_);
  for (ErrandPtr& errand : parked) Refuse(std::move(errand), absl::UnavailableError("the store is shut down"));
  std::map<std::string, Node> nodes;
  nodes.swap(nodes_);
  for (auto& [id, node] : nodes) {
    RefuseHeld(std::move(node.held));
    node.connection->Close();
    retired_.push_back(std::move(node.connection));
  }
  state_.store(StoreInfo::State::kDown);
}

OperationDeadline ClusterRoute::DeadlineFor(int64_t callers_deadline_nanos) const {
  return DeadlineOf(clock_->NowNanos(), options_.operation_timeout_nanos, callers_deadline_nanos);
}

// --- What other threads see ---

BreakerState ClusterRoute::breaker() const {
  if (state_.load() == StoreInfo::State::kReady) return BreakerState::kClosed;
  return trying_.load() ? BreakerState::kHalfOpen : BreakerState::kOpen;
}

std::string ClusterRoute::detail() const {
  MutexLock lock(&mutex_);
  return view_.detail;
}

std::string ClusterRoute::address() const { return absl::StrCat("Cluster (", EndpointsText(options_.cluster), ")"); }

std::string ClusterRoute::version() const {
  MutexLock lock(&mutex_);
  return view_.version;
}

std::string ClusterRoute::identity(std::string_view key) const {
  MutexLock lock(&mutex_);
  const auto found = view_.lives.find(owners_[static_cast<size_t>(HashSlotOf(key))]);
  return found == view_.lives.end() ? "" : found->second;
}

ScriptForm ClusterRoute::scripts() const {
  MutexLock lock(&mutex_);
  return view_.scripts;
}

std::vector<std::string> ClusterRoute::parts() const {
  MutexLock lock(&mutex_);
  return view_.parts;
}

std::optional<RedisEndpoint> ClusterRoute::any_server() const {
  MutexLock lock(&mutex_);
  if (view_.usable.empty()) return std::nullopt;
  return view_.usable.front();
}

void ClusterRoute::Publish() {
  View view;
  std::vector<std::string> missing;
  bool trying = inquirer_.is_asking();
  for (const auto& [id, node] : nodes_) {
    view.ids[node.number] = id;
    view.lives[node.number] = LifeOf(node);
    trying = trying || node.connection->is_trying();
    if (node.master.slots.empty()) continue;
    view.parts.push_back(id);
    if (IsUsable(node)) {
      view.usable.push_back(node.master.endpoint);
      view.version = node.connection->version();
      view.scripts = node.connection->scripts();
    } else {
      const std::string why = node.connection->detail();
      missing.push_back(
          absl::StrCat("node ", EndpointText(node.master.endpoint), ": ", why.empty() ? "being looked at" : why));
    }
  }
  view.detail = nodes_.empty() ? trouble_ : absl::StrJoin(missing, "; ");
  const bool any = !view.usable.empty();
  const StoreInfo::State before = state_.load();
  trying_.store(trying);
  {
    MutexLock lock(&mutex_);
    view_ = std::move(view);
    state_.store(any                                  ? StoreInfo::State::kReady
                 : before == StoreInfo::State::kReady ? StoreInfo::State::kConnecting
                                                      : before);
  }
  if (any) SendParked();
}

// --- Operations ---

void ClusterRoute::OnLoop(RedisLoop::Task task) {
  if (loop_->is_own_thread()) return std::move(task)();
  // The loop has stopped: nothing else runs any more.
  if (!loop_->Post(std::move(task))) std::move(task)();
}

void ClusterRoute::Submit(std::string_view key, RedisOperation operation) {
  absl::StatusOr<PendingLimit::Held> held = limit_.Take(operation.pipeline.bytes());
  if (!held.ok()) return std::move(operation.done)(std::move(held).status());
  auto errand = std::make_unique<Errand>(
      Errand{.slot = HashSlotOf(key), .held = *std::move(held), .operation = std::move(operation)});
  OnLoop([this, errand = std::move(errand)]() mutable { Send(std::move(errand)); });
}

void ClusterRoute::SubmitTo(std::string_view part, RedisOperation operation) {
  OnLoop([this, part = std::string(part), operation = std::move(operation)]() mutable {
    const auto found = nodes_.find(part);
    if (found == nodes_.end() || !IsUsable(found->second)) {
      return std::move(operation.done)(absl::UnavailableError("a node of the Cluster is not available"));
    }
    found->second.connection->Submit(std::move(operation));
  });
}

ClusterRoute::Node* ClusterRoute::Owner(int slot) {
  uint32_t number = 0;
  {
    MutexLock lock(&mutex_);
    number = owners_[static_cast<size_t>(slot)];
  }
  for (auto& [id, node] : nodes_) {
    if (node.number == number) return &node;
  }
  return nullptr;
}

ClusterRoute::Node* ClusterRoute::NodeAt(const RedisEndpoint& endpoint) {
  for (auto& [id, node] : nodes_) {
    if (node.master.endpoint == endpoint || node.master.alias == endpoint) return &node;
  }
  return nullptr;
}

bool ClusterRoute::IsReady(const Node& node) const { return node.connection->state() == StoreInfo::State::kReady; }

// Not by what a master calls its data, which it may call otherwise as soon as a replica asks for it, while connections
// from before know the old name. That a master was none for a while shows in the records, which named another instead.
std::string ClusterRoute::LifeOf(const Node& node) { return std::string(RunIdOf(node.connection->identity())); }

bool ClusterRoute::IsUsable(const Node& node) const {
  if (!IsReady(node) || node.is_doubted || node.judged_as.empty() || node.judged_as != LifeOf(node)) return false;
  const MasterLife life = {node.master.id, node.master.endpoint, node.judged_as};
  if (!Contains(announced_, life) || !Contains(confirmed_, life)) return false;
  MutexLock lock(&mutex_);
  for (const std::string& key : unjudged_) {
    if (owners_[static_cast<size_t>(HashSlotOf(key))] == node.number) return false;
  }
  return true;
}

bool ClusterRoute::IsStarting(const Node& node) const {
  if (IsReady(node)) return true;
  return node.connection->disconnects() == 0 && node.connection->state() == StoreInfo::State::kConnecting;
}

absl::Status ClusterRoute::NoOwner(int slot) const {
  if (nodes_.empty()) {
    return absl::UnavailableError(absl::StrCat("Redis at ", address(), " is not available: ", detail()));
  }
  return absl::UnavailableError(absl::StrCat("no node of the Redis Cluster has slot ", slot));
}

void ClusterRoute::Refuse(ErrandPtr errand, absl::Status status) const {
  std::move(errand->operation.done)(std::move(status));
}

bool ClusterRoute::IsWhole() const {
  if (nodes_.empty()) return false;
  return std::all_of(nodes_.begin(), nodes_.end(),
                     [this](const auto& entry) { return entry.second.master.slots.empty() || IsUsable(entry.second); });
}

void ClusterRoute::Send(ErrandPtr errand) {
  if (closed_) return Refuse(std::move(errand), absl::UnavailableError("the store is shut down"));
  if (clock_->NowNanos() >= errand->operation.deadline.give_up_nanos) {
    absl::Status status = TimedOut(errand->operation.deadline, options_.operation_timeout_nanos);
    return Refuse(std::move(errand), std::move(status));
  }
  Node* const node = errand->once_at.has_value() ? NodeAt(*errand->once_at) : Owner(errand->slot);
  if (node != nullptr) return SendBy(*node, std::move(errand));
  // It was named by another, and will be in the next map.
  if (errand->was_named) return Park(std::move(errand));
  absl::Status status = NoOwner(errand->slot);
  Refuse(std::move(errand), std::move(status));
}

void ClusterRoute::SendBy(Node& node, ErrandPtr errand) {
  if (!IsUsable(node) && IsStarting(node)) return Park(std::move(errand));
  const bool asking = errand->once_at.has_value();
  RedisOperation sent;
  sent.deadline = errand->operation.deadline;
  // What is asked for once may have to be asked for without that.
  sent.pipeline = asking ? errand->operation.pipeline.Asking() : std::move(errand->operation.pipeline);
  const uint64_t moves = moves_[errand->slot];
  sent.done = [this, errand = std::move(errand), from = node.master.endpoint, asking,
               moves](absl::StatusOr<RedisAnswer> answer) mutable {
    OnAnswer(std::move(errand), from, asking, moves, std::move(answer));
  };
  node.connection->Submit(std::move(sent));
}

void ClusterRoute::OnAnswer(ErrandPtr errand, const RedisEndpoint& from, bool asking, uint64_t moves,
                            absl::StatusOr<RedisAnswer> answer) {
  if (!answer.ok()) return Refuse(std::move(errand), std::move(answer).status());
  if (asking) {
    DropAskingReplies(*answer);
    answer->sent = std::move(errand->operation.pipeline);
  }
  errand->once_at.reset();
  HeldAnswer held{std::move(errand), from, moves, *std::move(answer)};
  Node* const node = NodeAt(from);
  if (node == nullptr) return Deliver(std::move(held));
  if (held.answer.silence_nanos > kLongSilence && !node->is_doubted) Doubt(*node);
  node->is_doubted ? node->held.push_back(std::move(held)) : Deliver(std::move(held));
}

void ClusterRoute::Deliver(HeldAnswer held) {
  if (SendOn(held.errand, held.from, held.answer)) return;
  for (const RedisReplyPtr& reply : held.answer.replies) {
    const RedisReplyView view(reply);
    if (view.ErrorCode() != "NOSCRIPT") NoteError(held.from, view);
  }
  held.answer.order = (held.moves << kOrderBits) + ++last_order_;
  std::move(held.errand->operation.done)(std::move(held.answer));
}

bool ClusterRoute::SendOn(ErrandPtr& errand, const RedisEndpoint& from, RedisAnswer& answer) {
  if (closed_ || errand->hops >= kMaxHops) return false;
  bool later = false;
  std::optional<Redirection> elsewhere;
  for (const RedisReplyPtr& reply : answer.replies) {
    const RedisReplyView view(reply);
    if (!view.IsError()) continue;
    later = later || view.ErrorCode() == "TRYAGAIN";
    if (!elsewhere.has_value()) elsewhere = ParseRedirection(view.Text().value_or(""), from);
  }
  if (!elsewhere.has_value() && !later) return false;
  errand->operation.pipeline = std::move(answer.sent);
  if (!elsewhere.has_value()) {
    Park(std::move(errand));
    return true;
  }
  const bool is_known = NodeAt(elsewhere->endpoint) != nullptr;
  // One that is not in the map yet is waited for, until the deadline.
  errand->was_named = true;
  if (is_known) ++errand->hops;
  if (elsewhere->once) {
    errand->once_at = elsewhere->endpoint;
  } else {
    if (const Node* const node = NodeAt(elsewhere->endpoint)) {
      MutexLock lock(&mutex_);
      SetOwner(elsewhere->slot, node->number);
    }
    inquirer_.Ask();
  }
  if (is_known) {
    Send(std::move(errand));
  } else {
    inquirer_.Ask();
    Park(std::move(errand));
  }
  return true;
}

void ClusterRoute::NoteError(const RedisEndpoint& from, RedisReplyView reply) {
  const std::string_view code = reply.ErrorCode();
  // Scripts that were forgotten are loaded with the next connection.
  if (!NeedsNewLogin(code) && code != "NOSCRIPT") return;
  inquirer_.Ask();
  Node* const node = NodeAt(from);
  // A slot that nobody serves says nothing of the node.
  if (node == nullptr || code == "MOVED" || code == "CLUSTERDOWN") return;
  node->connection->Reconnect(std::string(StatusOfReply(reply).message()));
}

void ClusterRoute::Park(ErrandPtr errand) {
  parked_.push_back(std::move(errand));
  ParkLater();
}

void ClusterRoute::ParkLater() {
  if (parked_timer_.first != 0 || parked_.empty()) return;
  parked_timer_ = loop_->AddTimer(clock_->NowNanos() + kParkedFor, [this] {
    parked_timer_ = {};
    SendParked();
  });
}

void ClusterRoute::SendParked() {
  std::deque<ErrandPtr> parked;
  parked.swap(parked_);
  for (ErrandPtr& errand : parked) Send(std::move(errand));
  ParkLater();
}

}  // namespace larder
