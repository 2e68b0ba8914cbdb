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

EntryRef Entry::CreateUninitialized(const EntryMeta& meta, std::string_view content_type, size_t value_size,
                                    std::string_view tags) {
  void* memory = ::operator new(sizeof(Entry) + tags.size() + content_type.size() + value_size);
  auto* entry = new (memory) Entry(meta, static_cast<uint16_t>(tags.size()), static_cast<uint16_t>(content_type.size()),
                                   static_cast<uint32_t>(value_size));
  if (!tags.empty()) std::memcpy(entry->payload(), tags.data(), tags.size());
  if (!content_type.empty()) std::memcpy(entry->payload() + tags.size(), content_type.data(), content_type.size());
  return EntryRef::Adopt(entry);
}

EntryRef Entry::Create(const EntryMeta& meta, std::string_view content_type, std::string_view value,
                       std::string_view tags) {
  EntryRef entry = CreateUninitialized(meta, content_type, value.size(), tags);
  if (!value.empty()) std::memcpy(entry->mutable_value(), value.data(), value.size());
  return entry;
}

void Entry::Destroy(const Entry* entry) {
  entry->~Entry();
  ::operator delete(const_cast<Entry*>(entry));
}

}  // namespace larder
