#include "core/reuse_model.h"

#include <gtest/gtest.h>

#include <vector>

namespace larder {
namespace {

constexpr size_t kEntries = 1'000;
constexpr uint32_t kNow = 1'000'000;

AccessRecord Aged(uint32_t age, uint8_t hits = 0, uint8_t gap = 0) {
  AccessRecord record = {.last_access = kNow - age, .gap = gap};
  record.hits = hits & 127;
  return record;
}

// Entries like this one are there at all ages, and are not hit.
void CountIdle(ReuseModel& model, uint8_t hits, uint8_t gap) {
  for (uint32_t age = 1; age < kNow; age *= 2) model.CountPresence(Aged(age, hits, gap), kNow, 1e8);
}

void RefreshAll(ReuseModel& model) {
  for (int i = 0; i < 64; ++i) model.Refresh(kEntries, 32);
}

TEST(AccessRecordTest, RenewCountsTheHitAndTheTimeSinceTheLastAccess) {
  AccessRecord record = {.last_access = 100};
  record.Renew(100 + 64);
  EXPECT_EQ(record.last_access, 164u);
  EXPECT_EQ(record.hits, 1u);
  EXPECT_EQ(record.gap, 6 * 8) << "64 is the sixth power of two";
  record.Renew(164 + 16);
  EXPECT_EQ(record.hits, 2u);
  EXPECT_EQ(record.gap, 5 * 8) << "the mean of 6 and 4 powers of two";
}

TEST(AccessRecordTest, EdgesOfTheGap) {
  AccessRecord record = {.last_access = 5};
  record.Renew(5);
  EXPECT_EQ(record.gap, 1u) << "0 would say that there was none yet";
  record = {.last_access = 1};
  record.Renew(0);
  EXPECT_EQ(record.gap, 255u);
  record = {.last_access = 0};
  record.Renew(96);
  EXPECT_EQ(record.gap, 6 * 8 + 4) << "half way from 64 to 128";
}

TEST(AccessRecordTest, HitsSaturateAndTimeWraps) {
  AccessRecord record = {.last_access = UINT32_MAX, .hits = 126};
  record.Renew(15);
  EXPECT_EQ(record.hits, 127u);
  record.Renew(31);
  EXPECT_EQ(record.hits, 127u);
  EXPECT_EQ(record.gap, 4 * 8);
}

TEST(ReuseModelTest, WithoutKnowledgePrefersTheRecentAndTheOftenHit) {
  const ReuseModel model;
  EXPECT_GT(model.Worth(Aged(10), kNow), model.Worth(Aged(1'000), kNow));
  EXPECT_GT(model.Worth(Aged(1'000), kNow), model.Worth(Aged(100'000), kNow));
  EXPECT_GT(model.Worth(Aged(1'000, 5), kNow), model.Worth(Aged(1'000, 0), kNow));
  EXPECT_GT(model.Worth(Aged(1'000, 40), kNow), model.Worth(Aged(1'000, 5), kNow));
}

TEST(ReuseModelTest, LearnsThatAClassIsWorthless) {
  ReuseModel model;
  CountIdle(model, 0, 0);  // a scan
  RefreshAll(model);
  EXPECT_LT(model.Worth(Aged(1), kNow), model.Worth(Aged(100'000, 1, 64), kNow));
}

TEST(ReuseModelTest, WaitsForHitsThatComeLate) {
  ReuseModel model;
  // A loop: nothing is hit before the age of 4,096, and then surely.
  for (uint32_t age = 1; age < 4'096; age *= 2) model.CountPresence(Aged(age), kNow, 1e5);
  model.CountPresence(Aged(5'000), kNow, 1e5);
  for (int i = 0; i < 1'000; ++i) model.CountHit(Aged(5'000), kNow);
  RefreshAll(model);
  EXPECT_GT(model.Worth(Aged(2'100), kNow), model.Worth(Aged(1'000), kNow)) << "the nearer to its hit the better";
  EXPECT_GT(model.Worth(Aged(1'000), kNow), model.Worth(Aged(10), kNow));
  EXPECT_GT(model.Worth(Aged(10), kNow), model.Worth(Aged(20'000), kNow)) << "its time has passed";
}

TEST(ReuseModelTest, TellsShortGapsFromLongOnes) {
  ReuseModel model;
  const AccessRecord often = Aged(100, 3, 4 * 8);
  const AccessRecord seldom = Aged(100, 3, 14 * 8);
  RefreshAll(model);  // learns the number of entries, which gaps are held against
  CountIdle(model, 3, 14 * 8);
  model.CountPresence(often, kNow, 1e6);
  for (int i = 0; i < 1'000; ++i) model.CountHit(often, kNow);
  RefreshAll(model);
  EXPECT_GT(model.Worth(often, kNow), 10 * model.Worth(seldom, kNow));
}

TEST(ReuseModelTest, Forgets) {
  ReuseModel model;
  const float before = ReuseModel().Worth(Aged(100), kNow);
  CountIdle(model, 0, 0);
  RefreshAll(model);
  EXPECT_LT(model.Worth(Aged(100), kNow), before / 10);
  // Sixty half-lives of 16,000 accesses.
  for (int i = 0; i < 60 * 500; ++i) model.Refresh(kEntries, 32);
  EXPECT_NEAR(model.Worth(Aged(100), kNow), before, before / 100);
}

}  // namespace
}  // namespace larder
