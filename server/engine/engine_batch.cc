// The batches of CacheEngine.
#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "server/engine/cache_engine.h"
#include "server/engine/new_entry.h"
#include "server/engine/sweep_floor.h"
#include "server/engine/wait_for_others.h"

namespace larder {
namespace {

// A key of a batch that the near tier did not have.
struct Wanted {
  size_t index;  // in the batch
  uint64_t hash;
  uint64_t mark;  // of the key's writes, when the read began
};

void CountBatchHit(Keyspace& space, const GetAnswer& answer) {
  (answer.tier == Tier::kNear ? space.metrics().near_hits : space.metrics().store_hits).Add();
  if (answer.stale) space.metrics().stale_hits.Add();
  if (answer.entry->meta().absent) space.metrics().absent_hits.Add();
  if (answer.degraded) space.metrics().degraded_hits.Add();
}

using SetAnswers = std::vector<absl::StatusOr<SetAnswer>>;

bool IsWritten(const absl::StatusOr<SetAnswer>& answer) { return answer.ok() && answer->applied; }

// Nobody may take those that were written for acknowledged.
SetAnswers FailWritten(SetAnswers answers, const absl::Status& status) {
  for (absl::StatusOr<SetAnswer>& answer : answers) {
    if (IsWritten(answer)) answer = status;
  }
  return answers;
}

}  // namespace

// A BatchGet that the near tier could not answer whole.
struct CacheEngine::Batch {
  Keyspace* space = nullptr;
  bool fresh_only = false;
  bool from_store = false;
  int64_t started_nanos = 0;
  int64_t wait_until_nanos = 0;   // for the origin
  std::vector<std::string> keys;  // of `wanted`
  std::vector<Wanted> wanted;
  std::vector<BatchGetItem> items;
  Done<std::vector<BatchGetItem>> done;
  std::atomic<size_t> loading{0};  // items that the origin has yet to answer; each is written by one callback
};

void CacheEngine::BatchGet(const CallContext& call, const BatchGetCommand& command,
                           Done<std::vector<BatchGetItem>> done) {
  const int64_t now = clock_->NowNanos();
  absl::StatusOr<Keyspace*> found = Find(command.name_space);
  if (!found.ok()) return std::move(done)(found.status());
  Keyspace& space = **found;
  absl::Status status = CheckBatch(space.policy(), command.keys.size(), "keys");
  for (size_t i = 0; status.ok() && i < command.keys.size(); ++i) {
    status = InElement("keys", i, CheckKey(space.policy(), command.keys[i]));
  }
  if (!status.ok()) {
    space.metrics().refused.Add();
    return std::move(done)(status);
  }

  auto batch = std::make_shared<Batch>();
  batch->items.resize(command.keys.size());
  if (!space.policy().enabled) {
    space.metrics().misses.Add(batch->items.size());
    return std::move(done)(std::move(batch->items));
  }

  for (size_t i = 0; i < command.keys.size(); ++i) {
    const uint64_t hash = NearCache::Hash(command.keys[i]);
    if (space.hot_keys() != nullptr) space.hot_keys()->Count(command.keys[i], hash, now);
    std::optional<GetAnswer> near;
    if (!command.from_store) near = FromNear(space, command.keys[i], hash, now, /*is_store_lost=*/false);
    if (near && !(command.fresh_only && (near->stale || near->degraded))) {
      CountBatchHit(space, *near);
      if (!near->degraded) KeepFresh(space, command.keys[i], *near);
      batch->items[i].answer = *std::move(near);
      continue;
    }
    batch->wanted.push_back({i, hash, space.marks().Current(hash)});
    batch->keys.emplace_back(command.keys[i]);
  }
  if (batch->wanted.empty()) return std::move(done)(std::move(batch->items));

  batch->space = &space;
  batch->fresh_only = command.fresh_only;
  batch->from_store = command.from_store;
  batch->started_nanos = now;
  batch->wait_until_nanos = WaitEnd(space, call, 0, now);
  batch->done = std::move(done);
  ReadBatch(std::move(batch), call.deadline_nanos);
}

void CacheEngine::ReadBatch(std::shared_ptr<Batch> batch, int64_t deadline_nanos) {
  ReadRequest read{.name_space = batch->space->name(),
                   .keys = batch->keys,
                   .known = batch->space->clock().known(),
                   .deadline_nanos = deadline_nanos};
  store_->Read(std::move(read), [this, batch = std::move(batch), deadline_nanos](absl::StatusOr<ReadResult> result) {
    LandBatch(batch, deadline_nanos, std::move(result));
  });
}

void CacheEngine::LandBatch(const std::shared_ptr<Batch>& batch, int64_t deadline_nanos,
                            absl::StatusOr<ReadResult> result) {
  Keyspace& space = *batch->space;
  if (!result.ok()) {
    size_t answered = 0;
    for (size_t i = 0; i < batch->wanted.size(); ++i) {
      answered += AnswerItemWithoutStore(*batch, i, absl::IsUnavailable(result.status())) ? 1 : 0;
    }
    // What the near tier had is still worth sending, unless it had nothing.
    const bool has_nothing = answered == 0 && batch->wanted.size() == batch->items.size();
    if (has_nothing) return std::move(batch->done)(result.status());
    return std::move(batch->done)(std::move(batch->items));
  }
  space.Absorb(result->control);
  for (const EntryRef& entry : result->entries) {
    if (MayBeSwept(entry, result->control)) return ReadBatch(batch, deadline_nanos);
  }

  std::vector<size_t> missing;
  std::vector<Loader::Found> found(batch->wanted.size());
  auto withheld = result->withheld.begin();
  for (size_t i = 0; i < batch->wanted.size(); ++i) {
    if (withheld != result->withheld.end() && *withheld == i) {
      ++withheld;
      AnswerItemWithoutStore(*batch, i, /*is_store_lost=*/true);
      continue;
    }
    const Wanted& key = batch->wanted[i];
    GetAnswer answer = FromStore(space, batch->keys[i], key.hash, key.mark, std::move(result->entries[i]), &found[i]);
    if (!answer.entry || (answer.stale && batch->fresh_only)) {
      missing.push_back(i);
      continue;
    }
    CountBatchHit(space, answer);
    KeepFresh(space, batch->keys[i], answer);
    batch->items[key.index].answer = std::move(answer);
  }
  if (missing.empty() || !space.has_origin()) {
    space.metrics().misses.Add(missing.size());
    return std::move(batch->done)(std::move(batch->items));
  }
  LoadMissing(batch, missing, found, deadline_nanos);
}

bool CacheEngine::AnswerItemWithoutStore(Batch& batch, size_t wanted, bool is_store_lost) {
  Keyspace& space = *batch.space;
  const Wanted& key = batch.wanted[wanted];
  std::optional<GetAnswer> near;
  if (is_store_lost && !batch.from_store) {
    near = FromNear(space, batch.keys[wanted], key.hash, clock_->NowNanos(), /*is_store_lost=*/true);
  }
  BatchGetItem& item = batch.items[key.index];
  item.available = near && !(batch.fresh_only && (near->stale || near->degraded));
  if (!item.available) {
    space.metrics().get_errors.Add();
    return false;
  }
  CountBatchHit(space, *near);
  item.answer = *std::move(near);
  return true;
}

void CacheEngine::LoadMissing(const std::shared_ptr<Batch>& batch, const std::vector<size_t>& missing,
                              const std::vector<Loader::Found>& found, int64_t deadline_nanos) {
  batch->loading.store(missing.size());
  for (size_t i : missing) {
    PendingGets gets(1);
    gets[0].started_nanos = batch->started_nanos;
    gets[0].wait_until_nanos = batch->wait_until_nanos;
    gets[0].fresh_only = batch->fresh_only;
    gets[0].from_store = batch->from_store;
    gets[0].deadline_nanos = deadline_nanos;
    gets[0].done = [batch, index = batch->wanted[i].index](absl::StatusOr<GetAnswer> answer) {
      BatchGetItem& item = batch->items[index];
      item.available = answer.ok();
      if (answer.ok()) item.answer = *std::move(answer);
      if (batch->loading.fetch_sub(1, std::memory_order_acq_rel) == 1) std::move(batch->done)(std::move(batch->items));
    };
    batch->space->loader().Miss(batch->keys[i], found[i], std::move(gets));
  }
}

void CacheEngine::BatchSet(const CallContext& call, std::string_view name_space, absl::Span<const SetCommand> commands,
                           Done<std::vector<absl::StatusOr<SetAnswer>>> done) {
  absl::StatusOr<Keyspace*> found = Find(name_space);
  if (!found.ok()) return std::move(done)(found.status());
  Keyspace& space = **found;
  absl::Status status = CheckBatch(space.policy(), commands.size(), "entries");
  std::vector<WriteTerms> terms;
  terms.reserve(std::min(commands.size(), kMaxBatchKeys));
  for (size_t i = 0; status.ok() && i < commands.size(); ++i) {
    const absl::StatusOr<int64_t> ttl_ms = CheckSet(space.policy(), commands[i]);
    status = InElement("entries", i, ttl_ms.status());
    if (ttl_ms.ok()) terms.push_back({.ttl_ms = *ttl_ms});
  }
  if (!status.ok()) {
    space.metrics().refused.Add();
    return std::move(done)(status);
  }
  if (std::any_of(commands.begin(), commands.end(), [](const SetCommand& command) { return command.strong; })) {
    if (absl::Status full = strong_.Enter(); !full.ok()) return std::move(done)(std::move(full));
    done = WaitForOthers<SetAnswers>(
        strong_, call.deadline_nanos,
        [](const SetAnswers& answers) { return std::any_of(answers.begin(), answers.end(), IsWritten); }, FailWritten,
        std::move(done));
  }

  struct Pending {
    std::atomic<size_t> left;
    std::vector<absl::StatusOr<SetAnswer>> answers;  // each written by one callback
    Done<std::vector<absl::StatusOr<SetAnswer>>> done;
  };
  auto pending = std::make_shared<Pending>();
  pending->left = commands.size();
  pending->answers.resize(commands.size(), SetAnswer{});
  pending->done = std::move(done);
  for (size_t i = 0; i < commands.size(); ++i) {
    WriteChecked(call, space, commands[i], terms[i], [pending, i](absl::StatusOr<SetAnswer> answer) {
      pending->answers[i] = std::move(answer);
      if (pending->left.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        std::move(pending->done)(std::move(pending->answers));
      }
    });
  }
}

}  // namespace larder
