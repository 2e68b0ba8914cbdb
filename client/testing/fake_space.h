// One namespace of a FakeCache.
#ifndef LARDER_CLIENT_TESTING_FAKE_SPACE_H_
#define LARDER_CLIENT_TESTING_FAKE_SPACE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/testing/fake_limits.h"
#include "larder/calls.h"
#include "larder/value.h"

namespace larder::testing {

// What all namespaces have in common: the time, and a number for each change, by which changes are told apart and
// ordered. An entry's version is that of the change that made it.
struct FakeWorld {
  std::chrono::milliseconds now{0};
  uint64_t changes = 0;
};

// Entries, leases, and what has been invalidated. Not thread-safe. What it is given has been found within the limits.
class FakeSpace {
 public:
  struct Counts {
    int64_t hits = 0, stale_hits = 0, absent_hits = 0, misses = 0, sets = 0, sets_aborted = 0, touches = 0;
    int64_t leases = 0, fills = 0, fills_aborted = 0;
    int64_t invalidated_keys = 0, invalidated_groups = 0, invalidated_all = 0, refused = 0;
  };

  // Both must outlive it.
  FakeSpace(const FakeLimits* limits, FakeWorld* world) : limits_(limits), world_(world) {}

  LeasedRead Get(const std::string& key, bool fresh_only, bool want_lease);
  // None: written. Otherwise the version of what stands against it (0: nothing does, and should).
  std::optional<uint64_t> Set(const SetItem& item, const FakeLifetime& lifetime, SetResult* result);
  // A write of what was loaded when so many changes had been made. False: left as it is.
  bool Warm(const SetItem& item, const FakeLifetime& lifetime, uint64_t as_of);
  bool Release(const std::string& key, const std::string& token);
  bool Touch(const std::string& key, std::chrono::milliseconds ttl);
  // The entities' keys, tags and patterns are among the others.
  InvalidateResult Invalidate(const Invalidation& what);

  bool Contains(const std::string& key) const;
  size_t size() const;
  Counts counts;

 private:
  struct Cached {
    Value value;
    uint64_t version = 0;
    std::chrono::milliseconds created{0};
    std::chrono::milliseconds stale{0};    // from here on
    std::chrono::milliseconds expires{0};  // from here on it is gone
    std::chrono::milliseconds sliding{0};  // 0: it is not
    bool absent = false;
    bool softened = false;  // invalidated as kSoft
    std::vector<std::string> tags;
  };
  struct Held {
    std::string token;                   // empty: nobody has it, but nobody is to have it for a while
    uint64_t since = 0;                  // the changes that had been made
    uint64_t version = 0;                // of the entry that is to be loaded anew; 0: there was none
    std::chrono::milliseconds until{0};  // nobody else gets one
  };
  // The last change of a kind; 0: there was none.
  struct Stamps {
    uint64_t hard = 0, soft = 0;
  };

  // Null: no valid entry.
  Cached* Find(const std::string& key);
  MaybeHit ToHit(const Cached& cached);
  // Is the lease taken?
  bool IsHeld(const std::string& key) const;
  Lease Grant(const std::string& key, uint64_t version);
  bool IsDue(const Cached& cached) const;

  std::optional<uint64_t> Against(const SetItem& item);
  bool HoldsLease(const SetItem& item);
  SetResult Put(const SetItem& item, const FakeLifetime& lifetime);
  // Of a key that was named.
  void Kill(const std::string& key, InvalidationMode mode);
  // Of one that belongs to a group: what is made stale keeps its version, and so a lease to load it anew its worth.
  void KillGrouped(const std::string& key, InvalidationMode mode);
  void Soften(Cached* cached);
  // Of the groups that the key or one of the tags belongs to.
  Stamps StampsOf(const std::string& key, const std::vector<std::string>& tags) const;

  const FakeLimits* const limits_;
  FakeWorld* const world_;
  std::map<std::string, Cached> entries_;
  std::map<std::string, Held> held_;
  std::map<std::string, Stamps> tag_stamps_;
  std::map<std::string, Stamps> pattern_stamps_;
  Stamps all_stamps_;
};

}  // namespace larder::testing

#endif  // LARDER_CLIENT_TESTING_FAKE_SPACE_H_
