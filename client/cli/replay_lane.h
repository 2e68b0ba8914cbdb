// One place in a replay for a call that is in flight.
#ifndef LARDER_CLIENT_CLI_REPLAY_LANE_H_
#define LARDER_CLIENT_CLI_REPLAY_LANE_H_

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/async_unary_call.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "client/cli/connection.h"
#include "client/cli/replay_report.h"
#include "client/cli/value_generator.h"
#include "core/clock.h"
#include "larder/v1/cache.grpc.pb.h"

namespace larder {

// What all lanes of a replay share; used by the replaying thread alone.
class ReplaySession {
 public:
  struct Options {
    std::string key_prefix;
    std::optional<int64_t> ttl_ms;
    int batch = 1;  // keys to a call; 1: unary calls
    bool verify = true;
    uint64_t max_errors = 0;  // calls that may fail in a row; 0: any number
  };

  // All must outlive it.
  ReplaySession(const Options* options, const Connection* connection, const ValueGenerator* values, const Clock* clock,
                ReplayReport* report)
      : options_(options), connection_(connection), values_(values), clock_(clock), report_(report) {}

  const Options& options() const { return *options_; }
  const Connection& connection() const { return *connection_; }
  int64_t now() const { return clock_->NowNanos(); }
  grpc::CompletionQueue* queue() { return &queue_; }
  ReplayReport& report() { return *report_; }

  std::string KeyOf(uint32_t id) const { return options_->key_prefix + std::to_string(id); }
  void FillSet(uint32_t id, v1::SetRequest* request) const;

  // Counts what became of one key. True if it was missed and should be set.
  bool CountGet(uint32_t id, const v1::GetResponse& response);
  void CountGetError(const grpc::Status& status, uint64_t keys = 1);
  void CountSetError(const grpc::Status& status, uint64_t keys = 1);

  // Tells of each call that ended, so that a row of failures ends the replay.
  void CountCall(bool ok);

 private:
  const Options* const options_;
  const Connection* const connection_;
  const ValueGenerator* const values_;
  const Clock* const clock_;
  ReplayReport* const report_;
  grpc::CompletionQueue queue_;
  uint64_t errors_in_a_row_ = 0;
};

// One unary call after another, with the same messages. Not thread-safe.
template <typename Request, typename Response>
class RepeatedCall {
 public:
  using Prepare = std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> (v1::Cache::Stub::*)(
      grpc::ClientContext*, const Request&, grpc::CompletionQueue*);

  explicit RepeatedCall(Prepare prepare) : prepare_(prepare) {}

  // Sends `request`; `tag` comes out of the session's queue when `response` and `status` hold the answer.
  void Start(ReplaySession* session, v1::Cache::Stub* stub, void* tag) {
    context_.emplace();
    session->connection().SetDeadline(&*context_);
    started_nanos_ = session->now();
    reader_ = (stub->*prepare_)(&*context_, request, session->queue());
    reader_->StartCall();
    reader_->Finish(&response, &status, tag);
  }

  // After the tag came: records the time that the call took, and whether it failed.
  void End(ReplaySession* session, LatencyHistogram* latency) {
    if (status.ok()) latency->Record(session->now() - started_nanos_);
    session->CountCall(status.ok());
  }

  Request request;
  Response response;
  grpc::Status status;

 private:
  const Prepare prepare_;
  std::optional<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader_;
  int64_t started_nanos_ = 0;
};

// A cache-aside application's request: a get, then a set of what it missed. Not thread-safe.
class ReplayLane {
 public:
  virtual ~ReplayLane() = default;

  // Sends the get for `ids`, which are 1 to `batch` ids; the lane must be idle. It is the tag of its calls.
  virtual void Start(std::span<const uint32_t> ids) = 0;

  // Takes the answer of the call in flight. True if another call is in flight now; false: the lane is idle.
  virtual bool Advance() = 0;
};

// With Get and Set; `batch` is 1. `session` and `stub` must outlive it.
std::unique_ptr<ReplayLane> NewUnaryLane(ReplaySession* session, v1::Cache::Stub* stub);

// With BatchGet and BatchSet.
std::unique_ptr<ReplayLane> NewBatchLane(ReplaySession* session, v1::Cache::Stub* stub);

}  // namespace larder

#endif  // LARDER_CLIENT_CLI_REPLAY_LANE_H_
