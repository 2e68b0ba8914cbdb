// Who may load a key, and which fills land.
#include <string>

#include "tests/unit/store/store_contract.h"

namespace larder {
namespace {

using Outcome = LeaseResult::Outcome;

// COHERENCE E2, E3.
TEST_P(StoreContractTest, AMissingKeyIsLeasedToOne) {
  const LeaseResult first = Lease("key");
  EXPECT_EQ(first.outcome, Outcome::kGranted);
  EXPECT_EQ(first.fill.token, last_token_);
  EXPECT_EQ(first.fill.as_of, Position());
  EXPECT_EQ(first.left_nanos, 10 * kNanosPerSecond);
  const LeaseResult second = Lease("key");
  EXPECT_EQ(second.outcome, Outcome::kHeld);
  EXPECT_EQ(second.fill, first.fill);
  EXPECT_GT(second.left_nanos, 5 * kNanosPerSecond);
  EXPECT_LE(second.left_nanos, 10 * kNanosPerSecond);
  EXPECT_EQ(Lease("other").outcome, Outcome::kGranted);
}

TEST_P(StoreContractTest, ALeaseIsNoEntry) {
  Granted("key");
  EXPECT_FALSE(Read({"key"}).entries[0]);
  EXPECT_FALSE(Set("key", "1", kIfPresent).applied);
  EXPECT_EQ(Erase({"key"}), 0);
  Granted("key");
  EXPECT_EQ(Erase({"key"}, {++last_version_}), 0);
  EXPECT_FALSE(Get("key"));
  Granted("key");
  EXPECT_TRUE(Set("key", "1", kIfAbsent).applied);
}

TEST_P(StoreContractTest, AFillLandsOnce) {
  const FillToken token = Granted("key");
  const WriteResult filled = Fill("key", token, "loaded", {"tag"});
  EXPECT_TRUE(filled.applied);
  EXPECT_EQ(filled.current_version, last_version_);
  EXPECT_EQ(Value("key"), "loaded");
  const WriteResult again = Fill("key", token, "again");
  EXPECT_FALSE(again.applied);
  EXPECT_EQ(again.current_version, filled.current_version);
  EXPECT_EQ(Value("key"), "loaded");
  EXPECT_EQ(Lease("key").outcome, Outcome::kChanged);
}

TEST_P(StoreContractTest, WhoWasRefusedMayFillToo) {
  Granted("key");
  EXPECT_TRUE(Fill("key", Lease("key").fill, "loaded").applied);
  EXPECT_EQ(Value("key"), "loaded");
}

TEST_P(StoreContractTest, NobodyFillsWithAnotherToken) {
  FillToken token = Granted("key");
  const FillToken right = token;
  token.token ^= 1;
  EXPECT_FALSE(Fill("key", token, "wrong").applied);
  EXPECT_FALSE(Fill("other", right, "wrong").applied);
  EXPECT_EQ(Value("key"), "(none)");
  EXPECT_TRUE(Fill("key", right, "right").applied);
}

TEST_P(StoreContractTest, ALeaseEndsWithItsTime) {
  const int64_t lease = 100 * kNanosPerMilli;
  const LeaseResult dead = Lease("key", 0, false, lease);
  EXPECT_EQ(dead.outcome, Outcome::kGranted);
  LeaseResult next;
  EXPECT_TRUE(world_->PassUntil(lease, [&] {
    next = Lease("key", 0, false, kMinute);
    return next.outcome == Outcome::kGranted;
  }));
  // The one that came too late does not land.
  EXPECT_FALSE(Fill("key", dead.fill, "late").applied);
  EXPECT_TRUE(Fill("key", next.fill, "loaded").applied);
}

// COHERENCE E2, P2: a plain write destroys the placeholder.
TEST_P(StoreContractTest, NoFillLandsAfterASet) {
  const FillToken token = Granted("key");
  Set("key", "set");
  const WriteResult fill = Fill("key", token, "loaded before");
  EXPECT_FALSE(fill.applied);
  EXPECT_EQ(fill.current_version, Get("key")->meta().version);
  EXPECT_EQ(Value("key"), "set");
  Erase({"key"});
  EXPECT_FALSE(Fill("key", token, "loaded before").applied);
}

// COHERENCE E2, E5, P2.
TEST_P(StoreContractTest, NoFillLandsAfterAnErase) {
  const FillToken hard = Granted("a");
  Erase({"a"});
  EXPECT_FALSE(Fill("a", hard, "loaded before").applied);
  const FillToken soft = Granted("b");
  Erase({"b"}, {++last_version_});
  EXPECT_FALSE(Fill("b", soft, "loaded before").applied);
  EXPECT_EQ(Value("a"), "(none)");
  EXPECT_EQ(Value("b"), "(none)");
  EXPECT_EQ(Lease("a").outcome, Outcome::kGranted);
  EXPECT_EQ(Lease("b").outcome, Outcome::kGranted);
}

// COHERENCE P2.
TEST_P(StoreContractTest, NoFillLandsAfterAnInvalidationOfItsTag) {
  const FillToken token = Granted("key");
  const FillToken unconcerned = Granted("other");
  InvalidateTag("tag");
  EXPECT_FALSE(Fill("key", token, "loaded before", {"one", "tag"}).applied);
  EXPECT_EQ(Value("key"), "(none)");
  const WriteResult fill = Fill("other", unconcerned, "loaded", {"one"});
  EXPECT_TRUE(fill.applied);
  EXPECT_EQ(fill.current_epoch, unconcerned.as_of.epoch);
  EXPECT_EQ(Get("other")->meta().epoch, unconcerned.as_of.epoch) << "and not that at which it landed";
  InvalidateTag("one");
  EXPECT_EQ(Value("other"), "(none)");
}

TEST_P(StoreContractTest, ASoftStampDoesNotKeepAFillOut) {
  const FillToken token = Granted("key");
  InvalidateTag("tag", /*soft=*/true);
  EXPECT_TRUE(Fill("key", token, "loaded before", {"tag"}).applied);
  EXPECT_TRUE(IsStale("key")) << "it was loaded before the invalidation";
}

TEST_P(StoreContractTest, NoFillLandsAfterAnInvalidationOfTheNamespace) {
  const FillToken token = Granted("key");
  InvalidateAll();
  EXPECT_FALSE(Fill("key", token, "loaded before").applied);
  EXPECT_EQ(Value("key"), "(none)");
  EXPECT_TRUE(Fill("key", Granted("key"), "loaded after").applied);
  EXPECT_EQ(Value("key"), "loaded after");
}

// The dead lease keeps nobody from loading.
TEST_P(StoreContractTest, ALeaseFromBeforeAnInvalidationOfTheNamespaceIsReplaced) {
  const FillToken before = Granted("key");
  InvalidateAll();
  const FillToken after = Granted("key");
  EXPECT_NE(after, before);
  EXPECT_TRUE(Fill("key", after, "loaded").applied);
}

// COHERENCE C3.
TEST_P(StoreContractTest, LeasesDieWithTheirGeneration) {
  const FillToken token = Granted("key");
  ASSERT_TRUE(RaiseBarrierNow(store(), "default").ok());
  EXPECT_FALSE(Fill("key", token, "loaded before").applied);
  const FillToken after = Granted("key");
  EXPECT_EQ(after.as_of, Position());
  EXPECT_TRUE(Fill("key", after, "loaded").applied);
}

// COHERENCE E3, P2: the store need not look at patterns, but the fill carries the epoch of its lease.
TEST_P(StoreContractTest, AFillIsDeadByALaterPattern) {
  const FillToken token = Granted("user:1");
  InvalidatePattern("user:*");
  Fill("user:1", token, "loaded before");
  EXPECT_EQ(Value("user:1"), "(none)");
}

TEST_P(StoreContractTest, ALeaseReplacesWhatATagHasKilled) {
  const uint64_t version = SetTagged("key", "old", {"tag"}).current_version;
  InvalidateTag("tag");
  const LeaseResult lease = Lease("key", version, /*found_dead=*/true);
  EXPECT_EQ(lease.outcome, Outcome::kGranted);
  EXPECT_TRUE(Fill("key", lease.fill, "new", {"tag"}).applied);
  EXPECT_EQ(Value("key"), "new");
}

TEST_P(StoreContractTest, ALeaseReplacesWhatTheCallerFoundDead) {
  const uint64_t version = Set("key", "old").current_version;
  EXPECT_EQ(Lease("key", version - 1, /*found_dead=*/true).outcome, Outcome::kChanged) << "that is another";
  EXPECT_EQ(Value("key"), "old");
  const LeaseResult lease = Lease("key", version, /*found_dead=*/true);
  EXPECT_EQ(lease.outcome, Outcome::kGranted);
  EXPECT_EQ(Value("key"), "(none)");
  EXPECT_TRUE(Fill("key", lease.fill, "new").applied);
}

TEST_P(StoreContractTest, NoLeaseOnAnEntryThatWasNotFound) {
  const uint64_t version = Set("key", "value").current_version;
  EXPECT_EQ(Lease("key").outcome, Outcome::kChanged);
  EXPECT_EQ(Lease("key", version + 1).outcome, Outcome::kChanged);
  EXPECT_EQ(Value("key"), "value");
}

TEST_P(StoreContractTest, AnEntryIsServedWhileItIsLoadedAnew) {
  const uint64_t version = Write(Request("key", Tagged(StaleMeta(kMinute, kMinute), "old", {"tag"}))).current_version;
  const LeaseResult lease = Lease("key", version);
  EXPECT_EQ(lease.outcome, Outcome::kGranted);
  EXPECT_EQ(lease.fill.as_of, Position());
  EntryRef served = Get("key");
  ASSERT_TRUE(served);
  EXPECT_EQ(served->value(), "old");
  EXPECT_EQ(served->meta().version, version);
  EXPECT_EQ(*served->tags().begin(), "tag");
  EXPECT_GT(served->meta().leased_nanos, Now() + 5 * kNanosPerSecond);
  EXPECT_LE(served->meta().leased_nanos, Now() + 10 * kNanosPerSecond + 2 * kNanosPerMilli);
  const LeaseResult second = Lease("key", version);
  EXPECT_EQ(second.outcome, Outcome::kHeld);
  EXPECT_GT(second.left_nanos, 5 * kNanosPerSecond);
  EXPECT_TRUE(Fill("key", lease.fill, "new").applied);
  EXPECT_EQ(Value("key"), "new");
  EXPECT_LE(Get("key")->meta().leased_nanos, Now());
  EXPECT_FALSE(Fill("key", lease.fill, "again").applied);
}

TEST_P(StoreContractTest, ALeaseToLoadAnewEndsWithItsTime) {
  const uint64_t version = Write(Request("key", Tagged(StaleMeta(kMinute, kMinute), "old", {}))).current_version;
  EXPECT_EQ(Lease("key", version, false, 50 * kNanosPerMilli).outcome, Outcome::kGranted);
  EXPECT_TRUE(world_->PassUntil(50 * kNanosPerMilli,
                                [&] { return Lease("key", version, false, kMinute).outcome == Outcome::kGranted; }));
  EXPECT_EQ(Value("key"), "old");
}

// COHERENCE E2, E5: the version that it started from is not there any more.
TEST_P(StoreContractTest, NoFillLandsOnAnotherVersion) {
  for (const char* how : {"set", "erase", "soft", "all", "barrier"}) {
    const uint64_t version = Set("key", "old").current_version;
    const FillToken token = Granted("key", version);
    const std::string name(how);
    if (name == "set") Set("key", "set");
    if (name == "erase") Erase({"key"});
    if (name == "soft") Erase({"key"}, {++last_version_});
    if (name == "all") InvalidateAll();
    if (name == "barrier") {
      EXPECT_TRUE(RaiseBarrierNow(store(), "default").ok());
    }
    const std::string before = Value("key");
    EXPECT_FALSE(Fill("key", token, "loaded before").applied) << name;
    EXPECT_EQ(Value("key"), before) << name;
  }
}

TEST_P(StoreContractTest, NoFillLandsInPlaceOfAnEntryThatHasExpired) {
  const uint64_t version = Set("key", "old").current_version;
  const FillToken token = Granted("key", version);
  EXPECT_TRUE(Touch("key", 50 * kNanosPerMilli, kHour).found);
  EXPECT_TRUE(world_->PassUntil(50 * kNanosPerMilli, [&] { return !Get("key"); }));
  EXPECT_FALSE(Fill("key", token, "loaded").applied);
  EXPECT_EQ(Lease("key", version).outcome, Outcome::kGranted) << "there is nothing in its place";
}

TEST_P(StoreContractTest, ASoftEraseFreesTheLeaseOfAnEntry) {
  const FillToken token = Granted("key", Set("key", "old").current_version);
  const uint64_t soft_version = ++last_version_;
  EXPECT_EQ(Erase({"key"}, {soft_version}), 1);
  EXPECT_LE(Get("key")->meta().leased_nanos, Now());
  const FillToken next = Granted("key", soft_version);
  EXPECT_FALSE(Fill("key", token, "loaded before").applied);
  EXPECT_TRUE(Fill("key", next, "loaded after").applied);
  EXPECT_FALSE(IsStale("key"));
}

TEST_P(StoreContractTest, WhoGivesUpALeaseFreesTheKey) {
  const FillToken token = Granted("key");
  ReleaseRequest other = Releasing("key", token);
  other.token ^= 1;
  EXPECT_FALSE(Release(other));
  EXPECT_EQ(Lease("key").outcome, Outcome::kHeld);
  EXPECT_TRUE(Release(Releasing("key", token)));
  EXPECT_FALSE(Release(Releasing("key", token)));
  EXPECT_FALSE(Fill("key", token, "late").applied);
  EXPECT_EQ(Lease("key").outcome, Outcome::kGranted);
}

TEST_P(StoreContractTest, WhoGivesUpALeaseOfAnEntryLeavesTheEntry) {
  const uint64_t version = Set("key", "old").current_version;
  const FillToken token = Granted("key", version);
  EXPECT_TRUE(Release(Releasing("key", token)));
  EXPECT_EQ(Value("key"), "old");
  EXPECT_LE(Get("key")->meta().leased_nanos, Now());
  EXPECT_FALSE(Fill("key", token, "late").applied);
  EXPECT_EQ(Lease("key", version).outcome, Outcome::kGranted);
}

TEST_P(StoreContractTest, AReleaseMayPauseTheLoading) {
  const uint64_t version = Set("key", "old").current_version;
  const FillToken token = Granted("key", version);
  ReleaseRequest release = Releasing("key", token);
  release.pause_nanos = 200 * kNanosPerMilli;
  const int64_t released = Now();
  EXPECT_TRUE(Release(release));
  EXPECT_GT(Get("key")->meta().leased_nanos, released);
  const LeaseResult early = Lease("key", version);
  EXPECT_EQ(early.outcome, Outcome::kHeld);
  EXPECT_LE(early.left_nanos, 200 * kNanosPerMilli);
  EXPECT_FALSE(Fill("key", token, "late").applied);
  EXPECT_FALSE(Fill("key", early.fill, "early").applied) << "nobody loads it, so there is nothing to join";
  EXPECT_TRUE(
      world_->PassUntil(200 * kNanosPerMilli, [&] { return Lease("key", version).outcome == Outcome::kGranted; }));
  EXPECT_GE(Now() - released, 198 * kNanosPerMilli);
  EXPECT_EQ(Value("key"), "old");
}

// COHERENCE E4: who is served the entry has read nothing as of the position of whoever loads it anew.
TEST_P(StoreContractTest, NobodyElseIsGivenTheLeaseOfAnEntry) {
  const uint64_t version = Set("key", "old").current_version;
  const FillToken token = Granted("key", version);
  EXPECT_EQ(Lease("key", version).outcome, Outcome::kHeld);
  EXPECT_EQ(Lease("key", version).fill, FillToken{});
  ReleaseRequest release = Releasing("key", token);
  release.pause_nanos = kMinute;
  EXPECT_TRUE(Release(release));
  const LeaseResult paused = Lease("key", version);
  EXPECT_EQ(paused.outcome, Outcome::kHeld);
  EXPECT_EQ(paused.fill, FillToken{});
  EXPECT_GT(paused.left_nanos, 50 * kNanosPerSecond);
}

// Stale-if-error.
TEST_P(StoreContractTest, AReleaseMayLetAStaleEntryLiveLonger) {
  const EntryMeta meta = StaleMeta(20 * kNanosPerMilli, 10 * kNanosPerSecond);
  Write(Request("key", Tagged(meta, "old", {"tag"})));
  EXPECT_TRUE(world_->PassUntil(20 * kNanosPerMilli, [&] { return IsStale("key"); }));
  ReleaseRequest release = Releasing("key", Granted("key", meta.version));
  release.serve_stale_nanos = kMinute;
  release.max_life_nanos = kHour;
  EXPECT_TRUE(Release(release));
  EntryRef got = Get("key");
  ASSERT_TRUE(got);
  // What a store tells of times may be early by as long as the answer was on its way.
  EXPECT_TRUE(world_->PassUntil(20 * kNanosPerMilli, [&] { return IsStale("key"); }));
  EXPECT_NEAR(static_cast<double>(got->meta().expires_nanos), static_cast<double>(meta.stale_nanos + kMinute),
              kALittle);
  EXPECT_NEAR(static_cast<double>(got->meta().stale_nanos), static_cast<double>(meta.stale_nanos), kALittle);
  // Another failure gives it nothing more.
  release = Releasing("key", Granted("key", meta.version));
  release.serve_stale_nanos = kMinute;
  release.max_life_nanos = kHour;
  EXPECT_TRUE(Release(release));
  EXPECT_NEAR(static_cast<double>(Get("key")->meta().expires_nanos), static_cast<double>(meta.stale_nanos + kMinute),
              kALittle);
}

// COHERENCE E6.
TEST_P(StoreContractTest, AReleaseDoesNotPassTheLongestLife) {
  const EntryMeta meta = StaleMeta(20 * kNanosPerMilli, 10 * kNanosPerSecond);
  Write(Request("key", Tagged(meta, "old", {})));
  EXPECT_TRUE(world_->PassUntil(20 * kNanosPerMilli, [&] { return IsStale("key"); }));
  ReleaseRequest release = Releasing("key", Granted("key", meta.version));
  release.serve_stale_nanos = kMinute;
  release.max_life_nanos = 30 * kNanosPerSecond;
  EXPECT_TRUE(Release(release));
  EXPECT_NEAR(static_cast<double>(Get("key")->meta().expires_nanos),
              static_cast<double>(meta.created_nanos + 30 * kNanosPerSecond), kALittle);
  // Nor does it take away from the life that the entry has.
  release = Releasing("key", Granted("key", meta.version));
  release.serve_stale_nanos = kNanosPerMilli;
  release.max_life_nanos = kNanosPerMilli;
  EXPECT_TRUE(Release(release));
  EXPECT_GT(Get("key")->meta().expires_nanos, meta.created_nanos + 29 * kNanosPerSecond);
}

// COHERENCE E5: stale-if-error never revives what a hard invalidation killed.
TEST_P(StoreContractTest, AReleaseRevivesNothing) {
  for (const bool barrier : {false, true}) {
    EntryMeta meta = StaleMeta(kNanosPerMilli, kMinute);
    Write(Request("key", Tagged(meta, "old", {"tag"})));
    ReleaseRequest release = Releasing("key", Granted("key", meta.version));
    if (barrier) {
      ASSERT_TRUE(RaiseBarrierNow(store(), "default").ok());
    } else {
      InvalidateTag("tag");
    }
    release.serve_stale_nanos = kHour;
    release.max_life_nanos = kHour;
    Release(release);
    EXPECT_EQ(Value("key"), "(none)");
  }
}

// COHERENCE P3: the waiters are woken by the fill itself.
TEST_P(StoreContractTest, WhoWasRefusedIsToldOfTheFill) {
  const FillToken token = Granted("key");
  EXPECT_EQ(Lease("key").outcome, Outcome::kHeld);
  EXPECT_TRUE(Fill("key", token, "loaded").applied);
  EXPECT_TRUE(AwaitWake("default:key"));
}

TEST_P(StoreContractTest, WhoWasRefusedIsToldOfAnythingThatEndsTheLease) {
  for (const char* how : {"set", "erase", "soft", "release", "exact", "dead"}) {
    const std::string key(how);
    const FillToken token = Granted(key);
    EXPECT_EQ(Lease(key).outcome, Outcome::kHeld);
    if (key == "set") Set(key, "value");
    if (key == "erase") Erase({key});
    if (key == "soft") Erase({key}, {++last_version_});
    if (key == "release") {
      EXPECT_TRUE(Release(Releasing(key, token)));
    }
    if (key == "exact") EraseVersions({{key, token.token}});
    if (key == "dead") EraseDead(Position(), 500, Position().epoch + 1, "dead");
    EXPECT_TRUE(AwaitWake("default:" + key)) << key;
  }
}

// COHERENCE P3: every lease of the namespace is dead, and which of them are waited for need not be known.
TEST_P(StoreContractTest, WhoWaitsIsToldWhenTheWholeNamespaceIsInvalidated) {
  for (const char* how : {"all", "collapse", "barrier"}) {
    const std::string name(how);
    const int before = world_->wakes().Count("default:");
    if (name == "all") InvalidateAll();
    if (name == "collapse") {
      GroupRequest request;
      request.tags = {"a", "b"};
      request.max_tags = 1;
      EXPECT_TRUE(Invalidate(std::move(request)).collapsed);
    }
    if (name == "barrier") {
      EXPECT_TRUE(RaiseBarrierNow(store(), "default").ok());
    }
    EXPECT_TRUE(world_->PassUntil(kNanosPerSecond, [&] { return world_->wakes().Count("default:") > before; })) << name;
  }
}

TEST_P(StoreContractTest, WhoWasRefusedIsToldOfTheEndOfALeaseOfAnEntry) {
  for (const char* how : {"fill", "erase", "soft", "release"}) {
    const std::string key(how);
    const uint64_t version = Set(key, "old").current_version;
    const FillToken token = Granted(key, version);
    EXPECT_EQ(Lease(key, version).outcome, Outcome::kHeld);
    if (key == "fill") {
      EXPECT_TRUE(Fill(key, token, "new").applied);
    }
    if (key == "erase") Erase({key});
    if (key == "soft") Erase({key}, {++last_version_});
    if (key == "release") {
      EXPECT_TRUE(Release(Releasing(key, token)));
    }
    EXPECT_TRUE(AwaitWake("default:" + key)) << key;
  }
}

}  // namespace
}  // namespace larder
