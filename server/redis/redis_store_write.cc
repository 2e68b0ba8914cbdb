// RedisStore: the scripts over entries.
#include <algorithm>
#include <utility>

#include "server/redis/redis_store.h"
#include "server/store/envelope.h"

namespace larder {
namespace {

// Of a script: Redis may have forgotten it, and then turn out to have lost the control record.
constexpr int kMaxTries = 3;

}  // namespace

RedisPipeline RedisStore::EnsureCommands(const NamespaceKeys& name_space) const {
  RedisPipeline pipeline;
  pipeline.AddLoad(Script::kEnsure, route_->scripts());
  route_->AddEnsure(pipeline, name_space.control);
  return pipeline;
}

void RedisStore::RunScript(ScriptCall call, RedisPipeline commands) {
  const OperationDeadline deadline = call.deadline;
  const std::string key = call.key.empty() ? call.name_space->control : call.key;
  route_->Submit(
      key, {std::move(commands), deadline, [this, call = std::move(call)](absl::StatusOr<RedisAnswer> answer) mutable {
              FinishScript(std::move(call), std::move(answer));
            }});
}

void RedisStore::FinishScript(ScriptCall call, absl::StatusOr<RedisAnswer> answer) {
  if (!answer.ok()) return std::move(call.done)(std::move(answer).status());
  const std::string_view code = RedisReplyView(answer->replies.back()).ErrorCode();
  const bool did_not_run = code == "NOSCRIPT" || code == "NOCTL";
  if (did_not_run && call.tries < kMaxTries) {
    // Redis forgot its scripts, or the control record is gone. Both say that nothing was done, so that it may be done
    // now (COHERENCE P4, C3).
    ++call.tries;
    RedisPipeline again;
    if (code == "NOCTL") {
      lost_records_.fetch_add(1);
      again = EnsureCommands(*call.name_space);
    }
    again.AddLoad(call.script, route_->scripts());
    again.Append(answer->sent);
    return RunScript(std::move(call), std::move(again));
  }
  // Why the record could not be made says more than that it is missing.
  for (const RedisReplyPtr& each : answer->replies) {
    const RedisReplyView view(each);
    if (!view.IsError()) continue;
    absl::Status error = ErrorOf(view);
    if (did_not_run) return std::move(call.done)(std::move(error));
  }
  std::move(call.done)(ScriptReply{std::move(answer->replies.back()), answer->order});
}

void RedisStore::Write(WriteRequest request, StoreCallback<WriteResult> done) {
  absl::StatusOr<const NamespaceKeys*> name_space = Find(request.name_space);
  if (!name_space.ok()) return std::move(done)(std::move(name_space).status());
  if (route_->is_cluster()) return WriteApart(**name_space, std::move(request), std::move(done));
  const int64_t now = clock_->NowNanos();
  const Envelope envelope = MakeEnvelope(*request.entry, now, options_.compress_from_bytes, codec_);
  RedisPipeline commands = WriteCommands(**name_space, request, envelope, EnvelopeTtlMillis(*request.entry, now));
  RunParsed<WriteResult>(**name_space, Script::kWrite, route_->DeadlineFor(request.deadline_nanos), request.known,
                         std::move(commands), ParseWrite,
                         [entry = request.entry, done = std::move(done)](absl::StatusOr<WriteResult> result) mutable {
                           // The script has stamped what is in Redis; this is the caller's own copy.
                           if (result.ok() && result->applied)
                             entry->Stamp(result->control.generation, result->current_epoch);
                           std::move(done)(std::move(result));
                         });
}

void RedisStore::Touch(TouchRequest request, StoreCallback<TouchResult> done) {
  absl::StatusOr<const NamespaceKeys*> name_space = Find(request.name_space);
  if (!name_space.ok()) return std::move(done)(std::move(name_space).status());
  if (route_->is_cluster()) return TouchApart(**name_space, std::move(request), std::move(done));
  RunParsed<TouchResult>(**name_space, Script::kTouch, route_->DeadlineFor(request.deadline_nanos), request.known,
                         TouchCommands(**name_space, request), ParseTouch, std::move(done));
}

void RedisStore::Lease(LeaseRequest request, StoreCallback<LeaseResult> done) {
  absl::StatusOr<const NamespaceKeys*> name_space = Find(request.name_space);
  if (!name_space.ok()) return std::move(done)(std::move(name_space).status());
  if (route_->is_cluster()) return LeaseApart(**name_space, std::move(request), std::move(done));
  RunParsed<LeaseResult>(**name_space, Script::kLease, route_->DeadlineFor(request.deadline_nanos), request.known,
                         LeaseCommands(**name_space, request), ParseLease, std::move(done));
}

void RedisStore::Release(ReleaseRequest request, StoreCallback<ReleaseResult> done) {
  absl::StatusOr<const NamespaceKeys*> name_space = Find(request.name_space);
  if (!name_space.ok()) return std::move(done)(std::move(name_space).status());
  const std::string key = (*name_space)->entry_prefix + request.key;
  RunScript(ScriptCall{*name_space, Script::kRelease, route_->DeadlineFor(request.deadline_nanos),
                       [done = std::move(done)](absl::StatusOr<ScriptReply> reply) mutable {
                         if (!reply.ok()) return std::move(done)(std::move(reply).status());
                         const absl::StatusOr<int64_t> held = ParseNumber(RedisReplyView(reply->reply), "a release");
                         if (!held.ok()) return std::move(done)(held.status());
                         std::move(done)(ReleaseResult{*held == 1});
                       },
                       key},
            ReleaseCommands(**name_space, request, route_->is_cluster() ? &kNothingTold : nullptr));
}

template <typename Request>
struct RedisStore::EraseCall {
  const NamespaceKeys* name_space;
  Request request;
  OperationDeadline deadline;
  StoreCallback<EraseResult> done;
  size_t next = 0;  // the first key that is not erased yet
  EraseResult result;
};

template <typename Request>
void RedisStore::EraseNext(std::unique_ptr<EraseCall<Request>> call) {
  if (call->next >= call->request.keys.size()) return std::move(call->done)(call->result);
  RedisPipeline commands = EraseCommands(*call->name_space, call->request, call->next);
  const NamespaceKeys* const name_space = call->name_space;
  const OperationDeadline deadline = call->deadline;
  RunScript(ScriptCall{name_space, Script::kErase, deadline,
                       [this, call = std::move(call)](absl::StatusOr<ScriptReply> reply) mutable {
                         if (!reply.ok()) return std::move(call->done)(std::move(reply).status());
                         const absl::StatusOr<int64_t> erased = ParseNumber(RedisReplyView(reply->reply), "an erasure");
                         if (!erased.ok()) return std::move(call->done)(erased.status());
                         call->result.erased += *erased;
                         call->next += kKeysPerErase;
                         EraseNext(std::move(call));
                       }},
            std::move(commands));
}

void RedisStore::Erase(EraseRequest request, StoreCallback<EraseResult> done) {
  absl::StatusOr<const NamespaceKeys*> name_space = Find(request.name_space);
  if (!name_space.ok()) return std::move(done)(std::move(name_space).status());
  const OperationDeadline deadline = route_->DeadlineFor(request.deadline_nanos);
  if (route_->is_cluster()) return EraseApart(**name_space, std::move(request), deadline, std::move(done));
  EraseNext(std::make_unique<EraseCall<EraseRequest>>(
      EraseCall<EraseRequest>{*name_space, std::move(request), deadline, std::move(done), 0, {}}));
}

void RedisStore::EraseVersions(EraseVersionsRequest request, StoreCallback<EraseResult> done) {
  absl::StatusOr<const NamespaceKeys*> name_space = Find(request.name_space);
  if (!name_space.ok()) return std::move(done)(std::move(name_space).status());
  const OperationDeadline deadline = route_->DeadlineFor(request.deadline_nanos);
  if (route_->is_cluster()) return EraseApart(**name_space, std::move(request), deadline, std::move(done));
  EraseNext(std::make_unique<EraseCall<EraseVersionsRequest>>(
      EraseCall<EraseVersionsRequest>{*name_space, std::move(request), deadline, std::move(done), 0, {}}));
}

}  // namespace larder
