#include "server/config/units.h"

#include <gtest/gtest.h>

#include <random>

#include "server/config/text.h"

namespace larder {
namespace {

TEST(DurationTest, TakesUnitsFractionsAndSums) {
  const std::vector<std::pair<std::string, int64_t>> cases = {
      {"0", 0},
      {"0s", 0},
      {"1ms", 1},
      {"250ms", 250},
      {"5s", 5'000},
      {"1.5s", 1'500},
      {"0.001s", 1},
      {"5m", 300'000},
      {"1h", 3'600'000},
      {"1h30m", 5'400'000},
      {"7d", 604'800'000},
      {"1m1s1ms", 61'001},
      {"0.5d", 43'200'000},
      {"007s", 7'000},
      {"1.000000s", 1'000},
  };
  for (const auto& [text, expected] : cases) {
    const absl::StatusOr<int64_t> parsed = ParseDuration(text);
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(*parsed, expected) << text;
  }
}

TEST(DurationTest, RefusesTheRest) {
  EXPECT_EQ(std::string(ParseDuration("5").status().message()), "\"5\" has no unit; write for example 5s");
  EXPECT_EQ(std::string(ParseDuration("1.5").status().message()), "\"1.5\" has no unit; write for example 1.5s");
  EXPECT_EQ(std::string(ParseDuration("5 s").status().message()),
            "\"5 s\" is not a duration; write for example 250ms, 5s, 5m, 1h or 7d");
  for (const std::string text :
       {"", "s", "-5s", "+5s", "5S", "5sec", "5us", "5s5", "1.s", ".5s", "1e3s", "0.5ms", " 5s", "5s ",
        "9223372036854775808ms", "9223372036854775807s", "106751991168d1000000d", "1.0000001s", "5s\n"}) {
    EXPECT_EQ(ParseDuration(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(DurationTest, TakesSecondsWhereAskedTo) {
  EXPECT_EQ(ParseDurationOrSeconds("300").value(), 300'000);
  EXPECT_EQ(ParseDurationOrSeconds("0.5").value(), 500);
  EXPECT_EQ(ParseDurationOrSeconds("5m").value(), 300'000);
  EXPECT_FALSE(ParseDurationOrSeconds("-1").ok());
  EXPECT_FALSE(ParseDurationOrSeconds("").ok());
}

TEST(BytesTest, TakesUnits) {
  EXPECT_EQ(ParseBytes("0").value(), 0);
  EXPECT_EQ(ParseBytes("65536").value(), 65'536);
  EXPECT_EQ(ParseBytes("64KiB").value(), 65'536);
  EXPECT_EQ(ParseBytes("1.5MiB").value(), 1'572'864);
  EXPECT_EQ(ParseBytes("2GiB").value(), 2'147'483'648);
  EXPECT_EQ(std::string(ParseBytes("64KB").status().message()),
            "\"64KB\" is not a size; write bytes, or for example 64KiB, 256MiB or 1GiB");
  for (const std::string text : {"", "KiB", "-1", "64 KiB", "64kib", "64Mi", "1.5", "1KiB1", "9999999999GiB", "0x10"}) {
    EXPECT_EQ(ParseBytes(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(FormatTest, TakesTheLargestUnitThatFits) {
  EXPECT_EQ(FormatDuration(0), "0s");
  EXPECT_EQ(FormatDuration(1'500), "1500ms");
  EXPECT_EQ(FormatDuration(300'000), "5m");
  EXPECT_EQ(FormatDuration(604'800'000), "7d");
  EXPECT_EQ(FormatBytes(0), "0");
  EXPECT_EQ(FormatBytes(1'000), "1000");
  EXPECT_EQ(FormatBytes(65'536), "64KiB");
  EXPECT_EQ(FormatBytes(int64_t{3} << 30), "3GiB");
}

TEST(FormatTest, PrintsWhatTheParsersRead) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 10'000; ++i) {
    const auto number = static_cast<int64_t>(random() >> (1 + random() % 63));
    ASSERT_EQ(ParseDuration(FormatDuration(number)).value(), number);
    ASSERT_EQ(ParseBytes(FormatBytes(number)).value(), number);
  }
}

TEST(TextTest, QuotesInOneShortLine) {
  EXPECT_EQ(Quote("a \"b\"\n\x01"), "\"a \\\"b\\\"\\n\\x01\"");
  EXPECT_EQ(Quote(std::string(1'000, 'x')), "\"" + std::string(80, 'x') + "…\"");
}

TEST(TextTest, FindsTheNearWord) {
  const std::vector<std::string> words = {"default_ttl", "max_ttl", "enabled"};
  EXPECT_EQ(DidYouMean("defualt_ttl", words), "; did you mean \"default_ttl\"?");
  EXPECT_EQ(DidYouMean("maxttl", words), "; did you mean \"max_ttl\"?");
  EXPECT_EQ(DidYouMean("colour", words), "");
  EXPECT_EQ(DidYouMean("", words), "");
  EXPECT_EQ(DidYouMean(std::string(100'000, 'x'), words), "");
}

TEST(TextTest, MasksThePasswordOfAUrl) {
  EXPECT_EQ(MaskPassword("redis://user:secret@host:6379/1"), "redis://user:***@host:6379/1");
  EXPECT_EQ(MaskPassword("redis://:sec:r@t/@host"), "redis://:***@host");
  EXPECT_EQ(MaskPassword("redis://user@host:6379"), "redis://user@host:6379");
  EXPECT_EQ(MaskPassword("redis://host:6379"), "redis://host:6379");
  EXPECT_EQ(MaskPassword("unix:///run/redis.sock"), "unix:///run/redis.sock");
  EXPECT_EQ(MaskPassword("no url"), "no url");
}

}  // namespace
}  // namespace larder
