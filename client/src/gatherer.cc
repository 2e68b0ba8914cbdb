#include "client/src/gatherer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/clock.h"

namespace larder::internal {
namespace {

// After a failed attempt another replica is asked, whose near tier may not know of this process's writes.
template <typename Request>
void ReadPast(bool near, const CallEnv& env, Request* request, int attempt) {
  const bool past = !near || (attempt > 1 && env.replicas.several());
  request->set_read_from(past ? v1::READ_FROM_STORE : v1::READ_FROM_UNSPECIFIED);
}

// An attempt that follows a failed one waits for what is left of the time. Rounded up.
int64_t MillisUntil(int64_t until_nanos, int64_t now_nanos) {
  return std::max<int64_t>(until_nanos - now_nanos + kNanosPerMilli - 1, 0) / kNanosPerMilli;
}

}  // namespace

void Gatherer::Append(GetLane* lane, PendingGet get) {
  const auto fits = [&](const GetLane::Group& group) {
    return group.near == get.near && group.fresh_only == get.fresh_only && group.name_space == get.name_space;
  };
  auto group = std::find_if(lane->groups.begin(), lane->groups.end(), fits);
  if (group == lane->groups.end()) {
    group = lane->groups.insert(group, {get.name_space, get.near, get.fresh_only, {}});
  }
  group->gets.push_back(std::move(get));
  ++lane->waiting;
}

Gatherer::Batch Gatherer::TakeBatch(GetLane* lane) const {
  Batch batch;
  if (lane->groups.empty()) return batch;
  GetLane::Group group = std::move(lane->groups.front());
  lane->groups.pop_front();
  const size_t size = std::min(group.gets.size(), static_cast<size_t>(env_->options.gather.max_keys));
  batch.reserve(size);
  while (batch.size() < size) {
    batch.push_back(std::move(group.gets.front()));
    group.gets.pop_front();
  }
  lane->waiting -= size;
  if (!group.gets.empty()) lane->groups.push_back(std::move(group));
  return batch;
}

Gatherer::Batch Gatherer::TakeAll(GetLane* lane) {
  Batch batch;
  for (GetLane::Group& group : lane->groups) {
    std::move(group.gets.begin(), group.gets.end(), std::back_inserter(batch));
  }
  lane->groups.clear();
  lane->waiting = 0;
  return batch;
}

void Gatherer::Fail(Batch batch, const absl::Status& status) {
  for (PendingGet& get : batch) std::move(get.done)(status, v1::GetResponse(), CallEnd());
}

CallSpec Gatherer::Spec(const PendingGet& get, std::shared_ptr<Replica> replica) const {
  return {.repeatable = true,
          .deadline_nanos = get.deadline_nanos,
          .wait_until_nanos = get.wait_until_nanos,
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
      full = lane.waiting >= kMaxWaiting;
      if (!full) return Append(&lane, std::move(get));
    } else {
      ++lane.calls_under_way;
    }
  }
  if (!full) return SendAlone(replica, std::move(get), /*in_lane=*/true);
  const absl::Status status = absl::ResourceExhaustedError(
      absl::StrCat("gather: ", kMaxWaiting, " Gets wait for ", replica->address().uri, " already"));
  std::move(get.done)(status, v1::GetResponse(), CallEnd());
}

void Gatherer::SendAlone(const std::shared_ptr<Replica>& replica, PendingGet get, bool in_lane) {
  v1::GetRequest request;
  request.set_namespace_(std::move(get.name_space));
  request.set_key(std::move(get.key));
  request.set_want_lease(get.want_lease);
  request.set_fresh_only(get.fresh_only);
  CallSpec spec = Spec(get, replica);
  GetCall::Start(
      env_, std::move(spec), std::move(request),
      [env = env_, near = get.near, until = get.wait_until_nanos](v1::GetRequest& sent, const Replica&, int attempt) {
        ReadPast(near, *env, &sent, attempt);
        if (until != 0) sent.set_wait_ms(MillisUntil(until, env->clock.NowNanos()));
      },
      [this, replica, in_lane, done = std::move(get.done)](const absl::Status& status, v1::GetResponse&& response,
                                                           const CallEnd& end) mutable {
        const bool keeps_place = in_lane && KeepsPlace(replica);
        std::move(done)(status, response, end);
        if (keeps_place) SendNext(replica);
      });
}

bool Gatherer::KeepsPlace(const std::shared_ptr<Replica>& replica) {
  GetLane& lane = replica->lane();
  bool fills_batch = false;
  {
    MutexLock lock(&lane.mutex);
    fills_batch = lane.waiting >= static_cast<size_t>(env_->options.gather.max_keys);
  }
  if (fills_batch) SendNext(replica);
  return !fills_batch;
}

void Gatherer::SendNext(const std::shared_ptr<Replica>& replica) {
  GetLane& lane = replica->lane();
  const bool closing = env_->closing();
  while (true) {
    Batch batch;
    {
      MutexLock lock(&lane.mutex);
      // Sent now, they would end one within the other.
      batch = closing ? TakeAll(&lane) : TakeBatch(&lane);
      if (batch.empty()) {
        --lane.calls_under_way;
        return;
      }
    }
    if (closing) {
      Fail(std::move(batch), ClientIsClosing());
      continue;
    }
    // Those whose time ran out while they waited are not the service's to blame, nor worth a call.
    const int64_t now = env_->clock.NowNanos();
    const auto in_time = std::stable_partition(batch.begin(), batch.end(),
                                               [now](const PendingGet& get) { return get.deadline_nanos <= now; });
    Batch late(std::make_move_iterator(batch.begin()), std::make_move_iterator(in_time));
    batch.erase(batch.begin(), in_time);
    const bool some_left = !batch.empty();
    if (some_left) SendBatch(replica, std::move(batch), /*in_lane=*/true);
    Fail(std::move(late), absl::DeadlineExceededError("the time was up before it could be sent"));
    if (some_left) return;
  }
}

void Gatherer::SendBatch(const std::shared_ptr<Replica>& replica, Batch batch, bool in_lane) {
  if (batch.size() == 1) return SendAlone(replica, std::move(batch.front()), in_lane);
  v1::BatchGetRequest request;
  request.set_namespace_(batch.front().name_space);
  for (const PendingGet& get : batch) request.add_keys(get.key);
  CallSpec spec = Spec(batch.front(), replica);
  request.set_fresh_only(batch.front().fresh_only);
  const bool near = batch.front().near;  // before the batch is moved away, in whatever order that happens
  BatchGetCall::Start(
      env_, std::move(spec), std::move(request),
      [env = env_, near](v1::BatchGetRequest& sent, const Replica&, int attempt) {
        ReadPast(near, *env, &sent, attempt);
      },
      [this, replica, in_lane, batch = std::move(batch)](const absl::Status& status, v1::BatchGetResponse&& response,
                                                         const CallEnd& end) mutable {
        const bool keeps_place = in_lane && KeepsPlace(replica);
        Deliver(replica, std::move(batch), status, response, end);
        if (keeps_place) SendNext(replica);
      });
}

void Gatherer::Deliver(const std::shared_ptr<Replica>& replica, Batch batch, const absl::Status& status,
                       const v1::BatchGetResponse& response, CallEnd end) {
  end.incarnation = response.incarnation();
  const bool whole = status.ok() && response.results_size() == static_cast<int>(batch.size());
  const int64_t now = env_->clock.NowNanos();
  Batch again;
  for (size_t i = 0; i < batch.size(); ++i) {
    PendingGet& get = batch[i];
    if (whole && response.results(static_cast<int>(i)).status() != v1::STATUS_RETRY) {
      std::move(get.done)(status, response.results(static_cast<int>(i)), end);
    } else if (whole || status.code() == absl::StatusCode::kInvalidArgument) {
      // It did not fit into the answer; or one of the batch is at fault, and only that one is to hear of it.
      SendAlone(replica, std::move(get), /*in_lane=*/false);
    } else if (status.code() == absl::StatusCode::kDeadlineExceeded && get.deadline_nanos > now && !get.sent_again) {
      get.sent_again = true;
      again.push_back(std::move(get));  // the oldest one's time is up, not this one's
    } else {
      const absl::Status broken =
          absl::InternalError("the service's answer to a batch has not one result for each key");
      std::move(get.done)(status.ok() ? broken : status, v1::GetResponse(), end);
    }
  }
  if (!again.empty()) SendBatch(replica, std::move(again), /*in_lane=*/false);
}

}  // namespace larder::internal
