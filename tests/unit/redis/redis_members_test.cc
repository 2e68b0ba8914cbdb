// Who is registered in Redis, and who acknowledges.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/support/redis_store_fixture.h"

namespace larder {
namespace {

using testing::HasSubstr;

constexpr char kMembers[] = "larder:members";
constexpr int64_t kSecond = kNanosPerSecond;

// Knows what it is told, and takes it in where it is to.
class Holder final : public NearHolder {
 public:
  ClockPosition Known(std::string_view name_space) const override {
    MutexLock lock(&mutex_);
    const auto found = known_.find(name_space);
    return found == known_.end() ? ClockPosition{} : found->second;
  }
  void OnBegin() override {
    MutexLock lock(&mutex_);
    ++begun_;
  }
  void OnChanged(std::string_view, std::string_view key) override {
    MutexLock lock(&mutex_);
    ++changed_[std::string(key)];
  }
  bool OnCurrent(std::string_view name_space, const ControlUpdate& update, int64_t sent_nanos) override {
    MutexLock lock(&mutex_);
    if (!takes_in_) return false;
    known_[std::string(name_space)].epoch = update.epoch;
    ++renewals_;
    sent_nanos_ = sent_nanos;
    return true;
  }
  void OnControl(std::string_view name_space, const ControlUpdate& update) override {
    MutexLock lock(&mutex_);
    known_[std::string(name_space)] = {update.generation, update.epoch};
  }
  void OnLost() override {}

  void TakeIn(bool takes_in) {
    MutexLock lock(&mutex_);
    takes_in_ = takes_in;
  }
  int Changed(const std::string& key) {
    MutexLock lock(&mutex_);
    return changed_[key];
  }
  int renewals() const {
    MutexLock lock(&mutex_);
    return renewals_;
  }
  int begun() const {
    MutexLock lock(&mutex_);
    return begun_;
  }
  int64_t sent_nanos() const {
    MutexLock lock(&mutex_);
    return sent_nanos_;
  }

 private:
  mutable Mutex mutex_;
  bool takes_in_ ABSL_GUARDED_BY(mutex_) = true;
  std::map<std::string, ClockPosition, std::less<>> known_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> changed_ ABSL_GUARDED_BY(mutex_);
  int begun_ ABSL_GUARDED_BY(mutex_) = 0;
  int renewals_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t sent_nanos_ ABSL_GUARDED_BY(mutex_) = 0;
};

class RedisMembersTest : public RedisStoreFixture {
 protected:
  ~RedisMembersTest() override {
    other_.reset();
    store_.reset();
  }

  void StartTwo() {
    StartBoth();
    StartOther();
  }
  void StartOther() {
    other_ = MakeStore(PatientOptions());
    ASSERT_TRUE(AwaitReady(*other_));
    other_->SetSyncListener([this](uint64_t member, uint64_t round) {
      MutexLock lock(&said_mutex_);
      said_[member] = std::max(said_[member], round);
    });
  }
  // `store_` tracks, `other_` writes.
  void StartTracking() {
    StartServer();
    RedisOptions options = PatientOptions();
    options.renew_every_nanos = 20 * kNanosPerMilli;
    StartStore(options);
    store_->SetNearHolder(&holder_);
    ASSERT_TRUE(AwaitRenewal());
    StartOther();
    // So that it hears what is said to it.
    ASSERT_TRUE(Eventually([&] { return SyncedBy(0, NextSync()); }));
  }
  bool AwaitRenewal() {
    const int64_t now = clock_.NowNanos();
    return Eventually([&] { return store_->tracks() && holder_.sent_nanos() >= now; });
  }
  static absl::StatusOr<Registration> Register(RedisStore& store, MemberTerms terms) {
    CallResult<Registration> result;
    store.Register(terms, result.Callback());
    return result.Wait();
  }
  static absl::StatusOr<SyncResult> Sync(RedisStore& store, uint64_t round = 1) {
    CallResult<SyncResult> result;
    store.Sync(round, result.Callback());
    return result.Wait();
  }
  uint64_t NextSync() {
    EXPECT_TRUE(Sync(*other_, ++round_).ok());
    return round_;
  }
  // Whether a member (0: any) has acknowledged the round.
  bool SyncedBy(uint64_t member, uint64_t round) {
    MutexLock lock(&said_mutex_);
    for (const auto& [id, last] : said_) {
      if ((member == 0 || id == member) && last >= round) return true;
    }
    return false;
  }
  // The one member but the head.
  std::string TheMember() { return Redis({"EVAL", "return redis.call('ZREVRANGE', KEYS[1], 0, 0)[1]", "1", kMembers}); }
  // In place of the member: one whose fields are those, and that lasts for an hour.
  void Forge(const std::vector<std::pair<size_t, std::string>>& fields) {
    const std::string member = TheMember();
    std::vector<std::string> parts = absl::StrSplit(member, ':');
    for (const auto& [at, text] : fields) parts[at] = text;
    std::string forged = parts[0];
    for (size_t i = 1; i < parts.size(); ++i) absl::StrAppend(&forged, ":", parts[i]);
    Redis({"EVAL",
           "redis.call('ZREM', KEYS[1], ARGV[1]) "
           "return redis.call('ZADD', KEYS[1], (redis.call('TIME')[1] + 3600) * 1000, ARGV[2])",
           "1", kMembers, member, forged});
  }

  Holder holder_;
  std::unique_ptr<RedisStore> other_;
  uint64_t round_ = 0;
  Mutex said_mutex_;
  std::map<uint64_t, uint64_t> said_ ABSL_GUARDED_BY(said_mutex_);
};

// COHERENCE S1.
TEST_F(RedisMembersTest, WhoRegisteredIsSeenByAllOthers) {
  StartTwo();
  const MemberTerms terms{.acknowledges = false, .bound_nanos = 3 * kSecond, .hold_nanos = 5 * kSecond};
  EXPECT_FALSE(Register(*store_, terms)->was_member);
  EXPECT_TRUE(Register(*store_, terms)->was_member);
  absl::StatusOr<SyncResult> seen = Sync(*other_);
  ASSERT_TRUE(seen.ok()) << seen.status();
  ASSERT_EQ(seen->others.size(), 1u);
  EXPECT_FALSE(seen->others[0].terms.acknowledges);
  EXPECT_EQ(seen->others[0].terms.bound_nanos, 3 * kSecond);
  EXPECT_EQ(seen->others[0].terms.hold_nanos, 5 * kSecond);
  EXPECT_EQ(seen->longest_hold_nanos, 5 * kSecond);
  EXPECT_TRUE(Sync(*store_)->others.empty()) << "itself";
  EXPECT_EQ(Sync(*store_)->longest_hold_nanos, 5 * kSecond);
  EXPECT_FALSE(Register(*other_, {.bound_nanos = kSecond, .hold_nanos = kSecond})->was_member);
  EXPECT_EQ(other_->members(), 2);
  EXPECT_EQ(DescribeNow(*other_)->members, 2);
  EXPECT_EQ(Sync(*store_)->others.size(), 1u);
}

TEST_F(RedisMembersTest, ARecordSaysHowOldItIs) {
  StartTwo();
  EXPECT_EQ(Sync(*other_)->record_age_nanos, 0) << "there is none";
  EXPECT_GE(Sync(*other_)->longest_hold_nanos, kNanosPerSecond) << "whoever was in it may rely on it for as long as we";
  ASSERT_TRUE(Register(*store_, {.hold_nanos = kSecond}).ok());
  EXPECT_TRUE(Eventually([&] { return Sync(*other_)->record_age_nanos >= 50 * kNanosPerMilli; }));
  Redis({"DEL", kMembers});
  ASSERT_TRUE(Register(*other_, {.hold_nanos = kSecond}).ok());
  EXPECT_LT(Sync(*other_)->record_age_nanos, 10 * kSecond);
  // A clock that went back makes no record old, nor one that is never old.
  Redis({"EVAL",
         "local head = redis.call('ZRANGE', KEYS[1], 0, 0)[1] "
         "return redis.call('ZADD', KEYS[1], -(redis.call('TIME')[1] + 3600) * 1000, head)",
         "1", kMembers});
  EXPECT_EQ(Sync(*other_)->record_age_nanos, 0);
  ASSERT_TRUE(Register(*other_, {.hold_nanos = kSecond}).ok());
  EXPECT_TRUE(Eventually([&] { return Sync(*other_)->record_age_nanos > 0; }));
}

// COHERENCE S1: each way of not being there any more.
TEST_F(RedisMembersTest, WhoIsMissingIsToldSo) {
  StartTwo();
  const MemberTerms terms{.bound_nanos = kSecond, .hold_nanos = kSecond};
  ASSERT_TRUE(Register(*store_, terms).ok());
  Redis({"DEL", kMembers});
  EXPECT_FALSE(Register(*store_, terms)->was_member) << "the record was lost";
  EXPECT_TRUE(Register(*store_, terms)->was_member);
  Redis({"ZADD", kMembers, "XX", "1", TheMember()});
  EXPECT_TRUE(Sync(*other_)->others.empty());
  EXPECT_FALSE(Register(*store_, terms)->was_member) << "its time was over";
  EXPECT_TRUE(Register(*store_, terms)->was_member);
  // A registration landed after the member had been missing, and its answer was lost.
  Forge({{4, "9"}, {5, "9"}});
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(Register(*store_, terms)->counts);
  EXPECT_EQ(TheMember().substr(16), ":a:1000:1000:9:9") << "what was sent before that counts for nothing";
  EXPECT_FALSE(Register(*store_, terms)->was_member);
  EXPECT_TRUE(Register(*store_, terms)->was_member);
}

TEST_F(RedisMembersTest, ALaterRegistrationIsNotUndoneByAnEarlierOne) {
  StartBoth();
  ASSERT_TRUE(Register(*store_, {.bound_nanos = kSecond, .hold_nanos = kSecond})->counts);
  Forge({{2, "7000"}, {4, "1000"}});
  EXPECT_FALSE(Register(*store_, {.bound_nanos = kSecond, .hold_nanos = kSecond})->counts);
  EXPECT_THAT(TheMember(), HasSubstr(":a:7000:1000:1000:"));
}

// COHERENCE C3: what another server said says nothing of this one.
TEST_F(RedisMembersTest, TheRecordOfAnotherServerIsWorthNothing) {
  StartTwo();
  const MemberTerms terms{.bound_nanos = kSecond, .hold_nanos = kSecond};
  ASSERT_TRUE(Register(*store_, terms).ok());
  const std::string member = TheMember();
  Redis({"DEL", kMembers});
  Redis({"ZADD", kMembers, "-1000", "head:1:another", "99999999999999", member});
  const absl::StatusOr<SyncResult> seen = Sync(*other_);
  EXPECT_TRUE(seen->others.empty());
  EXPECT_EQ(seen->record_age_nanos, 0);
  EXPECT_FALSE(Register(*store_, terms)->was_member);
  EXPECT_EQ(Sync(*other_)->others.size(), 1u);
  Redis({"SET", kMembers, "what is not ours"});
  EXPECT_TRUE(Sync(*other_)->others.empty());
  EXPECT_FALSE(Register(*store_, terms)->was_member);
}

TEST_F(RedisMembersTest, WhatALaterReleaseWroteIsLeftAlone) {
  StartBoth();
  Redis({"ZADD", kMembers, "-1000", "head:2:whatever"});
  EXPECT_FALSE(Register(*store_, {.hold_nanos = kSecond}).ok());
  EXPECT_FALSE(Sync(*store_).ok());
  EXPECT_EQ(TheMember(), "head:2:whatever");
  Redis({"DEL", kMembers});
  ASSERT_TRUE(Register(*store_, {.hold_nanos = kSecond}).ok());
  Redis({"ZADD", kMembers, "99999999999999", "of another kind"});
  EXPECT_FALSE(Sync(*store_).ok()) << "whom it cannot wait for it must not pass over";
}

TEST_F(RedisMembersTest, RegistersWhereMemoryIsOut) {
  StartBoth();
  ASSERT_EQ(Redis({"CONFIG", "SET", "maxmemory", "1"}), "OK");
  const absl::StatusOr<Registration> registration = Register(*store_, {.hold_nanos = kSecond});
  EXPECT_TRUE(registration.ok()) << registration.status();
}

// COHERENCE S1: registered by the renewal itself, and begun with nothing.
TEST_F(RedisMembersTest, WhoTracksIsAMemberThatAcknowledges) {
  StartTracking();
  const absl::StatusOr<SyncResult> seen = Sync(*other_, ++round_);
  ASSERT_EQ(seen->others.size(), 1u);
  EXPECT_TRUE(seen->others[0].terms.acknowledges);
  EXPECT_EQ(seen->others[0].terms.bound_nanos, kSecond);
  EXPECT_EQ(holder_.begun(), 1);
  EXPECT_TRUE(Eventually([&] { return SyncedBy(seen->others[0].id, round_); }));
}

// COHERENCE S2: sent after applying.
TEST_F(RedisMembersTest, AnAcknowledgementComesAfterTheNewsOfWhatWasWritten) {
  StartTracking();
  for (int i = 0; i < 300; ++i) {
    const std::string key = absl::StrCat("key", i);
    ASSERT_TRUE(Set(*other_, key, "v").ok());
    uint64_t epoch = 0;
    if (i % 2 == 0) epoch = InvalidateAllNow(*other_, "default", {})->epoch;
    const uint64_t round = NextSync();
    ASSERT_TRUE(Eventually([&] { return SyncedBy(0, round); }));
    ASSERT_EQ(holder_.Changed(key), 1) << key;
    ASSERT_GE(holder_.Known("default").epoch, epoch);
  }
}

TEST_F(RedisMembersTest, WhatCouldNotBeTakenInIsNotAcknowledged) {
  StartTracking();
  holder_.TakeIn(false);
  ASSERT_TRUE(Eventually([&, role = Calls("role")] { return Calls("role") > role + 1; }));
  const uint64_t round = NextSync();
  ASSERT_TRUE(Eventually([&, role = Calls("role")] { return Calls("role") > role + 5; }));
  EXPECT_FALSE(SyncedBy(0, round));
  holder_.TakeIn(true);
  EXPECT_TRUE(Eventually([&] { return SyncedBy(0, round); }));
}

// COHERENCE S1.
TEST_F(RedisMembersTest, WhoTracksAndIsMissingForgetsWhatItRead) {
  StartTracking();
  const int emptied = holder_.Changed("");
  ASSERT_TRUE(AwaitRenewal());
  EXPECT_EQ(holder_.Changed(""), emptied);
  Redis({"DEL", kMembers});
  EXPECT_TRUE(Eventually([&] { return holder_.Changed("") == emptied + 1; }));
  EXPECT_TRUE(AwaitRenewal());
  EXPECT_EQ(Sync(*other_, ++round_)->others.size(), 1u);
}

// COHERENCE S1: no lease without a registration.
TEST_F(RedisMembersTest, ARenewalThatDoesNotRegisterRenewsNothing) {
  StartTracking();
  Forge({{4, "999999"}});
  ASSERT_TRUE(Eventually([&, role = Calls("role")] { return Calls("role") > role + 1; }));
  const int renewals = holder_.renewals();
  const uint64_t round = NextSync();
  ASSERT_TRUE(Eventually([&, role = Calls("role")] { return Calls("role") > role + 5; }));
  EXPECT_EQ(holder_.renewals(), renewals);
  EXPECT_FALSE(SyncedBy(0, round));
  Redis({"DEL", kMembers});
  EXPECT_TRUE(AwaitRenewal());
}

TEST_F(RedisMembersTest, WhatNobodyOfOursSaidIsNotListenedTo) {
  StartTracking();
  for (const char* nonsense :
       {"", "x", " ", "12", "zz 1", "12 -1", "12 1 1", "00000000000000ff 99999999999999999999"}) {
    Redis({"PUBLISH", "larder:sync", nonsense});
  }
  const uint64_t round = NextSync();
  EXPECT_TRUE(Eventually([&] { return SyncedBy(0, round); }));
  EXPECT_EQ(WarningCount(), 0u);
}

// The rights that docs/envelope.md names suffice.
TEST_F(RedisMembersTest, NeedsNoMoreRightsThanTheDocumentationSays) {
  StartServer();
  ASSERT_EQ(Redis({"ACL",       "SETUSER",      "larder",     "reset",          "on",       ">pw",
                   "~larder:*", "&larder:*",    "+hello",     "+auth",          "+select",  "+ping",
                   "+info",     "+dbsize",      "+scan",      "+subscribe",     "+publish", "+time",
                   "+evalsha",  "+script|load", "+get",       "+set",           "+pttl",    "+pexpire",
                   "+getrange", "+getbit",      "+setrange",  "+strlen",        "+unlink",  "+zadd",
                   "+zrem",     "+zscore",      "+zrevrange", "+zrangebyscore", "+role",    "+client|tracking"}),
            "OK");
  RedisOptions options = PatientOptions();
  options.user = "larder";
  options.password = "pw";
  options.renew_every_nanos = 20 * kNanosPerMilli;
  StartStore(options);
  EXPECT_TRUE(Register(*store_, {.bound_nanos = kSecond, .hold_nanos = kSecond}).ok());
  store_->SetNearHolder(&holder_);
  ASSERT_TRUE(AwaitRenewal());
  StartOther();
  EXPECT_TRUE(Eventually([&] { return SyncedBy(0, NextSync()); }));
  const absl::StatusOr<SyncResult> seen = Sync(*store_);
  EXPECT_TRUE(seen.ok()) << seen.status();
  EXPECT_EQ(WarningCount(), 0u);
}

}  // namespace
}  // namespace larder
