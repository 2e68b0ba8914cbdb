#ifndef LARDER_TESTS_UNIT_ENGINE_WARM_JOBS_FIXTURE_H_
#define LARDER_TESTS_UNIT_ENGINE_WARM_JOBS_FIXTURE_H_

#include <algorithm>
#include <atomic>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/engine/warm_jobs.h"
#include "tests/unit/engine/engine_fixture.h"

namespace larder {

// An origin of which each load is answered at once, or when the test says so.
class ScriptedOrigin final : public Origin {
 public:
  ~ScriptedOrigin() override { Shutdown(); }

  void Load(std::string key, absl::AnyInvocable<void(absl::StatusOr<OriginValue>) &&> done) override {
    loaded.push_back(key);
    waiting_.push_back({std::move(key), std::move(done)});
    most_at_once = std::max(most_at_once, waiting_.size());
    if (!hold) AnswerOne();
  }

  void Enumerate(std::string prefix, int64_t, absl::AnyInvocable<bool(std::vector<std::string>)> take,
                 absl::AnyInvocable<void(absl::Status) &&> done) override {
    enumerating_ =
        std::thread([this, prefix = std::move(prefix), take = std::move(take), done = std::move(done)]() mutable {
          absl::Status status = end_of_keys;
          for (int i = 0; i < keys_there; ++i) {
            if (!take({prefix + std::to_string(i)})) break;
            ++taken;
          }
          std::move(done)(std::move(status));
        });
  }

  void Shutdown() override {
    if (enumerating_.joinable()) enumerating_.join();
  }

  void AnswerOne() {
    auto [key, done] = std::move(waiting_.front());
    waiting_.erase(waiting_.begin());
    if (down) return std::move(done)(absl::UnavailableError("no connection"));
    OriginValue value;
    value.absent = key == "absent";
    if (!value.absent) value.value = "of " + key;
    std::move(done)(std::move(value));
  }

  bool hold = false;
  bool down = false;
  int keys_there = 0;
  absl::Status end_of_keys;
  std::vector<std::string> loaded;
  size_t most_at_once = 0;
  std::atomic<int> taken{0};

 private:
  std::vector<std::pair<std::string, absl::AnyInvocable<void(absl::StatusOr<OriginValue>) &&>>> waiting_;
  std::thread enumerating_;
};

inline std::vector<std::string> Numbered(int count) {
  std::vector<std::string> keys;
  for (int i = 0; i < count; ++i) keys.push_back("k" + std::to_string(i));
  return keys;
}

class WarmJobsTest : public ::testing::Test {
 protected:
  ~WarmJobsTest() override {
    if (jobs_ != nullptr) jobs_->Stop();
    origin_.Shutdown();
  }

  void Make(std::vector<WarmJobPolicy> jobs, bool enabled = true) {
    NamespacePolicy shop = PolicyNamed("shop");
    shop.enabled = enabled;
    shop.origin = OriginPolicy{};
    shop.warm_jobs = std::move(jobs);
    const std::vector<NamespacePolicy> policies = {PolicyNamed("default"), shop};
    engine_ = std::make_unique<CacheEngine>(
        CacheEngine::Options{
            .near_capacity_bytes = 8 << 20, .namespaces = policies, .version_seed = 1, .origins = {{"shop", &origin_}}},
        &store_, &clock_, &scheduler_, &registry_);
    jobs_ = std::make_unique<WarmJobs>(policies, WarmJobs::Parts{.engine = engine_.get(),
                                                                 .store = &store_,
                                                                 .origins = {{"shop", &origin_}},
                                                                 .clock = &clock_,
                                                                 .scheduler = &scheduler_,
                                                                 .registry = &registry_,
                                                                 .on_ended = {},
                                                                 .on_ready = [this] { ++told_ready_; }});
  }

  void Start(std::vector<WarmJobPolicy> jobs) {
    Make(std::move(jobs));
    jobs_->Start(true);
  }

  WarmJobStatus Now() { return jobs_->All().at(0); }

  std::string Get(const std::string& key) {
    std::string value = "(none)";
    engine_->Get({}, {.name_space = "shop", .key = key}, [&](absl::StatusOr<GetAnswer> answer) {
      if (answer.ok() && answer->entry) value = std::string(answer->entry->value());
    });
    return value;
  }

  std::string WriteFile(const std::string& text) {
    const std::string path = ::testing::TempDir() + "/entries.jsonl";
    std::ofstream(path) << text;
    return path;
  }

  ManualClock clock_;
  Registry registry_;
  EmbeddedStore embedded_{&clock_, {.capacity_bytes = 16 << 20}};
  HeldStore store_{&embedded_};
  ManualScheduler scheduler_{&clock_};
  ScriptedOrigin origin_;
  std::unique_ptr<CacheEngine> engine_;
  std::unique_ptr<WarmJobs> jobs_;
  int told_ready_ = 0;
};

}  // namespace larder

#endif  // LARDER_TESTS_UNIT_ENGINE_WARM_JOBS_FIXTURE_H_
