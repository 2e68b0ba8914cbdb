// Asks servers about others.
#ifndef LARDER_SERVER_REDIS_INQUIRER_H_
#define LARDER_SERVER_REDIS_INQUIRER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/clock.h"
#include "server/redis/redis_handshake.h"
#include "server/redis/redis_loop.h"
#include "server/redis/redis_options.h"
#include "server/redis/redis_pipeline.h"
#include "server/redis/redis_reply.h"
#include "server/redis/redis_session.h"

namespace larder {

// Puts one question to several servers that should all know the answer: to the one that answered last first, to the
// others in turn where that one does not; whenever it is told to, and again and again besides. Keeps the connection.
// Belongs to the loop's thread.
class Inquirer final : private RedisSession::Listener {
 public:
  struct Refusal {
    std::string why;
    bool needs_configuration = false;  // no retry mends it
  };
  struct Parts {
    std::string role;  // of the servers, for people, such as `Sentinel`
    RedisPipeline question;
    std::function<std::vector<RedisEndpoint>()> whom;  // looked up before each round; one at least
    std::function<RedisOptions(const RedisEndpoint&)> options_for;
    // What is wrong with the answer; nothing if it is a good one.
    std::function<std::optional<Refusal>(const RedisEndpoint&, const std::vector<RedisReplyPtr>&)> judge;
    // A round has ended: OK once an answer was a good one; UNAVAILABLE with what each server answered, or
    // INVALID_ARGUMENT if none of them would ever answer otherwise. Within `patience_nanos` for each.
    std::function<void(const absl::Status&)> on_end;
    int64_t patience_nanos = 0;
    // Before the next round.
    std::function<int64_t()> pause_nanos;
  };

  // The pointers must outlive this.
  Inquirer(RedisLoop* loop, const Clock* clock, Parts parts);
  ~Inquirer() override;

  // Now; if it is asking already, once more after that.
  void Ask();
  bool is_asking() const { return is_asking_; }
  // Who gave the last good answer.
  const std::optional<RedisEndpoint>& answered() const { return answered_; }
  // For good.
  void Close();

 private:
  void OnConnected() override;
  void OnBytes() override {}
  void OnReply(uint64_t id, RedisReplyPtr reply) override;
  void OnWritten() override {}
  void OnClosed(const std::string& reason) override;

  void Connect();
  void Send();
  // The server that is being asked gave no good answer.
  void Fail(const Refusal& refusal);
  void End(const absl::Status& status);
  void DropSession();
  void SetTimer(int64_t nanos, void (Inquirer::*then)());
  void OnSilence() { Fail({"it does not answer"}); }

  RedisLoop* const loop_;
  const Clock* const clock_;
  const Parts parts_;

  bool closed_ = false;
  bool is_asking_ = false;
  bool ask_again_ = false;
  std::vector<RedisEndpoint> round_;   // those of this round, from now on in this order
  size_t at_ = 0;                      // who is being asked
  std::vector<std::string> problems_;  // of those that were asked in this round
  bool all_need_configuration_ = true;
  std::optional<RedisEndpoint> first_;  // who is asked first
  std::optional<RedisEndpoint> answered_;
  RedisOptions target_;  // of the session
  std::unique_ptr<RedisSession> session_;
  std::unique_ptr<RedisHandshake> handshake_;
  std::vector<RedisReplyPtr> replies_;
  RedisLoop::TimerId timer_{};  // of the answer, or of the next round
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_INQUIRER_H_
