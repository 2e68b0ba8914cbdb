// Hears of what anybody writes.
#ifndef LARDER_SERVER_REDIS_NEAR_TRACKER_H_
#define LARDER_SERVER_REDIS_NEAR_TRACKER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/mutex.h"
#include "server/redis/backoff.h"
#include "server/redis/change_listener.h"
#include "server/redis/control_commands.h"
#include "server/redis/own_membership.h"
#include "server/redis/redis_handshake.h"
#include "server/redis/redis_loop.h"
#include "server/redis/redis_options.h"
#include "server/redis/redis_reply.h"
#include "server/redis/redis_session.h"
#include "server/redis/store_commands.h"
#include "server/redis/tracker.h"
#include "server/store/store.h"

namespace larder {

// COHERENCE N1, N2: a connection on which Redis says which keys change (broadcast tracking by prefix), and on which the
// control records are read again and again. Redis hands out what it has to say in order, so that once an answer is
// here, so is every change that was acknowledged to anybody before the question was sent. The same questions keep the
// process registered (COHERENCE S1), and once answered are what it acknowledges others' STRONG writes by (S2).
//
// Where Redis refuses to say so, or speaks only the old protocol, replicas tell each other (COHERENCE N6): on a second
// connection, by way of channels. near_tracker_channel.cc is about that alone.
class NearTracker final : public Tracker, private RedisSession::Listener {
 public:
  // The identity of the server that the store itself speaks to. Any thread.
  using StoreIdentity = std::function<std::string()>;
  // The master that was found here is another than that, or may not be the master any more, so that the store had
  // better look again. Seldom.
  using OnOtherServer = std::function<void(const std::string& why)>;
  // Where to connect to, asked before each attempt; nothing if that is not known just now.
  using Where = std::function<std::optional<RedisEndpoint>()>;

  // The pointers and `namespaces` must outlive this. `where`: empty if it is always what `options` say.
  NearTracker(RedisLoop* loop, const Clock* clock, const RedisOptions& options, Where where,
              const std::map<std::string, NamespaceKeys>* namespaces, OwnMembership* membership,
              StoreIdentity store_identity, OnOtherServer on_other_server, OnUnknown on_unknown, OnTrouble on_trouble);
  ~NearTracker() override;

  void Start(NearHolder* holder) override;
  void Close() override;
  void RenewSoon() override;
  void Acknowledge(uint64_t asker, uint64_t round) override;
  // Gives up a connection to another place than Redis is at, and connects again.
  void Follow() override;

  bool tracks() const override { return tracks_.load(); }
  bool by_channel() const override { return by_channel_.load(); }
  std::string refusal() const override;

 private:
  void OnConnected() override;
  void OnBytes() override {}
  void OnReply(uint64_t id, RedisReplyPtr reply) override;
  void OnPush(RedisReplyView push) override;
  void OnWritten() override {}
  void OnClosed(const std::string& reason) override { Lose(reason); }

  void Connect();
  void AskServer();
  void OnServer(RedisReplyPtr reply);
  void BeginTracking();
  void OnScript(Script script, RedisReplyView reply);
  void OnTracking(RedisReplyView reply);
  void Begin();
  // At most one question is under way.
  void Renew();
  void RenewNotBefore(int64_t due_nanos);
  // At whether Redis tells of changes by now, in a session by channels.
  void LookAgain();
  void OnKeyChanged(std::string_view key);
  void OnRenewal(RedisReplyView reply);
  void OnRole(RedisReplyView reply);
  void OnRegistered(RedisReplyView reply);
  void OnControlRecord(const std::string& name_space, ClockPosition known, RedisReplyView reply);
  void EndRenewal();
  void SetTimer(int64_t due_nanos, void (NearTracker::*then)());
  void DropSession();
  void Lose(const std::string& reason);
  void Refuse(const std::string& reason);
  void SetRefusal(const std::string& reason);
  // Whichever of the two an error of Redis asks for.
  void GiveUp(RedisReplyView error);

  // near_tracker_channel.cc
  ChangeListener::Events ListenerEvents();
  // Goes by channels in this session. `why`: empty if that is what was asked for.
  void Listen(const std::string& why);
  void OnPublished(std::string_view channel, std::string_view message);
  void OnListened(const std::string& name_space, ClockPosition known, RedisReplyView reply);
  void OnOwnWord(RedisReplyView reply);
  void TakeListened();
  // If everything has come that says so.
  void EndListened();

  RedisLoop* const loop_;
  const Clock* const clock_;
  const RedisOptions options_;
  const Where where_;
  const std::map<std::string, NamespaceKeys>& namespaces_;
  OwnMembership& membership_;
  const StoreIdentity store_identity_;
  const OnOtherServer on_other_server_;
  const OnUnknown on_unknown_;
  const OnTrouble on_trouble_;

  std::atomic<bool> tracks_{false};
  std::atomic<bool> by_channel_{false};  // in this session
  mutable Mutex refusal_mutex_;
  std::string refusal_ ABSL_GUARDED_BY(refusal_mutex_);

  NearHolder* holder_ = nullptr;
  bool closed_ = false;
  enum class Trouble { kNone, kByChannel, kByAge };
  Trouble told_ = Trouble::kNone;  // the last that was told of
  RedisOptions target_;            // of the session
  std::unique_ptr<RedisSession> session_;
  std::unique_ptr<RedisHandshake> handshake_;
  std::vector<RedisReplyPtr> facts_;  // what the server is, as far as it has answered
  std::string identity_;              // of the session's server
  bool was_registered_ = false;       // in this session
  bool speaks_resp3_ = false;         // in this session
  ScriptHashes hashes_;               // of the scripts that are needed here
  int64_t told_of_other_nanos_ = 0;   // when the store was last told to look again

  // Of the renewal under way.
  bool renewing_ = false;
  bool renew_again_ = false;  // a control record has changed since it was sent
  int64_t sent_nanos_ = 0;
  std::map<std::string, NamespaceKeys>::const_iterator next_;  // whose answer comes next
  enum class Answer { kRole, kRegistration, kControl, kOwnWord, kNone };
  Answer expected_ = Answer::kRole;
  uint64_t registered_as_ = 0;  // the registration's sequence
  bool registered_ = false;
  bool is_whole_ = false;             // it registered, and all that was answered so far has been taken in
  std::vector<ClockPosition> asked_;  // what the holder knew, in the order of the namespaces
  size_t answered_ = 0;

  // Of a session by channels.
  ChangeListener listener_;
  std::map<std::string, uint64_t> marks_;  // by namespace, that of the last renewal that was taken in
  int64_t looked_nanos_ = 0;               // when Redis was last asked whether it tells by itself
  // Of the renewal under way: what the control records said, and whether all before it has been heard.
  std::vector<std::pair<std::string, ControlUpdate>> listened_;
  std::map<std::string, uint64_t> new_marks_;
  bool heard_own_word_ = false;

  // Who wants to be told, by id, with the last round: of the next renewal, and of the one under way.
  std::map<uint64_t, uint64_t> askers_;
  std::map<uint64_t, uint64_t> promised_;

  Backoff backoff_;
  RedisLoop::TimerId timer_{};
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_NEAR_TRACKER_H_
