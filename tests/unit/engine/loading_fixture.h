#ifndef LARDER_TESTS_UNIT_ENGINE_LOADING_FIXTURE_H_
#define LARDER_TESTS_UNIT_ENGINE_LOADING_FIXTURE_H_

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/engine/cache_engine.h"
#include "server/store/embedded_store.h"
#include "tests/support/held_store.h"
#include "tests/support/manual_clock.h"
#include "tests/support/manual_scheduler.h"

namespace larder {

// Answers that come later, each at most once.
template <typename T>
class Answers {
 public:
  Done<T> Next() {
    std::optional<absl::StatusOr<T>>* const slot = &all_.emplace_back();
    return [slot](absl::StatusOr<T> answer) {
      EXPECT_FALSE(slot->has_value()) << "answered twice";
      *slot = std::move(answer);
    };
  }
  size_t size() const { return all_.size(); }
  bool has(size_t i) const { return all_[i].has_value(); }
  const absl::StatusOr<T>& operator[](size_t i) const { return *all_[i]; }

  size_t answered() const {
    size_t count = 0;
    for (const auto& answer : all_) count += answer.has_value() ? 1 : 0;
    return count;
  }

 private:
  std::deque<std::optional<absl::StatusOr<T>>> all_;
};

inline std::string ValueOf(const GetAnswer& answer) {
  return answer.entry ? std::string(answer.entry->value()) : "(miss)";
}

inline NamespacePolicy LoadingPolicy() {
  NamespacePolicy policy;
  policy.name = "default";
  policy.near_share = 1.0;
  policy.default_ttl_ms = 100'000;
  policy.lease_ms = 10'000;
  return policy;
}

// One engine over the embedded store, with a policy of the test's choice.
class LoadingTest : public ::testing::Test {
 protected:
  void Build(NamespacePolicy policy, Origin* origin = nullptr) {
    CacheEngine::Options options{
        .near_capacity_bytes = 8 << 20, .namespaces = {std::move(policy)}, .version_seed = 1, .origins = {}};
    if (origin != nullptr) options.origins["default"] = origin;
    engine_ = std::make_unique<CacheEngine>(std::move(options), &store_, &clock_, &scheduler_, &registry_);
  }

  void StartGet(const GetCommand& command) { engine_->Get({}, command, gets_.Next()); }
  // One that is answered at once.
  GetAnswer Get(const GetCommand& command) {
    Answers<GetAnswer> answer;
    engine_->Get({}, command, answer.Next());
    EXPECT_EQ(answer.answered(), 1u);
    return answer.answered() == 1 && answer[0].ok() ? *answer[0] : GetAnswer{};
  }
  GetAnswer Get(std::string_view key) { return Get({.key = key}); }

  SetAnswer Set(const SetCommand& command) {
    Answers<SetAnswer> answer;
    engine_->Set({}, command, answer.Next());
    return answer.answered() == 1 && answer[0].ok() ? *answer[0] : SetAnswer{};
  }
  SetAnswer Fill(std::string_view key, std::string_view value, const FillToken& token) {
    SetCommand set;
    set.key = key;
    set.value = value;
    set.fill = token;
    return Set(set);
  }
  bool Release(std::string_view key, const FillToken& token) {
    Answers<bool> answer;
    engine_->Release({}, {.name_space = {}, .key = key, .lease = token}, answer.Next());
    return answer.answered() == 1 && *answer[0];
  }
  InvalidateAnswer Invalidate(const InvalidateCommand& command) {
    Answers<InvalidateAnswer> answer;
    engine_->Invalidate({}, command, answer.Next());
    EXPECT_TRUE(answer[0].ok()) << answer[0].status();
    return answer[0].ok() ? *answer[0] : InvalidateAnswer{};
  }

  void Pass(int64_t ms) { scheduler_.Advance(ms * kNanosPerMilli); }
  KeyspaceStats Stats() { return engine_->Stats({}).value()[0]; }
  Keyspace& space() { return *engine_->FindKeyspace(""); }

  ManualClock clock_;
  Registry registry_;
  EmbeddedStore embedded_{&clock_, {.capacity_bytes = 16 << 20}};
  HeldStore store_{&embedded_};
  ManualScheduler scheduler_{&clock_};
  Answers<GetAnswer> gets_;
  std::unique_ptr<CacheEngine> engine_;
};

}  // namespace larder

#endif  // LARDER_TESTS_UNIT_ENGINE_LOADING_FIXTURE_H_
