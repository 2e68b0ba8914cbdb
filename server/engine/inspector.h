// Looks into the cache for those who operate it.
#ifndef LARDER_SERVER_ENGINE_INSPECTOR_H_
#define LARDER_SERVER_ENGINE_INSPECTOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "server/engine/cache_engine.h"
#include "server/engine/commands.h"
#include "server/engine/verdict.h"
#include "server/store/store.h"

namespace larder {

// What a tier has under a key. Times count from the moment at which it was looked at.
struct Sighting {
  EntryRef entry = {};  // numbers, tags and content type; whether it has its value is not said
  // A placeholder: of the entry only generation and epoch mean anything, and its version is a secret.
  bool lease_only = false;
  int64_t age_nanos = 0;
  int64_t ttl_nanos = 0;  // until it is stale; 0: it is
  int64_t hard_ttl_nanos = 0;
  int64_t lease_nanos = 0;  // for which nobody else may load it
  int64_t stored_bytes = 0;
};

struct Inspection {
  Verdict verdict = Verdict::kNone;
  std::string reason;
  std::optional<Sighting> near;
  std::optional<Sighting> store;  // none for what is not Larder's, too
  ClockPosition clock;
  uint64_t swept_epoch = 0;
  std::vector<Stamp> stamps;  // that concern the key, the latest first
};

struct ListCommand {
  std::string_view name_space = {};
  std::string_view pattern = {};  // empty: all keys
  std::string_view page = {};     // empty: from the start
  int64_t page_size = 0;          // 0: kDefaultPageSize
  bool with_invalid = false;
};

struct ListedKey {
  std::string key;
  Verdict verdict = Verdict::kNone;
  std::optional<Sighting> entry;  // none where it cannot be read
};

struct KeyPage {
  std::vector<ListedKey> keys;
  std::string next_page;  // empty: this was the last
};

// Changes nothing in the cache and is not counted as a use of it; what the store's answers tell of invalidations is
// taken in, as from any other answer. Reads no values.
//
// Asynchronous and thread-safe, as CacheEngine, and with its errors.
class Inspector {
 public:
  static constexpr int64_t kDefaultPageSize = 1'000;
  static constexpr int64_t kMaxPageSize = 10'000;

  struct Options {
    // About what a page's keys, tags and content types may take together. Exceeded by one key alone.
    size_t max_page_bytes = size_t{2} << 20;
  };

  // The pointees must outlive it, and the store be shut down before it goes.
  Inspector(const Options& options, CacheEngine* engine, Store* store, const Clock* clock);

  void Inspect(const CallContext& call, std::string_view name_space, std::string_view key, Done<Inspection> done);

  // Looks at about `page_size` keys of the store, in steps that keep it no longer than a few milliseconds each, and
  // gives those that match: by our matcher, the store is never given a pattern. A page's mark is bound to its
  // namespace, and may be used at any replica of the same store.
  void List(const CallContext& call, const ListCommand& command, Done<KeyPage> done);

 private:
  struct Listing;

  void LookAt(Keyspace& space, std::string key, int64_t deadline_nanos, Done<Inspection> done);
  Inspection Conclude(Keyspace& space, const StoredItem& stored) const;
  void Step(std::unique_ptr<Listing> listing);
  void TakeIn(std::unique_ptr<Listing> listing, ScanResult found);

  const Options options_;
  CacheEngine* const engine_;
  Store* const store_;
  const Clock* const clock_;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_INSPECTOR_H_
