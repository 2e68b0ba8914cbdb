// The half of Loader that has the origin load.
#include <algorithm>
#include <iterator>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/engine/keyspace.h"
#include "server/engine/loader.h"
#include "server/engine/new_entry.h"
#include "server/engine/own_write.h"

namespace larder {
namespace {

constexpr int64_t kNoDeadline = std::numeric_limits<int64_t>::max();

// The origin's wish within the namespace's limits.
int64_t TtlOf(const NamespacePolicy& policy, const OriginValue& value) {
  if (value.ttl.ttl_ms.has_value()) return std::clamp<int64_t>(*value.ttl.ttl_ms, 1, policy.max_ttl_ms);
  if (value.ttl.ttl_class.has_value()) {
    const auto found = policy.ttl_classes.find(*value.ttl.ttl_class);
    if (found != policy.ttl_classes.end()) return found->second;
  }
  return value.absent ? policy.absent_ttl_ms : policy.default_ttl_ms;
}

// For how long a value may be answered to those who come for it. What is told of changes is looked at besides.
int64_t AllowedAge(const Keyspace& space, int64_t now) {
  return space.IsNearLeased(now) ? space.policy().near_max_age_ms * kNanosPerMilli : space.NearAge(now);
}

// COHERENCE N4: takes out those that began at `end_nanos` or later, so long after `since_nanos` that a value from then
// may be older than what another replica had acknowledged by their time.
PendingGets TakeLate(PendingGets& gets, const Store& store, int64_t since_nanos, int64_t end_nanos) {
  PendingGets late;
  if (store.exclusive()) return late;
  const auto in_time = [since_nanos, end_nanos](const PendingGet& get) {
    return get.started_nanos < (get.from_store ? since_nanos : end_nanos);
  };
  const auto first = std::stable_partition(gets.begin(), gets.end(), in_time);
  late.assign(std::make_move_iterator(first), std::make_move_iterator(gets.end()));
  gets.erase(first, gets.end());
  return late;
}

}  // namespace

void Loader::Load(const std::string& key, uint64_t id, FillToken fill) {
  parts_.space->metrics().origin_loads.Add();
  const int64_t began = parts_.clock->NowNanos();
  parts_.origin->Load(key, [this, key, id, fill, began](absl::StatusOr<OriginValue> value) {
    OnLoaded(key, id, fill, began, std::move(value));
  });
}

void Loader::OnLoaded(const std::string& key, uint64_t id, FillToken fill, int64_t began_nanos,
                      absl::StatusOr<OriginValue> value) {
  if (!value.ok()) return FailLoad(key, id, fill, value.status());
  absl::StatusOr<EntryRef> entry = MakeEntry(key, *value);
  if (!entry.ok()) return FailLoad(key, id, fill, entry.status());
  parts_.space->metrics().fill_latency.Record(parts_.clock->NowNanos() - began_nanos);
  if (!value->do_not_cache) return Fill(key, id, fill, *std::move(entry));
  (*entry)->Stamp(fill.as_of.generation, fill.as_of.epoch);
  AnswerUncached(key, id, fill, began_nanos, *std::move(entry));
}

void Loader::AnswerUncached(const std::string& key, uint64_t id, FillToken fill, int64_t began_nanos, EntryRef entry) {
  const int64_t sent = parts_.clock->NowNanos();
  const auto on_released = [this, key, id, began_nanos, sent,
                            entry = std::move(entry)](const absl::StatusOr<ReleaseResult>& released) {
    Found found;
    PendingGets gets = Leave(key, id, &found);
    // What is still in the store is no longer what the origin wants to be served.
    if (found.is_servable()) {
      EraseVersionsRequest erase{
          .name_space = parts_.space->name(), .keys = {{key, found.version}}, .deadline_nanos = kNoDeadline};
      auto own = std::make_shared<OwnWrite>(*parts_.space, key);
      parts_.store->EraseVersions(std::move(erase), [own](const absl::StatusOr<EraseResult>&) { own->End(); });
    }
    Wake(key);
    // Who came after an invalidation must not be given what was loaded before it (COHERENCE P2): that of the key
    // has taken the lease away, that of a group has a later stamp.
    if (!released.ok() || !released->held || parts_.space->clock().Judge(key, *entry) != Judgement::kValid) {
      return ReadAgain(key, std::move(gets));
    }
    // That the lease was held says nothing of what came after the question.
    const int64_t end = began_nanos + AllowedAge(*parts_.space, parts_.clock->NowNanos());
    PendingGets late = TakeLate(gets, *parts_.store, began_nanos, std::min(end, sent));
    AnswerAll(std::move(gets), entry, /*is_kept=*/false);
    ReadAgain(key, std::move(late));
  };
  parts_.store->Release(ReleaseOf(key, fill, /*failed=*/false), on_released);
}

absl::StatusOr<EntryRef> Loader::MakeEntry(const std::string& key, const OriginValue& value) {
  const NamespacePolicy& policy = parts_.space->policy();
  if (absl::Status status = CheckValue(policy, value.value); !status.ok()) return status;
  if (absl::Status status = CheckContentType(value.content_type); !status.ok()) return status;
  EntrySpec spec{.key = key,
                 .value = value.absent ? std::string_view() : std::string_view(value.value),
                 .content_type = value.content_type,
                 .tags = {value.tags.begin(), value.tags.end()},
                 .stale_for_ms = value.stale_for_ms,
                 .absent = value.absent,
                 .ttl_ms = TtlOf(policy, value)};
  if (absl::Status status = CheckTags(policy, spec.tags); !status.ok()) return status;
  if (spec.stale_for_ms.has_value()) {
    spec.stale_for_ms = std::clamp<int64_t>(*spec.stale_for_ms, 0, policy.max_ttl_ms);
  }
  return MakeNewEntry(policy, spec, *parts_.versions, parts_.clock->NowNanos()).entry;
}

void Loader::Fill(const std::string& key, uint64_t id, FillToken fill, EntryRef entry) {
  WriteRequest write{.name_space = parts_.space->name(),
                     .key = key,
                     .entry = entry,
                     .condition = {},
                     .fill = fill,
                     .as_of = std::nullopt,
                     .known = parts_.space->clock().known(),
                     .deadline_nanos = kNoDeadline};
  const int64_t sent = parts_.clock->NowNanos();
  OwnWrite own(*parts_.space, key);
  parts_.store->Write(std::move(write), [this, key, id, fill, sent, own = std::move(own),
                                         entry = std::move(entry)](absl::StatusOr<WriteResult> result) mutable {
    if (!result.ok()) {
      own.End();
      parts_.space->metrics().set_errors.Add();
      return FailRoom(key, id, result.status());
    }
    parts_.space->Absorb(result->control);
    if (!result->applied) {
      own.End();
      parts_.space->metrics().fills_aborted.Add();
      GiveBack(key, fill, /*failed=*/false);
      return ReadAgain(key, Leave(key, id));
    }
    PendingGets gets = Leave(key, id);
    // Stored, but perhaps written over or invalidated by a group before it could be answered.
    const bool undisturbed = own.EndAdmitting(entry);
    const Judgement judgement = parts_.space->clock().Judge(key, *entry);
    (judgement == Judgement::kDead ? parts_.space->metrics().fills_aborted : parts_.space->metrics().fills).Add();
    const bool is_alone = parts_.store->exclusive();
    if (judgement != Judgement::kValid || (!undisturbed && is_alone)) return ReadAgain(key, std::move(gets));
    // Whatever else was written, perhaps no more than this, as a store that tells of changes tells of our own: who
    // came before it was sent may have it, since the lease was there when it was stored, and so after all that had been
    // acknowledged by their time (COHERENCE P1, E2).
    const int64_t end = undisturbed ? sent + AllowedAge(*parts_.space, parts_.clock->NowNanos()) : sent;
    PendingGets late = TakeLate(gets, *parts_.store, sent, end);
    AnswerAll(std::move(gets), entry, /*is_kept=*/true);
    ReadAgain(key, std::move(late));
  });
}

void Loader::FailLoad(const std::string& key, uint64_t id, FillToken fill, const absl::Status& status) {
  parts_.space->metrics().origin_errors.Add();
  GiveBack(key, fill, /*failed=*/true);
  FailRoom(key, id, absl::UnavailableError(absl::StrCat("origin: ", status.message())));
}

void Loader::FailRoom(const std::string& key, uint64_t id, const absl::Status& status) {
  for (PendingGet& get : Leave(key, id)) {
    parts_.space->metrics().get_errors.Add();
    std::move(get.done)(status);
  }
}

PendingGets Loader::Leave(const std::string& key, uint64_t id, Found* found) {
  MutexLock lock(&mutex_);
  const auto room = FindRoom(key, id, Room::State::kLoading);
  if (room == rooms_.end()) return {};
  if (found != nullptr) *found = room->second.found;
  return Close(room);
}

void Loader::AnswerAll(PendingGets gets, const EntryRef& entry, bool is_kept) {
  const int64_t now = parts_.clock->NowNanos();
  const EntryMeta& meta = entry->meta();
  for (PendingGet& get : gets) {
    parts_.space->metrics().misses.Add();  // of the cache, although the origin helped
    parts_.space->metrics().miss_latency.Record(now - get.started_nanos);
    GetAnswer answer;
    answer.entry = entry;
    answer.tier = Tier::kOrigin;
    if (is_kept) {
      answer.ttl_nanos = std::max<int64_t>(0, std::min(meta.stale_nanos, meta.expires_nanos) - now);
      answer.hard_ttl_nanos = std::max<int64_t>(0, meta.expires_nanos - now);
    }
    std::move(get.done)(std::move(answer));
  }
}

}  // namespace larder
