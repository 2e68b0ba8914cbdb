// The near tier: a bounded cache in this process's memory.
#ifndef LARDER_CORE_NEAR_CACHE_H_
#define LARDER_CORE_NEAR_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "core/entry.h"

namespace larder {

// What the near tier holds, and why entries left it or never came in. Of one shard after the other, so that under
// load the numbers need not add up to the unit; at rest admitted = entries + evicted + expired + removed.
struct NearCacheStats {
  uint64_t entries = 0;         // now
  uint64_t bytes = 0;           // now, overhead included
  uint64_t capacity_bytes = 0;  // the bound
  uint64_t admitted = 0;        // taken in
  uint64_t evicted = 0;         // pushed out by others
  uint64_t expired = 0;         // found past their expiry
  uint64_t removed = 0;         // erased, replaced or cleared
  uint64_t erased = 0;          // of the removed, those that were erased or cleared
  uint64_t oversized = 0;       // refused: larger than a quarter of a shard
};

// Sharded, byte-bounded, scan-resistant. Thread-safe; each call locks one shard, for well under a microsecond in
// the usual case, and never waits for anything else. Holds entries that have their keys (Entry::key), by reference: one
// that was created with the key under which it is admitted is taken as it is, of another a copy is made, once. A hit
// copies nothing.
//
// An entry that was admitted is found until it expires, is erased, or is pushed out by *later* admissions.
class NearCache {
 public:
  struct Options {
    // Bound on everything the entries take: keys, values, and this class's own overhead for each. Not counted are some
    // 20 KiB that each shard takes besides. 0: holds nothing.
    size_t capacity_bytes = 0;
    // A power of two, at most 256; 0 chooses as many as leave 8 MiB or more to each, at most 64. An entry may take a
    // quarter of a shard, so that from 5 MiB of capacity on a value of 1 MiB is taken, and a shard holds so many small
    // entries that the shards' unequal luck costs no hits.
    int shards = 0;
  };

  explicit NearCache(const Options& options);
  ~NearCache();
  NearCache(const NearCache&) = delete;
  NearCache& operator=(const NearCache&) = delete;

  // The hash that the other calls take, so that a caller computes it once. They must be given that of the key.
  static uint64_t Hash(std::string_view key);

  // What an entry is counted as taking: its allocation, with a key of that size, and its part of the index and of what
  // the policy knows.
  static size_t Charge(size_t key_size, const Entry& entry);

  // Whether Admit would take it: an entry may take up a quarter of a shard.
  bool Fits(size_t key_size, const Entry& entry) const;

  // The entry, or null. An entry with expires_nanos <= now_nanos is removed and not returned.
  EntryRef Find(std::string_view key, uint64_t hash, int64_t now_nanos);

  // Puts `entry` in, in place of any other under the key, if `still_valid` says so. `still_valid` runs under the
  // shard's lock, so that an Erase of the key is wholly before it or wholly after the admission; it must not block
  // or call back. False if it was not taken: because `still_valid` said no, and then what was there under the key
  // stays; or because it is too large, and then what was there is removed, being older.
  bool Admit(std::string_view key, uint64_t hash, EntryRef entry, absl::FunctionRef<bool()> still_valid);

  // True if there was one.
  bool Erase(std::string_view key, uint64_t hash);

  void Clear();

  // As Find, but not counted as a use, and an entry that has expired stays.
  EntryRef Peek(std::string_view key, uint64_t hash, int64_t now_nanos) const;

  // How far a walk over all entries has come.
  struct Place {
    uint32_t shard = 0;
    uint32_t below = UINT32_MAX;  // the positions still to be visited in it
  };

  // Visits up to `max_entries` more entries, expired ones too, and moves `place` on; false once all have been visited.
  // An entry that stays in from the beginning of a walk to its end without being replaced is visited, perhaps twice.
  // Not counted as a use. `visit` runs under the shard's lock: it must not block or call back.
  bool Walk(Place* place, size_t max_entries,
            absl::FunctionRef<void(std::string_view key, const EntryRef& entry)> visit) const;

  NearCacheStats Stats() const;

 private:
  class Shard;
  Shard& ShardFor(uint64_t hash) const;

  const size_t capacity_bytes_;
  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace larder

#endif  // LARDER_CORE_NEAR_CACHE_H_
