// RedisStore: looking at what there is, without its values.
#include <algorithm>
#include <memory>
#include <utility>

#include "server/redis/redis_store.h"
#include "server/redis/scan_commands.h"

namespace larder {
namespace {

ScanResult ScanResultOf(std::string cursor, LookResult looked) {
  ScanResult result;
  result.cursor = std::move(cursor);
  result.control = std::move(looked.control);
  for (StoredItem& item : looked.items) {
    if (item.kind != StoredItem::Kind::kNone) result.items.push_back(std::move(item));
  }
  return result;
}

}  // namespace

void RedisStore::Look(LookRequest request, StoreCallback<LookResult> done) {
  absl::StatusOr<const NamespaceKeys*> name_space = Find(request.name_space);
  if (!name_space.ok()) return std::move(done)(std::move(name_space).status());
  LookAt(LookCall{*name_space,
                  std::move(request.keys),
                  request.known,
                  route_->DeadlineFor(request.deadline_nanos),
                  std::move(done),
                  {}});
}

void RedisStore::LookAt(LookCall call) {
  if (route_->is_cluster()) return LookApart(std::move(call));
  RedisPipeline commands;
  for (const std::string& key : call.keys) AddLook(commands, *call.name_space, key, kUsualHeadBytes);
  AddControlRead(commands, call.name_space->control, AskedFrom(call.known));
  const OperationDeadline deadline = call.deadline;
  const std::string& control = call.name_space->control;
  route_->Submit(control, {std::move(commands), deadline,
                           [this, call = std::move(call)](absl::StatusOr<RedisAnswer> answer) mutable {
                             FinishLook(std::move(call), std::move(answer));
                           }});
}

void RedisStore::FinishLook(LookCall call, absl::StatusOr<RedisAnswer> answer) {
  if (!answer.ok()) return std::move(call.done)(std::move(answer).status());
  std::vector<LongHead> again;
  for (size_t i = 0; i < call.keys.size(); ++i) {
    absl::StatusOr<KeyLook> look =
        ParseLook(answer->replies, i * kRepliesPerLook, std::move(call.keys[i]), answer->sent_nanos);
    if (!look.ok()) return std::move(call.done)(std::move(look).status());
    if (look->wanted_bytes != 0) again.push_back({i, look->wanted_bytes});
    call.result.items.push_back(std::move(look->item));
  }
  RedisPipeline whole;
  absl::StatusOr<std::optional<ControlUpdate>> update =
      TakeControl(*call.name_space, call.known, RedisReplyView(answer->replies.back()), answer->order, whole);
  if (!update.ok()) return std::move(call.done)(std::move(update).status());
  if (update->has_value()) {
    call.result.control = **std::move(update);
    return LookAgain(std::move(call), std::move(again));
  }
  const OperationDeadline deadline = call.deadline;
  const NamespaceKeys& name_space = *call.name_space;
  AskControl(name_space, std::move(whole), deadline,
             [this, call = std::move(call), again = std::move(again)](absl::StatusOr<ControlUpdate> control) mutable {
               if (!control.ok()) return std::move(call.done)(std::move(control).status());
               call.result.control = *std::move(control);
               LookAgain(std::move(call), std::move(again));
             });
}

void RedisStore::LookAgain(LookCall call, std::vector<LongHead> again) {
  if (again.empty()) return std::move(call.done)(std::move(call.result));
  RedisPipeline commands;
  for (const LongHead& head : again) {
    AddLook(commands, *call.name_space, call.result.items[head.item].key, head.bytes);
  }
  const OperationDeadline deadline = call.deadline;
  const std::string& control = call.name_space->control;
  route_->Submit(control,
                 {std::move(commands), deadline,
                  [call = std::move(call), again = std::move(again)](absl::StatusOr<RedisAnswer> answer) mutable {
                    if (!answer.ok()) return std::move(call.done)(std::move(answer).status());
                    for (size_t i = 0; i < again.size(); ++i) {
                      StoredItem& item = call.result.items[again[i].item];
                      absl::StatusOr<KeyLook> look =
                          ParseLook(answer->replies, i * kRepliesPerLook, std::move(item.key), answer->sent_nanos);
                      if (!look.ok()) return std::move(call.done)(std::move(look).status());
                      // One that has grown meanwhile stays unreadable to this call.
                      item = std::move(look->item);
                    }
                    std::move(call.done)(std::move(call.result));
                  }});
}

void RedisStore::ScanKeys(const NamespaceKeys& name_space, std::string_view cursor, int count,
                          OperationDeadline deadline, StoreCallback<ScannedKeys> done) {
  const std::vector<std::string> parts = route_->parts();
  if (parts.empty()) return std::move(done)(absl::UnavailableError("no node of the Redis Cluster is known yet"));
  // The last that there were have gone.
  if (IsPastAll(cursor, parts)) return std::move(done)(ScannedKeys{});
  std::optional<ScanPlace> place = ScanPlaceOf(cursor, parts);
  if (!place.has_value()) return std::move(done)(absl::InvalidArgumentError("cursor: not one of this store"));
  RedisPipeline commands = ScanCommands(name_space, place->cursor, count);
  const std::string part = place->part;
  route_->SubmitTo(part, {std::move(commands), deadline,
                          [this, keys = &name_space, place = *std::move(place),
                           done = std::move(done)](absl::StatusOr<RedisAnswer> answer) mutable {
                            if (!answer.ok()) return std::move(done)(std::move(answer).status());
                            const RedisReplyView reply(answer->replies[0]);
                            absl::StatusOr<ScannedKeys> scanned = ParseScan(reply, *keys);
                            if (!scanned.ok()) {
                              NoteError(reply);
                            } else {
                              scanned->cursor = CursorAfter(place, std::move(scanned->cursor));
                            }
                            std::move(done)(std::move(scanned));
                          }});
}

void RedisStore::Scan(ScanRequest request, StoreCallback<ScanResult> done) {
  absl::StatusOr<const NamespaceKeys*> name_space = Find(request.name_space);
  if (!name_space.ok()) return std::move(done)(std::move(name_space).status());
  const OperationDeadline deadline = route_->DeadlineFor(request.deadline_nanos);
  const auto finish = [](std::string cursor, StoreCallback<ScanResult> finished) {
    return [cursor = std::move(cursor), finished = std::move(finished)](absl::StatusOr<LookResult> looked) mutable {
      if (!looked.ok()) return std::move(finished)(std::move(looked).status());
      std::move(finished)(ScanResultOf(std::move(cursor), *std::move(looked)));
    };
  };
  ScanKeys(
      **name_space, request.cursor, request.count, deadline,
      [this, keys = *name_space, known = request.known, deadline, finish,
       done = std::move(done)](absl::StatusOr<ScannedKeys> scanned) mutable {
        if (!scanned.ok()) return std::move(done)(std::move(scanned).status());
        LookAt(LookCall{
            keys, std::move(scanned->keys), known, deadline, finish(std::move(scanned->cursor), std::move(done)), {}});
      });
}

void RedisStore::EraseDead(EraseDeadRequest request, StoreCallback<EraseDeadResult> done) {
  absl::StatusOr<const NamespaceKeys*> name_space = Find(request.name_space);
  if (!name_space.ok()) return std::move(done)(std::move(name_space).status());
  auto call = std::make_unique<EraseDeadCall>();
  call->name_space = *name_space;
  const OperationDeadline deadline = route_->DeadlineFor(request.deadline_nanos);
  call->request = std::move(request);
  call->done = std::move(done);
  const EraseDeadRequest& asked = call->request;
  ScanKeys(**name_space, asked.cursor, asked.count, deadline,
           [this, call = std::move(call)](absl::StatusOr<ScannedKeys> scanned) mutable {
             if (!scanned.ok()) return std::move(call->done)(std::move(scanned).status());
             call->keys = std::move(scanned->keys);
             call->result.cursor = std::move(scanned->cursor);
             call->result.scanned = static_cast<int64_t>(call->keys.size());
             if (route_->is_cluster()) return EraseDeadApart(std::move(call));
             EraseDeadNext(std::move(call));
           });
}

// Once at least, since it tells the generation too.
void RedisStore::EraseDeadNext(std::unique_ptr<EraseDeadCall> call) {
  const size_t end = std::min(call->next + kKeysPerEraseDead, call->keys.size());
  std::vector<uint64_t> patterns;
  patterns.reserve(end - call->next);
  for (size_t i = call->next; i < end; ++i) {
    patterns.push_back(call->request.latest_pattern ? call->request.latest_pattern(call->keys[i]) : 0);
  }
  RedisPipeline commands = EraseDeadCommands(*call->name_space, call->keys, call->next, patterns, call->request.known,
                                             call->request.fence.generation);
  call->next = end;
  const NamespaceKeys* const name_space = call->name_space;
  // Each part has the time of an operation: how many there are is the caller's configuration.
  const OperationDeadline deadline = route_->DeadlineFor(call->request.deadline_nanos);
  RunScript(ScriptCall{name_space, Script::kEraseDead, deadline,
                       [this, call = std::move(call)](absl::StatusOr<ScriptReply> reply) mutable {
                         if (!reply.ok()) return std::move(call->done)(std::move(reply).status());
                         const absl::Status status = ParseEraseDead(RedisReplyView(reply->reply), call->request.known,
                                                                    reply->order, &call->result);
                         if (!status.ok()) return std::move(call->done)(status);
                         if (!call->result.mine || call->next >= call->keys.size()) {
                           return std::move(call->done)(std::move(call->result));
                         }
                         EraseDeadNext(std::move(call));
                       }},
            std::move(commands));
}

}  // namespace larder
