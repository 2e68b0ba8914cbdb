#include "core/entry.h"

#include <cstring>
#include <new>

namespace larder {

EntryRef Entry::CreateUninitialized(const EntryMeta& meta, std::string_view content_type, size_t value_size) {
  void* memory = ::operator new(sizeof(Entry) + content_type.size() + value_size);
  auto* entry = new (memory) Entry(meta, static_cast<uint16_t>(content_type.size()), static_cast<uint32_t>(value_size));
  if (!content_type.empty()) std::memcpy(entry->payload(), content_type.data(), content_type.size());
  return EntryRef::Adopt(entry);
}

EntryRef Entry::Create(const EntryMeta& meta, std::string_view content_type, std::string_view value) {
  EntryRef entry = CreateUninitialized(meta, content_type, value.size());
  if (!value.empty()) std::memcpy(entry->mutable_value(), value.data(), value.size());
  return entry;
}

void Entry::Destroy(const Entry* entry) {
  entry->~Entry();
  ::operator delete(const_cast<Entry*>(entry));
}

}  // namespace larder
