// Where the items of WarmJobs come from, and what is done with each.
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/engine/warm_jobs.h"

namespace larder {
namespace {

constexpr int64_t kStoreLookNanos = 50 * kNanosPerMilli;

std::vector<WarmJobRun::Item> ItemsOf(std::vector<std::string> keys) {
  std::vector<WarmJobRun::Item> items(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) items[i].key = std::move(keys[i]);
  return items;
}

// A key that was read: loaded by the origin now, or there already, or known not to exist.
absl::StatusOr<bool> WasLoaded(const absl::StatusOr<GetAnswer>& answer) {
  if (!answer.ok()) return answer.status();
  if (!answer->entry) return absl::UnavailableError("somebody else loads it, and has not ended");
  return answer->tier == Tier::kOrigin && !answer->entry->meta().absent;
}

SetCommand CommandOf(const std::string& name_space, const EntryLine& entry) {
  return {.name_space = name_space,
          .key = entry.key,
          .value = entry.value,
          .content_type = entry.content_type,
          .ttl = {.ttl_ms = entry.ttl_ms, .ttl_class = entry.ttl_class},
          .condition = {},
          .fill = std::nullopt,
          .tags = {entry.tags.begin(), entry.tags.end()},
          .stale_for_ms = entry.stale_for_ms,
          .sliding = entry.sliding,
          .absent = entry.absent};
}

}  // namespace

WarmJobRun::WorkOn WarmJobs::Load(const Job& job) const {
  return [engine = parts_.engine, name = job.name_space, counters = job.counters](const WarmJobRun::Item& item,
                                                                                  WarmJobRun::ItemDone done) {
    // No deadline: the store and the origin have their own. A wait: another replica may be loading the same.
    engine->Get(
        {},
        {.name_space = name, .key = item.key, .wait_ms = std::numeric_limits<int32_t>::max(), .counts_as_read = false},
        [counters, done = std::move(done)](const absl::StatusOr<GetAnswer>& answer) mutable {
          const absl::StatusOr<bool> loaded = WasLoaded(answer);
          counters.Count(loaded);
          std::move(done)(loaded);
        });
  };
}

WarmJobRun::WorkOn WarmJobs::Write(const Job& job, std::shared_ptr<const ClockPosition> as_of) const {
  return [engine = parts_.engine, name = job.name_space, counters = job.counters, as_of = std::move(as_of)](
             const WarmJobRun::Item& item, WarmJobRun::ItemDone done) {
    engine->SetIfUntouchedSince({}, CommandOf(name, item), *as_of,
                                [counters, done = std::move(done)](const absl::StatusOr<SetAnswer>& answer) mutable {
                                  absl::StatusOr<bool> written = false;
                                  if (answer.ok()) {
                                    written = answer->applied;
                                  } else {
                                    written = answer.status();
                                  }
                                  counters.Count(written);
                                  std::move(done)(written);
                                });
  };
}

void WarmJobs::Feed(Job& job, const std::shared_ptr<WarmJobRun>& run, std::shared_ptr<ClockPosition> as_of,
                    int64_t patience_until_nanos) {
  const int64_t now = parts_.clock->NowNanos();
  if (parts_.store->state() != StoreInfo::State::kReady && now < patience_until_nanos) {
    return parts_.scheduler->At(now + kStoreLookNanos,
                                [this, &job, run, as_of = std::move(as_of), patience_until_nanos] {
                                  Feed(job, run, as_of, patience_until_nanos);
                                });
  }
  if (!parts_.engine->FindKeyspace(job.name_space)->policy().enabled) {
    return run->EndOfItems(absl::FailedPreconditionError("the namespace is switched off"));
  }
  if (job.policy.file.has_value()) return FeedFile(job, run, std::move(as_of));
  if (job.policy.prefix.has_value()) return FeedPrefix(job, run);
  if (job.policy.hottest.has_value()) return FeedHottest(job, run);
  run->OfferAll(ItemsOf(job.policy.keys));
  run->EndOfItems(absl::OkStatus());
}

void WarmJobs::FeedPrefix(const Job& job, const std::shared_ptr<WarmJobRun>& run) const {
  parts_.origins.at(job.name_space)
      ->Enumerate(
          *job.policy.prefix, 0, [run](std::vector<std::string> keys) { return run->Offer(ItemsOf(std::move(keys))); },
          [run](absl::Status status) {
            if (!status.ok()) status = {status.code(), absl::StrCat("origin: ", status.message())};
            run->EndOfItems(std::move(status));
          });
}

void WarmJobs::FeedHottest(const Job& job, const std::shared_ptr<WarmJobRun>& run) const {
  const auto limit = static_cast<size_t>(*job.policy.hottest);
  notes_.at(job.name_space)->Load([run, limit](absl::StatusOr<std::vector<HotKey>> noted) {
    if (!noted.ok()) return run->EndOfItems(noted.status());
    std::vector<std::string> keys;
    for (HotKey& key : *noted) {
      if (keys.size() < limit) keys.push_back(std::move(key.key));
    }
    run->OfferAll(ItemsOf(std::move(keys)));
    run->EndOfItems(absl::OkStatus());
  });
}

void WarmJobs::FeedFile(Job& job, const std::shared_ptr<WarmJobRun>& run, std::shared_ptr<ClockPosition> as_of) const {
  // COHERENCE E4: as of a moment before the file is opened, so that what is invalidated while it is read stays away.
  parts_.engine->Position({}, job.name_space,
                          [&job, run, as_of = std::move(as_of)](const absl::StatusOr<ClockPosition>& position) {
                            if (!position.ok()) return run->EndOfItems(position.status());
                            *as_of = *position;
                            job.reader.Start(*job.policy.file, run);
                          });
}

}  // namespace larder
