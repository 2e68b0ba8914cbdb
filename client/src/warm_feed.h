// The way of a warm-up's entries from the application's source to the stream that carries them.
#ifndef LARDER_CLIENT_SRC_WARM_FEED_H_
#define LARDER_CLIENT_SRC_WARM_FEED_H_

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "core/mutex.h"
#include "larder/calls.h"

namespace larder::internal {

// What Cache::DoWarm pulls from. A source that blocks runs on its caller's thread and hands over, so that the client's
// polling threads never wait for it: hence `kLater`.
class WarmFeed {
 public:
  enum class Kind { kItem, kEnd, kLater };
  struct Pulled {
    Kind kind = Kind::kEnd;
    SetItem item = {};
  };

  virtual ~WarmFeed() = default;

  // Never blocks. One call at a time, and none once `done` of DoWarm has been called. After kLater, `ready` is called
  // once, from the source's thread, when it is time to pull again; otherwise it is dropped.
  virtual Pulled Pull(absl::AnyInvocable<void() &&> ready) = 0;
};

// A source, and how it ended. Not thread-safe.
class GuardedSource {
 public:
  explicit GuardedSource(WarmSource source) : source_(std::move(source)) {}

  // None: the end, or a failure. An exception that leaves the source is one.
  std::optional<SetItem> Next();
  const absl::Status& failure() const { return failure_; }

 private:
  WarmSource source_;
  absl::Status failure_;
};

// Pulls straight from a source that does not block.
class DirectFeed final : public WarmFeed {
 public:
  explicit DirectFeed(WarmSource source) : source_(std::move(source)) {}

  Pulled Pull(absl::AnyInvocable<void() &&> ready) override;
  const absl::Status& failure() const { return source_.failure(); }

 private:
  GuardedSource source_;
};

// Is fed by one thread and pulled from by others; holds a bounded number of entries and bytes. Thread-safe.
class HandOverFeed final : public WarmFeed {
 public:
  Pulled Pull(absl::AnyInvocable<void() &&> ready) override;

  // The feeding thread's. Blocks while the feed is full; false: nobody pulls any more.
  bool Push(SetItem item);
  void End();

  // Nobody will pull any more.
  void Close();

 private:
  static constexpr size_t kMaxItems = 64;
  static constexpr size_t kMaxBytes = size_t{4} << 20;

  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  CondVar changed_;
  std::deque<SetItem> items_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::AnyInvocable<void() &&> ready_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_WARM_FEED_H_
