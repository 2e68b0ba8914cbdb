#include "client/src/warm_feed.h"

#include <exception>
#include <string>

#include "absl/status/statusor.h"

namespace larder::internal {
namespace {

size_t BytesOf(const SetItem& item) { return item.key.size() + item.value.size(); }

absl::StatusOr<std::optional<SetItem>> Ask(const WarmSource& source) {
  try {
    return source();
  } catch (const std::exception& e) {
    return absl::InternalError(std::string("the source threw: ") + e.what());
  } catch (...) {
    return absl::InternalError("the source threw what is no std::exception");
  }
}

}  // namespace

std::optional<SetItem> GuardedSource::Next() {
  absl::StatusOr<std::optional<SetItem>> item = Ask(source_);
  if (item.ok()) return *std::move(item);
  failure_ = item.status();
  return std::nullopt;
}

WarmFeed::Pulled DirectFeed::Pull(absl::AnyInvocable<void() &&> /*ready*/) {
  std::optional<SetItem> item = source_.Next();
  if (!item.has_value()) return {Kind::kEnd};
  return {Kind::kItem, *std::move(item)};
}

bool HandOverFeed::HasRoom() const { return items_.size() < kMaxItems && bytes_ < kMaxBytes; }

WarmFeed::Pulled HandOverFeed::Pull(absl::AnyInvocable<void() &&> ready) {
  MutexLock lock(&mutex_);
  if (!items_.empty()) {
    Pulled pulled{Kind::kItem, std::move(items_.front())};
    items_.pop_front();
    bytes_ -= BytesOf(pulled.item);
    changed_.NotifyOne();
    return pulled;
  }
  if (ended_) return {Kind::kEnd};
  ready_ = std::move(ready);
  return {Kind::kLater};
}

bool HandOverFeed::Push(SetItem item) {
  absl::AnyInvocable<void() &&> ready;
  {
    MutexLock lock(&mutex_);
    while (!HasRoom() && !closed_) changed_.Wait(&mutex_);
    if (closed_) return false;
    bytes_ += BytesOf(item);
    items_.push_back(std::move(item));
    ready = std::exchange(ready_, nullptr);
  }
  if (ready) std::move(ready)();
  return true;
}

void HandOverFeed::End() {
  absl::AnyInvocable<void() &&> ready;
  {
    MutexLock lock(&mutex_);
    ended_ = true;
    ready = std::exchange(ready_, nullptr);
  }
  if (ready) std::move(ready)();
}

void HandOverFeed::Close() {
  absl::AnyInvocable<void() &&> dropped;  // outside the lock: it may hold the last reference to the stream
  MutexLock lock(&mutex_);
  closed_ = true;
  dropped = std::exchange(ready_, nullptr);
  changed_.NotifyOne();
}

}  // namespace larder::internal
