// ClusterRoute: which servers there are, and in which life each is.
#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/redis/cluster_route.h"
#include "server/redis/redis_handshake.h"

namespace larder {
namespace {

// Of what a record says of a node: enough to tell all nodes, and all lives, apart.
constexpr size_t kNameDigits = 16;
std::string Digest(std::string_view identity) {
  // FNV-1a, 64 bits: identities are random already.
  uint64_t hash = 14695981039346656037ULL;
  for (char c : identity) hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211ULL;
  return GenerationText(hash);
}

}  // namespace

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
  std::vector<std::unique_ptr<RedisConnection>> gone;
  std::vector<HeldAnswer> stranded;
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
    gone.push_back(std::move(next->second.connection));
    std::move(next->second.held.begin(), next->second.held.end(), std::back_inserter(stranded));
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
  {
    MutexLock lock(&mutex_);
    for (int slot = 0; slot < kHashSlots; ++slot) SetOwner(slot, owners[static_cast<size_t>(slot)]);
  }
  // Last, as it ends operations, which may begin others here.
  RefuseHeld(std::move(stranded));
  for (auto& connection : gone) Retire(std::move(connection));
  Announce();
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
    const bool is_ready = IsReady(node);
    const bool is_back = !std::exchange(node.was_ready, is_ready) && is_ready && !node.judged_as.empty();
    if (is_back && !node.is_doubted) Doubt(node);
  }
  Announce();
  for (auto& [id, node] : nodes_) {
    const bool is_usable = IsUsable(node);
    if (std::exchange(node.was_usable, is_usable) && !is_usable) disconnects_.fetch_add(1);
  }
  Publish();
}

// COHERENCE N5: what is read from a master that nobody listens to must not be kept as if somebody did. One without
// slots may be given some any moment.
void ClusterRoute::Announce() {
  std::vector<MasterLife> lives;
  for (const auto& [id, node] : nodes_) {
    if (node.judged_as.empty() || (node.master.slots.empty() && !IsReady(node))) continue;
    // It is about to be judged in another life.
    if (IsReady(node) && node.judged_as != LifeOf(node)) continue;
    lives.push_back({id, node.master.endpoint, node.judged_as});
  }
  if (lives == announced_) return;
  announced_ = lives;
  // What was not among them for a while is confirmed anew.
  std::erase_if(confirmed_, [&](const MasterLife& life) { return !Contains(lives, life); });
  Publish();
  on_masters_(lives, [this, lives] {
    loop_->Post([this, lives] {
      if (lives != announced_) return;
      confirmed_ = lives;
      OnUsable();
    });
  });
}

void ClusterRoute::OnUsable() {
  for (auto& [id, node] : nodes_) node.was_usable = IsUsable(node);
  Publish();
}

void ClusterRoute::Follow() { inquirer_.Ask(); }

std::string ClusterRoute::PartOf(std::string_view key) const {
  MutexLock lock(&mutex_);
  const auto found = view_.ids.find(owners_[static_cast<size_t>(HashSlotOf(key))]);
  return found == view_.ids.end() ? "" : found->second;
}

// --- The lives that records know ---

RecordedServers ClusterRoute::Servers() const {
  std::vector<std::string> there;
  std::vector<std::string> unknown;
  for (const auto& [id, node] : nodes_) {
    const std::string name = id.substr(0, kNameDigits);
    if (IsReady(node)) {
      there.push_back(absl::StrCat(name, ":", Digest(LifeOf(node)), node.master.slots.empty() ? ":0" : ""));
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
  Lives lives;
  for (const auto& [id, node] : nodes_) {
    if (IsReady(node)) lives[node.number] = LifeOf(node);
  }
  ++judging_;
  for (const std::string& key : control_keys_) {
    Node* const node = Owner(HashSlotOf(key));
    if (node == nullptr || !IsReady(*node)) {
      unjudged_.insert(key);
      continue;
    }
    ++judging_;
    Ensure(*node, key, /*asking=*/false, lives);
  }
  EndJudging(lives);
}

void ClusterRoute::Ensure(const Node& node, const std::string& key, bool asking, const Lives& lives) {
  RedisPipeline pipeline;
  larder::AddEnsure(pipeline, key, Servers(), /*answers=*/false);
  node.connection->Submit({asking ? pipeline.Asking() : std::move(pipeline), DeadlineFor(0),
                           [this, key, asking, lives, from = node.master.endpoint](absl::StatusOr<RedisAnswer> answer) {
                             OnEnsured(key, asking, lives, from, std::move(answer));
                           }});
}

void ClusterRoute::OnEnsured(const std::string& key, bool asking, const Lives& lives, const RedisEndpoint& from,
                             absl::StatusOr<RedisAnswer> answer) {
  if (!answer.ok()) {
    unjudged_.insert(key);
    return EndJudging(lives);
  }
  const RedisReplyView reply(answer->replies.back());
  if (!reply.IsError()) {
    unjudged_.erase(key);
    return EndJudging(lives);
  }
  if (!asking && reply.ErrorCode() == "ASK") {
    const std::optional<Redirection> elsewhere = ParseRedirection(reply.Text().value_or(""), from);
    const Node* const there = elsewhere.has_value() ? NodeAt(elsewhere->endpoint) : nullptr;
    if (there != nullptr && IsReady(*there)) return Ensure(*there, key, /*asking=*/true, lives);
  }
  unjudged_.insert(key);
  NoteError(from, reply);
  EndJudging(lives);
}

void ClusterRoute::EndJudging(const Lives& lives) {
  if (closed_ || --judging_ != 0) return;
  for (auto& [id, node] : nodes_) {
    if (const auto found = lives.find(node.number); found != lives.end()) node.judged_as = found->second;
  }
  Announce();
  OnUsable();
  if (std::exchange(judge_again_, false)) Judge();
}

}  // namespace larder
