// The store in Redis.
#ifndef LARDER_SERVER_REDIS_REDIS_STORE_H_
#define LARDER_SERVER_REDIS_REDIS_STORE_H_

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/mutex.h"
#include "server/redis/redis_connection.h"
#include "server/redis/redis_loop.h"
#include "server/redis/redis_options.h"
#include "server/redis/scripts.h"
#include "server/redis/store_commands.h"
#include "server/store/store.h"
#include "server/store/zstd_codec.h"

namespace larder {

// Callbacks run on the store's own thread, or on the caller's where a call is refused at once: UNAVAILABLE while there
// is no connection, RESOURCE_EXHAUSTED when too many wait. Values are compressed on the caller's thread. INTERNAL for
// a namespace that the store was not told of.
class RedisStore final : public Store {
 public:
  struct Parts {
    RedisOptions options;
    std::vector<std::string> namespaces;
    // Told, on the store's thread, of what an operator should know: `warn` of entries that cannot be read (at most once
    // a minute) and of the loss of Redis, `inform` of its return. Either may be empty.
    std::function<void(std::string_view)> warn;
    std::function<void(std::string_view)> inform;
  };

  // `clock` must outlive the store, and run by itself.
  RedisStore(const Clock* clock, Parts parts);
  ~RedisStore() override;

  // Starts the thread, and to connect: a Redis that is not there is no error. INTERNAL if the operating system
  // refuses.
  absl::Status Start();

  void Read(ReadRequest request, StoreCallback<ReadResult> done) override;
  void Write(WriteRequest request, StoreCallback<WriteResult> done) override;
  void Touch(TouchRequest request, StoreCallback<TouchResult> done) override;
  void Erase(EraseRequest request, StoreCallback<EraseResult> done) override;
  void InvalidateAll(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                     StoreCallback<ControlUpdate> done) override;
  void RaiseBarrier(std::string name_space, int64_t deadline_nanos, StoreCallback<ControlUpdate> done) override;
  void ReadControl(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                   StoreCallback<ControlUpdate> done) override;
  // Never fails: where Redis does not answer, it says why.
  void Describe(int64_t deadline_nanos, StoreCallback<StoreInfo> done) override;
  StoreInfo::State state() const override { return connection_.state(); }
  BreakerState breaker() const override { return connection_.breaker(); }
  int64_t disconnects() const override { return connection_.disconnects(); }
  bool exclusive() const override { return false; }
  // Waits for the store's thread, and so not from a callback.
  void Shutdown() override;

 private:
  // A script, and what is needed to run it once more where it certainly did not run.
  struct ScriptCall {
    const NamespaceKeys* name_space;
    Script script;
    OperationDeadline deadline;
    absl::AnyInvocable<void(absl::StatusOr<RedisReplyPtr>) &&> done;
    bool is_second_try = false;
  };
  struct ReadCall {
    const NamespaceKeys* name_space;
    ClockPosition known;
    OperationDeadline deadline;
    StoreCallback<ReadResult> done;
  };

  absl::StatusOr<const NamespaceKeys*> Find(const std::string& name_space) const;

  void FinishRead(ReadCall call, absl::StatusOr<RedisAnswer> answer);
  void CompleteRead(ReadCall call, ReadResult result, RedisPipeline commands);
  EntryRef Decode(const NamespaceKeys& name_space, RedisReplyView value, RedisReplyView pttl, int64_t sent_nanos);
  void NoteUnreadable(const NamespaceKeys& name_space, std::string_view why);

  void RunScript(ScriptCall call, RedisPipeline commands);
  void FinishScript(ScriptCall call, absl::StatusOr<RedisAnswer> answer);
  void RunControlScript(ScriptCall call, RedisPipeline commands, ClockPosition known,
                        StoreCallback<ControlUpdate> done);
  RedisPipeline EnsureCommands(const NamespaceKeys& name_space) const;

  // Looks at an error for what it says about the connection as a whole.
  void NoteError(RedisReplyView reply);
  StoreInfo Summary() const;
  void FinishDescribe(StoreInfo info, OperationDeadline deadline, StoreCallback<StoreInfo> done);

  const Clock* const clock_;
  const RedisOptions options_;
  const std::function<void(std::string_view)> warn_;
  const std::map<std::string, NamespaceKeys> namespaces_;
  ZstdCodec codec_;
  std::atomic<int64_t> unreadable_{0};

  mutable Mutex trouble_mutex_;
  std::string trouble_ ABSL_GUARDED_BY(trouble_mutex_);  // the last error that a configuration caused
  int64_t trouble_nanos_ ABSL_GUARDED_BY(trouble_mutex_) = 0;

  // The store's thread alone.
  uint64_t sequence_ = 0;
  int64_t warned_nanos_ = 0;

  RedisLoop loop_;
  RedisConnection connection_;
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_REDIS_STORE_H_
