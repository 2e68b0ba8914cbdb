// What writes answers by hand, against what protobuf writes: byte for byte.
#include "server/rpc/get_response.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/rpc/wire.h"
#include "tests/unit/rpc/rpc_test_util.h"

namespace larder {
namespace {

constexpr int kRounds = 20'000;
constexpr uint64_t kSeed = 20'261'122;

uint64_t RandomIncarnation(Random& random) { return random.OneIn(3) ? 0 : random.Bits(); }

TEST(GetResponseTest, IsByteForByteWhatProtobufWrites) {
  Random random(kSeed);
  for (int round = 0; round < kRounds; ++round) {
    GetAnswer answer = RandomAnswer(random);
    const uint64_t incarnation = RandomIncarnation(random);
    const std::string expected = MessageOf(answer, incarnation).SerializeAsString();
    EXPECT_EQ(GetResponseWriter(answer, incarnation).size(), expected.size());
    ASSERT_EQ(BytesOf(SerializeAnswer(std::move(answer), incarnation)), expected) << "round " << round;
  }
}

TEST(GetResponseTest, ABatchIsByteForByteWhatProtobufWrites) {
  Random random(kSeed);
  for (int round = 0; round < kRounds / 20; ++round) {
    const uint64_t incarnation = RandomIncarnation(random);
    v1::BatchGetResponse expected;
    expected.set_incarnation(incarnation);
    std::vector<BatchGetItem> items;
    for (size_t i = random.Below(40); i > 0; --i) {
      items.push_back({.available = !random.OneIn(6), .answer = RandomAnswer(random)});
      *expected.add_results() = MessageOf(items.back().answer, 0);
      if (items.back().available) continue;
      expected.mutable_results()->rbegin()->Clear();
      expected.mutable_results()->rbegin()->set_status(v1::STATUS_UNAVAILABLE);
    }
    const std::string bytes = expected.SerializeAsString();
    ASSERT_EQ(BytesOf(SerializeBatch(items, bytes.size() + 1'000, incarnation)), bytes) << "round " << round;
  }
}

// Whatever its limit, a batch is within it, and what it has is what it would have without.
TEST(GetResponseTest, ABatchWithinALimitMarksWhatDoesNotFit) {
  Random random(kSeed);
  for (int round = 0; round < kRounds / 20; ++round) {
    std::vector<BatchGetItem> items(1 + random.Below(40));
    for (BatchGetItem& item : items) item.answer = RandomAnswer(random);
    const size_t limit = items.size() * 4 + 9 + random.Below(3'000);
    const std::string bytes = BytesOf(SerializeBatch(items, limit, 7));
    ASSERT_LE(bytes.size(), limit);
    v1::BatchGetResponse response;
    ASSERT_TRUE(response.ParseFromString(bytes));
    ASSERT_EQ(static_cast<size_t>(response.results_size()), items.size());
    for (int i = 0; i < response.results_size(); ++i) {
      v1::GetResponse expected = MessageOf(items[static_cast<size_t>(i)].answer, 0);
      if (response.results(i).status() == v1::STATUS_RETRY) {
        expected.Clear();
        expected.set_status(v1::STATUS_RETRY);
      }
      ASSERT_EQ(response.results(i).SerializeAsString(), expected.SerializeAsString());
    }
  }
}

// The one thing that a test of bytes does not see: a large value is the entry's own memory, and keeps it.
TEST(GetResponseTest, ALargeValueIsNotCopied) {
  EntryRef entry = Entry::Create({.version = 1}, "", std::string(AnswerWriter::kCopyBelowBytes, 'x'));
  const char* const memory = entry->value().data();
  grpc::ByteBuffer buffer = SerializeAnswer({.entry = std::move(entry)});
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(buffer.Dump(&slices).ok());
  ASSERT_EQ(slices.size(), 2);
  EXPECT_EQ(reinterpret_cast<const char*>(slices[1].begin()), memory);
  EXPECT_EQ(slices[1].size(), AnswerWriter::kCopyBelowBytes);
  slices.clear();
  EXPECT_EQ(BytesOf(buffer).back(), 'x') << "the buffer still holds it";
}

TEST(GetResponseTest, AnAnswerWithASmallValueIsOneSliceOfItsSize) {
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(SerializeAnswer({.entry = Entry::Create({.version = 1}, "text/plain", std::string(100, 'x'))})
                  .Dump(&slices)
                  .ok());
  EXPECT_EQ(slices.size(), 1);
}

TEST(AnswerWriterTest, HoldsWhatWasAppendedInItsOrder) {
  Random random(kSeed);
  for (int round = 0; round < 500; ++round) {
    std::string expected;
    AnswerWriter writer;
    for (size_t i = random.Below(60); i > 0; --i) {
      const std::string bytes = random.Bytes(random.OneIn(10) ? random.Below(40'000) : random.Below(100));
      switch (random.Below(3)) {
        case 0:
          writer.Append(bytes);
          break;
        case 1:
          writer.AppendValue(Entry::Create({}, "", bytes));
          break;
        default: {
          AnswerWriter other(1 + random.Below(50));
          other.Append(bytes);
          writer.Append(std::move(other));
        }
      }
      expected += bytes;
      ASSERT_EQ(writer.size(), expected.size());
    }
    ASSERT_EQ(BytesOf(writer.Build()), expected);
    EXPECT_TRUE(writer.empty());
  }
}

}  // namespace
}  // namespace larder
