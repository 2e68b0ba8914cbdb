#include "server/rpc/wire.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "grpcpp/support/slice.h"
#include "server/rpc/fill_token.h"
#include "server/rpc/get_response.h"

namespace larder {
namespace {

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

// Reads a body wherever it lies.
class BodyStream {
 public:
  explicit BodyStream(const RequestBody& body) {
    if (body.buffer() == nullptr) {
      array_.emplace(body.bytes().data(), static_cast<int>(body.bytes().size()));
    } else {
      // The reader's parameter is not const, but it changes nothing.
      buffer_.emplace(const_cast<grpc::ByteBuffer*>(body.buffer()));
    }
  }

  bool ok() const { return !buffer_.has_value() || buffer_->status().ok(); }
  google::protobuf::io::ZeroCopyInputStream* get() {
    if (buffer_.has_value()) return &*buffer_;
    return &*array_;
  }

 private:
  std::optional<grpc::ProtoBufferReader> buffer_;
  std::optional<google::protobuf::io::ArrayInputStream> array_;
};

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

}  // namespace

absl::Status MalformedRequest(std::string_view type) {
  return absl::InvalidArgumentError(absl::StrCat("the request is not a valid ", std::string(type)));
}

absl::Status Parse(const RequestBody& body, google::protobuf::MessageLite* message) {
  BodyStream stream(body);
  if (stream.ok() && message->ParseFromZeroCopyStream(stream.get())) return absl::OkStatus();
  return MalformedRequest(message->GetTypeName());
}

absl::Status CheckRepeated(const RequestBody& body, int number, size_t limit, std::string_view name) {
  BodyStream stream(body);
  google::protobuf::io::CodedInputStream input(stream.get());
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
  GetResponseWriter response(std::move(answer), incarnation);
  AnswerWriter writer(response.piece_size());
  response.Write(&writer);
  return writer.Build();
}

grpc::ByteBuffer SerializeBatch(std::vector<BatchGetItem> items, size_t max_bytes, uint64_t incarnation) {
  return WriteBatch(std::move(items), max_bytes, incarnation).Build();
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
  const absl::StatusOr<bool> from_store = IsFromStore(request.read_from());
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

absl::StatusOr<bool> IsFromStore(v1::ReadFrom read_from) {
  switch (read_from) {
    case v1::READ_FROM_UNSPECIFIED:
      return false;
    case v1::READ_FROM_STORE:
      return true;
    default:
      return absl::InvalidArgumentError(absl::StrCat("read_from: ", static_cast<int>(read_from), " is not known"));
  }
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
  const absl::StatusOr<bool> from_store = IsFromStore(request.read_from());
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
