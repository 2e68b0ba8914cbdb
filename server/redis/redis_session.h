// One connection to Redis, from connecting to its end.
#ifndef LARDER_SERVER_REDIS_REDIS_SESSION_H_
#define LARDER_SERVER_REDIS_REDIS_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/redis/redis_loop.h"
#include "server/redis/redis_options.h"
#include "server/redis/redis_reply.h"
#include "server/redis/redis_tls.h"

struct redisAsyncContext;

namespace larder {

// Holds a hiredis context and keeps the rules of its lifetime. Belongs to the loop's thread. It must be destroyed by
// RedisLoop::DestroyLater, since its owner usually learns of its end from inside it.
class RedisSession final : public RedisLoop::Handler {
 public:
  // Told on the loop's thread; may call the session back.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnConnected() = 0;
    // Something came, and is about to be read.
    virtual void OnBytes() = 0;
    // For each command, in order; `request` is what Send was given.
    virtual void OnReply(uint64_t request, RedisReplyPtr reply) = 0;
    // What Redis says unasked, messages of channels excepted: those are replies to SUBSCRIBE. The view ends with the
    // call.
    virtual void OnPush(RedisReplyView push) { static_cast<void>(push); }
    // Some of what waited to be written has been.
    virtual void OnWritten() = 0;
    // Once, if the connection failed or was lost: nothing comes after it.
    virtual void OnClosed(const std::string& reason) = 0;
  };

  // Both must outlive the session.
  RedisSession(RedisLoop* loop, Listener* listener) : loop_(loop), listener_(listener) {}
  ~RedisSession() override;

  // Begins to connect to the host, or the socket, of `options`. May block for as long as the resolution of the host's
  // name takes. UNAVAILABLE if it failed at once, INVALID_ARGUMENT if the files that TLS needs cannot be used; the
  // listener then hears nothing.
  absl::Status Connect(const RedisOptions& options);

  // False if there is no connection any more.
  bool Send(uint64_t request, std::string_view command);

  // Bytes that were sent but not yet taken by the socket.
  size_t unwritten_bytes() const;

  // Of a connection that failed: whether only a changed configuration, or another certificate, would have helped.
  bool needs_configuration() const { return needs_configuration_; }
  // What has not come about yet, for people; empty once Redis could answer.
  std::string Awaited() const;

  // Ends the connection. The listener hears nothing more.
  void Close();

  void OnReadable() override;
  void OnWritable() override;
  void OnTurnEnd() override;

 private:
  // What hiredis calls.
  struct Hooks;

  // One step of hiredis, after which there may be no context any more.
  void Read();
  void Write();
  void UpdateInterest();
  void TellIfClosed();
  void NoteFailure(const std::string& what);

  RedisLoop* const loop_;
  Listener* listener_;                    // null: closed by its owner
  redisAsyncContext* context_ = nullptr;  // null: before, and after hiredis has freed it
  std::unique_ptr<RedisTls> tls_;         // null: plaintext
  bool connected_ = false;
  bool answered_ = false;  // something, since it was connected
  bool needs_configuration_ = false;
  bool wants_read_ = false;
  bool wants_write_ = false;
  int fd_ = -1;
  std::string reason_;
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_REDIS_SESSION_H_
