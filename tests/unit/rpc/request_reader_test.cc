// What reads requests by hand, against what protobuf makes of the same bytes.
#include "server/rpc/request_reader.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "larder/v1/cache.pb.h"
#include "server/rpc/field_reader.h"
#include "server/rpc/request_bytes.h"
#include "server/rpc/wire.h"
#include "tests/unit/rpc/rpc_test_util.h"

namespace larder {
namespace {

constexpr int kRounds = 200'000;
constexpr uint64_t kSeed = 20'261'122;

std::string Hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char byte : bytes) {
    out.push_back(kDigits[static_cast<uint8_t>(byte) >> 4]);
    out.push_back(kDigits[byte & 15]);
  }
  return out;
}

// Bytes that end where their allocation does.
class Exactly {
 public:
  explicit Exactly(std::string_view bytes) : bytes_(new char[bytes.size()]), size_(bytes.size()) {
    bytes.copy(bytes_.get(), bytes.size());
  }
  std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  size_t size_;
};

void ExpectEqual(const GetCommand& command, const GetCommand& expected) {
  EXPECT_EQ(command.name_space, expected.name_space);
  EXPECT_EQ(command.key, expected.key);
  EXPECT_EQ(command.from_store, expected.from_store);
  EXPECT_EQ(command.wants_lease, expected.wants_lease);
  EXPECT_EQ(command.wait_ms, expected.wait_ms);
  EXPECT_EQ(command.fresh_only, expected.fresh_only);
  EXPECT_EQ(command.counts_as_read, expected.counts_as_read);
}

void ExpectEqual(const BatchGetCommand& command, const BatchGetCommand& expected) {
  EXPECT_EQ(command.name_space, expected.name_space);
  EXPECT_EQ(command.keys, expected.keys);
  EXPECT_EQ(command.from_store, expected.from_store);
  EXPECT_EQ(command.fresh_only, expected.fresh_only);
}

template <typename Command>
void ExpectSame(const absl::StatusOr<Command>& command, const absl::StatusOr<Command>& expected) {
  ASSERT_EQ(command.status(), expected.status());
  if (expected.ok()) ExpectEqual(*command, *expected);
}

// True if protobuf takes the bytes.
template <typename Request>
bool Compare(std::string_view bytes) {
  const Exactly exact(bytes);
  Request request;
  absl::Status parsed = Parse(RequestBody(exact.view()), &request);
  if constexpr (std::is_same_v<Request, v1::GetRequest>) {
    ExpectSame(ReadGetRequest(exact.view()), parsed.ok() ? ToCommand(request) : absl::StatusOr<GetCommand>(parsed));
  } else {
    ExpectSame(ReadBatchGetRequest(exact.view()),
               parsed.ok() ? ToCommand(request) : absl::StatusOr<BatchGetCommand>(parsed));
  }
  return parsed.ok();
}

template <typename Request>
class RequestReaderTest : public testing::Test {
 protected:
  const SilencedProtobuf silenced_;
};

using Requests = testing::Types<v1::GetRequest, v1::BatchGetRequest>;
TYPED_TEST_SUITE(RequestReaderTest, Requests);

TYPED_TEST(RequestReaderTest, ReadsWhatProtobufReadsAndRefusesTheRest) {
  Random random(kSeed);
  int taken = 0;
  for (int round = 0; round < kRounds && !this->HasFailure(); ++round) {
    std::string bytes;
    for (size_t i = random.Below(7); i > 0; --i) bytes += RandomField(7, nullptr, random);
    bytes = Spoilt(std::move(bytes), random);
    taken += Compare<TypeParam>(bytes) ? 1 : 0;
    EXPECT_FALSE(this->HasFailure()) << "round " << round << ": " << Hex(bytes);
  }
  // Neither kind is rare.
  EXPECT_GT(taken, kRounds / 10);
  EXPECT_LT(taken, kRounds * 9 / 10);
}

// Cut anywhere, and with anything in place of any of its bytes.
TYPED_TEST(RequestReaderTest, AgreesOnEveryChangeOfOneByte) {
  TypeParam request;
  request.set_namespace_("shop\xc3\xa4");
  request.set_read_from(v1::READ_FROM_STORE);
  request.set_fresh_only(true);
  if constexpr (std::is_same_v<TypeParam, v1::GetRequest>) {
    request.set_key("key");
    request.set_want_lease(true);
    request.set_wait_ms(-1);
  } else {
    for (const char* key : {"key", "", "other"}) request.add_keys(key);
  }
  const std::string whole = request.SerializeAsString();
  ASSERT_TRUE(Compare<TypeParam>(whole));
  for (size_t at = 0; at < whole.size(); ++at) {
    Compare<TypeParam>(whole.substr(0, at));
    Compare<TypeParam>(whole.substr(at));
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = whole;
      changed[at] = static_cast<char>(byte);
      Compare<TypeParam>(changed);
      ASSERT_FALSE(this->HasFailure()) << Hex(changed);
    }
  }
}

TYPED_TEST(RequestReaderTest, AgreesOnTheEdges) {
  using std::string_literals::operator""s;
  const auto groups = [](int depth) { return std::string(depth, '\x7b') + std::string(depth, '\x7c'); };
  const std::string nines(9, '\xff');
  for (const std::string& bytes :
       std::vector<std::string>{""s,
                                "\0"s,                                // tag 0
                                "\x00\x00"s,                          //
                                "\x02\x00"s,                          // field 0, length-delimited
                                "\x0c"s,                              // the end of a group that was not begun
                                "\x12\x00"s,                          // an empty key
                                "\x12\x03key\x12\x05other"s,          // twice
                                "\x0a\x01x\x0a\x00"s,                 // a namespace, and then none
                                "\x0a\x01\xff\x0a\x01x"s,             // no text, and then text
                                "\x10\x01"s,                          // a varint where bytes are expected
                                "\x1a\x01x"s,                         // and the other way
                                "\x15\x01\x02\x03\x04"s,              // four bytes
                                "\x15\x01\x02\x03"s,                  // three
                                "\x11\x01\x02\x03\x04\x05\x06\x07"s,  // seven of eight
                                "\x16"s,
                                "\x17"s,             // wire types that there are not
                                "\x92\x00\x03key"s,  // a tag of two bytes, and more
                                "\x92\x80\x00\x03key"s,
                                "\x92\x80\x80\x80\x00\x03key"s,
                                "\x92\x80\x80\x80\x70\x03key"s,
                                "\x92\x80\x80\x80\x80\x00\x03key"s,
                                "\x12\x83\x00key"s,  // so for a length
                                "\x12\x83\x80\x80\x80\x00key"s,
                                "\x12\x83\x80\x80\x80\x80\x00key"s,
                                "\x12\x83\x80\x80\x80\x10key"s,
                                "\x12\xff\xff\xff\xff\x07"s,
                                "\x12\xf0\xff\xff\xff\x07"s,
                                "\x12\xff\xff\xff\xff\x0f"s,
                                "\x18\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00"s,  // ten bytes
                                "\x18\x81\x80\x80\x80\x80\x80\x80\x80\x80\x7e"s,  // whose last is cut
                                "\x18" + nines + "\x80\x00"s,                     // eleven
                                "\x18" + nines + "\x01"s,                         // -1
                                "\x18\x80\x80\x80\x80\x10"s,                      // 1 << 32, whose lower half is 0
                                "\x18\x81\x80\x80\x80\x10"s,
                                "\x18\x02"s,                  //
                                "\x20\x80\x80\x80\x80\x10"s,  // true, though its lower half is 0
                                "\x28" + nines + "\x01"s,
                                "\x30\x00\x30\x02"s,   //
                                "\x7b\x12\x01k\x7c"s,  // a group
                                "\x7b\x12\x01k"s,
                                "\x7b\x7b\x7c"s,
                                "\x7b\x00\x7c"s,
                                "\x7b\x02\x00\x7c"s,
                                "\x7b\x84\x01"s,
                                "\xfb\x00\x7c"s,
                                "\x7b\xfc\x00"s,  // whose ends are written differently
                                "\x13\x14"s,
                                "\x0b\x0c"s,  // of a field that is none
                                groups(99),
                                groups(100),
                                groups(101),
                                groups(102),
                                groups(5000)}) {
    Compare<TypeParam>(bytes);
    Compare<TypeParam>("\x12\x01k" + bytes);
    EXPECT_FALSE(this->HasFailure()) << Hex(bytes);
  }
}

TYPED_TEST(RequestReaderTest, SeesTheSameInHoweverManySlices) {
  Random random(kSeed);
  for (int round = 0; round < kRounds / 20; ++round) {
    std::string bytes;
    for (size_t i = random.Below(7); i > 0; --i) bytes += RandomField(7, nullptr, random);
    const grpc::ByteBuffer buffer = InSlices(bytes, random);
    const RequestBytes flat((RequestBody(buffer)));
    ASSERT_TRUE(flat.ok());
    ASSERT_EQ(flat.view(), bytes);
    TypeParam request;
    ASSERT_EQ(Parse(buffer, &request).ok(), Compare<TypeParam>(bytes)) << Hex(bytes);
    ASSERT_FALSE(this->HasFailure()) << Hex(bytes);
  }
}

TEST(BatchGetRequestTest, KeysBeyondTheLimitAreCountedAndRefused) {
  v1::BatchGetRequest request;
  for (int i = 0; i < 1'000; ++i) request.add_keys("");
  EXPECT_EQ(ReadBatchGetRequest(request.SerializeAsString())->keys.size(), 1'000);
  for (int i = 0; i < 5; ++i) request.add_keys("k");
  const absl::Status refused = absl::InvalidArgumentError("keys: 1005, the limit is 1000");
  EXPECT_EQ(ReadBatchGetRequest(request.SerializeAsString()).status(), refused);
  // As CheckRepeated and Parse have it: that comes first.
  EXPECT_EQ(ReadBatchGetRequest(request.SerializeAsString() + "\x0a\x01\xff").status(), refused);
  EXPECT_EQ(ReadBatchGetRequest(request.SerializeAsString() + "\x12").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(RequestBytesTest, KeepsWhatItHoldsWithoutTheBuffer) {
  for (const size_t size : {0, 1, 23, 24, 5'000}) {
    Random random(size);
    const std::string bytes = random.Bytes(size);
    RequestBytes held;
    {
      const grpc::ByteBuffer buffer = InSlices(bytes, random);
      ASSERT_TRUE(held.Hold(buffer));
    }
    EXPECT_EQ(held.view(), bytes);
    held.Clear();
    EXPECT_EQ(held.view(), "");
  }
  EXPECT_FALSE(RequestBytes(RequestBody(grpc::ByteBuffer())).ok());
}

TEST(Utf8Test, AgreesWithProtobuf) {
  const SilencedProtobuf silenced;
  Random random(kSeed);
  const auto compare = [](const std::string& text) {
    v1::GetRequest request;
    request.mutable_namespace_()->assign(text);
    v1::GetRequest again;
    ASSERT_EQ(IsValidUtf8(text), again.ParseFromString(request.SerializeAsString())) << Hex(text);
  };
  // Every start of a character, with every second byte.
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      for (const char* rest : {"", "\x80", "\x80\x80", "\xbf\xbf\xbf", "x"}) {
        compare({static_cast<char>(first), static_cast<char>(second)});
        compare(std::string{static_cast<char>(first), static_cast<char>(second)} + rest);
      }
    }
  }
  for (int round = 0; round < kRounds; ++round)
    compare(random.OneIn(2) ? random.Text() : random.Bytes(random.Below(6)));
}

}  // namespace
}  // namespace larder
