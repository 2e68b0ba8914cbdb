// Hears what replicas publish of what they change.
#ifndef LARDER_SERVER_REDIS_CHANGE_LISTENER_H_
#define LARDER_SERVER_REDIS_CHANGE_LISTENER_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/redis/redis_handshake.h"
#include "server/redis/redis_loop.h"
#include "server/redis/redis_options.h"
#include "server/redis/redis_reply.h"
#include "server/redis/redis_session.h"

namespace larder {

// COHERENCE N6: one connection that is subscribed, for as long as it lasts: who opened it must know when it ends, since
// nobody knows what was published in between. Belongs to the loop's thread.
class ChangeListener final : private RedisSession::Listener {
 public:
  // Each may close, and open, the listener.
  struct Events {
    // Subscribed: whatever is published from now on is told, in its order, until it is lost.
    std::function<void()> on_ready;
    // The views end with the call.
    std::function<void(std::string_view channel, std::string_view message)> on_message;
    // Redis answered with an error.
    std::function<void(RedisReplyView error)> on_error;
    std::function<void(const std::string& reason)> on_lost;
  };

  // `loop` must outlive this.
  ChangeListener(RedisLoop* loop, Events events) : loop_(loop), events_(std::move(events)) {}
  ~ChangeListener() override;

  // Connects to where `options` say, which must be the server of that identity itself, and no replica of it: what is
  // published reaches replicas too, but not without gaps. Only while it is closed.
  void Open(const RedisOptions& options, std::string identity, std::vector<std::string> channels);
  // Nothing is told any more.
  void Close();

 private:
  void OnConnected() override;
  void OnBytes() override {}
  void OnReply(uint64_t id, RedisReplyPtr reply) override;
  void OnWritten() override {}
  void OnClosed(const std::string& reason) override { events_.on_lost(reason); }

  void OnServer(RedisReplyPtr reply);
  void OnChannelNews(RedisReplyView news);

  RedisLoop* const loop_;
  const Events events_;

  RedisOptions options_;  // of the session, as the next two
  std::string identity_;
  std::vector<std::string> channels_;
  std::unique_ptr<RedisSession> session_;  // null: closed
  std::unique_ptr<RedisHandshake> handshake_;
  std::vector<RedisReplyPtr> facts_;  // what the server is, as far as it has answered
  size_t unconfirmed_ = 0;            // channels that Redis has not yet said we are subscribed to
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_CHANGE_LISTENER_H_
