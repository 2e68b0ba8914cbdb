// The way to Redis: to one server, or to those of a Cluster.
#ifndef LARDER_SERVER_REDIS_REDIS_ROUTE_H_
#define LARDER_SERVER_REDIS_REDIS_ROUTE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/clock.h"
#include "server/redis/redis_options.h"
#include "server/redis/redis_pipeline.h"
#include "server/redis/redis_reply.h"
#include "server/redis/scripts.h"
#include "server/store/store.h"

namespace larder {

// Until when an operation may wait, whatever it takes to do it.
struct OperationDeadline {
  int64_t give_up_nanos = 0;
  bool is_callers = false;  // the caller's own deadline comes before the store's timeout
};

// `callers_deadline_nanos`: 0: none.
OperationDeadline DeadlineOf(int64_t now_nanos, int64_t timeout_nanos, int64_t callers_deadline_nanos);
// What is answered once it has passed.
absl::Status TimedOut(const OperationDeadline& deadline, int64_t timeout_nanos);

struct RedisAnswer {
  std::vector<RedisReplyPtr> replies;  // one for each command; errors of single commands included
  int64_t sent_nanos = 0;              // before anything of it was sent
  RedisPipeline sent;
  // Of answers about the same key, a later one has more.
  uint64_t order = 0;
  int64_t silence_nanos = 0;  // for how long nothing came from the server, though it was asked, before it answered
};

// Commands that are sent together, and what becomes of them.
struct RedisOperation {
  RedisPipeline pipeline;
  OperationDeadline deadline;
  absl::AnyInvocable<void(absl::StatusOr<RedisAnswer>) &&> done;
};

// Any thread may call what says nothing else.
class RedisRoute {
 public:
  virtual ~RedisRoute() = default;

  // Begins to connect. Once, after the loop has started.
  virtual void Start() = 0;
  // The loop's thread. For good: ends every operation with UNAVAILABLE.
  virtual void Close() = 0;

  // Sends the operation to the server that has `key`. Where its last command may do something, those before it must be
  // such that they may be done twice. `done` runs on the loop's thread, or here if the operation is refused at once:
  // UNAVAILABLE without a connection, RESOURCE_EXHAUSTED with too many waiting.
  virtual void Submit(std::string_view key, RedisOperation operation) = 0;
  virtual OperationDeadline DeadlineFor(int64_t callers_deadline_nanos) const = 0;

  virtual StoreInfo::State state() const = 0;
  virtual BreakerState breaker() const = 0;
  // How many connections have been lost.
  virtual int64_t disconnects() const = 0;
  // Why something is not there that ought to be; empty if all is.
  virtual std::string detail() const = 0;
  // Where Redis is, for people, as far as that is known.
  virtual std::string address() const = 0;
  virtual std::string version() const = 0;
  // Of the server that has the key, as far as is known (COHERENCE C3).
  virtual std::string identity(std::string_view key) const = 0;
  // Of the servers; empty before the first is connected to.
  virtual ScriptForm scripts() const = 0;

  // A Cluster: what a script works on must be under one key, or on one slot.
  virtual bool is_cluster() const = 0;
  // The servers that share the keys among them, by names without a colon, in an order that stays.
  virtual std::vector<std::string> parts() const = 0;
  // The one that has the key, as far as is known; empty: none, or there is but one.
  virtual std::string PartOf(std::string_view key) const {
    static_cast<void>(key);
    return {};
  }
  // As Submit, to that server; UNAVAILABLE where it is none of them.
  virtual void SubmitTo(std::string_view part, RedisOperation operation) = 0;
  // A server that can be connected to now, for what any of them can do.
  virtual std::optional<RedisEndpoint> any_server() const = 0;

  // The loop's thread: the command that makes a control record, or a new one if need be (COHERENCE C3).
  virtual void AddEnsure(RedisPipeline& pipeline, const std::string& control_key) const = 0;
  // The loop's thread. Gives up a connection whose server turned out not to be what it was, and connects again.
  virtual void Reconnect(const std::string& reason) = 0;
  // The loop's thread. Redis may be elsewhere now.
  virtual void Follow() {}
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_REDIS_ROUTE_H_
