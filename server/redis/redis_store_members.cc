// RedisStore: who else serves near entries (COHERENCE S1, S2).
#include <algorithm>
#include <utility>

#include "server/redis/redis_store.h"

namespace larder {

void RedisStore::Register(MemberTerms terms, StoreCallback<Registration> done) {
  HearMembers();
  // One caller at a time.
  membership_.longest_hold_nanos.store(std::max(membership_.longest_hold_nanos.load(), terms.hold_nanos));
  RedisPipeline commands;
  const uint64_t sequence = ++membership_.sequence;
  AddRegister(commands, membership_.names, route_->identity(membership_.names.record), terms, sequence);
  // Its namespace's control record is none of this script's business, but is there.
  RunScript(ScriptCall{&namespaces_.begin()->second, Script::kRegister, route_->DeadlineFor(0),
                       [this, sequence, done = std::move(done)](absl::StatusOr<ScriptReply> reply) mutable {
                         if (!reply.ok()) return std::move(done)(std::move(reply).status());
                         const absl::StatusOr<RegisterAnswer> answer = ParseRegister(RedisReplyView(reply->reply));
                         if (!answer.ok()) return std::move(done)(answer.status());
                         std::move(done)(membership_.Take(*answer, sequence));
                       },
                       membership_.names.record},
            std::move(commands));
}

void RedisStore::Sync(uint64_t round, StoreCallback<SyncResult> done) {
  HearMembers();
  RunScript(ScriptCall{&namespaces_.begin()->second, Script::kSync, route_->DeadlineFor(0),
                       [this, done = std::move(done)](absl::StatusOr<ScriptReply> reply) mutable {
                         if (!reply.ok()) return std::move(done)(std::move(reply).status());
                         absl::StatusOr<SyncAnswer> answer =
                             ParseSync(RedisReplyView(reply->reply), membership_.names.id);
                         if (!answer.ok()) return std::move(done)(answer.status());
                         membership_.members.store(answer->members);
                         // Others are taken to have the same terms where nobody is there to tell of theirs.
                         answer->result.longest_hold_nanos =
                             std::max({answer->result.longest_hold_nanos, options_.near_lease_nanos,
                                       membership_.longest_hold_nanos.load()});
                         std::move(done)(std::move(answer->result));
                       },
                       membership_.names.record},
            SyncCommands(membership_.names, route_->identity(membership_.names.record), round));
}

void RedisStore::SetSyncListener(SyncListener listener) {
  MutexLock lock(&wake_mutex_);
  sync_listener_ = std::move(listener);
}

void RedisStore::HearMembers() {
  if (hears_members_.exchange(true)) return;
  news_loop_.Post([this] {
    member_subscriber_.Start();
    member_subscriber_started_ = true;
  });
}

void RedisStore::OnMemberMessage(std::string_view channel, std::string_view message) {
  const auto said = ParseRoundMessage(message);
  // Messages may have been lost: whoever waits for them waits no longer than its members' terms say.
  if (!said.has_value()) return;
  const auto& [from, round] = *said;
  if (channel == membership_.names.sync_channel) {
    if (from != membership_.names.id) tracker_->Acknowledge(from, round);
    return;
  }
  SyncListener listener;
  {
    MutexLock lock(&wake_mutex_);
    listener = sync_listener_;
  }
  if (listener) listener(from, round);
}

}  // namespace larder
