#include "server/redis/redis_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
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
      connection_(&loop_, clock, options_, ControlKeys(namespaces_),
                  [warn = warn_, inform = std::move(parts.inform)](bool ready, const std::string& what) {
                    if (const auto& tell = ready ? inform : warn) tell(what);
                  }),
      subscriber_(
          &loop_, clock, options_, WakeChannels(namespaces_),
          [this](std::string_view channel, std::string_view entry_key) { TellWaiters(channel, entry_key); },
          [warn = warn_](const std::string& what) {
            if (warn) warn(absl::StrCat("Redis does not tell of loads that end, so callers wait in vain: ", what));
          }),
      news_loop_(clock),
      tracker_(
          &news_loop_, clock, options_, &namespaces_, &membership_, [this] { return connection_.identity(); },
          [this] { loop_.Post([this] { connection_.Reconnect("another connection met another server"); }); },
          [this](const std::string& name) { Inform(holder_.load(), name); },
          [warn = warn_](const std::string& what) {
            if (warn)
              warn(absl::StrCat("Redis does not tell of changed keys, so near entries go by their age: ", what));
          }),
      member_subscriber_(
          &news_loop_, clock, options_,
          {membership_.names.sync_channel, AckChannel(membership_.names, membership_.names.id)},
          [this](std::string_view channel, std::string_view message) { OnMemberMessage(channel, message); },
          [warn = warn_](const std::string& what) {
            if (warn) warn(absl::StrCat("Redis keeps replicas from hearing each other, so STRONG writes wait: ", what));
          }) {}

RedisStore::~RedisStore() { Shutdown(); }

absl::Status RedisStore::Start() {
  if (absl::Status status = loop_.Start(); !status.ok()) return status;
  if (absl::Status status = news_loop_.Start(); !status.ok()) return status;
  connection_.Start();
  loop_.Post([this] { subscriber_.Start(); });
  return absl::OkStatus();
}

void RedisStore::Shutdown() {
  // Refused the second time, which changes nothing.
  news_loop_.Post([this] {
    tracker_.Close();
    member_subscriber_.Close();
  });
  news_loop_.Stop();
  loop_.Post([this] {
    subscriber_.Close();
    connection_.Close();
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
  news_loop_.Post([this, holder] { tracker_.Start(holder); });
}

void RedisStore::Inform(NearHolder* holder, const std::string& name_space) {
  ReadControl(name_space, holder->Known(name_space), 0,
              [this, holder, name_space](absl::StatusOr<ControlUpdate> update) {
                // Without it the next renewal asks again.
                if (!update.ok()) return;
                holder->OnControl(name_space, *update);
                if (holder->Known(name_space).generation != update->generation) return;
                news_loop_.Post([this] { tracker_.RenewSoon(); });
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
  connection_.Submit({PutNoteCommands(**keys, name, text, ttl_nanos), connection_.DeadlineFor(deadline_nanos),
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
  connection_.Submit({GetNoteCommands(**keys, name), connection_.DeadlineFor(deadline_nanos),
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
  // The server is no master any more, or has forgotten who we are: the handshake finds out, and says so.
  if (code == "READONLY" || code == "NOAUTH") connection_.Reconnect(std::string(StatusOfReply(reply).message()));
  if (!IsConfigurationError(code)) return;
  MutexLock lock(&trouble_mutex_);
  trouble_ = std::string(StatusOfReply(reply).message());
  trouble_nanos_ = clock_->NowNanos();
}

StoreInfo RedisStore::Summary() const {
  StoreInfo info;
  info.kind = "redis";
  info.state = connection_.state();
  info.detail = connection_.detail();
  info.disconnects = disconnects();
  info.unreadable_entries = unreadable_.load();
  info.members = members();
  MutexLock lock(&trouble_mutex_);
  if (info.detail.empty() && trouble_nanos_ != 0 && clock_->NowNanos() - trouble_nanos_ < kTroubleShownFor) {
    info.detail = trouble_;
  }
  return info;
}

void RedisStore::Describe(int64_t deadline_nanos, StoreCallback<StoreInfo> done) {
  StoreInfo info = Summary();
  if (info.state != StoreInfo::State::kReady) return std::move(done)(std::move(info));
  const OperationDeadline deadline = connection_.DeadlineFor(deadline_nanos);
  // Alone, so that what is measured is the way there and back, not the work of INFO.
  RedisPipeline ping;
  ping.Add({"PING"});
  connection_.Submit(
      {std::move(ping), deadline, [this, deadline, done = std::move(done)](absl::StatusOr<RedisAnswer> answer) mutable {
         StoreInfo now = Summary();
         if (!answer.ok()) {
           now.detail = std::string(answer.status().message());
           return std::move(done)(std::move(now));
         }
         now.round_trip_micros =
             static_cast<double>(clock_->NowNanos() - answer->sent_nanos) / static_cast<double>(kNanosPerMicro);
         now.redis_version = connection_.facts().version;
         FinishDescribe(std::move(now), deadline, std::move(done));
       }});
}

void RedisStore::FinishDescribe(StoreInfo info, OperationDeadline deadline, StoreCallback<StoreInfo> done) {
  connection_.Submit({DescribeCommands(), deadline,
                      [info = std::move(info), done = std::move(done)](absl::StatusOr<RedisAnswer> answer) mutable {
                        const absl::Status status =
                            answer.ok() ? ParseDescription(answer->replies, info) : answer.status();
                        info.measured = status.ok();
                        if (!status.ok()) info.detail = std::string(status.message());
                        std::move(done)(std::move(info));
                      }});
}

}  // namespace larder
