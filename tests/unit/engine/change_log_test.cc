// What those who watch a namespace are told, and when they are told that they were not.
#include "server/engine/change_log.h"

#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/engine/logical_clock.h"
#include "tests/support/manual_clock.h"

namespace larder {
namespace {

using Kind = Change::Kind;

class ChangeLogTest : public ::testing::Test {
 protected:
  explicit ChangeLogTest(ChangeLog::Source source = ChangeLog::Source::kTold) {
    log_.Configure({.source = source, .capacity = 100}, &clock_);
    log_.SetListener([this] { ++wakes_; });
  }

  uint64_t OpenHere() {
    uint64_t begin = 0;
    EXPECT_TRUE(log_.Open(std::nullopt, &begin));
    return begin;
  }
  bool Resumes(uint64_t from) {
    uint64_t begin = 0;
    const bool resumes = log_.Open(from, &begin);
    EXPECT_TRUE(!resumes || begin == from);
    log_.Close();
    return resumes;
  }
  std::vector<std::string> NamesAfter(uint64_t position) {
    std::vector<std::string> names;
    while (true) {
      const ChangeLog::Batch batch = log_.Read(position);
      EXPECT_FALSE(batch.is_cut_off);
      if (batch.changes.empty()) return names;
      position += batch.changes.size();
      for (const Change& change : batch.changes) names.push_back(change.kind == Kind::kGap ? "gap" : change.name);
    }
  }
  void Tell(int count) {
    for (int i = 0; i < count; ++i) log_.OnTold(std::to_string(i));
  }

  ManualClock clock_;
  ChangeLog log_;
  int wakes_ = 0;
};

class OwnChangeLogTest : public ChangeLogTest {
 protected:
  OwnChangeLogTest() : ChangeLogTest(ChangeLog::Source::kWrites) {}
};

TEST_F(ChangeLogTest, TellsInOrderFromWhereAReaderBegan) {
  log_.OnTold("before");
  const uint64_t begin = OpenHere();
  log_.OnTold("a");
  log_.OnStamp({.group = Stamp::Group::kTag, .soft = true, .epoch = 1, .name = "t"});
  log_.OnStamp({.group = Stamp::Group::kPattern, .epoch = 2, .name = "p*"});
  log_.OnStamp({.group = Stamp::Group::kAll, .epoch = 3, .name = ""});
  const ChangeLog::Batch batch = log_.Read(begin);
  EXPECT_EQ(batch.changes, (std::vector<Change>{{.kind = Kind::kKey, .name = "a"},
                                                {.kind = Kind::kTag, .soft = true, .name = "t"},
                                                {.kind = Kind::kPattern, .name = "p*"},
                                                {.kind = Kind::kAll}}));
  EXPECT_EQ(log_.events(), 4) << "what nobody was there to hear is not held";
}

TEST_F(ChangeLogTest, AGapIsABatchOfItsOwn) {
  const uint64_t begin = OpenHere();
  log_.OnTold("a");
  log_.OnGap(Change::Gap::kFlushed);
  log_.OnTold("b");
  EXPECT_EQ(log_.Read(begin).changes.size(), 1);
  const ChangeLog::Batch gap = log_.Read(begin + 1);
  ASSERT_EQ(gap.changes.size(), 1);
  EXPECT_EQ(gap.changes[0].gap, Change::Gap::kFlushed);
  EXPECT_EQ(NamesAfter(begin), (std::vector<std::string>{"a", "gap", "b"}));
}

TEST_F(ChangeLogTest, ABatchIsBounded) {
  const uint64_t begin = OpenHere();
  const std::string large(ChangeLog::kMaxBatchBytes / 4, 'k');
  for (int i = 0; i < 10; ++i) log_.OnTold(large);
  EXPECT_EQ(log_.Read(begin).changes.size(), 4);
  EXPECT_EQ(NamesAfter(begin).size(), 10);
}

// COHERENCE W4.
TEST_F(ChangeLogTest, WhoFallsOffTheRingIsToldSo) {
  const uint64_t slow = OpenHere();
  uint64_t quick = slow;
  Tell(100);
  quick += log_.Read(quick).changes.size();
  EXPECT_TRUE(log_.Holds(slow));
  Tell(1);
  EXPECT_FALSE(log_.Holds(slow));
  EXPECT_TRUE(log_.Read(slow).is_cut_off);
  EXPECT_EQ(NamesAfter(quick).size(), 1) << "the others go on";
}

// COHERENCE W4.
TEST_F(ChangeLogTest, AReaderComesBackToWhereItWas) {
  const uint64_t begin = OpenHere();
  log_.OnTold("a");
  log_.Close();
  log_.OnTold("b");
  clock_.Advance(ChangeLog::kLinger - 1);
  log_.OnTold("c");
  ASSERT_TRUE(Resumes(begin + 1));
  EXPECT_EQ(NamesAfter(begin + 1), (std::vector<std::string>{"b", "c"}));
  EXPECT_FALSE(Resumes(begin + 4)) << "nobody was told of that";
  Tell(98);
  EXPECT_TRUE(Resumes(begin + 1));
  Tell(1);
  EXPECT_FALSE(Resumes(begin + 1));
}

TEST_F(ChangeLogTest, NothingIsHeldForLongOnceNobodyReads) {
  const uint64_t begin = OpenHere();
  log_.Close();
  clock_.Advance(ChangeLog::kLinger);
  EXPECT_TRUE(Resumes(begin)) << "nothing has changed";
  clock_.Advance(ChangeLog::kLinger);
  log_.OnTold("unheard");
  EXPECT_FALSE(Resumes(begin)) << "what was not held cannot be told";
  EXPECT_EQ(log_.events(), 0);
}

TEST_F(ChangeLogTest, OneWhoFoundNothingIsWokenOnceForAllThatComes) {
  const uint64_t begin = OpenHere();
  log_.OnTold("a");
  EXPECT_EQ(wakes_, 0) << "nobody waits";
  EXPECT_TRUE(log_.Read(begin + 1).changes.empty());
  log_.OnTold("b");
  log_.OnTold("c");
  EXPECT_EQ(wakes_, 1);
  EXPECT_TRUE(log_.Read(begin + 3).changes.empty());
  log_.OnStamp({.group = Stamp::Group::kAll, .epoch = 1, .name = ""});
  EXPECT_EQ(wakes_, 1) << "not under the clock's lock";
  log_.Tell();
  EXPECT_EQ(wakes_, 2);
}

// COHERENCE W2, W3.
TEST_F(ChangeLogTest, APositionIsProvedWhileTheLeaseLasts) {
  const uint64_t begin = OpenHere();
  EXPECT_EQ(log_.Proved(clock_.NowNanos()), std::nullopt);
  log_.OnTold("a");
  log_.Prove(clock_.NowNanos() + 100);
  clock_.Advance(99);
  EXPECT_EQ(log_.Proved(clock_.NowNanos()), begin + 1);
  clock_.Advance(1);
  EXPECT_EQ(log_.Proved(clock_.NowNanos()), std::nullopt);
  log_.Prove(clock_.NowNanos() + 100);
  log_.OnLost();
  EXPECT_EQ(log_.Proved(clock_.NowNanos()), std::nullopt);
  EXPECT_EQ(NamesAfter(begin), (std::vector<std::string>{"a", "gap"}));
}

TEST_F(OwnChangeLogTest, OwnWritesAreAllThereIs) {
  const uint64_t begin = OpenHere();
  log_.OnTold("foreign");
  log_.OnWritten("own");
  EXPECT_EQ(NamesAfter(begin), std::vector<std::string>{"own"});
  EXPECT_EQ(log_.Proved(clock_.NowNanos()), begin + 1);
}

TEST_F(ChangeLogTest, OwnWritesAreToldByTheStore) {
  const uint64_t begin = OpenHere();
  log_.OnWritten("own");
  EXPECT_TRUE(NamesAfter(begin).empty());
}

// COHERENCE W2: by whichever answer a stamp became known.
TEST_F(ChangeLogTest, TheClockTellsWhatIsNewToIt) {
  LogicalClock clock(/*max_stamps=*/4);
  const uint64_t begin = OpenHere();
  const auto stamp = [](uint64_t epoch, const std::string& tag) {
    return Stamp{.group = Stamp::Group::kTag, .epoch = epoch, .name = tag};
  };
  clock.Apply({.generation = 2, .epoch = 7, .stamps = {}, .sequence = 1}, &log_);
  EXPECT_TRUE(NamesAfter(begin).empty()) << "the first that is known";
  clock.Apply({.generation = 1, .epoch = 1, .stamps = {stamp(1, "a")}, .sequence = 1}, &log_);
  EXPECT_EQ(NamesAfter(begin), (std::vector<std::string>{"gap", "a"})) << "a new generation";
  clock.Apply({.generation = 1, .epoch = 2, .since = 1, .stamps = {stamp(2, "b")}, .sequence = 2}, &log_);
  clock.Apply({.generation = 1, .epoch = 2, .since = 1, .stamps = {stamp(2, "b")}, .sequence = 3}, &log_);
  EXPECT_EQ(NamesAfter(begin + 2), std::vector<std::string>{"b"}) << "once";
  EXPECT_FALSE(clock.Apply({.generation = 1, .epoch = 2, .since = 2, .stamps = {}, .floor = 2, .sequence = 4}, &log_));
  EXPECT_TRUE(NamesAfter(begin + 3).empty()) << "swept, but known";
  EXPECT_TRUE(clock.Apply({.generation = 1, .epoch = 9, .since = 2, .stamps = {}, .floor = 8, .sequence = 5}, &log_));
  EXPECT_EQ(NamesAfter(begin + 3), std::vector<std::string>{"gap"}) << "stamps may have been missed";
  clock.Forget(8);
  clock.Apply({.generation = 1, .epoch = 9, .since = 2, .stamps = {stamp(7, "late")}, .sequence = 6}, &log_);
  EXPECT_EQ(NamesAfter(begin + 4), std::vector<std::string>{"late"}) << "forgotten here, but never told";
}

}  // namespace
}  // namespace larder
