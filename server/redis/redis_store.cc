#include "server/redis/redis_store.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "server/store/envelope.h"

namespace larder {
namespace {

constexpr int64_t kWarnEvery = 60 * kNanosPerSecond;
// How long Describe goes on telling of an error that a configuration caused.
constexpr int64_t kTroubleShownFor = 60 * kNanosPerSecond;

std::map<std::string, NamespaceKeys> AllKeys(const RedisStore::Parts& parts) {
  std::map<std::string, NamespaceKeys> all;
  for (const std::string& name : parts.namespaces) all.emplace(name, KeysOf(parts.options.prefix, name));
  return all;
}

std::vector<std::string> ControlKeys(const std::map<std::string, NamespaceKeys>& namespaces) {
  std::vector<std::string> keys;
  for (const auto& [name, name_space] : namespaces) keys.push_back(name_space.control);
  return keys;
}

}  // namespace

RedisStore::RedisStore(const Clock* clock, Parts parts)
    : clock_(clock),
      options_(parts.options),
      warn_(std::move(parts.warn)),
      namespaces_(AllKeys(parts)),
      loop_(clock),
      connection_(&loop_, clock, options_, ControlKeys(namespaces_),
                  [warn = warn_, inform = std::move(parts.inform)](bool ready, const std::string& what) {
                    if (const auto& tell = ready ? inform : warn) tell(what);
                  }) {}

RedisStore::~RedisStore() { Shutdown(); }

absl::Status RedisStore::Start() {
  if (absl::Status status = loop_.Start(); !status.ok()) return status;
  connection_.Start();
  return absl::OkStatus();
}

void RedisStore::Shutdown() {
  // Refused the second time, which changes nothing.
  loop_.Post([this] { connection_.Close(); });
  loop_.Stop();
}

absl::StatusOr<const NamespaceKeys*> RedisStore::Find(const std::string& name_space) const {
  auto found = namespaces_.find(name_space);
  if (found != namespaces_.end()) return &found->second;
  return absl::InternalError(absl::StrCat("the store was not told of namespace \"", name_space, "\""));
}

// --- Reading ---

void RedisStore::Read(ReadRequest request, StoreCallback<ReadResult> done) {
  absl::StatusOr<const NamespaceKeys*> name_space = Find(request.name_space);
  if (!name_space.ok()) return std::move(done)(std::move(name_space).status());
  ReadCall call{*name_space, request.known, connection_.DeadlineFor(request.deadline_nanos), std::move(done)};
  const OperationDeadline deadline = call.deadline;
  connection_.Submit({ReadCommands(**name_space, request.keys, request.known), deadline,
                      [this, call = std::move(call)](absl::StatusOr<RedisAnswer> answer) mutable {
                        FinishRead(std::move(call), std::move(answer));
                      }});
}

void RedisStore::FinishRead(ReadCall call, absl::StatusOr<RedisAnswer> answer) {
  if (!answer.ok()) return std::move(call.done)(std::move(answer).status());
  const std::vector<RedisReplyPtr>& replies = answer->replies;
  ReadResult result;
  result.entries.reserve(replies.size() / 2);
  for (size_t i = 0; i + 1 < replies.size(); i += 2) {
    const RedisReplyView value(replies[i]);
    // Only this error is about the one key.
    if (value.IsError() && value.ErrorCode() != "WRONGTYPE") {
      NoteError(value);
      return std::move(call.done)(StatusOfReply(value));
    }
    result.entries.push_back(Decode(*call.name_space, value, RedisReplyView(replies[i + 1]), answer->sent_nanos));
  }
  const RedisReplyView control(replies.back());
  absl::StatusOr<std::optional<ControlRange>> range = ParseControlRange(control);
  if (!range.ok()) {
    NoteError(control);
    return std::move(call.done)(std::move(range).status());
  }
  const uint64_t from = AskedFrom(call.known);
  if (!range->has_value() || (from == 0 && (*range)->epoch == 0)) {
    // COHERENCE C3: with the record its stamps are lost, so a new generation is set, under which nothing read here is
    // valid.
    RedisPipeline ensure = EnsureCommands(*call.name_space);
    return CompleteRead(std::move(call), std::move(result), std::move(ensure));
  }
  if ((*range)->generation != call.known.generation && from != 0) {
    // COHERENCE C2: what was asked for began too late on another generation's clock.
    RedisPipeline reread;
    AddControlRead(reread, call.name_space->control, 0);
    return CompleteRead(std::move(call), std::move(result), std::move(reread));
  }
  result.control = UpdateOf(**range, call.known, ++sequence_);
  std::move(call.done)(std::move(result));
}

void RedisStore::CompleteRead(ReadCall call, ReadResult result, RedisPipeline commands) {
  const OperationDeadline deadline = call.deadline;
  connection_.Submit(
      {std::move(commands), deadline,
       [this, call = std::move(call), result = std::move(result)](absl::StatusOr<RedisAnswer> answer) mutable {
         if (!answer.ok()) return std::move(call.done)(std::move(answer).status());
         const RedisReplyView control(answer->replies.back());
         absl::StatusOr<ControlUpdate> update = ParseUpdate(control, ClockPosition{}, ++sequence_);
         if (!update.ok()) {
           NoteError(control);
           return std::move(call.done)(std::move(update).status());
         }
         result.control = *update;
         std::move(call.done)(std::move(result));
       }});
}

EntryRef RedisStore::Decode(const NamespaceKeys& name_space, RedisReplyView value, RedisReplyView pttl,
                            int64_t sent_nanos) {
  if (value.IsNull()) return nullptr;
  if (value.IsError()) {
    NoteUnreadable(name_space, "of another type");
    return nullptr;
  }
  const int64_t left_ms = pttl.Integer().value_or(-2);
  // It expired between the two commands.
  if (left_ms == -2 || left_ms == 0) return nullptr;
  if (left_ms < 0) {
    NoteUnreadable(name_space, "without a time to live");
    return nullptr;
  }
  const EnvelopeContext context{left_ms, sent_nanos, options_.max_value_bytes};
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

// --- Scripts ---

RedisPipeline RedisStore::EnsureCommands(const NamespaceKeys& name_space) const {
  RedisPipeline pipeline;
  pipeline.AddLoad(Script::kEnsure, connection_.facts().knows_script_flags);
  AddEnsure(pipeline, name_space.control, connection_.facts().identity);
  return pipeline;
}

void RedisStore::RunScript(ScriptCall call, RedisPipeline commands) {
  const OperationDeadline deadline = call.deadline;
  connection_.Submit(
      {std::move(commands), deadline, [this, call = std::move(call)](absl::StatusOr<RedisAnswer> answer) mutable {
         FinishScript(std::move(call), std::move(answer));
       }});
}

void RedisStore::FinishScript(ScriptCall call, absl::StatusOr<RedisAnswer> answer) {
  if (!answer.ok()) return std::move(call.done)(std::move(answer).status());
  const RedisReplyView reply(answer->replies.back());
  const bool did_not_run = reply.ErrorCode() == "NOSCRIPT" || reply.ErrorCode() == "NOCTL";
  if (did_not_run && !call.is_second_try) {
    // Redis forgot its scripts, or the control record is gone. Both say that nothing was done, so that it may be done
    // now (COHERENCE P4, C3).
    call.is_second_try = true;
    RedisPipeline again = EnsureCommands(*call.name_space);
    again.AddLoad(call.script, connection_.facts().knows_script_flags);
    again.Append(answer->sent);
    return RunScript(std::move(call), std::move(again));
  }
  // Why the record could not be made says more than that it is missing.
  for (const RedisReplyPtr& each : answer->replies) {
    const RedisReplyView view(each);
    if (!view.IsError()) continue;
    NoteError(view);
    if (did_not_run) return std::move(call.done)(StatusOfReply(view));
  }
  std::move(call.done)(std::move(answer->replies.back()));
}

void RedisStore::Write(WriteRequest request, StoreCallback<WriteResult> done) {
  absl::StatusOr<const NamespaceKeys*> name_space = Find(request.name_space);
  if (!name_space.ok()) return std::move(done)(std::move(name_space).status());
  const EntryMeta& meta = request.entry->meta();
  const int64_t now = clock_->NowNanos();
  const int64_t ttl_ms = std::max<int64_t>(1, (meta.expires_nanos - now) / kNanosPerMilli);
  const int64_t age_ms = (now - meta.created_nanos) / kNanosPerMilli;
  const Envelope envelope = MakeEnvelope(*request.entry, ttl_ms, age_ms, options_.compress_from_bytes, codec_);
  RunScript(ScriptCall{*name_space, Script::kWrite, connection_.DeadlineFor(request.deadline_nanos),
                       [this, known = request.known, as_of = request.as_of, entry = request.entry,
                        done = std::move(done)](absl::StatusOr<RedisReplyPtr> reply) mutable {
                         if (!reply.ok()) return std::move(done)(std::move(reply).status());
                         absl::StatusOr<WriteResult> result = ParseWrite(RedisReplyView(*reply), known, ++sequence_);
                         // The script has stamped what is in Redis; this is the caller's own copy.
                         if (result.ok() && result->applied) {
                           entry->Stamp(result->control.generation, as_of ? as_of->epoch : result->control.epoch);
                         }
                         std::move(done)(std::move(result));
                       }},
            WriteCommands(**name_space, request, envelope, ttl_ms));
}

void RedisStore::Touch(TouchRequest request, StoreCallback<TouchResult> done) {
  absl::StatusOr<const NamespaceKeys*> name_space = Find(request.name_space);
  if (!name_space.ok()) return std::move(done)(std::move(name_space).status());
  RunScript(
      ScriptCall{*name_space, Script::kTouch, connection_.DeadlineFor(request.deadline_nanos),
                 [this, known = request.known, done = std::move(done)](absl::StatusOr<RedisReplyPtr> reply) mutable {
                   if (!reply.ok()) return std::move(done)(std::move(reply).status());
                   std::move(done)(ParseTouch(RedisReplyView(*reply), known, ++sequence_));
                 }},
      TouchCommands(**name_space, request));
}

void RedisStore::RunControlScript(ScriptCall call, RedisPipeline commands, ClockPosition known,
                                  StoreCallback<ControlUpdate> done) {
  call.done = [this, known, done = std::move(done)](absl::StatusOr<RedisReplyPtr> reply) mutable {
    if (!reply.ok()) return std::move(done)(std::move(reply).status());
    std::move(done)(ParseUpdate(RedisReplyView(*reply), known, ++sequence_));
  };
  RunScript(std::move(call), std::move(commands));
}

void RedisStore::InvalidateAll(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                               StoreCallback<ControlUpdate> done) {
  absl::StatusOr<const NamespaceKeys*> keys = Find(name_space);
  if (!keys.ok()) return std::move(done)(std::move(keys).status());
  RunControlScript(ScriptCall{*keys, Script::kInvalidateAll, connection_.DeadlineFor(deadline_nanos), nullptr},
                   InvalidateAllCommands(**keys, known), known, std::move(done));
}

void RedisStore::RaiseBarrier(std::string name_space, int64_t deadline_nanos, StoreCallback<ControlUpdate> done) {
  absl::StatusOr<const NamespaceKeys*> keys = Find(name_space);
  if (!keys.ok()) return std::move(done)(std::move(keys).status());
  RunControlScript(ScriptCall{*keys, Script::kRaiseBarrier, connection_.DeadlineFor(deadline_nanos), nullptr},
                   RaiseBarrierCommands(**keys), ClockPosition{}, std::move(done));
}

// --- The rest ---

void RedisStore::Erase(EraseRequest request, StoreCallback<EraseResult> done) {
  absl::StatusOr<const NamespaceKeys*> name_space = Find(request.name_space);
  if (!name_space.ok()) return std::move(done)(std::move(name_space).status());
  if (request.keys.empty()) return std::move(done)(EraseResult{});
  connection_.Submit({EraseCommands(**name_space, request.keys), connection_.DeadlineFor(request.deadline_nanos),
                      [this, done = std::move(done)](absl::StatusOr<RedisAnswer> answer) mutable {
                        if (!answer.ok()) return std::move(done)(std::move(answer).status());
                        EraseResult result;
                        for (const RedisReplyPtr& reply : answer->replies) {
                          const RedisReplyView view(reply);
                          if (view.IsError()) {
                            NoteError(view);
                            return std::move(done)(StatusOfReply(view));
                          }
                          result.erased += view.Integer().value_or(0);
                        }
                        std::move(done)(result);
                      }});
}

void RedisStore::ReadControl(std::string name_space, ClockPosition known, int64_t deadline_nanos,
                             StoreCallback<ControlUpdate> done) {
  Read(ReadRequest{std::move(name_space), {}, known, deadline_nanos},
       [done = std::move(done)](absl::StatusOr<ReadResult> result) mutable {
         if (!result.ok()) return std::move(done)(std::move(result).status());
         std::move(done)(result->control);
       });
}

void RedisStore::NoteError(RedisReplyView reply) {
  const std::string_view code = reply.ErrorCode();
  // The server is no master any more, or has forgotten who we are: the handshake finds out, and says so.
  if (code == "READONLY" || code == "NOAUTH") connection_.Reconnect(std::string(StatusOfReply(reply).message()));
  if (!IsConfigurationError(code)) return;
  MutexLock lock(&trouble_mutex_);
  trouble_ = std::string(StatusOfReply(reply).message());
  trouble_nanos_ = clock_->NowNanos();
}

StoreInfo RedisStore::Summary() const {
  StoreInfo info;
  info.kind = "redis";
  info.state = connection_.state();
  info.detail = connection_.detail();
  info.disconnects = disconnects();
  info.unreadable_entries = unreadable_.load();
  MutexLock lock(&trouble_mutex_);
  if (info.detail.empty() && trouble_nanos_ != 0 && clock_->NowNanos() - trouble_nanos_ < kTroubleShownFor) {
    info.detail = trouble_;
  }
  return info;
}

void RedisStore::Describe(int64_t deadline_nanos, StoreCallback<StoreInfo> done) {
  StoreInfo info = Summary();
  if (info.state != StoreInfo::State::kReady) return std::move(done)(std::move(info));
  const OperationDeadline deadline = connection_.DeadlineFor(deadline_nanos);
  // Alone, so that what is measured is the way there and back, not the work of INFO.
  RedisPipeline ping;
  ping.Add({"PING"});
  connection_.Submit(
      {std::move(ping), deadline, [this, deadline, done = std::move(done)](absl::StatusOr<RedisAnswer> answer) mutable {
         StoreInfo now = Summary();
         if (!answer.ok()) {
           now.detail = std::string(answer.status().message());
           return std::move(done)(std::move(now));
         }
         now.round_trip_micros =
             static_cast<double>(clock_->NowNanos() - answer->sent_nanos) / static_cast<double>(kNanosPerMicro);
         now.redis_version = connection_.facts().version;
         FinishDescribe(std::move(now), deadline, std::move(done));
       }});
}

void RedisStore::FinishDescribe(StoreInfo info, OperationDeadline deadline, StoreCallback<StoreInfo> done) {
  connection_.Submit({DescribeCommands(), deadline,
                      [info = std::move(info), done = std::move(done)](absl::StatusOr<RedisAnswer> answer) mutable {
                        const absl::Status status =
                            answer.ok() ? ParseDescription(answer->replies, info) : answer.status();
                        info.measured = status.ok();
                        if (!status.ok()) info.detail = std::string(status.message());
                        std::move(done)(std::move(info));
                      }});
}

}  // namespace larder
