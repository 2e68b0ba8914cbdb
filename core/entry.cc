#include "core/entry.h"

#include <cstring>
#include <new>

namespace larder {

std::string TagList::Encode(const std::vector<std::string_view>& tags) {
  std::string encoded;
  for (std::string_view tag : tags) {
    encoded.push_back(static_cast<char>(static_cast<unsigned char>(tag.size())));
    encoded.append(tag);
  }
  return encoded;
}

bool TagList::IsWellFormed(std::string_view encoded) {
  while (!encoded.empty()) {
    const size_t size = static_cast<unsigned char>(encoded.front());
    if (size == 0 || encoded.size() < 1 + size) return false;
    encoded.remove_prefix(1 + size);
  }
  return true;
}

Entry::Distance::Distance(int64_t from, int64_t to)
    : number(static_cast<uint64_t>(to) - static_cast<uint64_t>(from)), in_millis(number % kMilli == 0) {
  if (in_millis) number /= kMilli;
}

EntryRef Entry::CreateUninitialized(const EntryMeta& meta, std::string_view content_type, size_t value_size,
                                    std::string_view tags, std::string_view key) {
  const Distance expires(meta.read_nanos, meta.expires_nanos);
  const Distance created(meta.created_nanos, meta.read_nanos);
  const Distance stale(meta.stale_nanos, meta.expires_nanos);
  const bool gets_stale = meta.stale_nanos != EntryMeta().stale_nanos;
  const bool has_labels = !tags.empty() || !content_type.empty();
  PackedShape shape;
  shape.set_width(kKeySize, PackedWidth(key.size()));
  shape.set_width(kValueSize, PackedWidth(value_size));
  shape.set_width(kExpires, PackedWidth(expires.number));
  shape.set_width(kCreated, PackedWidth(created.number));
  shape.set_width(kStale, gets_stale ? PackedWidth(stale.number) : 0);
  // Without a generation the epoch is still to come.
  shape.set_width(kEpoch, meta.generation != 0 ? PackedWidth(meta.epoch) : sizeof(uint64_t));
  shape.set_flag(kExpiresInMillis, expires.in_millis);
  shape.set_flag(kCreatedInMillis, created.in_millis);
  shape.set_flag(kStaleInMillis, gets_stale && stale.in_millis);
  shape.set_flag(kHasLabels, has_labels);
  shape.set_flag(kHasRare, meta.leased_nanos != 0 || meta.sliding_nanos != 0);
  shape.set_flag(kAbsent, meta.absent);
  shape.set_flag(kUnshared, meta.unshared);

  const size_t numbers_size = shape.size() + (has_labels ? kLabelsBytes : 0) + (shape.flag(kHasRare) ? kRareBytes : 0);
  void* memory =
      ::operator new(sizeof(Entry) + numbers_size + key.size() + tags.size() + content_type.size() + value_size);
  auto* entry = new (memory) Entry(meta, shape);
  entry->PutNumber(kKeySize, key.size());
  entry->PutNumber(kValueSize, value_size);
  entry->PutNumber(kExpires, expires.number);
  entry->PutNumber(kCreated, created.number);
  entry->PutNumber(kStale, stale.number);
  entry->PutNumber(kEpoch, meta.epoch);
  entry->PutTexts(meta, key, tags, content_type);
  return EntryRef::Adopt(entry);
}

void Entry::PutNumber(PackedNumber i, uint64_t number) {
  StorePacked(mutable_numbers() + shape_.EndOf(i), shape_.width(i), number);
}

// In the order in which they lie.
void Entry::PutTexts(const EntryMeta& meta, std::string_view key, std::string_view tags,
                     std::string_view content_type) {
  char* at = mutable_numbers() + shape_.size();
  const auto put = [&at](const void* bytes, size_t size) {
    if (size != 0) std::memcpy(at, bytes, size);
    at += size;
  };
  if (shape_.flag(kHasLabels)) {
    const uint16_t sizes[] = {static_cast<uint16_t>(tags.size()), static_cast<uint16_t>(content_type.size())};
    put(sizes, sizeof(sizes));
  }
  if (shape_.flag(kHasRare)) {
    put(&meta.leased_nanos, sizeof(meta.leased_nanos));
    put(&meta.sliding_nanos, sizeof(meta.sliding_nanos));
  }
  put(key.data(), key.size());
  put(tags.data(), tags.size());
  put(content_type.data(), content_type.size());
}

EntryRef Entry::Create(const EntryMeta& meta, std::string_view content_type, std::string_view value,
                       std::string_view tags, std::string_view key) {
  EntryRef entry = CreateUninitialized(meta, content_type, value.size(), tags, key);
  if (!value.empty()) std::memcpy(entry->mutable_value(), value.data(), value.size());
  return entry;
}

EntryRef Entry::WithKey(std::string_view key) const {
  EntryRef copy = Create(meta(), content_type(), value(), tags().encoded(), key);
  copy->set_verdict(verdict());
  return copy;
}

void Entry::Stamp(uint64_t generation, uint64_t epoch) {
  const bool fits = PackedWidth(epoch) <= shape_.width(kEpoch);
  generation_ = fits ? generation : 0;
  PutNumber(kEpoch, fits ? epoch : 0);
}

void Entry::Destroy(const Entry* entry) {
  entry->~Entry();
  ::operator delete(const_cast<Entry*>(entry));
}

}  // namespace larder
