#include "server/rpc/request_reader.h"

#include "absl/strings/str_cat.h"
#include "larder/v1/cache.pb.h"
#include "server/policy/policy.h"
#include "server/rpc/encoding.h"
#include "server/rpc/field_reader.h"
#include "server/rpc/wire.h"

namespace larder {
namespace {

using Get = v1::GetRequest;
using BatchGet = v1::BatchGetRequest;

constexpr uint32_t VarintTag(int field) { return TagOf(field, WireType::kVarint); }
constexpr uint32_t BytesTag(int field) { return TagOf(field, WireType::kLengthDelimited); }

// Protobuf keeps the lower half of an enum's value.
v1::ReadFrom ToReadFrom(uint64_t value) { return static_cast<v1::ReadFrom>(static_cast<int32_t>(value)); }

}  // namespace

absl::StatusOr<GetCommand> ReadGetRequest(std::string_view bytes) {
  GetCommand command;
  v1::ReadFrom read_from = v1::READ_FROM_UNSPECIFIED;
  FieldReader fields(bytes);
  // Of a field that comes several times the last counts.
  while (fields.Next()) {
    switch (fields.tag()) {
      case BytesTag(Get::kNamespaceFieldNumber):
        command.name_space = fields.ReadBytes();
        if (!IsValidUtf8(command.name_space)) return MalformedRequest("larder.v1.GetRequest");
        break;
      case BytesTag(Get::kKeyFieldNumber):
        command.key = fields.ReadBytes();
        break;
      case VarintTag(Get::kReadFromFieldNumber):
        read_from = ToReadFrom(fields.ReadVarint());
        break;
      case VarintTag(Get::kWantLeaseFieldNumber):
        command.wants_lease = fields.ReadVarint() != 0;
        break;
      case VarintTag(Get::kWaitMsFieldNumber):
        command.wait_ms = static_cast<int64_t>(fields.ReadVarint());
        break;
      case VarintTag(Get::kFreshOnlyFieldNumber):
        command.fresh_only = fields.ReadVarint() != 0;
        break;
      default:
        fields.Skip();
    }
  }
  if (!fields.ok()) return MalformedRequest("larder.v1.GetRequest");
  const absl::StatusOr<bool> from_store = IsFromStore(read_from);
  if (!from_store.ok()) return from_store.status();
  command.from_store = *from_store;
  return command;
}

absl::StatusOr<BatchGetCommand> ReadBatchGetRequest(std::string_view bytes) {
  BatchGetCommand command;
  v1::ReadFrom read_from = v1::READ_FROM_UNSPECIFIED;
  size_t keys = 0;
  bool is_text = true;
  FieldReader fields(bytes);
  while (fields.Next()) {
    switch (fields.tag()) {
      case BytesTag(BatchGet::kNamespaceFieldNumber):
        command.name_space = fields.ReadBytes();
        is_text = is_text && IsValidUtf8(command.name_space);
        break;
      case BytesTag(BatchGet::kKeysFieldNumber): {
        const std::string_view key = fields.ReadBytes();
        // Those beyond the limit are counted, not kept.
        if (++keys <= kMaxBatchKeys) command.keys.push_back(key);
        break;
      }
      case VarintTag(BatchGet::kReadFromFieldNumber):
        read_from = ToReadFrom(fields.ReadVarint());
        break;
      case VarintTag(BatchGet::kFreshOnlyFieldNumber):
        command.fresh_only = fields.ReadVarint() != 0;
        break;
      default:
        fields.Skip();
    }
  }
  if (keys > kMaxBatchKeys) {
    return absl::InvalidArgumentError(absl::StrCat("keys: ", keys, ", the limit is ", kMaxBatchKeys));
  }
  if (!fields.ok() || !is_text) return MalformedRequest("larder.v1.BatchGetRequest");
  const absl::StatusOr<bool> from_store = IsFromStore(read_from);
  if (!from_store.ok()) return from_store.status();
  command.from_store = *from_store;
  return command;
}

}  // namespace larder
