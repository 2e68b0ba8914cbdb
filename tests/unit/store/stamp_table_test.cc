#include "server/store/stamp_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <utility>

#include "core/pattern.h"

namespace larder {
namespace {

using Group = Stamp::Group;

Stamp Of(Group group, std::string name, uint64_t epoch, bool soft = false) {
  return {.group = group, .soft = soft, .epoch = epoch, .name = std::move(name)};
}

std::string Tags(const std::vector<std::string_view>& tags) { return TagList::Encode(tags); }

Judgement JudgeOf(const StampTable& table, std::string_view key, const std::vector<std::string_view>& tags,
                  uint64_t epoch) {
  const std::string encoded = Tags(tags);
  return table.Judge(key, TagList(encoded), epoch);
}

TEST(StampTableTest, AnEmptyTableFindsEverythingValid) {
  const StampTable table;
  EXPECT_EQ(JudgeOf(table, "k", {"t"}, 0), Judgement::kValid);
  EXPECT_EQ(table.latest_hard(), 0u);
  EXPECT_EQ(table.MiddleEpoch(), 0u);
  EXPECT_TRUE(table.Later(0).empty());
}

TEST(StampTableTest, AStampEndsWhatIsEarlierAndNotWhatBearsItsEpoch) {
  for (const Stamp& stamp :
       {Of(Group::kAll, "", 5), Of(Group::kTag, "t", 5), Of(Group::kPattern, "k*", 5), Of(Group::kPattern, "*y", 5)}) {
    StampTable table;
    EXPECT_TRUE(table.Add(stamp));
    EXPECT_EQ(JudgeOf(table, "key", {"s", "t"}, 4), Judgement::kDead) << stamp.name;
    EXPECT_EQ(JudgeOf(table, "key", {"s", "t"}, 5), Judgement::kValid) << stamp.name;
  }
}

TEST(StampTableTest, AStampDoesNotConcernOthers) {
  StampTable table;
  table.Add(Of(Group::kTag, "t", 5));
  table.Add(Of(Group::kPattern, "kez*", 6));
  table.Add(Of(Group::kPattern, "keyboard*", 6));
  table.Add(Of(Group::kPattern, "*?z", 7));
  EXPECT_EQ(JudgeOf(table, "key", {"s", "tt"}, 1), Judgement::kValid);
  EXPECT_EQ(JudgeOf(table, "t", {}, 1), Judgement::kValid) << "a tag is no key";
}

TEST(StampTableTest, HardIsWorseThanSoftWhicheverIsLater) {
  StampTable table;
  table.Add(Of(Group::kTag, "t", 5));
  table.Add(Of(Group::kTag, "t", 7, true));
  EXPECT_EQ(JudgeOf(table, "k", {"t"}, 4), Judgement::kDead);
  EXPECT_EQ(JudgeOf(table, "k", {"t"}, 5), Judgement::kStale);
  EXPECT_EQ(JudgeOf(table, "k", {"t"}, 7), Judgement::kValid);
}

TEST(StampTableTest, AddSaysWhetherItIsNews) {
  StampTable table;
  EXPECT_TRUE(table.Add(Of(Group::kTag, "t", 5)));
  EXPECT_FALSE(table.Add(Of(Group::kTag, "t", 5)));
  EXPECT_FALSE(table.Add(Of(Group::kTag, "t", 4)));
  EXPECT_TRUE(table.Add(Of(Group::kTag, "t", 4, true)));
  EXPECT_TRUE(table.Add(Of(Group::kTag, "t", 6)));
  EXPECT_EQ(table.tags(), 2u);
  EXPECT_EQ(table.Later(0), (std::vector<Stamp>{Of(Group::kTag, "t", 4, true), Of(Group::kTag, "t", 6)}));
}

TEST(StampTableTest, HardPatternsAreForgottenAlone) {
  StampTable table;
  const std::vector<Stamp> kept = {Of(Group::kAll, "", 1, true), Of(Group::kTag, "t", 2),
                                   Of(Group::kPattern, "a*", 3, true), Of(Group::kPattern, "*a", 4, true),
                                   Of(Group::kPattern, "*b", 6)};
  for (const Stamp& stamp : kept) table.Add(stamp);
  table.Add(Of(Group::kPattern, "a*", 2));
  table.Add(Of(Group::kPattern, "*a", 5));
  table.ForgetHardPatterns(5);
  EXPECT_EQ(table.Later(0), kept);
  EXPECT_EQ(table.patterns(), 3u);
}

TEST(StampTableTest, MovesAndClears) {
  StampTable table;
  table.Add(Of(Group::kTag, "t", 5));
  StampTable moved = std::move(table);
  EXPECT_EQ(moved.tags(), 1u);
  moved.Clear();
  EXPECT_EQ(moved.tags(), 0u);
  EXPECT_EQ(JudgeOf(moved, "k", {"t"}, 1), Judgement::kValid);
}

// The same by looking at every stamp.
class NaiveTable {
 public:
  bool Add(const Stamp& stamp) {
    uint64_t& epoch = epochs_[{stamp.group, stamp.soft, stamp.name}];
    if (stamp.epoch <= epoch) return false;
    epoch = stamp.epoch;
    return true;
  }
  Judgement Judge(std::string_view key, TagList tags, uint64_t epoch) const {
    Judgement worst = Judgement::kValid;
    for (const Stamp& stamp : Concerning(key, tags)) {
      if (stamp.epoch > epoch) worst = std::max(worst, stamp.soft ? Judgement::kStale : Judgement::kDead);
    }
    return worst;
  }
  void Forget(uint64_t epoch, bool hard_patterns_alone) {
    std::erase_if(epochs_, [&](const auto& held) {
      const auto& [group, soft, name] = held.first;
      return held.second <= epoch && !(hard_patterns_alone && (soft || group != Group::kPattern));
    });
  }
  std::vector<Stamp> Later(uint64_t epoch) const {
    std::vector<Stamp> later;
    for (const auto& [of, at] : epochs_) {
      if (at > epoch) later.push_back(Of(std::get<0>(of), std::get<2>(of), at, std::get<1>(of)));
    }
    std::stable_sort(later.begin(), later.end(), [](const Stamp& a, const Stamp& b) { return a.epoch < b.epoch; });
    return later;
  }
  std::vector<Stamp> Concerning(std::string_view key, TagList tags) const {
    std::vector<Stamp> concerning;
    for (const Stamp& stamp : Later(0)) {
      bool concerns = stamp.group == Group::kAll;
      if (stamp.group == Group::kTag) {
        for (std::string_view tag : tags) concerns |= tag == stamp.name;
      }
      if (stamp.group == Group::kPattern) concerns = MatchesPattern(stamp.name, key);
      if (concerns) concerning.push_back(stamp);
    }
    std::stable_sort(concerning.begin(), concerning.end(),
                     [](const Stamp& a, const Stamp& b) { return a.epoch > b.epoch; });
    return concerning;
  }
  uint64_t LatestHardPattern(std::string_view key, uint64_t epoch) const {
    for (const Stamp& stamp : Concerning(key, TagList(""))) {
      if (stamp.group == Group::kPattern && !stamp.soft && stamp.epoch > epoch) return stamp.epoch;
    }
    return 0;
  }
  size_t Count(Group group) const {
    return static_cast<size_t>(std::count_if(epochs_.begin(), epochs_.end(),
                                             [&](const auto& held) { return std::get<0>(held.first) == group; }));
  }
  uint64_t LatestHard() const {
    uint64_t latest = 0;
    for (const auto& [of, at] : epochs_) latest = std::max(latest, std::get<1>(of) ? 0 : at);
    return latest;
  }

 private:
  std::map<std::tuple<Group, bool, std::string>, uint64_t> epochs_;
};

class Walk {
 public:
  explicit Walk(uint64_t seed) : random_(seed) {}

  void Step() {
    const size_t what = Below(100);
    if (what < 60) {
      const Stamp stamp = AnyStamp();
      ASSERT_EQ(table_.Add(stamp), naive_.Add(stamp));
    } else if (what < 62) {
      const uint64_t epoch = Below(epoch_ + 1);
      const bool hard_patterns_alone = Below(2) == 0;
      hard_patterns_alone ? table_.ForgetHardPatterns(epoch) : table_.Forget(epoch);
      naive_.Forget(epoch, hard_patterns_alone);
    }
    Compare();
  }

 private:
  size_t Below(uint64_t bound) { return static_cast<size_t>(random_() % bound); }
  std::string Word(std::string_view alphabet, size_t most) {
    std::string word(Below(most + 1), '\0');
    for (char& byte : word) byte = alphabet[Below(alphabet.size())];
    return word;
  }

  // Mostly later than any before, as stores hand them out, but answers may overtake each other.
  Stamp AnyStamp() {
    const uint64_t epoch = Below(4) == 0 ? 1 + Below(epoch_ + 1) : ++epoch_;
    const bool soft = Below(2) == 0;
    const size_t group = Below(10);
    if (group == 0) return Of(Group::kAll, "", epoch, soft);
    if (group < 4) return Of(Group::kTag, "t" + Word("ab", 2), epoch, soft);
    return Of(Group::kPattern, group < 7 ? Word("ab", 4) + "*" : Word("ab*?", 5), epoch, soft);
  }

  void Compare() {
    const std::string key = Word("ab", 5);
    const std::string first = "t" + Word("ab", 2), second = "t" + Word("ab", 2);
    const std::string encoded = Below(3) == 0 ? "" : Tags({first, second});
    const TagList tags(encoded);
    const uint64_t epoch = Below(epoch_ + 2);
    ASSERT_EQ(table_.Judge(key, tags, epoch), naive_.Judge(key, tags, epoch)) << key << " at " << epoch;
    ASSERT_EQ(table_.LatestHardPattern(key, epoch), naive_.LatestHardPattern(key, epoch)) << key;
    if (Below(8) != 0) return;
    ASSERT_EQ(table_.Later(epoch), naive_.Later(epoch));
    ASSERT_EQ(Ordered(table_.Concerning(key, tags)), Ordered(naive_.Concerning(key, tags)));
    ASSERT_EQ(table_.tags(), naive_.Count(Group::kTag));
    ASSERT_EQ(table_.patterns(), naive_.Count(Group::kPattern));
    ASSERT_EQ(table_.latest_hard(), naive_.LatestHard());
    const std::vector<Stamp> all = naive_.Later(0);
    ASSERT_EQ(table_.MiddleEpoch(), all.empty() ? 0 : all[all.size() / 2].epoch);
  }

  // The order by epoch is promised; among equals there is none.
  static std::vector<Stamp> Ordered(std::vector<Stamp> stamps) {
    EXPECT_TRUE(
        std::is_sorted(stamps.begin(), stamps.end(), [](const Stamp& a, const Stamp& b) { return a.epoch > b.epoch; }));
    std::sort(stamps.begin(), stamps.end(), [](const Stamp& a, const Stamp& b) {
      return std::tie(b.epoch, a.group, a.soft, a.name) < std::tie(a.epoch, b.group, b.soft, b.name);
    });
    return stamps;
  }

  std::mt19937_64 random_;
  StampTable table_;
  NaiveTable naive_;
  uint64_t epoch_ = 0;
};

TEST(StampTableTest, AgreesWithLookingAtEveryStamp) {
  const uint64_t seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  for (uint64_t walk = 0; walk < 20; ++walk) {
    Walk steps(seed + walk);
    for (int i = 0; i < 800; ++i) {
      steps.Step();
      if (testing::Test::HasFatalFailure()) FAIL() << "seed " << seed + walk << ", step " << i;
    }
  }
}

}  // namespace
}  // namespace larder
