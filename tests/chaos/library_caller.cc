#include "tests/chaos/library_caller.h"

#include <chrono>
#include <memory>
#include <optional>
#include <random>

#include "absl/strings/str_cat.h"
#include "tests/chaos/keys.h"

namespace larder::chaos {
namespace {

constexpr auto kDeadline = std::chrono::seconds(2);

}  // namespace

void LibraryCaller::Run() {
  ClientOptions options;
  options.target.clear();
  for (int i = 0; i < kReplicas; ++i) {
    absl::StrAppend(&options.target, i == 0 ? "" : ",", "127.0.0.1:", fleet().call_link(i).port());
  }
  options.deadline = kDeadline;
  options.failed_reads_are_misses = false;
  auto cache = larder::Client::Connect(options);
  if (!cache.ok()) return NoteError("Connect", cache.status());
  if (absl::Status status = (*cache)->WaitUntilReady(std::chrono::seconds(20)); !status.ok()) {
    return NoteError("Connect", status);
  }
  while (!stopping()) {
    const double dice = std::uniform_real_distribution<double>(0, 100)(random());
    const int key = Between(random(), 0, kFirstWarmed - 1);
    if (dice < 3) {
      Set(**cache, key);
    } else if (dice < 4) {
      Invalidate(**cache, key);
    } else if (dice < 10) {
      BatchGet(**cache);
    } else {
      Get(**cache, key);
    }
    calls_.fetch_add(1);
  }
}

void LibraryCaller::Get(Cache& cache, int key) {
  Operation read{.key = key, .replica = kForeign, .invoked = Now()};
  const absl::StatusOr<MaybeHit> hit = cache.Get(KeyName(key));
  read.returned = Now();
  if (!hit.ok()) return NoteError("Get", hit.status());
  NoteHit(*hit, read);
}

void LibraryCaller::BatchGet(Cache& cache) {
  std::vector<int> keys;
  std::vector<std::string> names;
  for (int i = 0; i < 6; ++i) {
    keys.push_back(Between(random(), 0, kFirstWarmed - 1));
    names.push_back(KeyName(keys.back()));
  }
  Operation read{.replica = kForeign, .invoked = Now()};
  const absl::StatusOr<BatchGetResults> hits = cache.BatchGet(names);
  read.returned = Now();
  if (!hits.ok()) return NoteError("BatchGet", hits.status());
  for (size_t i = 0; i < keys.size(); ++i) {
    read.key = keys[i];
    if ((*hits)[i].ok()) {
      NoteHit(*(*hits)[i], read);
    } else {
      NoteError("BatchGet", (*hits)[i].status());
    }
  }
}

void LibraryCaller::NoteHit(const MaybeHit& hit, Operation read) {
  if (hit.has_value()) {
    read.value = hit->absent ? kNobodys : ParseValue(read.key, std::string(hit->value.bytes()));
    read.stale = hit->freshness == Freshness::kStale;
    read.degraded = hit->degraded;
    read.near = hit->tier == Tier::kNear;
  }
  Note(read);
}

void LibraryCaller::Set(Cache& cache, int key) {
  Operation write{.kind = OperationKind::kSet, .key = key, .replica = kForeign, .invoked = Now(), .value = NextValue()};
  const absl::StatusOr<SetResult> result = cache.Set(
      KeyName(key), ValueText(key, write.value), {.ttl = std::chrono::milliseconds(kTtlMillis), .tags = TagsOf(key)});
  write.returned = Now();
  if (!result.ok()) NoteError("Set", result.status());
  if (!result.ok() || result->degraded) write.outcome = Outcome::kUnknown;
  Note(write);
}

void LibraryCaller::Invalidate(Cache& cache, int key) {
  Operation write{.kind = OperationKind::kInvalidate, .key = key, .replica = kForeign, .invoked = Now()};
  const absl::StatusOr<InvalidateResult> result = cache.Invalidate({.keys = {KeyName(key)}});
  write.returned = Now();
  if (!result.ok()) NoteError("Invalidate", result.status());
  if (!result.ok() || result->deferred) write.outcome = Outcome::kUnknown;
  Note(write);
}

void LibraryCaller::NoteError(std::string_view call, const absl::Status& status) {
  MutexLock lock(&mutex_);
  errors_.push_back(absl::StrCat(std::string(call), ": ", status.ToString()));
}

std::vector<std::string> LibraryCaller::Errors() const {
  MutexLock lock(&mutex_);
  return errors_;
}

}  // namespace larder::chaos
