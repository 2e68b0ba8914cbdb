// What must be settled on a new connection before anything else may be asked on it.
#ifndef LARDER_SERVER_REDIS_REDIS_HANDSHAKE_H_
#define LARDER_SERVER_REDIS_REDIS_HANDSHAKE_H_

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "server/redis/redis_options.h"
#include "server/redis/redis_pipeline.h"
#include "server/redis/redis_reply.h"

namespace larder {

// What is known of the server behind a connection.
struct RedisServerFacts {
  std::string version;
  ScriptForm scripts;
  // Changes when the server was restarted, replaced or promoted (COHERENCE C3).
  std::string identity;
  ScriptHashes hashes;
};

// What tells one life of one server from any other, out of what INFO says (COHERENCE C3). Empty if it says nothing.
std::string ServerIdentity(std::string_view server, std::string_view replication);
// Whether scripts may say that they run when memory is out. Of what INFO says of the server.
bool KnowsScriptFlags(std::string_view server);
// Of an identity, what names the process alone: what it calls its data changes too when a replica first asks for it.
std::string_view RunIdOf(std::string_view identity);

// Logs in, selects the database, finds out what the server is, loads the scripts, and makes sure that every namespace
// has a control record made on this very server. Belongs to one thread; knows no socket.
class RedisHandshake {
 public:
  enum class Scope {
    kAll,
    kLogin,  // of a connection that only listens, and so belongs to no database; no facts are found out
  };

  // Sends a pipeline; each of its replies must be handed to OnReply, in order.
  using Send = std::function<void(const RedisPipeline&)>;

  // `options` must outlive this.
  RedisHandshake(const RedisOptions& options, std::vector<std::string> control_keys, Send send,
                 Scope scope = Scope::kAll);

  void Start();
  void OnReply(RedisReplyPtr reply);

  bool done() const { return step_ == Step::kDone; }
  // Why it failed; OK if it has not. UNAVAILABLE always; its message never holds a secret.
  const absl::Status& status() const { return status_; }
  // The server will be there in a moment: it is reading its data.
  bool is_loading() const { return is_loading_; }
  // No retry mends why it failed: somebody must change a configuration.
  bool needs_configuration() const { return needs_configuration_; }
  // Of one that is done: whether Redis speaks RESP3, in which alone it says anything unasked.
  bool speaks_resp3() const { return speaks_resp3_; }
  // Of a handshake of all that is done.
  const RedisServerFacts& facts() const { return facts_; }

 private:
  enum class Step { kHello, kAuth, kServer, kScripts, kControl, kDone };

  void Advance(Step step, const RedisPipeline& pipeline);
  void Fail(std::string_view what, RedisReplyView reply);
  // The server does answer, but is of no use to us.
  void Refuse(std::string why, bool needs_configuration);
  void FinishStep();
  void FinishHello();
  void FinishServer();
  void FinishScripts();
  void FinishLogin();

  const RedisOptions& options_;
  const std::vector<std::string> control_keys_;
  const Send send_;
  const Scope scope_;

  Step step_ = Step::kHello;
  size_t expected_ = 0;
  std::vector<RedisReplyPtr> replies_;  // of this step
  absl::Status status_;
  bool is_loading_ = false;
  bool needs_configuration_ = false;
  bool speaks_resp3_ = false;
  RedisServerFacts facts_;
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_REDIS_HANDSHAKE_H_
