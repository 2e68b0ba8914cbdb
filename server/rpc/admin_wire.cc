#include "server/rpc/admin_wire.h"

#include "core/clock.h"

namespace larder {
namespace {

v1::Verdict WireVerdict(Verdict verdict) {
  switch (verdict) {
    case Verdict::kNone:
      return v1::VERDICT_NONE;
    case Verdict::kFresh:
      return v1::VERDICT_FRESH;
    case Verdict::kStale:
      return v1::VERDICT_STALE;
    case Verdict::kInvalidated:
      return v1::VERDICT_INVALIDATED;
    case Verdict::kOldGeneration:
      return v1::VERDICT_OLD_GENERATION;
    case Verdict::kLeased:
      return v1::VERDICT_LEASED;
    case Verdict::kUnreadable:
      return v1::VERDICT_UNREADABLE;
  }
  return v1::VERDICT_UNSPECIFIED;
}

// As in GetResponse: what is left has some of its last millisecond left.
int64_t MillisLeft(int64_t nanos) { return (nanos + kNanosPerMilli - 1) / kNanosPerMilli; }

void Fill(const Sighting& sighting, v1::EntryInfo* info) {
  const EntryMeta& meta = sighting.entry->meta();
  info->set_generation(meta.generation);
  info->set_epoch(static_cast<int64_t>(meta.epoch));
  info->set_lease_ttl_ms(MillisLeft(sighting.lease_nanos));
  info->set_stored_bytes(sighting.stored_bytes);
  // A lease's version is the right to fill the key.
  if (sighting.lease_only) return;
  info->set_version(meta.version);
  info->set_age_ms(sighting.age_nanos / kNanosPerMilli);
  info->set_ttl_ms(MillisLeft(sighting.ttl_nanos));
  info->set_hard_ttl_ms(MillisLeft(sighting.hard_ttl_nanos));
  info->set_sliding_ttl_ms(meta.sliding_nanos / kNanosPerMilli);
  for (std::string_view tag : sighting.entry->tags()) info->add_tags(tag.data(), tag.size());
  const std::string_view content_type = sighting.entry->content_type();
  info->set_content_type(content_type.data(), content_type.size());
  info->set_absent(meta.absent);
}

void Fill(const Stamp& stamp, v1::StampInfo* info) {
  switch (stamp.group) {
    case Stamp::Group::kAll:
      info->set_all(true);
      break;
    case Stamp::Group::kTag:
      info->set_tag(stamp.name);
      break;
    case Stamp::Group::kPattern:
      info->set_pattern(stamp.name);
      break;
  }
  info->set_epoch(static_cast<int64_t>(stamp.epoch));
  info->set_soft(stamp.soft);
}

}  // namespace

ListCommand ToCommand(const v1::ListRequest& request) {
  return {.name_space = request.namespace_(),
          .pattern = request.pattern(),
          .page = request.page(),
          .page_size = request.page_size(),
          .with_invalid = request.with_invalid()};
}

v1::InspectResponse ToMessage(const Inspection& inspection) {
  v1::InspectResponse message;
  message.set_verdict(WireVerdict(inspection.verdict));
  message.set_reason(inspection.reason);
  if (inspection.near.has_value()) Fill(*inspection.near, message.mutable_near());
  if (inspection.store.has_value()) Fill(*inspection.store, message.mutable_store());
  v1::ClockInfo* clock = message.mutable_clock();
  clock->set_generation(inspection.clock.generation);
  clock->set_epoch(static_cast<int64_t>(inspection.clock.epoch));
  clock->set_swept_epoch(static_cast<int64_t>(inspection.swept_epoch));
  for (const Stamp& stamp : inspection.stamps) Fill(stamp, message.add_stamps());
  return message;
}

v1::ListResponse ToMessage(const KeyPage& page) {
  v1::ListResponse message;
  for (const ListedKey& key : page.keys) {
    v1::ListedKey* to = message.add_keys();
    to->set_key(key.key);
    to->set_verdict(WireVerdict(key.verdict));
    if (key.entry.has_value()) Fill(*key.entry, to->mutable_entry());
  }
  message.set_next_page(page.next_page);
  return message;
}

v1::SweepInfo ToMessage(const Sweeper::Progress& progress) {
  v1::SweepInfo message;
  message.set_namespace_(progress.name_space);
  message.set_running(progress.running);
  message.set_scanned(progress.scanned);
  message.set_removed(progress.removed);
  message.set_elapsed_ms(progress.elapsed_nanos / kNanosPerMilli);
  message.set_pending(progress.pending);
  return message;
}

}  // namespace larder
