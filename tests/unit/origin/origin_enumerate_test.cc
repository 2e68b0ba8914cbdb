// Keys that the origin names.
#include <atomic>
#include <string>
#include <vector>

#include "tests/support/eventually.h"
#include "tests/unit/origin/origin_fixture.h"

namespace larder {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Writer = grpc::ServerWriter<v1::EnumerateResponse>;

v1::EnumerateResponse Message(const std::vector<std::string>& keys) {
  v1::EnumerateResponse message;
  for (const std::string& key : keys) message.add_keys(key);
  return message;
}

class OriginEnumerateTest : public GrpcOriginTest {
 protected:
  // The messages of the next streams.
  void Serve(const std::vector<std::vector<std::string>>& messages) {
    server_.set_stream([messages](grpc::ServerContext*, const v1::EnumerateRequest&, Writer* writer) {
      for (const auto& keys : messages) {
        if (!writer->Write(Message(keys))) break;
      }
      return grpc::Status::OK;
    });
  }

  // Enumerates to the end, into taken_.
  absl::Status Enumerate(const std::string& prefix, int64_t limit) {
    taken_.clear();
    Answers<absl::Status> ends;
    origin().Enumerate(
        prefix, limit,
        [this](std::vector<std::string> keys) {
          taken_.push_back(std::move(keys));
          return true;
        },
        ends.For("end"));
    return ends.Await("end");
  }

  std::vector<std::vector<std::string>> taken_;
};

TEST_F(OriginEnumerateTest, HandsOverWhatTheOriginNames) {
  Serve({{"p:1", "p:2"}, {}, {"p:3"}});
  EXPECT_EQ(Enumerate("p:", 0), absl::OkStatus());
  EXPECT_THAT(taken_, ElementsAre(ElementsAre("p:1", "p:2"), ElementsAre("p:3")));
  EXPECT_EQ(server_.enumerate_request().namespace_(), "shop");
  EXPECT_EQ(server_.enumerate_request().prefix(), "p:");
  EXPECT_EQ(server_.enumerate_request().limit(), 0);
}

TEST_F(OriginEnumerateTest, TakesNoMoreThanTheLimit) {
  Serve({{"1", "2"}, {"3", "4"}, {"5"}});
  EXPECT_EQ(Enumerate("", 3), absl::OkStatus());
  EXPECT_THAT(taken_, ElementsAre(ElementsAre("1", "2"), ElementsAre("3")));
  EXPECT_EQ(server_.enumerate_request().limit(), 3);
}

TEST_F(OriginEnumerateTest, EndsTheStreamWhenNoMoreAreWanted) {
  std::atomic<bool> seen{false};
  server_.set_stream([&seen](grpc::ServerContext* context, const v1::EnumerateRequest&, Writer* writer) {
    writer->Write(Message({"1"}));
    seen = Eventually([&] { return context->IsCancelled(); });
    return grpc::Status::OK;
  });
  Answers<absl::Status> ends;
  origin().Enumerate(
      "", 0, [](const std::vector<std::string>&) { return false; }, ends.For("end"));
  EXPECT_EQ(ends.Await("end"), absl::OkStatus());
  EXPECT_TRUE(Eventually([&] { return seen.load(); }));
}

TEST_F(OriginEnumerateTest, AsksForNoMoreWhileTheKeysAreNotTaken) {
  constexpr int kMessages = 100;  // of 300 kB each
  std::vector<std::string> keys;
  for (int i = 0; i < 1000; ++i) keys.push_back(std::to_string(i) + std::string(300, 'k'));
  std::atomic<int> written{0};
  server_.set_stream([&](grpc::ServerContext*, const v1::EnumerateRequest&, Writer* writer) {
    while (written < kMessages && writer->Write(Message(keys))) ++written;
    return grpc::Status::OK;
  });
  Answers<absl::Status> ends;
  int taken = 0;
  origin().Enumerate(
      "", 0,
      [&](const std::vector<std::string>&) {
        if (++taken == 1) {
          EXPECT_FALSE(Eventually([&] { return written == kMessages; }, std::chrono::milliseconds(500)));
        }
        return true;
      },
      ends.For("end"));
  EXPECT_EQ(ends.Await("end"), absl::OkStatus());
  EXPECT_EQ(taken, kMessages);
}

TEST_F(OriginEnumerateTest, RefusesWhatTheOriginMayNotName) {
  Serve({{"p:1"}, std::vector<std::string>(1001, "p:2")});
  EXPECT_EQ(Enumerate("p:", 0),
            absl::FailedPreconditionError("the origin named 1001 keys in one message, the limit is 1000"));
  EXPECT_THAT(taken_, ElementsAre(ElementsAre("p:1")));
  Serve({{"p:1", "q:1"}});
  EXPECT_EQ(Enumerate("p:", 0),
            absl::FailedPreconditionError("the origin named a key without the prefix that was asked for"));
  EXPECT_THAT(taken_, IsEmpty());
  Serve({{std::string(513, 'p')}});
  EXPECT_EQ(Enumerate("p", 0), absl::FailedPreconditionError(
                                   "the origin named a key that breaks a limit: key: 513 bytes, the limit is 512"));
}

TEST_F(OriginEnumerateTest, SaysHowTheStreamFailed) {
  server_.set_stream([](grpc::ServerContext*, const v1::EnumerateRequest&, Writer* writer) {
    writer->Write(Message({"1"}));
    return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "not here");
  });
  EXPECT_EQ(Enumerate("", 0), absl::UnknownError("the origin failed the call: UNIMPLEMENTED: not here"));
  EXPECT_THAT(taken_, ElementsAre(ElementsAre("1")));
}

TEST_F(OriginEnumerateTest, WhoTakesTheKeysMayTakeLongerThanTheOriginMay) {
  settings().hard_timeout_ms = 5'000;
  std::atomic<bool> go_on{false};
  server_.set_stream([&](grpc::ServerContext*, const v1::EnumerateRequest&, Writer* writer) {
    writer->Write(Message({"1"}));
    Eventually([&] { return go_on.load(); });
    writer->Write(Message({"2"}));
    return grpc::Status::OK;
  });
  Answers<absl::Status> ends;
  std::atomic<int> taken{0};
  origin().Enumerate(
      "", 0,
      [&](const std::vector<std::string>&) {
        ++taken;
        return Eventually([&] { return go_on.load(); });
      },
      ends.For("end"));
  ASSERT_TRUE(Eventually([&] { return taken == 1; }));
  scheduler_.Advance(20'000 * kMilli);
  go_on = true;
  EXPECT_EQ(ends.Await("end"), absl::OkStatus());
  EXPECT_EQ(taken, 2);
}

TEST_F(OriginEnumerateTest, GivesUpOnAnOriginThatNamesNothingForTooLong) {
  settings().hard_timeout_ms = 5'000;
  server_.set_stream([](grpc::ServerContext* context, const v1::EnumerateRequest&, Writer* writer) {
    writer->Write(Message({"1"}));
    Eventually([&] { return context->IsCancelled(); });
    return grpc::Status::OK;
  });
  Answers<absl::Status> ends;
  std::atomic<bool> taking{false};
  std::atomic<bool> go_on{false};
  origin().Enumerate(
      "", 0,
      [&](const std::vector<std::string>&) {
        taking = true;
        return Eventually([&] { return go_on.load(); });
      },
      ends.For("end"));
  ASSERT_TRUE(Eventually([&] { return taking.load(); }));
  go_on = true;
  // The clock is read again when the next keys are asked for; then it stands still for a while for the watch to see.
  ASSERT_TRUE(Eventually([&] {
    scheduler_.Advance(1'000 * kMilli);
    return ends.Count("end") == 1;
  }));
  EXPECT_EQ(ends.Await("end"), absl::DeadlineExceededError("the origin named no keys for 5000 ms"));
}

}  // namespace
}  // namespace larder
