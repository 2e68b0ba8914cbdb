#include "server/engine/hot_keys.h"

#include <gmock/gmock.h>

#include <optional>
#include <random>
#include <string>

#include "core/near_cache.h"
#include "server/engine/hot_notes.h"
#include "server/store/embedded_store.h"
#include "tests/support/held_store.h"
#include "tests/support/manual_clock.h"

namespace larder {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class HotKeysTest : public ::testing::Test {
 protected:
  void Read(const std::string& key, int times) {
    for (int i = 0; i < times; ++i) keys_.Count(key, NearCache::Hash(key), now_++);
  }

  std::vector<std::string> TopNames(size_t limit) const {
    std::vector<std::string> names;
    for (const HotKey& key : keys_.Top(limit)) names.push_back(key.key);
    return names;
  }

  int64_t now_ = 1'000'000;
  HotKeys keys_{100};
};

TEST_F(HotKeysTest, KnowsTheHottestInTheirOrder) {
  Read("warm", 2'000);
  Read("hot", 8'000);
  Read("hotter", 32'000);
  EXPECT_THAT(TopNames(2), ElementsAre("hotter", "hot"));
  EXPECT_THAT(TopNames(10), ElementsAre("hotter", "hot", "warm"));
}

TEST_F(HotKeysTest, CountsAboutAsManyAsThereWere) {
  Read("a", 100'000);
  const std::vector<HotKey> top = keys_.Top(1);
  ASSERT_EQ(top.size(), 1u);
  EXPECT_NEAR(static_cast<double>(top[0].reads), 100'000, 5'000);
}

// The bound of Space-Saving: what is read more often than one counter's share of all reads is kept.
TEST_F(HotKeysTest, RareKeysWithoutEndPushNoHotOneOut) {
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 20; ++i) Read("hot" + std::to_string(i), 100);
    for (int i = 0; i < 5'000; ++i) Read("rare" + std::to_string(round) + "-" + std::to_string(i), 1);
  }
  for (const std::string& name : TopNames(20)) EXPECT_EQ(name.substr(0, 3), "hot") << name;
  EXPECT_LE(keys_.Top(1'000'000).size(), 2 * 100 + 1'024u) << "bounded";
}

TEST_F(HotKeysTest, FindsTheHeadOfAZipfDistribution) {
  std::mt19937_64 random(7);
  std::vector<double> weights;
  for (int i = 1; i <= 20'000; ++i) weights.push_back(1.0 / i);
  std::discrete_distribution<int> zipf(weights.begin(), weights.end());
  for (int i = 0; i < 1'000'000; ++i) Read("k" + std::to_string(zipf(random)), 1);
  int of_the_first_120 = 0;
  for (const std::string& name : TopNames(100)) of_the_first_120 += std::stoi(name.substr(1)) < 120 ? 1 : 0;
  EXPECT_GE(of_the_first_120, 95);
}

TEST_F(HotKeysTest, WhatWasReadLongAgoGivesWay) {
  Read("yesterday", 20'000);
  for (int i = 0; i < 3; ++i) keys_.Age();
  Read("today", 10'000);
  EXPECT_THAT(TopNames(1), ElementsAre("today"));
  for (int i = 0; i < 20; ++i) keys_.Age();
  EXPECT_THAT(TopNames(10), IsEmpty());
}

TEST(HotNotesTextTest, KeepsKeysOfAnyBytes) {
  const std::vector<HotKey> keys = {{"a b:c\n", 17}, {std::string("\0\xff", 2), 3}, {"", 1}};
  EXPECT_EQ(DecodeHotKeys(EncodeHotKeys(keys)), keys);
}

TEST(HotNotesTextTest, LeavesOutWhatItCannotRead) {
  EXPECT_THAT(DecodeHotKeys("5 1:a\n7 9:b\n"), ElementsAre(HotKey{"a", 5}));
  EXPECT_THAT(DecodeHotKeys("x"), IsEmpty());
  EXPECT_THAT(DecodeHotKeys("-1 1:a\n"), IsEmpty());
  EXPECT_THAT(DecodeHotKeys("1 18446744073709551615:a\n"), IsEmpty());
}

TEST(HotNotesTextTest, MergingTakesTheHigherCountAndLetsNotesFade) {
  EXPECT_THAT(MergeHotKeys({{"a", 100}, {"b", 50}}, {{"a", 80}, {"b", 800}, {"c", 8}, {"d", 1}}, 10),
              ElementsAre(HotKey{"b", 700}, HotKey{"a", 100}, HotKey{"c", 7}));
  EXPECT_THAT(MergeHotKeys({{"a", 100}}, {{"b", 800}}, 1), ElementsAre(HotKey{"b", 700}));
}

class HotNotesTest : public HotKeysTest {
 protected:
  std::vector<std::string> Noted(const std::shared_ptr<HotNotes>& notes) {
    std::vector<std::string> names;
    notes->Load([&](const absl::StatusOr<std::vector<HotKey>>& keys) {
      ASSERT_TRUE(keys.ok());
      for (const HotKey& key : *keys) names.push_back(key.key);
    });
    return names;
  }

  absl::Status Save(const std::shared_ptr<HotNotes>& notes) {
    std::optional<absl::Status> saved;
    notes->Save([&](absl::Status status) { saved = std::move(status); });
    return saved.value_or(absl::InternalError("not yet"));
  }

  ManualClock clock_;
  EmbeddedStore store_{&clock_, {.capacity_bytes = 64 << 20}};
  std::shared_ptr<HotNotes> notes_ = std::make_shared<HotNotes>("shop", 3'000, &keys_, &store_, &clock_);
};

TEST_F(HotNotesTest, RemembersWhatWasHot) {
  EXPECT_THAT(Noted(notes_), IsEmpty());
  Read("a", 5'000);
  Read("b", 500);
  ASSERT_TRUE(Save(notes_).ok());
  EXPECT_THAT(Noted(notes_), ElementsAre("a", "b"));
}

TEST_F(HotNotesTest, ReplicasNoteBesideEachOther) {
  HotKeys other_keys(100);
  const auto other = std::make_shared<HotNotes>("shop", 100, &other_keys, &store_, &clock_);
  Read("here", 5'000);
  for (int64_t i = 0; i < 9'000; ++i) other_keys.Count("there", NearCache::Hash("there"), i);
  ASSERT_TRUE(Save(notes_).ok());
  ASSERT_TRUE(Save(other).ok());
  EXPECT_THAT(Noted(notes_), ElementsAre("there", "here"));
}

TEST_F(HotNotesTest, WhoHasReadNothingLeavesTheNote) {
  HotKeys other_keys(100);
  const auto other = std::make_shared<HotNotes>("shop", 100, &other_keys, &store_, &clock_);
  Read("here", 64);
  ASSERT_TRUE(Save(notes_).ok());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Save(other).ok());
  EXPECT_THAT(Noted(notes_), ElementsAre("here"));
}

TEST_F(HotNotesTest, LongNotesAreCutIntoPartsAndReadWhole) {
  HotKeys many(3'000);
  const auto notes = std::make_shared<HotNotes>("shop", 3'000, &many, &store_, &clock_);
  for (int i = 0; i < 3'000; ++i) {
    const std::string key = std::string(400, 'k') + std::to_string(i);
    for (int64_t at = 0; at < 64; ++at) many.Count(key, NearCache::Hash(key), at);
  }
  const size_t counted = many.Top(3'000).size();
  EXPECT_GT(counted, 2'500u);
  ASSERT_TRUE(Save(notes).ok());
  EXPECT_EQ(Noted(notes).size(), counted);
  std::optional<std::string> tenth;
  store_.GetNote("shop", "hot-keys/9", clock_.NowNanos() + kNanosPerSecond,
                 [&](absl::StatusOr<std::optional<std::string>> text) { tenth = *text; });
  EXPECT_TRUE(tenth.has_value());
  EXPECT_LT(tenth->size(), 140'000u);
}

}  // namespace
}  // namespace larder
