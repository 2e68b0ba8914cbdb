// The handshake against servers that are not at hand: its replies are written out here.
#include "server/redis/redis_handshake.h"

#include <gtest/gtest.h>
#include <hiredis/hiredis.h>

#include <string>
#include <vector>

namespace larder {
namespace {

constexpr char kHash[] = "0123456789012345678901234567890123456789";

std::string Bulk(const std::string& text) { return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n"; }

RedisReplyPtr Parse(const std::string& text) {
  redisReader* reader = redisReaderCreate();
  redisReaderFeed(reader, text.data(), text.size());
  void* reply = nullptr;
  EXPECT_EQ(redisReaderGetReply(reader, &reply), REDIS_OK);
  redisReaderFree(reader);
  return RedisReplyPtr(static_cast<redisReply*>(reply));
}

class RedisHandshakeTest : public testing::Test {
 protected:
  RedisHandshakeTest() { options_.password = "hunter2"; }

  void Start() {
    handshake_ = std::make_unique<RedisHandshake>(options_, std::vector<std::string>{"larder:{default}:ctl"},
                                                  [this](const RedisPipeline& pipeline) {
                                                    for (size_t i = 0; i < pipeline.size(); ++i) {
                                                      sent_.emplace_back(pipeline.command(i));
                                                    }
                                                  });
    handshake_->Start();
  }
  // What was sent since the last time.
  std::vector<std::string> Sent() { return std::exchange(sent_, {}); }
  void Answer(const std::string& text) { handshake_->OnReply(Parse(text)); }
  void AnswerInfo(const std::string& version, const std::string& role) {
    Answer(Bulk("# Server\r\nredis_version:" + version + "\r\nrun_id:aaa\r\n"));
    Answer(Bulk("# Replication\r\nrole:" + role + "\r\nmaster_replid:bbb\r\n"));
  }
  std::string Why() { return std::string(handshake_->status().message()); }

  RedisOptions options_;
  std::unique_ptr<RedisHandshake> handshake_;
  std::vector<std::string> sent_;
};

TEST_F(RedisHandshakeTest, LogsInAndFindsOutWhatTheServerIs) {
  options_.user = "app";
  options_.database = 3;
  Start();
  EXPECT_EQ(Sent(), std::vector<std::string>{"*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n"
                                             "$7\r\nhunter2\r\n"});
  Answer("%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n");
  EXPECT_EQ(Sent(), (std::vector<std::string>{"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n",
                                              "*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n",
                                              "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"}));
  AnswerInfo("7.0.15", "master");
  Answer("+OK\r\n");
  const std::vector<std::string> loads = Sent();
  ASSERT_EQ(loads.size(), kScriptCount);
  for (Script script : {Script::kEnsure, Script::kInvalidateGroups, Script::kRaiseBarrier}) {
    EXPECT_NE(loads[static_cast<size_t>(script)].find("#!lua flags=allow-oom\n"), std::string::npos);
  }
  for (Script script : {Script::kWrite, Script::kTouch}) {
    EXPECT_EQ(loads[static_cast<size_t>(script)].find("#!lua"), std::string::npos);
  }
  for (size_t i = 0; i < kScriptCount; ++i) Answer(Bulk(kHash));
  const std::vector<std::string> ensure = Sent();
  ASSERT_EQ(ensure.size(), 1u);
  EXPECT_NE(ensure[0].find(kHash), std::string::npos);
  EXPECT_NE(ensure[0].find("larder:{default}:ctl"), std::string::npos);
  EXPECT_FALSE(handshake_->done());
  Answer("*0\r\n");
  EXPECT_TRUE(handshake_->done());
  EXPECT_EQ(handshake_->facts().version, "7.0.15");
  EXPECT_EQ(handshake_->facts().identity, "aaa-bbb");
  EXPECT_TRUE(handshake_->facts().scripts.knows_flags);
}

TEST_F(RedisHandshakeTest, LogsInTheOldWayWhereHelloIsUnknown) {
  Start();
  Sent();
  Answer("-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `hunter2`\r\n");
  EXPECT_EQ(Sent(), std::vector<std::string>{"*2\r\n$4\r\nAUTH\r\n$7\r\nhunter2\r\n"});
  Answer("+OK\r\n");
  Sent();
  AnswerInfo("5.0.14", "master");
  for (const std::string& load : Sent()) EXPECT_EQ(load.find("allow-oom"), std::string::npos);
  EXPECT_FALSE(handshake_->facts().scripts.knows_flags);
  EXPECT_TRUE(handshake_->status().ok());
}

TEST_F(RedisHandshakeTest, NeverRepeatsThePassword) {
  Start();
  Answer("-ERR unknown command `HELLO`, with args beginning with: `hunter2`\r\n");
  Answer("-ERR unknown command `AUTH`, with args beginning with: `hunter2`\r\n");
  EXPECT_EQ(Why(), "Redis refused AUTH (ERR)");
}

TEST_F(RedisHandshakeTest, SaysWhyItIsRefused) {
  Start();
  Answer("-WRONGPASS invalid username-password pair or user is disabled.\r\n");
  EXPECT_EQ(Why(), "Redis refused the user or password (WRONGPASS)");
  options_.password.clear();
  Start();
  Answer("-NOAUTH HELLO must be called with the client already authenticated\r\n");
  EXPECT_EQ(Why(), "Redis requires a password (NOAUTH)");
  options_.database = 99;
  Start();
  Answer("+OK\r\n");
  AnswerInfo("7.0.15", "master");
  Answer("-ERR DB index is out of range\r\n");
  EXPECT_EQ(Why(), "Redis refused database 99 (ERR)");
}

TEST_F(RedisHandshakeTest, RefusesAReplicaAndAServerWithoutIdentity) {
  Start();
  Answer("+OK\r\n");
  AnswerInfo("7.0.15", "slave");
  EXPECT_EQ(Why(), "Redis is a replica (role:slave); Larder needs the master");
  Start();
  Answer("+OK\r\n");
  Answer(Bulk("redis_version:7.0.15\r\n"));
  Answer(Bulk("role:master\r\n"));
  EXPECT_EQ(Why(), "Redis tells neither its run_id nor its master_replid");
}

TEST_F(RedisHandshakeTest, ComesBackSoonToOneThatIsLoading) {
  Start();
  Answer("+OK\r\n");
  AnswerInfo("7.0.15", "master");
  Answer("-LOADING Redis is loading the dataset in memory\r\n");
  for (size_t i = 1; i < kScriptCount; ++i) Answer("-LOADING Redis is loading the dataset in memory\r\n");
  EXPECT_EQ(Why(), "Redis is loading its data (LOADING)");
  EXPECT_TRUE(handshake_->is_loading());
}

}  // namespace
}  // namespace larder
