#include "server/redis/redis_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/redis/cluster_route.h"
#include "server/redis/cluster_tracker.h"
#include "server/redis/near_tracker.h"
#include "server/redis/redis_connection.h"
#include "server/redis/redis_lanes.h"
#include "server/store/random_bits.h"

namespace larder {
namespace {

// How long Describe goes on telling of an error that a configuration caused.
constexpr int64_t kTroubleShownFor = 60 * kNanosPerSecond;

std::map<std::string, NamespaceKeys> AllKeys(const RedisStore::Parts& parts) {
  std::map<std::string, NamespaceKeys> all;
  for (const std::string& name : parts.namespaces) all.emplace(name, KeysOf(parts.options.prefix, name));
  return all;
}

std::vector<std::string> ControlKeys(const std::map<std::string, NamespaceKeys>& namespaces) {
  std::vector<std::string> keys;
  for (const auto& [name, name_space] : namespaces) keys.push_back(name_space.control);
  return keys;
}

std::vector<std::string> WakeChannels(const std::map<std::string, NamespaceKeys>& namespaces) {
  std::vector<std::string> channels;
  for (const auto& [name, name_space] : namespaces) channels.push_back(name_space.wake_channel);
  return channels;
}

}  // namespace

RedisStore::RedisStore(const Clock* clock, Parts parts)
    : clock_(clock),
      options_(parts.options),
      warn_(std::move(parts.warn)),
      namespaces_(AllKeys(parts)),
      membership_{.names = MemberNamesOf(options_.prefix, RandomNonZeroBits())},
      loop_(clock),
      finder_(MakeFinder()),
      route_(MakeRoute(std::move(parts.inform))),
      subscriber_(
          &loop_, clock, options_, Where(), WakeChannels(namespaces_),
          [this](std::string_view channel, std::string_view entry_key) { TellWaiters(channel, entry_key); },
          [warn = warn_](const std::string& what) {
            if (warn) warn(absl::StrCat("Redis does not tell of loads that end, so callers wait in vain: ", what));
          }),
      news_loop_(clock),
      tracker_(MakeTracker()),
      member_subscriber_(
          &news_loop_, clock, options_, Where(),
          {membership_.names.sync_channel, AckChannel(membership_.names, membership_.names.id)},
          [this](std::string_view channel, std::string_view message) { OnMemberMessage(channel, message); },
          [warn = warn_](const std::string& what) {
            if (warn) warn(absl::StrCat("Redis keeps replicas from hearing each other, so STRONG writes wait: ", what));
          }) {}

RedisStore::~RedisStore() { Shutdown(); }

std::unique_ptr<MasterFinder> RedisStore::MakeFinder() {
  if (options_.sentinels.empty()) return nullptr;
  return std::make_unique<MasterFinder>(
      &loop_, clock_, options_, [this] { Follow(); },
      [warn = warn_](const std::string& what) {
        if (warn) warn(what);
      });
}

std::unique_ptr<RedisRoute> RedisStore::MakeRoute(std::function<void(std::string_view)> inform) {
  auto observer = [warn = warn_, inform = std::move(inform)](bool ready, const std::string& what) {
    if (const auto& tell = ready ? inform : warn) tell(what);
  };
  if (!options_.cluster.empty()) {
    return std::make_unique<ClusterRoute>(
        &loop_, clock_, options_, ControlKeys(namespaces_), std::move(observer),
        [this](std::vector<MasterLife> masters, std::function<void()> confirm) { OnMastersOf(masters, confirm); });
  }
  if (options_.connections == 1) {
    return std::make_unique<RedisConnection>(&loop_, clock_, options_, ControlKeys(namespaces_), std::move(observer),
                                             finder_.get());
  }
  std::map<std::string, std::string> control_keys;
  for (const auto& [name, name_space] : namespaces_) control_keys.emplace(name, name_space.control);
  return std::make_unique<RedisLanes>(&loop_, clock_, options_, control_keys, std::move(observer), finder_.get());
}

std::unique_ptr<Tracker> RedisStore::MakeTracker() {
  const auto on_unknown = [this](const std::string& name) { Inform(holder_.load(), name); };
  const auto on_trouble = [warn = warn_](const std::string& what) {
    if (warn) warn(what);
  };
  if (route_->is_cluster()) {
    return std::make_unique<ClusterTracker>(
        &news_loop_, clock_, options_, &namespaces_, &membership_,
        ClusterTracker::Parts{.owner_of = [this](std::string_view key) { return route_->PartOf(key); },
                              .look_again = [this] { loop_.Post([this] { route_->Follow(); }); },
                              .on_unknown = on_unknown,
                              .on_trouble = on_trouble});
  }
  return std::make_unique<NearTracker>(
      &news_loop_, clock_, options_, Where(), &namespaces_, &membership_, [this] { return route_->identity(""); },
      [this](const std::string& why) { loop_.Post([this, why] { route_->Reconnect(why); }); }, on_unknown, on_trouble);
}

void RedisStore::OnMastersOf(const std::vector<MasterLife>& masters, const std::function<void()>& confirm) {
  subscriber_.Follow();
  news_loop_.Post([this, masters, confirm] {
    tracker_->SetMasters(masters);
    if (member_subscriber_started_) member_subscriber_.Follow();
    confirm();
  });
}

std::function<std::optional<RedisEndpoint>()> RedisStore::Where() const {
  if (finder_ == nullptr && !route_->is_cluster()) return nullptr;
  return [this] { return route_->any_server(); };
}

// The old master may go on taking writes that are lost when it is told whom to follow.
void RedisStore::Follow() {
  route_->Follow();
  subscriber_.Follow();
  news_loop_.Post([this] {
    tracker_->Follow();
    if (member_subscriber_started_) member_subscriber_.Follow();
  });
}

absl::Status RedisStore::Start() {
  if (absl::Status status = loop_.Start(); !status.ok()) return status;
  if (absl::Status status = news_loop_.Start(); !status.ok()) return status;
  if (finder_ != nullptr) loop_.Post([this] { finder_->Start(); });
  route_->Start();
  loop_.Post([this] { subscriber_.Start(); });
  return absl::OkStatus();
}

void RedisStore::Shutdown() {
  // Refused the second time, which changes nothing.
  news_loop_.Post([this] {
    tracker_->Close();
    member_subscriber_.Close();
  });
  news_loop_.Stop();
  loop_.Post([this] {
    subscriber_.Close();
    route_->Close();
    if (finder_ != nullptr) finder_->Close();
  });
  loop_.Stop();
}

absl::StatusOr<const NamespaceKeys*> RedisStore::Find(const std::string& name_space) const {
  auto found = namespaces_.find(name_space);
  if (found != namespaces_.end()) return &found->second;
  return absl::InternalError(absl::StrCat("the store was not told of namespace \"", name_space, "\""));
}

absl::Status RedisStore::ErrorOf(RedisReplyView reply) {
  NoteError(reply);
  return StatusOfReply(reply);
}

void RedisStore::SetWakeListener(WakeListener listener) {
  MutexLock lock(&wake_mutex_);
  wake_listener_ = std::move(listener);
}

void RedisStore::SetNearHolder(NearHolder* holder) {
  holder_.store(holder);
  HearMembers();
  news_loop_.Post([this, holder] { tracker_->Start(holder); });
}

void RedisStore::Inform(NearHolder* holder, const std::string& name_space) {
  ReadControl(name_space, holder->Known(name_space), 0,
              [this, holder, name_space](absl::StatusOr<ControlUpdate> update) {
                // Without it the next renewal asks again.
                if (!update.ok()) return;
                holder->OnControl(name_space, *update);
                if (holder->Known(name_space).generation != update->generation) return;
                news_loop_.Post([this] { tracker_->RenewSoon(); });
              });
}

void RedisStore::TellWaiters(std::string_view channel, std::string_view entry_key) {
  WakeListener listener;
  {
    MutexLock lock(&wake_mutex_);
    listener = wake_listener_;
  }
  if (!listener) return;
  if (channel.empty()) return listener("", "");
  for (const auto& [name, name_space] : namespaces_) {
    if (name_space.wake_channel != channel) continue;
    if (entry_key.empty()) {
      listener(name, "");
    } else if (entry_key.starts_with(name_space.entry_prefix)) {
      listener(name, entry_key.substr(name_space.entry_prefix.size()));
    }
  }
}

void RedisStore::PutNote(std::string name_space, std::string name, std::string text, int64_t ttl_nanos,
                         int64_t deadline_nanos, StoreCallback<bool> done) {
  absl::StatusOr<const NamespaceKeys*> keys = Find(name_space);
  if (!keys.ok()) return std::move(done)(std::move(keys).status());
  route_->Submit((*keys)->note_prefix + name,
                 {PutNoteCommands(**keys, name, text, ttl_nanos), route_->DeadlineFor(deadline_nanos),
                  [this, done = std::move(done)](absl::StatusOr<RedisAnswer> answer) mutable {
                    if (!answer.ok()) return std::move(done)(std::move(answer).status());
                    const RedisReplyView reply(answer->replies[0]);
                    if (reply.IsError()) return std::move(done)(ErrorOf(reply));
                    std::move(done)(true);
                  }});
}

void RedisStore::GetNote(std::string name_space, std::string name, int64_t deadline_nanos,
                         StoreCallback<std::optional<std::string>> done) {
  absl::StatusOr<const NamespaceKeys*> keys = Find(name_space);
  if (!keys.ok()) return std::move(done)(std::move(keys).status());
  route_->Submit((*keys)->note_prefix + name,
                 {GetNoteCommands(**keys, name), route_->DeadlineFor(deadline_nanos),
                  [this, done = std::move(done)](absl::StatusOr<RedisAnswer> answer) mutable {
                    if (!answer.ok()) return std::move(done)(std::move(answer).status());
                    const RedisReplyView reply(answer->replies[0]);
                    if (reply.IsError() && reply.ErrorCode() != "WRONGTYPE") return std::move(done)(ErrorOf(reply));
                    std::optional<std::string> text;
                    if (!reply.IsError() && reply.Text().has_value()) text = std::string(*reply.Text());
                    std::move(done)(std::move(text));
                  }});
}

void RedisStore::NoteError(RedisReplyView reply) {
  const std::string_view code = reply.ErrorCode();
  // The server is no master any more, perhaps (COHERENCE N1), has forgotten who we are, or is of no use: the handshake
  // finds out, and says so.
  const bool may_be_replaced = finder_ != nullptr && code == "NOREPLICAS";
  if (NeedsNewLogin(code) || may_be_replaced) route_->Reconnect(std::string(StatusOfReply(reply).message()));
  if (!IsConfigurationError(code)) return;
  MutexLock lock(&trouble_mutex_);
  trouble_ = std::string(StatusOfReply(reply).message());
  trouble_nanos_ = clock_->NowNanos();
}

StoreInfo RedisStore::Summary() const {
  StoreInfo info;
  info.kind = "redis";
  info.state = route_->state();
  info.detail = route_->detail();
  info.disconnects = disconnects();
  info.unreadable_entries = unreadable_.load();
  info.members = members();
  info.address = route_->address();
  if (info.state != StoreInfo::State::kReady && finder_ != nullptr && !finder_->doubt().empty()) {
    info.detail = absl::StrCat(info.detail, "; ", finder_->doubt());
  }
  MutexLock lock(&trouble_mutex_);
  if (info.detail.empty() && trouble_nanos_ != 0 && clock_->NowNanos() - trouble_nanos_ < kTroubleShownFor) {
    info.detail = trouble_;
  }
  return info;
}

std::vector<std::string> RedisStore::Advice(const StoreInfo& info) const {
  std::vector<std::string> advice;
  const bool evicts_records = info.eviction_policy.starts_with("allkeys-");
  const bool is_bounded = info.max_memory_bytes != 0;
  const int64_t lost = lost_records_.load();
  if (is_bounded && evicts_records) {
    advice.push_back(
        absl::StrCat("Redis' maxmemory-policy ", info.eviction_policy,
                     " may evict a namespace's control record, and every entry of the namespace is then a miss (", lost,
                     " operations of this server found it gone): set volatile-lru or volatile-lfu"));
  } else if (is_bounded && info.eviction_policy == "noeviction") {
    advice.push_back(
        "Redis' maxmemory-policy noeviction refuses what is to be stored once memory is full: set volatile-lru or "
        "volatile-lfu");
  } else if (lost != 0) {
    advice.push_back(absl::StrCat(lost,
                                  " operations of this server found a namespace's control record gone from Redis, ",
                                  "which makes every entry of the namespace a miss: see who deletes it"));
  }
  if (finder_ != nullptr && !finder_->doubt().empty()) advice.push_back(finder_->doubt());
  if (std::string news = CoherenceAdvice(); !news.empty()) advice.push_back(std::move(news));
  return advice;
}

// What the servers say of themselves, one after the other.
struct RedisStore::Description {
  StoreInfo info;
  std::vector<std::string> parts;
  size_t next = 0;
  OperationDeadline deadline;
  StoreCallback<StoreInfo> done;
};

std::string RedisStore::CoherenceAdvice() const {
  const std::string refusal = tracker_->refusal();
  if (refusal.empty()) return {};
  if (tracker_->by_channel()) {
    return absl::StrCat(refusal,
                        ": what others than Larder write, and what Redis evicts, is not noticed in near tiers; use ",
                        "Redis 6 or later, and let the ACL user run client|tracking");
  }
  return absl::StrCat(refusal, ", and each is read again after near_max_age: let the ACL user run client|tracking and ",
                      "role, and use the channels under the prefix");
}

void RedisStore::Describe(int64_t deadline_nanos, StoreCallback<StoreInfo> done) {
  StoreInfo info = Summary();
  if (info.state != StoreInfo::State::kReady) return std::move(done)(std::move(info));
  const OperationDeadline deadline = route_->DeadlineFor(deadline_nanos);
  // Alone, so that what is measured is the way there and back, not the work of INFO.
  RedisPipeline ping;
  ping.Add({"PING"});
  const std::vector<std::string> parts = route_->parts();
  route_->SubmitTo(
      parts.empty() ? "" : parts.front(),
      {std::move(ping), deadline, [this, deadline, done = std::move(done)](absl::StatusOr<RedisAnswer> answer) mutable {
         StoreInfo now = Summary();
         if (!answer.ok()) {
           now.detail = std::string(answer.status().message());
           return std::move(done)(std::move(now));
         }
         now.round_trip_micros =
             static_cast<double>(clock_->NowNanos() - answer->sent_nanos) / static_cast<double>(kNanosPerMicro);
         now.redis_version = route_->version();
         now.measured = true;
         DescribeNext(
             std::make_unique<Description>(Description{std::move(now), route_->parts(), 0, deadline, std::move(done)}));
       }});
}

void RedisStore::DescribeNext(std::unique_ptr<Description> description) {
  if (description->next == description->parts.size()) {
    description->info.advice = Advice(description->info);
    return std::move(description->done)(std::move(description->info));
  }
  const std::string part = description->parts[description->next++];
  const OperationDeadline deadline = description->deadline;
  route_->SubmitTo(part, {DescribeCommands(), deadline,
                          [this, description = std::move(description)](absl::StatusOr<RedisAnswer> answer) mutable {
                            StoreInfo& info = description->info;
                            const absl::Status status =
                                answer.ok() ? AddDescription(answer->replies, info) : answer.status();
                            info.measured = info.measured && status.ok();
                            if (!status.ok()) info.detail = std::string(status.message());
                            DescribeNext(std::move(description));
                          }});
}

}  // namespace larder
