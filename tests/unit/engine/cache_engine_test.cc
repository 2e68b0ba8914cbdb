#include "server/engine/cache_engine.h"

#include <limits>

#include "gmock/gmock.h"
#include "tests/unit/engine/engine_fixture.h"

namespace larder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(EngineTest, AMissIsAnAnswer) {
  EXPECT_EQ(*Get("a"), "(miss)");
  EXPECT_EQ(Stats().misses, 1u);
}

TEST_F(EngineTest, ASetIsReadFromTheNearTierWithAgeAndTtl) {
  ASSERT_TRUE(Set("a", "1", {}, {.ttl_ms = 10'000, .ttl_class = {}})->applied);
  clock_.Advance(3 * kNanosPerSecond);
  const GetAnswer answer = *GetAnswerFor("a");
  EXPECT_EQ(answer.entry->value(), "1");
  EXPECT_EQ(answer.tier, Tier::kNear);
  EXPECT_EQ(answer.age_nanos, 3 * kNanosPerSecond);
  EXPECT_EQ(answer.ttl_nanos, 7 * kNanosPerSecond);
  EXPECT_EQ(store_.reads, 0);
  EXPECT_EQ(Stats().near_hits, 1u);
}

TEST_F(EngineTest, ReadingFromTheStoreGoesPastTheNearTier) {
  ASSERT_TRUE(Set("a", "1")->applied);
  EXPECT_EQ(GetAnswerFor("a", true)->tier, Tier::kStore);
  EXPECT_EQ(store_.reads, 1);
  EXPECT_EQ(Stats().store_hits, 1u);
}

TEST_F(EngineTest, AnEntryEndsExactlyAtItsTtl) {
  ASSERT_TRUE(Set("a", "1", {}, {.ttl_ms = 1, .ttl_class = {}})->applied);
  clock_.Advance(kNanosPerMilli - 1);
  EXPECT_EQ(*Get("a"), "1");
  clock_.Advance(1);
  EXPECT_EQ(*Get("a"), "(miss)");
}

TEST_F(EngineTest, TtlComesFromTheChoiceTheClassOrTheDefault) {
  EXPECT_EQ(Set("a", "1", {}, {.ttl_ms = 42, .ttl_class = {}})->ttl_ms, 42);
  EXPECT_EQ(Set("a", "1", {}, {.ttl_ms = {}, .ttl_class = "realtime"})->ttl_ms, 60'000);
  EXPECT_EQ(Set("a", "1")->ttl_ms, 300'000);
}

TEST_F(EngineTest, ConditionsAreJudgedOnWhatIsThere) {
  EXPECT_FALSE(Set("a", "1", {.kind = Condition::Kind::kPresent})->applied);
  const SetAnswer first = *Set("a", "1", {.kind = Condition::Kind::kAbsent});
  ASSERT_TRUE(first.applied);
  const SetAnswer refused = *Set("a", "2", {.kind = Condition::Kind::kAbsent});
  EXPECT_FALSE(refused.applied);
  EXPECT_EQ(refused.version, first.version);
  EXPECT_FALSE(Set("a", "2", {.kind = Condition::Kind::kVersion, .version = first.version + 1})->applied);
  EXPECT_TRUE(Set("a", "2", {.kind = Condition::Kind::kVersion, .version = first.version})->applied);
  EXPECT_EQ(*Get("a"), "2");
  EXPECT_EQ(Stats().sets, 2u);
  EXPECT_EQ(Stats().sets_aborted, 3u);
}

TEST_F(EngineTest, VersionsAreNeverUsedAgainAfterADelete) {
  const uint64_t before = Set("a", "1")->version;
  EXPECT_EQ(*Invalidate({"a"}), 1);
  EXPECT_NE(Set("a", "1")->version, before);
}

TEST_F(EngineTest, InvalidatedKeysAreGoneAndCounted) {
  ASSERT_TRUE(Set("a", "1")->applied);
  ASSERT_TRUE(Set("b", "1")->applied);
  EXPECT_EQ(*Invalidate({"a", "x"}), 1);
  EXPECT_EQ(*Get("a"), "(miss)");
  EXPECT_EQ(*Get("b"), "1");
  EXPECT_EQ(Stats().invalidated_keys, 2u);
}

TEST_F(EngineTest, InvalidatingAllDropsWhatWasThereAndNothingLater) {
  ASSERT_TRUE(Set("a", "1")->applied);
  ASSERT_TRUE(Invalidate({}, true).ok());
  EXPECT_EQ(*Get("a"), "(miss)");
  ASSERT_TRUE(Set("a", "2")->applied);
  EXPECT_EQ(*Get("a"), "2");
}

TEST_F(EngineTest, InvalidatingAllOfOneNamespaceLeavesTheOthers) {
  bool set = false;
  engine_.Set({}, {.name_space = "", .key = "a", .value = "1", .content_type = {}, .ttl = {}, .condition = {}},
              [&](absl::StatusOr<SetAnswer> answer) { set = answer->applied; });
  ASSERT_TRUE(set);
  ASSERT_TRUE(Invalidate({}, true).ok());
  engine_.Get({}, {.name_space = "default", .key = "a"},
              [&](absl::StatusOr<GetAnswer> answer) { EXPECT_TRUE(answer->entry); });
}

TEST_F(EngineTest, TouchLengthensAndIsSeenByTheNextGet) {
  const uint64_t version = Set("a", "1", {}, {.ttl_ms = 1'000, .ttl_class = {}})->version;
  bool touched = false;
  engine_.Touch({}, {.name_space = "shop", .key = "a", .ttl = {.ttl_ms = 5'000, .ttl_class = {}}},
                [&](absl::StatusOr<TouchAnswer> answer) {
                  touched = answer->found;
                  EXPECT_EQ(answer->version, version);
                  EXPECT_EQ(answer->ttl_ms, 5'000);
                });
  ASSERT_TRUE(touched);
  clock_.Advance(4 * kNanosPerSecond);
  EXPECT_EQ(*Get("a"), "1");
  engine_.Touch({}, {.name_space = "shop", .key = "none", .ttl = {}},
                [&](absl::StatusOr<TouchAnswer> answer) { EXPECT_FALSE(answer->found); });
}

TEST_F(EngineTest, ABatchAnswersInOrderFromBothTiers) {
  ASSERT_TRUE(Set("a", "1")->applied);
  ASSERT_TRUE(Set("c", "3")->applied);
  std::vector<std::string> seen;
  engine_.BatchGet({}, {.name_space = "shop", .keys = {"a", "b", "c", "a"}},
                   [&](absl::StatusOr<std::vector<BatchGetItem>> items) {
                     for (const BatchGetItem& item : *items) {
                       seen.emplace_back(item.answer.entry ? item.answer.entry->value() : "(miss)");
                     }
                   });
  EXPECT_THAT(seen, ElementsAre("1", "(miss)", "3", "1"));
  EXPECT_EQ(Stats().near_hits, 3u);
  EXPECT_EQ(Stats().misses, 1u);
}

TEST_F(EngineTest, ABatchKeepsItsNearHitsWhenTheStoreIsAway) {
  ASSERT_TRUE(Set("a", "1")->applied);
  store_.failure = absl::UnavailableError("gone");
  engine_.BatchGet({}, {.name_space = "shop", .keys = {"a", "b"}},
                   [&](absl::StatusOr<std::vector<BatchGetItem>> items) {
                     ASSERT_TRUE(items.ok());
                     EXPECT_TRUE((*items)[0].answer.entry);
                     EXPECT_TRUE((*items)[0].available);
                     EXPECT_FALSE((*items)[1].available);
                   });
  engine_.BatchGet({}, {.name_space = "shop", .keys = {"b"}}, [&](absl::StatusOr<std::vector<BatchGetItem>> items) {
    EXPECT_EQ(items.status().code(), absl::StatusCode::kUnavailable);
  });
  EXPECT_EQ(Stats().get_errors, 2u);
}

TEST_F(EngineTest, ABatchThatBreaksALimitStoresNothing) {
  const std::string too_long(513, 'k');
  const std::vector<SetCommand> commands = {
      {.name_space = {}, .key = "a", .value = "1", .content_type = {}, .ttl = {}, .condition = {}},
      {.name_space = {}, .key = too_long, .value = "1", .content_type = {}, .ttl = {}, .condition = {}}};
  engine_.BatchSet({}, "shop", commands, [](absl::StatusOr<std::vector<absl::StatusOr<SetAnswer>>> answers) {
    EXPECT_EQ(answers.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(answers.status().message()), HasSubstr("entries[1]: key: 513 bytes"));
  });
  EXPECT_EQ(*Get("a"), "(miss)");
}

TEST_F(EngineTest, EntriesOfABatchSucceedOrFailOnTheirOwn) {
  ASSERT_TRUE(Set("a", "1")->applied);
  const std::vector<SetCommand> commands = {
      {.name_space = {},
       .key = "a",
       .value = "2",
       .content_type = {},
       .ttl = {},
       .condition = {.kind = Condition::Kind::kAbsent}},
      {.name_space = {}, .key = "b", .value = "2", .content_type = {}, .ttl = {}, .condition = {}}};
  engine_.BatchSet({}, "shop", commands, [](absl::StatusOr<std::vector<absl::StatusOr<SetAnswer>>> answers) {
    ASSERT_TRUE(answers.ok());
    EXPECT_FALSE((*answers)[0]->applied);
    EXPECT_TRUE((*answers)[1]->applied);
  });
  EXPECT_EQ(*Get("a"), "1");
  EXPECT_EQ(*Get("b"), "2");
}

TEST_F(EngineTest, BadInputIsRefusedByNameAndCounted) {
  EXPECT_THAT(std::string(Get("").status().message()), HasSubstr("key"));
  EXPECT_THAT(std::string(Get(std::string(513, 'k')).status().message()), HasSubstr("512"));
  EXPECT_TRUE(Get(std::string(512, 'k')).ok());
  EXPECT_THAT(std::string(Set("a", std::string((1 << 20) + 1, 'v')).status().message()), HasSubstr("value"));
  EXPECT_TRUE(Set("a", std::string(1 << 20, 'v')).ok());
  EXPECT_THAT(std::string(Set("a", "1", {}, {.ttl_ms = 0, .ttl_class = {}}).status().message()), HasSubstr("ttl_ms"));
  EXPECT_THAT(std::string(Set("a", "1", {}, {.ttl_ms = {}, .ttl_class = "nope"}).status().message()),
              HasSubstr("ttl_class"));
  EXPECT_THAT(std::string(Invalidate({}).status().message()), HasSubstr("keys"));
  EXPECT_EQ(Invalidate(std::vector<std::string>(1001, "k")).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Stats().refused, 7u);
  engine_.Get({}, {.name_space = "nope", .key = "a"}, [](absl::StatusOr<GetAnswer> answer) {
    EXPECT_EQ(answer.status(), absl::InvalidArgumentError("namespace: \"nope\" is not configured"));
  });
  engine_.Get({}, {.name_space = "No", .key = "a"}, [](absl::StatusOr<GetAnswer> answer) {
    EXPECT_EQ(answer.status(), absl::InvalidArgumentError("namespace: must match [a-z0-9_-]{1,63}"));
  });
}

TEST_F(EngineTest, ANearEntryOfASharedStoreIsReadAgainAfterItsAgeBound) {
  store_.shared = true;
  ASSERT_TRUE(Set("a", "1")->applied);
  clock_.Advance(kNanosPerSecond - 1);
  EXPECT_EQ(*Get("a"), "1");
  EXPECT_EQ(store_.reads, 0);
  clock_.Advance(1);
  EXPECT_EQ(*Get("a"), "1");
  EXPECT_EQ(store_.reads, 1);
  EXPECT_EQ(Stats().near_aged, 1u);
}

TEST_F(EngineTest, ADisabledNamespaceMissesStoresNothingAndStillInvalidates) {
  ASSERT_TRUE(Set("a", "1")->applied);
  ASSERT_TRUE(Set("b", "1")->applied);
  NamespacePolicy off = PolicyNamed("shop");
  off.enabled = false;
  const int64_t no_deadline = std::numeric_limits<int64_t>::max();
  engine_.ReplacePolicies({off}, no_deadline, [](absl::StatusOr<bool> done) { EXPECT_TRUE(done.ok()); });
  EXPECT_EQ(*Get("a"), "(miss)");
  EXPECT_TRUE(Set("a", "2")->applied);
  EXPECT_EQ(*Get("a"), "(miss)");
  EXPECT_EQ(*Invalidate({"b"}), 1);

  // Switching it on must not bring back what was stored before.
  engine_.ReplacePolicies({PolicyNamed("shop")}, no_deadline,
                          [](absl::StatusOr<bool> done) { EXPECT_TRUE(done.ok()); });
  EXPECT_EQ(*Get("a"), "(miss)");
  EXPECT_EQ(*Get("b"), "(miss)");
  EXPECT_TRUE(Set("a", "3")->applied);
  EXPECT_EQ(*Get("a"), "3");
}

TEST_F(EngineTest, ABarrierThatComesLateDoesNotUndoALaterPolicy) {
  NamespacePolicy off = PolicyNamed("shop");
  off.enabled = false;
  const int64_t no_deadline = std::numeric_limits<int64_t>::max();
  const auto ignore = [](absl::StatusOr<bool>) {};
  engine_.ReplacePolicies({off}, no_deadline, ignore);
  store_.hold_calls = true;
  engine_.ReplacePolicies({PolicyNamed("shop")}, no_deadline, ignore);
  engine_.ReplacePolicies({off}, no_deadline, ignore);
  store_.hold_calls = false;
  store_.Release();
  ASSERT_TRUE(Set("a", "1")->applied);
  EXPECT_EQ(*Get("a"), "(miss)") << "the namespace is on";
}

TEST_F(EngineTest, ANamespaceStaysOffWhenItsBarrierCannotBeRaised) {
  NamespacePolicy off = PolicyNamed("shop");
  off.enabled = false;
  const int64_t no_deadline = std::numeric_limits<int64_t>::max();
  ASSERT_TRUE(Set("a", "1")->applied);
  engine_.ReplacePolicies({off}, no_deadline, [](absl::StatusOr<bool> done) { EXPECT_TRUE(done.ok()); });
  store_.failure = absl::UnavailableError("gone");
  engine_.ReplacePolicies({PolicyNamed("shop")}, no_deadline, [](absl::StatusOr<bool> done) {
    EXPECT_EQ(done.status().code(), absl::StatusCode::kUnavailable);
  });
  store_.failure = absl::OkStatus();
  EXPECT_EQ(*Get("a"), "(miss)");
}

}  // namespace
}  // namespace larder
