// What the origin may answer, and what becomes of what it may not.
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/origin/origin_fixture.h"

namespace larder {
namespace {

using ::testing::ElementsAre;

class OriginAnswersTest : public GrpcOriginTest {
 protected:
  // Loads one key, which is answered so.
  absl::StatusOr<OriginValue> Answered(const std::function<void(v1::LoadedKey&)>& write) {
    const std::string key = absl::StrCat("key ", ++keys_);
    Load(key);
    v1::LoadResponse response;
    write(*response.add_results());
    server_.AwaitLoad()->Answer(response);
    return loads_.Await(key);
  }

 private:
  int keys_ = 0;
};

TEST_F(OriginAnswersTest, HandsOnAllThatTheOriginSays) {
  const absl::StatusOr<OriginValue> answer = Answered([](v1::LoadedKey& loaded) {
    loaded.set_value("\0\xff", 2);
    loaded.set_ttl_ms(1234);
    loaded.set_stale_for_ms(0);
    loaded.set_content_type("text/x");
    loaded.add_tags("b");
    loaded.add_tags("a");
    loaded.set_do_not_cache(true);
  });
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->value, std::string("\0\xff", 2));
  EXPECT_FALSE(answer->absent);
  EXPECT_EQ(answer->ttl.ttl_ms, 1234);
  EXPECT_EQ(answer->ttl.ttl_class, std::nullopt);
  EXPECT_EQ(answer->stale_for_ms, 0);
  EXPECT_EQ(answer->content_type, "text/x");
  EXPECT_THAT(answer->tags, ElementsAre("b", "a"));
  EXPECT_TRUE(answer->do_not_cache);
}

TEST_F(OriginAnswersTest, WhatItDoesNotSayIsNotThere) {
  const absl::StatusOr<OriginValue> answer = Answered([](v1::LoadedKey& loaded) { loaded.set_value(""); });
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->value, "");
  EXPECT_FALSE(answer->absent);
  EXPECT_EQ(answer->ttl.ttl_ms, std::nullopt);
  EXPECT_EQ(answer->stale_for_ms, std::nullopt);
  EXPECT_FALSE(answer->do_not_cache);
}

TEST_F(OriginAnswersTest, KnowsWhatIsAbsent) {
  const absl::StatusOr<OriginValue> answer = Answered([](v1::LoadedKey& loaded) {
    loaded.set_absent(true);
    loaded.set_ttl_class("user");
    loaded.add_tags("client:7");
  });
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_TRUE(answer->absent);
  EXPECT_EQ(answer->ttl.ttl_class, "user");
  EXPECT_THAT(answer->tags, ElementsAre("client:7"));
  EXPECT_EQ(Metric("cache_origin_keys_total", "absent"), 1);
}

TEST_F(OriginAnswersTest, AnErrorOfOneKeyIsNobodyElses) {
  settings().batch_delay_ms = 1;
  Load("good");
  Load("bad");
  scheduler_.Advance(kMilli);
  v1::LoadResponse response;
  response.add_results()->set_value("x");
  response.add_results()->set_error("the table is locked");
  server_.AwaitLoad()->Answer(response);
  EXPECT_EQ(AwaitValue("good"), "x");
  EXPECT_EQ(AwaitStatus("bad"), absl::UnknownError("the table is locked"));
  EXPECT_EQ(Metric("cache_origin_keys_total", "error"), 1);
  EXPECT_EQ(Metric("cache_origin_calls_total", "ok"), 1);
}

TEST_F(OriginAnswersTest, CutsALongError) {
  const auto answer = Answered([](v1::LoadedKey& loaded) { loaded.set_error(std::string(10'000, 'e')); });
  EXPECT_EQ(answer.status(), absl::UnknownError(std::string(500, 'e')));
}

TEST_F(OriginAnswersTest, RefusesWhatBreaksALimit) {
  policy_.max_value_bytes = 10;
  policy_.max_tags = 2;
  const struct {
    std::function<void(v1::LoadedKey&)> write;
    std::string message;
  } kCases[] = {
      {[](v1::LoadedKey& loaded) { loaded.set_ttl_ms(5); }, "the origin's answer has no outcome for the key"},
      {[](v1::LoadedKey& loaded) { loaded.set_absent(false); }, "the origin's answer has no outcome for the key"},
      {[](v1::LoadedKey& loaded) { loaded.set_value("eleven byte"); },
       "the origin's answer breaks a limit: value: 11 bytes, the limit is 10"},
      {[](v1::LoadedKey& loaded) {
         loaded.set_value("x");
         loaded.set_content_type(std::string(256, 'c'));
       },
       "the origin's answer breaks a limit: content_type: 256 bytes, the limit is 255"},
      {[](v1::LoadedKey& loaded) {
         loaded.set_absent(true);
         for (const char* tag : {"a", "b", "c"}) loaded.add_tags(tag);
       },
       "the origin's answer breaks a limit: tags: 3, the limit is 2"},
      {[](v1::LoadedKey& loaded) {
         loaded.set_value("x");
         loaded.add_tags("a");
         loaded.add_tags("");
       },
       "the origin's answer breaks a limit: tags[1]: empty, must be 1 to 128 bytes"},
      {[](v1::LoadedKey& loaded) {
         loaded.set_value("x");
         loaded.set_stale_for_ms(-1);
       },
       "the origin's answer breaks a limit: stale_for_ms: -1, must be 0 to 315360000000"},
  };
  for (const auto& one : kCases) {
    EXPECT_EQ(Answered(one.write).status(), absl::FailedPreconditionError(one.message));
  }
  EXPECT_EQ(Metric("cache_origin_keys_total", "failed"), static_cast<double>(std::size(kCases)));
  EXPECT_EQ(Metric("cache_origin_calls_total", "ok"), static_cast<double>(std::size(kCases)));
}

TEST_F(OriginAnswersTest, AnotherNumberOfResultsThanOfKeysFailsTheCall) {
  for (const int results : {0, 1, 3}) {
    settings().batch_delay_ms = 1;
    const std::string a = absl::StrCat("a", results);
    const std::string b = absl::StrCat("b", results);
    Load(a);
    Load(b);
    scheduler_.Advance(kMilli);
    v1::LoadResponse response;
    for (int i = 0; i < results; ++i) response.add_results()->set_value("x");
    server_.AwaitLoad()->Answer(response);
    const absl::Status expected =
        absl::FailedPreconditionError(absl::StrCat("the origin answered 2 keys with ", results, " results"));
    EXPECT_EQ(AwaitStatus(a), expected);
    EXPECT_EQ(AwaitStatus(b), expected);
  }
  EXPECT_EQ(Metric("cache_origin_calls_total", "invalid"), 3);
}

TEST_F(OriginAnswersTest, SaysHowACallFailed) {
  Load("a");
  server_.AwaitLoad()->Fail(grpc::StatusCode::INTERNAL, "no database");
  EXPECT_EQ(AwaitStatus("a"), absl::UnknownError("the origin failed the call: INTERNAL: no database"));
  Load("b");
  server_.AwaitLoad()->Fail(grpc::StatusCode::UNAVAILABLE, "busy");
  EXPECT_EQ(AwaitStatus("b"), absl::UnavailableError("the origin cannot be reached: busy"));
  EXPECT_EQ(Metric("cache_origin_calls_total", "failed"), 2);
  EXPECT_EQ(Metric("cache_origin_keys_total", "failed"), 2);
}

TEST_F(OriginAnswersTest, AnAnswerAboveTheMessageLimitFailsTheCall) {
  options_.max_receive_bytes = 64 << 10;
  const auto answer = Answered([](v1::LoadedKey& loaded) { loaded.set_value(std::string(100 << 10, 'x')); });
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnknown);
  EXPECT_THAT(std::string(answer.status().message()),
              testing::StartsWith("the origin failed the call: RESOURCE_EXHAUSTED: "));
}

}  // namespace
}  // namespace larder
