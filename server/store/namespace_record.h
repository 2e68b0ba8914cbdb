// What the embedded store keeps of a namespace besides its entries.
#ifndef LARDER_SERVER_STORE_NAMESPACE_RECORD_H_
#define LARDER_SERVER_STORE_NAMESPACE_RECORD_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/entry.h"
#include "core/mutex.h"
#include "server/store/stamp_table.h"
#include "server/store/store.h"

namespace larder {

// A namespace's control record (COHERENCE C1) and its notes. Thread-safe; takes no other lock.
class NamespaceRecord {
 public:
  explicit NamespaceRecord(std::string_view name);
  NamespaceRecord(const NamespaceRecord&) = delete;
  NamespaceRecord& operator=(const NamespaceRecord&) = delete;

  const std::string& name() const { return name_; }

  // Another number after every change of position and fence: what was judged at one number holds while it stays. Takes
  // no lock.
  uint64_t changes() const { return changes_.load(); }

  ClockPosition position() const;
  ControlUpdate Update(ClockPosition known) const;

  // COHERENCE E3. Of an entry of another generation: dead.
  Judgement Judge(std::string_view key, const Entry& entry) const;

  // Whether what was read as of `as_of` may still be stored under `key` with `tags`: the generation is current, the
  // epoch not below the fence (COHERENCE C4), and nothing hard concerns it since (E2, E4).
  bool Allows(ClockPosition as_of, std::string_view key, TagList tags) const;

  GroupResult InvalidateGroups(const GroupRequest& request);
  ControlUpdate RaiseBarrier();
  SweepResult Sweep(const SweepRequest& request, int64_t now_nanos);
  // The epoch up to which it forgot stamps; 0: it forgot none.
  uint64_t ForgetOldStamps(int64_t max_life_nanos, int64_t now_nanos);

  void PutNote(std::string name, std::string text, int64_t expires_nanos);
  std::optional<std::string> GetNote(std::string_view name, int64_t now_nanos) const;

 private:
  struct Note {
    std::string text;
    int64_t expires_nanos = 0;
  };
  struct Checkpoint {
    int64_t at_nanos = 0;
    uint64_t epoch = 0;  // every stamp up to here was there by then
  };

  static constexpr uint64_t kFirstEpoch = 1;  // no stamp bears it

  ControlUpdate UpdateLocked(ClockPosition known) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StampAll(const GroupRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string name_;
  std::atomic<uint64_t> changes_{0};

  mutable Mutex mutex_;
  uint64_t generation_ ABSL_GUARDED_BY(mutex_);
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = kFirstEpoch;
  StampTable stamps_ ABSL_GUARDED_BY(mutex_);
  uint64_t fence_ ABSL_GUARDED_BY(mutex_) = 0;  // what is of an earlier epoch is not stored any more
  uint64_t floor_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t sweeper_ ABSL_GUARDED_BY(mutex_) = 0;  // who has the right to sweep; 0: nobody
  int64_t sweeper_until_nanos_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t longest_life_nanos_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t forgotten_ ABSL_GUARDED_BY(mutex_) = kFirstEpoch;    // there is no stamp up to here
  std::deque<Checkpoint> checkpoints_ ABSL_GUARDED_BY(mutex_);  // the oldest first
  mutable uint64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, Note, std::less<>> notes_ ABSL_GUARDED_BY(mutex_);
};

// The records of all namespaces that were ever asked for. Thread-safe; finding one takes no lock.
class NamespaceRecords {
 public:
  NamespaceRecords() = default;
  NamespaceRecords(const NamespaceRecords&) = delete;
  NamespaceRecords& operator=(const NamespaceRecords&) = delete;

  // Makes it at the first call. It lives as long as this.
  NamespaceRecord& Of(std::string_view name);

 private:
  // Of a list that grows at its head only, so that who walks it needs no lock.
  struct Node {
    Node(std::string_view name, Node* next_node) : record(name), next(next_node) {}
    NamespaceRecord record;
    Node* const next;
  };
  static constexpr size_t kBuckets = 64;

  static Node* FindIn(Node* first, std::string_view name);

  std::array<std::atomic<Node*>, kBuckets> buckets_{};
  Mutex mutex_;
  std::vector<std::unique_ptr<Node>> nodes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder

#endif  // LARDER_SERVER_STORE_NAMESPACE_RECORD_H_
