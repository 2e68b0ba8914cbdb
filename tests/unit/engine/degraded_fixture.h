#ifndef LARDER_TESTS_UNIT_ENGINE_DEGRADED_FIXTURE_H_
#define LARDER_TESTS_UNIT_ENGINE_DEGRADED_FIXTURE_H_

#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/engine/cache_engine.h"
#include "server/engine/deferrals.h"
#include "server/engine/near_leases.h"
#include "server/store/embedded_store.h"
#include "server/store/journaled_store.h"
#include "tests/support/held_store.h"
#include "tests/support/manual_clock.h"
#include "tests/support/manual_scheduler.h"
#include "tests/support/passing_store.h"
#include "tests/unit/engine/engine_fixture.h"

namespace larder {

// The engine over a journal over a shared store that can go away and come back.
class DegradedTest : public ::testing::Test {
 protected:
  static constexpr int64_t kPastItsAge = 2 * kNanosPerSecond;    // near_max_age is 1 s
  static constexpr int64_t kDegradedFor = 60 * kNanosPerSecond;  // degraded_max_age
  static constexpr int64_t kSoon = 100 * kNanosPerMilli;         // by then the store's return has been seen
  static constexpr int64_t kLease = 10 * kNanosPerSecond;        // of the near tier

  struct Outcome {
    absl::StatusCode code = absl::StatusCode::kUnknown;  // kUnknown: there is no answer yet
    std::string value = {};                              // of a hit
    Tier tier = Tier::kStore;
    bool degraded = false;

    friend bool operator==(const Outcome&, const Outcome&) = default;
    friend std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
      return out << absl::StatusCodeToString(outcome.code) << " " << outcome.value << " tier "
                 << static_cast<int>(outcome.tier) << (outcome.degraded ? " degraded" : "");
    }
  };

  static Outcome Unavailable() { return {.code = absl::StatusCode::kUnavailable}; }
  static Outcome Miss() { return {.code = absl::StatusCode::kOk, .value = "(miss)"}; }
  static Outcome Degraded(std::string value) {
    return {.code = absl::StatusCode::kOk, .value = std::move(value), .tier = Tier::kNear, .degraded = true};
  }
  static Outcome Hit(Tier tier, std::string value) {
    return {.code = absl::StatusCode::kOk, .value = std::move(value), .tier = tier};
  }

  DegradedTest() {
    held_.shared = true;
    store_.SetListener(&deferrals_);
  }

  void LoseStore() {
    held_.away = true;
    held_.failure = absl::UnavailableError("the store is away");
  }
  void FindStore() {
    held_.away = false;
    held_.failure = absl::OkStatus();
  }
  // Back, and the journal replayed.
  void RecoverStore() {
    FindStore();
    scheduler_.Advance(kSoon);
  }

  Outcome Get(const std::string& key, GetCommand command = {}) {
    command.name_space = "shop";
    command.key = key;
    Outcome outcome;
    engine_.Get({}, command, [&](const absl::StatusOr<GetAnswer>& answer) { outcome = OutcomeOf(answer); });
    return outcome;
  }
  std::vector<Outcome> BatchGet(const std::vector<std::string>& keys, bool fresh_only = false) {
    std::vector<Outcome> outcomes;
    engine_.BatchGet({}, {.name_space = "shop", .keys = {keys.begin(), keys.end()}, .fresh_only = fresh_only},
                     [&](absl::StatusOr<std::vector<BatchGetItem>> items) {
                       if (!items.ok()) return outcomes.assign(keys.size(), Outcome{.code = items.status().code()});
                       for (BatchGetItem& item : *items) {
                         outcomes.push_back(item.available ? OutcomeOf(std::move(item.answer)) : Unavailable());
                       }
                     });
    return outcomes;
  }

  absl::StatusOr<SetAnswer> Set(const std::string& key, const std::string& value,
                                const std::vector<std::string_view>& tags = {}, SetCommand command = {},
                                int64_t deadline_nanos = std::numeric_limits<int64_t>::max()) {
    command.name_space = "shop";
    command.key = key;
    command.value = value;
    command.tags = tags;
    absl::StatusOr<SetAnswer> got = absl::InternalError("no answer yet");
    engine_.Set({.deadline_nanos = deadline_nanos}, command,
                [&](absl::StatusOr<SetAnswer> answer) { got = std::move(answer); });
    return got;
  }

  absl::StatusOr<InvalidateAnswer> Invalidate(InvalidateCommand command) {
    command.name_space = "shop";
    absl::StatusOr<InvalidateAnswer> got = absl::InternalError("no answer yet");
    engine_.Invalidate({}, command, [&](absl::StatusOr<InvalidateAnswer> answer) { got = std::move(answer); });
    return got;
  }
  bool IsDeferred(InvalidateCommand command) {
    const absl::StatusOr<InvalidateAnswer> answer = Invalidate(std::move(command));
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() && answer->deferred;
  }

  void UseMemory() {
    NamespacePolicy policy = PolicyNamed("shop");
    policy.on_store_loss = StoreLoss::kMemory;
    engine_.ReplacePolicies({policy}, 0, [](absl::StatusOr<bool>) {});
  }

  double Metric(const std::string& sample) {
    const std::string text = registry_.RenderText();
    const size_t at = text.find("\n" + sample + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + 1 + sample.size()));
  }

  static Outcome OutcomeOf(const absl::StatusOr<GetAnswer>& answer) {
    if (!answer.ok()) return {.code = answer.status().code()};
    if (!answer->entry) return Miss();
    return {.code = absl::StatusCode::kOk,
            .value = std::string(answer->entry->value()),
            .tier = answer->tier,
            .degraded = answer->degraded};
  }

  ManualClock clock_;
  Registry registry_;
  EmbeddedStore embedded_{&clock_, {.capacity_bytes = 16 << 20}};
  HeldStore held_{&embedded_};
  ManualScheduler scheduler_{&clock_};
  JournaledStore store_{std::make_unique<PassingStore>(&held_),
                        {.name_spaces = {"default", "shop"},
                         .max_entries = 1'000,
                         .later = [this](int64_t when, auto task) { scheduler_.At(when, std::move(task)); },
                         .warn = {},
                         .inform = {}},
                        &clock_,
                        &registry_};
  CacheEngine engine_{{.near_capacity_bytes = 8 << 20,
                       .namespaces = {PolicyNamed("default"), PolicyNamed("shop")},
                       .version_seed = 1,
                       .origins = {}},
                      &store_,
                      &clock_,
                      &scheduler_,
                      &registry_};
  Deferrals deferrals_{&engine_, &clock_};
  NearLeases leases_{&engine_, kLease, &registry_};
};

}  // namespace larder

#endif  // LARDER_TESTS_UNIT_ENGINE_DEGRADED_FIXTURE_H_
