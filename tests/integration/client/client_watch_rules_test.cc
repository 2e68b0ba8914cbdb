// What a near cache may keep, by what its Watch stream has told, against a service that tells what the test says.
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "larder/client.h"
#include "tests/integration/client/watched_service.h"
#include "tests/support/eventually.h"

namespace larder {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t kReplica = 7;  // an incarnation

class ClientWatchRulesTest : public ::testing::Test {
 protected:
  ClientWatchRulesTest() { service_.SetValue("value", kReplica); }

  // By its age an entry is served for a millisecond: what is served for longer is leased.
  void Connect(milliseconds lease = milliseconds(60'000), milliseconds max_age = milliseconds(1)) {
    ClientOptions options;
    options.target = service_.target();
    options.deadline = milliseconds(20'000);
    options.near = {.capacity_bytes = 16 << 20, .max_age = max_age, .watch = true, .lease = lease};
    auto client = Client::Connect(options);
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }

  v1::WatchResponse Message(uint64_t sequence, uint64_t incarnation = kReplica) {
    v1::WatchResponse message;
    message.set_incarnation(incarnation);
    message.set_sequence(sequence);
    message.set_cursor("cursor" + std::to_string(sequence));
    return message;
  }
  void TellHeartbeat(uint64_t sequence, uint64_t incarnation = kReplica) {
    v1::WatchResponse message = Message(sequence, incarnation);
    message.mutable_heartbeat();
    service_.Tell(message);
  }
  void TellGap(uint64_t sequence) {
    v1::WatchResponse message = Message(sequence);
    message.mutable_gap()->set_reason(v1::WatchGap::REASON_LOST);
    service_.Tell(message);
  }
  void TellKeys(uint64_t first, const std::vector<std::string>& keys) {
    v1::WatchResponse message = Message(first + keys.size() - 1);
    message.mutable_events()->set_first_sequence(first);
    for (const std::string& key : keys) message.mutable_events()->add_events()->set_key(key);
    service_.Tell(message);
  }
  void RenewAt(uint64_t sequence, milliseconds after = {}, uint64_t incarnation = kReplica) {
    v1::RenewWatchResponse answer;
    answer.set_incarnation(incarnation);
    answer.set_sequence(sequence);
    service_.SetRenewal(answer, after);
  }
  // A stream that has begun at a position, with a lease.
  void Begin(uint64_t sequence) {
    TellHeartbeat(sequence);
    RenewAt(sequence);
    Connect();
    ASSERT_TRUE(BecomesNear("begin"));
  }

  Hit Read(const std::string& key, const GetOptions& options = {}) {
    absl::StatusOr<MaybeHit> hit = client_->Get(key, options);
    EXPECT_TRUE(hit.ok() && hit->has_value()) << key << hit.status();
    return hit.ok() && hit->has_value() ? **hit : Hit();
  }
  // Served from the near cache past its age.
  bool IsNear(const std::string& key) {
    std::this_thread::sleep_for(milliseconds(2));  // its age
    return Read(key).tier == Tier::kClient;
  }
  bool BecomesNear(const std::string& key) {
    return Eventually([&] { return IsNear(key); });
  }
  bool StaysFar(const std::string& key) {
    for (int i = 0; i < 50; ++i) {
      if (IsNear(key)) return false;
    }
    return true;
  }

  WatchedService service_;
  std::unique_ptr<Client> client_;
};

TEST_F(ClientWatchRulesTest, AnEntryIsServedForAsLongAsItIsWatched) {
  Begin(0);
  const int gets = service_.gets();
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(IsNear("begin"));
  EXPECT_EQ(service_.gets(), gets);
  ASSERT_EQ(service_.streams().size(), 1);
  EXPECT_EQ(service_.streams()[0].namespace_(), "default");
  EXPECT_EQ(service_.streams()[0].cursor(), "");
}

// COHERENCE W1.
TEST_F(ClientWatchRulesTest, AnswersOfAnotherIncarnationAreNotKept) {
  Begin(0);
  service_.SetValue("other", kReplica + 1);
  EXPECT_TRUE(StaysFar("key"));
  service_.SetValue("none", 0);
  EXPECT_TRUE(StaysFar("key"));
  service_.SetValue("same", kReplica);
  EXPECT_TRUE(BecomesNear("key"));
}

// COHERENCE W1.
TEST_F(ClientWatchRulesTest, WhatIsToldBetweenTheSendingAndTheAnswerKeepsItOut) {
  Begin(0);
  for (const bool gap : {false, true}) {
    const std::string key = gap ? "in a gap" : "key";
    ASSERT_TRUE(BecomesNear("probe"));
    RenewAt(gap ? 3 : 2);
    const int gets = service_.gets();
    service_.Hold(true);
    std::thread read([&] { EXPECT_EQ(Read(key).value.bytes(), "value"); });
    EXPECT_TRUE(Eventually([&] { return service_.gets() > gets; }));
    if (gap) TellGap(3);
    if (!gap) TellKeys(1, {key, "probe"});
    // A near hit needs no call, so that this one waits as soon as the news has come.
    std::atomic<bool> stop = false;
    std::thread probe([&] {
      while (!stop && service_.gets() == gets + 1) Read("probe");
    });
    EXPECT_TRUE(Eventually([&] { return service_.gets() > gets + 1; }));
    stop = true;
    service_.Hold(false);
    read.join();
    probe.join();
    ASSERT_TRUE(BecomesNear("probe"));
    EXPECT_FALSE(IsNear(key));
  }
}

// COHERENCE W2.
TEST_F(ClientWatchRulesTest, HeartbeatsRenewNothing) {
  service_.SetRenewal(std::nullopt);
  for (int i = 0; i < 20; ++i) TellHeartbeat(0);
  Connect();
  Read("key");
  ASSERT_TRUE(Eventually([&] { return service_.renewals() > 0; }));
  EXPECT_TRUE(StaysFar("key"));
}

// COHERENCE W2.
TEST_F(ClientWatchRulesTest, ARenewalCountsOnceEverythingUpToItHasBeenApplied) {
  TellHeartbeat(0);
  RenewAt(3);
  Connect();
  Read("key");
  ASSERT_TRUE(Eventually([&] { return service_.renewals() > 0; }));
  EXPECT_TRUE(StaysFar("key"));
  TellKeys(1, {"a", "b"});
  EXPECT_TRUE(StaysFar("key"));
  TellKeys(3, {"c"});
  EXPECT_TRUE(BecomesNear("key"));
}

// COHERENCE W2.
TEST_F(ClientWatchRulesTest, ARenewalOfAnotherIncarnationDoesNotCount) {
  TellHeartbeat(0);
  RenewAt(0, {}, kReplica + 1);
  Connect();
  Read("key");
  ASSERT_TRUE(Eventually([&] { return service_.renewals() > 0; }));
  EXPECT_TRUE(StaysFar("key"));
}

// COHERENCE W2.
TEST_F(ClientWatchRulesTest, ALeaseCountsFromTheSendingOfTheRenewal) {
  constexpr milliseconds kLease{2'000};
  TellHeartbeat(0);
  RenewAt(0, /*after=*/kLease / 2);
  Connect(kLease);
  Read("key");
  ASSERT_TRUE(Eventually([&] { return service_.renewals() == 1; }));
  const auto arrived = service_.last_renewal();
  service_.SetRenewal(std::nullopt);
  bool was_near = false;
  while (true) {
    const auto began = std::chrono::steady_clock::now();
    const bool near = IsNear("key");
    was_near |= near;
    ASSERT_TRUE(!near || began < arrived + kLease) << "it was sent before it arrived";
    if (began > arrived + 2 * kLease) break;
  }
  EXPECT_TRUE(was_near);
}

// COHERENCE W4.
TEST_F(ClientWatchRulesTest, AGapEmpties) {
  Begin(0);
  service_.SetRenewal(std::nullopt);
  service_.SetValue("new", kReplica);
  TellGap(1);
  EXPECT_TRUE(Eventually([&] { return Read("begin").value.bytes() == "new"; }));
  EXPECT_TRUE(StaysFar("begin")) << "and there is no lease any more";
}

// COHERENCE W4.
TEST_F(ClientWatchRulesTest, PositionsThatDoNotFollowAreAGap) {
  Begin(0);
  service_.SetValue("new", kReplica);
  TellKeys(2, {"other"});
  EXPECT_TRUE(Eventually([&] { return Read("begin").value.bytes() == "new"; }));
}

TEST_F(ClientWatchRulesTest, AKeyThatChangesIsDroppedAndTheOthersStay) {
  Begin(0);
  ASSERT_TRUE(BecomesNear("other"));
  service_.SetValue("new", kReplica);
  TellKeys(1, {"begin"});
  EXPECT_TRUE(Eventually([&] { return Read("begin").value.bytes() == "new"; }));
  EXPECT_EQ(Read("other").value.bytes(), "value");
  EXPECT_TRUE(BecomesNear("begin"));
}

TEST_F(ClientWatchRulesTest, AGroupDropsEverything) {
  Begin(0);
  uint64_t sequence = 0;
  for (const int what : {0, 1, 2}) {
    const std::string value = "new" + std::to_string(what);
    service_.SetValue(value, kReplica);
    v1::WatchResponse message = Message(++sequence);
    message.mutable_events()->set_first_sequence(sequence);
    v1::WatchEvent* event = message.mutable_events()->add_events();
    if (what == 0) event->set_tag("t");
    if (what == 1) event->set_pattern("p*");
    if (what == 2) event->set_all(true);
    service_.Tell(message);
    EXPECT_TRUE(Eventually([&] { return Read("begin").value.bytes() == value; }));
    EXPECT_TRUE(BecomesNear("begin")) << "under the same lease";
  }
}

// COHERENCE W4.
TEST_F(ClientWatchRulesTest, AStreamThatGoesOnKeepsWhatThereIs) {
  Begin(5);
  service_.EndStream(grpc::Status(grpc::StatusCode::UNAVAILABLE, "for a moment"));
  ASSERT_TRUE(Eventually([&] { return service_.streams().size() >= 2; }));
  EXPECT_EQ(service_.streams().back().cursor(), "cursor5");
  service_.SetValue("new", kReplica);
  TellHeartbeat(5);
  EXPECT_EQ(Read("begin").value.bytes(), "value");
  TellKeys(6, {"begin"});
  EXPECT_TRUE(Eventually([&] { return Read("begin").value.bytes() == "new"; }));
}

// COHERENCE W4.
TEST_F(ClientWatchRulesTest, AnotherIncarnationKeepsNothing) {
  Begin(5);
  service_.SetValue("new", kReplica + 1);
  service_.SetRenewal(std::nullopt);
  service_.EndStream(grpc::Status(grpc::StatusCode::UNAVAILABLE, "it is replaced"));
  ASSERT_TRUE(Eventually([&] { return service_.streams().size() >= 2; }));
  TellHeartbeat(5, kReplica + 1);
  EXPECT_TRUE(Eventually([&] { return Read("begin").value.bytes() == "new"; }));
}

TEST_F(ClientWatchRulesTest, WithoutAStreamAgeBoundsAnEntry) {
  service_.EndStream(grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "near.coherence"));
  Connect(milliseconds(60'000), /*max_age=*/milliseconds(60'000));
  Read("key");
  EXPECT_EQ(Read("key").tier, Tier::kClient);
  EXPECT_TRUE(Eventually([&] { return service_.streams().size() == 1; }));
}

// COHERENCE S3.
TEST_F(ClientWatchRulesTest, AReadPastItAsksTheStore) {
  Begin(0);
  service_.SetValue("new", kReplica);
  EXPECT_EQ(Read("begin", {.near = false}).value.bytes(), "new");
  EXPECT_EQ(service_.last_get().read_from(), v1::READ_FROM_STORE);
}

TEST_F(ClientWatchRulesTest, AnEntryThatLivesByItsReadsIsNotKept) {
  Begin(0);
  service_.SetSliding(true);
  EXPECT_TRUE(StaysFar("slides"));
}

TEST_F(ClientWatchRulesTest, ABatchIsKeptToo) {
  Begin(0);
  ASSERT_TRUE(client_->BatchGet({"a", "b"}).ok());
  EXPECT_TRUE(IsNear("a"));
  EXPECT_TRUE(IsNear("b"));
}

}  // namespace
}  // namespace larder
