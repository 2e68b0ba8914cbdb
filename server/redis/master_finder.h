// Where the master is that sentinels watch.
#ifndef LARDER_SERVER_REDIS_MASTER_FINDER_H_
#define LARDER_SERVER_REDIS_MASTER_FINDER_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "server/redis/channel_subscriber.h"
#include "server/redis/inquirer.h"
#include "server/redis/redis_loop.h"
#include "server/redis/redis_options.h"
#include "server/redis/redis_reply.h"

namespace larder {

// Asks the sentinels in turn, the one that answered last first: whenever it is told to, once a second besides, and at
// once when that one publishes that the master was switched. Whether the server that they name is a master indeed is
// for whoever connects to it to find out. Belongs to the loop's thread but for what says otherwise.
class MasterFinder final {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<RedisEndpoint>) &&>;
  // Another master is named than before; master() tells it. After whoever asked has been answered.
  using OnSwitch = std::function<void()>;
  // Told when the sentinels begin to say that they could not fail over.
  using OnTrouble = std::function<void(const std::string& what)>;

  // The pointers must outlive this; `options` name one sentinel at least.
  MasterFinder(RedisLoop* loop, const Clock* clock, const RedisOptions& options, OnSwitch on_switch,
               OnTrouble on_trouble);
  ~MasterFinder();

  // Once, to follow the master although nobody asks.
  void Start();
  // `done` is told where the master is, or UNAVAILABLE with what each sentinel answered, or INVALID_ARGUMENT if none
  // of them would ever answer otherwise. Ends within half the connect timeout for each sentinel.
  void Find(Done done);
  // For good: whoever waits is told UNAVAILABLE.
  void Close();

  // Any thread:

  // As last found; nothing if it never was.
  std::optional<RedisEndpoint> master() const;
  // What the sentinel that answered last says is wrong among them; empty if nothing is.
  std::string doubt() const;

 private:
  std::optional<Inquirer::Refusal> Judge(const RedisEndpoint& sentinel, const std::vector<RedisReplyPtr>& replies);
  void OnRound(const absl::Status& status);
  bool Publish(const RedisEndpoint& master);
  void NoteDoubt(const RedisEndpoint& sentinel, RedisReplyView quorum);

  const RedisOptions options_;
  const OnSwitch on_switch_;
  const OnTrouble on_trouble_;

  mutable Mutex mutex_;
  std::optional<RedisEndpoint> master_ ABSL_GUARDED_BY(mutex_);
  std::string doubt_ ABSL_GUARDED_BY(mutex_);

  // The loop's thread alone.
  bool closed_ = false;
  std::vector<Done> waiting_;
  RedisEndpoint found_;  // in this round
  Inquirer inquirer_;
  ChannelSubscriber switches_;
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_MASTER_FINDER_H_
