#ifndef LARDER_TESTS_UNIT_ENGINE_ENGINE_FIXTURE_H_
#define LARDER_TESTS_UNIT_ENGINE_ENGINE_FIXTURE_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/engine/cache_engine.h"
#include "server/store/embedded_store.h"
#include "tests/support/held_store.h"
#include "tests/support/manual_clock.h"
#include "tests/support/manual_scheduler.h"

namespace larder {

inline NamespacePolicy PolicyNamed(std::string name) {
  NamespacePolicy policy;
  policy.name = std::move(name);
  policy.near_share = 0.5;
  policy.ttl_classes = {{"user", 300'000}, {"realtime", 60'000}};
  return policy;
}

// The engine over the real embedded store, whose answers a test may hold back.
class EngineTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::string> Get(const std::string& key, bool from_store = false) {
    absl::StatusOr<GetAnswer> answer = GetAnswerFor(key, from_store);
    if (!answer.ok()) return answer.status();
    return answer->entry ? std::string(answer->entry->value()) : "(miss)";
  }

  absl::StatusOr<GetAnswer> GetAnswerFor(const std::string& key, bool from_store = false) {
    std::optional<absl::StatusOr<GetAnswer>> got;
    engine_.Get({}, {.name_space = "shop", .key = key, .from_store = from_store},
                [&](absl::StatusOr<GetAnswer> answer) { got = std::move(answer); });
    return got ? *got : absl::InternalError("no answer yet");
  }

  absl::StatusOr<SetAnswer> Set(const std::string& key, const std::string& value, Condition condition = {},
                                TtlChoice ttl = {}) {
    std::optional<absl::StatusOr<SetAnswer>> got;
    engine_.Set({},
                {.name_space = "shop",
                 .key = key,
                 .value = value,
                 .content_type = {},
                 .ttl = ttl,
                 .condition = condition,
                 .fill = {},
                 .tags = {},
                 .stale_for_ms = {}},
                [&](absl::StatusOr<SetAnswer> answer) { got = std::move(answer); });
    return got ? *got : absl::InternalError("no answer yet");
  }

  absl::StatusOr<int64_t> Invalidate(const std::vector<std::string>& keys, bool all = false) {
    std::optional<absl::StatusOr<InvalidateAnswer>> got;
    engine_.Invalidate({},
                       {.name_space = "shop",
                        .keys = {keys.begin(), keys.end()},
                        .tags = {},
                        .patterns = {},
                        .entities = {},
                        .all = all},
                       [&](absl::StatusOr<InvalidateAnswer> answer) { got = std::move(answer); });
    if (!got) return absl::InternalError("no answer yet");
    if (!got->ok()) return got->status();
    return (*got)->dropped;
  }

  KeyspaceStats Stats() {
    const std::vector<std::string_view> names = {"shop"};
    return engine_.Stats(names).value()[0];
  }

  ManualClock clock_;
  Registry registry_;
  EmbeddedStore embedded_{&clock_, {.capacity_bytes = 16 << 20}};
  HeldStore store_{&embedded_};
  ManualScheduler scheduler_{&clock_};
  CacheEngine engine_{{.near_capacity_bytes = 8 << 20,
                       .namespaces = {PolicyNamed("default"), PolicyNamed("shop")},
                       .version_seed = 1,
                       .origins = {}},
                      &store_,
                      &clock_,
                      &scheduler_,
                      &registry_};
};

}  // namespace larder

#endif  // LARDER_TESTS_UNIT_ENGINE_ENGINE_FIXTURE_H_
