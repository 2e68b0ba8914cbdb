// Hears what is published on channels.
#ifndef LARDER_SERVER_REDIS_CHANNEL_SUBSCRIBER_H_
#define LARDER_SERVER_REDIS_CHANNEL_SUBSCRIBER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "server/redis/backoff.h"
#include "server/redis/redis_handshake.h"
#include "server/redis/redis_loop.h"
#include "server/redis/redis_options.h"
#include "server/redis/redis_reply.h"
#include "server/redis/redis_session.h"

namespace larder {

// Keeps a connection of its own subscribed to channels; has no part in the store's state, and nobody waits for it. A
// connection that falls silent is found out by subscribing again, which the other protocols of a subscriber allow too
// and which Redis answers each time. Belongs to the loop's thread, but for subscribed().
class ChannelSubscriber final : private RedisSession::Listener {
 public:
  // The message of a channel; both empty where messages may have been lost: once subscribed, and once that has ended.
  using OnMessage = std::function<void(std::string_view channel, std::string_view message)>;
  // Told of a refusal, in which case nothing will be heard until somebody changes a configuration. Once for each turn.
  using OnTrouble = std::function<void(const std::string& what)>;

  // Where to connect to, asked before each attempt; nothing if that is not known just now.
  using Where = std::function<std::optional<RedisEndpoint>()>;

  // The pointers must outlive this. `where`: empty if it is always what `options` say.
  ChannelSubscriber(RedisLoop* loop, const Clock* clock, const RedisOptions& options, Where where,
                    std::vector<std::string> channels, OnMessage on_message, OnTrouble on_trouble);
  ~ChannelSubscriber() override;

  void Start() { Connect(); }
  // Connects again at once, if that is to another place than it is, or tries to be, connected to.
  void Follow();
  // For good. Nothing is told any more.
  void Close();

  // Whether messages are being heard. Any thread.
  bool subscribed() const { return subscribed_.load(); }

 private:
  void OnConnected() override;
  void OnBytes() override { heard_ = true; }
  void OnReply(uint64_t id, RedisReplyPtr reply) override;
  void OnWritten() override {}
  void OnClosed(const std::string& reason) override { Lose(reason); }

  void Connect();
  void Subscribe();
  void OnChannelNews(RedisReplyView push);
  void ArmCheck();
  void CheckSilence();
  void DropSession();
  void Lose(const std::string& reason);

  RedisLoop* const loop_;
  const Clock* const clock_;
  const RedisOptions options_;
  const Where where_;
  const std::vector<std::string> channels_;
  const OnMessage on_message_;
  const OnTrouble on_trouble_;

  std::atomic<bool> subscribed_{false};

  bool closed_ = false;
  bool told_trouble_ = false;
  RedisOptions target_;  // of the session
  std::unique_ptr<RedisSession> session_;
  std::unique_ptr<RedisHandshake> handshake_;
  size_t unconfirmed_ = 0;  // channels that Redis has not yet said we are subscribed to
  bool heard_ = false;      // anything, since silence was last looked for
  Backoff backoff_;
  RedisLoop::TimerId timer_{};  // of the attempt, of the pause before it, or of the next look for silence
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_CHANNEL_SUBSCRIBER_H_
