#ifndef LARDER_TESTS_UNIT_CLIENT_HELD_CACHE_H_
#define LARDER_TESTS_UNIT_CLIENT_HELD_CACHE_H_

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "core/mutex.h"
#include "larder/cache.h"
#include "larder/testing/fake_cache.h"

namespace larder {

// A cache whose calls can be held at points named by the test, on their way there ("Set") and back ("Set answer"), as
// those of a network are. Behind it is a FakeCache, which tests also use as what other processes do. Thread-safe.
class HeldCache final : public Cache {
 public:
  struct Options {
    bool failed_reads_are_misses = true;
    Observer* observer = nullptr;
    std::string name_space = "default";
    std::chrono::milliseconds deadline{250};
  };

  HeldCache() : HeldCache(Options()) {}
  explicit HeldCache(const Options& options)
      : Cache({.failed_reads_are_misses = options.failed_reads_are_misses,
               .observer = options.observer,
               .name_space = options.name_space,
               .deadline = options.deadline}),
        elsewhere_({.failed_reads_are_misses = false, .name_spaces = {"mine", "yours"}}) {}

  testing::FakeCache& elsewhere() { return elsewhere_; }

  // From now on, calls stop at the point.
  void Hold(const std::string& point) {
    MutexLock lock(&mutex_);
    held_.insert(point);
  }
  // Blocks until a call has stopped there.
  void AwaitHeld(const std::string& point) {
    MutexLock lock(&mutex_);
    while (waiting_[point].empty()) changed_.Wait(&mutex_);
  }
  using Cache::Release;
  // Lets what has stopped there go on, and what comes pass.
  void Release(const std::string& point) {
    std::vector<absl::AnyInvocable<void() &&>> free;
    {
      MutexLock lock(&mutex_);
      held_.erase(point);
      free.swap(waiting_[point]);
    }
    for (auto& go_on : free) std::move(go_on)();
  }

  // The calls that have set out, in order: "Set k".
  std::vector<std::string> sent() const {
    MutexLock lock(&mutex_);
    return sent_;
  }

  GetOptions last_get() const {
    MutexLock lock(&mutex_);
    return last_get_;
  }

  // What GetAtHand answers.
  void PutAtHand(const std::string& key, Hit hit) {
    MutexLock lock(&mutex_);
    at_hand_[key] = std::move(hit);
  }

 private:
  void DoGet(std::string key, GetOptions options, Callback<absl::StatusOr<MaybeHit>> done) override {
    {
      MutexLock lock(&mutex_);
      last_get_ = options;
    }
    Send("Get", key, std::move(done),
         [this, key, options](auto back) { elsewhere_.GetAsync(key, options, std::move(back)); });
  }
  void DoGetOrLease(std::string key, GetOptions options, Callback<absl::StatusOr<LeasedRead>> done) override {
    {
      MutexLock lock(&mutex_);
      last_get_ = options;
    }
    Send("Get", key, std::move(done),
         [this, key, options](auto back) { elsewhere_.GetOrLeaseAsync(key, options, std::move(back)); });
  }
  void DoRelease(std::string key, std::string lease, CallOptions options,
                 Callback<absl::StatusOr<bool>> done) override {
    Send("Release", key, std::move(done),
         [this, key, lease, options](auto back) { elsewhere_.ReleaseAsync(key, lease, options, std::move(back)); });
  }
  void DoSet(std::string key, std::string value, SetOptions options,
             Callback<absl::StatusOr<SetResult>> done) override {
    Send("Set", key, std::move(done),
         [this, key, value, options](auto back) { elsewhere_.SetAsync(key, value, options, std::move(back)); });
  }
  void DoTouch(std::string key, TouchOptions options, Callback<absl::StatusOr<bool>> done) override {
    Send("Touch", key, std::move(done),
         [this, key, options](auto back) { elsewhere_.TouchAsync(key, options, std::move(back)); });
  }
  void DoBatchGet(std::vector<std::string> keys, GetOptions options,
                  Callback<absl::StatusOr<BatchGetResults>> done) override {
    Send("BatchGet", "", std::move(done),
         [this, keys, options](auto back) { elsewhere_.BatchGetAsync(keys, options, std::move(back)); });
  }
  void DoBatchSet(std::vector<SetItem> items, CallOptions options,
                  Callback<absl::StatusOr<BatchSetResults>> done) override {
    Send("BatchSet", "", std::move(done),
         [this, items, options](auto back) { elsewhere_.BatchSetAsync(items, options, std::move(back)); });
  }
  void DoInvalidate(Invalidation what, CallOptions options, Callback<absl::StatusOr<InvalidateResult>> done) override {
    Send("Invalidate", what.keys.empty() ? "*" : what.keys[0], std::move(done),
         [this, what, options](auto back) { elsewhere_.InvalidateAsync(what, options, std::move(back)); });
  }
  void DoWarm(std::shared_ptr<internal::WarmFeed>, WarmOptions, Callback<absl::StatusOr<WarmProgress>> done) override {
    std::move(done)(absl::UnimplementedError("HeldCache warms nothing"));
  }
  void DoStats(StatsOptions options, Callback<absl::StatusOr<ServiceStats>> done) override {
    elsewhere_.StatsAsync(std::move(options), std::move(done));
  }
  MaybeHit GetAtHand(std::string_view key, const GetOptions& options) override {
    MutexLock lock(&mutex_);
    const auto found = at_hand_.find(key);
    if (found == at_hand_.end() || options.name_space.empty()) return std::nullopt;
    return found->second;
  }

  template <typename T, typename Call>
  void Send(const std::string& method, const std::string& key, Callback<T> done, Call call) {
    Pass(method, [this, method, key, done = std::move(done), call = std::move(call)]() mutable {
      {
        MutexLock lock(&mutex_);
        sent_.push_back(key.empty() ? method : method + " " + key);
      }
      call(Callback<T>([this, method, done = std::move(done)](T answer) mutable {
        Pass(method + " answer",
             [done = std::move(done), answer = std::move(answer)]() mutable { std::move(done)(std::move(answer)); });
      }));
    });
  }

  void Pass(const std::string& point, absl::AnyInvocable<void() &&> go_on) {
    {
      MutexLock lock(&mutex_);
      if (held_.contains(point)) {
        waiting_[point].push_back(std::move(go_on));
        changed_.NotifyAll();
        return;
      }
    }
    std::move(go_on)();
  }

  testing::FakeCache elsewhere_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::set<std::string> held_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::vector<absl::AnyInvocable<void() &&>>> waiting_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> sent_ ABSL_GUARDED_BY(mutex_);
  GetOptions last_get_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Hit, std::less<>> at_hand_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder

#endif  // LARDER_TESTS_UNIT_CLIENT_HELD_CACHE_H_
