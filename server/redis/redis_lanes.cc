#include "server/redis/redis_lanes.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

// `<prefix>:<namespace>:…` or `<prefix>:{<namespace>}:…`: a namespace's name holds no colon. Empty: in none.
std::string_view NamespaceOf(std::string_view key, std::string_view prefix) {
  if (!key.starts_with(prefix) || key.size() <= prefix.size()) return {};
  std::string_view name = key.substr(prefix.size() + 1);
  const size_t end = name.find(':');
  if (end == std::string_view::npos) return {};
  name = name.substr(0, end);
  if (name.size() > 2 && name.front() == '{' && name.back() == '}') name = name.substr(1, name.size() - 2);
  return name;
}

bool IsReady(const RedisConnection& lane) { return lane.state() == StoreInfo::State::kReady; }

}  // namespace

RedisLanes::RedisLanes(RedisLoop* loop, const Clock* clock, const RedisOptions& options,
                       const std::map<std::string, std::string>& control_keys, RedisConnection::Observer observer,
                       MasterFinder* finder)
    : prefix_(options.prefix), observer_(std::move(observer)), limit_(options.max_pending, options.max_pending_bytes) {
  // The first one has what belongs to no namespace, so it comes last in turn.
  const size_t count = std::min(static_cast<size_t>(options.connections), control_keys.size() + 1);
  std::vector<std::vector<std::string>> keys(count);
  size_t turn = 0;
  for (const auto& [name_space, control_key] : control_keys) {
    const size_t lane = ++turn % count;
    shares_.emplace(name_space, lane);
    keys[lane].push_back(control_key);
  }
  for (size_t i = 0; i < count; ++i) {
    lanes_.push_back(std::make_unique<RedisConnection>(
        loop, clock, options, std::move(keys[i]),
        [this, i](bool ready, const std::string& what) { OnLane(i, ready, what); }, finder));
  }
}

RedisConnection& RedisLanes::LaneOf(std::string_view key) const {
  const auto share = shares_.find(NamespaceOf(key, prefix_));
  return share == shares_.end() ? first() : *lanes_[share->second];
}

void RedisLanes::Start() {
  for (const auto& lane : lanes_) lane->Start();
}

void RedisLanes::Close() {
  ready_.store(false);
  for (const auto& lane : lanes_) lane->Close();
}

void RedisLanes::Submit(std::string_view key, RedisOperation operation) { SubmitBy(LaneOf(key), std::move(operation)); }

void RedisLanes::SubmitTo(std::string_view, RedisOperation operation) { SubmitBy(first(), std::move(operation)); }

void RedisLanes::SubmitBy(RedisConnection& lane, RedisOperation operation) {
  if (!ready_.load()) {
    return std::move(operation.done)(
        absl::UnavailableError(absl::StrCat("Redis at ", address(), " is not available: ", detail())));
  }
  absl::StatusOr<PendingLimit::Held> held = limit_.Take(operation.pipeline.bytes());
  if (!held.ok()) return std::move(operation.done)(std::move(held).status());
  operation.done = [held = *std::move(held), done = std::move(operation.done)](auto answer) mutable {
    held = {};  // what comes next of it counts for itself
    std::move(done)(std::move(answer));
  };
  lane.Submit(std::move(operation));
}

OperationDeadline RedisLanes::DeadlineFor(int64_t callers_deadline_nanos) const {
  return first().DeadlineFor(callers_deadline_nanos);
}

// Before anything is sent by a lane that has become ready, and before what was under way by one that is lost has ended.
void RedisLanes::OnLane(size_t lane, bool ready, const std::string& what) {
  if (!ready) {
    if (ready_.exchange(false)) disconnects_.fetch_add(1);
    return is_mending_ ? void() : Tell(false, what);
  }
  // The newest knows best where Redis is. Or it is the same server, which calls its data otherwise by now.
  const std::string identity = lanes_[lane]->identity();
  is_mending_ = true;
  for (const auto& other : lanes_) {
    if (other->identity() != identity) other->Reconnect("another of its connections leads to another server");
  }
  is_mending_ = false;
  if (!std::all_of(lanes_.begin(), lanes_.end(), [](const auto& each) { return IsReady(*each); })) return;
  {
    MutexLock lock(&mutex_);
    identity_ = identity;
  }
  ready_.store(true);
  Tell(true, what);
}

// Each turn of fortune once, and each reason that is another.
void RedisLanes::Tell(bool ready, const std::string& what) {
  if (!observer_ || (told_ready_ == ready && told_ == what)) return;
  told_ready_ = ready;
  told_ = what;
  observer_(ready, what);
}

StoreInfo::State RedisLanes::state() const {
  if (ready_.load()) return StoreInfo::State::kReady;
  const bool any_down = std::any_of(lanes_.begin(), lanes_.end(),
                                    [](const auto& lane) { return lane->state() == StoreInfo::State::kDown; });
  return any_down ? StoreInfo::State::kDown : StoreInfo::State::kConnecting;
}

BreakerState RedisLanes::breaker() const {
  if (ready_.load()) return BreakerState::kClosed;
  const bool any_tries = std::any_of(lanes_.begin(), lanes_.end(), [](const auto& lane) { return lane->is_trying(); });
  return any_tries ? BreakerState::kHalfOpen : BreakerState::kOpen;
}

std::string RedisLanes::detail() const {
  if (ready_.load()) return {};
  for (const auto& lane : lanes_) {
    if (std::string detail = lane->detail(); !detail.empty()) return detail;
  }
  return "not connected yet";
}

std::string RedisLanes::identity(std::string_view) const {
  MutexLock lock(&mutex_);
  return identity_;
}

void RedisLanes::AddEnsure(RedisPipeline& pipeline, const std::string& control_key) const {
  LaneOf(control_key).AddEnsure(pipeline, control_key);
}

void RedisLanes::Reconnect(const std::string& reason) {
  for (const auto& lane : lanes_) lane->Reconnect(reason);
}

void RedisLanes::Follow() {
  for (const auto& lane : lanes_) lane->Follow();
}

}  // namespace larder
