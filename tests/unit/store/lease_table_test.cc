#include "server/store/lease_table.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace larder {
namespace {

HeldLease MakeLease(uint64_t token, int64_t until_nanos) {
  HeldLease lease;
  lease.fill.token = token;
  lease.until_nanos = until_nanos;
  return lease;
}

TEST(LeaseTableTest, FindsALeaseUntilItEnds) {
  LeaseTable table(4);
  EXPECT_EQ(table.Find("key", 0), nullptr);
  table.Put("key", MakeLease(7, 100), 0);
  ASSERT_NE(table.Find("key", 99), nullptr);
  EXPECT_EQ(table.Find("key", 99)->fill.token, 7u);
  EXPECT_EQ(table.Find("kez", 99), nullptr);
  EXPECT_EQ(table.Find("key", 100), nullptr);
  EXPECT_EQ(table.size(), 0u);
}

TEST(LeaseTableTest, ReplacesTheLeaseOfAKey) {
  LeaseTable table(4);
  table.Put("key", MakeLease(1, 100), 0);
  table.Find("key", 0)->waited = true;
  EXPECT_EQ(table.Put("key", MakeLease(2, 50), 0), std::nullopt);
  EXPECT_EQ(table.size(), 1u);
  EXPECT_EQ(table.Find("key", 0)->fill.token, 2u);
  EXPECT_FALSE(table.Find("key", 0)->waited);
  EXPECT_EQ(table.Find("key", 50), nullptr);
}

TEST(LeaseTableTest, RemoveSaysWhetherSomebodyWaited) {
  LeaseTable table(4);
  EXPECT_FALSE(table.Remove("key"));
  table.Put("key", MakeLease(1, 100), 0);
  EXPECT_FALSE(table.Remove("key"));
  table.Put("key", MakeLease(1, 100), 0);
  table.Find("key", 0)->waited = true;
  EXPECT_TRUE(table.Remove("key"));
  EXPECT_FALSE(table.Remove("key"));
}

// It is bounded, whatever is asked for.
TEST(LeaseTableTest, TheSoonestEndGivesWayWhenItIsFull) {
  LeaseTable table(3);
  table.Put("a", MakeLease(1, 300), 0);
  table.Put("b", MakeLease(2, 100), 0);
  table.Put("c", MakeLease(3, 200), 0);
  EXPECT_EQ(table.Put("d", MakeLease(4, 400), 0), std::nullopt) << "nobody waited for it";
  EXPECT_EQ(table.Find("b", 0), nullptr);
  table.Find("c", 0)->waited = true;
  EXPECT_EQ(table.Put("e", MakeLease(5, 500), 0), "c");
  EXPECT_EQ(table.size(), 3u);
  EXPECT_NE(table.Find("a", 0), nullptr);
}

TEST(LeaseTableTest, WhatHasEndedIsClearedAwayByThoseThatCome) {
  LeaseTable table(3);
  table.Put("a", MakeLease(1, 10), 0);
  table.Find("a", 0)->waited = true;
  table.Put("b", MakeLease(2, 20), 0);
  EXPECT_EQ(table.Put("c", MakeLease(3, 100), 20), std::nullopt) << "its end was no news";
  EXPECT_EQ(table.size(), 1u);
}

TEST(LeaseTableTest, VisitsThoseThatHaveNotEnded) {
  LeaseTable table(3);
  table.Put("a", MakeLease(1, 10), 0);
  table.Put("b", MakeLease(2, 20), 0);
  table.Put("c", MakeLease(3, 30), 0);
  std::set<std::string> keys;
  table.ForEach(10, [&](std::string_view key, const HeldLease&) { keys.emplace(key); });
  EXPECT_EQ(keys, (std::set<std::string>{"b", "c"}));
}

}  // namespace
}  // namespace larder
