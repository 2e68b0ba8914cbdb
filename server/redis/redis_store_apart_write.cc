// RedisStore: the scripts over entries where the control record is on another server (COHERENCE N5). What a script
// beside the record looks up in one step is looked up before, and told to the script. What the record says is never
// told newer than it is, so that an invalidation which comes between kills what is stored (E3).
#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "server/redis/redis_store.h"
#include "server/store/envelope.h"

namespace larder {
namespace {

// How often another entry may be found than the one that was judged.
constexpr int kMaxJudgements = 8;

constexpr std::string_view kUnjudged = "UNJUDGED";

absl::Status ChangesTooFast() {
  return absl::UnavailableError("the entry is changed again and again while it is looked at");
}

void AddTags(TagList from, std::vector<std::string>& to) {
  for (std::string_view tag : from) to.emplace_back(tag);
}

// COHERENCE E3, but for patterns.
bool IsAlive(const Entry& entry, const ControlFacts& facts) {
  const EntryMeta& meta = entry.meta();
  return meta.generation == facts.position.generation && !facts.Kills(entry.tags(), meta.epoch);
}

// Of the part of the store that has the key, and not of what was asked.
bool IsAway(const absl::Status& status) { return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status); }

// Whether a pattern that the caller did not judge by may have killed the entry.
bool MayBeDead(const WriteRequest& request, const Entry& entry, const ControlFacts& facts) {
  if (facts.patterns == 0 || facts.hard <= entry.meta().epoch) return false;
  if (request.alive_version != entry.meta().version || request.known.generation != facts.position.generation)
    return true;
  for (const Stamp& stamp : facts.update.stamps) {
    if (stamp.group == Stamp::Group::kPattern && !stamp.soft) return true;
  }
  return false;
}

}  // namespace

struct RedisStore::ApartWrite {
  const NamespaceKeys* name_space;
  WriteRequest request;
  Envelope envelope;
  OperationDeadline deadline;
  StoreCallback<WriteResult> done;
  int judgements = 0;
  StoredItem found;  // where there is a condition on it
  ControlFacts facts;
};

void RedisStore::WriteApart(const NamespaceKeys& name_space, WriteRequest request, StoreCallback<WriteResult> done) {
  const OperationDeadline deadline = route_->DeadlineFor(request.deadline_nanos);
  Envelope envelope = MakeEnvelope(*request.entry, clock_->NowNanos(), options_.compress_from_bytes, codec_);
  auto write = std::make_shared<ApartWrite>(
      ApartWrite{&name_space, std::move(request), std::move(envelope), deadline, std::move(done), 0, {}, {}});
  OnLoop([this, write] { JudgeWrite(write); });
}

void RedisStore::JudgeWrite(const std::shared_ptr<ApartWrite>& write) {
  if (++write->judgements > kMaxJudgements) return std::move(write->done)(ChangesTooFast());
  const bool is_plain = write->request.condition.kind == Condition::Kind::kNone;
  const auto ask = [this, write, is_plain] {
    std::vector<std::string> tags;
    if (is_plain || write->request.as_of.has_value()) AddTags(write->request.entry->tags(), tags);
    if (write->found.kind == StoredItem::Kind::kEntry) AddTags(write->found.head->tags(), tags);
    AskFacts({write->name_space, write->request.known, std::move(tags), write->deadline,
              [this, write](absl::StatusOr<ControlFacts> facts) {
                if (!facts.ok()) return std::move(write->done)(std::move(facts).status());
                write->facts = *std::move(facts);
                DecideWrite(write);
              }});
  };
  if (is_plain) return ask();
  LookAtOne(*write->name_space, write->request.key, kUsualHeadBytes, write->deadline,
            [write, ask](absl::StatusOr<StoredItem> item) {
              if (!item.ok()) return std::move(write->done)(std::move(item).status());
              write->found = *std::move(item);
              ask();
            });
}

void RedisStore::DecideWrite(const std::shared_ptr<ApartWrite>& write) {
  WriteRequest& request = write->request;
  const ControlFacts& facts = write->facts;
  ToldControl told = facts.Told();
  const std::optional<ClockPosition> as_of =
      request.fill.has_value() ? std::optional(request.fill->as_of) : request.as_of;
  // COHERENCE P2. The script sees to the rest.
  if (as_of.has_value() && facts.Kills(request.entry->tags(), as_of->epoch)) {
    WriteResult refused;
    refused.control = facts.update;
    return std::move(write->done)(std::move(refused));
  }
  if (request.condition.kind == Condition::Kind::kNone) return SendWrite(write, told);
  told.judged = 0;
  if (write->found.kind != StoredItem::Kind::kEntry) return SendWrite(write, told);
  const Entry& entry = *write->found.head;
  const EntryMeta& meta = entry.meta();
  if (!IsAlive(entry, facts)) {
    request.dead_version = meta.version;
    return SendWrite(write, told);
  }
  told.judged = meta.version;
  const bool on_current =
      request.condition.kind == Condition::Kind::kPresent ||
      (request.condition.kind == Condition::Kind::kVersion && request.condition.version == meta.version);
  if (!on_current || request.dead_version == meta.version || !MayBeDead(request, entry, facts)) {
    return SendWrite(write, told);
  }
  WriteResult undecided;
  undecided.must_judge = true;
  undecided.current_version = meta.version;
  undecided.current_epoch = meta.epoch;
  undecided.control = facts.update;
  std::move(write->done)(std::move(undecided));
}

void RedisStore::SendWrite(const std::shared_ptr<ApartWrite>& write, const ToldControl& told) {
  const WriteRequest& request = write->request;
  RedisPipeline commands = WriteCommands(*write->name_space, request, write->envelope,
                                         EnvelopeTtlMillis(*request.entry, clock_->NowNanos()), &told);
  RunScript(ScriptCall{write->name_space, Script::kWrite, write->deadline,
                       [this, write](absl::StatusOr<ScriptReply> reply) {
                         if (!reply.ok()) return std::move(write->done)(std::move(reply).status());
                         const RedisReplyView view(reply->reply);
                         // Nothing was done (COHERENCE P4).
                         if (view.ErrorCode() == kUnjudged) return JudgeWrite(write);
                         absl::StatusOr<WriteResult> result = ParseWritten(view);
                         if (result.ok()) result->control = std::move(write->facts.update);
                         if (result.ok() && result->applied) {
                           // The script has stamped what is in Redis; this is the caller's own copy.
                           write->request.entry->Stamp(write->facts.position.generation, result->current_epoch);
                         }
                         std::move(write->done)(std::move(result));
                       },
                       write->name_space->entry_prefix + request.key},
            std::move(commands));
}

struct RedisStore::ApartTouch {
  const NamespaceKeys* name_space;
  TouchRequest request;
  OperationDeadline deadline;
  StoreCallback<TouchResult> done;
  int judgements = 0;
  StoredItem found;
};

void RedisStore::TouchApart(const NamespaceKeys& name_space, TouchRequest request, StoreCallback<TouchResult> done) {
  const OperationDeadline deadline = route_->DeadlineFor(request.deadline_nanos);
  auto touch =
      std::make_shared<ApartTouch>(ApartTouch{&name_space, std::move(request), deadline, std::move(done), 0, {}});
  OnLoop([this, touch] { TryTouch(touch); });
}

void RedisStore::TryTouch(const std::shared_ptr<ApartTouch>& touch) {
  if (++touch->judgements > kMaxJudgements) return std::move(touch->done)(ChangesTooFast());
  LookAtOne(*touch->name_space, touch->request.key, kUsualHeadBytes, touch->deadline,
            [this, touch](absl::StatusOr<StoredItem> item) {
              if (!item.ok()) return std::move(touch->done)(std::move(item).status());
              touch->found = *std::move(item);
              std::vector<std::string> tags;
              if (touch->found.kind == StoredItem::Kind::kEntry) AddTags(touch->found.head->tags(), tags);
              AskFacts({touch->name_space, touch->request.known, std::move(tags), touch->deadline,
                        [this, touch](absl::StatusOr<ControlFacts> facts) {
                          if (!facts.ok()) return std::move(touch->done)(std::move(facts).status());
                          SendTouch(touch, *std::move(facts));
                        }});
            });
}

void RedisStore::SendTouch(const std::shared_ptr<ApartTouch>& touch, ControlFacts facts) {
  TouchResult result;
  const bool is_there = touch->found.kind == StoredItem::Kind::kEntry && IsAlive(*touch->found.head, facts);
  if (!is_there) {
    result.control = std::move(facts.update);
    return std::move(touch->done)(std::move(result));
  }
  ToldControl told = facts.Told();
  told.judged = touch->found.head->meta().version;
  RedisPipeline commands = TouchCommands(*touch->name_space, touch->request, &told);
  RunScript(ScriptCall{touch->name_space, Script::kTouch, touch->deadline,
                       [this, touch, update = std::move(facts.update)](absl::StatusOr<ScriptReply> reply) mutable {
                         if (!reply.ok()) return std::move(touch->done)(std::move(reply).status());
                         const RedisReplyView view(reply->reply);
                         if (view.ErrorCode() == kUnjudged) return TryTouch(touch);
                         absl::StatusOr<TouchResult> touched = ParseTouched(view);
                         if (touched.ok()) touched->control = std::move(update);
                         std::move(touch->done)(std::move(touched));
                       },
                       touch->name_space->entry_prefix + touch->request.key},
            std::move(commands));
}

// What the caller found is judged by the caller, and anything else it reads first; a placeholder has no tags.
void RedisStore::LeaseApart(const NamespaceKeys& name_space, LeaseRequest request, StoreCallback<LeaseResult> done) {
  const OperationDeadline deadline = route_->DeadlineFor(request.deadline_nanos);
  OnLoop([this, keys = &name_space, deadline, request = std::move(request), done = std::move(done)]() mutable {
    const ClockPosition known = request.known;
    AskFacts({keys,
              known,
              {},
              deadline,
              [this, keys, deadline, request = std::move(request),
               done = std::move(done)](absl::StatusOr<ControlFacts> facts) mutable {
                if (!facts.ok()) return std::move(done)(std::move(facts).status());
                const ToldControl told = facts->Told();
                RedisPipeline commands = LeaseCommands(*keys, request, &told);
                RunScript(ScriptCall{keys, Script::kLease, deadline,
                                     [update = std::move(facts->update),
                                      done = std::move(done)](absl::StatusOr<ScriptReply> reply) mutable {
                                       if (!reply.ok()) return std::move(done)(std::move(reply).status());
                                       absl::StatusOr<LeaseResult> result = ParseLeased(RedisReplyView(reply->reply));
                                       if (result.ok()) result->control = std::move(update);
                                       std::move(done)(std::move(result));
                                     },
                                     keys->entry_prefix + request.key},
                          std::move(commands));
              }});
  });
}

void RedisStore::EraseOneApart(const NamespaceKeys& name_space, const std::string& key, RedisPipeline script,
                               OperationDeadline deadline, StoreCallback<int64_t> done) {
  RunScript(ScriptCall{&name_space, Script::kErase, deadline,
                       [done = std::move(done)](absl::StatusOr<ScriptReply> reply) mutable {
                         if (!reply.ok()) return std::move(done)(std::move(reply).status());
                         std::move(done)(ParseNumber(RedisReplyView(reply->reply), "an erasure"));
                       },
                       name_space.entry_prefix + key},
            std::move(script));
}

void RedisStore::EraseApart(const NamespaceKeys& name_space, EraseRequest request, OperationDeadline deadline,
                            StoreCallback<EraseResult> done) {
  if (request.keys.empty()) return std::move(done)(EraseResult{});
  if (!request.soft_versions.empty()) {
    return SoftenApart(name_space, std::move(request), deadline, std::move(done));
  }
  auto gathering = std::make_shared<Gathering<ApartErase>>();
  gathering->left = request.keys.size();
  gathering->done = [count = request.keys.size(), done = std::move(done)](absl::StatusOr<ApartErase> ended) mutable {
    if (!ended.ok()) return std::move(done)(std::move(ended).status());
    if (ended->erase.lost.size() == count) return std::move(done)(ended->why);
    std::sort(ended->erase.lost.begin(), ended->erase.lost.end());
    std::move(done)(std::move(ended->erase));
  };
  OnLoop([this, keys = &name_space, deadline, request = std::move(request), gathering] {
    for (size_t i = 0; i < request.keys.size(); ++i) {
      EraseOneApart(*keys, request.keys[i], EraseCommands(*keys, request, i, kNothingTold), deadline,
                    [i, gathering](absl::StatusOr<int64_t> erased) {
                      ApartErase& all = gathering->result;
                      all.erase.erased += erased.value_or(0);
                      if (!IsAway(erased.status())) return gathering->Arrive(erased.status());
                      all.erase.lost.push_back(i);
                      all.why = erased.status();
                      gathering->Arrive();
                    });
    }
  });
}

void RedisStore::EraseApart(const NamespaceKeys& name_space, EraseVersionsRequest request, OperationDeadline deadline,
                            StoreCallback<EraseResult> done) {
  if (request.keys.empty()) return std::move(done)(EraseResult{});
  auto gathering = std::make_shared<Gathering<EraseResult>>();
  gathering->left = request.keys.size();
  gathering->done = std::move(done);
  OnLoop([this, keys = &name_space, deadline, request = std::move(request), gathering] {
    for (size_t i = 0; i < request.keys.size(); ++i) {
      EraseOneApart(*keys, request.keys[i].first, EraseCommands(*keys, request, i, kNothingTold), deadline,
                    Counting(gathering));
    }
  });
}

void RedisStore::FindDead(const NamespaceKeys& name_space, std::vector<std::string> keys, ClockPosition known,
                          OperationDeadline deadline, StoreCallback<Findings> done) {
  auto gathering = std::make_shared<Gathering<Findings>>();
  gathering->result.items.resize(keys.size());
  gathering->left = keys.size() + 1;
  gathering->done = [this, spaces = &name_space, known, deadline,
                     done = std::move(done)](absl::StatusOr<Findings> found) mutable {
    if (!found.ok()) return std::move(done)(std::move(found).status());
    std::set<std::string> tags;
    for (const StoredItem& item : found->items) {
      if (item.kind != StoredItem::Kind::kEntry) continue;
      for (std::string_view tag : item.head->tags()) tags.emplace(tag);
    }
    AskFacts({spaces, known, std::vector<std::string>(tags.begin(), tags.end()), deadline,
              [found = *std::move(found), done = std::move(done)](absl::StatusOr<ControlFacts> facts) mutable {
                if (!facts.ok()) return std::move(done)(std::move(facts).status());
                found.facts = *std::move(facts);
                std::move(done)(std::move(found));
              }});
  };
  for (size_t i = 0; i < keys.size(); ++i) {
    LookAtOne(name_space, std::move(keys[i]), kUsualHeadBytes, deadline,
              [i, gathering](absl::StatusOr<StoredItem> item) {
                if (item.ok()) gathering->result.items[i] = *std::move(item);
                gathering->Arrive(item.status());
              });
  }
  gathering->Arrive();
}

// COHERENCE E5. What is dead is removed: under its new version nobody could tell.
void RedisStore::SoftenApart(const NamespaceKeys& name_space, EraseRequest request, OperationDeadline deadline,
                             StoreCallback<EraseResult> done) {
  OnLoop([this, keys = &name_space, deadline, request = std::move(request), done = std::move(done)]() mutable {
    std::vector<std::string> names = request.keys;
    FindDead(*keys, std::move(names), ClockPosition{}, deadline,
             [this, keys, deadline, request = std::move(request),
              done = std::move(done)](absl::StatusOr<Findings> found) mutable {
               if (!found.ok()) return std::move(done)(std::move(found).status());
               auto gathering = std::make_shared<Gathering<EraseResult>>();
               gathering->left = request.keys.size();
               gathering->done = std::move(done);
               const ToldControl told = found->facts.Told();
               for (size_t i = 0; i < request.keys.size(); ++i) {
                 const StoredItem& item = found->items[i];
                 const bool is_dead = item.kind == StoredItem::Kind::kEntry && !IsAlive(*item.head, found->facts);
                 EraseVersionsRequest exact;
                 if (is_dead) exact.keys.emplace_back(request.keys[i], item.head->meta().version);
                 // What was dead was not there.
                 EraseOneApart(*keys, request.keys[i],
                               is_dead ? EraseCommands(*keys, exact, 0, told) : EraseCommands(*keys, request, i, told),
                               deadline, Counting(gathering, is_dead ? 0 : 1));
               }
             });
  });
}

// COHERENCE C4. Of the keys of one step; keys that move from node to node meanwhile may be passed over, so that this
// frees memory and proves nothing.
void RedisStore::EraseDeadApart(std::unique_ptr<EraseDeadCall> call) {
  const NamespaceKeys* const name_space = call->name_space;
  const OperationDeadline deadline = route_->DeadlineFor(call->request.deadline_nanos);
  const ClockPosition known = call->request.known;
  std::vector<std::string> keys = call->keys;
  FindDead(*name_space, std::move(keys), known, deadline,
           [this, name_space, deadline, call = std::move(call)](absl::StatusOr<Findings> found) mutable {
             if (!found.ok()) return std::move(call->done)(std::move(found).status());
             const EraseDeadRequest& request = call->request;
             call->result.mine = found->facts.position.generation == request.fence.generation;
             call->result.control = std::move(found->facts.update);
             EraseVersionsRequest dead;
             for (const StoredItem& item : found->items) {
               const bool is_ours = item.kind == StoredItem::Kind::kEntry || item.kind == StoredItem::Kind::kLease;
               if (!call->result.mine || !is_ours) continue;
               const EntryMeta& meta = item.head->meta();
               const uint64_t pattern = request.latest_pattern ? request.latest_pattern(item.key) : 0;
               if (IsAlive(*item.head, found->facts) && pattern <= meta.epoch) continue;
               dead.keys.emplace_back(item.key, meta.version);
             }
             EraseApart(*name_space, std::move(dead), deadline,
                        [call = std::move(call)](absl::StatusOr<EraseResult> erased) mutable {
                          if (!erased.ok()) return std::move(call->done)(std::move(erased).status());
                          call->result.erased += erased->erased;
                          std::move(call->done)(std::move(call->result));
                        });
           });
}

}  // namespace larder
