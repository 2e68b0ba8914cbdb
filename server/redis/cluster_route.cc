#include "server/redis/cluster_route.h"

#include <algorithm>
#include <cassert>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/redis/control_record.h"

namespace larder {
namespace {

// How often an operation is sent on before it is given up: slots do not move faster.
constexpr int kMaxHops = 8;
// Before what waits for a node, or for a slot that is on its way, is tried again.
constexpr int64_t kParkedFor = 5 * kNanosPerMilli;
// How often it is asked which masters there are and what they have; and while one is away whose place another may take.
constexpr int64_t kBetweenLooks = kNanosPerSecond;
constexpr int64_t kBetweenLooksForLost = 200 * kNanosPerMilli;
// Answers of one owner of a slot come before all those of the next.
constexpr int kOrderBits = 44;

RedisPipeline Question() {
  RedisPipeline pipeline;
  pipeline.Add({"CLUSTER", "INFO"}).Add({"CLUSTER", "NODES"});
  return pipeline;
}

// Of what a record says of a node: enough to tell all nodes, and all lives, apart.
constexpr size_t kNameDigits = 16;
std::string Digest(std::string_view identity) {
  // FNV-1a, 64 bits: identities are random already.
  uint64_t hash = 14695981039346656037ULL;
  for (char c : identity) hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211ULL;
  return GenerationText(hash);
}

// An answer to what was asked with ASKING before each command.
void DropAskingReplies(RedisAnswer& answer) {
  std::vector<RedisReplyPtr> replies;
  for (size_t i = 1; i < answer.replies.size(); i += 2) replies.push_back(std::move(answer.replies[i]));
  answer.replies = std::move(replies);
}

}  // namespace

ClusterRoute::ClusterRoute(RedisLoop* loop, const Clock* clock, const RedisOptions& options,
                           std::vector<std::string> control_keys, Observer observer)
    : loop_(loop),
      clock_(clock),
      options_(options),
      control_keys_(std::move(control_keys)),
      observer_(std::move(observer)),
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
  const auto found = view_.identities.find(owners_[static_cast<size_t>(HashSlotOf(key))]);
  return found == view_.identities.end() ? "" : found->second;
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
    view.identities[node.number] = node.connection->identity();
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
  auto errand = std::make_unique<Errand>(Errand{.slot = HashSlotOf(key), .operation = std::move(operation)});
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
    if (node.master.endpoint == endpoint) return &node;
  }
  return nullptr;
}

bool ClusterRoute::IsReady(const Node& node) const { return node.connection->state() == StoreInfo::State::kReady; }

bool ClusterRoute::IsUsable(const Node& node) const {
  if (!IsReady(node) || node.judged_as.empty() || node.judged_as != node.connection->identity()) return false;
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
  if (errand->hops > 0) return Park(std::move(errand));
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
  if (SendOn(errand, from, *answer)) return;
  for (const RedisReplyPtr& reply : answer->replies) {
    const RedisReplyView view(reply);
    if (view.ErrorCode() != "NOSCRIPT") NoteError(from, view);
  }
  answer->order = (moves << kOrderBits) + ++last_order_;
  std::move(errand->operation.done)(std::move(answer));
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
  ++errand->hops;
  if (elsewhere->once) {
    errand->once_at = elsewhere->endpoint;
  } else {
    if (const Node* const node = NodeAt(elsewhere->endpoint)) SetOwner(elsewhere->slot, node->number);
    inquirer_.Ask();
  }
  if (NodeAt(elsewhere->endpoint) != nullptr) {
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
  if (parked_.size() >= options_.max_pending) {
    return Refuse(std::move(errand), absl::ResourceExhaustedError(absl::StrCat("the limit of ", options_.max_pending,
                                                                               " operations waiting for Redis is "
                                                                               "reached")));
  }
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

// --- The servers ---

std::vector<RedisEndpoint> ClusterRoute::Known() const {
  std::vector<RedisEndpoint> known;
  for (const auto& [id, node] : nodes_) {
    if (IsReady(node)) known.push_back(node.master.endpoint);
  }
  for (const auto& [id, node] : nodes_) {
    if (!IsReady(node)) known.push_back(node.master.endpoint);
  }
  for (const RedisEndpoint& seed : options_.cluster) {
    if (std::find(known.begin(), known.end(), seed) == known.end()) known.push_back(seed);
  }
  return known;
}

std::optional<Inquirer::Refusal> ClusterRoute::TakeMap(const RedisEndpoint& from,
                                                       const std::vector<RedisReplyPtr>& replies) {
  for (const RedisReplyPtr& reply : replies) {
    const RedisReplyView view(reply);
    if (!view.IsError()) continue;
    // As Redis says it that runs alone.
    if (view.ErrorCode() == "ERR") {
      return Inquirer::Refusal{"it does not run as a Cluster; write redis:// in the URL", true};
    }
    return Inquirer::Refusal{std::string(StatusOfReply(view).message()), IsConfigurationError(view.ErrorCode())};
  }
  std::optional<std::vector<ClusterMaster>> masters =
      ParseClusterNodes(RedisReplyView(replies[1]).Text().value_or(""), from, options_.tls.enabled);
  if (!masters.has_value()) return Inquirer::Refusal{"it does not say which nodes there are"};
  const bool any =
      std::any_of(masters->begin(), masters->end(), [](const ClusterMaster& master) { return !master.slots.empty(); });
  if (!any) return Inquirer::Refusal{"no node of the Cluster has slots"};
  const std::string_view info = RedisReplyView(replies[0]).Text().value_or("");
  if (InfoField(info, "cluster_state").value_or("") != "ok") {
    // It may be cut off from the others, which may have moved on.
    doubtful_ = std::move(masters);
    return Inquirer::Refusal{"it says that the Cluster does not work"};
  }
  found_ = std::move(masters);
  return std::nullopt;
}

void ClusterRoute::OnRound(const absl::Status& status) {
  std::optional<std::vector<ClusterMaster>> found = std::exchange(found_, std::nullopt);
  std::optional<std::vector<ClusterMaster>> doubtful = std::exchange(doubtful_, std::nullopt);
  if (!found.has_value()) found = std::move(doubtful);
  trouble_ = found.has_value() ? "" : std::string(status.message());
  if (found.has_value()) {
    UseMap(*std::move(found));
    return Judge();
  }
  if (nodes_.empty()) {
    state_.store(StoreInfo::State::kDown);
    if (observer_ && std::exchange(told_trouble_, trouble_) != trouble_) {
      observer_(false, absl::StrCat("no connection to Redis at ", address(), ": ", trouble_));
    }
  }
  Publish();
}

void ClusterRoute::UseMap(std::vector<ClusterMaster> masters) {
  for (auto next = nodes_.begin(); next != nodes_.end();) {
    const auto same = std::find_if(masters.begin(), masters.end(), [&](const ClusterMaster& master) {
      return master.id == next->first && master.endpoint == next->second.master.endpoint;
    });
    if (same != masters.end()) {
      ++next;
      continue;
    }
    // COHERENCE C3: a master no more, or elsewhere. If it is one again, it is so in another life.
    if (next->second.was_usable) disconnects_.fetch_add(1);
    Retire(std::move(next->second.connection));
    next = nodes_.erase(next);
  }
  std::array<uint32_t, kHashSlots> owners{};
  for (ClusterMaster& master : masters) {
    Node& node = nodes_[master.id];
    if (node.connection == nullptr) AddNode(node, master.endpoint);
    for (const auto& [first, last] : master.slots) {
      std::fill(owners.begin() + first, owners.begin() + last + 1, node.number);
    }
    node.master = std::move(master);
  }
  for (int slot = 0; slot < kHashSlots; ++slot) SetOwner(slot, owners[static_cast<size_t>(slot)]);
}

void ClusterRoute::AddNode(Node& node, const RedisEndpoint& endpoint) {
  node.number = ++last_number_;
  node.connection =
      std::make_unique<RedisConnection>(loop_, clock_, OptionsFor(options_, endpoint), std::vector<std::string>(),
                                        [this](bool ready, const std::string& what) { OnNode(ready, what); });
  node.connection->Start();
}

void ClusterRoute::Retire(std::unique_ptr<RedisConnection> connection) {
  connection->Close();
  retired_.push_back(std::move(connection));
  // What it has posted runs before this.
  loop_->Post([this] {
    if (!closed_) retired_.pop_front();
  });
}

void ClusterRoute::SetOwner(int slot, uint32_t number) {
  MutexLock lock(&mutex_);
  uint32_t& owner = owners_[static_cast<size_t>(slot)];
  if (owner == number) return;
  if (owner != 0) ++moves_[slot];
  owner = number;
}

void ClusterRoute::OnNode(bool ready, const std::string& what) {
  if (observer_) observer_(ready, what);
  // Who is a master now, and since when.
  inquirer_.Ask();
  for (auto& [id, node] : nodes_) {
    const bool is_usable = IsUsable(node);
    if (std::exchange(node.was_usable, is_usable) && !is_usable) disconnects_.fetch_add(1);
  }
  Publish();
}

// --- The lives that records know ---

RecordedServers ClusterRoute::Servers() const {
  std::vector<std::string> there;
  std::vector<std::string> unknown;
  for (const auto& [id, node] : nodes_) {
    const std::string name = id.substr(0, kNameDigits);
    if (IsReady(node)) {
      there.push_back(absl::StrCat(name, ":", Digest(node.connection->identity())));
    } else if (!node.master.slots.empty()) {
      // One that has lost its slots to another is not waited for.
      unknown.push_back(name);
    }
  }
  MutexLock lock(&mutex_);
  // Whoever will have those slots is not known either.
  if (std::find(owners_.begin(), owners_.end(), 0u) != owners_.end()) unknown.emplace_back("?");
  return {absl::StrJoin(there, ","), absl::StrJoin(unknown, ",")};
}

void ClusterRoute::AddEnsure(RedisPipeline& pipeline, const std::string& control_key) const {
  larder::AddEnsure(pipeline, control_key, Servers());
}

// Right after the map was found, so that what looks lost is not only what was not heard of yet.
void ClusterRoute::Judge() {
  if (judging_ != 0) {
    judge_again_ = true;
    return;
  }
  std::map<std::string, std::string> lives;
  for (const auto& [id, node] : nodes_) {
    if (IsReady(node)) lives[id] = node.connection->identity();
  }
  ++judging_;
  for (const std::string& key : control_keys_) {
    Node* const node = Owner(HashSlotOf(key));
    if (node == nullptr || !IsReady(*node)) {
      unjudged_.insert(key);
      continue;
    }
    ++judging_;
    RedisPipeline pipeline;
    AddEnsure(pipeline, key);
    node->connection->Submit({std::move(pipeline), DeadlineFor(0),
                              [this, key, lives, from = node->master.endpoint](absl::StatusOr<RedisAnswer> answer) {
                                const bool answered = answer.ok();
                                if (answered && !RedisReplyView(answer->replies.back()).IsError()) {
                                  unjudged_.erase(key);
                                } else {
                                  unjudged_.insert(key);
                                  if (answered) NoteError(from, RedisReplyView(answer->replies.back()));
                                }
                                EndJudging(lives);
                              }});
  }
  EndJudging(lives);
}

void ClusterRoute::EndJudging(const std::map<std::string, std::string>& lives) {
  if (closed_ || --judging_ != 0) return;
  for (const auto& [id, life] : lives) {
    const auto found = nodes_.find(id);
    if (found != nodes_.end()) found->second.judged_as = life;
  }
  for (auto& [id, node] : nodes_) node.was_usable = IsUsable(node);
  Publish();
  if (std::exchange(judge_again_, false)) Judge();
}

}  // namespace larder
