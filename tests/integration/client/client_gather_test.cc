// Gets that wait for one another, and the client's end in the middle of that.
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "core/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "larder/client.h"
#include "larder/v1/cache.pb.h"
#include "tests/integration/client/script_test.h"

namespace larder {
namespace {

using std::chrono::milliseconds;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

// How often each of some Gets was called back, and with what.
class Tally {
 public:
  explicit Tally(int count) : calls_(count), codes_(count) {}

  Callback<absl::StatusOr<MaybeHit>> Setter(int index) {
    return [this, index](const absl::StatusOr<MaybeHit>& hit) {
      MutexLock lock(&mutex_);
      ++calls_[index];
      codes_[index] = hit.status().code();
      ++total_;
      changed_.NotifyAll();
    };
  }

  // False: not all within a time that is long.
  bool AwaitAll() {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    MutexLock lock(&mutex_);
    while (total_ < static_cast<int>(calls_.size())) {
      if (std::chrono::steady_clock::now() >= until) return false;
      changed_.WaitFor(&mutex_, 10'000'000);
    }
    return true;
  }
  std::vector<int> calls() const {
    MutexLock lock(&mutex_);
    return calls_;
  }
  std::vector<absl::StatusCode> codes() const {
    MutexLock lock(&mutex_);
    return codes_;
  }

 private:
  mutable Mutex mutex_;
  CondVar changed_;
  std::vector<int> calls_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::StatusCode> codes_ ABSL_GUARDED_BY(mutex_);
  int total_ ABSL_GUARDED_BY(mutex_) = 0;
};

class ClientGatherTest : public ScriptTest {
 protected:
  // Where a Get that is under way keeps all others waiting.
  ClientOptions OneAtATime() {
    ClientOptions options = Plain();
    options.gather.max_calls = 1;
    return options;
  }

  // Makes a Get that stays under way.
  void Occupy(Client& client, Outcome<MaybeHit>* outcome) {
    service_->On(Method::kGet, InTurn({Answer().Held(), Answer()}));
    client.GetAsync("first", {}, outcome->Setter());
    ASSERT_TRUE(service_->AwaitArrivals(Method::kGet, 1));
  }

  // Makes the breaker open, by a call that fails.
  void OpenBreaker(Client& client) {
    service_->On(Method::kSet, InTurn({Answer::Fail(grpc::StatusCode::UNAVAILABLE)}));
    EXPECT_FALSE(client.Set("k", "v").ok());
    ASSERT_EQ(client.state(), ServiceState::kDown);
  }
};

// A batch whose values are "namespace/key".
Answer Echo(const Arrival& call) {
  const auto& request = call.As<v1::BatchGetRequest>();
  v1::BatchGetResponse response;
  for (const std::string& key : request.keys()) {
    v1::GetResponse* hit = response.add_results();
    hit->set_status(v1::STATUS_HIT);
    hit->set_value(absl::StrCat(request.namespace_(), "/", key));
  }
  return Answer::Reply(response);
}

std::vector<std::string> KeysOf(const Arrival& call) {
  const auto& keys = call.As<v1::BatchGetRequest>().keys();
  return {keys.begin(), keys.end()};
}

// --- lanes ----------------------------------------------------------------------------------------------------------

TEST_F(ClientGatherTest, WhatWaitsGoesAsOneBatchForEachNamespace) {
  service_->On(Method::kGet, InTurn({Answer().Held()}));
  service_->On(Method::kBatchGet, Echo);
  const auto client = Connect(Plain());
  Outcome<MaybeHit> first;
  Outcome<MaybeHit> second;
  client->GetAsync("first", {}, first.Setter());
  client->GetAsync("second", {}, second.Setter());
  ASSERT_TRUE(service_->AwaitArrivals(Method::kGet, 2));

  std::vector<Outcome<MaybeHit>> waiting(10);
  for (int i = 0; i < 10; ++i) {
    client->GetAsync(absl::StrCat(i), {.name_space = i % 2 == 0 ? "even" : "odd"}, waiting[i].Setter());
  }
  EXPECT_EQ(service_->arrivals(Method::kBatchGet), 0);
  service_->Release();
  for (int i = 0; i < 10; ++i) {
    const absl::StatusOr<MaybeHit> hit = waiting[i].Take();
    ASSERT_TRUE(hit.ok()) << hit.status();
    ASSERT_TRUE(hit->has_value());
    EXPECT_EQ((*hit)->value.bytes(), absl::StrCat(i % 2 == 0 ? "even/" : "odd/", i));
  }
  EXPECT_TRUE(first.Take().ok());
  EXPECT_TRUE(second.Take().ok());

  std::vector<Arrival> batches = service_->seen(Method::kBatchGet);
  ASSERT_EQ(batches.size(), 2u);
  if (batches[0].As<v1::BatchGetRequest>().namespace_() != "even") std::swap(batches[0], batches[1]);
  EXPECT_EQ(batches[0].As<v1::BatchGetRequest>().namespace_(), "even");
  EXPECT_THAT(KeysOf(batches[0]), ElementsAre("0", "2", "4", "6", "8"));
  EXPECT_EQ(batches[1].As<v1::BatchGetRequest>().namespace_(), "odd");
  EXPECT_THAT(KeysOf(batches[1]), ElementsAre("1", "3", "5", "7", "9"));
  EXPECT_EQ(service_->arrivals(Method::kGet), 2);
}

TEST_F(ClientGatherTest, ABatchHasNoMoreKeysThanItMay) {
  service_->On(Method::kBatchGet, Echo);
  ClientOptions options = OneAtATime();
  options.gather.max_keys = 4;
  const auto client = Connect(options);
  Outcome<MaybeHit> first;
  Occupy(*client, &first);
  Tally tally(10);
  for (int i = 0; i < 10; ++i) client->GetAsync(absl::StrCat(i), {}, tally.Setter(i));
  service_->Release();
  ASSERT_TRUE(tally.AwaitAll());
  EXPECT_THAT(tally.codes(), Each(absl::StatusCode::kOk));
  std::vector<size_t> sizes;
  for (const Arrival& batch : service_->seen(Method::kBatchGet)) sizes.push_back(KeysOf(batch).size());
  EXPECT_THAT(sizes, ElementsAre(4, 4, 2));
}

TEST_F(ClientGatherTest, GetsThatTheCallbacksOfABatchMakeGoTogether) {
  service_->On(Method::kBatchGet, Echo);
  const auto client = Connect(OneAtATime());
  Outcome<MaybeHit> first;
  Occupy(*client, &first);
  Tally tally(4);
  for (int i = 0; i < 4; ++i) {
    client->GetAsync(absl::StrCat(i), {},
                     [&client, i, done = tally.Setter(i)](const absl::StatusOr<MaybeHit>&) mutable {
                       client->GetAsync(absl::StrCat(i, " again"), {}, std::move(done));
                     });
  }
  service_->Release();
  ASSERT_TRUE(tally.AwaitAll());
  EXPECT_THAT(tally.codes(), Each(absl::StatusCode::kOk));
  EXPECT_EQ(service_->arrivals(Method::kGet), 1);
  const std::vector<Arrival> batches = service_->seen(Method::kBatchGet);
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_THAT(KeysOf(batches[1]), ElementsAre("0 again", "1 again", "2 again", "3 again"));
}

TEST_F(ClientGatherTest, WhatFillsABatchDoesNotWaitForCallbacks) {
  service_->On(Method::kBatchGet, Echo);
  service_->On(Method::kGet, InTurn({Answer().Held()}));
  ClientOptions options = OneAtATime();
  options.gather.max_keys = 2;
  const auto client = Connect(options);
  std::promise<bool> went_first;
  client->GetAsync("first", {}, [&](const absl::StatusOr<MaybeHit>&) {
    went_first.set_value(service_->AwaitArrivals(Method::kBatchGet, 1));
  });
  ASSERT_TRUE(service_->AwaitArrivals(Method::kGet, 1));
  Tally tally(2);
  for (int i = 0; i < 2; ++i) client->GetAsync(absl::StrCat(i), {}, tally.Setter(i));
  service_->Release();
  EXPECT_TRUE(went_first.get_future().get());
  EXPECT_TRUE(tally.AwaitAll());
}

TEST_F(ClientGatherTest, GetsPastTheNearTierAreNotMixedWithOthers) {
  service_->On(Method::kBatchGet, Echo);
  const auto client = Connect(OneAtATime());
  Outcome<MaybeHit> first;
  Occupy(*client, &first);
  Tally tally(4);
  for (int i = 0; i < 4; ++i) client->GetAsync(absl::StrCat(i), {.near = i < 2}, tally.Setter(i));
  service_->Release();
  ASSERT_TRUE(tally.AwaitAll());
  const std::vector<Arrival> batches = service_->seen(Method::kBatchGet);
  ASSERT_EQ(batches.size(), 2u);
  for (const Arrival& batch : batches) {
    const bool store = batch.As<v1::BatchGetRequest>().read_from() == v1::READ_FROM_STORE;
    EXPECT_EQ(KeysOf(batch), store ? std::vector<std::string>({"2", "3"}) : std::vector<std::string>({"0", "1"}));
  }
}

TEST_F(ClientGatherTest, WithoutGatheringGetsDoNotWait) {
  service_->On(Method::kGet, InTurn({Answer().Held()}));
  ClientOptions options = OneAtATime();
  options.gather.enabled = false;
  const auto client = Connect(options);
  Tally tally(8);
  for (int i = 0; i < 8; ++i) client->GetAsync("k", {}, tally.Setter(i));
  EXPECT_TRUE(service_->AwaitArrivals(Method::kGet, 8));
  service_->Release();
  EXPECT_TRUE(tally.AwaitAll());
  EXPECT_EQ(service_->arrivals(Method::kBatchGet), 0);
}

TEST_F(ClientGatherTest, ABatchWithoutOneResultForEachKeyIsBrokenForAllOfItsGets) {
  v1::BatchGetResponse response;
  response.add_results()->set_status(v1::STATUS_MISS);
  service_->On(Method::kBatchGet, InTurn({Answer::Reply(response)}));
  const auto client = Connect(OneAtATime());
  Outcome<MaybeHit> first;
  Occupy(*client, &first);
  std::vector<Outcome<MaybeHit>> waiting(3);
  for (int i = 0; i < 3; ++i) client->GetAsync(absl::StrCat(i), {}, waiting[i].Setter());
  service_->Release();
  for (Outcome<MaybeHit>& get : waiting) {
    EXPECT_EQ(get.Take().status(),
              absl::InternalError("the service's answer to a batch has not one result for each key"));
  }
}

TEST_F(ClientGatherTest, WhatDidNotFitOrWasRefusedGoesAgainAlone) {
  // The second of the batch did not fit; of another batch some key is at fault, and only that one is to hear of it.
  v1::BatchGetResponse response;
  response.add_results()->set_status(v1::STATUS_MISS);
  response.add_results()->set_status(v1::STATUS_RETRY);
  response.add_results()->set_status(v1::STATUS_UNAVAILABLE);
  service_->On(Method::kBatchGet, InTurn({Answer::Reply(response), Answer::Fail(grpc::StatusCode::INVALID_ARGUMENT)}));
  const auto client = Connect(OneAtATime());
  Outcome<MaybeHit> first;
  Occupy(*client, &first);
  std::vector<Outcome<MaybeHit>> waiting(6);
  for (int i = 0; i < 6; ++i) {
    client->GetAsync(absl::StrCat(i), {.name_space = i < 3 ? "a" : "b"}, waiting[i].Setter());
  }
  service_->On(Method::kGet, [](const Arrival& call) {
    const std::string& key = call.As<v1::GetRequest>().key();
    if (key == "4") return Answer::Fail(grpc::StatusCode::INVALID_ARGUMENT, "key: at fault");
    return Answer();
  });
  service_->Release();
  EXPECT_TRUE(waiting[0].Take().ok());
  EXPECT_TRUE(waiting[1].Take().ok());
  EXPECT_EQ(waiting[2].Take().status(), absl::UnavailableError("the service could not ask its store for this key"));
  EXPECT_TRUE(waiting[3].Take().ok());
  EXPECT_EQ(waiting[4].Take().status(), absl::InvalidArgumentError("key: at fault"));
  EXPECT_TRUE(waiting[5].Take().ok());
  std::vector<std::string> alone;
  for (const Arrival& call : service_->seen(Method::kGet)) alone.push_back(call.As<v1::GetRequest>().key());
  EXPECT_THAT(alone, UnorderedElementsAre("first", "1", "3", "4", "5"));
}

TEST_F(ClientGatherTest, OneWhoseTimeIsUpDoesNotFailThoseWhoCameLater) {
  ClientOptions options = OneAtATime();
  options.deadline = milliseconds(1'000);
  service_->On(Method::kBatchGet, Echo);
  const auto client = Connect(options);

  // The client's thread is kept busy in a callback, so that the lane stays as it is until its oldest is late.
  std::promise<void> open;
  std::promise<void> inside;
  Outcome<MaybeHit> first;
  Occupy(*client, &first);
  client->StatsAsync({}, [&](const absl::StatusOr<ServiceStats>&) {
    inside.set_value();
    open.get_future().wait();
  });
  inside.get_future().wait();
  Outcome<MaybeHit> late;
  client->GetAsync("late", {}, late.Setter());
  // Sent after it and with the same deadline: once the service gives it up, the other's time has passed too.
  service_->On(Method::kSet, InTurn({Answer().Held()}));
  Outcome<SetResult> marker;
  client->SetAsync("marker", "v", {}, marker.Setter());
  EXPECT_TRUE(service_->AwaitCancelled(2));
  Outcome<MaybeHit> fresh;
  client->GetAsync("fresh", {}, fresh.Setter());
  open.set_value();

  EXPECT_EQ(late.Take().status().code(), absl::StatusCode::kDeadlineExceeded);
  const absl::StatusOr<MaybeHit> hit = fresh.Take();
  EXPECT_TRUE(hit.ok()) << hit.status();
  EXPECT_EQ(first.Take().status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(marker.Take().status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ClientGatherTest, ABatchThatOutlivesItsOldestIsSentAgainForTheOthers) {
  ClientOptions options = OneAtATime();
  options.deadline = milliseconds(2'000);
  service_->On(Method::kBatchGet, InTurn({Answer().Held(), Answer()}));
  const auto client = Connect(options);
  Outcome<MaybeHit> first;
  Occupy(*client, &first);
  Outcome<MaybeHit> oldest;
  client->GetAsync("oldest", {}, oldest.Setter());
  // Younger than the oldest by some time, which passes while the service holds a call of that long.
  service_->On(Method::kTouch, InTurn({Answer().Held()}));
  EXPECT_FALSE(client->Touch("k", {.deadline = milliseconds(1'000)}).ok());
  std::vector<Outcome<MaybeHit>> younger(2);
  for (Outcome<MaybeHit>& get : younger) client->GetAsync("younger", {}, get.Setter());
  service_->Release();

  EXPECT_EQ(oldest.Take().status().code(), absl::StatusCode::kDeadlineExceeded);
  for (Outcome<MaybeHit>& get : younger) {
    const absl::StatusOr<MaybeHit> hit = get.Take();
    EXPECT_TRUE(hit.ok()) << hit.status();
  }
}

// --- the end
// ----------------------------------------------------------------------------------------------------------

TEST_F(ClientGatherTest, TheClientsEndCancelsAllThatWaitOnce) {
  constexpr int kWaiting = 5'000;
  Tally tally(kWaiting);
  Outcome<MaybeHit> first;
  auto client = Connect(OneAtATime());
  Occupy(*client, &first);
  for (int i = 0; i < kWaiting; ++i) {
    client->GetAsync(absl::StrCat(i), {.name_space = absl::StrCat("n", i % 3)}, tally.Setter(i));
  }
  client.reset();
  EXPECT_THAT(tally.calls(), Each(1));
  EXPECT_THAT(tally.codes(), Each(absl::StatusCode::kCancelled));
  ASSERT_TRUE(first.ready());
  EXPECT_EQ(first.Take().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(service_->arrivals(Method::kBatchGet), 0);
}

TEST_F(ClientGatherTest, TheClientsEndCancelsAllThatWaitAlsoWhileTheBreakerIsOpen) {
  constexpr int kWaiting = 20'000;
  ClientOptions options = OneAtATime();
  options.breaker = {.consecutive_failures = 1, .open_for = std::chrono::hours(1)};
  Tally tally(kWaiting);
  Outcome<MaybeHit> first;
  auto client = Connect(options);
  Occupy(*client, &first);
  for (int i = 0; i < kWaiting; ++i) client->GetAsync(absl::StrCat(i), {}, tally.Setter(i));
  OpenBreaker(*client);
  client.reset();
  EXPECT_THAT(tally.calls(), Each(1));
  EXPECT_THAT(tally.codes(), Each(absl::StatusCode::kCancelled));
}

TEST_F(ClientGatherTest, AnOpenBreakerEndsAllThatWaitOnce) {
  constexpr int kWaiting = 20'000;
  ClientOptions options = OneAtATime();
  options.breaker = {.consecutive_failures = 1, .open_for = std::chrono::hours(1)};
  Tally tally(kWaiting);
  Outcome<MaybeHit> first;
  const auto client = Connect(options);
  Occupy(*client, &first);
  for (int i = 0; i < kWaiting; ++i) client->GetAsync(absl::StrCat(i), {}, tally.Setter(i));
  OpenBreaker(*client);
  service_->Release();
  EXPECT_TRUE(tally.AwaitAll());
  EXPECT_THAT(tally.calls(), Each(1));
  EXPECT_THAT(tally.codes(), Each(absl::StatusCode::kUnavailable));
  EXPECT_EQ(service_->arrivals(Method::kBatchGet), 0);
}

TEST_F(ClientGatherTest, TheClientsEndCancelsEveryCallUnderWay) {
  for (const Operation& operation : AllOperations()) service_->On(operation.method, InTurn({Answer().Held()}));
  Outcome<MaybeHit> get;
  Outcome<SetResult> set;
  Outcome<bool> touch, release;
  Outcome<BatchGetResults> batch_get;
  Outcome<BatchSetResults> batch_set;
  Outcome<InvalidateResult> invalidate;
  Outcome<WarmProgress> warm;
  Outcome<ServiceStats> stats;
  auto client = Connect(Plain());
  client->GetAsync("a", {}, get.Setter());
  client->SetAsync("b", "v", {}, set.Setter());
  client->TouchAsync("c", {}, touch.Setter());
  client->ReleaseAsync("h", "lease", {}, release.Setter());
  client->BatchGetAsync({"d", "e"}, {}, batch_get.Setter());
  client->BatchSetAsync({{.key = "f", .value = "v"}}, {}, batch_set.Setter());
  client->InvalidateAsync({.keys = {"g"}}, {}, invalidate.Setter());
  client->WarmAsync(Entries(2), {}, warm.Setter());
  client->StatsAsync({}, stats.Setter());
  for (const Operation& operation : AllOperations()) EXPECT_TRUE(service_->AwaitArrivals(operation.method, 1));
  client.reset();
  EXPECT_EQ(get.Take().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(set.Take().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(touch.Take().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(release.Take().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(batch_get.Take().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(batch_set.Take().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(invalidate.Take().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(warm.Take().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(stats.Take().status().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(service_->AwaitCancelled(9));
}

}  // namespace
}  // namespace larder
