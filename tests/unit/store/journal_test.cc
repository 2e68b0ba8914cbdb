// COHERENCE D1 to D3: what the journal keeps, and what it gives up for what.
#include "server/store/journal.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace larder {
namespace {

using Names = std::vector<std::string>;

constexpr size_t kStep = 1'000;

GroupRequest Groups(Names tags, Names patterns = {}, bool all = false) {
  GroupRequest groups;
  groups.name_space = "shop";
  groups.all = all;
  groups.tags = std::move(tags);
  groups.patterns = std::move(patterns);
  return groups;
}

class JournalTest : public ::testing::Test {
 protected:
  bool Withholds(const std::string& key) { return journal_.Withholds("shop", key); }
  // What the next step of a replay that begins now would be; an empty one if there is none.
  Journal::Step Next() { return NextUpTo(journal_.position()); }
  Journal::Step NextUpTo(uint64_t position, size_t names = kStep) {
    return journal_.Next("shop", position, names).value_or(Journal::Step());
  }
  bool HasNext() { return journal_.Next("shop", journal_.position(), kStep).has_value(); }

  Journal journal_{{"default", "shop"}, 100};
};

TEST_F(JournalTest, NothingIsWithheldByAnEmptyOne) {
  EXPECT_TRUE(journal_.empty());
  EXPECT_FALSE(Withholds("a"));
  EXPECT_FALSE(HasNext());
  journal_.AddKeys("unknown", {"a"});
  EXPECT_TRUE(journal_.empty());
}

TEST_F(JournalTest, AKeyIsWithheldUntilItIsSettledAndOnlyItself) {
  journal_.AddKeys("shop", {"a", "b", "a"});
  EXPECT_EQ(journal_.CountOf("shop"), 2u);
  EXPECT_EQ(journal_.Withheld("shop", {"x", "a", "y", "b"}), (std::vector<size_t>{1, 3}));
  EXPECT_FALSE(journal_.Withholds("default", "a"));
  const uint64_t position = journal_.position();
  const Journal::Step step = NextUpTo(position, 1);
  EXPECT_EQ(step.keys.size(), 1u);
  EXPECT_EQ(journal_.Settle("shop", step, position), 1u);
  EXPECT_EQ(journal_.Settle("shop", NextUpTo(position, 1), position), 1u);
  EXPECT_FALSE(Withholds("a"));
  EXPECT_TRUE(journal_.empty());
}

TEST_F(JournalTest, WhatIsAddedAgainDuringItsReplayStays) {
  journal_.AddKeys("shop", {"a"});
  const uint64_t position = journal_.position();
  const Journal::Step step = NextUpTo(position);
  journal_.AddKeys("shop", {"a"});
  EXPECT_EQ(journal_.Settle("shop", step, position), 0u);
  EXPECT_TRUE(Withholds("a"));
  EXPECT_FALSE(journal_.Next("shop", position, kStep).has_value()) << "the round that began before is over";
  EXPECT_EQ(Next().keys, Names{"a"});
}

TEST_F(JournalTest, AnAcknowledgedSetStandsForTheReplayOfItsKey) {
  EXPECT_EQ(journal_.BeginSet("shop", "a"), std::nullopt);
  for (const bool acknowledged : {false, true}) {
    journal_.AddKeys("shop", {"a"});
    const uint64_t position = *journal_.BeginSet("shop", "a");
    EXPECT_FALSE(HasNext()) << "it might take out what is being set";
    EXPECT_TRUE(Withholds("a"));
    journal_.EndSet("shop", "a", position, acknowledged);
    EXPECT_EQ(Withholds("a"), !acknowledged);
    EXPECT_EQ(HasNext(), !acknowledged);
  }
  EXPECT_TRUE(journal_.empty());
}

TEST_F(JournalTest, ASetIsNoAnswerToWhatWasJournalledSinceItBegan) {
  journal_.AddKeys("shop", {"a"});
  const uint64_t position = *journal_.BeginSet("shop", "a");
  journal_.AddKeys("shop", {"a"});
  journal_.EndSet("shop", "a", position, /*acknowledged=*/true);
  EXPECT_EQ(Next().keys, Names{"a"});
}

TEST_F(JournalTest, AGroupClosesTheNamespaceAndGoesFirst) {
  journal_.AddKeys("shop", {"a"});
  EXPECT_FALSE(journal_.AddGroups(Groups({"tag"}, {"p*"})));
  EXPECT_TRUE(Withholds("anything"));
  const uint64_t position = journal_.position();
  const Journal::Step step = NextUpTo(position);
  EXPECT_EQ(step.tags, Names{"tag"});
  EXPECT_EQ(step.patterns, Names{"p*"});
  EXPECT_EQ(step.keys, Names{});
  journal_.Settle("shop", step, position);
  EXPECT_FALSE(Withholds("anything"));
  EXPECT_TRUE(Withholds("a"));
}

TEST_F(JournalTest, TheWholeNamespaceStandsForAllThatIsNamedInIt) {
  journal_.AddKeys("shop", {"a"});
  journal_.AddGroups(Groups({"tag"}));
  journal_.AddGroups(Groups({}, {}, /*all=*/true));
  EXPECT_EQ(journal_.CountOf("shop"), 1u);
  const uint64_t position = journal_.position();
  const Journal::Step step = NextUpTo(position);
  EXPECT_TRUE(step.all);
  journal_.AddKeys("shop", {"b"});
  EXPECT_EQ(journal_.Settle("shop", step, position), 0u) << "`b` came after the store may have done it";
  EXPECT_TRUE(Withholds("b"));
  EXPECT_TRUE(Next().all);
  journal_.Settle("shop", Next(), journal_.position());
  EXPECT_TRUE(journal_.empty());
}

// COHERENCE C5.
TEST_F(JournalTest, TooManyGroupsBecomeTheWholeNamespace) {
  GroupRequest groups = Groups({"a", "b", "c"});
  groups.max_tags = 2;
  EXPECT_TRUE(journal_.AddGroups(groups));
  EXPECT_TRUE(Next().all);
  EXPECT_EQ(journal_.CountOf("shop"), 1u);
}

TEST_F(JournalTest, AnOverflowBarsTheNamespaceThatTakesMost) {
  Names keys;
  for (int i = 0; i < 100; ++i) keys.push_back(std::to_string(i));
  journal_.AddKeys("shop", keys);
  EXPECT_EQ(journal_.overflows(), 0u);
  journal_.AddKeys("default", {"a"});
  EXPECT_EQ(journal_.overflows(), 1u);
  EXPECT_TRUE(journal_.IsBarred("shop"));
  EXPECT_FALSE(journal_.IsBarred("default"));
  EXPECT_EQ(journal_.CountOf("shop"), 1u);
  EXPECT_TRUE(Withholds("never named"));
  EXPECT_TRUE(journal_.Withholds("default", "a"));
  EXPECT_FALSE(journal_.Withholds("default", "b"));

  const uint64_t position = journal_.position();
  const Journal::Step step = NextUpTo(position);
  EXPECT_TRUE(step.barrier);
  journal_.AddKeys("shop", {"b"});
  journal_.Settle("shop", step, position);
  EXPECT_TRUE(Withholds("b")) << "what came after the barrier may have been raised needs another";
  journal_.Settle("shop", Next(), journal_.position());
  EXPECT_FALSE(Withholds("b"));
  EXPECT_EQ(journal_.overflows(), 1u);
}

}  // namespace
}  // namespace larder
