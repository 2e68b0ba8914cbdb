// RedisStore: groups, sweeps and the age of stamps.
#include <utility>

#include "server/redis/redis_store.h"

namespace larder {

void RedisStore::InvalidateGroups(GroupRequest request, StoreCallback<GroupResult> done) {
  absl::StatusOr<const NamespaceKeys*> name_space = Find(request.name_space);
  if (!name_space.ok()) return std::move(done)(std::move(name_space).status());
  RunParsed<GroupResult>(**name_space, Script::kInvalidateGroups, route_->DeadlineFor(request.deadline_nanos),
                         request.known, GroupCommands(**name_space, request), ParseGroup, std::move(done));
}

void RedisStore::RaiseBarrier(std::string name_space, int64_t deadline_nanos, StoreCallback<ControlUpdate> done) {
  absl::StatusOr<const NamespaceKeys*> keys = Find(name_space);
  if (!keys.ok()) return std::move(done)(std::move(keys).status());
  RunParsed<ControlUpdate>(**keys, Script::kRaiseBarrier, route_->DeadlineFor(deadline_nanos), ClockPosition{},
                           RaiseBarrierCommands(**keys), ParseUpdate, std::move(done));
}

void RedisStore::Sweep(SweepRequest request, StoreCallback<SweepResult> done) {
  absl::StatusOr<const NamespaceKeys*> name_space = Find(request.name_space);
  if (!name_space.ok()) return std::move(done)(std::move(name_space).status());
  RedisPipeline commands = SweepCommands(**name_space, request, route_->is_cluster());
  RunParsed<SweepResult>(
      **name_space, Script::kSweep, route_->DeadlineFor(request.deadline_nanos), request.known, std::move(commands),
      ParseSweep,
      [this, keys = *name_space, step = request.step, fence = request.fence, deadline = request.deadline_nanos,
       done = std::move(done)](absl::StatusOr<SweepResult> result) mutable {
        const bool ends = result.ok() && result->mine && step == SweepRequest::Step::kEnd;
        // COHERENCE C4: in a Cluster no stamp is retired.
        if (!ends || route_->is_cluster()) {
          return std::move(done)(std::move(result));
        }
        // The floor is up, so that it matters no more when the stamps go, or that only some of them do.
        ForgetPages(*keys, fence, Forgotten::kHardPatterns, 0, deadline,
                    [result = *std::move(result), done = std::move(done)](absl::StatusOr<bool> forgotten) mutable {
                      if (!forgotten.ok()) return std::move(done)(std::move(forgotten).status());
                      std::move(done)(std::move(result));
                    });
      });
}

void RedisStore::ForgetPages(const NamespaceKeys& name_space, ClockPosition up_to, Forgotten which, int64_t offset,
                             int64_t deadline_nanos, StoreCallback<bool> done) {
  RunScript(ScriptCall{&name_space, Script::kForget, route_->DeadlineFor(deadline_nanos),
                       [this, keys = &name_space, up_to, which, deadline_nanos,
                        done = std::move(done)](absl::StatusOr<ScriptReply> reply) mutable {
                         if (!reply.ok()) return std::move(done)(std::move(reply).status());
                         const absl::StatusOr<int64_t> next = ParseNumber(RedisReplyView(reply->reply), "a page");
                         if (!next.ok()) return std::move(done)(next.status());
                         if (*next < 0) return std::move(done)(true);
                         ForgetPages(*keys, up_to, which, *next, deadline_nanos, std::move(done));
                       }},
            ForgetCommands(name_space, up_to, which, offset));
}

void RedisStore::ForgetOldStamps(std::string name_space, int64_t max_life_nanos, int64_t deadline_nanos,
                                 StoreCallback<uint64_t> done) {
  absl::StatusOr<const NamespaceKeys*> keys = Find(name_space);
  if (!keys.ok()) return std::move(done)(std::move(keys).status());
  RunScript(
      ScriptCall{
          *keys, Script::kAge, route_->DeadlineFor(deadline_nanos),
          [this, keys = *keys, deadline_nanos, done = std::move(done)](absl::StatusOr<ScriptReply> reply) mutable {
            if (!reply.ok()) return std::move(done)(std::move(reply).status());
            const absl::StatusOr<ClockPosition> up_to = ParseAge(RedisReplyView(reply->reply));
            if (!up_to.ok()) return std::move(done)(up_to.status());
            if (up_to->epoch == 0) return std::move(done)(0);
            ForgetPages(*keys, *up_to, Forgotten::kAll, 0, deadline_nanos,
                        [epoch = up_to->epoch, done = std::move(done)](absl::StatusOr<bool> done_all) mutable {
                          if (!done_all.ok()) return std::move(done)(std::move(done_all).status());
                          std::move(done)(epoch);
                        });
          }},
      AgeCommands(**keys, max_life_nanos));
}

}  // namespace larder
