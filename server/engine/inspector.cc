#include "server/engine/inspector.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/near_cache.h"
#include "core/pattern.h"
#include "server/engine/sweep_floor.h"
#include "server/policy/policy.h"

namespace larder {
namespace {

// Keys that the store looks at in one turn.
constexpr int64_t kStepKeys = 500;

// What a listed key takes besides its texts.
constexpr size_t kBytesPerKey = 128;

// A page's mark: the format's byte, a sum over the namespace and what follows, and the store's cursor.
constexpr char kPageFormat = 1;
constexpr size_t kSumBytes = 8;
constexpr size_t kMaxPageBytes = 256;

// FNV-1a: the same in every process. A guard against mistakes, not against forgery: whoever may list may list all.
std::string PageSum(std::string_view name_space, std::string_view cursor) {
  uint64_t sum = 0xcbf29ce484222325;
  const auto add = [&](std::string_view bytes) {
    for (char byte : bytes) sum = (sum ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
  };
  add(name_space);
  add({"\0", 1});  // no namespace's name has one
  add(cursor);
  std::string bytes;
  for (size_t i = 0; i < kSumBytes; ++i) bytes.push_back(static_cast<char>(sum >> (8 * i)));
  return bytes;
}

std::string MarkOf(std::string_view name_space, std::string_view cursor) {
  if (cursor.empty()) return "";
  std::string mark(1, kPageFormat);
  mark += PageSum(name_space, cursor);
  mark += cursor;
  return mark;
}

absl::Status NoPage(std::string_view name_space) {
  return absl::InvalidArgumentError(
      absl::StrCat("page: not a next_page that a List of namespace \"", std::string(name_space), "\" has answered"));
}

absl::StatusOr<std::string> CursorOf(std::string_view name_space, std::string_view mark) {
  if (mark.empty()) return std::string();
  if (mark.size() <= 1 + kSumBytes || mark.size() > kMaxPageBytes || mark.front() != kPageFormat) {
    return NoPage(name_space);
  }
  const std::string_view cursor = mark.substr(1 + kSumBytes);
  if (mark.substr(1, kSumBytes) != PageSum(name_space, cursor)) return NoPage(name_space);
  return std::string(cursor);
}

absl::StatusOr<int64_t> CheckPageSize(int64_t page_size) {
  if (page_size == 0) return Inspector::kDefaultPageSize;
  if (page_size > 0 && page_size <= Inspector::kMaxPageSize) return page_size;
  return absl::InvalidArgumentError(absl::StrCat("page_size: ", page_size, ", must be 1 to ", Inspector::kMaxPageSize));
}

std::optional<Sighting> SightingOf(const StoredItem& item, Verdict verdict, int64_t now) {
  if (!item.head) return std::nullopt;
  const EntryMeta& meta = item.head->meta();
  Sighting sighting{.entry = item.head, .stored_bytes = item.stored_bytes};
  if (item.kind == StoredItem::Kind::kLease) {
    sighting.lease_only = true;
    sighting.lease_nanos = std::max<int64_t>(0, meta.expires_nanos - now);
    return sighting;
  }
  const auto left = [now](int64_t until) { return std::max<int64_t>(0, until - now); };
  sighting.age_nanos = std::max<int64_t>(0, now - meta.created_nanos);
  sighting.hard_ttl_nanos = left(meta.expires_nanos);
  sighting.ttl_nanos = verdict == Verdict::kStale ? 0 : left(std::min(meta.stale_nanos, meta.expires_nanos));
  sighting.lease_nanos = left(meta.leased_nanos);
  return sighting;
}

StoredItem PeekNear(const NearCache& near, const std::string& key, int64_t now) {
  StoredItem item;
  item.key = key;
  item.head = near.Peek(key, NearCache::Hash(key), now);
  if (!item.head) return item;
  item.kind = StoredItem::Kind::kEntry;
  item.stored_bytes = static_cast<int64_t>(NearCache::Charge(key.size(), *item.head));
  return item;
}

// Why a Get is answered by the near tier, and what of the store that hides. `near_left`: for how long, if not for ever.
std::string ByNear(const LogicalClock& clock, Verdict verdict, const StoredItem& near, const StoredItem& stored,
                   bool hides_nothing, std::optional<int64_t> near_left, int64_t now) {
  // Of the same entry the store knows more: who loads it anew.
  std::string text = ReasonOf(verdict, clock, hides_nothing ? stored : near, now);
  absl::StrAppend(&text, "; this replica's near tier answers");
  if (near_left) absl::StrAppend(&text, ", and asks the store again in ", TimeText(*near_left));
  if (hides_nothing) return text;
  const bool entry = stored.kind == StoredItem::Kind::kEntry;
  return text + (entry ? "; the store has another version or times" : "; the store no longer has the entry");
}

}  // namespace

// One List, from step to step.
struct Inspector::Listing {
  Keyspace* space = nullptr;
  std::string pattern;
  bool with_invalid = false;
  int64_t deadline_nanos = 0;
  std::string cursor;
  int64_t left = 0;  // keys that are still to be looked at
  int64_t step = kStepKeys;
  size_t bytes = 0;  // that the page takes so far
  KeyPage page;
  Done<KeyPage> done;
};

Inspector::Inspector(const Options& options, CacheEngine* engine, Store* store, const Clock* clock)
    : options_(options), engine_(engine), store_(store), clock_(clock) {}

void Inspector::Inspect(const CallContext& call, std::string_view name_space, std::string_view key,
                        Done<Inspection> done) {
  const absl::StatusOr<Keyspace*> space = engine_->FindForKey(name_space, key);
  if (!space.ok()) return std::move(done)(space.status());
  LookAt(**space, std::string(key), call.deadline_nanos, std::move(done));
}

void Inspector::LookAt(Keyspace& space, std::string key, int64_t deadline_nanos, Done<Inspection> done) {
  LookRequest look{.name_space = space.name(),
                   .keys = {std::move(key)},
                   .known = space.clock().known(),
                   .deadline_nanos = deadline_nanos};
  store_->Look(std::move(look),
               [this, &space, deadline_nanos, done = std::move(done)](absl::StatusOr<LookResult> result) mutable {
                 if (!result.ok()) return std::move(done)(result.status());
                 space.Absorb(result->control);
                 StoredItem& stored = result->items[0];
                 if (MayBeSwept(stored.head, result->control)) {
                   return LookAt(space, std::move(stored.key), deadline_nanos, std::move(done));
                 }
                 std::move(done)(Conclude(space, stored));
               });
}

Inspection Inspector::Conclude(Keyspace& space, const StoredItem& stored) const {
  const int64_t now = clock_->NowNanos();
  const LogicalClock& clock = space.clock();
  const StoredItem near = PeekNear(space.near(), stored.key, now);
  const Verdict by_store = VerdictOf(clock, stored, now);
  const Verdict by_near = VerdictOf(clock, near, now);

  Inspection result;
  result.near = SightingOf(near, by_near, now);
  result.store = SightingOf(stored, by_store, now);
  result.clock = clock.known();
  result.swept_epoch = clock.floor();
  const StoredItem& tagged = stored.head ? stored : near;
  result.stamps = clock.Concerning(stored.key, tagged.head ? tagged.head->tags() : TagList(""));

  const NamespacePolicy& policy = space.policy();
  if (!policy.enabled) {
    result.reason = "a miss: the namespace is switched off (`enabled: false`), nothing is served or stored";
    return result;
  }
  // As the engine reads: the near tier first, if it may still be trusted.
  const int64_t max_age = policy.near_max_age_ms * kNanosPerMilli;
  const int64_t read_ago = near.head ? now - near.head->meta().read_nanos : 0;
  const bool bounded = !store_->exclusive() && !(space.IsNearLeased(now) && max_age > 0);
  const bool aged = bounded && read_ago >= max_age;
  if (IsServed(by_near) && !aged) {
    const bool same = stored.head && stored.head->meta().version == near.head->meta().version && by_store == by_near;
    const std::optional<int64_t> left = bounded ? std::optional<int64_t>(max_age - read_ago) : std::nullopt;
    result.verdict = by_near;
    result.reason = ByNear(clock, by_near, near, stored, same, left, now);
    return result;
  }
  result.verdict = by_store;
  result.reason = ReasonOf(by_store, clock, stored, now);
  if (IsServed(by_near)) {
    absl::StrAppend(&result.reason, "; the store answers, since the near tier's copy was read ", TimeText(read_ago),
                    " ago and near_max_age is ", TimeText(max_age));
  }
  return result;
}

void Inspector::List(const CallContext& call, const ListCommand& command, Done<KeyPage> done) {
  const absl::StatusOr<Keyspace*> found = engine_->Find(command.name_space);
  if (!found.ok()) return std::move(done)(found.status());
  Keyspace& space = **found;
  const auto refuse = [&](const absl::Status& status) {
    space.metrics().refused.Add();
    std::move(done)(status);
  };
  if (!command.pattern.empty()) {
    if (absl::Status status = CheckPattern(command.pattern); !status.ok()) {
      return refuse({status.code(), absl::StrCat("pattern: ", status.message())});
    }
  }
  const absl::StatusOr<int64_t> page_size = CheckPageSize(command.page_size);
  if (!page_size.ok()) return refuse(page_size.status());
  absl::StatusOr<std::string> cursor = CursorOf(space.name(), command.page);
  if (!cursor.ok()) return refuse(cursor.status());

  auto listing = std::make_unique<Listing>();
  listing->space = &space;
  listing->pattern = command.pattern;
  listing->with_invalid = command.with_invalid;
  listing->deadline_nanos = call.deadline_nanos;
  listing->cursor = *std::move(cursor);
  listing->left = *page_size;
  listing->done = std::move(done);
  Step(std::move(listing));
}

void Inspector::Step(std::unique_ptr<Listing> listing) {
  listing->step = std::min(listing->step, listing->left);
  ScanRequest scan{.name_space = listing->space->name(),
                   .cursor = listing->cursor,
                   .count = static_cast<int>(listing->step),
                   .known = listing->space->clock().known(),
                   .deadline_nanos = listing->deadline_nanos};
  store_->Scan(std::move(scan), [this, listing = std::move(listing)](absl::StatusOr<ScanResult> result) mutable {
    if (result.ok()) return TakeIn(std::move(listing), *std::move(result));
    // The only argument that the store can find wrong: a cursor of another kind of store.
    if (absl::IsInvalidArgument(result.status())) {
      return std::move(listing->done)(NoPage(listing->space->name()));
    }
    std::move(listing->done)(result.status());
  });
}

void Inspector::TakeIn(std::unique_ptr<Listing> listing, ScanResult found) {
  Keyspace& space = *listing->space;
  space.Absorb(found.control);
  for (const StoredItem& item : found.items) {
    if (MayBeSwept(item.head, found.control)) return Step(std::move(listing));
  }

  const int64_t now = clock_->NowNanos();
  std::vector<ListedKey> keys;
  size_t bytes = 0;
  for (StoredItem& item : found.items) {
    if (!listing->pattern.empty() && !MatchesPattern(listing->pattern, item.key)) continue;
    const Verdict verdict = space.policy().enabled ? VerdictOf(space.clock(), item, now) : Verdict::kNone;
    if (!IsServed(verdict) && !listing->with_invalid) continue;
    bytes += kBytesPerKey + item.key.size();
    if (item.head) bytes += item.head->tags().encoded().size() + item.head->content_type().size();
    std::optional<Sighting> entry = SightingOf(item, verdict, now);
    keys.push_back({std::move(item.key), verdict, std::move(entry)});
  }
  if (listing->bytes + bytes > options_.max_page_bytes) {
    // This step's keys are for the next page, unless they are the first: then the step was too long.
    if (listing->bytes > 0) {
      listing->page.next_page = MarkOf(space.name(), listing->cursor);
      return std::move(listing->done)(std::move(listing->page));
    }
    if (listing->step > 1) {
      listing->step = (listing->step + 3) / 4;
      return Step(std::move(listing));
    }
  }
  listing->bytes += bytes;
  std::move(keys.begin(), keys.end(), std::back_inserter(listing->page.keys));
  listing->cursor = std::move(found.cursor);
  listing->left -= listing->step;
  if (listing->left > 0 && !listing->cursor.empty()) return Step(std::move(listing));
  listing->page.next_page = MarkOf(space.name(), listing->cursor);
  std::move(listing->done)(std::move(listing->page));
}

}  // namespace larder
