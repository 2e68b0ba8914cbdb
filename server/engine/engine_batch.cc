// The batches of CacheEngine.
#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "server/engine/cache_engine.h"

namespace larder {
namespace {

// A key of a batch that the near tier did not have.
struct Wanted {
  size_t index;  // in the batch
  uint64_t hash;
  uint64_t mark;  // of the key's writes, when the read began
};

}  // namespace

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

  std::vector<BatchGetItem> items(command.keys.size());
  if (!space.policy().enabled) {
    space.metrics().misses.Add(items.size());
    return std::move(done)(std::move(items));
  }

  std::vector<Wanted> wanted;
  ReadRequest read{.name_space = space.name(), .keys = {}, .known = {}, .deadline_nanos = call.deadline_nanos};
  for (size_t i = 0; i < command.keys.size(); ++i) {
    const uint64_t hash = NearCache::Hash(command.keys[i]);
    std::optional<GetAnswer> near;
    if (!command.from_store) near = FromNear(space, command.keys[i], hash, now);
    if (near) {
      items[i].answer = *std::move(near);
      continue;
    }
    wanted.push_back({i, hash, space.marks().Current(hash)});
    read.keys.emplace_back(command.keys[i]);
  }
  space.metrics().near_hits.Add(items.size() - wanted.size());
  if (wanted.empty()) return std::move(done)(std::move(items));

  read.known = space.clock().known();
  auto keys = std::make_shared<const std::vector<std::string>>(read.keys);
  store_->Read(std::move(read), [this, &space, keys, wanted = std::move(wanted), items = std::move(items),
                                 done = std::move(done)](absl::StatusOr<ReadResult> result) mutable {
    // What the near tier had is still worth sending, unless it had nothing.
    if (!result.ok()) {
      space.metrics().get_errors.Add(wanted.size());
      if (wanted.size() == items.size()) return std::move(done)(result.status());
      for (const Wanted& key : wanted) items[key.index].available = false;
      return std::move(done)(std::move(items));
    }
    space.clock().Apply(result->control);
    for (size_t i = 0; i < wanted.size(); ++i) {
      const Wanted& key = wanted[i];
      items[key.index].answer = FromStore(space, (*keys)[i], key.hash, key.mark, std::move(result->entries[i]));
    }
    std::move(done)(std::move(items));
  });
}

void CacheEngine::BatchSet(const CallContext& call, std::string_view name_space, absl::Span<const SetCommand> commands,
                           Done<std::vector<absl::StatusOr<SetAnswer>>> done) {
  absl::StatusOr<Keyspace*> found = Find(name_space);
  if (!found.ok()) return std::move(done)(found.status());
  Keyspace& space = **found;
  absl::Status status = CheckBatch(space.policy(), commands.size(), "entries");
  std::vector<int64_t> ttls_ms;
  ttls_ms.reserve(std::min(commands.size(), kMaxBatchKeys));
  for (size_t i = 0; status.ok() && i < commands.size(); ++i) {
    const absl::StatusOr<int64_t> ttl_ms = CheckSet(space.policy(), commands[i]);
    status = InElement("entries", i, ttl_ms.status());
    if (ttl_ms.ok()) ttls_ms.push_back(*ttl_ms);
  }
  if (!status.ok()) {
    space.metrics().refused.Add();
    return std::move(done)(status);
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
    WriteChecked(call, space, commands[i], ttls_ms[i], std::nullopt, [pending, i](absl::StatusOr<SetAnswer> answer) {
      pending->answers[i] = std::move(answer);
      if (pending->left.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        std::move(pending->done)(std::move(pending->answers));
      }
    });
  }
}

}  // namespace larder
