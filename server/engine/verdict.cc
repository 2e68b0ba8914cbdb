#include "server/engine/verdict.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/clock.h"
#include "server/policy/words.h"

namespace larder {
namespace {

std::string GroupText(const Stamp& stamp) {
  switch (stamp.group) {
    case Stamp::Group::kAll:
      return "the whole namespace";
    case Stamp::Group::kTag:
      return absl::StrCat("tag ", QuoteCallers(stamp.name));
    case Stamp::Group::kPattern:
      return absl::StrCat("pattern ", QuoteCallers(stamp.name));
  }
  return "";
}

// The latest stamp of the kind that the entry is older than.
std::optional<Stamp> LaterStamp(const LogicalClock& clock, const StoredItem& item, bool soft) {
  for (const Stamp& stamp : clock.Concerning(item.key, item.head->tags())) {
    if (stamp.soft == soft && stamp.epoch > item.head->meta().epoch) return stamp;
  }
  return std::nullopt;
}

std::string StampText(const Stamp& stamp, uint64_t entry_epoch) {
  return absl::StrCat(GroupText(stamp), " was invalidated (", stamp.soft ? "SOFT" : "HARD", ") at epoch ", stamp.epoch,
                      ", the entry is of epoch ", entry_epoch);
}

std::string WhyInvalidated(const LogicalClock& clock, const StoredItem& item) {
  const uint64_t epoch = item.head->meta().epoch;
  if (const std::optional<Stamp> stamp = LaterStamp(clock, item, /*soft=*/false)) {
    return absl::StrCat("dead: ", StampText(*stamp, epoch));
  }
  // COHERENCE C5: stamps may be folded into a floor.
  return absl::StrCat("dead: the entry is of epoch ", epoch,
                      ", which is so old that the invalidations since are no longer remembered one by one");
}

std::string WhyOldGeneration(const LogicalClock& clock, const StoredItem& item) {
  return absl::StrFormat(
      "dead: the entry is of generation %016x, the present one is %016x; a new one begins when the store was "
      "restarted, "
      "replaced or emptied, or the namespace was switched on",
      item.head->meta().generation, clock.known().generation);
}

// What is added where another load of the entry may not begin yet.
std::string LeaseText(const EntryMeta& meta, int64_t now_nanos) {
  if (meta.leased_nanos <= now_nanos) return "";
  return absl::StrCat("; it is being loaded anew, or that has just failed: nobody else is to try for another ",
                      TimeText(meta.leased_nanos - now_nanos));
}

std::string WhyStale(const LogicalClock& clock, const StoredItem& item, int64_t now_nanos) {
  const EntryMeta& meta = item.head->meta();
  const std::string until =
      absl::StrCat(", until ", TimeText(meta.expires_nanos - now_nanos), " from now", LeaseText(meta, now_nanos));
  if (meta.stale_nanos <= now_nanos) {
    return absl::StrCat("served as stale: soft expiry ", TimeText(now_nanos - meta.stale_nanos), " ago", until);
  }
  const std::optional<Stamp> stamp = LaterStamp(clock, item, /*soft=*/true);
  return absl::StrCat("served as stale: ", stamp ? StampText(*stamp, meta.epoch) : "it was invalidated (SOFT)", until);
}

std::string WhyFresh(const EntryMeta& meta, int64_t now_nanos) {
  std::string text = absl::StrCat(meta.absent ? "served as known to be absent" : "served", ": fresh for another ");
  if (meta.stale_nanos >= meta.expires_nanos) {
    absl::StrAppend(&text, TimeText(meta.expires_nanos - now_nanos), ", then gone");
  } else {
    absl::StrAppend(&text, TimeText(meta.stale_nanos - now_nanos), ", then stale for ",
                    TimeText(meta.expires_nanos - meta.stale_nanos));
  }
  return text + LeaseText(meta, now_nanos);
}

}  // namespace

bool IsServed(Verdict verdict) { return verdict == Verdict::kFresh || verdict == Verdict::kStale; }

Verdict VerdictOf(const LogicalClock& clock, const StoredItem& item, int64_t now_nanos) {
  switch (item.kind) {
    case StoredItem::Kind::kNone:
      return Verdict::kNone;
    case StoredItem::Kind::kLease:
      return item.head->meta().expires_nanos > now_nanos ? Verdict::kLeased : Verdict::kNone;
    case StoredItem::Kind::kUnreadable:
      return Verdict::kUnreadable;
    case StoredItem::Kind::kEntry:
      break;
  }
  const EntryMeta& meta = item.head->meta();
  if (meta.expires_nanos <= now_nanos) return Verdict::kNone;
  // COHERENCE E3: first the generation, then the stamps.
  if (meta.generation != clock.known().generation) return Verdict::kOldGeneration;
  const Judgement judgement = clock.Judge(item.key, *item.head);
  if (judgement == Judgement::kDead) return Verdict::kInvalidated;
  return judgement == Judgement::kStale || meta.stale_nanos <= now_nanos ? Verdict::kStale : Verdict::kFresh;
}

std::string ReasonOf(Verdict verdict, const LogicalClock& clock, const StoredItem& item, int64_t now_nanos) {
  switch (verdict) {
    case Verdict::kNone:
      if (!item.head) return "a miss: nothing is stored under the key";
      return absl::StrCat("a miss: what was stored ended ", TimeText(now_nanos - item.head->meta().expires_nanos),
                          " ago");
    case Verdict::kFresh:
      return WhyFresh(item.head->meta(), now_nanos);
    case Verdict::kStale:
      return WhyStale(clock, item, now_nanos);
    case Verdict::kInvalidated:
      return WhyInvalidated(clock, item);
    case Verdict::kOldGeneration:
      return WhyOldGeneration(clock, item);
    case Verdict::kLeased:
      return absl::StrCat("leased: nothing is stored yet, somebody has the right to load it for another ",
                          TimeText(item.head->meta().expires_nanos - now_nanos));
    case Verdict::kUnreadable:
      return absl::StrCat("unreadable: what is stored (", item.stored_bytes,
                          " bytes) is not Larder's, is damaged, has no TTL or is of a newer format; a Set replaces it, "
                          "an Invalidate removes it");
  }
  return "";
}

std::string TimeText(int64_t nanos) {
  struct Unit {
    const char* name;
    int64_t seconds;
  };
  constexpr std::array<Unit, 4> kUnits = {{{"d", 86'400}, {"h", 3'600}, {"min", 60}, {"s", 1}}};
  constexpr int64_t kTenth = kNanosPerSecond / 10;
  nanos = std::max<int64_t>(nanos, 0);
  if (nanos < kNanosPerSecond) return absl::StrCat(nanos / kNanosPerMilli, " ms");
  if (nanos < 60 * kNanosPerSecond) {
    return absl::StrCat(nanos / kNanosPerSecond, ".", nanos % kNanosPerSecond / kTenth, " s");
  }
  const int64_t seconds = nanos / kNanosPerSecond;
  size_t unit = 0;
  while (seconds < kUnits[unit].seconds) ++unit;
  return absl::StrCat(seconds / kUnits[unit].seconds, " ", kUnits[unit].name, " ",
                      seconds % kUnits[unit].seconds / kUnits[unit + 1].seconds, " ", kUnits[unit + 1].name);
}

}  // namespace larder
