#include "server/rpc/wire.h"

#include <array>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "grpcpp/support/slice.h"
#include "server/rpc/fill_token.h"

namespace larder {
namespace {

using google::protobuf::io::CodedOutputStream;

// Below this a copy is cheaper than a slice that refers to the entry: that takes an allocation and two atomic counts.
constexpr size_t kCopyBelowBytes = 512;

constexpr uint32_t LengthDelimitedTag(int field) { return static_cast<uint32_t>(field) << 3 | 2; }

bool SkipField(uint32_t tag, google::protobuf::io::CodedInputStream* input) {
  enum WireType { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };
  uint64_t ignored = 0;
  uint32_t length = 0;
  switch (tag & 7) {
    case kVarint:
      return input->ReadVarint64(&ignored);
    case kFixed64:
      return input->Skip(8);
    case kLengthDelimited:
      return input->ReadVarint32(&length) && input->Skip(static_cast<int>(length));
    case kFixed32:
      return input->Skip(4);
    default:
      return false;
  }
}

size_t VarintSize(size_t value) { return CodedOutputStream::VarintSize64(value); }

void AppendVarint(std::string* out, uint64_t value) {
  std::array<uint8_t, 10> bytes;
  const uint8_t* end = CodedOutputStream::WriteVarint64ToArray(value, bytes.data());
  out->append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(end - bytes.data()));
}

// A ByteBuffer in the making: bytes are gathered, values are referred to.
class BufferBuilder {
 public:
  std::string* bytes() { return &bytes_; }

  void AppendValue(EntryRef entry) {
    const std::string_view value = entry->value();
    if (value.size() < kCopyBelowBytes) {
      bytes_.append(value);
      return;
    }
    Cut();
    slices_.emplace_back(const_cast<char*>(value.data()), value.size(), &ReleaseEntry, entry.Leak());
  }

  grpc::ByteBuffer Build() {
    Cut();
    return {slices_.data(), slices_.size()};
  }

 private:
  static void ReleaseEntry(void* entry) { EntryRef::Adopt(static_cast<Entry*>(entry)); }

  void Cut() {
    if (!bytes_.empty()) slices_.emplace_back(bytes_.data(), bytes_.size());
    bytes_.clear();
  }

  std::string bytes_;
  std::vector<grpc::Slice> slices_;
};

v1::Tier WireTier(Tier tier) {
  switch (tier) {
    case Tier::kNear:
      return v1::TIER_NEAR;
    case Tier::kStore:
      return v1::TIER_STORE;
    case Tier::kOrigin:
      return v1::TIER_ORIGIN;
  }
  return v1::TIER_UNSPECIFIED;
}

// An entry that is still served has some of its last millisecond left.
int64_t MillisLeft(int64_t nanos) { return (nanos + kNanosPerMilli - 1) / kNanosPerMilli; }

// A GetResponse without its value.
v1::GetResponse Describe(const GetAnswer& answer) {
  v1::GetResponse response;
  if (answer.lease.has_value()) {
    response.mutable_lease()->set_token(EncodeFillToken(*answer.lease));
    response.mutable_lease()->set_ttl_ms(answer.lease_nanos / kNanosPerMilli);
  }
  if (!answer.entry) {
    response.set_status(v1::STATUS_MISS);
    if (answer.as_of.has_value()) response.set_as_of(EncodeFillToken(*answer.as_of));
    return response;
  }
  response.set_status(answer.entry->meta().absent ? v1::STATUS_ABSENT : v1::STATUS_HIT);
  response.set_tier(WireTier(answer.tier));
  response.set_freshness(answer.stale ? v1::FRESHNESS_STALE : v1::FRESHNESS_FRESH);
  response.set_age_ms(answer.age_nanos / kNanosPerMilli);
  response.set_ttl_ms(MillisLeft(answer.ttl_nanos));
  response.set_hard_ttl_ms(MillisLeft(answer.hard_ttl_nanos));
  response.set_degraded(answer.degraded);
  response.set_version(answer.entry->meta().version);
  response.set_sliding(answer.entry->meta().sliding_nanos != 0);
  const std::string_view content_type = answer.entry->content_type();
  response.set_content_type(content_type.data(), content_type.size());
  return response;
}

// Comes after `results`, as protobuf would have it.
void AppendIncarnation(uint64_t incarnation, std::string* out) {
  if (incarnation == 0) return;
  v1::BatchGetResponse tail;
  tail.set_incarnation(incarnation);
  tail.AppendToString(out);
}

// What the value's field takes in the message; an empty value is left out, as protobuf does.
size_t ValueFieldSize(const GetAnswer& answer) {
  const size_t size = answer.entry ? answer.entry->value().size() : 0;
  return size == 0 ? 0 : 1 + VarintSize(size) + size;
}

// `value` is the last field of GetResponse, so it can be appended to the others' bytes.
void AppendValueField(GetAnswer answer, BufferBuilder* builder) {
  static_assert(v1::GetResponse::kValueFieldNumber < 16, "the tag takes one byte");
  if (ValueFieldSize(answer) == 0) return;
  AppendVarint(builder->bytes(), LengthDelimitedTag(v1::GetResponse::kValueFieldNumber));
  AppendVarint(builder->bytes(), answer.entry->value().size());
  builder->AppendValue(std::move(answer.entry));
}

void AppendResult(const v1::GetResponse& head, size_t value_field_size, std::string* out) {
  const size_t head_size = head.ByteSizeLong();
  AppendVarint(out, LengthDelimitedTag(v1::BatchGetResponse::kResultsFieldNumber));
  AppendVarint(out, head_size + value_field_size);
  head.AppendToString(out);
}

template <typename Request>
TtlChoice TtlOf(const Request& request) {
  TtlChoice ttl;
  if (request.expiry_case() == Request::kTtlMs) ttl.ttl_ms = request.ttl_ms();
  if (request.expiry_case() == Request::kTtlClass) ttl.ttl_class = request.ttl_class();
  return ttl;
}

template <typename Request>
std::optional<int64_t> StaleFor(const Request& request) {
  return request.has_stale_for_ms() ? std::optional<int64_t>(request.stale_for_ms()) : std::nullopt;
}

absl::StatusOr<bool> FromStore(v1::ReadFrom read_from) {
  switch (read_from) {
    case v1::READ_FROM_UNSPECIFIED:
      return false;
    case v1::READ_FROM_STORE:
      return true;
    default:
      return absl::InvalidArgumentError(absl::StrCat("read_from: ", static_cast<int>(read_from), " is not known"));
  }
}

}  // namespace

absl::Status Parse(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite* message) {
  // The reader's parameter is not const, but it changes nothing.
  grpc::ProtoBufferReader reader(const_cast<grpc::ByteBuffer*>(&bytes));
  if (reader.status().ok() && message->ParseFromZeroCopyStream(&reader)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the request is not a valid ", message->GetTypeName()));
}

absl::Status CheckRepeated(const grpc::ByteBuffer& bytes, int number, size_t limit, std::string_view name) {
  grpc::ProtoBufferReader reader(const_cast<grpc::ByteBuffer*>(&bytes));
  google::protobuf::io::CodedInputStream input(&reader);
  size_t count = 0;
  while (const uint32_t tag = input.ReadTag()) {
    // What is malformed ends the count; Parse refuses it.
    if (tag == LengthDelimitedTag(number)) ++count;
    if (!SkipField(tag, &input)) break;
  }
  if (count <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(std::string(name), ": ", count, ", the limit is ", limit));
}

grpc::ByteBuffer Serialize(const google::protobuf::MessageLite& message) {
  grpc::Slice slice(message.ByteSizeLong());
  message.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(slice.begin()));
  return {&slice, 1};
}

grpc::ByteBuffer SerializeAnswer(GetAnswer answer, uint64_t incarnation) {
  BufferBuilder builder;
  v1::GetResponse head = Describe(answer);
  head.set_incarnation(incarnation);
  head.AppendToString(builder.bytes());
  AppendValueField(std::move(answer), &builder);
  return builder.Build();
}

grpc::ByteBuffer SerializeBatch(std::vector<BatchGetItem> items, size_t max_bytes, uint64_t incarnation) {
  // What is kept free for each key that is still to come: a result that says RETRY and nothing else.
  constexpr size_t kSmallResultBytes = 4;
  constexpr size_t kIncarnationBytes = 9;
  BufferBuilder builder;
  size_t used = items.size() * kSmallResultBytes + (incarnation == 0 ? 0 : kIncarnationBytes);
  for (BatchGetItem& item : items) {
    v1::GetResponse head = Describe(item.answer);
    const size_t size = head.ByteSizeLong() + ValueFieldSize(item.answer);
    const size_t framed = 1 + VarintSize(size) + size;
    if (!item.available) {
      head.Clear();
      head.set_status(v1::STATUS_UNAVAILABLE);
    } else if (used - kSmallResultBytes + framed > max_bytes) {
      head.Clear();
      head.set_status(v1::STATUS_RETRY);
    } else {
      used += framed - kSmallResultBytes;
      AppendResult(head, ValueFieldSize(item.answer), builder.bytes());
      AppendValueField(std::move(item.answer), &builder);
      continue;
    }
    AppendResult(head, 0, builder.bytes());
  }
  AppendIncarnation(incarnation, builder.bytes());
  return builder.Build();
}

absl::StatusOr<SetCommand> ToCommand(const v1::SetRequest& request) {
  const absl::StatusOr<bool> strong = IsStrong(request.consistency());
  if (!strong.ok()) return strong.status();
  SetCommand command{.name_space = request.namespace_(),
                     .key = request.key(),
                     .value = request.value(),
                     .content_type = request.content_type(),
                     .ttl = TtlOf(request),
                     .condition = {},
                     .fill = std::nullopt,
                     .tags = {request.tags().begin(), request.tags().end()},
                     .stale_for_ms = StaleFor(request),
                     .sliding = request.sliding(),
                     .absent = request.absent(),
                     .strong = *strong};
  switch (request.condition_case()) {
    case v1::SetRequest::CONDITION_NOT_SET:
      break;
    case v1::SetRequest::kIfAbsent:
      if (!request.if_absent()) return absl::InvalidArgumentError("if_absent: must be true where it is set");
      command.condition.kind = Condition::Kind::kAbsent;
      break;
    case v1::SetRequest::kIfPresent:
      if (!request.if_present()) return absl::InvalidArgumentError("if_present: must be true where it is set");
      command.condition.kind = Condition::Kind::kPresent;
      break;
    case v1::SetRequest::kIfVersion:
      if (request.if_version() == 0) return absl::InvalidArgumentError("if_version: 0 is no entry's version");
      command.condition = {.kind = Condition::Kind::kVersion, .version = request.if_version()};
      break;
    case v1::SetRequest::kLease: {
      absl::StatusOr<FillToken> fill = DecodeFillToken(request.lease());
      if (!fill.ok()) return fill.status();
      command.fill = *fill;
      break;
    }
  }
  return command;
}

absl::StatusOr<GetCommand> ToCommand(const v1::GetRequest& request) {
  const absl::StatusOr<bool> from_store = FromStore(request.read_from());
  if (!from_store.ok()) return from_store.status();
  return GetCommand{.name_space = request.namespace_(),
                    .key = request.key(),
                    .from_store = *from_store,
                    .wants_lease = request.want_lease(),
                    .wait_ms = request.wait_ms(),
                    .fresh_only = request.fresh_only()};
}

SetCommand ToCommand(const v1::WarmRequest& request) {
  return {.name_space = request.namespace_(),
          .key = request.key(),
          .value = request.value(),
          .content_type = request.content_type(),
          .ttl = TtlOf(request),
          .condition = {},
          .fill = std::nullopt,
          .tags = {request.tags().begin(), request.tags().end()},
          .stale_for_ms = StaleFor(request),
          .sliding = request.sliding(),
          .absent = request.absent()};
}

absl::StatusOr<ReleaseCommand> ToCommand(const v1::ReleaseRequest& request) {
  const absl::StatusOr<FillToken> lease = DecodeFillToken(request.lease());
  if (!lease.ok()) return lease.status();
  return ReleaseCommand{.name_space = request.namespace_(), .key = request.key(), .lease = *lease};
}

TouchCommand ToCommand(const v1::TouchRequest& request) {
  return {.name_space = request.namespace_(), .key = request.key(), .ttl = TtlOf(request)};
}

absl::StatusOr<InvalidateCommand> ToCommand(const v1::InvalidateRequest& request) {
  const absl::StatusOr<bool> soft = IsSoft(request.mode());
  if (!soft.ok()) return soft.status();
  const absl::StatusOr<bool> strong = IsStrong(request.consistency());
  if (!strong.ok()) return strong.status();
  InvalidateCommand command{.name_space = request.namespace_(),
                            .keys = {request.keys().begin(), request.keys().end()},
                            .tags = {request.tags().begin(), request.tags().end()},
                            .patterns = {request.patterns().begin(), request.patterns().end()},
                            .entities = {},
                            .all = request.all(),
                            .soft = *soft,
                            .strong = *strong};
  for (const v1::Entity& entity : request.entities()) {
    EntityChange& change = command.entities.emplace_back();
    change.name = entity.name();
    change.fields.assign(entity.fields().begin(), entity.fields().end());
  }
  return command;
}

absl::StatusOr<bool> IsSoft(v1::InvalidationMode mode) {
  switch (mode) {
    case v1::INVALIDATION_MODE_UNSPECIFIED:
    case v1::INVALIDATION_MODE_HARD:
      return false;
    case v1::INVALIDATION_MODE_SOFT:
      return true;
    default:
      return absl::InvalidArgumentError(absl::StrCat("mode: ", static_cast<int>(mode), " is not known"));
  }
}

absl::StatusOr<bool> IsStrong(v1::Consistency consistency) {
  switch (consistency) {
    case v1::CONSISTENCY_UNSPECIFIED:
    case v1::CONSISTENCY_BOUNDED:
      return false;
    case v1::CONSISTENCY_STRONG:
      return true;
    default:
      return absl::InvalidArgumentError(absl::StrCat("consistency: ", static_cast<int>(consistency), " is not known"));
  }
}

absl::StatusOr<BatchGetCommand> ToCommand(const v1::BatchGetRequest& request) {
  const absl::StatusOr<bool> from_store = FromStore(request.read_from());
  if (!from_store.ok()) return from_store.status();
  return BatchGetCommand{.name_space = request.namespace_(),
                         .keys = {request.keys().begin(), request.keys().end()},
                         .from_store = *from_store,
                         .fresh_only = request.fresh_only()};
}

v1::WarmProgress ToMessage(const EntryWarmProgress& progress, bool finished) {
  v1::WarmProgress message;
  message.set_written(progress.written);
  message.set_skipped(progress.skipped);
  message.set_failed(progress.failed);
  message.set_written_bytes(progress.written_bytes);
  message.set_elapsed_ms(progress.elapsed_nanos / kNanosPerMilli);
  const auto done = static_cast<double>(progress.written + progress.skipped + progress.failed);
  if (progress.elapsed_nanos > 0) {
    message.set_entries_per_second(done * static_cast<double>(kNanosPerSecond) /
                                   static_cast<double>(progress.elapsed_nanos));
  }
  for (const EntryWarmFailure& failure : progress.failures) {
    v1::WarmFailure* to = message.add_failures();
    to->set_index(failure.index);
    to->set_key(failure.key);
    to->set_code(failure.status.raw_code());
    to->set_message(std::string(failure.status.message()));
  }
  message.set_finished(finished);
  return message;
}

}  // namespace larder
