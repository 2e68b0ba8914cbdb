#include "server/rpc/wire.h"

#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/rpc/watch_cursor.h"

namespace larder {
namespace {

using ::testing::HasSubstr;

std::string Bytes(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

GetAnswer HitOf(const std::string& value) {
  return {.entry = Entry::Create({.version = 0xfedcba9876543210}, "text/plain", value),
          .tier = Tier::kNear,
          .age_nanos = 1'999'999,
          .ttl_nanos = 1'000'001};
}

v1::GetResponse MessageOf(const std::string& value) {
  v1::GetResponse message;
  message.set_status(v1::STATUS_HIT);
  message.set_tier(v1::TIER_NEAR);
  message.set_freshness(v1::FRESHNESS_FRESH);
  message.set_age_ms(1);
  message.set_ttl_ms(2);
  message.set_version(0xfedcba9876543210);
  message.set_content_type("text/plain");
  message.set_value(value);
  return message;
}

// Around the sizes at which the length takes another byte, and at which values are no longer copied.
TEST(WireTest, AnAnswerIsByteForByteWhatProtobufWrites) {
  for (const size_t size : {0, 1, 127, 128, 511, 512, 513, 16'383, 16'384, 1 << 20}) {
    const std::string value(size, 'x');
    EXPECT_EQ(Bytes(SerializeAnswer(HitOf(value))), MessageOf(value).SerializeAsString()) << size;
  }
  v1::GetResponse miss;
  miss.set_status(v1::STATUS_MISS);
  EXPECT_EQ(Bytes(SerializeAnswer({})), miss.SerializeAsString());
}

TEST(WireTest, ABatchIsByteForByteWhatProtobufWrites) {
  v1::BatchGetResponse expected;
  std::vector<BatchGetItem> items;
  for (const size_t size : {0, 1, 100, 128, 512, 20'000}) {
    items.push_back({.available = true, .answer = HitOf(std::string(size, 'x'))});
    *expected.add_results() = MessageOf(std::string(size, 'x'));
  }
  items.emplace_back();
  expected.add_results()->set_status(v1::STATUS_MISS);
  items.push_back({.available = false, .answer = {}});
  expected.add_results()->set_status(v1::STATUS_UNAVAILABLE);
  EXPECT_EQ(Bytes(SerializeBatch(std::move(items), 1 << 20)), expected.SerializeAsString());
}

// COHERENCE W1.
TEST(WireTest, AnAnswerSaysWhoGaveIt) {
  constexpr uint64_t kIncarnation = 0x8877665544332211;
  v1::GetResponse message = MessageOf("value");
  message.set_incarnation(kIncarnation);
  EXPECT_EQ(Bytes(SerializeAnswer(HitOf("value"), kIncarnation)), message.SerializeAsString());
  v1::BatchGetResponse batch;
  batch.set_incarnation(kIncarnation);
  *batch.add_results() = MessageOf("value");
  std::vector<BatchGetItem> items;
  items.push_back({.available = true, .answer = HitOf("value")});
  const size_t size = batch.ByteSizeLong();
  EXPECT_EQ(Bytes(SerializeBatch(items, size, kIncarnation)), batch.SerializeAsString());
  batch.ParseFromString(Bytes(SerializeBatch(items, size - 1, kIncarnation)));
  EXPECT_EQ(batch.results(0).status(), v1::STATUS_RETRY);
}

TEST(WireTest, ACursorIsReadAsItWasWritten) {
  const WatchCursor cursor{.incarnation = 0x8877665544332211, .sequence = 0xfedcba9876543210};
  EXPECT_EQ(DecodeWatchCursor(EncodeWatchCursor(cursor)), cursor);
  EXPECT_EQ(DecodeWatchCursor(""), std::nullopt);
  EXPECT_EQ(DecodeWatchCursor(EncodeWatchCursor(cursor).substr(1)), std::nullopt);
  EXPECT_EQ(DecodeWatchCursor(EncodeWatchCursor(cursor) + "x"), std::nullopt);
}

TEST(WireTest, ABatchStaysWithinItsLimitAndMarksWhatDoesNotFit) {
  constexpr size_t kLimit = 10'000;
  std::vector<BatchGetItem> items;
  for (const size_t size : {4'000, 4'000, 4'000, 10}) {
    items.push_back({.available = true, .answer = HitOf(std::string(size, 'x'))});
  }
  for (int i = 0; i < 300; ++i) items.emplace_back();
  const std::string bytes = Bytes(SerializeBatch(std::move(items), kLimit));
  EXPECT_LE(bytes.size(), kLimit);
  v1::BatchGetResponse response;
  ASSERT_TRUE(response.ParseFromString(bytes));
  ASSERT_EQ(response.results_size(), 304);
  EXPECT_EQ(response.results(0).status(), v1::STATUS_HIT);
  EXPECT_EQ(response.results(1).status(), v1::STATUS_HIT);
  EXPECT_EQ(response.results(2).status(), v1::STATUS_RETRY);
  EXPECT_EQ(response.results(2).value(), "");
  EXPECT_EQ(response.results(3).status(), v1::STATUS_HIT) << "a later one that fits is sent";
  EXPECT_EQ(response.results(303).status(), v1::STATUS_MISS);
}

// A batch of nothing but hits that do not fit is the worst case for the bytes kept free.
TEST(WireTest, TheLimitHoldsAtEverySize) {
  for (size_t limit = 4'000; limit < 4'300; ++limit) {
    std::vector<BatchGetItem> items;
    for (int i = 0; i < 1'000; ++i) items.push_back({.available = true, .answer = HitOf("value")});
    EXPECT_LE(Bytes(SerializeBatch(std::move(items), limit)).size(), limit);
  }
}

TEST(WireTest, TheValueOutlivesItsEntryInTheCache) {
  grpc::ByteBuffer buffer;
  {
    GetAnswer answer = HitOf(std::string(100'000, 'v'));
    buffer = SerializeAnswer(std::move(answer));
  }
  v1::GetResponse message;
  ASSERT_TRUE(Parse(buffer, &message).ok());
  EXPECT_EQ(message.value(), std::string(100'000, 'v'));
}

TEST(WireTest, WhatIsNoMessageIsRefusedByName) {
  const grpc::Slice slice("\xff\xff\xff", 3);
  v1::GetRequest request;
  EXPECT_EQ(Parse(grpc::ByteBuffer(&slice, 1), &request),
            absl::InvalidArgumentError("the request is not a valid larder.v1.GetRequest"));
}

TEST(WireTest, RepeatedFieldsAreCountedBeforeTheyAreParsed) {
  v1::BatchSetRequest request;
  request.set_namespace_("shop");
  for (int i = 0; i < 3; ++i) request.add_entries()->set_ttl_ms(1);
  const grpc::ByteBuffer bytes = Serialize(request);
  const int entries = v1::BatchSetRequest::kEntriesFieldNumber;
  EXPECT_TRUE(CheckRepeated(bytes, entries, 3, "entries").ok());
  EXPECT_EQ(CheckRepeated(bytes, entries, 2, "entries"), absl::InvalidArgumentError("entries: 3, the limit is 2"));
  const grpc::Slice broken("\x12\xff\xff\xff\xff\x0f", 6);
  EXPECT_TRUE(CheckRepeated(grpc::ByteBuffer(&broken, 1), entries, 2, "entries").ok()) << "Parse refuses it";
  v1::BatchSetRequest parsed;
  EXPECT_FALSE(Parse(grpc::ByteBuffer(&broken, 1), &parsed).ok());
}

TEST(WireTest, ConditionsAreTranslatedAndFalseOnesRefused) {
  v1::SetRequest request;
  EXPECT_EQ(ToCommand(request)->condition.kind, Condition::Kind::kNone);
  request.set_if_absent(true);
  EXPECT_EQ(ToCommand(request)->condition.kind, Condition::Kind::kAbsent);
  request.set_if_present(true);
  EXPECT_EQ(ToCommand(request)->condition.kind, Condition::Kind::kPresent);
  request.set_if_version(7);
  EXPECT_EQ(ToCommand(request)->condition.version, 7u);
  request.set_if_absent(false);
  EXPECT_THAT(std::string(ToCommand(request).status().message()), HasSubstr("if_absent"));
  request.set_if_present(false);
  EXPECT_THAT(std::string(ToCommand(request).status().message()), HasSubstr("if_present"));
  request.set_if_version(0);
  EXPECT_THAT(std::string(ToCommand(request).status().message()), HasSubstr("if_version"));
}

TEST(WireTest, UnknownPlacesToReadFromAreRefused) {
  v1::GetRequest request;
  request.set_read_from(static_cast<v1::ReadFrom>(9));
  EXPECT_EQ(ToCommand(request).status(), absl::InvalidArgumentError("read_from: 9 is not known"));
}

}  // namespace
}  // namespace larder
