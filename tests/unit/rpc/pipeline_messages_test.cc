// The messages of a Pipeline stream, taken apart and put together by hand, against protobuf.
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/rpc/pipeline_reader.h"
#include "server/rpc/pipeline_results.h"
#include "server/rpc/wire.h"
#include "tests/unit/rpc/rpc_test_util.h"

namespace larder {
namespace {

using Case = v1::PipelineOperation::OperationCase;

constexpr int kRounds = 50'000;
constexpr uint64_t kSeed = 20'261'122;

const google::protobuf::MessageLite& RequestOf(const v1::PipelineOperation& operation) {
  switch (operation.operation_case()) {
    case Case::kSet:
      return operation.set();
    case Case::kInvalidate:
      return operation.invalidate();
    case Case::kRelease:
      return operation.release();
    case Case::kTouch:
      return operation.touch();
    case Case::kBatchGet:
      return operation.batch_get();
    case Case::kBatchSet:
      return operation.batch_set();
    default:
      return operation.get();
  }
}

std::vector<EncodedOperation> OperationsOf(std::string_view message) {
  std::vector<EncodedOperation> operations;
  for (PipelineReader reader(message); reader.has_next();) {
    const size_t size = reader.next_size();
    operations.push_back(reader.Take());
    EXPECT_EQ(operations.back().size, size);
  }
  return operations;
}

// Whether the operation can be read, and its body by the class of its request.
bool IsReadable(const EncodedOperation& operation) {
  if (!operation.problem.ok()) return false;
  v1::PipelineOperation whole;
  const auto* field = v1::PipelineOperation::descriptor()->FindFieldByNumber(operation.field);
  auto* request = whole.GetReflection()->MutableMessage(&whole, field);
  return Parse(RequestBody(operation.body), request).ok();
}

// With protobuf as the judge: what it takes is taken and means the same; where it refuses the message, the message is
// refused here, or one of its operations is.
void Compare(const std::string& bytes) {
  v1::PipelineRequest request;
  const bool is_taken = request.ParseFromString(bytes);
  const absl::StatusOr<size_t> count = CountOperations(bytes);
  if (!count.ok()) {
    EXPECT_EQ(count.status(), absl::InvalidArgumentError("the request is not a valid larder.v1.PipelineRequest"));
    EXPECT_FALSE(is_taken);
    return;
  }
  const std::vector<EncodedOperation> operations = OperationsOf(bytes);
  ASSERT_EQ(operations.size(), *count);
  bool all_readable = true;
  for (size_t i = 0; i < operations.size(); ++i) {
    const EncodedOperation& operation = operations[i];
    if (!IsReadable(operation)) {
      all_readable = false;
      EXPECT_EQ(operation.problem.ok() ? absl::StatusCode::kInvalidArgument : operation.problem.code(),
                absl::StatusCode::kInvalidArgument);
      continue;
    }
    if (!is_taken) continue;
    const v1::PipelineOperation& expected = request.operations(static_cast<int>(i));
    EXPECT_EQ(operation.id, expected.id());
    EXPECT_EQ(operation.field, static_cast<int>(expected.operation_case()));
    EXPECT_EQ(operation.timeout_ms, expected.timeout_ms());
    std::unique_ptr<google::protobuf::MessageLite> body(RequestOf(expected).New());
    ASSERT_TRUE(Parse(RequestBody(operation.body), body.get()).ok());
    EXPECT_EQ(body->SerializeAsString(), RequestOf(expected).SerializeAsString());
  }
  if (is_taken) {
    EXPECT_EQ(request.operations_size(), static_cast<int>(operations.size()));
  } else {
    EXPECT_FALSE(all_readable);
  }
}

TEST(PipelineReaderTest, TakesApartWhatProtobufReads) {
  const SilencedProtobuf silenced;
  Random random(kSeed);
  const std::function<std::string()> request = [&] {
    std::string bytes;
    for (size_t i = random.Below(3); i > 0; --i) bytes += RandomField(7, nullptr, random);
    return bytes;
  };
  const std::function<std::string()> operation = [&] {
    std::string bytes;
    for (size_t i = random.Below(3); i > 0; --i) bytes += RandomField(16, request, random);
    return bytes;
  };
  int with_operations = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::string bytes;
    for (size_t i = random.Below(4); i > 0; --i) bytes += RandomField(2, operation, random);
    bytes = Spoilt(std::move(bytes), random);
    Compare(bytes);
    ASSERT_FALSE(testing::Test::HasFailure()) << "round " << round;
    v1::PipelineRequest taken;
    if (taken.ParseFromString(bytes) && taken.operations_size() > 0) ++with_operations;
  }
  EXPECT_GT(with_operations, kRounds / 20);
}

TEST(PipelineReaderTest, SaysWhatIsWrongWithAnOperation) {
  const auto only = [](const std::string& operation) {
    const std::string framed = absl::StrCat("\x0a", std::string(1, static_cast<char>(operation.size())), operation);
    return OperationsOf(framed).at(0);
  };
  EXPECT_EQ(only("\x08\x07").problem, absl::InvalidArgumentError("operation: none is set that this server knows"));
  EXPECT_EQ(only("\x08\x07").id, 7);
  EXPECT_EQ(only("\x12\x01x\x12\x01y\x08\x07").problem, absl::InvalidArgumentError("operation: only one may be set"));
  EXPECT_EQ(only("\x08\x07\x12\x05x").problem,
            absl::InvalidArgumentError("the request is not a valid larder.v1.PipelineOperation"));
  EXPECT_EQ(only("\x08\x07\x12\x05x").id, 7);
  EXPECT_EQ(only("\x12\x01x\x78\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").problem,
            absl::InvalidArgumentError("timeout_ms: must not be negative"));
}

TEST(PipelineReaderTest, AnEmptyMessageHasNoOperations) {
  EXPECT_EQ(*CountOperations(""), 0);
  EXPECT_FALSE(PipelineReader("").has_next());
  EXPECT_FALSE(PipelineReader().has_next());
}

// A result of each kind, as PipelineResults and as protobuf have it.
void AddOne(size_t kind, uint64_t id, Random& random, PipelineResults* results, v1::PipelineResult* expected) {
  expected->set_id(id);
  switch (kind) {
    case 0: {
      GetAnswer answer = RandomAnswer(random);
      *expected->mutable_get() = MessageOf(answer, 5);
      return results->Add(id, Case::kGet, GetResponseWriter(std::move(answer), 5));
    }
    case 1: {
      std::vector<BatchGetItem> items(random.Below(5));
      auto* batch = expected->mutable_batch_get();
      batch->set_incarnation(5);
      for (BatchGetItem& item : items) {
        item.answer = RandomAnswer(random);
        *batch->add_results() = MessageOf(item.answer, 0);
      }
      return results->Add(id, Case::kBatchGet, WriteBatch(std::move(items), 1 << 20, 5));
    }
    case 2:
      expected->mutable_set()->set_version(random.Bits());
      return results->Add(id, Case::kSet, expected->set());
    case 3:
      expected->mutable_touch();
      return results->Add(id, Case::kTouch, v1::TouchResponse());
    default: {
      const uint64_t version = random.OneIn(2) ? 0 : random.Bits();
      expected->mutable_failure()->set_code(10);
      expected->mutable_failure()->set_message("why");
      expected->mutable_failure()->set_version(version);
      return results->AddFailure(id, absl::AbortedError("why"), version);
    }
  }
}

TEST(PipelineResultsTest, AreByteForByteWhatProtobufWrites) {
  Random random(kSeed);
  for (int round = 0; round < 1'000; ++round) {
    PipelineResults results(8 << 20);
    v1::PipelineResponse expected;
    for (size_t i = random.Below(12); i > 0; --i) {
      const uint64_t id = random.OneIn(4) ? 0 : random.Bits() >> random.Below(64);
      AddOne(random.Below(5), id, random, &results, expected.add_results());
      EXPECT_EQ(results.bytes(), expected.ByteSizeLong());
    }
    if (expected.results_size() == 0) {
      EXPECT_TRUE(results.empty());
      continue;
    }
    ASSERT_EQ(BytesOf(results.Take()), expected.SerializeAsString()) << "round " << round;
    EXPECT_TRUE(results.empty());
    EXPECT_EQ(results.bytes(), 0);
  }
}

TEST(PipelineResultsTest, MessagesStayWithinTheirSize) {
  constexpr size_t kLimit = 40'000;
  Random random(kSeed);
  PipelineResults results(kLimit);
  v1::PipelineResponse expected;
  for (int i = 0; i < 300; ++i) {
    AddOne(random.Below(5), static_cast<uint64_t>(i), random, &results, expected.add_results());
  }
  v1::PipelineResponse all;
  int messages = 0;
  while (!results.empty()) {
    const std::string bytes = BytesOf(results.Take());
    v1::PipelineResponse message;
    ASSERT_TRUE(message.ParseFromString(bytes));
    EXPECT_TRUE(bytes.size() <= kLimit || message.results_size() == 1) << bytes.size();
    all.MergeFrom(message);
    ++messages;
  }
  EXPECT_GT(messages, 10);
  EXPECT_EQ(all.SerializeAsString(), expected.SerializeAsString());
  EXPECT_EQ(results.bytes(), 0);
}

// The room that a batch leaves for what is around it.
TEST(PipelineResultsTest, TheFrameTakesNoMoreThanItSays) {
  PipelineResults results(1 << 20);
  AnswerWriter answer;
  answer.Append(std::string(5 << 20, 'x'));
  const size_t size = answer.size();
  results.Add(~uint64_t{0}, Case::kBatchGet, std::move(answer));
  EXPECT_LE(results.bytes(), size + PipelineResults::kFrameBytes);
  AnswerWriter largest;
  largest.Append(std::string(300 << 20, 'x'));
  const size_t largest_size = largest.size();
  results.Add(~uint64_t{0}, Case::kBatchGet, std::move(largest));
  results.Take();
  EXPECT_LE(results.bytes(), largest_size + PipelineResults::kFrameBytes);
}

}  // namespace
}  // namespace larder
