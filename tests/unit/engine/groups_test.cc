// Invalidation of groups, as applications write it.
#include <algorithm>

#include "tests/unit/engine/loading_fixture.h"
#include "tests/unit/engine/simulation/sim_network.h"

namespace larder {
namespace {

NamespacePolicy GroupsPolicy() {
  NamespacePolicy policy = LoadingPolicy();
  policy.stale_for_ms = 60'000;
  EntityRule appointment;
  appointment.keys = {*Template::Parse("appointment:{id}")};
  appointment.tags = {*Template::Parse("client:{client}")};
  appointment.patterns = {*Template::Parse("calendar:*{day}*")};
  policy.entities.emplace("appointment", appointment);
  return policy;
}

class GroupsTest : public LoadingTest {
 protected:
  GroupsTest() { Build(GroupsPolicy()); }

  void Put(std::string_view key, std::vector<std::string_view> tags = {}) {
    SetCommand set;
    set.key = key;
    set.value = key;
    set.tags = std::move(tags);
    ASSERT_TRUE(Set(set).applied);
  }
  std::string State(std::string_view key) {
    const GetAnswer answer = Get(key);
    if (!answer.entry) return "gone";
    return answer.stale ? "stale" : "fresh";
  }
};

struct Case {
  const char* name;
  InvalidateCommand command;
  std::vector<std::string> hit;
};

const std::vector<std::string_view> kKeys = {"analytics:day=1:user_id:42:x",
                                             "analytics:user_id:421",
                                             "monthly-revenue-report",
                                             "cache:a:b:session7:c",
                                             "appointment:5",
                                             "calendar:2024-05-01:room",
                                             "untouched"};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  cases.push_back({"a pattern in the middle",
                   {.patterns = {"analytics:*user_id:42*"}},
                   {"analytics:day=1:user_id:42:x", "analytics:user_id:421"}});
  cases.push_back({"a pattern anywhere", {.patterns = {"*revenue*"}}, {"monthly-revenue-report"}});
  cases.push_back({"a pattern of several parts", {.patterns = {"cache:*:*session7*"}}, {"cache:a:b:session7:c"}});
  cases.push_back({"one byte", {.patterns = {"appointment:?"}}, {"appointment:5"}});
  cases.push_back({"a tag", {.tags = {"client:9"}}, {"monthly-revenue-report", "untouched"}});
  cases.push_back({"a key and a tag",
                   {.keys = {"appointment:5"}, .tags = {"client:9"}},
                   {"appointment:5", "monthly-revenue-report", "untouched"}});
  cases.push_back({"an entity",
                   {.entities = {{"appointment", {{"id", "5"}, {"client", "9"}, {"day", "2024-05-01"}}}}},
                   {"appointment:5", "calendar:2024-05-01:room", "monthly-revenue-report", "untouched"}});
  Case all{"all", {.all = true}, {}};
  for (std::string_view key : kKeys) all.hit.emplace_back(key);
  cases.push_back(std::move(all));
  return cases;
}

TEST_F(GroupsTest, DropOrMakeStaleWhatBelongsToThemAndNothingElse) {
  for (const bool soft : {false, true}) {
    for (Case& test : Cases()) {
      SCOPED_TRACE(std::string(test.name) + (soft ? ", soft" : ", hard"));
      // What is written afterwards is not concerned.
      for (std::string_view key : kKeys) {
        Put(key, key == "untouched" || key == "monthly-revenue-report" ? std::vector<std::string_view>{"client:9", "x"}
                                                                       : std::vector<std::string_view>{});
      }
      test.command.soft = soft;
      EXPECT_FALSE(Invalidate(test.command).collapsed);
      for (std::string_view key : kKeys) {
        const bool hit = std::find(test.hit.begin(), test.hit.end(), key) != test.hit.end();
        EXPECT_EQ(State(key), !hit ? "fresh" : soft ? "stale" : "gone") << key;
      }
    }
  }
}

TEST_F(GroupsTest, AreNotReadFromTheStoreToBeFoundInvalidated) {
  Put("a", {"t"});
  Put("b");
  Invalidate({.tags = {"t"}});
  const int reads = store_.reads;
  EXPECT_EQ(State("b"), "fresh");
  EXPECT_EQ(store_.reads, reads);
  EXPECT_EQ(Stats().invalidated_groups, 1u);
}

TEST_F(GroupsTest, AHardOneAfterASoftOneEndsWhatIsStale) {
  Put("a", {"t"});
  Invalidate({.tags = {"t"}, .soft = true});
  EXPECT_EQ(State("a"), "stale");
  Invalidate({.tags = {"t"}});
  EXPECT_EQ(State("a"), "gone");
}

// COHERENCE P2.
TEST_F(GroupsTest, WhatWasLoadedBeforeIsNotStoredForAnybody) {
  const FillToken lease = *Get({.key = "a", .wants_lease = true}).lease;
  Invalidate({.patterns = {"a*"}});
  Fill("a", "from before", lease);
  EXPECT_EQ(State("a"), "gone");
}

// COHERENCE C5.
TEST_F(LoadingTest, MorePatternsThanAreRememberedDropTheWholeNamespace) {
  NamespacePolicy policy = LoadingPolicy();
  policy.max_live_patterns = 3;
  Build(policy);
  SetCommand set;
  set.key = "untouched";
  set.value = "1";
  Set(set);
  EXPECT_FALSE(Invalidate({.patterns = {"1*", "2*", "3*"}}).collapsed);
  EXPECT_EQ(ValueOf(Get("untouched")), "1");
  EXPECT_TRUE(Invalidate({.patterns = {"4*"}}).collapsed);
  EXPECT_EQ(ValueOf(Get("untouched")), "(miss)");
}

TEST_F(GroupsTest, ACommandThatNamesNothingOrTooMuchIsRefused) {
  const std::vector<std::string_view> many(101, "x");
  const std::pair<InvalidateCommand, std::string> refused[] = {
      {{}, "keys: none named, and `all` not set"},
      {{.tags = many}, "tags: 101, the limit is 100"},
      {{.patterns = many}, "patterns: 101, the limit is 100"},
  };
  for (const auto& [command, message] : refused) {
    Answers<InvalidateAnswer> answer;
    engine_->Invalidate({}, command, answer.Next());
    ASSERT_EQ(answer.answered(), 1u);
    EXPECT_EQ(answer[0].status(), absl::InvalidArgumentError(message));
  }
  EXPECT_EQ(Stats().refused, 3u);
}

TEST_F(GroupsTest, AnEntityWithoutARuleIsRefusedByItsPlace) {
  Answers<InvalidateAnswer> answer;
  engine_->Invalidate({}, {.entities = {{"nobody", {}}}}, answer.Next());
  EXPECT_EQ(answer[0].status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(answer[0].status().message().substr(0, 13), "entities[0]: ");
}

// A store that, as Redis does, leaves it to the engine to find what a pattern killed.
class PatternDeadTest : public ::testing::Test {
 protected:
  PatternDeadTest() {
    engine_ = std::make_unique<CacheEngine>(
        CacheEngine::Options{
            .near_capacity_bytes = 8 << 20, .namespaces = {GroupsPolicy()}, .version_seed = 1, .origins = {}},
        network_.link(0), &clock_, &scheduler_, &registry_);
    EXPECT_TRUE(Set(Condition::Kind::kNone).applied);
    Answers<InvalidateAnswer> invalidated;
    engine_->Invalidate({}, {.patterns = {"a*"}}, invalidated.Next());
    Settle();
    EXPECT_EQ(invalidated.answered(), 1u);
  }

  void Settle() {
    while (!network_.idle()) {
      if (network_.commands() > 0) network_.Execute();
      if (network_.answers() > 0) network_.Answer();
    }
  }
  SetAnswer Set(Condition::Kind kind, uint64_t version = 0) {
    const std::string value = truth_.NewValue("a", false, 0);
    SetCommand set;
    set.key = "a";
    set.value = value;
    set.content_type = value;
    set.condition = {kind, version};
    Answers<SetAnswer> answer;
    engine_->Set({}, set, answer.Next());
    Settle();
    return answer.answered() == 1 && answer[0].ok() ? *answer[0] : SetAnswer{};
  }

  ManualClock clock_;
  ManualScheduler scheduler_{&clock_};
  Registry registry_;
  simulation::Rng rng_{1};
  simulation::Truth truth_{0};
  simulation::Counts counts_;
  simulation::SimNetwork network_{{.judges_no_patterns = true, .log = nullptr}, &clock_, &rng_, &truth_, &counts_};
  std::unique_ptr<CacheEngine> engine_;
};

// COHERENCE E3.
TEST_F(PatternDeadTest, WhatAPatternKilledIsAbsentToASetThatAsks) {
  EXPECT_TRUE(Set(Condition::Kind::kAbsent).applied);
  EXPECT_FALSE(Set(Condition::Kind::kAbsent).applied) << "what was written afterwards is there";
}

TEST_F(PatternDeadTest, WhatAPatternKilledIsNotFoundByATouch) {
  Answers<TouchAnswer> touch;
  engine_->Touch({}, {.name_space = "", .key = "a", .ttl = {}}, touch.Next());
  Settle();
  EXPECT_FALSE(touch[0]->found);
}

TEST_F(PatternDeadTest, WhatAPatternKilledMayBeLeased) {
  Answers<GetAnswer> get;
  engine_->Get({}, {.key = "a", .wants_lease = true}, get.Next());
  Settle();
  ASSERT_EQ(get.answered(), 1u);
  EXPECT_FALSE(get[0]->entry);
  EXPECT_TRUE(get[0]->lease.has_value());
}

}  // namespace
}  // namespace larder
