// RedisStore: looking at what there is, without its values.
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
                  connection_.DeadlineFor(request.deadline_nanos),
                  std::move(done),
                  {}});
}

void RedisStore::LookAt(LookCall call) {
  RedisPipeline commands;
  for (const std::string& key : call.keys) AddLook(commands, *call.name_space, key, kUsualHeadBytes);
  AddControlRead(commands, call.name_space->control, AskedFrom(call.known));
  const OperationDeadline deadline = call.deadline;
  connection_.Submit(
      {std::move(commands), deadline, [this, call = std::move(call)](absl::StatusOr<RedisAnswer> answer) mutable {
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
      TakeControl(*call.name_space, call.known, RedisReplyView(answer->replies.back()), whole);
  if (!update.ok()) return std::move(call.done)(std::move(update).status());
  if (update->has_value()) {
    call.result.control = **std::move(update);
    return LookAgain(std::move(call), std::move(again));
  }
  const OperationDeadline deadline = call.deadline;
  AskControl(std::move(whole), deadline,
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
  connection_.Submit(
      {std::move(commands), deadline,
       [this, call = std::move(call), again = std::move(again)](absl::StatusOr<RedisAnswer> answer) mutable {
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

void RedisStore::Scan(ScanRequest request, StoreCallback<ScanResult> done) {
  absl::StatusOr<const NamespaceKeys*> name_space = Find(request.name_space);
  if (!name_space.ok()) return std::move(done)(std::move(name_space).status());
  if (!IsScanCursor(request.cursor))
    return std::move(done)(absl::InvalidArgumentError("cursor: not one of this store"));
  const OperationDeadline deadline = connection_.DeadlineFor(request.deadline_nanos);
  connection_.Submit({ScanCommands(**name_space, request.cursor, request.count), deadline,
                      [this, keys = *name_space, known = request.known, deadline,
                       done = std::move(done)](absl::StatusOr<RedisAnswer> answer) mutable {
                        if (!answer.ok()) return std::move(done)(std::move(answer).status());
                        const RedisReplyView reply(answer->replies[0]);
                        absl::StatusOr<ScannedKeys> scanned = ParseScan(reply, *keys);
                        if (!scanned.ok()) {
                          NoteError(reply);
                          return std::move(done)(std::move(scanned).status());
                        }
                        LookAt(LookCall{keys,
                                        std::move(scanned->keys),
                                        known,
                                        deadline,
                                        [cursor = std::move(scanned->cursor),
                                         done = std::move(done)](absl::StatusOr<LookResult> looked) mutable {
                                          if (!looked.ok()) return std::move(done)(std::move(looked).status());
                                          std::move(done)(ScanResultOf(std::move(cursor), *std::move(looked)));
                                        },
                                        {}});
                      }});
}

}  // namespace larder
