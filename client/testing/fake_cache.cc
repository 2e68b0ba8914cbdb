#include "larder/testing/fake_cache.h"

#include <utility>

#include "client/testing/fake_state.h"
#include "client/testing/fake_warm.h"

namespace larder::testing {

FakeCache::FakeCache(FakeCacheOptions options)
    : Cache({.failed_reads_are_misses = options.failed_reads_are_misses,
             .observer = options.observer,
             .name_space = options.name_space}),
      name_space_(options.name_space),
      state_(std::make_shared<State>(options)) {}

FakeCache::~FakeCache() = default;

void FakeCache::Advance(std::chrono::milliseconds by) { state_->Advance(by); }

void FakeCache::SetDown(bool down) { state_->SetDown(down); }

void FakeCache::FailNext(absl::Status status, int calls) { state_->FailNext(std::move(status), calls); }

bool FakeCache::Contains(std::string_view key, std::string_view name_space) const {
  return state_->Contains(name_space.empty() ? name_space_ : std::string(name_space), std::string(key));
}

size_t FakeCache::size() const { return state_->size(); }

FakeCache::Calls FakeCache::calls() const { return state_->calls(); }

void FakeCache::DoGet(std::string key, GetOptions options, Callback<absl::StatusOr<MaybeHit>> done) {
  if (absl::Status status = state_->Begin(&Calls::gets); !status.ok()) return std::move(done)(std::move(status));
  absl::StatusOr<LeasedRead> read = state_->Get(options.name_space, key, options.fresh_only, /*want_lease=*/false);
  if (!read.ok()) return std::move(done)(read.status());
  std::move(done)(std::move(read->hit));
}

void FakeCache::DoGetOrLease(std::string key, GetOptions options, Callback<absl::StatusOr<LeasedRead>> done) {
  if (absl::Status status = state_->Begin(&Calls::gets); !status.ok()) return std::move(done)(std::move(status));
  std::move(done)(state_->Get(options.name_space, key, options.fresh_only, /*want_lease=*/true));
}

void FakeCache::DoRelease(std::string key, std::string lease, CallOptions options,
                          Callback<absl::StatusOr<bool>> done) {
  if (absl::Status status = state_->Begin(&Calls::releases); !status.ok()) return std::move(done)(std::move(status));
  std::move(done)(state_->Release(options.name_space, key, lease));
}

void FakeCache::DoSet(std::string key, std::string value, SetOptions options,
                      Callback<absl::StatusOr<SetResult>> done) {
  if (absl::Status status = state_->Begin(&Calls::sets); !status.ok()) return std::move(done)(std::move(status));
  std::move(done)(state_->Set(options.name_space, {.key = std::move(key),
                                                   .value = std::move(value),
                                                   .ttl = std::move(options.ttl),
                                                   .condition = std::move(options.condition),
                                                   .content_type = std::move(options.content_type),
                                                   .tags = std::move(options.tags),
                                                   .stale_for = options.stale_for,
                                                   .sliding = options.sliding,
                                                   .absent = options.absent}));
}

void FakeCache::DoTouch(std::string key, TouchOptions options, Callback<absl::StatusOr<bool>> done) {
  if (absl::Status status = state_->Begin(&Calls::touches); !status.ok()) return std::move(done)(std::move(status));
  std::move(done)(state_->Touch(options.name_space, key, options.ttl));
}

void FakeCache::DoBatchGet(std::vector<std::string> keys, GetOptions options,
                           Callback<absl::StatusOr<BatchGetResults>> done) {
  if (absl::Status status = state_->Begin(&Calls::batch_gets); !status.ok()) return std::move(done)(std::move(status));
  std::move(done)(state_->BatchGet(options.name_space, keys, options.fresh_only));
}

void FakeCache::DoBatchSet(std::vector<SetItem> items, CallOptions options,
                           Callback<absl::StatusOr<BatchSetResults>> done) {
  if (absl::Status status = state_->Begin(&Calls::batch_sets); !status.ok()) return std::move(done)(std::move(status));
  std::move(done)(state_->BatchSet(options.name_space, items));
}

void FakeCache::DoInvalidate(Invalidation what, CallOptions options, Callback<absl::StatusOr<InvalidateResult>> done) {
  if (absl::Status status = state_->Begin(&Calls::invalidations); !status.ok()) {
    return std::move(done)(std::move(status));
  }
  std::move(done)(state_->Invalidate(options.name_space, what));
}

void FakeCache::DoWarm(std::shared_ptr<internal::WarmFeed> feed, WarmOptions options,
                       Callback<absl::StatusOr<WarmProgress>> done) {
  if (absl::Status status = state_->Begin(&Calls::warms); !status.ok()) return std::move(done)(std::move(status));
  const auto write = [state = state_, name_space = options.name_space, as_of = state_->changes()](const SetItem& item) {
    return state->Warm(name_space, item, as_of);
  };
  const auto elapsed = [state = state_, began = state_->now()] { return state->now() - began; };
  std::make_shared<FakeWarm>(std::move(feed), write, elapsed, std::move(options.progress), std::move(done))->Advance();
}

void FakeCache::DoStats(StatsOptions options, Callback<absl::StatusOr<ServiceStats>> done) {
  if (absl::Status status = state_->Begin(&Calls::stats); !status.ok()) return std::move(done)(std::move(status));
  std::move(done)(state_->Stats(options.name_spaces));
}

}  // namespace larder::testing
