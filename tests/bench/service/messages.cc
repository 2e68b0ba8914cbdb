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
using google::protobuf::io::CodedOutputStream;

constexpr uint32_t Tag(int field, WireFormatLite::WireType type) {
  return static_cast<uint32_t>(field) << 3 | static_cast<uint32_t>(type);
}

constexpr uint32_t kStatus = Tag(v1::GetResponse::kStatusFieldNumber, WireFormatLite::WIRETYPE_VARINT);
constexpr uint32_t kTier = Tag(v1::GetResponse::kTierFieldNumber, WireFormatLite::WIRETYPE_VARINT);
constexpr uint32_t kValue = Tag(v1::GetResponse::kValueFieldNumber, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
constexpr uint32_t kResults = Tag(v1::BatchGetResponse::kResultsFieldNumber, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);

constexpr uint32_t kPipelineResults =
    Tag(v1::PipelineResponse::kResultsFieldNumber, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
constexpr uint32_t kResultId = Tag(v1::PipelineResult::kIdFieldNumber, WireFormatLite::WIRETYPE_VARINT);
constexpr uint32_t kResultGet = Tag(v1::PipelineResult::kGetFieldNumber, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);

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

// A GetRequest by hand, as this is done for each of up to a million calls a second.
std::string GetBytes(uint64_t key, bool from_store) {
  static_assert(v1::GetRequest::kKeyFieldNumber == 2 && v1::GetRequest::kReadFromFieldNumber == 3);
  std::string bytes = {2 << 3 | 2, static_cast<char>(kKeyBytes)};
  bytes += KeyText(key);
  if (from_store) bytes += {3 << 3 | 0, v1::READ_FROM_STORE};
  return bytes;
}

// The fields of a PipelineResult up to the stream's limit.
bool ReadPipelineAnswer(CodedInputStream& in, PipelineAnswer& answer) {
  while (const uint32_t tag = in.ReadTag()) {
    bool ok = false;
    if (tag == kResultId) {
      ok = in.ReadVarint64(&answer.id);
    } else if (tag == kResultGet) {
      answer.is_get = true;
      ok = ReadBytes(in, &answer.get);
    } else {
      ok = WireFormatLite::SkipField(&in, tag);
    }
    if (!ok) return false;
  }
  return in.ConsumedEntireMessage();
}

}  // namespace

void Seen::Add(const Seen& other) {
  hits += other.hits;
  near += other.near;
  misses += other.misses;
  wrong += other.wrong;
}

grpc::ByteBuffer GetMessage(uint64_t key, bool from_store) {
  const grpc::Slice slice(GetBytes(key, from_store));  // up to 23 bytes need no memory of their own
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

void AppendPipelineGet(uint64_t id, uint64_t key, bool from_store, std::string* message) {
  static_assert(v1::PipelineRequest::kOperationsFieldNumber == 1);
  static_assert(v1::PipelineOperation::kIdFieldNumber == 1 && v1::PipelineOperation::kGetFieldNumber == 2);
  const std::string get = GetBytes(key, from_store);
  uint8_t varint[10];
  const auto id_bytes = static_cast<size_t>(CodedOutputStream::WriteVarint64ToArray(id, varint) - varint);
  const size_t size = 1 + id_bytes + 2 + get.size();  // all below 128, so that each length is one byte
  message->append({1 << 3 | 2, static_cast<char>(size), 1 << 3 | 0});
  message->append(reinterpret_cast<const char*>(varint), id_bytes);
  message->append({2 << 3 | 2, static_cast<char>(get.size())});
  message->append(get);
}

bool ReadPipelineAnswers(const grpc::ByteBuffer& answer, absl::FunctionRef<void(const PipelineAnswer&)> take) {
  const grpc::Slice slice = InOnePiece(answer);
  CodedInputStream in(slice.begin(), static_cast<int>(slice.size()));
  while (const uint32_t tag = in.ReadTag()) {
    uint32_t size = 0;
    if (tag != kPipelineResults || !in.ReadVarint32(&size)) return false;
    const CodedInputStream::Limit outer = in.PushLimit(static_cast<int>(size));
    PipelineAnswer one;
    if (!ReadPipelineAnswer(in, one)) return false;
    take(one);
    in.PopLimit(outer);
  }
  return in.ConsumedEntireMessage();
}

Seen JudgeGet(const grpc::ByteBuffer& answer, uint64_t key, const Values& values) {
  const grpc::Slice slice = InOnePiece(answer);
  return JudgeGet({reinterpret_cast<const char*>(slice.begin()), slice.size()}, key, values);
}

Seen JudgeGet(std::string_view answer, uint64_t key, const Values& values) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(answer.data()), static_cast<int>(answer.size()));
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
