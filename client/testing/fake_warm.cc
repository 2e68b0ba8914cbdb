#include "client/testing/fake_warm.h"

#include <cstddef>

namespace larder::testing {
namespace {

constexpr size_t kMaxReportedFailures = 100;
constexpr size_t kMaxReportedKeyBytes = 512;

}  // namespace

void FakeWarm::Advance() {
  using Kind = internal::WarmFeed::Kind;
  while (true) {
    internal::WarmFeed::Pulled pulled = feed_->Pull([self = shared_from_this()] { self->Advance(); });
    // Another thread may already be going on: nothing of this may be touched.
    if (pulled.kind == Kind::kLater) return;
    if (pulled.kind == Kind::kEnd) break;
    Take(pulled.item);
  }
  Report();
  std::move(done_)(std::move(progress_));
}

void FakeWarm::Take(const SetItem& item) {
  const int64_t index = taken_++;
  const absl::StatusOr<bool> written = write_(item);
  if (!written.ok()) {
    if (progress_.failures.size() == kMaxReportedFailures) {
      Report();
      progress_.failures.clear();
    }
    ++progress_.failed;
    progress_.failures.push_back({index, item.key.substr(0, kMaxReportedKeyBytes), written.status()});
  } else if (*written) {
    ++progress_.written;
    progress_.written_bytes += static_cast<int64_t>(item.key.size() + item.value.size());
  } else {
    ++progress_.skipped;
  }
}

void FakeWarm::Report() {
  progress_.elapsed = elapsed_();
  if (report_) report_(progress_);
}

}  // namespace larder::testing
