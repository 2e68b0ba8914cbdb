#include "client/cli/text.h"

#include <gtest/gtest.h>

#include <string>

namespace larder {
namespace {

TEST(IsUtf8Test, AcceptsWhatIsWellFormed) {
  for (const std::string text : {"", "plain", "\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF",
                                 "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(IsUtf8(text)) << Quoted(text);
  }
  EXPECT_TRUE(IsUtf8(std::string("a\0b", 3)));
}

TEST(IsUtf8Test, RefusesWhatIsNot) {
  for (const std::string text :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xE2\x82",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "ok\xFE"}) {
    EXPECT_FALSE(IsUtf8(text)) << Quoted(text);
  }
}

TEST(QuotedTest, KeepsTextAndEscapesBytes) {
  EXPECT_EQ(Quoted("user:1"), "\"user:1\"");
  EXPECT_EQ(Quoted("gr\xC3\xBC\xC3\x9F"), "\"gr\xC3\xBC\xC3\x9F\"");
  EXPECT_EQ(Quoted("a\"b\n"), "\"a\\\"b\\n\"");
  EXPECT_EQ(Quoted("\xFF\x01"), "\"\\xff\\x01\"");
}

TEST(HumanTest, WritesNumbersForPeople) {
  EXPECT_EQ(WithCommas(0), "0");
  EXPECT_EQ(WithCommas(999), "999");
  EXPECT_EQ(WithCommas(1'000), "1,000");
  EXPECT_EQ(WithCommas(12'345'678), "12,345,678");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(5.0 * (1 << 30)), "5.0 GiB");
  EXPECT_EQ(HumanMicros(870), "870 us");
  EXPECT_EQ(HumanMicros(1'250), "1.25 ms");
  EXPECT_EQ(HumanMicros(3'400'000), "3.40 s");
}

TEST(HumanTest, WritesTheTwoLargestUnits) {
  EXPECT_EQ(HumanMillis(0), "0ms");
  EXPECT_EQ(HumanMillis(450), "450ms");
  EXPECT_EQ(HumanMillis(1'500), "1s500ms");
  EXPECT_EQ(HumanMillis(300'000), "5m");
  EXPECT_EQ(HumanMillis(299'999), "4m59s");
  EXPECT_EQ(HumanMillis(604'800'000 - 1), "6d23h");
}

}  // namespace
}  // namespace larder
