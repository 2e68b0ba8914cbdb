#include "larder/cache.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/awaited.h"
#include "client/src/call_deadline.h"
#include "client/src/count_read.h"
#include "client/src/flights.h"
#include "client/src/names_groups.h"
#include "client/src/warm_feed.h"
#include "larder/observer.h"

namespace larder {
namespace {

using internal::Awaited;
using internal::CheckCallDeadline;

// The service could not say whether there is an entry.
bool CouldNotRead(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsResourceExhausted(status);
}

template <typename Read>
void FailuresToMisses(absl::StatusOr<Read>* read) {
  if (CouldNotRead(read->status())) *read = Read();
}

// 0: not at all.
absl::Status CheckWait(std::chrono::milliseconds wait) {
  if (wait.count() >= 0 && wait <= internal::kMaxCallDeadline) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("wait: ", wait.count(), " ms, must be 0 to ", internal::kMaxCallDeadline.count(), " ms"));
}

absl::Status CheckGet(const GetOptions& options) {
  absl::Status status = CheckCallDeadline(options.deadline);
  status.Update(CheckWait(options.wait));
  return status;
}

absl::Status CheckBatchGet(const GetOptions& options) {
  absl::Status status = CheckCallDeadline(options.deadline);
  if (options.wait.count() != 0) status.Update(absl::InvalidArgumentError("wait: a batch does not wait"));
  return status;
}

}  // namespace

Cache::Cache(Settings settings)
    : settings_(std::move(settings)),
      at_hand_options_{.name_space = settings_.name_space, .deadline = settings_.deadline, .near = true},
      flights_(std::make_unique<internal::Flights>()) {}

Cache::~Cache() = default;

MaybeHit Cache::GetAtHand(std::string_view /*key*/, const GetOptions& /*options*/) { return std::nullopt; }

void Cache::Observe(const ReadReport& found) const {
  if (settings_.observer != nullptr) settings_.observer->OnRead(found);
}

MaybeHit Cache::AtHand(std::string_view key, const GetOptions& options) {
  if (!options.near) return std::nullopt;
  return GetAtHand(key, options.name_space.empty() ? at_hand_options_ : options);
}

void Cache::Read(std::string key, GetOptions options, Callback<absl::StatusOr<MaybeHit>> done) {
  DoGet(std::move(key), Filled(std::move(options)),
        [this, done = std::move(done)](absl::StatusOr<MaybeHit> read) mutable {
          ReadReport found;
          internal::CountRead(read, &found);
          Observe(found);
          if (settings_.failed_reads_are_misses) FailuresToMisses(&read);
          std::move(done)(std::move(read));
        });
}

absl::StatusOr<MaybeHit> Cache::Get(std::string_view key, const GetOptions& options) {
  if (absl::Status wrong = CheckGet(options); !wrong.ok()) return wrong;
  if (MaybeHit hit = AtHand(key, options); hit.has_value()) {
    Observe({.near_hits = 1});
    return hit;
  }
  Awaited<MaybeHit> answer;
  Read(std::string(key), options, answer.Setter());
  return answer.Take();
}

void Cache::GetAsync(std::string key, GetOptions options, Callback<absl::StatusOr<MaybeHit>> done) {
  if (absl::Status wrong = CheckGet(options); !wrong.ok()) return std::move(done)(std::move(wrong));
  if (MaybeHit hit = AtHand(key, options); hit.has_value()) {
    Observe({.near_hits = 1});
    return std::move(done)(std::move(hit));
  }
  Read(std::move(key), std::move(options), std::move(done));
}

void Cache::GetOrLeaseAsync(std::string key, GetOptions options, Callback<absl::StatusOr<LeasedRead>> done) {
  if (absl::Status wrong = CheckGet(options); !wrong.ok()) return std::move(done)(std::move(wrong));
  DoGetOrLease(std::move(key), Filled(std::move(options)),
               [this, done = std::move(done)](absl::StatusOr<LeasedRead> read) mutable {
                 ReadReport found;
                 internal::CountRead(read, &found);
                 Observe(found);
                 if (settings_.failed_reads_are_misses) FailuresToMisses(&read);
                 std::move(done)(std::move(read));
               });
}

absl::StatusOr<LeasedRead> Cache::GetOrLease(std::string_view key, const GetOptions& options) {
  Awaited<LeasedRead> answer;
  GetOrLeaseAsync(std::string(key), options, answer.Setter());
  return answer.Take();
}

void Cache::ReleaseAsync(std::string key, std::string lease, CallOptions options, Callback<absl::StatusOr<bool>> done) {
  if (absl::Status wrong = CheckCallDeadline(options.deadline); !wrong.ok()) return std::move(done)(std::move(wrong));
  DoRelease(std::move(key), std::move(lease), Filled(std::move(options)), std::move(done));
}

absl::StatusOr<bool> Cache::Release(std::string_view key, std::string_view lease, const CallOptions& options) {
  Awaited<bool> answer;
  ReleaseAsync(std::string(key), std::string(lease), options, answer.Setter());
  return answer.Take();
}

void Cache::BatchGetAsync(std::vector<std::string> keys, GetOptions options,
                          Callback<absl::StatusOr<BatchGetResults>> done) {
  if (absl::Status wrong = CheckBatchGet(options); !wrong.ok()) return std::move(done)(std::move(wrong));
  const size_t count = keys.size();
  DoBatchGet(std::move(keys), Filled(std::move(options)),
             [this, count, done = std::move(done)](absl::StatusOr<BatchGetResults> reads) mutable {
               ReadReport found;
               if (!reads.ok()) found.failures = static_cast<int>(count);
               if (reads.ok()) {
                 for (const absl::StatusOr<MaybeHit>& read : *reads) internal::CountRead(read, &found);
               }
               Observe(found);
               if (settings_.failed_reads_are_misses) {
                 if (CouldNotRead(reads.status())) reads = BatchGetResults(count, MaybeHit());
                 if (reads.ok()) {
                   for (absl::StatusOr<MaybeHit>& read : *reads) FailuresToMisses(&read);
                 }
               }
               std::move(done)(std::move(reads));
             });
}

absl::StatusOr<BatchGetResults> Cache::BatchGet(std::vector<std::string> keys, const GetOptions& options) {
  Awaited<BatchGetResults> answer;
  BatchGetAsync(std::move(keys), options, answer.Setter());
  return answer.Take();
}

absl::StatusOr<BatchGetResults> Cache::Look(std::vector<std::string> keys, const GetOptions& options) {
  Awaited<BatchGetResults> answer;
  DoBatchGet(std::move(keys), Filled(options), answer.Setter());
  return answer.Take();
}

template <typename T>
void Cache::Write(internal::WriteScope scope, Callback<T> done, absl::AnyInvocable<void(Callback<T>) &&> send) {
  auto shared = std::make_shared<const internal::WriteScope>(std::move(scope));
  Callback<T> sealing = [this, shared, done = std::move(done)](T result) mutable {
    flights_->Seal(*shared);
    std::move(done)(std::move(result));
  };
  flights_->BeforeWrite(*shared, [send = std::move(send), sealing = std::move(sealing)]() mutable {
    std::move(send)(std::move(sealing));
  });
}

void Cache::SetAsync(std::string key, std::string value, SetOptions options, Callback<absl::StatusOr<SetResult>> done) {
  if (absl::Status wrong = CheckCallDeadline(options.deadline); !wrong.ok()) return std::move(done)(std::move(wrong));
  options = Filled(std::move(options));
  internal::WriteScope scope{options.name_space, {key}};
  Write<absl::StatusOr<SetResult>>(
      std::move(scope), std::move(done),
      [this, key = std::move(key), value = std::move(value), options = std::move(options)](auto ended) mutable {
        DoSet(std::move(key), std::move(value), std::move(options), std::move(ended));
      });
}

absl::StatusOr<SetResult> Cache::Set(std::string_view key, std::string_view value, const SetOptions& options) {
  Awaited<SetResult> answer;
  SetAsync(std::string(key), std::string(value), options, answer.Setter());
  return answer.Take();
}

void Cache::BatchSetAsync(std::vector<SetItem> items, CallOptions options,
                          Callback<absl::StatusOr<BatchSetResults>> done) {
  if (absl::Status wrong = CheckCallDeadline(options.deadline); !wrong.ok()) return std::move(done)(std::move(wrong));
  options = Filled(std::move(options));
  internal::WriteScope scope{options.name_space, {}};
  scope.keys.reserve(items.size());
  for (const SetItem& item : items) scope.keys.push_back(item.key);
  Write<absl::StatusOr<BatchSetResults>>(
      std::move(scope), std::move(done),
      [this, items = std::move(items), options = std::move(options)](auto ended) mutable {
        DoBatchSet(std::move(items), std::move(options), std::move(ended));
      });
}

absl::StatusOr<BatchSetResults> Cache::BatchSet(std::vector<SetItem> items, const CallOptions& options) {
  Awaited<BatchSetResults> answer;
  BatchSetAsync(std::move(items), options, answer.Setter());
  return answer.Take();
}

void Cache::InvalidateAsync(Invalidation what, CallOptions options, Callback<absl::StatusOr<InvalidateResult>> done) {
  if (absl::Status wrong = CheckCallDeadline(options.deadline); !wrong.ok()) return std::move(done)(std::move(wrong));
  options = Filled(std::move(options));
  internal::WriteScope scope{options.name_space, what.keys, what.all, internal::NamesGroups(what)};
  Write<absl::StatusOr<InvalidateResult>>(
      std::move(scope), std::move(done),
      [this, what = std::move(what), options = std::move(options)](auto ended) mutable {
        DoInvalidate(std::move(what), std::move(options), std::move(ended));
      });
}

absl::StatusOr<InvalidateResult> Cache::Invalidate(Invalidation what, const CallOptions& options) {
  Awaited<InvalidateResult> answer;
  InvalidateAsync(std::move(what), options, answer.Setter());
  return answer.Take();
}

void Cache::TouchAsync(std::string key, TouchOptions options, Callback<absl::StatusOr<bool>> done) {
  if (absl::Status wrong = CheckCallDeadline(options.deadline); !wrong.ok()) return std::move(done)(std::move(wrong));
  DoTouch(std::move(key), Filled(std::move(options)), std::move(done));
}

absl::StatusOr<bool> Cache::Touch(std::string_view key, const TouchOptions& options) {
  Awaited<bool> answer;
  TouchAsync(std::string(key), options, answer.Setter());
  return answer.Take();
}

void Cache::WarmAsync(WarmSource source, WarmOptions options, Callback<absl::StatusOr<WarmProgress>> done) {
  if (absl::Status wrong = CheckCallDeadline(options.deadline); !wrong.ok()) return std::move(done)(std::move(wrong));
  auto feed = std::make_shared<internal::DirectFeed>(std::move(source));
  DoWarm(feed, Filled(std::move(options)),
         [feed, done = std::move(done)](absl::StatusOr<WarmProgress> progress) mutable {
           if (progress.ok() && !feed->failure().ok()) progress = feed->failure();
           std::move(done)(std::move(progress));
         });
}

absl::StatusOr<WarmProgress> Cache::Warm(WarmSource source, WarmOptions options) {
  if (absl::Status wrong = CheckCallDeadline(options.deadline); !wrong.ok()) return wrong;
  auto feed = std::make_shared<internal::HandOverFeed>();
  Awaited<WarmProgress> answer;
  DoWarm(feed, Filled(std::move(options)),
         [feed, set = answer.Setter()](absl::StatusOr<WarmProgress> progress) mutable {
           feed->Close();
           std::move(set)(std::move(progress));
         });

  internal::GuardedSource guarded(std::move(source));
  bool wanted = true;
  while (wanted) {
    std::optional<SetItem> item = guarded.Next();
    if (!item.has_value()) break;
    wanted = feed->Push(*std::move(item));
  }
  feed->End();
  absl::StatusOr<WarmProgress> progress = answer.Take();
  if (progress.ok() && !guarded.failure().ok()) return guarded.failure();
  return progress;
}

void Cache::StatsAsync(StatsOptions options, Callback<absl::StatusOr<ServiceStats>> done) {
  if (absl::Status wrong = CheckCallDeadline(options.deadline); !wrong.ok()) return std::move(done)(std::move(wrong));
  if (options.deadline == std::chrono::milliseconds::zero()) options.deadline = settings_.deadline;
  DoStats(std::move(options), std::move(done));
}

absl::StatusOr<ServiceStats> Cache::Stats(const StatsOptions& options) {
  Awaited<ServiceStats> answer;
  StatsAsync(options, answer.Setter());
  return answer.Take();
}

}  // namespace larder
