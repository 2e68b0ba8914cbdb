#ifndef LARDER_TESTS_UNIT_ORIGIN_ORIGIN_FIXTURE_H_
#define LARDER_TESTS_UNIT_ORIGIN_ORIGIN_FIXTURE_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/scheduler.h"
#include "server/origin/grpc_origin.h"
#include "tests/support/manual_clock.h"
#include "tests/unit/origin/origin_server.h"

namespace larder {

// Runs tasks when the test moves the clock.
class SteppedScheduler final : public Scheduler {
 public:
  explicit SteppedScheduler(ManualClock* clock) : clock_(clock) {}

  void At(int64_t when_nanos, Task task) override {
    MutexLock lock(&mutex_);
    tasks_.emplace(when_nanos, std::move(task));
  }

  size_t waiting() {
    MutexLock lock(&mutex_);
    return tasks_.size();
  }

  void Advance(int64_t nanos) {
    clock_->Advance(nanos);
    for (Task task = Next(); task != nullptr; task = Next()) std::move(task)();
  }

 private:
  Task Next() {
    MutexLock lock(&mutex_);
    if (tasks_.empty() || tasks_.begin()->first > clock_->NowNanos()) return nullptr;
    Task task = std::move(tasks_.begin()->second);
    tasks_.erase(tasks_.begin());
    return task;
  }

  ManualClock* const clock_;
  Mutex mutex_;
  std::multimap<int64_t, Task> tasks_ ABSL_GUARDED_BY(mutex_);
};

// Keeps what each name was answered, and how often. Thread-safe.
template <typename T>
class Answers {
 public:
  absl::AnyInvocable<void(T) &&> For(const std::string& name) {
    return [this, name](T answer) {
      MutexLock lock(&mutex_);
      answers_[name].push_back(std::move(answer));
      changed_.NotifyAll();
    };
  }

  // The first one to `name`. A failure if none comes.
  T Await(const std::string& name) {
    MutexLock lock(&mutex_);
    while (answers_[name].empty()) {
      if (changed_.WaitFor(&mutex_, 10 * kNanosPerSecond)) continue;
      ADD_FAILURE() << name << " was not answered";
      return absl::InternalError("not answered");
    }
    return answers_[name].front();
  }

  size_t Count(const std::string& name) {
    MutexLock lock(&mutex_);
    return answers_[name].size();
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::map<std::string, std::vector<T>> answers_ ABSL_GUARDED_BY(mutex_);
};

class GrpcOriginTest : public testing::Test {
 protected:
  static constexpr int64_t kMilli = kNanosPerMilli;

  GrpcOriginTest() {
    policy_.name = "shop";
    policy_.origin.emplace();
    policy_.origin->target = server_.target();
    policy_.origin->batch_delay_ms = 0;
    policy_.origin->hard_timeout_ms = 60'000;
  }
  ~GrpcOriginTest() override {
    if (origin_ != nullptr) origin_->Shutdown();
  }

  OriginPolicy& settings() { return *policy_.origin; }

  GrpcOrigin& origin() {
    if (origin_ == nullptr) {
      origin_ = std::make_unique<GrpcOrigin>(policy_, &loop_, &scheduler_, &clock_, &registry_, options_);
    }
    return *origin_;
  }

  void Load(const std::string& key) { LoadAs(key, key); }
  void LoadAs(const std::string& name, const std::string& key) { origin().Load(key, loads_.For(name)); }
  absl::Status AwaitStatus(const std::string& name) { return loads_.Await(name).status(); }
  std::string AwaitValue(const std::string& name) {
    const absl::StatusOr<OriginValue> answer = loads_.Await(name);
    return answer.ok() ? answer->value : answer.status().ToString();
  }

  // The line of a metric of the namespace, which ends with its value.
  double Metric(const std::string& name, const std::string& result = "") {
    const std::string labels = "{namespace=\"shop\"" + (result.empty() ? "" : ",result=\"" + result + "\"") + "} ";
    const std::string text = registry_.RenderText();
    const size_t at = text.find(name + labels);
    EXPECT_NE(at, std::string::npos) << name << labels;
    return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + labels.size()));
  }

  ManualClock clock_;
  SteppedScheduler scheduler_{&clock_};
  Registry registry_;
  OriginServer server_;
  NamespacePolicy policy_;
  GrpcOriginOptions options_;
  OriginLoop loop_;
  Answers<absl::StatusOr<OriginValue>> loads_;
  std::unique_ptr<GrpcOrigin> origin_;
};

}  // namespace larder

#endif  // LARDER_TESTS_UNIT_ORIGIN_ORIGIN_FIXTURE_H_
