// What a FakeCache holds.
#ifndef LARDER_CLIENT_TESTING_FAKE_STATE_H_
#define LARDER_CLIENT_TESTING_FAKE_STATE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/testing/fake_limits.h"
#include "core/mutex.h"
#include "larder/calls.h"
#include "larder/testing/fake_cache.h"
#include "larder/value.h"

namespace larder::testing {

// Thread-safe.
class FakeCache::State {
 public:
  explicit State(const FakeCacheOptions& options);

  void Advance(std::chrono::milliseconds by);
  void SetDown(bool down);
  void FailNext(absl::Status status, int calls);

  // Counts a call, and says how it fails if it is to.
  absl::Status Begin(int64_t Calls::*kind);
  Calls calls() const;

  absl::StatusOr<MaybeHit> Get(const std::string& name_space, const std::string& key);
  absl::StatusOr<BatchGetResults> BatchGet(const std::string& name_space, const std::vector<std::string>& keys);
  absl::StatusOr<SetResult> Set(const std::string& name_space, const SetItem& item);
  absl::StatusOr<BatchSetResults> BatchSet(const std::string& name_space, const std::vector<SetItem>& items);
  absl::StatusOr<bool> Touch(const std::string& name_space, const std::string& key, const Ttl& ttl);
  absl::StatusOr<InvalidateResult> Invalidate(const std::string& name_space, const Invalidation& what);
  absl::StatusOr<ServiceStats> Stats(const std::vector<std::string>& name_spaces) const;

  // How often the whole namespace has been invalidated, for a warm-up to begin with.
  int64_t Epoch(const std::string& name_space) const;
  // False: left as it is, because an entry is there or the namespace has been invalidated since `epoch`.
  absl::StatusOr<bool> Warm(const std::string& name_space, const SetItem& item, int64_t epoch);

  bool Contains(const std::string& name_space, const std::string& key) const;
  size_t size() const;
  std::chrono::milliseconds now() const;

 private:
  struct Cached {
    Value value;
    uint64_t version;
    std::chrono::milliseconds created, expires;
  };
  struct Counts {
    int64_t hits = 0, misses = 0, sets = 0, sets_aborted = 0, touches = 0, invalidated_keys = 0, refused = 0;
  };
  struct Space {
    std::map<std::string, Cached, std::less<>> entries;
    int64_t epoch = 0;
    Counts counts;
  };

  absl::StatusOr<Space*> FindSpace(const std::string& name_space) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckSpace(const std::string& name_space) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Null: no valid entry.
  Cached* FindValid(Space* space, const std::string& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  MaybeHit Look(Space* space, const std::string& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The version of what stands against the write (0: nothing does, and should), or none: it may take place.
  std::optional<uint64_t> Against(Space* space, const SetItem& item) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  SetResult Put(Space* space, const SetItem& item, std::chrono::milliseconds ttl) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const FakeLimits limits_;

  mutable Mutex mutex_;
  std::chrono::milliseconds now_ ABSL_GUARDED_BY(mutex_){0};
  bool down_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status next_failure_ ABSL_GUARDED_BY(mutex_);
  int failures_left_ ABSL_GUARDED_BY(mutex_) = 0;
  Calls calls_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_version_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, Space> spaces_  // all that are configured
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::testing

#endif  // LARDER_CLIENT_TESTING_FAKE_STATE_H_
