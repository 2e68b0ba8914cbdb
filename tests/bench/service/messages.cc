#include "tests/bench/service/messages.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/message_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <string>
#include <string_view>

#include "grpcpp/support/slice.h"
#include "larder/v1/cache.pb.h"

namespace larder::bench {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr uint32_t Tag(int field, WireFormatLite::WireType type) {
  return static_cast<uint32_t>(field) << 3 | static_cast<uint32_t>(type);
}

constexpr uint32_t kStatus = Tag(v1::GetResponse::kStatusFieldNumber, WireFormatLite::WIRETYPE_VARINT);
constexpr uint32_t kTier = Tag(v1::GetResponse::kTierFieldNumber, WireFormatLite::WIRETYPE_VARINT);
constexpr uint32_t kValue = Tag(v1::GetResponse::kValueFieldNumber, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
constexpr uint32_t kResults = Tag(v1::BatchGetResponse::kResultsFieldNumber, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);

grpc::ByteBuffer ToBuffer(const google::protobuf::MessageLite& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return {&slice, 1};
}

grpc::Slice InOnePiece(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  if (!buffer.TrySingleSlice(&slice).ok()) buffer.DumpToSingleSlice(&slice);
  return slice;
}

// The bytes of a field, which stay where they are; false if there are not so many.
bool ReadBytes(CodedInputStream& in, std::string_view* bytes) {
  uint32_t size = 0;
  const void* data = nullptr;
  int available = 0;
  if (!in.ReadVarint32(&size)) return false;
  *bytes = {};
  if (size == 0) return true;
  if (!in.GetDirectBufferPointer(&data, &available) || static_cast<uint32_t>(available) < size) return false;
  *bytes = {static_cast<const char*>(data), size};
  return in.Skip(static_cast<int>(size));
}

// The fields of a GetResponse up to the stream's limit.
Seen JudgeFields(CodedInputStream& in, uint64_t key, const Values& values) {
  uint32_t status = v1::STATUS_UNSPECIFIED;
  uint32_t tier = v1::TIER_UNSPECIFIED;
  std::string_view value;
  while (const uint32_t tag = in.ReadTag()) {
    bool ok = false;
    if (tag == kStatus) {
      ok = in.ReadVarint32(&status);
    } else if (tag == kTier) {
      ok = in.ReadVarint32(&tier);
    } else if (tag == kValue) {
      ok = ReadBytes(in, &value);
    } else {
      ok = WireFormatLite::SkipField(&in, tag);
    }
    if (!ok) return {.wrong = 1};
  }
  if (!in.ConsumedEntireMessage()) return {.wrong = 1};
  if (status != v1::STATUS_HIT) return {.misses = 1};
  if (!values.Matches(key, value)) return {.wrong = 1};
  return {.hits = 1, .near = tier == v1::TIER_NEAR ? 1u : 0u};
}

}  // namespace

void Seen::Add(const Seen& other) {
  hits += other.hits;
  near += other.near;
  misses += other.misses;
  wrong += other.wrong;
}

grpc::ByteBuffer GetMessage(uint64_t key, bool from_store) {
  // By hand, as this is one call of tens of thousands a second: a slice of up to 23 bytes needs no memory of its own.
  static_assert(v1::GetRequest::kKeyFieldNumber == 2 && v1::GetRequest::kReadFromFieldNumber == 3);
  const std::string text = KeyText(key);
  std::string bytes = {2 << 3 | 2, static_cast<char>(text.size())};
  bytes += text;
  if (from_store) bytes += {3 << 3 | 0, v1::READ_FROM_STORE};
  const grpc::Slice slice(bytes);
  return {&slice, 1};
}

grpc::ByteBuffer BatchGetMessage(const std::vector<uint64_t>& keys, bool from_store) {
  v1::BatchGetRequest request;
  for (const uint64_t key : keys) request.add_keys(KeyText(key));
  if (from_store) request.set_read_from(v1::READ_FROM_STORE);
  return ToBuffer(request);
}

grpc::ByteBuffer SetMessage(uint64_t key, const Values& values) {
  v1::SetRequest request;
  request.set_key(KeyText(key));
  request.set_value(values.Of(key));
  return ToBuffer(request);
}

Seen JudgeGet(const grpc::ByteBuffer& answer, uint64_t key, const Values& values) {
  const grpc::Slice slice = InOnePiece(answer);
  CodedInputStream in(slice.begin(), static_cast<int>(slice.size()));
  return JudgeFields(in, key, values);
}

Seen JudgeBatchGet(const grpc::ByteBuffer& answer, const std::vector<uint64_t>& keys, const Values& values) {
  const grpc::Slice slice = InOnePiece(answer);
  CodedInputStream in(slice.begin(), static_cast<int>(slice.size()));
  Seen seen;
  size_t answered = 0;
  while (const uint32_t tag = in.ReadTag()) {
    if (tag != kResults) {
      if (!WireFormatLite::SkipField(&in, tag)) break;
      continue;
    }
    uint32_t size = 0;
    if (answered == keys.size() || !in.ReadVarint32(&size)) break;
    const CodedInputStream::Limit outer = in.PushLimit(static_cast<int>(size));
    seen.Add(JudgeFields(in, keys[answered++], values));
    in.PopLimit(outer);
  }
  if (answered != keys.size() || !in.ConsumedEntireMessage()) ++seen.wrong;
  return seen;
}

}  // namespace larder::bench
