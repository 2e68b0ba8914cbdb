#include "client/src/near_tier.h"

#include <chrono>
#include <string>

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

TEST_F(NearTierTest, NamespacesDoNotMix) {
  EXPECT_NE(NearKey("a", "b"), NearKey("ab", ""));
  near_.Admit(key_, hash_, Read("v"), near_.Begin(hash_));
  const std::string other = NearKey("other", "k");
  EXPECT_FALSE(near_.Find(other, NearCache::Hash(other), clock_.NowNanos()));
}

}  // namespace
}  // namespace larder::internal
