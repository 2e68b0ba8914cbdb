#include "client/src/options_check.h"

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace larder::internal {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

TEST(OptionsCheckTest, TheDefaultsAreGood) { EXPECT_TRUE(CheckOptions({}).ok()); }

TEST(OptionsCheckTest, EachFieldHasLimitsAndIsNamed) {
  struct Case {
    const char* field;
    std::function<void(ClientOptions*)> set;
  };
  const std::vector<Case> cases = {
      {"name_space: must match", [](ClientOptions* o) { o->name_space = ""; }},
      {"name_space: must match", [](ClientOptions* o) { o->name_space = std::string(64, 'a'); }},
      {"deadline: must be 1 to 3600000 ms, not 0", [](ClientOptions* o) { o->deadline = milliseconds(0); }},
      {"deadline: must", [](ClientOptions* o) { o->deadline = hours(2); }},
      {"retry.max_attempts: must be 1 to 3, not 4", [](ClientOptions* o) { o->retry.max_attempts = 4; }},
      {"retry.budget: must be 0 to 1", [](ClientOptions* o) { o->retry.budget = 1.5; }},
      {"retry.attempt_timeout", [](ClientOptions* o) { o->retry.attempt_timeout = milliseconds(-1); }},
      {"retry.initial_backoff", [](ClientOptions* o) { o->retry.initial_backoff = milliseconds(0); }},
      {"breaker.consecutive_failures", [](ClientOptions* o) { o->breaker.consecutive_failures = -1; }},
      {"breaker.open_for", [](ClientOptions* o) { o->breaker.open_for = milliseconds(0); }},
      {"near.max_age", [](ClientOptions* o) { o->near.max_age = milliseconds(0); }},
      {"near.lease: must be 100 to 60000 ms, not 99", [](ClientOptions* o) { o->near.lease = milliseconds(99); }},
      {"gather.max_keys: must be 2 to 1000, not 1", [](ClientOptions* o) { o->gather.max_keys = 1; }},
      {"gather.max_calls", [](ClientOptions* o) { o->gather.max_calls = 0; }},
      {"read_own_writes_for", [](ClientOptions* o) { o->read_own_writes_for = milliseconds(-1); }},
      {"keepalive_time: must be 10000", [](ClientOptions* o) { o->keepalive_time = milliseconds(9'999); }},
      {"keepalive_timeout", [](ClientOptions* o) { o->keepalive_timeout = milliseconds(0); }},
      {"connect_timeout", [](ClientOptions* o) { o->connect_timeout = milliseconds(0); }},
      {"resolve_interval", [](ClientOptions* o) { o->resolve_interval = milliseconds(99); }},
      {"threads: must be 1 to 64, not 0", [](ClientOptions* o) { o->threads = 0; }},
      {"max_response_bytes: must be 4 MiB", [](ClientOptions* o) { o->max_response_bytes = (4 << 20) - 1; }},
      {"tls.certificate: certificate and private_key",
       [](ClientOptions* o) { o->tls = TlsOptions{.certificate = "x"}; }},
      {"token: would travel in plaintext", [](ClientOptions* o) { o->token = [] { return std::string("t"); }; }},
  };
  for (const Case& one : cases) {
    ClientOptions options;
    one.set(&options);
    const absl::Status status = CheckOptions(options);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << one.field;
    EXPECT_THAT(std::string(status.message()), ::testing::StartsWith(one.field));
  }
}

TEST(OptionsCheckTest, ATokenMayTravelWhereNobodyListens) {
  ClientOptions options;
  options.token = [] { return std::string("t"); };
  options.target = "unix:/run/larder.sock";
  EXPECT_TRUE(CheckOptions(options).ok());
  options.target = "unix:/run/larder.sock,cache:50051";
  EXPECT_FALSE(CheckOptions(options).ok());
  options.allow_plaintext_token = true;
  EXPECT_TRUE(CheckOptions(options).ok());
  options.allow_plaintext_token = false;
  options.tls.emplace();
  EXPECT_TRUE(CheckOptions(options).ok());
}

}  // namespace
}  // namespace larder::internal
