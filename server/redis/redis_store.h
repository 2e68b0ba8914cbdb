// The store in Redis.
#ifndef LARDER_SERVER_REDIS_REDIS_STORE_H_
#define LARDER_SERVER_REDIS_REDIS_STORE_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/mutex.h"
#include "server/redis/apart_commands.h"
#include "server/redis/channel_subscriber.h"
#include "server/redis/control_commands.h"
#include "server/redis/master_finder.h"
#include "server/redis/master_life.h"
#include "server/redis/own_membership.h"
#include "server/redis/redis_loop.h"
#include "server/redis/redis_options.h"
#include "server/redis/redis_route.h"
#include "server/redis/scan_commands.h"
#include "server/redis/scripts.h"
#include "server/redis/store_commands.h"
#include "server/redis/tracker.h"
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
  // More than 1,000 keys are more than one step: after an error some may have been erased.
  void Erase(EraseRequest request, StoreCallback<EraseResult> done) override;
  void Lease(LeaseRequest request, StoreCallback<LeaseResult> done) override;
  void Release(ReleaseRequest request, StoreCallback<ReleaseResult> done) override;
  void InvalidateGroups(GroupRequest request, StoreCallback<GroupResult> done) override;
  void RaiseBarrier(std::string name_space, int64_t deadline_nanos, StoreCallback<ControlUpdate> done) override;
  void ReadControl(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                   StoreCallback<ControlUpdate> done) override;
  void Look(LookRequest request, StoreCallback<LookResult> done) override;
  // INVALID_ARGUMENT for a cursor that no Scan has answered.
  void Scan(ScanRequest request, StoreCallback<ScanResult> done) override;
  void EraseVersions(EraseVersionsRequest request, StoreCallback<EraseResult> done) override;
  void Sweep(SweepRequest request, StoreCallback<SweepResult> done) override;
  void EraseDead(EraseDeadRequest request, StoreCallback<EraseDeadResult> done) override;
  void ForgetOldStamps(std::string name_space, int64_t max_life_nanos, int64_t deadline_nanos,
                       StoreCallback<uint64_t> done) override;
  void PutNote(std::string name_space, std::string name, std::string text, int64_t ttl_nanos, int64_t deadline_nanos,
               StoreCallback<bool> done) override;
  void GetNote(std::string name_space, std::string name, int64_t deadline_nanos,
               StoreCallback<std::optional<std::string>> done) override;
  // Told on the store's thread.
  void SetWakeListener(WakeListener listener) override;
  // Told on a thread of its own, so that a long answer to others keeps no news back.
  void SetNearHolder(NearHolder* holder) override;
  bool tracks() const override { return tracker_->tracks(); }
  bool tells_own_writes_alone() const override { return tracker_->by_channel(); }
  std::string CoherenceAdvice() const override;
  void Register(MemberTerms terms, StoreCallback<Registration> done) override;
  void Sync(uint64_t round, StoreCallback<SyncResult> done) override;
  // Told on the thread of the news.
  void SetSyncListener(SyncListener listener) override;
  int64_t members() const override { return membership_.members.load(); }
  // Never fails: where Redis does not answer, it says why.
  void Describe(int64_t deadline_nanos, StoreCallback<StoreInfo> done) override;
  StoreInfo::State state() const override { return route_->state(); }
  BreakerState breaker() const override { return route_->breaker(); }
  int64_t disconnects() const override { return route_->disconnects(); }
  bool exclusive() const override { return false; }
  // Waits for the store's thread, and so not from a callback.
  void Shutdown() override;

 private:
  struct ScriptReply {
    RedisReplyPtr reply;
    uint64_t order = 0;  // as RedisAnswer has it
  };
  // A script, and what is needed to run it once more where it certainly did not run.
  struct ScriptCall {
    const NamespaceKeys* name_space;
    Script script;
    OperationDeadline deadline;
    StoreCallback<ScriptReply> done;
    std::string key = {};  // decides who runs it; empty: the control record
    int tries = 1;
  };
  // Keys that are looked at.
  struct LookCall {
    const NamespaceKeys* name_space;
    std::vector<std::string> keys;
    ClockPosition known;
    OperationDeadline deadline;
    StoreCallback<LookResult> done;
    LookResult result;
  };
  struct LongHead {
    size_t item;
    size_t bytes;
  };
  struct EraseDeadCall {
    const NamespaceKeys* name_space;
    EraseDeadRequest request;
    StoreCallback<EraseDeadResult> done;
    std::vector<std::string> keys;
    size_t next = 0;  // the first key that is not looked at yet
    EraseDeadResult result;
  };
  // Parts of a result that come one by one, on one thread. What failed last is the error of the whole.
  template <typename T>
  struct Gathering {
    T result;
    size_t left = 0;
    absl::Status status;
    StoreCallback<T> done;

    void Arrive(const absl::Status& part = absl::OkStatus()) {
      if (!part.ok()) status = part;
      if (--left != 0) return;
      status.ok() ? std::move(done)(std::move(result)) : std::move(done)(status);
    }
  };

  absl::StatusOr<const NamespaceKeys*> Find(const std::string& name_space) const;
  // One error for the whole of an operation.
  absl::Status ErrorOf(RedisReplyView reply);

  // redis_store_read.cc
  void FinishRead(const NamespaceKeys& name_space, const std::vector<std::string>& keys, ClockPosition known,
                  OperationDeadline deadline, absl::StatusOr<RedisAnswer> answer, StoreCallback<ReadResult> done);
  EntryRef Decode(const NamespaceKeys& name_space, std::string_view key, RedisReplyView value, RedisReplyView pttl,
                  int64_t sent_nanos);
  void NoteUnreadable(const NamespaceKeys& name_space, std::string_view why);
  // What `control` tells; nothing if that is not enough, and then AskControl is to be called with `again`.
  absl::StatusOr<std::optional<ControlUpdate>> TakeControl(const NamespaceKeys& name_space, ClockPosition known,
                                                           RedisReplyView control, uint64_t order,
                                                           RedisPipeline& again);
  void AskControl(const NamespaceKeys& name_space, RedisPipeline commands, OperationDeadline deadline,
                  StoreCallback<ControlUpdate> done);

  // redis_store_scan.cc
  void LookAt(LookCall call);
  void FinishLook(LookCall call, absl::StatusOr<RedisAnswer> answer);
  void LookAgain(LookCall call, std::vector<LongHead> again);
  void EraseDeadNext(std::unique_ptr<EraseDeadCall> call);
  // The namespace's keys of one step, without their prefix.
  void ScanKeys(const NamespaceKeys& name_space, std::string_view cursor, int count, OperationDeadline deadline,
                StoreCallback<ScannedKeys> done);

  // redis_store_write.cc
  void RunScript(ScriptCall call, RedisPipeline commands);
  void FinishScript(ScriptCall call, absl::StatusOr<RedisAnswer> answer);
  RedisPipeline EnsureCommands(const NamespaceKeys& name_space) const;
  template <typename Request>
  struct EraseCall;
  template <typename Request>
  void EraseNext(std::unique_ptr<EraseCall<Request>> call);
  // Runs a script whose reply `parse` reads.
  template <typename T>
  void RunParsed(const NamespaceKeys& name_space, Script script, OperationDeadline deadline, ClockPosition known,
                 RedisPipeline commands, absl::StatusOr<T> (*parse)(RedisReplyView, ClockPosition, uint64_t),
                 StoreCallback<T> done) {
    RunScript(ScriptCall{&name_space, script, deadline,
                         [known, parse, done = std::move(done)](absl::StatusOr<ScriptReply> reply) mutable {
                           if (!reply.ok()) return std::move(done)(std::move(reply).status());
                           std::move(done)(parse(RedisReplyView(reply->reply), known, reply->order));
                         }},
              std::move(commands));
  }

  // redis_store_apart.cc: where entries and the control record are on different servers (COHERENCE N5). What is asked
  // of several is begun on the store's thread, and so ends there.
  void OnLoop(RedisLoop::Task task);
  void ReadApart(const NamespaceKeys& name_space, ReadRequest request, StoreCallback<ReadResult> done);
  struct ApartRead {
    std::vector<std::string> keys;
    ReadResult read;
    int64_t entries_sent_nanos = 0;  // when the last of them was asked for
    int64_t control_sent_nanos = 0;
  };
  void TakeEntry(const NamespaceKeys& name_space, size_t i, absl::StatusOr<RedisAnswer> answer,
                 Gathering<ApartRead>& gathering);
  void LookApart(LookCall call);
  void LookAtOne(const NamespaceKeys& name_space, std::string key, size_t head_bytes, OperationDeadline deadline,
                 StoreCallback<StoredItem> done);
  struct SentUpdate {
    ControlUpdate update;
    int64_t sent_nanos = 0;  // not later than it was asked for
  };
  // What is later than `known`.
  void AskUpdate(const NamespaceKeys& name_space, ClockPosition known, OperationDeadline deadline,
                 StoreCallback<SentUpdate> done);
  // That, and what a script over an entry with one of these tags needs to be told.
  struct FactsCall {
    const NamespaceKeys* name_space;
    ClockPosition known;
    std::vector<std::string> tags;
    OperationDeadline deadline;
    StoreCallback<ControlFacts> done;
    int tries = 1;
  };
  void AskFacts(FactsCall call);

  // redis_store_apart_write.cc
  struct ApartWrite;
  struct ApartTouch;
  void WriteApart(const NamespaceKeys& name_space, WriteRequest request, StoreCallback<WriteResult> done);
  void JudgeWrite(const std::shared_ptr<ApartWrite>& write);
  void DecideWrite(const std::shared_ptr<ApartWrite>& write);
  void SendWrite(const std::shared_ptr<ApartWrite>& write, const ToldControl& told);
  void TouchApart(const NamespaceKeys& name_space, TouchRequest request, StoreCallback<TouchResult> done);
  void TryTouch(const std::shared_ptr<ApartTouch>& touch);
  void SendTouch(const std::shared_ptr<ApartTouch>& touch, ControlFacts facts);
  void LeaseApart(const NamespaceKeys& name_space, LeaseRequest request, StoreCallback<LeaseResult> done);
  struct ApartErase {
    EraseResult erase;
    absl::Status why;  // of a key that is lost
  };
  // How many were there.
  void EraseOneApart(const NamespaceKeys& name_space, const std::string& key, RedisPipeline script,
                     OperationDeadline deadline, StoreCallback<int64_t> done);
  // One part of it, whose entries count so many times.
  static StoreCallback<int64_t> Counting(const std::shared_ptr<Gathering<EraseResult>>& gathering, int64_t times = 1) {
    return [gathering, times](absl::StatusOr<int64_t> erased) {
      gathering->result.erased += times * erased.value_or(0);
      gathering->Arrive(erased.status());
    };
  }
  void EraseApart(const NamespaceKeys& name_space, EraseRequest request, OperationDeadline deadline,
                  StoreCallback<EraseResult> done);
  void EraseApart(const NamespaceKeys& name_space, EraseVersionsRequest request, OperationDeadline deadline,
                  StoreCallback<EraseResult> done);
  void SoftenApart(const NamespaceKeys& name_space, EraseRequest request, OperationDeadline deadline,
                   StoreCallback<EraseResult> done);
  // What is under keys, and all that says whether it is dead. The store's thread.
  struct Findings {
    std::vector<StoredItem> items;  // one for each key, in order
    ControlFacts facts;
  };
  void FindDead(const NamespaceKeys& name_space, std::vector<std::string> keys, ClockPosition known,
                OperationDeadline deadline, StoreCallback<Findings> done);
  void EraseDeadApart(std::unique_ptr<EraseDeadCall> call);

  // redis_store_control.cc
  void ForgetPages(const NamespaceKeys& name_space, ClockPosition up_to, Forgotten which, int64_t offset,
                   int64_t deadline_nanos, StoreCallback<bool> done);

  // Reads a control record for the holder.
  void Inform(NearHolder* holder, const std::string& name_space);
  void TellWaiters(std::string_view channel, std::string_view entry_key);

  // redis_store_members.cc
  // Subscribes to what members say to each other, the first time.
  void HearMembers();
  void OnMemberMessage(std::string_view channel, std::string_view message);
  // The finder's master, for those who do not ask it themselves; empty without a finder.
  std::function<std::optional<RedisEndpoint>()> Where() const;
  std::unique_ptr<MasterFinder> MakeFinder();
  std::unique_ptr<RedisRoute> MakeRoute(std::function<void(std::string_view)> inform);
  std::unique_ptr<Tracker> MakeTracker();
  // Of a Cluster: entries are read from these from now on.
  void OnMastersOf(const std::vector<MasterLife>& masters, const std::function<void()>& confirm);
  // Another master was named.
  void Follow();

  // Looks at an error for what it says about the connection as a whole.
  void NoteError(RedisReplyView reply);
  StoreInfo Summary() const;
  // What to change about a Redis that serves.
  std::vector<std::string> Advice(const StoreInfo& info) const;
  struct Description;
  void DescribeNext(std::unique_ptr<Description> description);

  const Clock* const clock_;
  const RedisOptions options_;
  const std::function<void(std::string_view)> warn_;
  const std::map<std::string, NamespaceKeys> namespaces_;
  ZstdCodec codec_;
  std::atomic<int64_t> unreadable_{0};
  std::atomic<int64_t> lost_records_{0};  // control records that were gone when they were needed

  mutable Mutex trouble_mutex_;
  std::string trouble_ ABSL_GUARDED_BY(trouble_mutex_);  // the last error that a configuration caused
  int64_t trouble_nanos_ ABSL_GUARDED_BY(trouble_mutex_) = 0;

  Mutex wake_mutex_;
  WakeListener wake_listener_ ABSL_GUARDED_BY(wake_mutex_);
  SyncListener sync_listener_ ABSL_GUARDED_BY(wake_mutex_);

  OwnMembership membership_;
  std::atomic<bool> hears_members_{false};

  // The store's thread alone.
  int64_t warned_nanos_ = 0;

  RedisLoop loop_;
  const std::unique_ptr<MasterFinder> finder_;  // null: Redis is where the options say
  const std::unique_ptr<RedisRoute> route_;
  ChannelSubscriber subscriber_;
  RedisLoop news_loop_;
  std::atomic<NearHolder*> holder_{nullptr};
  // Both on news_loop_, where the answers to others' questions keep nothing back.
  const std::unique_ptr<Tracker> tracker_;
  ChannelSubscriber member_subscriber_;
  bool member_subscriber_started_ = false;  // news_loop_'s thread alone
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_REDIS_STORE_H_
