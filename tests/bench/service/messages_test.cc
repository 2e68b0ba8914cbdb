#include "tests/bench/service/messages.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "grpcpp/support/slice.h"
#include "larder/v1/cache.pb.h"

namespace larder::bench {
namespace {

constexpr size_t kBytes = 100;

template <typename Message>
grpc::ByteBuffer ToBuffer(const Message& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return {&slice, 1};
}

template <typename Message>
Message FromBuffer(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  EXPECT_TRUE(buffer.DumpToSingleSlice(&slice).ok());
  Message message;
  EXPECT_TRUE(message.ParseFromArray(slice.begin(), static_cast<int>(slice.size())));
  return message;
}

v1::GetResponse Hit(const std::string& value) {
  v1::GetResponse response;
  response.set_status(v1::STATUS_HIT);
  response.set_tier(v1::TIER_NEAR);
  response.set_version(0xffff'ffff'ffff'ffff);
  response.set_content_type("text/plain");
  response.mutable_lease()->set_token("token");
  response.set_value(value);
  return response;
}

class JudgeTest : public testing::Test {
 protected:
  const Values values_{kBytes};
};

TEST_F(JudgeTest, CountsAHitWithTheKeysValue) {
  const Seen seen = JudgeGet(ToBuffer(Hit(values_.Of(7))), 7, values_);
  EXPECT_EQ(seen.hits, 1u);
  EXPECT_EQ(seen.near, 1u);
  EXPECT_EQ(seen.wrong, 0u);
}

TEST_F(JudgeTest, TellsTheTiersApart) {
  v1::GetResponse response = Hit(values_.Of(7));
  response.set_tier(v1::TIER_STORE);
  const Seen seen = JudgeGet(ToBuffer(response), 7, values_);
  EXPECT_EQ(seen.hits, 1u);
  EXPECT_EQ(seen.near, 0u);
}

TEST_F(JudgeTest, NoticesAnotherKeysValueAndAnyChangedByte) {
  EXPECT_EQ(JudgeGet(ToBuffer(Hit(values_.Of(8))), 7, values_).wrong, 1u);
  for (size_t i = 0; i < kBytes; ++i) {
    std::string value = values_.Of(7);
    value[i] = static_cast<char>(value[i] ^ 1);
    EXPECT_EQ(JudgeGet(ToBuffer(Hit(value)), 7, values_).wrong, 1u) << i;
  }
  EXPECT_EQ(JudgeGet(ToBuffer(Hit(values_.Of(7) + "x")), 7, values_).wrong, 1u);
  EXPECT_EQ(JudgeGet(ToBuffer(Hit(values_.Of(7).substr(1))), 7, values_).wrong, 1u);
  EXPECT_EQ(JudgeGet(ToBuffer(Hit("")), 7, values_).wrong, 1u);
}

TEST_F(JudgeTest, CountsAMissAsOne) {
  v1::GetResponse response;
  response.set_status(v1::STATUS_MISS);
  EXPECT_EQ(JudgeGet(ToBuffer(response), 7, values_).misses, 1u);
  EXPECT_EQ(JudgeGet(grpc::ByteBuffer(), 7, values_).misses + JudgeGet(grpc::ByteBuffer(), 7, values_).wrong, 1u);
}

// Each is fed in a piece of memory of just its size, so that a sanitizer sees a read past its end.
TEST_F(JudgeTest, NoPieceOfAnAnswerIsAHit) {
  const std::string whole = Hit(values_.Of(7)).SerializeAsString();
  for (size_t size = 0; size < whole.size(); ++size) {
    const grpc::Slice slice(whole.substr(0, size));
    const Seen seen = JudgeGet(grpc::ByteBuffer(&slice, 1), 7, values_);
    EXPECT_EQ(seen.hits, 0u) << size;
    EXPECT_EQ(seen.wrong + seen.misses, 1u) << size;
  }
}

TEST_F(JudgeTest, ReadsAnAnswerInManyPieces) {
  const std::string whole = Hit(values_.Of(7)).SerializeAsString();
  std::vector<grpc::Slice> pieces;
  for (size_t at = 0; at < whole.size(); at += 10) pieces.emplace_back(whole.substr(at, 10));
  EXPECT_EQ(JudgeGet(grpc::ByteBuffer(pieces.data(), pieces.size()), 7, values_).hits, 1u);
}

TEST_F(JudgeTest, JudgesEachKeyOfABatch) {
  v1::BatchGetResponse response;
  *response.add_results() = Hit(values_.Of(1));
  *response.add_results() = Hit(values_.Of(1));  // of key 2
  response.add_results()->set_status(v1::STATUS_MISS);
  response.set_incarnation(5);
  const Seen seen = JudgeBatchGet(ToBuffer(response), {1, 2, 3}, values_);
  EXPECT_EQ(seen.hits, 1u);
  EXPECT_EQ(seen.wrong, 1u);
  EXPECT_EQ(seen.misses, 1u);
}

TEST_F(JudgeTest, NoticesABatchOfAnotherLength) {
  v1::BatchGetResponse response;
  *response.add_results() = Hit(values_.Of(1));
  EXPECT_EQ(JudgeBatchGet(ToBuffer(response), {1, 2}, values_).wrong, 1u);
  *response.add_results() = Hit(values_.Of(2));
  *response.add_results() = Hit(values_.Of(3));
  EXPECT_EQ(JudgeBatchGet(ToBuffer(response), {1, 2}, values_).wrong, 1u);
}

TEST_F(JudgeTest, ReadsThePipelinesResults) {
  v1::PipelineResponse response;
  v1::PipelineResult* const first = response.add_results();
  first->set_id(300);
  *first->mutable_get() = Hit(values_.Of(7));
  v1::PipelineResult* const second = response.add_results();
  second->set_id(2);
  second->mutable_failure()->set_code(8);
  std::vector<uint64_t> ids;
  std::vector<bool> gets;
  EXPECT_TRUE(ReadPipelineAnswers(ToBuffer(response), [&](const PipelineAnswer& answer) {
    ids.push_back(answer.id);
    gets.push_back(answer.is_get);
    if (!answer.is_get) return;
    EXPECT_EQ(JudgeGet(answer.get, 7, values_).hits, 1u);
  }));
  EXPECT_EQ(ids, (std::vector<uint64_t>{300, 2}));
  EXPECT_EQ(gets, (std::vector<bool>{true, false}));
  const std::string whole = response.SerializeAsString();
  const grpc::Slice cut(whole.substr(0, whole.size() - 1));
  EXPECT_FALSE(ReadPipelineAnswers(grpc::ByteBuffer(&cut, 1), [](const PipelineAnswer&) {}));
}

TEST(MessagesTest, PipelinesGetsUnderTheirIds) {
  std::string bytes;
  AppendPipelineGet(5, 12, /*from_store=*/true, &bytes);
  AppendPipelineGet(1'023, 13, /*from_store=*/false, &bytes);
  v1::PipelineRequest request;
  ASSERT_TRUE(request.ParseFromString(bytes));
  ASSERT_EQ(request.operations_size(), 2);
  EXPECT_EQ(request.operations(0).id(), 5u);
  EXPECT_EQ(request.operations(0).get().key(), "key:000000000012");
  EXPECT_EQ(request.operations(0).get().read_from(), v1::READ_FROM_STORE);
  EXPECT_EQ(request.operations(1).id(), 1'023u);
  EXPECT_EQ(request.operations(1).get().key(), "key:000000000013");
}

TEST(MessagesTest, SayWhatTheyAreToSay) {
  const Values values(kBytes);
  const auto get = FromBuffer<v1::GetRequest>(GetMessage(12, /*from_store=*/true));
  EXPECT_EQ(get.key(), "key:000000000012");
  EXPECT_EQ(get.read_from(), v1::READ_FROM_STORE);
  EXPECT_EQ(FromBuffer<v1::GetRequest>(GetMessage(12, false)).read_from(), v1::READ_FROM_UNSPECIFIED);
  const auto batch = FromBuffer<v1::BatchGetRequest>(BatchGetMessage({1, 2}, true));
  EXPECT_EQ(batch.keys_size(), 2);
  EXPECT_EQ(batch.keys(1), "key:000000000002");
  EXPECT_EQ(batch.read_from(), v1::READ_FROM_STORE);
  EXPECT_TRUE(values.Matches(3, FromBuffer<v1::SetRequest>(SetMessage(3, values)).value()));
}

}  // namespace
}  // namespace larder::bench
