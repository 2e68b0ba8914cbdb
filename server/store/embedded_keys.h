// How the embedded store keeps several namespaces in one cache.
#ifndef LARDER_SERVER_STORE_EMBEDDED_KEYS_H_
#define LARDER_SERVER_STORE_EMBEDDED_KEYS_H_

#include <string>
#include <string_view>

#include "core/entry.h"

namespace larder {

struct SplitKey {
  std::string_view name_space;
  std::string_view key;
};

// Names of namespaces hold no NUL; keys may.
inline std::string CacheKey(std::string_view name_space, std::string_view key) {
  std::string cache_key;
  cache_key.reserve(name_space.size() + 1 + key.size());
  cache_key.append(name_space).push_back('\0');
  return cache_key.append(key);
}

inline SplitKey Split(std::string_view cache_key) {
  const size_t end = cache_key.find('\0');
  return {cache_key.substr(0, end), cache_key.substr(end + 1)};
}

// Entries are immutable once shared, so other numbers take another one.
inline EntryRef WithMeta(const Entry& entry, const EntryMeta& meta) {
  return Entry::Create(meta, entry.content_type(), entry.value(), entry.tags().encoded(), entry.key());
}

// What an invalidation made stale counts as never having been fresh, and as brought here by that invalidation.
inline void Soften(EntryMeta* meta, int64_t now_nanos) {
  meta->stale_nanos = meta->created_nanos;
  meta->read_nanos = now_nanos;
}
inline bool IsSoftened(const EntryMeta& meta) { return meta.stale_nanos <= meta.created_nanos; }

}  // namespace larder

#endif  // LARDER_SERVER_STORE_EMBEDDED_KEYS_H_
