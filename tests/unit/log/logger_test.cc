#include "server/log/logger.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "tests/support/manual_clock.h"

namespace larder {
namespace {

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

class LoggerTest : public testing::Test {
 protected:
  // 2024-02-29T12:34:56.007Z
  ManualClock clock_{1'709'210'096'007 * kNanosPerMilli};
  std::ostringstream out_;
};

TEST_F(LoggerTest, WritesJsonLines) {
  Logger logger({}, &clock_, &out_);
  logger.Info("listening", {{"address", "127.0.0.1:50051"}, {"port", 50051}, {"ok", true}});
  logger.Warning("slow", {{"seconds", 0.25}, {"bytes", uint64_t{18'446'744'073'709'551'615u}}, {"delta", int64_t{-5}}});
  EXPECT_EQ(out_.str(),
            "{\"time\":\"2024-02-29T12:34:56.007Z\",\"level\":\"info\",\"message\":\"listening\","
            "\"address\":\"127.0.0.1:50051\",\"port\":50051,\"ok\":true}\n"
            "{\"time\":\"2024-02-29T12:34:56.007Z\",\"level\":\"warning\",\"message\":\"slow\","
            "\"seconds\":0.25,\"bytes\":18446744073709551615,\"delta\":-5}\n");
}

TEST_F(LoggerTest, WritesText) {
  Logger logger({LogLevel::kInfo, LogFormat::kText}, &clock_, &out_);
  logger.Error("cannot {} connect\n", {{"address", "redis:6379"}, {"why", "no \"route\""}, {"none", ""}, {"try", 3}});
  EXPECT_EQ(out_.str(),
            "2024-02-29T12:34:56.007Z error cannot {} connect\\n address=redis:6379 why=\"no \\\"route\\\"\" none=\"\" "
            "try=3\n");
}

TEST_F(LoggerTest, DropsWhatIsBelowItsLevel) {
  Logger logger({LogLevel::kWarning, LogFormat::kJson}, &clock_, &out_);
  logger.Debug("no");
  logger.Info("no");
  EXPECT_EQ(out_.str(), "");
  EXPECT_FALSE(logger.Enabled(LogLevel::kInfo));
  logger.Warning("yes");
  logger.Error("yes");
  EXPECT_EQ(Lines(out_.str()).size(), 2);
}

TEST_F(LoggerTest, EscapesEveryByte) {
  std::string bytes;
  for (int c = 0; c < 256; ++c) bytes.push_back(static_cast<char>(c));
  Logger json({}, &clock_, &out_);
  json.Info(bytes, {{"field", bytes}});
  Logger text({LogLevel::kInfo, LogFormat::kText}, &clock_, &out_);
  text.Info(bytes, {{"field", bytes}});
  const std::vector<std::string> lines = Lines(out_.str());
  ASSERT_EQ(lines.size(), 2);
  const nlohmann::json parsed = nlohmann::json::parse(lines[0], nullptr, false);
  ASSERT_TRUE(parsed.is_object());
  EXPECT_EQ(parsed["field"].get<std::string>().substr(0, 128), bytes.substr(0, 128));
}

TEST_F(LoggerTest, KeepsLinesWholeUnderManyThreads) {
  Logger logger({}, &clock_, &out_);
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&logger, t] {
      for (int i = 0; i < 200; ++i) logger.Info("event", {{"thread", t}, {"i", i}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<std::string> lines = Lines(out_.str());
  EXPECT_EQ(lines.size(), 8u * 200);
  for (const std::string& line : lines) ASSERT_TRUE(nlohmann::json::accept(line)) << line;
}

TEST(LogWordsTest, ParsesWhatItPrints) {
  for (const LogLevel level : {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError}) {
    EXPECT_EQ(ParseLogLevel(ToString(level)), level);
  }
  for (const LogFormat format : {LogFormat::kAuto, LogFormat::kJson, LogFormat::kText}) {
    EXPECT_EQ(ParseLogFormat(ToString(format)), format);
  }
  EXPECT_EQ(ParseLogLevel("INFO"), std::nullopt);
  EXPECT_EQ(ParseLogFormat(""), std::nullopt);
}

TEST(RateLimitedTest, LetsOneThroughInEachInterval) {
  ManualClock clock;
  RateLimited limited(&clock, 60 * kNanosPerSecond);
  EXPECT_EQ(limited.Pass(), 0);
  EXPECT_EQ(limited.Pass(), std::nullopt);
  clock.Advance(60 * kNanosPerSecond - 1);
  EXPECT_EQ(limited.Pass(), std::nullopt);
  clock.Advance(1);
  EXPECT_EQ(limited.Pass(), 2);
  clock.Advance(600 * kNanosPerSecond);
  EXPECT_EQ(limited.Pass(), 0);
}

TEST(RateLimitedTest, LetsOneOfManyThreadsThrough) {
  ManualClock clock;
  RateLimited limited(&clock, kNanosPerSecond);
  std::atomic<uint64_t> passed{0};
  std::atomic<uint64_t> suppressed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        const std::optional<uint64_t> held_back = limited.Pass();
        if (!held_back.has_value()) continue;
        ++passed;
        suppressed += *held_back;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(passed, 1);
  clock.Advance(kNanosPerSecond);
  EXPECT_EQ(suppressed + limited.Pass().value(), 799);
}

}  // namespace
}  // namespace larder
