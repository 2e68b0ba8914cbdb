// How long STRONG writes wait, and for whom.
#include "server/engine/strong_writes.h"

#include <gmock/gmock.h>

#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/passing_store.h"
#include "tests/unit/engine/engine_fixture.h"

namespace larder {
namespace {

using testing::HasSubstr;

constexpr int64_t kSecond = kNanosPerSecond;

// As if others wrote to the embedded store too; says who they are when the test has it say so.
class FleetStore final : public PassingStore {
 public:
  using PassingStore::PassingStore;

  void Sync(uint64_t round, StoreCallback<SyncResult> done) override { asked.emplace_back(round, std::move(done)); }
  void SetSyncListener(SyncListener listener) override { acknowledge = std::move(listener); }
  bool exclusive() const override { return false; }

  // Answers the oldest question.
  void Answer(absl::StatusOr<SyncResult> result) {
    ASSERT_FALSE(asked.empty());
    StoreCallback<SyncResult> done = std::move(asked.front().second);
    asked.pop_front();
    std::move(done)(std::move(result));
  }

  std::deque<std::pair<uint64_t, StoreCallback<SyncResult>>> asked;
  SyncListener acknowledge;
};

Member Tracking(uint64_t id) { return {id, {.acknowledges = true, .bound_nanos = kSecond, .hold_nanos = kSecond}}; }
Member ByAge(uint64_t id, int64_t bound) {
  return {id, {.acknowledges = false, .bound_nanos = bound, .hold_nanos = bound}};
}
SyncResult Others(std::vector<Member> others) {
  return {.others = std::move(others), .record_age_nanos = 3600 * kSecond, .longest_hold_nanos = kSecond};
}

class StrongWritesTest : public testing::Test {
 protected:
  // One that has landed; `status` is what becomes of it.
  void Await(std::optional<absl::Status>& status, int64_t deadline = std::numeric_limits<int64_t>::max()) {
    ASSERT_TRUE(strong_.Enter().ok());
    strong_.Await(deadline, [&status](absl::Status result) { status = std::move(result); });
  }
  std::string Metrics() { return registry_.RenderText(); }

  ManualClock clock_;
  Registry registry_;
  ManualScheduler scheduler_{&clock_};
  EmbeddedStore embedded_{&clock_, {.capacity_bytes = 16 << 20}};
  FleetStore store_{&embedded_};
  StrongWrites strong_{&store_, &clock_, &scheduler_, &registry_, 4};
};

// COHERENCE S2.
TEST_F(StrongWritesTest, EveryMemberMustAcknowledge) {
  std::optional<absl::Status> status;
  Await(status);
  ASSERT_EQ(store_.asked.size(), 1u);
  const uint64_t round = store_.asked.front().first;
  store_.Answer(Others({Tracking(7), Tracking(8)}));
  EXPECT_FALSE(status.has_value());
  store_.acknowledge(7, round);
  store_.acknowledge(9, round);
  store_.acknowledge(8, round - 1);
  EXPECT_FALSE(status.has_value());
  store_.acknowledge(8, round);
  ASSERT_TRUE(status.has_value());
  EXPECT_TRUE(status->ok());
  EXPECT_THAT(Metrics(), HasSubstr("cache_strong_writes_total{result=\"acknowledged\"} 1"));
}

TEST_F(StrongWritesTest, WhoIsAloneWaitsForNobody) {
  std::optional<absl::Status> status;
  Await(status);
  store_.Answer(Others({}));
  EXPECT_TRUE(status.has_value() && status->ok());
}

TEST_F(StrongWritesTest, AMemberMayAcknowledgeBeforeItIsKnownToBeOne) {
  std::optional<absl::Status> status;
  Await(status);
  store_.acknowledge(7, store_.asked.front().first);
  EXPECT_FALSE(status.has_value());
  store_.Answer(Others({Tracking(7)}));
  EXPECT_TRUE(status.has_value() && status->ok());
}

// COHERENCE S2: what landed after the members were read was not asked about.
TEST_F(StrongWritesTest, CallsThatComeWhileMembersAreReadGoInTheNextRound) {
  std::optional<absl::Status> first;
  std::optional<absl::Status> second;
  std::optional<absl::Status> third;
  Await(first);
  Await(second);
  Await(third);
  ASSERT_EQ(store_.asked.size(), 1u);
  const uint64_t round = store_.asked.front().first;
  store_.Answer(Others({Tracking(7)}));
  store_.acknowledge(7, round);
  EXPECT_TRUE(first.has_value());
  EXPECT_FALSE(second.has_value());
  ASSERT_EQ(store_.asked.size(), 1u);
  const uint64_t next = store_.asked.front().first;
  EXPECT_GT(next, round);
  store_.Answer(Others({Tracking(7)}));
  store_.acknowledge(7, next);
  EXPECT_TRUE(second.has_value() && third.has_value());
}

TEST_F(StrongWritesTest, AnAcknowledgementIsOneOfEarlierRoundsToo) {
  std::optional<absl::Status> first;
  std::optional<absl::Status> second;
  Await(first);
  store_.Answer(Others({Tracking(7)}));
  Await(second);
  const uint64_t round = store_.asked.front().first;
  store_.Answer(Others({Tracking(7)}));
  store_.acknowledge(7, round);
  EXPECT_TRUE(first.has_value() && second.has_value());
}

// COHERENCE S2: by then it serves no near hits.
TEST_F(StrongWritesTest, ASilentMemberIsWaitedForAsLongAsItsLease) {
  std::optional<absl::Status> status;
  Await(status);
  clock_.Advance(kSecond / 10);  // the store takes its time; the lease does not wait for it
  store_.Answer(Others({Tracking(7)}));
  scheduler_.Advance(kSecond * 9 / 10);
  EXPECT_FALSE(status.has_value()) << "a member's clock may be slower than this one";
  scheduler_.Advance(kSecond / 100);
  ASSERT_TRUE(status.has_value());
  EXPECT_TRUE(status->ok());
  EXPECT_THAT(Metrics(), HasSubstr("cache_strong_writes_total{result=\"waited_out\"} 1"));
}

// COHERENCE S1.
TEST_F(StrongWritesTest, AMemberThatGoesByAgeIsWaitedForWhateverAnybodySays) {
  std::optional<absl::Status> status;
  Await(status);
  const uint64_t round = store_.asked.front().first;
  store_.Answer(Others({ByAge(7, 3 * kSecond), Tracking(8)}));
  store_.acknowledge(7, round);
  store_.acknowledge(8, round);
  scheduler_.Advance(3 * kSecond);
  EXPECT_FALSE(status.has_value());
  scheduler_.Advance(kSecond / 10);
  EXPECT_TRUE(status.has_value() && status->ok());
}

// COHERENCE S1: who had registered in the record before this one may still rely on that.
TEST_F(StrongWritesTest, AYoungRecordIsWaitedForUntilNobodyReliesOnAnEarlierOne) {
  std::optional<absl::Status> status;
  Await(status);
  store_.Answer(SyncResult{.others = {}, .record_age_nanos = kSecond / 4, .longest_hold_nanos = kSecond});
  scheduler_.Advance(kSecond / 4 * 3);
  EXPECT_FALSE(status.has_value());
  scheduler_.Advance(kSecond / 50);
  EXPECT_TRUE(status.has_value() && status->ok());
  // The longest that anybody has ever relied on, even if the lost record alone knew of it.
  Await(status);
  store_.Answer(SyncResult{.others = {}, .record_age_nanos = 9 * kSecond, .longest_hold_nanos = 8 * kSecond});
  status.reset();
  Await(status);
  store_.Answer(SyncResult{.others = {}, .record_age_nanos = 0, .longest_hold_nanos = 0});
  scheduler_.Advance(8 * kSecond);
  EXPECT_FALSE(status.has_value());
  scheduler_.Advance(kSecond / 10);
  EXPECT_TRUE(status.has_value());
}

// COHERENCE P4: an unknown outcome.
TEST_F(StrongWritesTest, TheDeadlineEndsTheWait) {
  std::optional<absl::Status> status;
  std::optional<absl::Status> other;
  Await(status, clock_.NowNanos() + kSecond / 10);
  Await(other, clock_.NowNanos() + kSecond / 10);
  store_.Answer(Others({Tracking(7)}));
  scheduler_.Advance(kSecond / 5);
  ASSERT_TRUE(status.has_value() && other.has_value()) << "whether it is known who is waited for or not";
  EXPECT_EQ(status->code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(status->message()), HasSubstr("it was written"));
  EXPECT_THAT(Metrics(), HasSubstr("cache_strong_writes_total{result=\"error\"} 2"));
  store_.Answer(Others({Tracking(7)}));
  scheduler_.Advance(3 * kSecond);
  EXPECT_EQ(scheduler_.waiting(), 0u) << "nothing is left to look after";
}

TEST_F(StrongWritesTest, WithoutTheStoreNobodyIsKnown) {
  std::optional<absl::Status> status;
  Await(status);
  store_.Answer(absl::UnavailableError("Redis is away"));
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status->message()), HasSubstr("Redis is away"));
}

TEST_F(StrongWritesTest, NotMoreThanTheLimitMayBeUnderWay) {
  std::optional<absl::Status> status;
  for (int i = 0; i < 4; ++i) Await(status);
  const absl::Status refused = strong_.Enter();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("the limit of 4"));
  EXPECT_THAT(Metrics(), HasSubstr("cache_shed_total{reason=\"strong_waits\"} 1"));
  store_.Answer(Others({}));
  EXPECT_TRUE(strong_.Enter().ok());
  strong_.Leave();
  EXPECT_TRUE(strong_.Enter().ok());
}

TEST_F(StrongWritesTest, AServerThatStopsEndsThemAll) {
  std::optional<absl::Status> asked;
  std::optional<absl::Status> next;
  Await(asked);
  Await(next);
  strong_.Stop();
  ASSERT_TRUE(asked.has_value() && next.has_value());
  EXPECT_EQ(asked->code(), absl::StatusCode::kUnavailable);
  std::optional<absl::Status> late;
  Await(late);
  ASSERT_TRUE(late.has_value());
  EXPECT_EQ(late->code(), absl::StatusCode::kUnavailable);
  store_.Answer(Others({Tracking(7)}));
}

// The engine's calls.
class StrongEngineTest : public testing::Test {
 protected:
  std::optional<absl::StatusOr<SetAnswer>> Set(SetCommand command) {
    auto got = std::make_shared<std::optional<absl::StatusOr<SetAnswer>>>();
    command.name_space = "shop";
    command.strong = true;
    engine_.Set({}, command, [got](absl::StatusOr<SetAnswer> answer) { *got = std::move(answer); });
    set_ = got;
    return *got;
  }

  ManualClock clock_;
  Registry registry_;
  EmbeddedStore embedded_{&clock_, {.capacity_bytes = 16 << 20}};
  HeldStore held_{&embedded_};
  FleetStore store_{&held_};
  ManualScheduler scheduler_{&clock_};
  CacheEngine engine_{{.near_capacity_bytes = 8 << 20,
                       .namespaces = {PolicyNamed("default"), PolicyNamed("shop")},
                       .version_seed = 1,
                       .origins = {},
                       .max_strong_waits = 2},
                      &store_,
                      &clock_,
                      &scheduler_,
                      &registry_};
  std::shared_ptr<std::optional<absl::StatusOr<SetAnswer>>> set_;
};

// COHERENCE S2: the write lands first, then membership is read.
TEST_F(StrongEngineTest, MembersAreReadAfterTheWriteHasLanded) {
  held_.hold_answers = true;
  Set({.key = "a", .value = "1"});
  EXPECT_TRUE(store_.asked.empty());
  held_.hold_answers = false;
  held_.Release();
  EXPECT_EQ(store_.asked.size(), 1u);
  EXPECT_FALSE(set_->has_value());
  store_.Answer(Others({}));
  ASSERT_TRUE(set_->has_value());
  EXPECT_TRUE((*set_)->ok() && (**set_)->applied);
}

TEST_F(StrongEngineTest, AWriteThatDidNothingWaitsForNobody) {
  const auto refused = Set({.key = "a", .value = "1", .condition = {.kind = Condition::Kind::kPresent}});
  ASSERT_TRUE(refused.has_value());
  EXPECT_FALSE((*refused)->applied);
  held_.failure = absl::UnavailableError("away");
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Set({.key = "a", .value = "1"})->status().code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_TRUE(store_.asked.empty());
}

TEST_F(StrongEngineTest, BeyondTheLimitNothingIsWritten) {
  Set({.key = "a", .value = "1"});
  Set({.key = "a", .value = "2"});
  const auto third = Set({.key = "a", .value = "3"});
  ASSERT_TRUE(third.has_value());
  EXPECT_EQ(third->status().code(), absl::StatusCode::kResourceExhausted);
  std::optional<std::string> value;
  engine_.Get({}, {.name_space = "shop", .key = "a"},
              [&](absl::StatusOr<GetAnswer> answer) { value = std::string(answer->entry->value()); });
  EXPECT_EQ(value, "2");
}

TEST_F(StrongEngineTest, InvalidationsOfEveryKindWaitOnce) {
  std::optional<absl::StatusOr<InvalidateAnswer>> got;
  engine_.Invalidate({},
                     {.name_space = "shop",
                      .keys = {"a"},
                      .tags = {"t"},
                      .patterns = {"p*"},
                      .entities = {},
                      .all = false,
                      .soft = false,
                      .strong = true},
                     [&](absl::StatusOr<InvalidateAnswer> answer) { got = std::move(answer); });
  EXPECT_FALSE(got.has_value());
  ASSERT_EQ(store_.asked.size(), 1u);
  store_.Answer(Others({}));
  EXPECT_TRUE(got.has_value() && got->ok());
  EXPECT_TRUE(store_.asked.empty());
}

TEST_F(StrongEngineTest, ABatchWaitsOnceAndFailsInWhatWasWritten) {
  std::vector<SetCommand> commands(3);
  const char* const keys[] = {"a", "b", "c"};
  for (size_t i = 0; i < commands.size(); ++i) commands[i] = {.key = keys[i], .value = "1", .strong = true};
  commands[1].condition.kind = Condition::Kind::kPresent;
  for (const bool reachable : {true, false}) {
    std::optional<std::vector<absl::StatusOr<SetAnswer>>> got;
    engine_.BatchSet({}, "shop", commands, [&](auto answers) { got = *std::move(answers); });
    EXPECT_FALSE(got.has_value());
    ASSERT_EQ(store_.asked.size(), 1u);
    store_.Answer(reachable ? absl::StatusOr<SyncResult>(Others({})) : absl::UnavailableError("away"));
    ASSERT_TRUE(got.has_value());
    EXPECT_EQ((*got)[0].ok(), reachable);
    EXPECT_TRUE((*got)[1].ok() && !(*got)[1]->applied);
    EXPECT_EQ((*got)[2].ok(), reachable);
  }
}

TEST(StrongExclusiveTest, WhereNobodyElseWritesStrongIsWhatBoundedIs) {
  ManualClock clock;
  Registry registry;
  EmbeddedStore store(&clock, {.capacity_bytes = 16 << 20});
  ManualScheduler scheduler(&clock);
  StrongWrites strong(&store, &clock, &scheduler, &registry, 1);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(strong.Enter().ok());
    bool done = false;
    strong.Await(0, [&](const absl::Status& status) { done = status.ok(); });
    EXPECT_TRUE(done);
  }
}

}  // namespace
}  // namespace larder
