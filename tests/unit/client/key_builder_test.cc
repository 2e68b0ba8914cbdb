#include "larder/key_builder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace larder {
namespace {

using std::chrono::day;
using std::chrono::month;
using std::chrono::year;
using std::chrono::year_month_day;

constexpr year_month_day kMayDay(year(2026), month(5), day(1));

template <typename T>
std::string KeyOf(const T& value) {
  return KeyBuilder("k").With("v", value).Build();
}

TEST(KeyBuilderTest, HasTheDocumentedForm) {
  EXPECT_EQ(KeyBuilder("availability").With("staff", 3).With("day", kMayDay).Page(2, 50).Scope("ada").Build(),
            "availability?day=2026-05-01&staff=3#2,50@ada");
  EXPECT_EQ(KeyBuilder("settings").Build(), "settings");
  EXPECT_EQ(KeyBuilder("shop:settings").Scope("").Build(), "shop:settings@");
  EXPECT_EQ(KeyBuilder("list").Page(0, 0).Build(), "list#0,0");
}

TEST(KeyBuilderTest, DoesNotDependOnTheOrderOfTheCalls) {
  const std::string key = KeyBuilder("k").Scope("u").With("b", 1).With("a", 2).With("a", 1).Page(1, 2).Build();
  EXPECT_EQ(key, "k?a=1&a=2&b=1#1,2@u");
  EXPECT_EQ(KeyBuilder("k").With("a", 1).Page(1, 2).With("a", 2).With("b", 1).Scope("u").Build(), key);
}

enum class Colour : uint8_t { kRed = 7 };

TEST(KeyBuilderTest, WritesEachTypeOfValue) {
  EXPECT_EQ(KeyOf(true), "k?v=true");
  EXPECT_EQ(KeyOf(std::numeric_limits<int64_t>::min()), "k?v=-9223372036854775808");
  EXPECT_EQ(KeyOf(std::numeric_limits<uint64_t>::max()), "k?v=18446744073709551615");
  EXPECT_EQ(KeyOf(uint8_t{65}), "k?v=65");
  EXPECT_EQ(KeyOf('A'), "k?v=A");
  EXPECT_EQ(KeyOf(Colour::kRed), "k?v=7");
  EXPECT_EQ(KeyOf("EUR"), "k?v=EUR");
  EXPECT_EQ(KeyOf(std::string_view("a\0b", 3)), "k?v=a%00b");
  EXPECT_EQ(KeyOf(std::string("Zo\xC3\xAB & co")), "k?v=Zo%C3%AB%20%26%20co");
  EXPECT_EQ(KeyOf(std::string()), "k?v=");
  EXPECT_EQ(KeyOf(kMayDay), "k?v=2026-05-01");
  EXPECT_EQ(KeyOf(std::chrono::sys_days(kMayDay)), "k?v=2026-05-01");
  EXPECT_EQ(KeyOf(year_month_day(year(-44), month(3), day(15))), "k?v=-0044-03-15");
}

TEST(KeyBuilderTest, WritesFloatingNumbersShortestAndOneWayEach) {
  EXPECT_EQ(KeyOf(0.1), "k?v=0.1");
  EXPECT_EQ(KeyOf(0.1f), "k?v=0.1");
  EXPECT_EQ(KeyOf(3.0), "k?v=3");
  EXPECT_EQ(KeyOf(1e300), "k?v=1e+300");
  EXPECT_EQ(KeyOf(-0.0), "k?v=0");
  EXPECT_EQ(KeyOf(std::numeric_limits<double>::infinity()), "k?v=inf");
  EXPECT_EQ(KeyOf(-std::numeric_limits<double>::quiet_NaN()), "k?v=nan");
  EXPECT_NE(KeyOf(0.1 + 0.2), KeyOf(0.3));
}

TEST(KeyBuilderTest, WritesDurationsInSecondsWhateverTheirUnit) {
  using std::chrono::milliseconds;
  EXPECT_EQ(KeyOf(std::chrono::seconds(90)), "k?v=90s");
  EXPECT_EQ(KeyOf(milliseconds(90000)), "k?v=90s");
  EXPECT_EQ(KeyOf(std::chrono::hours(2)), "k?v=7200s");
  EXPECT_EQ(KeyOf(milliseconds(1500)), "k?v=1.5s");
  EXPECT_EQ(KeyOf(milliseconds(-1500)), "k?v=-1.5s");
  EXPECT_EQ(KeyOf(milliseconds(-500)), "k?v=-0.5s");
  EXPECT_EQ(KeyOf(std::chrono::nanoseconds(1)), "k?v=0.000000001s");
  EXPECT_EQ(KeyOf(std::chrono::seconds(0)), "k?v=0s");
}

static_assert(!KeyParameter<std::nullptr_t>, "a text that is not there is none");

TEST(KeyBuilderTest, TellsAbsentEmptyAndListsApart) {
  EXPECT_EQ(KeyOf(std::optional<std::string>()), "k");
  EXPECT_EQ(KeyOf(std::optional<std::string>("")), "k?v=");
  EXPECT_EQ(KeyOf(std::optional(std::vector<int>{1})), "k?v=[1,]");
  EXPECT_EQ(KeyOf(std::vector<int>{3, 2}), "k?v=[3,2,]");
  EXPECT_EQ(KeyOf(std::vector<bool>{true}), "k?v=[true,]");
  EXPECT_EQ(KeyOf(std::vector<std::string>()), "k?v=[]");
  EXPECT_EQ(KeyOf(std::vector<std::string>{""}), "k?v=[,]");
  EXPECT_EQ(KeyOf(std::vector<std::string>{"", ""}), "k?v=[,,]");
  EXPECT_EQ(KeyOf(std::vector<std::string>{"a,b"}), "k?v=[a%2Cb,]");
}

TEST(KeyBuilderTest, NothingFromOutsideImitatesAUserOrAPage) {
  const std::string real = KeyBuilder("k").With("a", 1).Page(1, 2).Scope("ada").Build();
  EXPECT_NE(KeyBuilder("k").With("a", "1#1,2@ada").Build(), real);
  EXPECT_NE(KeyBuilder("k").With("a", "1").Page(1, 2).Scope("bob").Build(), real);
  EXPECT_NE(KeyBuilder("k?a=1#1,2@ada").Build(), real);
  EXPECT_EQ(KeyBuilder("k").With("a", "x&b=*?@!").Build(), "k?a=x%26b%3D%2A%3F%40%21");
}

TEST(KeyBuilderTest, HashesWhatIsTooLong) {
  const std::string at_limit = KeyBuilder("k").With("v", std::string(508, 'x')).Build();
  EXPECT_EQ(at_limit.size(), 512u);
  EXPECT_EQ(at_limit.find('!'), std::string::npos);

  // The SHA-256 of k?v=x…x@ada, with 509 times x.
  const std::string over = KeyBuilder("k").With("v", std::string(509, 'x')).Scope("ada").Build();
  EXPECT_EQ(over, "k?!5ddfa92b912233cdfdd22ff069b9b7f2fc03ac46631cfbf146720c9450c1fadd@ada");
}

TEST(KeyBuilderTest, KeepsOfPrefixAndUserWhatFits) {
  const auto key = [](size_t prefix, size_t user, size_t max_bytes) {
    return KeyBuilder(std::string(prefix, 'p'), max_bytes).Scope(std::string(user, 'u')).Build();
  };
  const auto parts = [](const std::string& hashed) {
    const size_t mark = hashed.find("?!");
    return std::pair(mark, hashed.size() - mark - 66);
  };
  EXPECT_EQ(parts(key(300, 300, 512)), std::pair(size_t{223}, size_t{223}));
  EXPECT_EQ(parts(key(600, 10, 512)), std::pair(size_t{435}, size_t{11}));
  EXPECT_EQ(parts(key(10, 600, 512)), std::pair(size_t{10}, size_t{436}));
  EXPECT_EQ(key(10, 600, 1).size(), 128u);
  EXPECT_EQ(key(10, 600, 100000).size(), 512u);
}

TEST(KeyBuilderTest, LongKeysThatDifferStayDifferent) {
  const std::string text(600, 'x');
  const std::string key = KeyBuilder("k").With("v", text).Scope("ada").Build();
  EXPECT_NE(KeyBuilder("k").With("v", text + "y").Scope("ada").Build(), key);
  EXPECT_NE(KeyBuilder("k").With("v", text).Scope("bob").Build(), key);
  EXPECT_NE(KeyBuilder("k").With("v", text).Build(), key);
  EXPECT_NE(KeyBuilder("k", 256).Scope(std::string(600, 'u') + "a").Build(),
            KeyBuilder("k", 256).Scope(std::string(600, 'u') + "b").Build());
}

// What a builder was given, compared member by member.
struct Input {
  std::string prefix;
  // Lists of one and scalars differ: `list` says which it is.
  struct Value {
    bool list = false;
    std::vector<std::string> texts;
    auto operator<=>(const Value&) const = default;
  };
  std::multimap<std::string, Value> parameters;
  std::optional<std::pair<uint64_t, uint64_t>> page;
  std::optional<std::string> user;

  auto Comparable() const {
    std::vector<std::pair<std::string, Value>> sorted(parameters.begin(), parameters.end());
    std::sort(sorted.begin(), sorted.end());
    return std::tuple(prefix, sorted, page, user);
  }
};

class InputSource {
 public:
  // Each text begins with `common`.
  explicit InputSource(uint32_t seed, std::string common = {}) : random_(seed), common_(std::move(common)) {}

  // Short, and of the characters that the form itself is made of, so that inputs often nearly collide.
  std::string Text() {
    static constexpr std::string_view kCharacters("a?&=#@,[]!%0\0", 13);
    std::string text = common_;
    for (uint32_t size = Below(3); size > 0; --size) text += kCharacters[Below(kCharacters.size())];
    return text;
  }

  Input Next() {
    Input input{Text(), {}, {}, {}};
    for (uint32_t left = Below(3); left > 0; --left) {
      Input::Value value;
      value.list = Below(2) == 0;
      for (uint32_t size = value.list ? Below(3) : 1; size > 0; --size) value.texts.push_back(Text());
      input.parameters.emplace(Text(), value);
    }
    if (Below(3) == 0) input.page = std::pair(Below(2), Below(2));
    if (Below(3) == 0) input.user = Text();
    return input;
  }

  std::string Build(const Input& input, size_t max_bytes) {
    KeyBuilder builder(input.prefix, max_bytes);
    std::vector<std::pair<std::string, Input::Value>> shuffled(input.parameters.begin(), input.parameters.end());
    std::shuffle(shuffled.begin(), shuffled.end(), random_);
    if (input.user.has_value()) builder.Scope(*input.user);
    for (const auto& [name, value] : shuffled) {
      if (value.list) {
        builder.With(name, value.texts);
      } else {
        builder.With(name, value.texts.front());
      }
    }
    if (input.page.has_value()) builder.Page(input.page->first, input.page->second);
    return builder.Build();
  }

 private:
  uint32_t Below(size_t bound) { return static_cast<uint32_t>(random_() % bound); }

  std::mt19937 random_;
  const std::string common_;
};

// With short texts keys are their own form, with long ones they are hashed.
class KeysOfInputs : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(, KeysOfInputs, ::testing::Bool(),
                         [](const auto& made) { return made.param ? "Hashed" : "InFull"; });

TEST_P(KeysOfInputs, AreOneForEqualInputsAndNeverForDifferentOnes) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  RecordProperty("seed", std::to_string(seed));
  const bool hashed = GetParam();
  InputSource source(seed, hashed ? std::string(150, 'a') : std::string());
  const size_t max_bytes = hashed ? KeyBuilder::kMinMaxBytes : KeyBuilder::kMaxBytes;
  std::map<std::string, Input> by_key;
  int repeated = 0;
  for (int i = 0; i < 30'000; ++i) {
    const Input input = source.Next();
    const std::string key = source.Build(input, max_bytes);
    ASSERT_EQ(source.Build(input, max_bytes), key);
    ASSERT_LE(key.size(), max_bytes);
    ASSERT_EQ(key.find("?!") != std::string::npos, hashed) << key;
    const auto [found, added] = by_key.emplace(key, input);
    if (added) continue;
    ++repeated;
    ASSERT_EQ(found->second.Comparable(), input.Comparable()) << key;
  }
  EXPECT_GT(repeated, 300);
}

TEST(KeyBuilderTest, WritesPrintableAsciiWithinTheLimit) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  RecordProperty("seed", std::to_string(seed));
  std::mt19937 random(seed);
  for (int i = 0; i < 2'000; ++i) {
    std::string texts[3];
    for (std::string& text : texts) {
      for (auto size = random() % 300; size > 0; --size) text += static_cast<char>(random());
    }
    const std::string key = KeyBuilder(texts[0]).With("v", texts[1]).Scope(texts[2]).Build();
    ASSERT_LE(key.size(), KeyBuilder::kMaxBytes);
    for (const char c : key) ASSERT_TRUE(c > ' ' && c < 127) << key;
  }
}

}  // namespace
}  // namespace larder
