#include "core/lines/duration.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"

namespace larder {
namespace {

TEST(DurationTest, ReadsEachUnitAndTheirSums) {
  EXPECT_EQ(ParseDurationMillis("250ms").value(), 250);
  EXPECT_EQ(ParseDurationMillis("30s").value(), 30'000);
  EXPECT_EQ(ParseDurationMillis("5m").value(), 300'000);
  EXPECT_EQ(ParseDurationMillis("1h30m").value(), 5'400'000);
  EXPECT_EQ(ParseDurationMillis("7d").value(), 604'800'000);
  EXPECT_EQ(ParseDurationMillis("1m1ms").value(), 60'001);
}

TEST(DurationTest, RefusesWhatHasNoUnitOrAnotherForm) {
  for (const char* text : {"", "5", "5 m", "m", "-5m", "1.5s", "5us", "5min", "1h30", "ms5", "+5m"}) {
    const absl::StatusOr<int64_t> parsed = ParseDurationMillis(text);
    ASSERT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_EQ(parsed.status().message(),
              "\"" + std::string(text) + "\" is not a duration such as 250ms, 5m or 1h30m (units: ms, s, m, h, d)");
  }
}

TEST(DurationTest, RefusesZeroAndWhatOverflows) {
  EXPECT_EQ(ParseDurationMillis("0s").status().message(), "\"0s\" is no time at all");
  EXPECT_EQ(ParseDurationMillis("9223372036854ms").value(), 9'223'372'036'854);
  for (const std::string text : {"9223372036855ms", "106752d", "106751d23h48m", "99999999999999999999s"}) {
    EXPECT_EQ(ParseDurationMillis(text).status().message(), "\"" + text + "\" is too long a duration");
  }
}

}  // namespace
}  // namespace larder
