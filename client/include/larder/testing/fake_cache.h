// A cache in memory, for the unit tests of an application.
//
//   larder::testing::FakeCache cache;
//   Catalogue catalogue(&cache, &database);           // takes a larder::Cache*
//   catalogue.Price("apple");
//   EXPECT_TRUE(cache.Contains("price:apple"));
//   cache.Advance(std::chrono::minutes(6));           // past the TTL
//   cache.SetDown(true);                              // and now without a service
#ifndef LARDER_TESTING_FAKE_CACHE_H_
#define LARDER_TESTING_FAKE_CACHE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "larder/cache.h"
#include "larder/export.h"

namespace larder {

class Observer;

namespace testing {

// As in the service's configuration: in each template `{field}` stands for the entity's field of that name, and `{{`
// and
// `}}` for braces.
struct FakeEntityRule {
  std::vector<std::string> keys = {};
  std::vector<std::string> tags = {};
  std::vector<std::string> patterns = {};
};

struct FakeCacheOptions {
  // As in ClientOptions.
  std::string name_space = "default";
  bool failed_reads_are_misses = true;
  Observer* observer = nullptr;  // told of reads and loads; there are no calls, breaker or retries here

  // Configured besides `default` and its own. Calls of others are refused, as by a service that has not been told of
  // them.
  std::vector<std::string> name_spaces = {};

  // The service's defaults. Every namespace has them.
  std::chrono::milliseconds default_ttl = std::chrono::minutes(5);
  std::chrono::milliseconds max_ttl = std::chrono::hours(7 * 24);
  size_t max_key_bytes = 512;
  size_t max_value_bytes = size_t{1} << 20;
  size_t max_batch_keys = 1000;
  // Besides `realtime` (60 s), `user` and `default` (5 min), `analytics` (30 min) and `static` (1 h), or instead of
  // them where the name is the same.
  std::map<std::string, std::chrono::milliseconds> ttl_classes = {};
  std::chrono::milliseconds stale_for{0};
  std::chrono::milliseconds absent_ttl = std::chrono::seconds(30);
  std::chrono::milliseconds lease = std::chrono::seconds(10);
  // After a lease on a stale entry was released, for how long nobody gets another.
  std::chrono::milliseconds refresh_retry = std::chrono::seconds(1);
  // From which share of its TTL on an entry is to be loaded anew; 0: not before it is stale.
  double eager_refresh = 0;
  // What Invalidation::entities may name.
  std::map<std::string, FakeEntityRule> entities = {};
};

// Behaves as the service does towards one process, its limits and messages included, but for three things: it has no
// TTL jitter; no limit on live tags and patterns; and a `wait` is over at once, as one that was in vain, for who would
// be waited for may be the very thread that asks. Thread-safe. Nothing blocks, and callbacks run within the call.
class LARDER_EXPORT FakeCache final : public Cache {
 public:
  // How many calls of each kind were made, those that failed and those of GetOrLoad included.
  struct Calls {
    int64_t gets = 0;  // those for a lease included
    int64_t releases = 0;
    int64_t sets = 0;
    int64_t touches = 0;
    int64_t batch_gets = 0;
    int64_t batch_sets = 0;
    int64_t invalidations = 0;
    int64_t warms = 0;
    int64_t stats = 0;
  };

  explicit FakeCache(FakeCacheOptions options = {});
  ~FakeCache() override;

  // The cache's time, by which entries age and leases end. It starts at 0 and does not move by itself.
  void Advance(std::chrono::milliseconds by);

  // While down, calls end UNAVAILABLE, and do nothing.
  void SetDown(bool down);
  // The next so many calls end with `status`, and do nothing. Comes before SetDown, and replaces what was to come of an
  // earlier FailNext.
  void FailNext(absl::Status status, int calls = 1);

  // Whether there is a valid entry, be it stale. An empty namespace is the cache's own.
  bool Contains(std::string_view key, std::string_view name_space = {}) const;
  // Valid entries, of all namespaces.
  size_t size() const;
  Calls calls() const;

 private:
  class State;

  void DoGet(std::string key, GetOptions options, Callback<absl::StatusOr<MaybeHit>> done) override;
  void DoGetOrLease(std::string key, GetOptions options, Callback<absl::StatusOr<LeasedRead>> done) override;
  void DoRelease(std::string key, std::string lease, CallOptions options, Callback<absl::StatusOr<bool>> done) override;
  void DoSet(std::string key, std::string value, SetOptions options, Callback<absl::StatusOr<SetResult>> done) override;
  void DoTouch(std::string key, TouchOptions options, Callback<absl::StatusOr<bool>> done) override;
  void DoBatchGet(std::vector<std::string> keys, GetOptions options,
                  Callback<absl::StatusOr<BatchGetResults>> done) override;
  void DoBatchSet(std::vector<SetItem> items, CallOptions options,
                  Callback<absl::StatusOr<BatchSetResults>> done) override;
  void DoInvalidate(Invalidation what, CallOptions options, Callback<absl::StatusOr<InvalidateResult>> done) override;
  void DoWarm(std::shared_ptr<internal::WarmFeed> feed, WarmOptions options,
              Callback<absl::StatusOr<WarmProgress>> done) override;
  void DoStats(StatsOptions options, Callback<absl::StatusOr<ServiceStats>> done) override;

  const std::string name_space_;
  // Shared with warm-ups that wait for their source.
  const std::shared_ptr<State> state_;
};

}  // namespace testing
}  // namespace larder

#endif  // LARDER_TESTING_FAKE_CACHE_H_
