// What the service refuses, in the service's words.
#ifndef LARDER_CLIENT_TESTING_FAKE_LIMITS_H_
#define LARDER_CLIENT_TESTING_FAKE_LIMITS_H_

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "larder/calls.h"
#include "larder/testing/fake_cache.h"

namespace larder::testing {

// What an entry is given to live for, until it is stale and until it is gone.
struct FakeLifetime {
  std::chrono::milliseconds soft, hard;
};

// Immutable. All errors are INVALID_ARGUMENT and name the field and the limit.
class FakeLimits {
 public:
  explicit FakeLimits(const FakeCacheOptions& options);

  absl::Status CheckNamespace(std::string_view name_space) const;
  absl::Status CheckKey(std::string_view key) const;
  absl::Status CheckBatch(size_t size, std::string_view field) const;
  absl::Status CheckGroups(const Invalidation& what) const;
  // The TTL that the item gets, and how long it lives with what it is served as stale for.
  absl::StatusOr<FakeLifetime> CheckItem(std::string_view name_space, const SetItem& item) const;
  absl::StatusOr<std::chrono::milliseconds> ResolveTtl(std::string_view name_space, const Ttl& ttl) const;

  std::chrono::milliseconds max_ttl() const { return max_ttl_; }
  std::chrono::milliseconds lease() const { return lease_; }
  std::chrono::milliseconds refresh_retry() const { return refresh_retry_; }
  double eager_refresh() const { return eager_refresh_; }

 private:
  std::chrono::milliseconds default_ttl_, max_ttl_, stale_for_, absent_ttl_, lease_, refresh_retry_;
  double eager_refresh_;
  size_t max_key_bytes_, max_value_bytes_, max_batch_keys_;
  std::map<std::string, std::chrono::milliseconds> ttl_classes_;
};

// The status, its message preceded by the element that it is about.
absl::Status InElement(std::string_view field, size_t index, const absl::Status& status);

}  // namespace larder::testing

#endif  // LARDER_CLIENT_TESTING_FAKE_LIMITS_H_
