#include "larder/entity.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "larder/cached.h"
#include "larder/invalidating.h"
#include "larder/testing/fake_cache.h"

namespace larder {
namespace {

using std::chrono::day;
using std::chrono::minutes;
using std::chrono::month;
using std::chrono::year;
using std::chrono::year_month_day;
using ::testing::ElementsAre;
using testing::FakeCache;
using ::testing::UnorderedElementsAre;

constexpr year_month_day kFirst(year(2026), month(3), day(1)), kSecond(year(2026), month(3), day(2));

TEST(EntityChanged, NamesEveryChoiceOfItsFields) {
  EXPECT_THAT(EntityChanged("client").tags, ElementsAre("entity:client"));
  EXPECT_THAT(EntityChanged("client", {{"id", 7}}).tags, ElementsAre("entity:client:", "entity:client:id=7"));
  EXPECT_THAT(
      EntityChanged("appointment", {{"staff_id", "7"}, {"date", kFirst}}).tags,
      UnorderedElementsAre("entity:appointment:", "entity:appointment:staff_id=7", "entity:appointment:date=2026-03-01",
                           "entity:appointment:date=2026-03-01,staff_id=7"));
}

TEST(EntityChanged, DropsTheWholeEntityWhereItCannotTellWhichFields) {
  EXPECT_THAT(EntityChanged("e", {{"a", 1}, {"a", 2}}).tags, ElementsAre("entity:e"));
  const std::vector<EntityField> five = {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}, {"e", 1}};
  EXPECT_EQ(EntityChanged("e", five).tags.size(), 32u);
  std::vector<EntityField> six = five;
  six.emplace_back("f", 1);
  EXPECT_THAT(EntityChanged("e", six).tags, ElementsAre("entity:e"));
}

TEST(EntityChanged, ValuesCannotImitateFields) {
  EXPECT_THAT(EntityChanged("e", {{"a", "1,b=2"}}).tags, ElementsAre("entity:e:", "entity:e:a=1%2Cb%3D2"));
}

TEST(EntityChanged, LongTagsAreHashed) {
  const std::vector<std::string> tags = EntityChanged("e", {{"a", std::string(200, 'x')}}).tags;
  ASSERT_EQ(tags.size(), 2u);
  EXPECT_EQ(tags[1].substr(0, 10), "entity:e:!");
  EXPECT_EQ(tags[1].size(), 42u);
  EXPECT_NE(EntityChanged("e", {{"a", std::string(201, 'x')}}).tags[1], tags[1]);
  EXPECT_EQ(EntityChanged("e", {{"a", std::string(117, 'x')}}).tags[1].size(), 128u) << "just within the limit";
}

TEST(EntityChanged, TwoChangesAreOneInvalidation) {
  Invalidation what = EntityChanged("appointment", {{"date", kFirst}});
  what += EntityChanged("appointment", {{"date", kSecond}});
  EXPECT_THAT(what.tags, ElementsAre("entity:appointment:", "entity:appointment:date=2026-03-01",
                                     "entity:appointment:date=2026-03-02"));
  Invalidation soft{.keys = {"a"}, .patterns = {"a*"}, .mode = InvalidationMode::kSoft};
  soft += {.keys = {"a", "b"}, .entities = {{.name = "e"}}, .all = true, .mode = InvalidationMode::kSoft};
  EXPECT_THAT(soft.keys, ElementsAre("a", "b"));
  EXPECT_EQ(soft.entities.size(), 1u);
  EXPECT_TRUE(soft.all);
  EXPECT_EQ(soft.mode, InvalidationMode::kSoft);
  soft += Invalidation{.keys = {"c"}};
  EXPECT_EQ(soft.mode, InvalidationMode::kHard) << "what was to go must go";
}

class InvalidateOnTest : public ::testing::Test {
 protected:
  // Appointments of a staff member on a day, of a day whoever it is, and how many there are.
  std::string Slots(int staff, year_month_day on) { return *slots_(staff, on); }

  FakeCache cache_;
  int calls_ = 0;
  std::function<std::string()> count_ = [this] { return std::to_string(++calls_); };
  CachedFunction<std::string, internal::KeyedByArguments, std::function<std::string(int, year_month_day)>> slots_ =
      Cached<std::string>(
          cache_,
          {.prefix = "slots",
           .ttl = minutes(5),
           .invalidate_on = {InvalidateOn("appointment").Field("staff_id", 0).Field("date", 1), InvalidateOn("staff")},
           .tags = {"mine"}},
          std::function<std::string(int, year_month_day)>([this](int, year_month_day) { return count_(); }));
};

TEST_F(InvalidateOnTest, ResultsCarryTheTagsOfTheirArguments) {
  EXPECT_THAT(slots_.Tags(7, kFirst),
              ElementsAre("mine", "entity:appointment", "entity:appointment:date=2026-03-01,staff_id=7", "entity:staff",
                          "entity:staff:"));
}

TEST_F(InvalidateOnTest, AChangeDropsWhatItsFieldsSay) {
  struct Case {
    Invalidation what;
    bool dropped;
  };
  const Case cases[] = {
      {EntityChanged("appointment", {{"staff_id", 7}, {"date", kFirst}}), true},
      {EntityChanged("appointment", {{"staff_id", "7"}, {"date", "2026-03-01"}, {"client_id", 3}}), true},
      {EntityChanged("appointment", {{"staff_id", 8}, {"date", kFirst}}), false},
      {EntityChanged("appointment", {{"staff_id", 7}, {"date", kSecond}}), false},
      {EntityChanged("appointment", {{"staff_id", 7}}), false},  // not all of the reader's fields: see entity.h
      {EntityChanged("appointment"), true},
      {EntityChanged("staff"), true},
      {EntityChanged("staff", {{"id", 9}}), true},  // the reader depends on all of them
      {EntityChanged("client", {{"staff_id", 7}, {"date", kFirst}}), false},
      {{.tags = {"mine"}}, true},
  };
  int index = 0;
  for (const Case& c : cases) {
    const std::string before = Slots(7, kFirst);
    ASSERT_TRUE(cache_.Invalidate(c.what).ok());
    EXPECT_EQ(Slots(7, kFirst) != before, c.dropped) << index;
    ++index;
  }
}

TEST_F(InvalidateOnTest, AnArgumentWithoutAValueDependsOnAllValues) {
  auto of_day = Cached<std::string>(
      cache_, {.prefix = "day", .invalidate_on = {InvalidateOn("appointment").Field("staff_id", 0).Field("date", 1)}},
      [&](std::optional<int>, year_month_day) { return count_(); });
  EXPECT_THAT(of_day.Tags(std::nullopt, kFirst),
              ElementsAre("entity:appointment", "entity:appointment:date=2026-03-01"));
  EXPECT_THAT(of_day.Tags(7, kFirst),
              ElementsAre("entity:appointment", "entity:appointment:date=2026-03-01,staff_id=7"));
}

TEST_F(InvalidateOnTest, WritersAndReadersMeet) {
  auto book = Invalidating(
      cache_, [](int, year_month_day) { return absl::OkStatus(); },
      [](int staff, year_month_day on) {
        return EntityChanged("appointment", {{"staff_id", staff}, {"date", on}});
      });
  const std::string seven = Slots(7, kFirst), eight = Slots(8, kFirst);
  ASSERT_TRUE(book(7, kFirst)->invalidation.ok());
  EXPECT_NE(Slots(7, kFirst), seven);
  EXPECT_EQ(Slots(8, kFirst), eight);
}

TEST_F(InvalidateOnTest, TheFunctionMayTakeItsArgumentsAway) {
  auto moved = Cached<std::string>(
      cache_, {.prefix = "moved", .ttl = minutes(5), .invalidate_on = {InvalidateOn("user").Field("name", 0)}},
      [](std::string name) { return std::string(std::move(name)); });
  ASSERT_EQ(*moved("ada"), "ada");
  ASSERT_TRUE(cache_.Invalidate(EntityChanged("user", {{"name", "ada"}})).ok());
  EXPECT_FALSE(cache_.Contains(moved.Key("ada")));
}

TEST_F(InvalidateOnTest, OptionsThatMakeNoTagsAreRefused) {
  const auto refusal = [&](CachedOptions options) {
    options.prefix = "p";
    auto function = Cached<std::string>(cache_, std::move(options), [](int, std::vector<int>) { return "v"; });
    EXPECT_EQ(function.Key(1, {}), "");
    EXPECT_THAT(function.Tags(1, {}), ElementsAre());
    return function(1, {}).status();
  };
  EXPECT_EQ(refusal({.invalidate_on = {InvalidateOn("No")}}),
            absl::InvalidArgumentError(R"(invalidate_on: "No": an entity must match [a-z0-9_-]{1,63})"));
  EXPECT_EQ(refusal({.invalidate_on = {InvalidateOn("e").Field("a-b", 0)}}),
            absl::InvalidArgumentError(R"(invalidate_on: "e": field "a-b" must match [a-z0-9_]{1,63})"));
  EXPECT_EQ(refusal({.invalidate_on = {InvalidateOn("e").Field("a", 0).Field("a", 0)}}),
            absl::InvalidArgumentError(R"(invalidate_on: "e": field "a" is named twice)"));
  EXPECT_EQ(refusal({.invalidate_on = {InvalidateOn("e").Field("a", 2)}}),
            absl::InvalidArgumentError(R"(invalidate_on: "e": field "a" is argument 2 of a function of 2 arguments)"));
  EXPECT_EQ(
      refusal({.invalidate_on = {InvalidateOn("e").Field("a", 1)}}),
      absl::InvalidArgumentError(R"(invalidate_on: "e": field "a" is argument 1, which is no bool, number, enum, )"
                                 "text, duration or date"));
  CachedOptions many;
  many.invalidate_on.assign(16, InvalidateOn("e"));
  many.tags = {"t"};
  EXPECT_EQ(refusal(many), absl::InvalidArgumentError("tags: 33 with those of invalidate_on, the limit is 32"));
}

}  // namespace
}  // namespace larder
