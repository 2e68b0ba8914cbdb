#include "server/redis/redis_reply.h"

#include <gtest/gtest.h>
#include <hiredis/hiredis.h>

#include <string>
#include <utility>
#include <vector>

namespace larder {
namespace {

constexpr char kCall[] = "ERR Error running script (call to f_0123456789012345678901234567890123456789): ";

RedisReplyPtr Error(const std::string& text) {
  const std::string wire = "-" + text + "\r\n";
  redisReader* reader = redisReaderCreate();
  redisReaderFeed(reader, wire.data(), wire.size());
  void* reply = nullptr;
  EXPECT_EQ(redisReaderGetReply(reader, &reply), REDIS_OK);
  redisReaderFree(reader);
  return RedisReplyPtr(static_cast<redisReply*>(reply));
}

std::string CodeOf(const std::string& text) { return std::string(RedisReplyView(Error(text)).ErrorCode()); }

TEST(RedisReplyTest, AnErrorsCodeIsItsFirstWord) {
  EXPECT_EQ(CodeOf("WRONGTYPE Operation against a key"), "WRONGTYPE");
  EXPECT_EQ(CodeOf("LOADING"), "LOADING");
  // Redis 7, of a script's command.
  EXPECT_EQ(CodeOf("OOM command not allowed. script: 0123, on @user_script:74."), "OOM");
}

TEST(RedisReplyTest, EveryRefusalHasItsMeaning) {
  struct Case {
    const char* text;
    absl::StatusCode code;
    bool needs_new_login;
    bool needs_configuration;
  };
  constexpr auto kUnavailable = absl::StatusCode::kUnavailable;
  const std::vector<Case> cases = {
      {"LOADING Redis is loading the dataset in memory", kUnavailable, true, false},
      {"READONLY You can't write against a read only replica.", kUnavailable, true, false},
      {"MASTERDOWN Link with MASTER is down", kUnavailable, true, false},
      {"CLUSTERDOWN Hash slot not served", kUnavailable, true, false},
      {"MOVED 3999 127.0.0.1:6381", kUnavailable, true, false},
      {"ASK 3999 127.0.0.1:6381", kUnavailable, false, false},
      {"CROSSSLOT Keys in request don't hash to the same slot", kUnavailable, false, false},
      {"TRYAGAIN Multiple keys request during rehashing of slot", kUnavailable, false, false},
      {"BUSY Redis is busy running a script.", kUnavailable, false, false},
      {"MISCONF Redis is configured to save RDB snapshots", kUnavailable, false, false},
      {"NOREPLICAS Not enough good replicas to write.", kUnavailable, false, false},
      {"NOAUTH Authentication required.", kUnavailable, true, true},
      {"WRONGPASS invalid username-password pair", kUnavailable, false, true},
      {"NOPERM this user has no permissions", kUnavailable, false, true},
      {"ERR The user executing the script can't run this command or subcommand", kUnavailable, false, true},
      {"ERR ACL failure in script: User app has no permissions to run the 'unlink' command", kUnavailable, false, true},
      {"OOM command not allowed when used memory > 'maxmemory'.", absl::StatusCode::kResourceExhausted, false, false},
      {"ERR unknown command", absl::StatusCode::kInternal, false, false}};
  for (const Case& one : cases) {
    const RedisReplyPtr reply = Error(one.text);
    const RedisReplyView view(reply);
    EXPECT_EQ(StatusOfReply(view).code(), one.code) << one.text;
    EXPECT_EQ(NeedsNewLogin(view.ErrorCode()), one.needs_new_login) << one.text;
    EXPECT_EQ(IsConfigurationError(view.ErrorCode()), one.needs_configuration) << one.text;
  }
}

TEST(RedisReplyTest, BeforeRedis7AScriptsErrorHoldsThatOfItsCommand) {
  const std::string call = kCall;
  const std::vector<std::pair<std::string, std::string>> codes = {
      {call + "@user_script:74: @user_script: 74: -OOM command not allowed when used memory > 'maxmemory'.", "OOM"},
      {call + "@user_script: 74: -READONLY You can't write against a read only replica.", "READONLY"},
      {call + "@user_script:74: WRONGTYPE Operation against a key holding the wrong kind of value", "WRONGTYPE"},
      {call + "@user_script:74: -BUSY", "BUSY"},
      // No code of its own.
      {call + "@user_script:9: @user_script: 9: The user executing the script can't run this command", "ERR"},
      {call + "user_script:7: attempt to index a nil value (local 'control')", "ERR"},
      {call + "@user_script:7: ", "ERR"},
      {call + "@user_script:7", "ERR"},
      {call + "@user_script:7: Some words of the script", "ERR"},
      {call, "ERR"},
      {"ERR Error running script (call", "ERR"},
      {"ERR unknown command: OOM", "ERR"}};
  for (const auto& [text, code] : codes) EXPECT_EQ(CodeOf(text), code) << text;
}

TEST(RedisReplyTest, TellsWhatAScriptFailedWithBeforeRedis7) {
  const std::string line = "@user_script:74: @user_script: 74: -";
  const absl::Status full = StatusOfReply(RedisReplyView(Error(kCall + line + "OOM command not allowed")));
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(full.message(), "Redis is out of memory");
  const absl::Status refused = StatusOfReply(RedisReplyView(Error(kCall + line + "MISCONF no")));
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(refused.message(), "Redis refuses to serve: " + (kCall + line) + "MISCONF no");
  const absl::Status other = StatusOfReply(RedisReplyView(Error(std::string(kCall) + "user_script:7: no")));
  EXPECT_EQ(other.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(other.message(), "Redis answered with an error: " + std::string(kCall) + "user_script:7: no");
}

}  // namespace
}  // namespace larder
