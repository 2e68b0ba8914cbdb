// One server of several that tell of changes.
#ifndef LARDER_SERVER_REDIS_TRACKED_NODE_H_
#define LARDER_SERVER_REDIS_TRACKED_NODE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/redis/redis_handshake.h"
#include "server/redis/redis_loop.h"
#include "server/redis/redis_options.h"
#include "server/redis/redis_pipeline.h"
#include "server/redis/redis_reply.h"
#include "server/redis/redis_session.h"
#include "server/redis/store_commands.h"

namespace larder {

// A connection to one master, in a life that is known, on which that says which keys change (COHERENCE N2), and
// answers. Belongs to the loop's thread. It must be closed before it is destroyed, and not be destroyed by what it
// tells.
class TrackedNode final : private RedisSession::Listener {
 public:
  struct Events {
    // From now on it tells of changes, and may be asked.
    std::function<void()> on_ready;
    std::function<void(RedisReplyView)> on_push;
    // For each command of Ask(), in order.
    std::function<void(RedisReplyView)> on_answer;
    // Once: nothing comes after it, but that it is to be closed. `refused`: another try would come to the same.
    std::function<void(const std::string& reason, bool refused)> on_lost;
  };

  // The pointers must outlive this. `options` are those for this server; `life`: the run id that it must have.
  TrackedNode(RedisLoop* loop, const RedisOptions& options, std::string life,
              const std::map<std::string, NamespaceKeys>* namespaces, Events events);
  ~TrackedNode() override;

  // Once. An error if it failed at once: then nothing is told.
  absl::Status Connect();
  void Ask(RedisPipeline questions);
  // Commands whose answers nobody wants.
  void Tell(const RedisPipeline& commands);
  void Close();

  bool ready() const { return ready_; }

 private:
  void OnConnected() override;
  void OnBytes() override {}
  void OnReply(uint64_t id, RedisReplyPtr reply) override;
  void OnPush(RedisReplyView push) override;
  void OnWritten() override {}
  void OnClosed(const std::string& reason) override { events_.on_lost(reason, false); }

  void OnFact(RedisReplyPtr reply);
  void OnScript(RedisReplyView reply);
  void OnTracking(RedisReplyView reply);
  void Send(uint64_t id, const RedisPipeline& pipeline);
  void GiveUp(RedisReplyView error);

  RedisLoop* const loop_;
  const RedisOptions options_;
  const std::string life_;
  const std::map<std::string, NamespaceKeys>& namespaces_;
  const Events events_;

  std::unique_ptr<RedisSession> session_;
  std::unique_ptr<RedisHandshake> handshake_;
  std::vector<RedisReplyPtr> facts_;  // what the server is, as far as it has answered
  ScriptHashes hashes_;
  bool ready_ = false;
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_TRACKED_NODE_H_
