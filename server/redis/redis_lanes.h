// Several connections to one Redis.
#ifndef LARDER_SERVER_REDIS_REDIS_LANES_H_
#define LARDER_SERVER_REDIS_REDIS_LANES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "core/mutex.h"
#include "server/redis/pending_limit.h"
#include "server/redis/redis_connection.h"
#include "server/redis/redis_route.h"

namespace larder {

// All of a namespace goes by one of them, so that a namespace of large values queues only those behind it that share
// its connection. To everybody else they are one connection: there while all of them are, and lead to the same server;
// what one of them finds elsewhere, behind a name or a proxy, makes the others connect again before anything is sent.
class RedisLanes final : public RedisRoute {
 public:
  // The pointers must outlive the lanes; `control_keys` are those of the namespaces, by their names, which are shared
  // out in this order. `observer` and `finder` as a RedisConnection has them. options.connections: two at least; those
  // that would have no namespace are not made.
  RedisLanes(RedisLoop* loop, const Clock* clock, const RedisOptions& options,
             const std::map<std::string, std::string>& control_keys, RedisConnection::Observer observer,
             MasterFinder* finder);

  void Start() override;
  void Close() override;
  void Submit(std::string_view key, RedisOperation operation) override;
  OperationDeadline DeadlineFor(int64_t callers_deadline_nanos) const override;
  StoreInfo::State state() const override;
  BreakerState breaker() const override;
  int64_t disconnects() const override { return disconnects_.load(); }
  std::string detail() const override;
  std::string address() const override { return first().address(); }
  std::string version() const override { return first().version(); }
  std::string identity(std::string_view key) const override;
  ScriptForm scripts() const override { return first().scripts(); }
  bool is_cluster() const override { return false; }
  std::vector<std::string> parts() const override { return first().parts(); }
  void SubmitTo(std::string_view part, RedisOperation operation) override;
  std::optional<RedisEndpoint> any_server() const override { return first().any_server(); }
  void AddEnsure(RedisPipeline& pipeline, const std::string& control_key) const override;
  void Reconnect(const std::string& reason) override;
  void Follow() override;

  size_t size() const { return lanes_.size(); }

 private:
  RedisConnection& first() const { return *lanes_.front(); }
  RedisConnection& LaneOf(std::string_view key) const;
  void SubmitBy(RedisConnection& lane, RedisOperation operation);
  void OnLane(size_t lane, bool ready, const std::string& what);
  void Tell(bool ready, const std::string& what);

  const std::string prefix_;
  const RedisConnection::Observer observer_;
  PendingLimit limit_;                                   // of all together
  std::map<std::string, size_t, std::less<>> shares_;    // by namespace; what belongs to none goes by the first
  std::vector<std::unique_ptr<RedisConnection>> lanes_;  // unchanged once constructed

  std::atomic<bool> ready_{false};
  std::atomic<int64_t> disconnects_{0};
  mutable Mutex mutex_;
  std::string identity_ ABSL_GUARDED_BY(mutex_);  // of the server that all led to last

  // The loop's thread alone.
  bool is_mending_ = false;  // lanes are made to connect again
  std::optional<bool> told_ready_;
  std::string told_;
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_REDIS_LANES_H_
