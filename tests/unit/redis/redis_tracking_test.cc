// What the holder of near entries is told of others' writes, and when it is told nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/support/redis_store_fixture.h"
#include "tests/unit/redis/told_holder.h"

namespace larder {
namespace {

class RedisTrackingTest : public RedisStoreFixture {
 protected:
  ~RedisTrackingTest() override { store_.reset(); }  // it tells the holder

  RedisOptions Options() const {
    RedisOptions options = PatientOptions();
    options.renew_every_nanos = 20 * kNanosPerMilli;
    return options;
  }
  void Track(const RedisOptions& options) {
    StartStore(options);
    store_->SetNearHolder(&holder_);
    ASSERT_TRUE(AwaitRenewal());
  }
  void StartTracking() {
    StartServer();
    Track(Options());
  }
  // One that was sent from now on.
  bool AwaitRenewal() {
    const int64_t now = clock_.NowNanos();
    return Eventually([&] { return store_->tracks() && holder_.sent_nanos() >= now; });
  }
  bool AwaitChanged(const std::string& what, int times = 1) {
    return Eventually([&] { return holder_.Changed(what) >= times; });
  }
  std::unique_ptr<RedisStore> Another() {
    std::unique_ptr<RedisStore> other = MakeStore(PatientOptions());
    EXPECT_TRUE(AwaitReady(*other));
    return other;
  }

  ToldHolder holder_;
};

TEST_F(RedisTrackingTest, TellsOfEveryWriteWhoeverMadeIt) {
  StartTracking();
  EXPECT_EQ(holder_.Changed("/"), 1) << "once it has begun";
  EXPECT_EQ(store_->CoherenceAdvice(), "");
  std::unique_ptr<RedisStore> other = Another();
  ASSERT_TRUE(Set(*other, "peer", "v").ok());
  EXPECT_TRUE(AwaitChanged("default/peer"));
  ASSERT_TRUE(EraseNow(*other, {"default", {"peer"}, {}, 0}).ok());
  EXPECT_TRUE(AwaitChanged("default/peer", 2));
  Redis({"SET", "larder:default:e:foreign", "v"});
  EXPECT_TRUE(AwaitChanged("default/foreign"));
  ASSERT_TRUE(Set(*store_, "own", "v").ok());
  EXPECT_TRUE(AwaitChanged("default/own"));
  const std::string key("a\0:e:{}:ctl\r\n", 13);
  ASSERT_TRUE(Set(*other, key, "v").ok());
  EXPECT_TRUE(AwaitChanged("default/" + key));
  Redis({"SET", "larder:other:e:key", "v"});
  EXPECT_TRUE(AwaitChanged("other/key"));
  Redis({"SET", "larder:unknown:e:key", "v"});
  Redis({"SET", "larderly:default:e:key", "v"});
  Redis({"FLUSHALL"});
  EXPECT_TRUE(AwaitChanged("/", 2));
  EXPECT_EQ(holder_.Changed("default/key") + holder_.Changed("unknown/key"), 0);
  EXPECT_EQ(holder_.lost(), 0);
}

// The order that everything rests on: once a question is answered, what was written before it has been told.
TEST_F(RedisTrackingTest, ARenewalComesAfterTheNewsOfWhatWasWrittenBeforeIt) {
  StartTracking();
  std::unique_ptr<RedisStore> other = Another();
  for (int i = 0; i < 200; ++i) {
    const std::string key = "key" + std::to_string(i);
    ASSERT_TRUE(Set(*other, key, "v").ok());
    const int64_t acknowledged = clock_.NowNanos();
    ASSERT_TRUE(Eventually([&] { return holder_.sent_nanos() >= acknowledged; }));
    ASSERT_EQ(holder_.Changed("default/" + key), 1) << key;
  }
}

TEST_F(RedisTrackingTest, GroupsThatOthersInvalidateAreToldAtOnce) {
  StartServer();
  RedisOptions options = Options();
  options.renew_every_nanos = 60 * kNanosPerSecond;
  StartStore(options);
  store_->SetNearHolder(&holder_);
  // The first renewal finds that nothing is known yet; a change of the record asks for the next.
  ASSERT_TRUE(Eventually([&] { return holder_.Known("default").generation != 0; }));
  std::unique_ptr<RedisStore> other = Another();
  const uint64_t epoch = holder_.Known("default").epoch;
  ASSERT_TRUE(InvalidateAllNow(*other, "default", {}).ok());
  EXPECT_TRUE(Eventually([&] { return holder_.Known("default").epoch == epoch + 1; }));
}

TEST_F(RedisTrackingTest, ALostConnectionIsToldOfAndMadeAgain) {
  StartTracking();
  for (int times = 1; times <= 20; ++times) {
    // Every connection but the one that asks; the store's own comes back too.
    Redis({"CLIENT", "KILL", "TYPE", "normal"});
    ASSERT_TRUE(Eventually([&] { return holder_.lost() == times; })) << times;
    ASSERT_TRUE(AwaitRenewal()) << times;
    EXPECT_EQ(holder_.Changed("/"), times + 1);
    Redis({"SET", "larder:default:e:key", "v"});
    ASSERT_TRUE(AwaitChanged("default/key", times)) << times;
  }
}

// COHERENCE N1: no answer, no renewal; and after a while no connection.
TEST_F(RedisTrackingTest, ASilentRedisRenewsNothingAndIsGivenUp) {
  StartTracking();
  server_->Pause();
  const int renewals = holder_.renewals();
  const int64_t paused = clock_.NowNanos();
  ASSERT_TRUE(Eventually([&] { return holder_.lost() == 1; }));
  EXPECT_LE(holder_.renewals(), renewals + 4) << "those that were on their way: two namespaces, one question";
  EXPECT_LE(holder_.sent_nanos(), paused + 20 * kNanosPerMilli);
  EXPECT_FALSE(store_->tracks());
  server_->Resume();
  EXPECT_TRUE(AwaitRenewal());
}

// COHERENCE N1: what a demoted master answers may be older than what was acknowledged.
TEST_F(RedisTrackingTest, AServerThatIsNoMasterAnyMoreRenewsNothing) {
  StartTracking();
  Redis({"REPLICAOF", "127.0.0.1", "1"});
  ASSERT_TRUE(Eventually([&] { return holder_.lost() >= 1 && !store_->tracks(); }));
  const int renewals = holder_.renewals();
  const int emptied = holder_.Changed("/");
  const int64_t attempts = Calls("hello");
  ASSERT_TRUE(Eventually([&] { return Calls("hello") >= attempts + 5; })) << "it tries again";
  EXPECT_EQ(holder_.renewals(), renewals);
  EXPECT_EQ(holder_.Changed("/"), emptied) << "what age allows is kept";
  Redis({"REPLICAOF", "NO", "ONE"});
  EXPECT_TRUE(AwaitRenewal());
}

// COHERENCE C3.
TEST_F(RedisTrackingTest, ALostControlRecordIsMadeAgainBeforeAnythingIsRenewed) {
  StartTracking();
  const ClockPosition before = holder_.Known("default");
  Redis({"DEL", kControlKey});
  ASSERT_TRUE(Eventually([&] { return holder_.Known("default").generation != before.generation; }));
  EXPECT_TRUE(AwaitRenewal());
  EXPECT_EQ(holder_.lost(), 0);
}

// COHERENCE C3: Redis was started anew while nobody looked.
TEST_F(RedisTrackingTest, AnotherServerBeginsAnotherSession) {
  StartTracking();
  const ClockPosition before = holder_.Known("default");
  server_->Kill();
  ASSERT_TRUE(server_->Restart().ok());
  ASSERT_TRUE(Eventually([&] { return holder_.lost() == 1; }));
  ASSERT_TRUE(AwaitRenewal());
  EXPECT_NE(holder_.Known("default").generation, before.generation);
  EXPECT_EQ(holder_.Changed("/"), 2);
}

TEST_F(RedisTrackingTest, WorksInAnotherDatabase) {
  StartServer();
  RedisOptions options = Options();
  options.database = 3;
  Track(options);
  ASSERT_TRUE(Set(*store_, "key", "v").ok());
  EXPECT_TRUE(AwaitChanged("default/key"));
}

}  // namespace
}  // namespace larder
