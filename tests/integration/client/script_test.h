// What the tests of a client against scripted services have in common.
#ifndef LARDER_TESTS_INTEGRATION_CLIENT_SCRIPT_TEST_H_
#define LARDER_TESTS_INTEGRATION_CLIENT_SCRIPT_TEST_H_

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/mutex.h"
#include "gtest/gtest.h"
#include "larder/client.h"
#include "tests/integration/client/scripted_service.h"

namespace larder {

// A call of the client and what it ended with.
struct Operation {
  std::string name;
  Method method;
  std::function<absl::Status(Cache&)> run;

  friend std::ostream& operator<<(std::ostream& out, const Operation& operation) { return out << operation.name; }
};

// A source of `count` entries.
inline WarmSource Entries(int count) {
  return [left = count]() mutable -> absl::StatusOr<std::optional<SetItem>> {
    if (left == 0) return std::nullopt;
    return SetItem{.key = "warm" + std::to_string(left--), .value = "v"};
  };
}

// Those that may be sent again ...
inline std::vector<Operation> Repeatable() {
  return {{"Get", Method::kGet, [](Cache& cache) { return cache.Get("k").status(); }},
          {"Release", Method::kRelease, [](Cache& cache) { return cache.Release("k", "lease").status(); }},
          {"Touch", Method::kTouch, [](Cache& cache) { return cache.Touch("k").status(); }},
          {"Invalidate", Method::kInvalidate, [](Cache& cache) { return cache.Invalidate({.keys = {"k"}}).status(); }},
          {"Stats", Method::kStats, [](Cache& cache) { return cache.Stats().status(); }},
          {"BatchGet", Method::kBatchGet, [](Cache& cache) {
             return cache.BatchGet({"a", "b"}).status();
           }}};
}

// ... and those that may not.
inline std::vector<Operation> NotRepeatable() {
  return {{"Set", Method::kSet, [](Cache& cache) { return cache.Set("k", "v").status(); }},
          {"BatchSet", Method::kBatchSet,
           [](Cache& cache) {
             return cache.BatchSet({{.key = "a", .value = "v"}, {.key = "b", .value = "v"}}).status();
           }},
          {"Warm", Method::kWarm, [](Cache& cache) { return cache.Warm(Entries(3)).status(); }}};
}

inline std::vector<Operation> AllOperations() {
  std::vector<Operation> all = Repeatable();
  for (Operation& operation : NotRepeatable()) all.push_back(std::move(operation));
  return all;
}

inline std::string NameOf(const ::testing::TestParamInfo<Operation>& info) { return info.param.name; }

// What an asynchronous call ends with.
template <typename T>
class Outcome {
 public:
  Callback<absl::StatusOr<T>> Setter() {
    return [promise = promise_](absl::StatusOr<T> result) { promise->set_value(std::move(result)); };
  }
  bool ready() const { return future_.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }
  // Waits for it, for a long time at most.
  absl::StatusOr<T> Take() {
    if (future_.wait_for(std::chrono::seconds(60)) != std::future_status::ready) {
      return absl::InternalError("the callback was not called");
    }
    return future_.get();
  }

 private:
  std::shared_ptr<std::promise<absl::StatusOr<T>>> promise_ = std::make_shared<std::promise<absl::StatusOr<T>>>();
  std::future<absl::StatusOr<T>> future_ = promise_->get_future();
};

// Keeps what it is told.
class Recorder : public Observer {
 public:
  struct Call {
    std::string method;
    absl::StatusCode code;
    int attempts;
    int keys;

    bool operator==(const Call&) const = default;
    friend std::ostream& operator<<(std::ostream& out, const Call& call) {
      return out << call.method << " code " << static_cast<int>(call.code) << ", " << call.attempts << " attempts, "
                 << call.keys << " keys";
    }
  };

  void OnCall(const CallReport& report) override {
    MutexLock lock(&mutex_);
    calls_.push_back({std::string(report.method), report.code, report.attempts, report.keys});
  }
  void OnRead(const ReadReport& report) override {
    MutexLock lock(&mutex_);
    failures_ += report.failures;
  }
  void OnRetryRefused() override {
    MutexLock lock(&mutex_);
    ++refused_retries_;
  }

  std::vector<Call> calls() const {
    MutexLock lock(&mutex_);
    return calls_;
  }
  int failures() const {
    MutexLock lock(&mutex_);
    return failures_;
  }
  int refused_retries() const {
    MutexLock lock(&mutex_);
    return refused_retries_;
  }

 private:
  mutable Mutex mutex_;
  std::vector<Call> calls_ ABSL_GUARDED_BY(mutex_);
  int failures_ ABSL_GUARDED_BY(mutex_) = 0;
  int refused_retries_ ABSL_GUARDED_BY(mutex_) = 0;
};

// A client of options that hide nothing: errors are errors, no breaker, and time enough.
class ScriptTest : public ::testing::Test {
 protected:
  void SetUp() override { service_ = Start({}); }

  static std::unique_ptr<ScriptedService> Start(ScriptedService::Options options) {
    auto service = ScriptedService::Start(std::move(options));
    EXPECT_TRUE(service.ok()) << service.status();
    return service.ok() ? *std::move(service) : nullptr;
  }

  ClientOptions Plain() {
    ClientOptions options;
    options.target = service_->target();
    options.deadline = std::chrono::seconds(60);
    options.failed_reads_are_misses = false;
    options.retry.initial_backoff = std::chrono::milliseconds(1);
    options.breaker.consecutive_failures = 0;
    options.observer = &recorder_;
    return options;
  }

  // Ready to call. Throws, which ends the test, where the options are refused.
  static std::unique_ptr<Client> Connect(const ClientOptions& options) {
    auto client = Client::Connect(options);
    EXPECT_TRUE(client.ok()) << client.status();
    EXPECT_TRUE((*client)->WaitUntilReady(std::chrono::seconds(20)).ok());
    return *std::move(client);
  }

  Recorder recorder_;
  std::unique_ptr<ScriptedService> service_;
};

}  // namespace larder

#endif  // LARDER_TESTS_INTEGRATION_CLIENT_SCRIPT_TEST_H_
