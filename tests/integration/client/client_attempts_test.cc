// How often a call is sent, where to, and what the application hears of it.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "larder/client.h"
#include "larder/v1/cache.pb.h"
#include "tests/integration/client/script_test.h"
#include "tests/support/eventually.h"

namespace larder {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Steady = std::chrono::steady_clock;

// gRPC counts in whole milliseconds, on the wire and at both ends.
constexpr milliseconds kRounding{5};

// Two replicas, so that there is always another one to go to.
class TwoReplicasTest : public ScriptTest, public ::testing::WithParamInterface<Operation> {
 protected:
  void SetUp() override {
    ScriptTest::SetUp();
    other_ = Start({});
  }

  ClientOptions Both() {
    ClientOptions options = Plain();
    options.target = absl::StrCat(service_->target(), ",", other_->target());
    return options;
  }
  void OnBoth(const Script& script) {
    service_->On(GetParam().method, script);
    other_->On(GetParam().method, script);
  }
  int arrivals() const { return service_->arrivals(GetParam().method) + other_->arrivals(GetParam().method); }

  std::unique_ptr<ScriptedService> other_;
};

// --- what may have landed is not sent again -------------------------------------------------------------------------

class ClientWritesTest : public TwoReplicasTest {};

TEST_P(ClientWritesTest, OneThatWasAnsweredUnavailableIsNotSentAgain) {
  OnBoth(InTurn({Answer::Fail(grpc::StatusCode::UNAVAILABLE, "the store is away")}));
  const auto client = Connect(Both());
  const absl::Status status = GetParam().run(*client);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(std::string(status.message()), "the store is away");
  EXPECT_EQ(arrivals(), 1);
  EXPECT_EQ(recorder_.refused_retries(), 0);
}

TEST_P(ClientWritesTest, OneThatTheServiceCancelledIsNotSentAgain) {
  OnBoth(InTurn({Answer::Fail(grpc::StatusCode::CANCELLED, "stopping")}));
  const auto client = Connect(Both());
  const absl::Status status = GetParam().run(*client);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the service cancelled the "));
  EXPECT_THAT(std::string(status.message()), HasSubstr("stopping"));
  EXPECT_EQ(arrivals(), 1);
}

TEST_P(ClientWritesTest, OneWhoseConnectionWasCutIsNotSentAgain) {
  OnBoth(InTurn({Answer().Held()}));
  const auto client = Connect(Both());
  absl::Status status;
  std::thread caller([&] { status = GetParam().run(*client); });
  EXPECT_TRUE(Eventually([&] { return arrivals() == 1; }));
  (service_->arrivals(GetParam().method) == 1 ? service_ : other_)->Kill();
  caller.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(arrivals(), 1);
}

INSTANTIATE_TEST_SUITE_P(Each, ClientWritesTest, ::testing::ValuesIn(NotRepeatable()), NameOf);

// --- what may be repeated is
// ------------------------------------------------------------------------------------------

class ClientRetriesTest : public TwoReplicasTest {};

TEST_P(ClientRetriesTest, TheThirdAttemptMaySucceed) {
  const Answer away = Answer::Fail(grpc::StatusCode::UNAVAILABLE);
  service_->On(GetParam().method, InTurn({away, away, Answer()}));
  const auto client = Connect(Plain());
  EXPECT_EQ(GetParam().run(*client), absl::OkStatus());
  EXPECT_EQ(service_->arrivals(GetParam().method), 3);
}

TEST_P(ClientRetriesTest, ThereIsNoFourthAttempt) {
  service_->On(GetParam().method, InTurn({Answer::Fail(grpc::StatusCode::UNAVAILABLE, "still away")}));
  const auto client = Connect(Plain());
  EXPECT_EQ(GetParam().run(*client), absl::UnavailableError("still away"));
  EXPECT_EQ(service_->arrivals(GetParam().method), 3);
}

TEST_P(ClientRetriesTest, OneAttemptMeansNoRetry) {
  service_->On(GetParam().method, InTurn({Answer::Fail(grpc::StatusCode::UNAVAILABLE, "away"), Answer()}));
  ClientOptions options = Plain();
  options.retry.max_attempts = 1;
  const auto client = Connect(options);
  EXPECT_EQ(GetParam().run(*client), absl::UnavailableError("away"));
  EXPECT_EQ(service_->arrivals(GetParam().method), 1);
}

TEST_P(ClientRetriesTest, AStoppingServersCancellationIsRetried) {
  service_->On(GetParam().method, InTurn({Answer::Fail(grpc::StatusCode::CANCELLED), Answer()}));
  const auto client = Connect(Plain());
  EXPECT_EQ(GetParam().run(*client), absl::OkStatus());
  EXPECT_EQ(service_->arrivals(GetParam().method), 2);
}

TEST_P(ClientRetriesTest, TheSecondAttemptGoesToTheOtherReplica) {
  auto asked = std::make_shared<std::atomic<int>>(0);
  OnBoth([asked](const Arrival&) { return ++*asked == 1 ? Answer::Fail(grpc::StatusCode::UNAVAILABLE) : Answer(); });
  const auto client = Connect(Both());
  EXPECT_EQ(GetParam().run(*client), absl::OkStatus());
  EXPECT_EQ(service_->arrivals(GetParam().method), 1);
  EXPECT_EQ(other_->arrivals(GetParam().method), 1);
}

TEST_P(ClientRetriesTest, AReplicaThatIsKilledIsReplacedByTheOther) {
  auto asked = std::make_shared<std::atomic<int>>(0);
  OnBoth([asked](const Arrival&) { return ++*asked == 1 ? Answer().Held() : Answer(); });
  const auto client = Connect(Both());
  absl::Status status;
  std::thread caller([&] { status = GetParam().run(*client); });
  EXPECT_TRUE(Eventually([&] { return arrivals() == 1; }));
  (service_->arrivals(GetParam().method) == 1 ? service_ : other_)->Kill();
  caller.join();
  EXPECT_EQ(status, absl::OkStatus());
  EXPECT_EQ(service_->arrivals(GetParam().method), 1);
  EXPECT_EQ(other_->arrivals(GetParam().method), 1);
}

TEST_P(ClientRetriesTest, OtherFailuresAreFinal) {
  const auto client = Connect(Plain());
  int calls = 0;
  for (int code = 1; code <= 16; ++code) {
    const auto sent = static_cast<grpc::StatusCode>(code);
    if (sent == grpc::StatusCode::UNAVAILABLE || sent == grpc::StatusCode::CANCELLED) continue;
    if (sent == grpc::StatusCode::DEADLINE_EXCEEDED) continue;  // below
    service_->On(GetParam().method, InTurn({Answer::Fail(sent, "because")}));
    EXPECT_EQ(GetParam().run(*client), absl::Status(static_cast<absl::StatusCode>(code), "because"));
    EXPECT_EQ(service_->arrivals(GetParam().method), ++calls) << "code " << code;
    calls = service_->arrivals(GetParam().method);
  }
}

// No attempt has a time of its own here: the service says that it was too slow, and asking again makes it no faster.
TEST_P(ClientRetriesTest, TheServicesOwnDeadlineIsFinal) {
  service_->On(GetParam().method, InTurn({Answer::Fail(grpc::StatusCode::DEADLINE_EXCEEDED, "the store is slow")}));
  const auto client = Connect(Plain());
  EXPECT_EQ(GetParam().run(*client), absl::DeadlineExceededError("the store is slow"));
  EXPECT_EQ(service_->arrivals(GetParam().method), 1);
}

INSTANTIATE_TEST_SUITE_P(Each, ClientRetriesTest, ::testing::ValuesIn(Repeatable()), NameOf);

class ClientAttemptsTest : public ScriptTest {};

// The other replica's near tier may not know of this process's writes.
TEST_F(ClientAttemptsTest, TheOtherReplicaIsReadPastItsNearTier) {
  const auto other = Start({});
  std::atomic<int> asked{0};
  std::atomic<int> as_wanted{0};
  const auto judge = [&](v1::ReadFrom read_from) {
    const bool first = ++asked % 2 == 1;
    if (read_from == (first ? v1::READ_FROM_UNSPECIFIED : v1::READ_FROM_STORE)) ++as_wanted;
    return first ? Answer::Fail(grpc::StatusCode::UNAVAILABLE) : Answer();
  };
  for (ScriptedService* service : {service_.get(), other.get()}) {
    service->On(Method::kGet, [&](const Arrival& call) { return judge(call.As<v1::GetRequest>().read_from()); });
    service->On(Method::kBatchGet,
                [&](const Arrival& call) { return judge(call.As<v1::BatchGetRequest>().read_from()); });
  }
  ClientOptions options = Plain();
  options.target = absl::StrCat(service_->target(), ",", other->target());
  const auto client = Connect(options);
  EXPECT_TRUE(client->Get("k").ok());
  EXPECT_EQ(as_wanted, 2);
  EXPECT_TRUE(client->BatchGet({"a", "b"}).ok());
  EXPECT_EQ(as_wanted, 4);
}

// --- statuses -------------------------------------------------------------------------------------------------------

TEST_F(ClientAttemptsTest, AWriteEndsWithTheCodeAndMessageOfTheAnswer) {
  const auto client = Connect(Plain());
  for (int code = 1; code <= 16; ++code) {
    const auto sent = static_cast<grpc::StatusCode>(code);
    if (sent == grpc::StatusCode::CANCELLED) continue;  // nobody here cancelled it: see above
    service_->On(Method::kSet, InTurn({Answer::Fail(sent, "because of this")}));
    const absl::Status status = client->Set("k", "v").status();
    EXPECT_EQ(static_cast<int>(status.code()), code);
    EXPECT_EQ(std::string(status.message()), "because of this");
  }
}

TEST_F(ClientAttemptsTest, OnlyFailuresToReachTheServiceAreMisses) {
  ClientOptions options = Plain();
  options.failed_reads_are_misses = true;
  options.retry.max_attempts = 1;
  const auto client = Connect(options);
  for (int code = 1; code <= 16; ++code) {
    const auto sent = static_cast<absl::StatusCode>(code);
    service_->On(Method::kGet, InTurn({Answer::Fail(static_cast<grpc::StatusCode>(code))}));
    service_->On(Method::kBatchGet, InTurn({Answer::Fail(static_cast<grpc::StatusCode>(code))}));
    const bool miss = sent == absl::StatusCode::kUnavailable || sent == absl::StatusCode::kDeadlineExceeded ||
                      sent == absl::StatusCode::kResourceExhausted || sent == absl::StatusCode::kCancelled;
    EXPECT_EQ(client->Get("k").ok(), miss) << "code " << code;
    EXPECT_EQ(client->BatchGet({"a", "b"}).ok(), miss) << "code " << code;
  }
  EXPECT_EQ(recorder_.failures(), 16 * 3);
}

TEST_F(ClientAttemptsTest, ARequestOverTheServicesLimitIsTheCallersFault) {
  service_ = Start({.max_request_bytes = 4096});
  const auto client = Connect(Plain());
  const absl::Status status = client->Set("k", std::string(8192, 'v')).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the service's grpc.max_request_bytes"));
  EXPECT_EQ(service_->arrivals(Method::kSet), 0);
}

TEST_F(ClientAttemptsTest, AnAnswerOverTheClientsLimitIsNotAskedForAgain) {
  v1::GetResponse large;
  large.set_status(v1::STATUS_HIT);
  large.set_value(std::string((4 << 20) + 1, 'v'));
  service_->On(Method::kGet, InTurn({Answer::Reply(large)}));
  ClientOptions options = Plain();
  options.max_response_bytes = 4 << 20;
  const auto client = Connect(options);
  const absl::Status status = client->Get("k").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(status.message()), HasSubstr("max_response_bytes: the service's answer is larger"));
  EXPECT_EQ(service_->arrivals(Method::kGet), 1);
}

TEST_F(ClientAttemptsTest, AnAbortedWriteTellsTheVersionThatIsThere) {
  const auto client = Connect(Plain());
  Answer aborted = Answer::Fail(grpc::StatusCode::ABORTED, "the condition does not hold");
  const auto current = [&](std::optional<std::string> version) {
    aborted.version = std::move(version);
    service_->On(Method::kSet, InTurn({aborted}));
    const absl::Status status = client->Set("k", "v", {.condition = Condition::IfVersion(1)}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
    EXPECT_EQ(std::string(status.message()), "the condition does not hold");
    return CurrentVersion(status);
  };
  EXPECT_EQ(current("42"), 42u);
  EXPECT_EQ(current("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(current(std::nullopt), std::nullopt);
  EXPECT_EQ(current("18446744073709551616"), std::nullopt);
  EXPECT_EQ(current("none"), std::nullopt);
}

// --- the budget
// -------------------------------------------------------------------------------------------------------

TEST_F(ClientAttemptsTest, RetriesAreBoundedByTheBudget) {
  constexpr int kCalls = 200;
  service_->On(Method::kGet, InTurn({Answer::Fail(grpc::StatusCode::UNAVAILABLE)}));
  const auto client = Connect(Plain());
  for (int i = 0; i < kCalls; ++i) EXPECT_FALSE(client->Get("k").ok());
  const int arrivals = service_->arrivals(Method::kGet);
  EXPECT_LE(arrivals, kCalls * 1.2 + 20);
  EXPECT_GE(arrivals, kCalls * 1.2);
  EXPECT_GT(recorder_.refused_retries(), kCalls / 2);
  EXPECT_LE(recorder_.refused_retries(), kCalls);
}

TEST_F(ClientAttemptsTest, ABudgetOfNothingAllowsNoRetry) {
  service_->On(Method::kGet, InTurn({Answer::Fail(grpc::StatusCode::UNAVAILABLE)}));
  ClientOptions options = Plain();
  options.retry.budget = 0;
  const auto client = Connect(options);
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(client->Get("k").ok());
  EXPECT_EQ(service_->arrivals(Method::kGet), 10);
  EXPECT_EQ(recorder_.refused_retries(), 10);
}

// --- time
// -------------------------------------------------------------------------------------------------------------

class ClientTimeTest : public TwoReplicasTest {};

TEST_P(ClientTimeTest, AHeldCallEndsAtItsDeadlineWhichTheServiceKnows) {
  constexpr milliseconds kDeadline{500};
  ClientOptions options = Plain();
  options.deadline = kDeadline;
  service_->On(GetParam().method, InTurn({Answer().Held()}));
  const auto client = Connect(options);
  const auto began = Steady::now();
  EXPECT_EQ(GetParam().run(*client).code(), absl::StatusCode::kDeadlineExceeded);
  const auto took = Steady::now() - began;
  EXPECT_GE(took, kDeadline - kRounding);
  EXPECT_LT(took, kDeadline + std::chrono::seconds(5));
  ASSERT_EQ(service_->arrivals(GetParam().method), 1);
  EXPECT_LE(service_->seen(GetParam().method)[0].left, kDeadline + kRounding);
  EXPECT_TRUE(service_->AwaitCancelled(1));
}

std::vector<Operation> AllWithTheClientsDeadline() {
  std::vector<Operation> all = AllOperations();
  std::erase_if(all, [](const Operation& operation) { return operation.method == Method::kWarm; });
  return all;
}

INSTANTIATE_TEST_SUITE_P(Each, ClientTimeTest, ::testing::ValuesIn(AllWithTheClientsDeadline()), NameOf);

TEST_F(ClientAttemptsTest, AWarmUpEndsAtItsOwnDeadline) {
  service_->On(Method::kWarm, InTurn({Answer().Held()}));
  const auto client = Connect(Plain());
  EXPECT_EQ(client->Warm(Entries(3), {.deadline = milliseconds(500)}).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  ASSERT_EQ(service_->arrivals(Method::kWarm), 1);
  EXPECT_LE(service_->seen(Method::kWarm)[0].left, milliseconds(500) + kRounding);
}

TEST_F(ClientAttemptsTest, AnAttemptWithoutAnAnswerIsFollowedByAnother) {
  constexpr milliseconds kAttempt{500};
  service_->On(Method::kGet, InTurn({Answer().Held(), Answer()}));
  ClientOptions options = Plain();
  options.retry.attempt_timeout = kAttempt;
  const auto client = Connect(options);
  EXPECT_TRUE(client->Get("k").ok());
  const std::vector<Arrival> seen = service_->seen(Method::kGet);
  ASSERT_GE(seen.size(), 2u);
  EXPECT_LE(seen[0].left, kAttempt + kRounding);
  EXPECT_LE(seen[1].left, kAttempt + kRounding);
}

TEST_F(ClientAttemptsTest, AttemptsEndWithTheCallsDeadline) {
  service_->On(Method::kGet, InTurn({Answer().Held()}));
  ClientOptions options = Plain();
  options.deadline = milliseconds(300);
  options.retry.attempt_timeout = milliseconds(200);
  const auto client = Connect(options);
  const auto began = Steady::now();
  EXPECT_EQ(client->Get("k").status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(Steady::now() - began, std::chrono::seconds(5));
  const std::vector<Arrival> seen = service_->seen(Method::kGet);
  ASSERT_FALSE(seen.empty());
  if (seen.size() > 1) {
    EXPECT_LE(seen[1].left, milliseconds(100) + kRounding);
  }
}

// It is not sent again, so a shorter time would only make it end in doubt.
TEST_F(ClientAttemptsTest, AWriteHasTheWholeDeadline) {
  ClientOptions options = Plain();
  options.retry.attempt_timeout = milliseconds(100);
  const auto client = Connect(options);
  for (const Operation& operation : NotRepeatable()) {
    EXPECT_EQ(operation.run(*client), absl::OkStatus()) << operation;
    ASSERT_EQ(service_->arrivals(operation.method), 1) << operation;
    EXPECT_GT(service_->seen(operation.method)[0].left, std::chrono::seconds(30)) << operation;
  }
}

// --- what the observer hears
// --------------------------------------------------------------------------------------------

TEST_F(ClientAttemptsTest, TheObserverHearsOfSuccessRetryAndFailure) {
  const Answer away = Answer::Fail(grpc::StatusCode::UNAVAILABLE);
  const auto client = Connect(Plain());
  EXPECT_TRUE(client->Get("k").ok());
  service_->On(Method::kTouch, InTurn({away, away, Answer()}));
  EXPECT_TRUE(client->Touch("k").ok());
  EXPECT_TRUE(client->BatchGet({"a", "b", "c"}).ok());
  EXPECT_TRUE(client->Invalidate({.keys = {"a", "b"}}).ok());
  service_->On(Method::kSet, InTurn({away}));
  EXPECT_FALSE(client->Set("k", "v").ok());
  EXPECT_THAT(recorder_.calls(), ElementsAre(Recorder::Call{"Get", absl::StatusCode::kOk, 1, 1},
                                             Recorder::Call{"Touch", absl::StatusCode::kOk, 3, 1},
                                             Recorder::Call{"BatchGet", absl::StatusCode::kOk, 1, 3},
                                             Recorder::Call{"Invalidate", absl::StatusCode::kOk, 1, 2},
                                             Recorder::Call{"Set", absl::StatusCode::kUnavailable, 1, 1}));
}

TEST_F(ClientAttemptsTest, TheObserverHearsWhatAReadEndedWithBeforeItBecameAMiss) {
  service_->On(Method::kGet, InTurn({Answer::Fail(grpc::StatusCode::RESOURCE_EXHAUSTED)}));
  ClientOptions options = Plain();
  options.failed_reads_are_misses = true;
  const auto client = Connect(options);
  EXPECT_TRUE(client->Get("k").ok());
  EXPECT_THAT(recorder_.calls(), ElementsAre(Recorder::Call{"Get", absl::StatusCode::kResourceExhausted, 1, 1}));
  EXPECT_EQ(recorder_.failures(), 1);
}

TEST_F(ClientAttemptsTest, TheObserverHearsOfCallsThatTheBreakerRefused) {
  service_->On(Method::kSet, InTurn({Answer::Fail(grpc::StatusCode::UNAVAILABLE, "out of order")}));
  ClientOptions options = Plain();
  options.breaker = {.consecutive_failures = 1, .open_for = std::chrono::hours(1)};
  const auto client = Connect(options);
  EXPECT_FALSE(client->Set("k", "v").ok());
  ASSERT_EQ(client->state(), ServiceState::kDown);
  for (const Operation& operation : AllOperations()) {
    const absl::Status status = operation.run(*client);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << operation;
    EXPECT_THAT(std::string(status.message()), HasSubstr("not called for now: out of order")) << operation;
    EXPECT_EQ(service_->arrivals(operation.method), operation.name == "Set" ? 1 : 0) << operation;
    const Recorder::Call last = recorder_.calls().back();
    EXPECT_EQ(last.method, operation.name);
    EXPECT_EQ(last.code, absl::StatusCode::kUnavailable) << operation;
    EXPECT_EQ(last.attempts, 0) << operation;
  }
}

// --- the breaker's probe
// ------------------------------------------------------------------------------------------------

TEST_F(ClientAttemptsTest, AWarmUpThatFindsTheServiceBackDoesNotKeepOtherCallsWaiting) {
  service_->On(Method::kSet, InTurn({Answer::Fail(grpc::StatusCode::UNAVAILABLE)}));
  service_->On(Method::kWarm, InTurn({Answer().Held()}));
  ClientOptions options = Plain();
  options.breaker = {.consecutive_failures = 1, .open_for = milliseconds(1)};
  std::atomic<int> ended{0};
  const auto client = Connect(options);
  EXPECT_FALSE(client->Set("k", "v").ok());

  // One of these is the call that is let through to see, and it lasts.
  EXPECT_TRUE(Eventually([&] {
    client->WarmAsync(Entries(1), {}, [&](const absl::StatusOr<WarmProgress>&) { ++ended; });
    return client->state() != ServiceState::kDown;
  })) << "the breaker let none of "
      << ended << " streams through";
  EXPECT_TRUE(Eventually([&] { return client->Get("k").ok(); }, std::chrono::seconds(5)));
  EXPECT_EQ(client->state(), ServiceState::kUp);
  service_->Release();
}

}  // namespace
}  // namespace larder
