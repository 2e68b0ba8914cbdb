// Keeps a connection to Redis, and runs operations on it while there is one.
#ifndef LARDER_SERVER_REDIS_REDIS_CONNECTION_H_
#define LARDER_SERVER_REDIS_REDIS_CONNECTION_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "server/redis/backoff.h"
#include "server/redis/master_finder.h"
#include "server/redis/redis_handshake.h"
#include "server/redis/redis_loop.h"
#include "server/redis/redis_options.h"
#include "server/redis/redis_pipeline.h"
#include "server/redis/redis_reply.h"
#include "server/redis/redis_route.h"
#include "server/redis/redis_session.h"
#include "server/store/store.h"

namespace larder {

// Connects, shakes hands, and connects again when the connection is lost, with growing pauses drawn at random. An
// operation is sent once at most, ends once exactly, and ends with UNAVAILABLE at once while there is no connection.
class RedisConnection final : public RedisRoute, private RedisSession::Listener {
 public:
  // Told, on the loop's thread, that the connection became ready, was lost, or could not be made the first time; and
  // that it cannot be made for a reason that only somebody who changes a configuration can mend.
  using Observer = std::function<void(bool ready, const std::string& what)>;

  // The pointers must outlive the connection; `control_keys` are the control records to keep; `observer` may be empty.
  // `finder`: says before each attempt where Redis is; null if it is where `options` say.
  RedisConnection(RedisLoop* loop, const Clock* clock, const RedisOptions& options,
                  std::vector<std::string> control_keys, Observer observer, MasterFinder* finder = nullptr);
  ~RedisConnection() override;

  void Start() override;
  void Close() override;
  // To the one server that there is.
  void Submit(RedisOperation operation);
  void Submit(std::string_view, RedisOperation operation) override { Submit(std::move(operation)); }
  void SubmitTo(std::string_view, RedisOperation operation) override { Submit(std::move(operation)); }
  OperationDeadline DeadlineFor(int64_t callers_deadline_nanos) const override;
  StoreInfo::State state() const override { return state_.load(); }
  BreakerState breaker() const override;
  int64_t disconnects() const override { return disconnects_.load(); }
  std::string detail() const override;
  std::string address() const override;
  std::string version() const override;
  // Of the server that was last connected to; empty before the first.
  std::string identity() const;
  std::string identity(std::string_view) const override { return identity(); }
  ScriptForm scripts() const override;
  bool is_cluster() const override { return false; }
  std::vector<std::string> parts() const override { return {""}; }
  std::optional<RedisEndpoint> any_server() const override;
  void AddEnsure(RedisPipeline& pipeline, const std::string& control_key) const override;
  void Reconnect(const std::string& reason) override;
  // The finder has found another master: gives up what leads, or would lead, elsewhere, and connects at once.
  void Follow() override;
  // The loop's thread: is an attempt to connect, or to shake hands, under way?
  bool is_trying() const { return trying_.load(); }

 private:
  struct Pending {
    RedisOperation operation;
    RedisAnswer answer;
  };
  using Expiry = std::pair<int64_t, uint64_t>;  // when, which operation

  void OnConnected() override;
  void OnBytes() override;
  void OnReply(uint64_t id, RedisReplyPtr reply) override;
  void OnWritten() override { SendWaiting(); }
  void OnClosed(const std::string& reason) override;

  void Connect();
  void ConnectTo(RedisOptions target);
  void HandshakeStep();
  void BecomeReady();
  void DropSession();
  enum class Retry { kBackOff, kSoon };
  void Lose(const std::string& reason, Retry retry, bool needs_configuration = false);
  void Publish(StoreInfo::State state, std::string detail);
  void Announce(bool ready, const std::string& reason, bool needs_configuration = false);

  absl::Status Reserve(size_t bytes);
  void Begin(RedisOperation operation);
  void SendWaiting();
  bool SendCommand(uint64_t id, std::string_view command);
  void Finish(RedisOperation operation, absl::StatusOr<RedisAnswer> result);
  void FailAll();  // as NotConnected() says
  absl::Status NotConnected() const;
  absl::Status TimedOut(const OperationDeadline& deadline) const;
  void ExpireDue();
  void ArmExpiry();
  void CheckSilence();

  RedisLoop* const loop_;
  const Clock* const clock_;
  const RedisOptions options_;
  const std::string address_;
  const std::vector<std::string> control_keys_;
  const Observer observer_;
  MasterFinder* const finder_;

  std::atomic<StoreInfo::State> state_{StoreInfo::State::kConnecting};
  std::atomic<bool> trying_{false};  // to connect, or to shake hands
  std::atomic<int64_t> disconnects_{0};
  std::atomic<size_t> pending_{0};        // operations accepted and not ended
  std::atomic<size_t> pending_bytes_{0};  // of their commands

  mutable Mutex detail_mutex_;
  std::string detail_ ABSL_GUARDED_BY(detail_mutex_);
  RedisServerFacts facts_ ABSL_GUARDED_BY(detail_mutex_);  // of the last connection's server
  std::string found_at_ ABSL_GUARDED_BY(detail_mutex_);    // the master that was found; empty before
  int64_t not_ready_since_ ABSL_GUARDED_BY(detail_mutex_);

  // The loop's thread alone, from here on.
  bool closed_ = false;
  std::optional<bool> announced_ready_;
  std::string announced_reason_;  // that needs a configuration
  RedisOptions target_;           // of the session
  bool is_finding_ = false;       // the finder owes an answer
  std::unique_ptr<RedisSession> session_;
  std::unique_ptr<RedisHandshake> handshake_;
  ScriptHashes hashes_;
  Backoff backoff_;
  RedisLoop::TimerId connect_timer_{};  // of the connection attempt, or of the pause before it
  RedisLoop::TimerId silence_timer_{};

  uint64_t last_id_ = 0;  // 0 is the handshake's
  std::unordered_map<uint64_t, Pending> operations_;
  std::deque<uint64_t> waiting_;  // accepted but not yet handed to the session; some may have ended since
  std::priority_queue<Expiry, std::vector<Expiry>, std::greater<>> expiries_;  // some may have ended since
  RedisLoop::TimerId expiry_timer_{};

  uint64_t order_ = 0;          // of the last answer
  size_t unanswered_ = 0;       // commands sent on this session without a reply
  int64_t silence_nanos_ = 0;   // how long that was before the last bytes
  int64_t progress_nanos_ = 0;  // since when the oldest of them has waited without a byte from Redis
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_REDIS_CONNECTION_H_
