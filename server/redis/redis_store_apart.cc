// RedisStore: reading where entries and the control record are on different servers (COHERENCE N5).
#include <algorithm>
#include <memory>
#include <utility>

#include "server/redis/redis_store.h"

namespace larder {
namespace {

// Of a look at the control record: it may be gone, made anew, and be of another generation then than was known.
constexpr int kMaxLooks = 4;

}  // namespace

void RedisStore::OnLoop(RedisLoop::Task task) {
  if (loop_.is_own_thread()) return std::move(task)();
  // The loop has stopped, and nothing else runs any more.
  if (!loop_.Post(std::move(task))) std::move(task)();
}

// COHERENCE N4: what is judged by was asked for after the call was made. It need not be newer than the entries where it
// tells of invalidations, as those between the two were made during the call. But an entry that had to wait may be that
// of a master which lost what was acknowledged before, and the generation that says so is set before that answers.
void RedisStore::ReadApart(const NamespaceKeys& name_space, ReadRequest request, StoreCallback<ReadResult> done) {
  const OperationDeadline deadline = route_->DeadlineFor(request.deadline_nanos);
  auto gathering = std::make_shared<Gathering<ApartRead>>();
  gathering->result.read.entries.resize(request.keys.size());
  gathering->left = request.keys.size() + 1;
  gathering->result.keys = std::move(request.keys);
  gathering->done = [this, keys = &name_space, known = request.known, deadline,
                     done = std::move(done)](absl::StatusOr<ApartRead> got) mutable {
    if (!got.ok()) return std::move(done)(std::move(got).status());
    if (got->entries_sent_nanos <= got->control_sent_nanos) return std::move(done)(std::move(got->read));
    AskUpdate(*keys, known, deadline,
              [read = std::move(got->read), done = std::move(done)](absl::StatusOr<SentUpdate> update) mutable {
                if (!update.ok()) return std::move(done)(std::move(update).status());
                read.control = std::move(update->update);
                std::move(done)(std::move(read));
              });
  };
  OnLoop([this, keys = &name_space, deadline, known = request.known, gathering]() mutable {
    for (size_t i = 0; i < gathering->result.keys.size(); ++i) {
      const std::string& key = gathering->result.keys[i];
      route_->Submit(keys->entry_prefix + key, {EntryReadCommands(*keys, key), deadline,
                                                [this, keys, i, gathering](absl::StatusOr<RedisAnswer> answer) {
                                                  TakeEntry(*keys, i, std::move(answer), *gathering);
                                                }});
    }
    AskUpdate(*keys, known, deadline, [gathering](absl::StatusOr<SentUpdate> update) {
      if (update.ok()) {
        gathering->result.read.control = std::move(update->update);
        gathering->result.control_sent_nanos = update->sent_nanos;
      }
      gathering->Arrive(update.status());
    });
  });
}

void RedisStore::TakeEntry(const NamespaceKeys& name_space, size_t i, absl::StatusOr<RedisAnswer> answer,
                           Gathering<ApartRead>& gathering) {
  ReadResult& read = gathering.result.read;
  absl::Status status = answer.status();
  if (answer.ok()) {
    const RedisReplyView value(answer->replies[1]);
    if (value.IsError() && value.ErrorCode() != "WRONGTYPE") {
      status = ErrorOf(value);
    } else {
      read.entries[i] =
          Decode(name_space, gathering.result.keys[i], value, RedisReplyView(answer->replies[0]), answer->sent_nanos);
      int64_t& last = gathering.result.entries_sent_nanos;
      last = std::max(last, answer->sent_nanos);
    }
  }
  // Where there is more than one key, those of a node that is away are the only ones that are.
  if (!absl::IsUnavailable(status) || read.entries.size() == 1) return gathering.Arrive(status);
  read.withheld.insert(std::lower_bound(read.withheld.begin(), read.withheld.end(), i), i);
  gathering.Arrive();
}

void RedisStore::AskUpdate(const NamespaceKeys& name_space, ClockPosition known, OperationDeadline deadline,
                           StoreCallback<SentUpdate> done) {
  RedisPipeline commands;
  AddControlRead(commands, name_space.control, AskedFrom(known));
  route_->Submit(
      name_space.control,
      {std::move(commands), deadline,
       [this, keys = &name_space, known, deadline, done = std::move(done)](absl::StatusOr<RedisAnswer> answer) mutable {
         if (!answer.ok()) return std::move(done)(std::move(answer).status());
         RedisPipeline again;
         absl::StatusOr<std::optional<ControlUpdate>> update =
             TakeControl(*keys, known, RedisReplyView(answer->replies.back()), answer->order, again);
         if (!update.ok()) return std::move(done)(std::move(update).status());
         const int64_t sent_nanos = answer->sent_nanos;
         if (update->has_value()) return std::move(done)(SentUpdate{**std::move(update), sent_nanos});
         // Later still.
         AskControl(*keys, std::move(again), deadline,
                    [sent_nanos, done = std::move(done)](absl::StatusOr<ControlUpdate> asked) mutable {
                      if (!asked.ok()) return std::move(done)(std::move(asked).status());
                      std::move(done)(SentUpdate{*std::move(asked), sent_nanos});
                    });
       }});
}

void RedisStore::AskFacts(FactsCall call) {
  const OperationDeadline deadline = call.deadline;
  const NamespaceKeys& name_space = *call.name_space;
  RedisPipeline commands = FactsCommands(name_space, call.known, call.tags);
  route_->Submit(
      name_space.control,
      {std::move(commands), deadline, [this, call = std::move(call)](absl::StatusOr<RedisAnswer> answer) mutable {
         if (!answer.ok()) return std::move(call.done)(std::move(answer).status());
         absl::StatusOr<std::optional<ControlFacts>> facts =
             ParseFacts(answer->replies, call.known, call.tags, answer->order);
         if (!facts.ok()) {
           NoteError(RedisReplyView(answer->replies.back()));
           return std::move(call.done)(std::move(facts).status());
         }
         const bool is_whole = facts->has_value() &&
                               (AskedFrom(call.known) == 0 || (*facts)->position.generation == call.known.generation);
         if (is_whole) return std::move(call.done)(**std::move(facts));
         if (++call.tries > kMaxLooks) {
           return std::move(call.done)(absl::UnavailableError("the control record in Redis goes again and again"));
         }
         // COHERENCE C2: what was asked for began too late on another generation's clock.
         call.known = ClockPosition{};
         if (facts->has_value()) return AskFacts(std::move(call));
         lost_records_.fetch_add(1);
         RedisPipeline ensure = EnsureCommands(*call.name_space);
         const NamespaceKeys& keys = *call.name_space;
         const OperationDeadline until = call.deadline;
         AskControl(keys, std::move(ensure), until,
                    [this, call = std::move(call)](absl::StatusOr<ControlUpdate> made) mutable {
                      made.ok() ? AskFacts(std::move(call)) : std::move(call.done)(std::move(made).status());
                    });
       }});
}

void RedisStore::LookAtOne(const NamespaceKeys& name_space, std::string key, size_t head_bytes,
                           OperationDeadline deadline, StoreCallback<StoredItem> done) {
  RedisPipeline commands;
  AddLook(commands, name_space, key, head_bytes);
  const std::string place = name_space.entry_prefix + key;
  route_->Submit(place, {std::move(commands), deadline,
                         [this, keys = &name_space, key = std::move(key), head_bytes, deadline,
                          done = std::move(done)](absl::StatusOr<RedisAnswer> answer) mutable {
                           if (!answer.ok()) return std::move(done)(std::move(answer).status());
                           absl::StatusOr<KeyLook> look = ParseLook(answer->replies, 0, key, answer->sent_nanos);
                           if (!look.ok()) return std::move(done)(std::move(look).status());
                           // One that has grown meanwhile stays unreadable to this call.
                           if (look->wanted_bytes == 0 || head_bytes != kUsualHeadBytes) {
                             return std::move(done)(std::move(look->item));
                           }
                           LookAtOne(*keys, std::move(key), look->wanted_bytes, deadline, std::move(done));
                         }});
}

void RedisStore::LookApart(LookCall call) {
  auto gathering = std::make_shared<Gathering<LookResult>>();
  gathering->result.items.resize(call.keys.size());
  gathering->left = call.keys.size() + 1;
  // As it is judged by what is found here, that is not older than the entries.
  gathering->done = [this, keys = call.name_space, known = call.known, deadline = call.deadline,
                     done = std::move(call.done)](absl::StatusOr<LookResult> found) mutable {
    if (!found.ok()) return std::move(done)(std::move(found).status());
    AskUpdate(*keys, known, deadline,
              [found = *std::move(found), done = std::move(done)](absl::StatusOr<SentUpdate> update) mutable {
                if (!update.ok()) return std::move(done)(std::move(update).status());
                found.control = std::move(update->update);
                std::move(done)(std::move(found));
              });
  };
  OnLoop([this, call = std::move(call), gathering]() mutable {
    for (size_t i = 0; i < call.keys.size(); ++i) {
      LookAtOne(*call.name_space, std::move(call.keys[i]), kUsualHeadBytes, call.deadline,
                [i, gathering](absl::StatusOr<StoredItem> item) {
                  if (item.ok()) gathering->result.items[i] = *std::move(item);
                  gathering->Arrive(item.status());
                });
    }
    gathering->Arrive();
  });
}

}  // namespace larder
