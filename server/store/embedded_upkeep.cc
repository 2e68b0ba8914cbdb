// The embedded store's operations for sweeps and for people.
#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/store/embedded_keys.h"
#include "server/store/embedded_store.h"

namespace larder {
namespace {

// Entries that are visited under one lock of a shard.
constexpr size_t kWalkStep = 64;

// A scan goes over the cache, a shard after the other, and then over the stripes' leases.
struct Cursor {
  bool leases = false;
  NearCache::Place place;  // of the cache
  size_t stripe = 0;       // of the leases
};

template <typename Number>
bool ParseNumber(std::string_view* text, Number* number) {
  const char* const end = text->data() + text->size();
  const auto [rest, error] = std::from_chars(text->data(), end, *number);
  text->remove_prefix(static_cast<size_t>(rest - text->data()));
  return error == std::errc();
}

bool SkipByte(std::string_view* text, char byte) {
  if (text->empty() || text->front() != byte) return false;
  text->remove_prefix(1);
  return true;
}

std::string Format(const Cursor& cursor) {
  return cursor.leases ? absl::StrCat("l", cursor.stripe)
                       : absl::StrCat("e", cursor.place.shard, ".", cursor.place.below);
}

std::optional<Cursor> Parse(std::string_view text) {
  Cursor cursor;
  if (text.empty()) return cursor;
  if (SkipByte(&text, 'l')) {
    cursor.leases = true;
    if (ParseNumber(&text, &cursor.stripe) && text.empty()) return cursor;
  } else if (SkipByte(&text, 'e')) {
    const bool whole =
        ParseNumber(&text, &cursor.place.shard) && SkipByte(&text, '.') && ParseNumber(&text, &cursor.place.below);
    if (whole && text.empty()) return cursor;
  }
  return std::nullopt;
}

StoredItem ItemOf(std::string key, const Entry& entry) {
  StoredItem item;
  item.key = std::move(key);
  item.kind = StoredItem::Kind::kEntry;
  item.head = Entry::Create(entry.meta(), entry.content_type(), "", entry.tags().encoded());
  item.stored_bytes = static_cast<int64_t>(entry.footprint());
  return item;
}

StoredItem ItemOf(std::string key, const HeldLease& lease) {
  EntryMeta meta;
  meta.version = lease.fill.token;
  meta.generation = lease.fill.as_of.generation;
  meta.epoch = lease.fill.as_of.epoch;
  meta.expires_nanos = lease.until_nanos;
  StoredItem item;
  item.key = std::move(key);
  item.kind = StoredItem::Kind::kLease;
  item.head = Entry::Create(meta, "", "");
  item.stored_bytes = sizeof(HeldLease);
  return item;
}

// Looks at `*left` more entries of the cache at most, and takes those off it.
void ScanEntries(const NearCache& cache, std::string_view name_space, int64_t now_nanos, size_t* left, Cursor* cursor,
                 std::vector<StoredItem>* items) {
  while (*left > 0 && !cursor->leases) {
    size_t visited = 0;
    std::vector<std::pair<std::string, EntryRef>> found;
    const bool more = cache.Walk(&cursor->place, std::min(*left, kWalkStep), [&](auto cache_key, const auto& entry) {
      ++visited;
      const SplitKey split = Split(cache_key);
      if (split.name_space != name_space || entry->meta().expires_nanos <= now_nanos) return;
      found.emplace_back(split.key, entry);
    });
    cursor->leases = !more;
    *left -= visited;
    // Copied out of the shard's lock.
    for (auto& [key, entry] : found) items->push_back(ItemOf(std::move(key), *entry));
  }
}

}  // namespace

absl::StatusOr<LookResult> EmbeddedStore::DoLook(const LookRequest& request) {
  if (absl::Status status = CheckCall(request.deadline_nanos); !status.ok()) return status;
  const int64_t now = clock_->NowNanos();
  LookResult result;
  result.items.reserve(request.keys.size());
  for (const std::string& key : request.keys) {
    const Place place = PlaceOf(request.name_space, key);
    MutexLock lock(&place.stripe.mutex);
    if (const EntryRef entry = cache_.Peek(place.cache_key, place.hash, now)) {
      result.items.push_back(ItemOf(key, *entry));
    } else if (const HeldLease* lease = place.stripe.leases.Find(place.cache_key, now)) {
      result.items.push_back(ItemOf(key, *lease));
    } else {
      result.items.emplace_back().key = key;
    }
  }
  result.control = records_.Of(request.name_space).Update(request.known);
  return result;
}

absl::StatusOr<ScanResult> EmbeddedStore::DoScan(const ScanRequest& request) {
  if (absl::Status status = CheckCall(request.deadline_nanos); !status.ok()) return status;
  std::optional<Cursor> cursor = Parse(request.cursor);
  if (!cursor) return absl::InvalidArgumentError("cursor: not one that a scan has given");
  const int64_t now = clock_->NowNanos();
  auto left = static_cast<size_t>(std::max(request.count, 1));
  ScanResult result;
  ScanEntries(cache_, request.name_space, now, &left, &*cursor, &result.items);
  for (; cursor->leases && cursor->stripe < kStripes && left > 0; ++cursor->stripe) {
    Stripe& stripe = stripes_[cursor->stripe];
    MutexLock lock(&stripe.mutex);
    stripe.leases.ForEach(now, [&](std::string_view cache_key, const HeldLease& lease) {
      const SplitKey split = Split(cache_key);
      if (split.name_space != request.name_space || lease.version != 0) return;
      result.items.push_back(ItemOf(std::string(split.key), lease));
    });
    left -= std::min(left, stripe.leases.size());
  }
  if (!cursor->leases || cursor->stripe < kStripes) result.cursor = Format(*cursor);
  result.control = records_.Of(request.name_space).Update(request.known);
  return result;
}

absl::StatusOr<EraseResult> EmbeddedStore::DoEraseVersions(const EraseVersionsRequest& request) {
  if (absl::Status status = CheckCall(request.deadline_nanos); !status.ok()) return status;
  const int64_t now = clock_->NowNanos();
  EraseResult result;
  for (const auto& [key, version] : request.keys) {
    const Place place = PlaceOf(request.name_space, key);
    Wakes wakes(this);
    MutexLock lock(&place.stripe.mutex);
    const HeldLease* lease = place.stripe.leases.Find(place.cache_key, now);
    if (const EntryRef entry = cache_.Peek(place.cache_key, place.hash, now)) {
      if (entry->meta().version != version) continue;
      cache_.Erase(place.cache_key, place.hash);
      ++result.erased;
    } else if (lease == nullptr || lease->fill.token != version) {
      continue;
    }
    EndLease(place, &wakes);
  }
  return result;
}

absl::StatusOr<EraseDeadResult> EmbeddedStore::DoEraseDead(const EraseDeadRequest& request) {
  absl::StatusOr<ScanResult> found =
      DoScan({request.name_space, request.cursor, request.count, request.known, request.deadline_nanos});
  if (!found.ok()) return found.status();
  EraseDeadResult result;
  result.control = std::move(found->control);
  result.mine = result.control.generation == request.fence.generation;
  if (!result.mine) return result;
  result.cursor = std::move(found->cursor);
  result.scanned = static_cast<int64_t>(found->items.size());
  const NamespaceRecord& record = records_.Of(request.name_space);
  EraseVersionsRequest dead{request.name_space, {}, request.deadline_nanos};
  for (StoredItem& item : found->items) {
    const EntryMeta& meta = item.head->meta();
    const bool is_dead = record.Judge(item.key, *item.head) == Judgement::kDead ||
                         (request.latest_pattern && request.latest_pattern(item.key) > meta.epoch);
    if (is_dead) dead.keys.emplace_back(std::move(item.key), meta.version);
  }
  const absl::StatusOr<EraseResult> erased = DoEraseVersions(dead);
  if (!erased.ok()) return erased.status();
  result.erased = erased->erased;
  return result;
}

void EmbeddedStore::Look(LookRequest request, StoreCallback<LookResult> done) { std::move(done)(DoLook(request)); }

void EmbeddedStore::Scan(ScanRequest request, StoreCallback<ScanResult> done) { std::move(done)(DoScan(request)); }

void EmbeddedStore::EraseVersions(EraseVersionsRequest request, StoreCallback<EraseResult> done) {
  std::move(done)(DoEraseVersions(request));
}

void EmbeddedStore::Sweep(SweepRequest request, StoreCallback<SweepResult> done) {
  if (absl::Status status = CheckCall(request.deadline_nanos); !status.ok()) return std::move(done)(status);
  std::move(done)(records_.Of(request.name_space).Sweep(request, clock_->NowNanos()));
}

void EmbeddedStore::EraseDead(EraseDeadRequest request, StoreCallback<EraseDeadResult> done) {
  std::move(done)(DoEraseDead(request));
}

void EmbeddedStore::ForgetOldStamps(std::string name_space, int64_t max_life_nanos, int64_t deadline_nanos,
                                    StoreCallback<uint64_t> done) {
  if (absl::Status status = CheckCall(deadline_nanos); !status.ok()) return std::move(done)(status);
  std::move(done)(records_.Of(name_space).ForgetOldStamps(max_life_nanos, clock_->NowNanos()));
}

void EmbeddedStore::PutNote(std::string name_space, std::string name, std::string text, int64_t ttl_nanos,
                            int64_t deadline_nanos, StoreCallback<bool> done) {
  if (absl::Status status = CheckCall(deadline_nanos); !status.ok()) return std::move(done)(status);
  records_.Of(name_space).PutNote(std::move(name), std::move(text), clock_->NowNanos() + ttl_nanos);
  std::move(done)(true);
}

void EmbeddedStore::GetNote(std::string name_space, std::string name, int64_t deadline_nanos,
                            StoreCallback<std::optional<std::string>> done) {
  if (absl::Status status = CheckCall(deadline_nanos); !status.ok()) return std::move(done)(status);
  std::move(done)(records_.Of(name_space).GetNote(name, clock_->NowNanos()));
}

}  // namespace larder
