// COHERENCE N6: replicas tell each other of what they change, where Redis does not tell of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/redis/change_listener.h"
#include "tests/chaos/tcp_proxy.h"
#include "tests/support/redis_store_fixture.h"
#include "tests/unit/redis/told_holder.h"

namespace larder {
namespace {

using ::testing::HasSubstr;

class RedisPubsubTest : public RedisStoreFixture {
 protected:
  ~RedisPubsubTest() override { store_.reset(); }  // it tells the holder

  RedisOptions Options(const std::string& user = "") const {
    RedisOptions options = PatientOptions();
    options.renew_every_nanos = 20 * kNanosPerMilli;
    options.user = user;
    options.password = user.empty() ? "" : "secret";
    return options;
  }
  void AddUser(const std::string& name, const std::vector<std::string>& rights) {
    std::vector<std::string> command = {"ACL", "SETUSER", name, "on", ">secret", "~*"};
    command.insert(command.end(), rights.begin(), rights.end());
    ASSERT_EQ(Redis(command), "OK");
  }
  void Listen(const RedisOptions& options) {
    StartStore(options);
    store_->SetNearHolder(&holder_);
    ASSERT_TRUE(AwaitRenewal());
    ASSERT_TRUE(store_->tells_own_writes_alone());
    emptied_ = holder_.Changed("/");
    ASSERT_GE(emptied_, 1) << "once it has begun";
  }
  // With a user that may do all but be told by Redis.
  void StartListening() {
    StartServer();
    AddUser("larder", {"&*", "+@all", "-client|tracking"});
    Listen(Options("larder"));
  }
  // One that was sent from now on.
  bool AwaitRenewal() {
    const int64_t now = clock_.NowNanos();
    return Eventually([&] { return store_->tracks() && holder_.sent_nanos() >= now; });
  }
  bool AwaitChanged(const std::string& what, int times = 1) {
    return Eventually([&] { return holder_.Changed(what) >= times; });
  }
  std::unique_ptr<RedisStore> Another(const RedisOptions& options) {
    std::unique_ptr<RedisStore> other = MakeStore(options);
    EXPECT_TRUE(AwaitReady(*other));
    return other;
  }
  std::unique_ptr<RedisStore> Another() { return Another(PatientOptions()); }
  std::string Mark() { return Redis({"ZSCORE", kControlKey, "listeners"}); }

  ToldHolder holder_;
  int emptied_ = 0;  // how often it was told to forget everything, when it had begun
};

TEST_F(RedisPubsubTest, TellsOfWhatLarderWrites) {
  StartListening();
  EXPECT_EQ(CoherenceMode(*store_), "pubsub");
  std::unique_ptr<RedisStore> other = Another();
  absl::StatusOr<WriteResult> written = Set(*other, "peer", "v");
  ASSERT_TRUE(written.ok() && written->applied);
  EXPECT_TRUE(AwaitChanged("default/peer"));
  ASSERT_TRUE(TouchNow(*other, {"default", "peer", kMinute, 2 * kMinute, 0, {}, 0})->found);
  EXPECT_TRUE(AwaitChanged("default/peer", 2));
  ASSERT_TRUE(EraseNow(*other, {"default", {"peer"}, {77}, 0}).ok());
  EXPECT_TRUE(AwaitChanged("default/peer", 3));
  ASSERT_TRUE(EraseVersionsNow(*other, {"default", {{"peer", 77}}, 0}).ok());
  EXPECT_TRUE(AwaitChanged("default/peer", 4));
  // Evicted, which nobody told of: whoever holds it must hear that it is invalid.
  ASSERT_TRUE(EraseNow(*other, {"default", {"evicted", "too"}, {}, 0}).ok());
  EXPECT_TRUE(AwaitChanged("default/evicted"));
  EXPECT_TRUE(AwaitChanged("default/too"));
  absl::StatusOr<LeaseResult> lease = LeaseNow(*other, LeaseOn("loaded", 5));
  ASSERT_TRUE(lease.ok());
  ASSERT_TRUE(Fill(*other, "loaded", lease->fill, "v")->applied);
  EXPECT_TRUE(AwaitChanged("default/loaded"));
  ASSERT_TRUE(Set(*store_, "own", "v").ok());
  EXPECT_TRUE(AwaitChanged("default/own"));
  const std::string key("a\0:e:{}:ctl\r\n", 13);
  ASSERT_TRUE(Set(*other, key, "v").ok());
  EXPECT_TRUE(AwaitChanged("default/" + key));
  EXPECT_EQ(holder_.Changed("/"), emptied_);
  EXPECT_EQ(holder_.lost(), 0);
}

TEST_F(RedisPubsubTest, DoesNotTellOfWhatOthersWriteAndSaysSo) {
  StartListening();
  Redis({"SET", "larder:default:e:foreign", "v"});
  std::unique_ptr<RedisStore> other = Another();
  ASSERT_TRUE(Set(*other, "later", "v").ok());
  ASSERT_TRUE(AwaitChanged("default/later"));
  EXPECT_EQ(holder_.Changed("default/foreign"), 0);
  EXPECT_THAT(store_->CoherenceAdvice(), HasSubstr("NOPERM"));
  EXPECT_THAT(store_->CoherenceAdvice(), HasSubstr("what others than Larder write, and what Redis evicts, is not"));
  EXPECT_THAT(DescribeNow(*store_)->advice, testing::Contains(store_->CoherenceAdvice()));
  EXPECT_TRUE(AwaitRenewal());
  EXPECT_EQ(WarningCount(), 1);
}

// The order that everything rests on: what was written before a renewal was sent has been told before it counts.
TEST_F(RedisPubsubTest, ARenewalComesAfterTheNewsOfWhatWasWrittenBeforeIt) {
  StartListening();
  std::unique_ptr<RedisStore> other = Another();
  for (int i = 0; i < 300; ++i) {
    const std::string key = "key" + std::to_string(i);
    ASSERT_TRUE(Set(*other, key, "v").ok());
    const int64_t acknowledged = clock_.NowNanos();
    ASSERT_TRUE(Eventually([&] { return holder_.sent_nanos() >= acknowledged; }));
    ASSERT_EQ(holder_.Changed("default/" + key), 1) << key;
  }
}

// What is published is held back, the answers are not: they come by another connection, and prove nothing by
// themselves.
TEST_F(RedisPubsubTest, AnswersAloneRenewNothing) {
  using chaos::TcpProxy;
  StartServer();
  absl::StatusOr<std::unique_ptr<TcpProxy>> proxy = TcpProxy::Start(server_->port(), {"}:changed"});
  ASSERT_TRUE(proxy.ok()) << proxy.status();
  RedisOptions options = Options();
  options.tracks = false;
  options.port = (*proxy)->port();
  Listen(options);
  std::unique_ptr<RedisStore> other = Another();
  (*proxy)->Hold(TcpProxy::Which::kMarked, TcpProxy::Direction::kToClient);
  const int64_t held = clock_.NowNanos();
  ASSERT_TRUE(Set(*other, "key", "v").ok());
  ASSERT_TRUE(Eventually([&] { return holder_.lost() == 1; })) << "its word does not come";
  EXPECT_EQ(holder_.Changed("default/key"), 0);
  EXPECT_LE(holder_.sent_nanos(), held);
  (*proxy)->Heal();
  EXPECT_TRUE(AwaitRenewal());
  EXPECT_EQ(holder_.Changed("/"), emptied_ + 1);
}

TEST_F(RedisPubsubTest, WithoutItsOwnWordNothingIsRenewed) {
  StartListening();
  ASSERT_EQ(Redis({"ACL", "SETUSER", "larder", "resetchannels", "&larder:sync", "&larder:ack:*", "&larder:{*"}), "OK");
  const int renewals = holder_.renewals();
  ASSERT_TRUE(Eventually([&] { return holder_.lost() >= 1; })) << "it may not say its own word";
  EXPECT_LE(holder_.renewals(), renewals + 4) << "those that were on their way";
  EXPECT_FALSE(store_->tracks());
}

TEST_F(RedisPubsubTest, GroupsThatOthersInvalidateAreToldAtOnce) {
  StartServer();
  RedisOptions options = Options();
  options.tracks = false;
  options.renew_every_nanos = kMinute;
  StartStore(options);
  store_->SetNearHolder(&holder_);
  std::unique_ptr<RedisStore> other = Another();
  // The first renewal finds that nothing is known yet, and the reading of it asks for the next.
  ASSERT_TRUE(Eventually([&] { return holder_.renewals() >= 2; }));
  for (int i = 0; i < 10; ++i) {
    const uint64_t epoch = holder_.Known("default").epoch;
    ASSERT_TRUE(InvalidateAllNow(*other, "default", {}).ok());
    ASSERT_TRUE(Eventually([&] { return holder_.Known("default").epoch == epoch + 1; }));
  }
  const uint64_t generation = holder_.Known("default").generation;
  ASSERT_TRUE(RaiseBarrierNow(*other, "default").ok());
  EXPECT_TRUE(Eventually([&] { return holder_.Known("default").generation != generation; }));
}

TEST_F(RedisPubsubTest, WhatWasConfiguredIsNothingToAdviseOn) {
  StartServer();
  RedisOptions options = Options();
  options.tracks = false;
  Listen(options);
  EXPECT_EQ(CoherenceMode(*store_), "pubsub");
  EXPECT_EQ(store_->CoherenceAdvice(), "");
  EXPECT_TRUE(AwaitRenewal());
  EXPECT_EQ(WarningCount(), 0);
}

TEST_F(RedisPubsubTest, SpeaksTheOldProtocolToo) {
  RedisServer::Options server;
  server.extra_args = {"--rename-command", "HELLO", ""};
  StartServer(server);
  Listen(Options());
  EXPECT_THAT(store_->CoherenceAdvice(), HasSubstr("RESP3"));
  std::unique_ptr<RedisStore> other = Another();
  ASSERT_TRUE(Set(*other, "peer", "v").ok());
  EXPECT_TRUE(AwaitChanged("default/peer"));
  EXPECT_TRUE(AwaitRenewal());
  EXPECT_EQ(holder_.lost(), 0);
}

// COHERENCE N2: nobody knows what was published in between.
TEST_F(RedisPubsubTest, EitherConnectionsLossEndsTheSession) {
  StartListening();
  std::unique_ptr<RedisStore> other = Another();
  for (int times = 1; times <= 10; ++times) {
    Redis({"CLIENT", "KILL", "TYPE", times % 2 == 0 ? "pubsub" : "normal"});
    ASSERT_TRUE(Eventually([&] { return holder_.lost() == times; })) << times;
    ASSERT_TRUE(AwaitRenewal()) << times;
    ASSERT_TRUE(AwaitReady(*other) && AwaitReady(*store_));
    EXPECT_EQ(holder_.Changed("/"), emptied_ + times);
    ASSERT_TRUE(Eventually([&] { return Set(*other, "key", "v").ok(); }));
    ASSERT_TRUE(AwaitChanged("default/key", times)) << times;
  }
}

// While there was no mark nobody published: whoever held something must forget it before anything counts.
TEST_F(RedisPubsubTest, ALostMarkEmptiesBeforeTheNextRenewal) {
  StartListening();
  for (int times = 1; times <= 50; ++times) {
    ASSERT_EQ(Redis({"ZREM", kControlKey, "listeners"}), "1");
    Redis({"SET", "larder:default:e:unheard", "v"});  // as if by one that found no mark
    const int64_t unheard = clock_.NowNanos();
    ASSERT_TRUE(Eventually([&] { return holder_.sent_nanos() >= unheard; }));
    ASSERT_EQ(holder_.Changed("/"), emptied_ + times);
    ASSERT_NE(Mark(), "(nil)");
  }
  EXPECT_EQ(holder_.lost(), 0);
}

// Another has made the mark again: it is not the one that was there.
TEST_F(RedisPubsubTest, AMarkThatAnotherHasMadeIsAnotherMark) {
  StartListening();
  ASSERT_EQ(Redis({"ZADD", kControlKey, "-12345", "listeners"}), "0");
  const int64_t made = clock_.NowNanos();
  ASSERT_TRUE(Eventually([&] { return holder_.sent_nanos() >= made; }));
  EXPECT_EQ(holder_.Changed("/"), emptied_ + 1);
  EXPECT_EQ(Mark(), "-12345");
}

// COHERENCE C3.
TEST_F(RedisPubsubTest, ALostControlRecordIsMadeAgainBeforeAnythingIsRenewed) {
  StartListening();
  for (int times = 1; times <= 10; ++times) {
    const ClockPosition before = holder_.Known("default");
    Redis({"DEL", kControlKey});
    ASSERT_TRUE(Eventually([&] { return holder_.Known("default").generation != before.generation; }));
    ASSERT_TRUE(AwaitRenewal());
    ASSERT_TRUE(AwaitRenewal());
    ASSERT_EQ(holder_.Changed("/"), emptied_ + times);
  }
  EXPECT_EQ(holder_.lost(), 0);
}

TEST_F(RedisPubsubTest, AnInvalidationOfAllKeepsTheMark) {
  StartListening();
  const std::string mark = Mark();
  std::unique_ptr<RedisStore> other = Another();
  ASSERT_TRUE(InvalidateAllNow(*other, "default", {}).ok());
  EXPECT_EQ(Mark(), mark);
  EXPECT_TRUE(AwaitRenewal());
  EXPECT_EQ(holder_.Changed("/"), emptied_);
}

// It cannot tell, so it takes care that the others know that they have missed something.
TEST_F(RedisPubsubTest, WhoeverMayNotPublishTakesTheMarkAway) {
  StartListening();
  AddUser("mute", {"resetchannels", "&larder:*:wake", "+@all"});
  std::unique_ptr<RedisStore> mute = Another(Options("mute"));
  ASSERT_TRUE(Set(*mute, "key", "v").ok());
  const int64_t acknowledged = clock_.NowNanos();
  ASSERT_TRUE(Eventually([&] { return holder_.sent_nanos() >= acknowledged; }));
  EXPECT_EQ(holder_.Changed("/"), emptied_ + 1);
  EXPECT_EQ(holder_.Changed("default/key"), 0);
  ASSERT_TRUE(EraseNow(*mute, {"default", {"a", "b"}, {}, 0}).ok());
  const int64_t erased = clock_.NowNanos();
  ASSERT_TRUE(Eventually([&] { return holder_.sent_nanos() >= erased; }));
  EXPECT_EQ(holder_.Changed("/"), emptied_ + 2);
}

TEST_F(RedisPubsubTest, WhereNobodyListensNobodyPublishes) {
  StartBoth();
  const int64_t woken = Calls("publish");
  ASSERT_TRUE(Set(*store_, "key", "v").ok());
  ASSERT_TRUE(EraseNow(*store_, {"default", {"key", "other"}, {}, 0}).ok());
  EXPECT_EQ(Calls("publish"), woken);
  RedisOptions options = Options();
  options.tracks = false;
  std::unique_ptr<RedisStore> listening = Another(options);
  listening->SetNearHolder(&holder_);
  ASSERT_TRUE(Eventually([&] { return holder_.renewals() > 2; }));
  ASSERT_TRUE(Set(*store_, "key", "v").ok());
  EXPECT_TRUE(AwaitChanged("default/key"));
  listening.reset();
  ASSERT_NE(Mark(), "(nil)");
  // Nobody has asked for it for long.
  ASSERT_EQ(Redis({"ZADD", kControlKey, "-1", "listened"}), "0");
  ASSERT_TRUE(ForgetOldStampsNow(*store_, "default", kMinute).ok());
  EXPECT_EQ(Mark(), "(nil)");
  const int64_t published = Calls("publish");
  ASSERT_TRUE(Set(*store_, "key", "v").ok());
  EXPECT_EQ(Calls("publish"), published);
}

TEST_F(RedisPubsubTest, ARedisThatTellsByNowIsTracked) {
  StartServer();
  AddUser("larder", {"&*", "+@all", "-client|tracking"});
  RedisOptions options = Options("larder");
  options.look_again_nanos = 50 * kNanosPerMilli;
  Listen(options);
  ASSERT_EQ(Redis({"ACL", "SETUSER", "larder", "+client|tracking"}), "OK");
  ASSERT_TRUE(Eventually([&] { return store_->tracks() && !store_->tells_own_writes_alone(); }));
  EXPECT_TRUE(AwaitRenewal());
  EXPECT_EQ(CoherenceMode(*store_), "tracking");
  EXPECT_EQ(store_->CoherenceAdvice(), "");
  EXPECT_EQ(holder_.lost(), 1) << "another session, which begins with nothing";
  EXPECT_EQ(holder_.Changed("/"), emptied_ + 1);
  Redis({"SET", "larder:default:e:foreign", "v"});
  EXPECT_TRUE(AwaitChanged("default/foreign"));
}

TEST_F(RedisPubsubTest, WhereBothAreForbiddenThatIsSaidOnceAndNothingElseSuffers) {
  StartServer();
  AddUser("larder", {"resetchannels", "&larder:*:wake", "&larder:sync", "&larder:ack:*", "+@all", "-client|tracking"});
  RedisOptions options = Options("larder");
  options.look_again_nanos = 10 * kNanosPerMilli;
  StartStore(options);
  store_->SetNearHolder(&holder_);
  ASSERT_TRUE(Eventually([&] { return WarningCount() == 1; }));
  EXPECT_FALSE(store_->tracks());
  EXPECT_EQ(CoherenceMode(*store_), "age");
  EXPECT_THAT(store_->CoherenceAdvice(), HasSubstr("go by their age"));
  EXPECT_TRUE(Set(*store_, "key", "v").ok());
  EXPECT_EQ(Value(*store_, "key"), "v");
  const int64_t attempts = Calls("hello");
  ASSERT_TRUE(Eventually([&] { return Calls("hello") >= attempts + 4; })) << "it tries again";
  EXPECT_EQ(WarningCount(), 1);
  EXPECT_EQ(holder_.begun() + holder_.Changed("/"), 0);
  ASSERT_EQ(Redis({"ACL", "SETUSER", "larder", "&*"}), "OK");
  EXPECT_TRUE(AwaitRenewal());
  EXPECT_EQ(CoherenceMode(*store_), "pubsub");
}

// COHERENCE N1: no word, no renewal; and after a while no connection.
TEST_F(RedisPubsubTest, ASilentRedisRenewsNothingAndIsGivenUp) {
  StartListening();
  server_->Pause();
  const int64_t paused = clock_.NowNanos();
  ASSERT_TRUE(Eventually([&] { return holder_.lost() == 1; }));
  EXPECT_LE(holder_.sent_nanos(), paused + 20 * kNanosPerMilli);
  EXPECT_FALSE(store_->tracks());
  server_->Resume();
  EXPECT_TRUE(AwaitRenewal());
}

// COHERENCE N1.
TEST_F(RedisPubsubTest, AServerThatIsNoMasterAnyMoreRenewsNothing) {
  StartListening();
  Redis({"REPLICAOF", "127.0.0.1", "1"});
  ASSERT_TRUE(Eventually([&] { return holder_.lost() >= 1 && !store_->tracks(); }));
  const int renewals = holder_.renewals();
  const int64_t attempts = Calls("hello");
  ASSERT_TRUE(Eventually([&] { return Calls("hello") >= attempts + 5; })) << "it tries again";
  EXPECT_EQ(holder_.renewals(), renewals);
  Redis({"REPLICAOF", "NO", "ONE"});
  EXPECT_TRUE(AwaitRenewal());
}

// Publications reach replicas, and whatever else is behind the same address, but not without gaps.
TEST_F(RedisPubsubTest, OnlyTheVeryServerIsListenedTo) {
  StartServer();
  RedisLoop loop(&clock_);
  ASSERT_TRUE(loop.Start().ok());
  const RedisOptions options = Options();
  std::atomic<bool> ready{false};
  Mutex mutex;
  std::string lost;
  ChangeListener listener(&loop, {.on_ready = [&] { ready.store(true); },
                                  .on_message = [](std::string_view, std::string_view) {},
                                  .on_error = [](RedisReplyView) {},
                                  .on_lost =
                                      [&](const std::string& reason) {
                                        MutexLock lock(&mutex);
                                        lost = reason;
                                      }});
  loop.Post([&] { listener.Open(options, "another", {"channel"}); });
  EXPECT_TRUE(Eventually([&] {
    MutexLock lock(&mutex);
    return lost == "another server";
  }));
  EXPECT_FALSE(ready.load());
  loop.Post([&] { listener.Close(); });
  loop.Stop();
}

}  // namespace
}  // namespace larder
