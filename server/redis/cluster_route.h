// The way to the servers of a Redis Cluster.
#ifndef LARDER_SERVER_REDIS_CLUSTER_ROUTE_H_
#define LARDER_SERVER_REDIS_CLUSTER_ROUTE_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/mutex.h"
#include "server/redis/cluster_map.h"
#include "server/redis/control_record.h"
#include "server/redis/inquirer.h"
#include "server/redis/master_life.h"
#include "server/redis/pending_limit.h"
#include "server/redis/redis_connection.h"
#include "server/redis/redis_loop.h"
#include "server/redis/redis_route.h"

namespace larder {

// A connection to each master. An operation goes to the one that has its key's slot, as far as is known, and is sent on
// where that says that another has it: an answer of that kind says that nothing was done. Which master has what is
// asked once a second, and at once when something turns out to be otherwise.
//
// COHERENCE C3, N5: no master is used before every namespace's control record knows the life that it is in. The records
// name all masters' lives: when one ended, what it had acknowledged may be lost, and a barrier is raised.
class ClusterRoute final : public RedisRoute {
 public:
  using Observer = RedisConnection::Observer;

  // The pointers must outlive this; `control_keys` are the control records to keep; `observer` may be empty, and is
  // told of each master; `on_masters` is called on the loop's thread.
  ClusterRoute(RedisLoop* loop, const Clock* clock, const RedisOptions& options, std::vector<std::string> control_keys,
               Observer observer, OnMasters on_masters);
  ~ClusterRoute() override;

  void Start() override;
  void Close() override;
  void Submit(std::string_view key, RedisOperation operation) override;
  OperationDeadline DeadlineFor(int64_t callers_deadline_nanos) const override;
  // Ready as soon as any master can be used: what the others have is refused, key by key.
  StoreInfo::State state() const override { return state_.load(); }
  BreakerState breaker() const override;
  int64_t disconnects() const override { return disconnects_.load(); }
  std::string detail() const override;
  std::string address() const override;
  std::string version() const override;
  std::string identity(std::string_view key) const override;
  ScriptForm scripts() const override;
  bool is_cluster() const override { return true; }
  // The ids of the masters that have slots.
  std::vector<std::string> parts() const override;
  std::string PartOf(std::string_view key) const override;
  void SubmitTo(std::string_view part, RedisOperation operation) override;
  std::optional<RedisEndpoint> any_server() const override;
  void AddEnsure(RedisPipeline& pipeline, const std::string& control_key) const override;
  // Does nothing: what an answer says of its server is seen here.
  void Reconnect(const std::string&) override {}
  // Looks at once who has what.
  void Follow() override;

 private:
  // An operation on its way.
  struct Errand;
  using ErrandPtr = std::unique_ptr<Errand>;
  struct HeldAnswer;
  struct Node {
    uint32_t number = 0;
    ClusterMaster master;
    std::unique_ptr<RedisConnection> connection;
    std::string judged_as;  // the life that the control records know; empty: none
    bool was_usable = false;
    bool was_ready = false;
    // cluster_route_doubt.cc: others are asked whether it still is what it was, and what it has answered waits for
    // that.
    bool is_doubted = false;
    std::vector<HeldAnswer> held;
  };
  struct Errand {
    int slot = 0;
    PendingLimit::Held held;
    RedisOperation operation;
    int hops = 0;
    bool was_named = false;                     // somebody else to ask, who may not be in the map yet
    std::optional<RedisEndpoint> once_at = {};  // who is to be asked this time only; none: who has the slot
  };
  // An answer that may be that of a master which was replaced.
  struct HeldAnswer {
    ErrandPtr errand;
    RedisEndpoint from;
    uint64_t moves = 0;
    RedisAnswer answer;
  };
  // What other threads may look at.
  struct View {
    std::vector<std::string> parts;
    std::vector<RedisEndpoint> usable;
    std::map<uint32_t, std::string> ids;    // of masters, by number
    std::map<uint32_t, std::string> lives;  // the same
    std::string version;
    ScriptForm scripts;
    std::string detail = "not connected yet";
  };

  // The loop's thread, from here on.
  void OnLoop(RedisLoop::Task task);
  Node* Owner(int slot);
  Node* NodeAt(const RedisEndpoint& endpoint);
  bool IsReady(const Node& node) const;
  // The run id of the process.
  static std::string LifeOf(const Node& node);
  bool IsUsable(const Node& node) const;
  // All that have slots can be used.
  bool IsWhole() const;
  // It may be usable in a moment.
  bool IsStarting(const Node& node) const;

  void Send(ErrandPtr errand);
  void SendBy(Node& node, ErrandPtr errand);
  void OnAnswer(ErrandPtr errand, const RedisEndpoint& from, bool asking, uint64_t moves,
                absl::StatusOr<RedisAnswer> answer);
  void Deliver(HeldAnswer held);
  // False: the answer is not that it is to be done elsewhere, or later.
  bool SendOn(ErrandPtr& errand, const RedisEndpoint& from, RedisAnswer& answer);
  void NoteError(const RedisEndpoint& from, RedisReplyView reply);
  void Park(ErrandPtr errand);
  void SendParked();
  void ParkLater();
  void Refuse(ErrandPtr errand, absl::Status status) const;
  absl::Status NoOwner(int slot) const;

  // What is asked of a node to know all, for TakeMap().
  static RedisPipeline Question();
  std::optional<Inquirer::Refusal> TakeMap(const RedisEndpoint& from, const std::vector<RedisReplyPtr>& replies);
  void OnRound(const absl::Status& status);
  void UseMap(std::vector<ClusterMaster> masters);
  void AddNode(Node& node, const RedisEndpoint& endpoint);
  std::vector<RedisEndpoint> Known() const;
  void Retire(std::unique_ptr<RedisConnection> connection);
  void SetOwner(int slot, uint32_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnNode(bool ready, const std::string& what);

  // Tells from which masters entries are read, if they are others than before.
  void Announce();
  // Some may be usable that were not.
  void OnUsable();

  void Doubt(Node& node);
  void OnSecondOpinion(const std::string& id, const RedisEndpoint& from, absl::StatusOr<RedisAnswer> answer);
  void RefuseHeld(std::vector<HeldAnswer> held) const;

  // Makes sure that the control records know all lives.
  void Judge();
  using Lives = std::map<uint32_t, std::string>;  // of masters, by number
  void Ensure(const Node& node, const std::string& key, bool asking, const Lives& lives);
  void OnEnsured(const std::string& key, bool asking, const Lives& lives, const RedisEndpoint& from,
                 absl::StatusOr<RedisAnswer> answer);
  void EndJudging(const Lives& lives);
  RecordedServers Servers() const;
  void Publish();

  RedisLoop* const loop_;
  const Clock* const clock_;
  const RedisOptions options_;
  const std::vector<std::string> control_keys_;
  const Observer observer_;
  const OnMasters on_masters_;
  PendingLimit limit_;

  std::atomic<StoreInfo::State> state_{StoreInfo::State::kConnecting};
  std::atomic<int64_t> disconnects_{0};
  std::atomic<bool> trying_{false};

  mutable Mutex mutex_;
  std::array<uint32_t, kHashSlots> owners_ ABSL_GUARDED_BY(mutex_) = {};  // masters' numbers; 0: none
  View view_ ABSL_GUARDED_BY(mutex_);

  bool closed_ = false;
  std::map<std::string, Node> nodes_;  // by id
  std::vector<MasterLife> announced_;  // the last that were told of
  std::vector<MasterLife> confirmed_;  // the last that were confirmed
  uint32_t last_number_ = 0;
  std::deque<std::unique_ptr<RedisConnection>> retired_;  // to be destroyed, in this order
  std::map<int, uint64_t> moves_;                         // how often a slot has changed its owner
  uint64_t last_order_ = 0;
  std::deque<ErrandPtr> parked_;
  RedisLoop::TimerId parked_timer_{};
  std::optional<std::vector<ClusterMaster>> found_;     // in this round
  std::optional<std::vector<ClusterMaster>> doubtful_;  // from one that says that the Cluster does not work
  std::set<std::string> unjudged_;                      // control records that do not know all lives yet
  size_t judging_ = 0;                                  // of how many the answer is awaited
  bool judge_again_ = false;
  std::string trouble_;       // why there is no map
  std::string told_trouble_;  // what the observer was last told of it
  Inquirer inquirer_;
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_CLUSTER_ROUTE_H_
