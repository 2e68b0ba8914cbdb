#include "client/src/gatherer.h"

#include <utility>

namespace larder::internal {
namespace {

// After a failed attempt another replica is asked, whose near tier may not know of this process's writes.
template <typename Request>
void ReadPast(bool near, const CallEnv& env, Request* request, int attempt) {
  const bool past = !near || (attempt > 1 && env.replicas.several());
  request->set_read_from(past ? v1::READ_FROM_STORE : v1::READ_FROM_UNSPECIFIED);
}

}  // namespace

bool Gatherer::FitTogether(const PendingGet& a, const PendingGet& b) {
  return a.near == b.near && a.name_space == b.name_space;
}

CallSpec Gatherer::Spec(const PendingGet& get, std::shared_ptr<Replica> replica) const {
  return {.repeatable = true,
          .deadline_nanos = get.deadline_nanos,
          .deadline_is_own = get.deadline_is_own,
          .route = get.route,
          .replica = std::move(replica)};
}

void Gatherer::Get(std::shared_ptr<Replica> replica, PendingGet get) {
  if (replica == nullptr || !get.gatherable || !env_->options.gather.enabled) {
    return SendAlone(replica, std::move(get), /*in_lane=*/false);
  }
  GetLane& lane = replica->lane();
  bool full = false;
  {
    MutexLock lock(&lane.mutex);
    if (lane.calls_under_way >= env_->options.gather.max_calls) {
      full = lane.waiting.size() >= kMaxWaiting;
      if (!full) return lane.waiting.push_back(std::move(get));
    } else {
      ++lane.calls_under_way;
    }
  }
  if (full) {
    const absl::Status status = absl::ResourceExhaustedError("65536 Gets wait for this replica already");
    return std::move(get.done)(status, v1::GetResponse(), CallEnd());
  }
  SendAlone(replica, std::move(get), /*in_lane=*/true);
}

void Gatherer::SendAlone(const std::shared_ptr<Replica>& replica, PendingGet get, bool in_lane) {
  v1::GetRequest request;
  request.set_namespace_(std::move(get.name_space));
  request.set_key(std::move(get.key));
  CallSpec spec = Spec(get, replica);
  GetCall::Start(
      env_, std::move(spec), std::move(request),
      [env = env_, near = get.near](v1::GetRequest& sent, const Replica&, int attempt) {
        ReadPast(near, *env, &sent, attempt);
      },
      [this, replica, in_lane, done = std::move(get.done)](const absl::Status& status, v1::GetResponse&& response,
                                                           const CallEnd& end) mutable {
        if (in_lane) SendNext(replica);
        std::move(done)(status, response, end);
      });
}

void Gatherer::SendNext(const std::shared_ptr<Replica>& replica) {
  GetLane& lane = replica->lane();
  Batch batch;
  {
    MutexLock lock(&lane.mutex);
    const size_t limit = static_cast<size_t>(env_->options.gather.max_keys);
    while (!lane.waiting.empty() && batch.size() < limit &&
           (batch.empty() || FitTogether(batch.front(), lane.waiting.front()))) {
      batch.push_back(std::move(lane.waiting.front()));
      lane.waiting.pop_front();
    }
    if (batch.empty()) {
      --lane.calls_under_way;
      return;
    }
  }
  if (batch.size() == 1) return SendAlone(replica, std::move(batch.front()), /*in_lane=*/true);
  SendBatch(replica, std::move(batch));
}

void Gatherer::SendBatch(const std::shared_ptr<Replica>& replica, Batch batch) {
  v1::BatchGetRequest request;
  request.set_namespace_(batch.front().name_space);
  for (const PendingGet& get : batch) request.add_keys(get.key);
  CallSpec spec = Spec(batch.front(), replica);
  const bool near = batch.front().near;  // before the batch is moved away, in whatever order that happens
  BatchGetCall::Start(
      env_, std::move(spec), std::move(request),
      [env = env_, near](v1::BatchGetRequest& sent, const Replica&, int attempt) {
        ReadPast(near, *env, &sent, attempt);
      },
      [this, replica, batch = std::move(batch)](const absl::Status& status, v1::BatchGetResponse&& response,
                                                const CallEnd& end) mutable {
        SendNext(replica);
        Deliver(replica, std::move(batch), status, response, end);
      });
}

void Gatherer::Deliver(const std::shared_ptr<Replica>& replica, Batch batch, const absl::Status& status,
                       const v1::BatchGetResponse& response, const CallEnd& end) {
  const bool whole = status.ok() && response.results_size() == static_cast<int>(batch.size());
  for (size_t i = 0; i < batch.size(); ++i) {
    PendingGet& get = batch[i];
    if (whole && response.results(static_cast<int>(i)).status() != v1::STATUS_RETRY) {
      std::move(get.done)(status, response.results(static_cast<int>(i)), end);
    } else if (whole || status.code() == absl::StatusCode::kInvalidArgument) {
      // It did not fit into the answer; or one of the batch is at fault, and only that one is to hear of it.
      SendAlone(replica, std::move(get), /*in_lane=*/false);
    } else {
      const absl::Status broken =
          absl::InternalError("the service's answer to a batch has not one result for each key");
      std::move(get.done)(status.ok() ? broken : status, v1::GetResponse(), end);
    }
  }
}

}  // namespace larder::internal
