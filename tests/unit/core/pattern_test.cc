#include "core/pattern.h"

#include <gtest/gtest.h>

#include <chrono>
#include <iostream>
#include <random>
#include <string>
#include <vector>

namespace larder {
namespace {

// By the definition: place j of the row after i bytes of the pattern says whether they match the first j of the text.
bool ReferenceMatches(std::string_view pattern, std::string_view text) {
  std::string row(text.size() + 1, 0);
  row[0] = 1;
  for (char p : pattern) {
    std::string next(text.size() + 1, 0);
    next[0] = p == '*' && row[0];
    for (size_t j = 1; j <= text.size(); ++j) {
      next[j] = p == '*' ? row[j] || next[j - 1] : row[j - 1] && (p == '?' || p == text[j - 1]);
    }
    row.swap(next);
  }
  return row.back() != 0;
}

std::string RandomString(std::mt19937_64& random, std::string_view alphabet, size_t max_size) {
  std::string result(random() % (max_size + 1), '\0');
  for (char& byte : result) byte = alphabet[random() % alphabet.size()];
  return result;
}

// A text that matches, most of the time: each wildcard is replaced.
std::string RandomMatch(std::mt19937_64& random, std::string_view pattern, std::string_view alphabet) {
  std::string text;
  for (char byte : pattern) {
    if (byte == '*') {
      text += RandomString(random, alphabet, 4);
    } else {
      text += byte == '?' ? alphabet[random() % alphabet.size()] : byte;
    }
  }
  if (!text.empty() && random() % 4 == 0) text[random() % text.size()] = alphabet[random() % alphabet.size()];
  return text;
}

TEST(PatternTest, AgreesWithTheReferenceOnRandomCases) {
  const uint64_t seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random(seed);
  using std::string_view_literals::operator""sv;
  const struct {
    std::string_view pattern, text;
  } alphabets[] = {
      {"a*?"sv, "a"sv},
      {"ab*"sv, "ab"sv},
      {"ab*?"sv, "ab"sv},
      {"aaaaaaaaaaaab*?"sv, "aaaaaaaaaaaab"sv},
      {"\0\x7f\x80\xff*?"sv, "\0\x7f\x80\xff*?"sv},
      {"\x3e\x3f\x40\xbf*"sv, "\x3e\x3f\x40\xbf"sv},  // one bit from '?'
  };
  int matched = 0;
  for (int i = 0; i < 100'000; ++i) {
    const auto& alphabet = alphabets[static_cast<size_t>(i) % std::size(alphabets)];
    const std::string pattern = RandomString(random, alphabet.pattern, i % 3 == 0 ? 40 : 10);
    const std::string text = random() % 2 == 0 ? RandomMatch(random, pattern, alphabet.text)
                                               : RandomString(random, alphabet.text, i % 3 == 0 ? 60 : 12);
    const bool expected = ReferenceMatches(pattern, text);
    ASSERT_EQ(MatchesPattern(pattern, text), expected)
        << testing::PrintToString(pattern) << " on " << testing::PrintToString(text);
    matched += expected ? 1 : 0;
  }
  EXPECT_GT(matched, 20'000);
  EXPECT_LT(matched, 80'000);
}

TEST(PatternTest, EdgesAndWhatApplicationsWrite) {
  EXPECT_TRUE(MatchesPattern("", ""));
  EXPECT_FALSE(MatchesPattern("", "a"));
  EXPECT_FALSE(MatchesPattern("?", ""));
  EXPECT_TRUE(MatchesPattern("*", ""));
  EXPECT_TRUE(MatchesPattern("***", ""));
  EXPECT_TRUE(MatchesPattern("*?", "a"));
  EXPECT_FALSE(MatchesPattern("ab*ba", "aba")) << "the ends may not share a byte";
  EXPECT_FALSE(MatchesPattern("a\\*", "a*")) << "there is no escape";
  EXPECT_TRUE(MatchesPattern("[a]", "[a]"));
  EXPECT_FALSE(MatchesPattern("[a]", "a"));

  EXPECT_TRUE(MatchesPattern("analytics:*user_id:42*", "analytics:daily:user_id:42:2024"));
  EXPECT_TRUE(MatchesPattern("analytics:*user_id:42*", "analytics:user_id:421"));
  EXPECT_FALSE(MatchesPattern("analytics:*user_id:42*", "analytics:daily:user_id:4"));
  EXPECT_TRUE(MatchesPattern("*revenue*", "report:revenue:2024"));
  EXPECT_FALSE(MatchesPattern("*revenue*", "report:revenu"));
  EXPECT_TRUE(MatchesPattern("cache:*:*session7*", "cache:eu:web:session7:x"));
  EXPECT_FALSE(MatchesPattern("cache:*:*session7*", "cache:session7"));
}

TEST(PatternTest, LiteralPrefixEndsAtTheFirstWildcard) {
  EXPECT_EQ(LiteralPrefix("abc"), "abc");
  EXPECT_EQ(LiteralPrefix("ab*c?"), "ab");
  EXPECT_EQ(LiteralPrefix("a?*"), "a");
  EXPECT_EQ(LiteralPrefix("*"), "");
  EXPECT_EQ(LiteralPrefix(""), "");
}

TEST(PatternTest, APrefixPatternHasOneStarAtItsEnd) {
  EXPECT_TRUE(IsPrefixPattern("abc*"));
  EXPECT_TRUE(IsPrefixPattern("*"));
  EXPECT_FALSE(IsPrefixPattern(""));
  EXPECT_FALSE(IsPrefixPattern("abc"));
  EXPECT_FALSE(IsPrefixPattern("abc?"));
  EXPECT_FALSE(IsPrefixPattern("a*c*"));
  EXPECT_FALSE(IsPrefixPattern("abc**"));
  EXPECT_FALSE(IsPrefixPattern("a?c*"));
}

// The longest legal pattern on the longest legal key, many times: exponential time would not end, and cubic time would
// take a minute. What it takes as shipped is for tests/bench/pattern_bench.cc to tell.
TEST(PatternTest, TheWorstLegalCasesTakeLittleTime) {
  std::string stars;
  while (stars.size() + 3 < 128) stars += "*a";
  const std::string text(512, 'a');
  const std::vector<std::string> patterns = {
      "*" + std::string(125, 'a') + "b*",
      "*?" + std::string(124, 'a') + "b*",
      stars + "*b*",
      "*" + std::string(60, '?') + std::string(60, 'a') + "b*",
  };
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) {
    for (const std::string& pattern : patterns) ASSERT_FALSE(MatchesPattern(pattern, text)) << pattern;
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(2));
}

}  // namespace
}  // namespace larder
