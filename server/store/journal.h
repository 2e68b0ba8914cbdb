// What the store has not been told of yet.
#ifndef LARDER_SERVER_STORE_JOURNAL_H_
#define LARDER_SERVER_STORE_JOURNAL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/mutex.h"
#include "server/store/store.h"

namespace larder {

// COHERENCE D1 to D3: invalidations that could not reach the store, and keys whose writes failed. Of the same key, tag
// or pattern the newest is kept. In memory: it ends with the process. Thread-safe; waits for nothing but its own lock,
// and takes none while it is empty.
//
// Bounded. A namespace that would take too much of it is forgotten: its barrier is to be raised instead, which ends all
// its entries. Too many tags or patterns of one become an invalidation of the whole of it (COHERENCE C5).
class Journal {
 public:
  // A step of the replay: one of the three, and in order of their strength.
  struct Step {
    bool barrier = false;
    bool all = false;  // groups
    std::vector<std::string> tags = {};
    std::vector<std::string> patterns = {};
    std::vector<std::string> keys = {};
    // How many the namespace may have, as who invalidated said last.
    size_t max_tags = 0;
    size_t max_patterns = 0;

    bool is_groups() const { return all || !tags.empty() || !patterns.empty(); }
  };

  // Holds at most `max_entries`: keys, tags and patterns.
  Journal(const std::vector<std::string>& name_spaces, size_t max_entries);

  // Whether more than keys of it waits.
  bool HasGroups(std::string_view name_space) const;

  // A namespace that is not among them is not remembered.
  void AddKeys(std::string_view name_space, const std::vector<std::string>& keys);
  // True if it became an invalidation of the whole namespace.
  bool AddGroups(const GroupRequest& groups);

  // True while nothing waits.
  bool empty() const { return waiting() == 0; }
  // Entries of all namespaces.
  size_t waiting() const { return waiting_.load(std::memory_order_acquire); }
  // COHERENCE D3: indices of the keys of which the store may have what it must not be believed.
  std::vector<size_t> Withheld(std::string_view name_space, const std::vector<std::string>& keys) const;
  bool Withholds(std::string_view name_space, const std::string& key) const;

  // What was added up to now has a number up to this; what is added again gets a later one.
  uint64_t position() const;

  // A Set of the key is under way, which takes the place of whatever is there: while it is, the key is not replayed,
  // and if it is acknowledged it need not be. The position to end it with; none if the key does not wait, and then it
  // is not to be ended.
  std::optional<uint64_t> BeginSet(std::string_view name_space, const std::string& key);
  void EndSet(std::string_view name_space, const std::string& key, uint64_t position, bool acknowledged);

  // What of the namespace is to be replayed next, of that up to `position`: at most `max_names` names. None: all of it
  // has been.
  std::optional<Step> Next(std::string_view name_space, uint64_t position, size_t max_names) const;
  // The store has acknowledged the step: what it covers is forgotten, unless it was added again after `position`. How
  // much that was.
  size_t Settle(std::string_view name_space, const Step& step, uint64_t position);

  std::vector<std::string> Waiting() const;  // namespaces
  size_t CountOf(std::string_view name_space) const;
  bool IsBarred(std::string_view name_space) const;  // its barrier is to be raised
  uint64_t added() const { return added_.load(std::memory_order_relaxed); }
  uint64_t overflows() const { return overflows_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    uint64_t number = 0;
    int sets = 0;  // under way
  };
  using Entries = absl::flat_hash_map<std::string, Entry>;  // by name
  struct Space {
    Entries keys = {}, tags = {}, patterns = {};
    uint64_t all = 0;      // its number; 0: it is not invalidated as a whole
    uint64_t barrier = 0;  // likewise
    size_t max_tags = 0;
    size_t max_patterns = 0;

    size_t names() const { return keys.size() + tags.size() + patterns.size(); }
    size_t entries() const { return names() + (all != 0) + (barrier != 0); }
    bool is_closed() const { return barrier != 0 || all != 0 || !tags.empty() || !patterns.empty(); }
  };

  Space* Find(std::string_view name_space) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const Space* Find(std::string_view name_space) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // True if the whole is to be invalidated anyway, so that the name need not be remembered.
  bool IsCovered(Space& space) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Add(Space& space, Entries& entries, const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MakeRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Count() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t max_entries_;
  std::atomic<size_t> waiting_{0};
  std::atomic<uint64_t> added_{0};
  std::atomic<uint64_t> overflows_{0};

  mutable Mutex mutex_;
  std::map<std::string, Space, std::less<>> spaces_ ABSL_GUARDED_BY(mutex_);  // the same ones for ever
  uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t names_ ABSL_GUARDED_BY(mutex_) = 0;  // of all namespaces together
};

}  // namespace larder

#endif  // LARDER_SERVER_STORE_JOURNAL_H_
