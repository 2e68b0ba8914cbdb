// What a FakeCache holds.
#ifndef LARDER_CLIENT_TESTING_FAKE_STATE_H_
#define LARDER_CLIENT_TESTING_FAKE_STATE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/testing/fake_limits.h"
#include "client/testing/fake_space.h"
#include "core/mutex.h"
#include "larder/calls.h"
#include "larder/testing/fake_cache.h"

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

  absl::StatusOr<LeasedRead> Get(const std::string& name_space, const std::string& key, bool fresh_only,
                                 bool want_lease);
  absl::StatusOr<bool> Release(const std::string& name_space, const std::string& key, const std::string& lease);
  absl::StatusOr<BatchGetResults> BatchGet(const std::string& name_space, const std::vector<std::string>& keys,
                                           bool fresh_only);
  absl::StatusOr<SetResult> Set(const std::string& name_space, const SetItem& item);
  absl::StatusOr<BatchSetResults> BatchSet(const std::string& name_space, const std::vector<SetItem>& items);
  absl::StatusOr<bool> Touch(const std::string& name_space, const std::string& key, const Ttl& ttl);
  absl::StatusOr<InvalidateResult> Invalidate(const std::string& name_space, Invalidation what);
  absl::StatusOr<ServiceStats> Stats(const std::vector<std::string>& name_spaces) const;

  // How many changes have been made, for a warm-up to begin with.
  uint64_t changes() const;
  // False: left as it is, because an entry is there or a group that it belongs to was invalidated after `as_of`.
  absl::StatusOr<bool> Warm(const std::string& name_space, const SetItem& item, uint64_t as_of);

  bool Contains(const std::string& name_space, const std::string& key) const;
  size_t size() const;
  std::chrono::milliseconds now() const;

 private:
  absl::StatusOr<FakeSpace*> FindSpace(const std::string& name_space) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckSpace(const std::string& name_space) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddSpace(const std::string& name_space) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckInvalidation(const Invalidation& what) const;

  const FakeLimits limits_;
  const std::map<std::string, FakeEntityRule> entities_;

  mutable Mutex mutex_;
  FakeWorld world_ ABSL_GUARDED_BY(mutex_);
  bool down_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status next_failure_ ABSL_GUARDED_BY(mutex_);
  int failures_left_ ABSL_GUARDED_BY(mutex_) = 0;
  Calls calls_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, FakeSpace> spaces_  // all that are configured
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::testing

#endif  // LARDER_CLIENT_TESTING_FAKE_STATE_H_
