// Hears of what anybody writes to any master of a Cluster.
#ifndef LARDER_SERVER_REDIS_CLUSTER_TRACKER_H_
#define LARDER_SERVER_REDIS_CLUSTER_TRACKER_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/mutex.h"
#include "server/redis/backoff.h"
#include "server/redis/control_commands.h"
#include "server/redis/own_membership.h"
#include "server/redis/redis_loop.h"
#include "server/redis/redis_options.h"
#include "server/redis/redis_reply.h"
#include "server/redis/store_commands.h"
#include "server/redis/tracked_node.h"
#include "server/redis/tracker.h"

namespace larder {

// COHERENCE N5: as NearTracker does it with one server, N1, N2, S1, S2, but over all masters from which entries are
// read, each with a connection of its own. A renewal is a round: every one of them is asked, and what they answer
// counts once all have answered, from before the first was asked. So whatever was acknowledged by any of them before
// that is known here.
//  * Nothing is read from a master before it is among those (ClusterRoute): an entry that has moved to another is told
//    as gone by the one that had it, as MIGRATE removes it there, and its new place tells of it from then on.
//  * Where the masters change, one begins a new life, or one does not answer, all begins anew: there is one lease for
//    all, so that the entry's node and the control record's have both answered.
//  * A master that the others have replaced may not know that. They elect another in an epoch that most of them know
//    before anything is written to it, so that a round in which not all are in the same epoch renews nothing.
class ClusterTracker final : public Tracker {
 public:
  struct Parts {
    std::function<std::string(std::string_view key)> owner_of;  // the id of the master that has it; any thread
    std::function<void()> look_again;                           // for who has what, soon
    OnUnknown on_unknown;
    OnTrouble on_trouble;
  };

  // The pointers must outlive this.
  ClusterTracker(RedisLoop* loop, const Clock* clock, const RedisOptions& options,
                 const std::map<std::string, NamespaceKeys>* namespaces, OwnMembership* membership, Parts parts);
  ~ClusterTracker() override;

  void Start(NearHolder* holder) override;
  void Close() override;
  void RenewSoon() override;
  void Acknowledge(uint64_t asker, uint64_t round) override;
  void SetMasters(std::vector<MasterLife> masters) override;

  bool tracks() const override { return tracks_.load(); }
  std::string refusal() const override;

 private:
  struct Question {
    enum class Kind { kRole, kClusterInfo, kAsking, kRegistration, kControl };
    Kind kind = Kind::kRole;
    std::string key = {};         // of what is under one
    std::string name_space = {};  // of kControl
    ClockPosition known = {};     // of kControl: what the holder knew
  };
  struct Node {
    MasterLife life;
    std::unique_ptr<TrackedNode> connection;
    std::deque<Question> expected;  // what it has been asked and not answered yet
  };

  void Connect();
  std::unique_ptr<TrackedNode> Open(size_t i);
  void OnReady();
  // A round that only finds out whether one could count.
  void Probe();
  void EndProbe();
  void Begin();
  Node* NodeOf(std::string_view key);
  // At most one round is under way.
  void Renew();
  void RenewNotBefore(int64_t due_nanos);
  void AskItself(Node& node);
  void AskRecords();
  void AskOf(Node& node, RedisPipeline pipeline, Question question);
  void OnPush(RedisReplyView keys);
  void OnAnswer(Node& node, RedisReplyView reply);
  void OnRole(RedisReplyView reply);
  void OnClusterInfo(RedisReplyView reply);
  void OnRegistered(const Question& question, const RedisEndpoint& from, RedisReplyView reply);
  void OnControlRecord(const Question& question, const RedisEndpoint& from, RedisReplyView reply);
  // Whether the answer is that somebody else has the key, who is asked the next time.
  bool IsElsewhere(const Question& question, const RedisEndpoint& from, RedisReplyView reply);
  void EndRound();
  void TakeRound();
  void SetTimer(int64_t due_nanos, void (ClusterTracker::*then)());
  void Drop();
  void Lose();
  void Refuse(const std::string& reason);
  // Whichever of the two an error of Redis asks for.
  void GiveUp(RedisReplyView error);
  void SetRefusal(const std::string& reason);
  void OnSilence() { Lose(); }

  RedisLoop* const loop_;
  const Clock* const clock_;
  const RedisOptions options_;
  const std::map<std::string, NamespaceKeys>& namespaces_;
  OwnMembership& membership_;
  const Parts parts_;

  std::atomic<bool> tracks_{false};
  mutable Mutex refusal_mutex_;
  std::string refusal_ ABSL_GUARDED_BY(refusal_mutex_);

  NearHolder* holder_ = nullptr;
  bool closed_ = false;
  bool told_ = false;  // of the trouble that there is
  std::vector<MasterLife> masters_;
  std::vector<Node> nodes_;      // one for each of them, while there are connections
  std::vector<Node> dropped_;    // to be destroyed when nothing of them can be on the stack
  bool was_registered_ = false;  // since there are connections

  int64_t counted_nanos_ = 0;                                    // when the last round that counted was sent
  std::string last_epoch_;                                       // of the last round
  std::map<std::string, RedisEndpoint, std::less<>> importing_;  // who has a key whose slot is on its way

  // Of the round under way.
  bool renewing_ = false;
  bool probing_ = false;
  bool renew_again_ = false;  // a control record has changed since it was sent
  int64_t sent_nanos_ = 0;
  uint64_t registered_as_ = 0;  // the registration's sequence
  bool registered_ = false;
  bool was_member_ = false;
  bool is_whole_ = false;        // all that has come so far has been taken in
  bool is_of_one_mind_ = false;  // all that have answered so far are in the same epoch
  bool is_elsewhere_ = false;    // something was asked of one that does not have it
  std::string epoch_;            // the Cluster's, as all have said so far; empty: none has
  std::vector<std::pair<std::string, ControlUpdate>> updates_;

  // Who wants to be told, by id, with the last round: of the next renewal, and of the one under way.
  std::map<uint64_t, uint64_t> askers_;
  std::map<uint64_t, uint64_t> promised_;

  Backoff backoff_;
  RedisLoop::TimerId timer_{};
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_CLUSTER_TRACKER_H_
