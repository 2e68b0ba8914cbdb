// One Watch stream and what keeps its session leased.
#ifndef LARDER_CLIENT_SRC_WATCH_STREAM_H_
#define LARDER_CLIENT_SRC_WATCH_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "client/src/call_env.h"
#include "client/src/call_queue.h"
#include "client/src/near_tier.h"
#include "client/src/replica.h"
#include "client/src/watch_set.h"
#include "grpcpp/alarm.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/async_stream.h"
#include "grpcpp/support/async_unary_call.h"
#include "larder/v1/cache.grpc.pb.h"

namespace larder::internal {

// Drops from the near cache what one replica says has changed in one namespace, and renews the lease under which the
// rest is served. A stream that breaks is opened again, from where it had come to; meanwhile the lease runs out. Lives
// until the client closes or the replica is not known any more, and then deletes itself. All of it happens on its
// queue's thread, but for the start.
class WatchStream final : private ActiveCall {
 public:
  // The pointers must outlive it. Does nothing but Forget if the client is closing.
  static void Start(CallEnv* env, NearTier* near, WatchSet* set, std::shared_ptr<Replica> replica,
                    std::string name_space, size_t slot);

 private:
  class Operation final : public Event {
   public:
    Operation(WatchStream* stream, void (WatchStream::*on_end)(bool)) : stream_(stream), on_end_(on_end) {}
    void OnEvent(bool ok) override;

   private:
    WatchStream* const stream_;
    void (WatchStream::*const on_end_)(bool);
  };

  WatchStream(CallEnv* env, NearTier* near, WatchSet* set, std::shared_ptr<Replica> replica, std::string name_space,
              size_t slot);
  ~WatchStream() override = default;

  void OnTimer(bool ok);
  void OnStarted(bool ok);
  void OnRead(bool ok);
  void OnFinished(bool ok);
  void OnRenewed(bool ok);
  void Cancel() override;

  void SetTimer(int64_t due_nanos);
  bool IsReplicaKnown() const;
  void Open();
  void Apply(const v1::WatchResponse& message);
  void ApplyEvents(const v1::WatchResponse& message);
  // What was known through the stream is not any more.
  void BeginSession(uint64_t incarnation);
  void Renew();
  // The lease that was asked for, if everything up to where it counts has been applied.
  void TakeLease();
  int64_t PauseAfter(const grpc::Status& status);

  void* Tag(Operation* operation);
  void EndIfOver();

  CallEnv* const env_;
  NearTier* const near_;
  WatchSet* const set_;
  const std::shared_ptr<Replica> replica_;
  const std::string name_space_;
  const size_t slot_;
  CallQueue* const queue_;
  const int64_t lease_nanos_;

  Operation timer_{this, &WatchStream::OnTimer};
  Operation started_{this, &WatchStream::OnStarted};
  Operation read_{this, &WatchStream::OnRead};
  Operation finished_{this, &WatchStream::OnFinished};
  Operation renewed_{this, &WatchStream::OnRenewed};

  std::optional<grpc::Alarm> alarm_;
  int pending_ = 0;  // operations under way
  bool over_ = false;

  // The stream. `context_` has a value from its opening to its end.
  std::optional<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientAsyncReader<v1::WatchResponse>> reader_;
  v1::WatchResponse message_;
  grpc::Status status_;
  bool has_begun_ = false;       // its first message has come
  int64_t next_open_nanos_ = 0;  // while there is none
  int failures_ = 0;             // streams in a row that ended before they began

  // How far it has come.
  uint64_t incarnation_ = 0;
  uint64_t applied_ = 0;
  std::string cursor_;

  // The renewal under way, or answered but for a position that has not been reached.
  std::optional<grpc::ClientContext> renewal_context_;  // has a value while it is under way
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::RenewWatchResponse>> renewal_reader_;
  v1::RenewWatchResponse renewal_;
  grpc::Status renewal_status_;
  int64_t renewal_sent_nanos_ = 0;
  struct Promise {
    uint64_t incarnation = 0;
    uint64_t sequence = 0;
    int64_t sent_nanos = 0;
  };
  std::optional<Promise> promise_;
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_WATCH_STREAM_H_
