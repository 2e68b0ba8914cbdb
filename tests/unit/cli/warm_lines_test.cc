#include "client/cli/warm_lines.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace larder {
namespace {

TEST(ParseWarmLineTest, ReadsEveryField) {
  const v1::WarmRequest entry =
      ParseWarmLine(1, R"({"key": "user:1", "value": "{}", "ttl": "5m", "content_type": "application/json"})").value();
  EXPECT_EQ(entry.namespace_(), "");
  EXPECT_EQ(entry.key(), "user:1");
  EXPECT_EQ(entry.value(), "{}");
  EXPECT_EQ(entry.ttl_ms(), 300'000);
  EXPECT_EQ(entry.content_type(), "application/json");
  EXPECT_EQ(ParseWarmLine(1, R"({"key":"k","value":"v","ttl_ms":1})").value().ttl_ms(), 1);
  EXPECT_EQ(ParseWarmLine(1, R"({"key":"k","value":"v","class":"static"})").value().ttl_class(), "static");
  EXPECT_EQ(ParseWarmLine(1, R"({"key":"k","value":""})").value().expiry_case(), v1::WarmRequest::EXPIRY_NOT_SET);
}

TEST(ParseWarmLineTest, ReadsGroupsStalenessAndAbsence) {
  const v1::WarmRequest entry =
      ParseWarmLine(1, R"({"key":"k","value":"v","tags":["a","b,[c]"],"stale_for":"1m","sliding":true})").value();
  ASSERT_EQ(entry.tags_size(), 2);
  EXPECT_EQ(entry.tags(1), "b,[c]");
  EXPECT_EQ(entry.stale_for_ms(), 60'000);
  EXPECT_TRUE(entry.sliding());
  EXPECT_FALSE(entry.absent());
  const v1::WarmRequest absent =
      ParseWarmLine(1, R"({"key":"k","absent":true,"stale_for_ms":0,"sliding":false})").value();
  EXPECT_TRUE(absent.absent());
  EXPECT_EQ(absent.value(), "");
  EXPECT_TRUE(absent.has_stale_for_ms());
  EXPECT_FALSE(absent.sliding());
  EXPECT_FALSE(ParseWarmLine(1, R"({"key":"k","value":"v","absent":false})").value().has_stale_for_ms());
}

TEST(ParseWarmLineTest, ReadsBytesThatAreNotText) {
  const v1::WarmRequest entry = ParseWarmLine(1, R"({"key_base64": "AP8=", "value_base64": "/wAB"})").value();
  EXPECT_EQ(entry.key(), std::string("\x00\xFF", 2));
  EXPECT_EQ(entry.value(), std::string("\xFF\x00\x01", 3));
  EXPECT_EQ(ParseWarmLine(1, R"({"key": "a\u0000b", "value": "\u00fc"})").value().key(), std::string("a\0b", 3));
}

TEST(ParseWarmLineTest, NamesLineAndFieldOfEveryError) {
  struct Case {
    const char* text;
    const char* message;
  };
  const Case cases[] = {
      {R"({"key": "k")", "not JSON: wrong at byte 12"},
      {"", "not JSON: wrong at byte 1"},
      {"{\"key\": \"\xFF\"}", "not JSON: wrong at byte 10"},
      {R"({"key":"k","value":"v","ttl_ms":1e999})", "not JSON that can be read"},
      {"[1]", "not a JSON object"},
      {R"({"key":"k","value":"v","tll":"5m"})", "tll: no such field"},
      {R"({"value":"v"})", "key: missing (key or key_base64)"},
      {R"({"key":"k"})", "value: missing (value or value_base64)"},
      {R"({"key":1,"value":"v"})", "key: must be a string"},
      {R"({"key":"k","key_base64":"aw==","value":"v"})", "key: not together with key_base64"},
      {R"({"key":"k","value":"v","value_base64":"dg=="})", "value: not together with value_base64"},
      {R"({"key_base64":"*","value":"v"})", "key_base64: not base64"},
      {R"({"key":"k","value_base64":false})", "value_base64: must be a string"},
      {R"({"key":"k","value":{"a":1}})", "value: must be a string"},
      {R"({"key":"k","value":"v","ttl":"5"})",
       "ttl: \"5\" is not a duration such as 250ms, 5m or 1h30m (units: ms, s, m, h, d)"},
      {R"({"key":"k","value":"v","ttl":5})", "ttl: must be a string"},
      {R"({"key":"k","value":"v","ttl_ms":0})", "ttl_ms: must be a whole number above 0"},
      {R"({"key":"k","value":"v","ttl_ms":-1})", "ttl_ms: must be a whole number above 0"},
      {R"({"key":"k","value":"v","ttl_ms":1.5})", "ttl_ms: must be a whole number above 0"},
      {R"({"key":"k","value":"v","ttl_ms":18446744073709551615})", "ttl_ms: must be a whole number above 0"},
      {R"({"key":"k","value":"v","ttl":"5m","ttl_ms":1})", "ttl: not together with ttl_ms"},
      {R"({"key":"k","value":"v","ttl":"5m","class":"user"})", "class: not together with ttl or ttl_ms"},
      {R"({"key":"k","value":"v","class":null})", "class: must be a string"},
      {R"({"key":"k","value":"v","content_type":[]})", "content_type: must be a string"},
      {R"({"key":"k","value":"v","tags":"a"})", "tags: must be an array of strings"},
      {R"({"key":"k","value":"v","tags":["a",1]})", "tags: must be an array of strings"},
      {R"({"key":"k","value":"v","stale_for":"0s"})", "stale_for: \"0s\" is no time at all"},
      {R"({"key":"k","value":"v","stale_for":"1s","stale_for_ms":1})", "stale_for: not together with stale_for_ms"},
      {R"({"key":"k","value":"v","stale_for_ms":-1})", "stale_for_ms: must be a whole number of 0 or more"},
      {R"({"key":"k","value":"v","stale_for_ms":18446744073709551615})",
       "stale_for_ms: must be a whole number of 0 or more"},
      {R"({"key":"k","value":"v","sliding":1})", "sliding: must be true or false"},
      {R"({"key":"k","value":"v","absent":true})", "absent: not with a value"},
      {R"({"key":"k","absent":false})", "value: missing (value or value_base64)"},
  };
  uint64_t line = 6;
  for (const Case& c : cases) {
    const absl::Status status = ParseWarmLine(++line, c.text).status();
    EXPECT_EQ(status, absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", c.message))) << c.text;
  }
}

TEST(ParseWarmLineTest, RefusesAnEntryThatFitsInNoMessage) {
  const std::string text = R"({"key":"k","value":"0123456789"})";
  EXPECT_TRUE(ParseWarmLine(3, text, 15).ok());
  EXPECT_EQ(ParseWarmLine(3, text, 14).status(),
            absl::InvalidArgumentError("line 3: value: the entry takes 15 bytes; at most 14 fit in a message"));
}

TEST(LineIndexTest, FindsTheLineOfEachEntry) {
  LineIndex index;
  for (const uint64_t line : {1, 2, 5, 6, 7, 9}) index.Add(line);
  const uint64_t expected[] = {1, 2, 5, 6, 7, 9};
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(index.LineOf(i), expected[i]);
  EXPECT_EQ(index.LineOf(-1), 0u);
  EXPECT_EQ(index.LineOf(6), 0u);
}

}  // namespace
}  // namespace larder
