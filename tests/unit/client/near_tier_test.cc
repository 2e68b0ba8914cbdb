#include "client/src/near_tier.h"

#include <chrono>
#include <string>

#include "client/src/near_key_text.h"
#include "client/src/wire.h"
#include "core/entry.h"
#include "gtest/gtest.h"
#include "tests/support/manual_clock.h"

namespace larder::internal {
namespace {

using std::chrono::milliseconds;

class NearTierTest : public ::testing::Test {
 protected:
  EntryRef Read(const std::string& value) {
    EntryMeta meta;
    meta.read_nanos = clock_.NowNanos();
    meta.expires_nanos = meta.read_nanos + 1000 * kNanosPerSecond;
    return Entry::Create(meta, "", value);
  }
  bool Found() { return static_cast<bool>(near_.Find(key_, hash_, clock_.NowNanos())); }

  ManualClock clock_;
  NearTier near_{{.capacity_bytes = 1 << 20, .max_age = milliseconds(500)}, &clock_};
  const std::string key_ = NearKey("shop", "k");
  const uint64_t hash_ = NearCache::Hash(key_);
};

TEST(NearKeyText, IsTheNearKeyWhateverItsLength) {
  for (const size_t size : {0, 1, 511, 512, 513, 5'000}) {
    const std::string key(size, 'k');
    for (const std::string& name_space : {std::string(), std::string("shop"), std::string(63, 'n')}) {
      EXPECT_EQ(NearKeyText(name_space, key).text(), NearKey(name_space, key)) << size;
    }
  }
}

TEST_F(NearTierTest, ServesForItsAgeFromTheSendingOfTheRead) {
  const auto ticket = near_.Begin(hash_);
  EntryRef entry = Read("v");
  clock_.Advance(100 * kNanosPerMilli);  // the answer was under way for so long
  near_.Admit(key_, hash_, std::move(entry), ticket);
  clock_.Advance(399 * kNanosPerMilli);
  EXPECT_TRUE(Found());
  clock_.Advance(kNanosPerMilli);
  EXPECT_FALSE(Found());
}

// COHERENCE P1.
TEST_F(NearTierTest, ServesNothingThatHasBecomeStale) {
  EntryMeta meta;
  meta.read_nanos = clock_.NowNanos();
  meta.stale_nanos = meta.read_nanos + 100 * kNanosPerMilli;
  meta.expires_nanos = meta.read_nanos + 1000 * kNanosPerSecond;
  near_.Admit(key_, hash_, Entry::Create(meta, "", "v"), near_.Begin(hash_));
  clock_.Advance(100 * kNanosPerMilli - 1);
  EXPECT_TRUE(Found());
  clock_.Advance(1);
  EXPECT_FALSE(Found());
}

TEST_F(NearTierTest, AReadDuringAWriteIsNotKept) {
  const auto before = near_.Begin(hash_);
  near_.Drop(key_, hash_);  // the write begins
  const auto during = near_.Begin(hash_);
  near_.Admit(key_, hash_, Read("old"), before);
  EXPECT_FALSE(Found());
  near_.Drop(key_, hash_);  // and ends
  near_.Admit(key_, hash_, Read("old"), during);
  EXPECT_FALSE(Found());
  near_.Admit(key_, hash_, Read("new"), near_.Begin(hash_));
  EXPECT_TRUE(Found());
}

TEST_F(NearTierTest, DroppingAllStopsReadsOfEveryKey) {
  near_.Admit(key_, hash_, Read("v"), near_.Begin(hash_));
  const auto ticket = near_.Begin(hash_);
  near_.DropAll();
  EXPECT_FALSE(Found());
  near_.Admit(key_, hash_, Read("old"), ticket);
  EXPECT_FALSE(Found());
}

// COHERENCE P1: such is what the origin gave to be used once.
TEST(FreshHits, OneThatIsStaleAtOnceIsNone) {
  v1::GetResponse response;
  response.set_status(v1::STATUS_HIT);
  response.set_freshness(v1::FRESHNESS_FRESH);
  response.set_ttl_ms(1);
  EXPECT_TRUE(IsFreshHit(response));
  response.set_ttl_ms(0);
  EXPECT_FALSE(IsFreshHit(response));
}

// What a Watch stream answers for.
class WatchedNearTierTest : public NearTierTest {
 protected:
  static constexpr uint64_t kReplica = 77;  // an incarnation

  WatchedNearTierTest() {
    slot_ = *sessions().Acquire("shop");
    sessions().Begin(slot_, kReplica);
    sessions().SetOpen(slot_, true);
  }
  WatchSessions& sessions() { return near_.sessions(); }
  void Lease(milliseconds time) { sessions().Renew(slot_, clock_.NowNanos() + time.count() * kNanosPerMilli); }
  void Admit(const NearTier::Ticket& ticket, uint64_t incarnation = kReplica) {
    near_.Admit(key_, hash_, Read("v"), ticket, sessions().Of("shop", incarnation));
  }
  void PassItsAge() { clock_.Advance(500 * kNanosPerMilli); }

  size_t slot_ = 0;
};

// COHERENCE W2.
TEST_F(WatchedNearTierTest, AnEntryIsServedWhileTheLeaseHoldsAndByItsAgeOtherwise) {
  Admit(near_.Begin(hash_));
  clock_.Advance(499 * kNanosPerMilli);
  EXPECT_TRUE(Found()) << "no lease, but young";
  clock_.Advance(kNanosPerMilli);
  EXPECT_FALSE(Found());
  Lease(milliseconds(1000));
  clock_.Advance(999 * kNanosPerMilli);
  EXPECT_TRUE(Found());
  clock_.Advance(kNanosPerMilli);
  EXPECT_FALSE(Found());
}

// COHERENCE W1.
TEST_F(WatchedNearTierTest, OnlyTheReplicaThatIsWatchedAnswersForLonger) {
  Lease(milliseconds(10'000));
  Admit(near_.Begin(hash_), kReplica + 1);
  EXPECT_TRUE(Found());
  PassItsAge();
  EXPECT_FALSE(Found());
  EXPECT_EQ(sessions().Of("other", kReplica).slot, 0) << "of another namespace it tells nothing";
  sessions().SetOpen(slot_, false);
  Admit(near_.Begin(hash_));
  PassItsAge();
  EXPECT_FALSE(Found()) << "read while the stream was not open";
}

// COHERENCE W1.
TEST_F(WatchedNearTierTest, WhatWasReadBeforeTheSessionBeganIsBoundByItsAge) {
  const auto ticket = near_.Begin(hash_);
  sessions().Begin(slot_, kReplica);
  Lease(milliseconds(10'000));
  Admit(ticket);
  EXPECT_TRUE(Found());
  PassItsAge();
  EXPECT_FALSE(Found());
}

// COHERENCE W1.
TEST_F(WatchedNearTierTest, WhatIsToldWhileAReadIsUnderWayKeepsItOut) {
  Lease(milliseconds(10'000));
  const auto ticket = near_.Begin(hash_);
  near_.Drop(key_, hash_);
  Admit(ticket);
  EXPECT_FALSE(Found());
  const auto during_group = near_.Begin(hash_);
  near_.DropSession(slot_);
  Admit(during_group);
  EXPECT_FALSE(Found());
}

// COHERENCE W4.
TEST_F(WatchedNearTierTest, AGapEmptiesAndEndsTheLease) {
  Lease(milliseconds(10'000));
  Admit(near_.Begin(hash_));
  ASSERT_TRUE(Found());
  sessions().Begin(slot_, kReplica);
  EXPECT_FALSE(Found()) << "not even by its age";
  Admit(near_.Begin(hash_));
  PassItsAge();
  EXPECT_FALSE(Found()) << "nobody has renewed it";
}

TEST_F(WatchedNearTierTest, AGroupDropsWhatIsKnownThroughTheStreamAlone) {
  const std::string other = NearKey("other", "k");
  const uint64_t other_hash = NearCache::Hash(other);
  const size_t slot = *sessions().Acquire("other");
  sessions().Begin(slot, kReplica);
  sessions().SetOpen(slot, true);
  near_.Admit(other, other_hash, Read("v"), near_.Begin(other_hash), sessions().Of("other", kReplica));
  Lease(milliseconds(10'000));
  Admit(near_.Begin(hash_));
  near_.DropSession(slot_);
  EXPECT_FALSE(Found());
  EXPECT_TRUE(near_.Find(other, other_hash, clock_.NowNanos()));
  Admit(near_.Begin(hash_));
  PassItsAge();
  EXPECT_TRUE(Found()) << "the lease goes on";
}

TEST_F(WatchedNearTierTest, AReleasedSlotAnswersForNothing) {
  Lease(milliseconds(10'000));
  Admit(near_.Begin(hash_));
  sessions().Release(slot_);
  EXPECT_FALSE(Found());
  EXPECT_EQ(sessions().Of("shop", kReplica).slot, 0);
  for (size_t i = 0; i < WatchSessions::kMaxStreams; ++i) EXPECT_TRUE(sessions().Acquire("n").has_value());
  EXPECT_FALSE(sessions().Acquire("n").has_value());
}

TEST_F(NearTierTest, NamespacesDoNotMix) {
  EXPECT_NE(NearKey("a", "b"), NearKey("ab", ""));
  near_.Admit(key_, hash_, Read("v"), near_.Begin(hash_));
  const std::string other = NearKey("other", "k");
  EXPECT_FALSE(near_.Find(other, NearCache::Hash(other), clock_.NowNanos()));
}

// COHERENCE P1, D4: one replica remembers it, and others may have written since.
TEST(FreshHits, OneThatIsDegradedIsNone) {
  v1::GetResponse response;
  response.set_status(v1::STATUS_HIT);
  response.set_freshness(v1::FRESHNESS_FRESH);
  response.set_ttl_ms(1'000);
  EXPECT_TRUE(IsFreshHit(response));
  EXPECT_FALSE(ToHit(response, ToEntry(response, 0)).degraded);
  response.set_degraded(true);
  EXPECT_FALSE(IsFreshHit(response));
  EXPECT_TRUE(ToHit(response, ToEntry(response, 0)).degraded);
}

}  // namespace
}  // namespace larder::internal
