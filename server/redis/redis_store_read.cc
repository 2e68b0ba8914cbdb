// RedisStore: reading entries and the control record.
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "server/redis/redis_store.h"
#include "server/store/envelope.h"

namespace larder {
namespace {

constexpr int64_t kWarnEvery = 60 * kNanosPerSecond;

}  // namespace

void RedisStore::Read(ReadRequest request, StoreCallback<ReadResult> done) {
  absl::StatusOr<const NamespaceKeys*> name_space = Find(request.name_space);
  if (!name_space.ok()) return std::move(done)(std::move(name_space).status());
  if (route_->is_cluster()) return ReadApart(**name_space, std::move(request), std::move(done));
  const OperationDeadline deadline = route_->DeadlineFor(request.deadline_nanos);
  route_->Submit((*name_space)->control,
                 {ReadCommands(**name_space, request.keys, request.known), deadline,
                  [this, name_space = *name_space, keys = std::move(request.keys), known = request.known, deadline,
                   done = std::move(done)](absl::StatusOr<RedisAnswer> answer) mutable {
                    FinishRead(*name_space, keys, known, deadline, std::move(answer), std::move(done));
                  }});
}

void RedisStore::FinishRead(const NamespaceKeys& name_space, const std::vector<std::string>& keys, ClockPosition known,
                            OperationDeadline deadline, absl::StatusOr<RedisAnswer> answer,
                            StoreCallback<ReadResult> done) {
  if (!answer.ok()) return std::move(done)(std::move(answer).status());
  const std::vector<RedisReplyPtr>& replies = answer->replies;
  ReadResult result;
  result.entries.reserve(replies.size() / 2);
  for (size_t i = 0; i + 1 < replies.size(); i += 2) {
    const RedisReplyView value(replies[i + 1]);
    // Only this error is about the one key.
    if (value.IsError() && value.ErrorCode() != "WRONGTYPE") return std::move(done)(ErrorOf(value));
    result.entries.push_back(Decode(name_space, keys[i / 2], value, RedisReplyView(replies[i]), answer->sent_nanos));
  }
  RedisPipeline again;
  absl::StatusOr<std::optional<ControlUpdate>> update =
      TakeControl(name_space, known, RedisReplyView(replies.back()), answer->order, again);
  if (!update.ok()) return std::move(done)(std::move(update).status());
  if (update->has_value()) {
    result.control = **std::move(update);
    return std::move(done)(std::move(result));
  }
  AskControl(name_space, std::move(again), deadline,
             [result = std::move(result), done = std::move(done)](absl::StatusOr<ControlUpdate> whole) mutable {
               if (!whole.ok()) return std::move(done)(std::move(whole).status());
               result.control = *std::move(whole);
               std::move(done)(std::move(result));
             });
}

absl::StatusOr<std::optional<ControlUpdate>> RedisStore::TakeControl(const NamespaceKeys& name_space,
                                                                     ClockPosition known, RedisReplyView control,
                                                                     uint64_t order, RedisPipeline& again) {
  absl::StatusOr<std::optional<ControlRange>> range = ParseControlRange(control);
  if (!range.ok()) {
    NoteError(control);
    return std::move(range).status();
  }
  const uint64_t from = AskedFrom(known);
  if (!range->has_value() || (from == 0 && (*range)->epoch == 0)) {
    // COHERENCE C3: with the record its stamps are lost, so a new generation is set, under which nothing that was read
    // is valid.
    lost_records_.fetch_add(1);
    again = EnsureCommands(name_space);
    return std::nullopt;
  }
  if ((*range)->generation != known.generation && from != 0) {
    // COHERENCE C2: what was asked for began too late on another generation's clock.
    AddControlRead(again, name_space.control, 0);
    return std::nullopt;
  }
  return UpdateOf(**std::move(range), known, order);
}

void RedisStore::AskControl(const NamespaceKeys& name_space, RedisPipeline commands, OperationDeadline deadline,
                            StoreCallback<ControlUpdate> done) {
  route_->Submit(
      name_space.control,
      {std::move(commands), deadline, [this, done = std::move(done)](absl::StatusOr<RedisAnswer> answer) mutable {
         if (!answer.ok()) return std::move(done)(std::move(answer).status());
         const RedisReplyView control(answer->replies.back());
         absl::StatusOr<ControlUpdate> update = ParseUpdate(control, ClockPosition{}, answer->order);
         if (!update.ok()) NoteError(control);
         std::move(done)(std::move(update));
       }});
}

EntryRef RedisStore::Decode(const NamespaceKeys& name_space, std::string_view key, RedisReplyView value,
                            RedisReplyView pttl, int64_t sent_nanos) {
  if (value.IsNull()) return nullptr;
  if (value.IsError()) {
    NoteUnreadable(name_space, "of another type");
    return nullptr;
  }
  const int64_t left_ms = pttl.Integer().value_or(-2);
  // It was written between the two commands, or expires now.
  if (left_ms == -2 || left_ms == 0) return nullptr;
  if (left_ms < 0) {
    NoteUnreadable(name_space, "without a time to live");
    return nullptr;
  }
  const EnvelopeContext context{left_ms, sent_nanos, options_.max_value_bytes, key};
  std::variant<EntryRef, EnvelopeFault> decoded = DecodeEnvelope(value.Text().value_or(""), context, codec_);
  if (EntryRef* entry = std::get_if<EntryRef>(&decoded)) return std::move(*entry);
  NoteUnreadable(name_space, EnvelopeFaultName(std::get<EnvelopeFault>(decoded)));
  return nullptr;
}

void RedisStore::NoteUnreadable(const NamespaceKeys& name_space, std::string_view why) {
  const int64_t count = unreadable_.fetch_add(1) + 1;
  const int64_t now = clock_->NowNanos();
  if (!warn_ || (warned_nanos_ != 0 && now - warned_nanos_ < kWarnEvery)) return;
  warned_nanos_ = now;
  warn_(absl::StrCat("a value in Redis under a key of namespace \"", name_space.name, "\" is ", std::string(why),
                     " and was read as a miss (", count, " such reads so far)"));
}

void RedisStore::ReadControl(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                             StoreCallback<ControlUpdate> done) {
  Read(ReadRequest{std::move(name_space), {}, known, deadline_nanos},
       [done = std::move(done)](absl::StatusOr<ReadResult> result) mutable {
         if (!result.ok()) return std::move(done)(std::move(result).status());
         std::move(done)(std::move(result->control));
       });
}

}  // namespace larder
