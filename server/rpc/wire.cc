#include "server/rpc/wire.h"

#include <array>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "grpcpp/support/slice.h"

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

// A GetResponse without its value.
v1::GetResponse Describe(const GetAnswer& answer) {
  v1::GetResponse response;
  if (!answer.entry) {
    response.set_status(v1::STATUS_MISS);
    return response;
  }
  response.set_status(v1::STATUS_HIT);
  response.set_tier(answer.tier == Tier::kNear ? v1::TIER_NEAR : v1::TIER_STORE);
  response.set_freshness(v1::FRESHNESS_FRESH);
  response.set_age_ms(answer.age_nanos / kNanosPerMilli);
  // An entry that is still served has some of its last millisecond left.
  response.set_ttl_ms((answer.ttl_nanos + kNanosPerMilli - 1) / kNanosPerMilli);
  response.set_version(answer.entry->meta().version);
  const std::string_view content_type = answer.entry->content_type();
  response.set_content_type(content_type.data(), content_type.size());
  return response;
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

void Fill(const HistogramSnapshot& from, v1::Latency* to) {
  constexpr double kNanosPerMicroAsDouble = 1'000.0;
  to->set_count(static_cast<int64_t>(from.count()));
  to->set_p50_us(from.QuantileNanos(0.5) / kNanosPerMicroAsDouble);
  to->set_p90_us(from.QuantileNanos(0.9) / kNanosPerMicroAsDouble);
  to->set_p99_us(from.QuantileNanos(0.99) / kNanosPerMicroAsDouble);
  to->set_p999_us(from.QuantileNanos(0.999) / kNanosPerMicroAsDouble);
}

std::string StateName(StoreInfo::State state) {
  switch (state) {
    case StoreInfo::State::kReady:
      return "ready";
    case StoreInfo::State::kConnecting:
      return "connecting";
    case StoreInfo::State::kDown:
      return "down";
  }
  return "";
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

grpc::ByteBuffer SerializeAnswer(GetAnswer answer) {
  BufferBuilder builder;
  Describe(answer).AppendToString(builder.bytes());
  AppendValueField(std::move(answer), &builder);
  return builder.Build();
}

grpc::ByteBuffer SerializeBatch(std::vector<BatchGetItem> items, size_t max_bytes) {
  // What is kept free for each key that is still to come: a result that says RETRY and nothing else.
  constexpr size_t kSmallResultBytes = 4;
  BufferBuilder builder;
  size_t used = items.size() * kSmallResultBytes;
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
  return builder.Build();
}

absl::StatusOr<SetCommand> ToCommand(const v1::SetRequest& request) {
  SetCommand command{.name_space = request.namespace_(),
                     .key = request.key(),
                     .value = request.value(),
                     .content_type = request.content_type(),
                     .ttl = TtlOf(request),
                     .condition = {}};
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
  }
  return command;
}

absl::StatusOr<GetCommand> ToCommand(const v1::GetRequest& request) {
  const absl::StatusOr<bool> from_store = FromStore(request.read_from());
  if (!from_store.ok()) return from_store.status();
  return GetCommand{.name_space = request.namespace_(), .key = request.key(), .from_store = *from_store};
}

SetCommand ToCommand(const v1::WarmRequest& request) {
  return {.name_space = request.namespace_(),
          .key = request.key(),
          .value = request.value(),
          .content_type = request.content_type(),
          .ttl = TtlOf(request),
          .condition = {}};
}

TouchCommand ToCommand(const v1::TouchRequest& request) {
  return {.name_space = request.namespace_(), .key = request.key(), .ttl = TtlOf(request)};
}

InvalidateCommand ToCommand(const v1::InvalidateRequest& request) {
  return {
      .name_space = request.namespace_(), .keys = {request.keys().begin(), request.keys().end()}, .all = request.all()};
}

absl::StatusOr<BatchGetCommand> ToCommand(const v1::BatchGetRequest& request) {
  const absl::StatusOr<bool> from_store = FromStore(request.read_from());
  if (!from_store.ok()) return from_store.status();
  return BatchGetCommand{.name_space = request.namespace_(),
                         .keys = {request.keys().begin(), request.keys().end()},
                         .from_store = *from_store};
}

v1::WarmProgress ToMessage(const WarmProgress& progress, bool finished) {
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
  for (const WarmFailure& failure : progress.failures) {
    v1::WarmFailure* to = message.add_failures();
    to->set_index(failure.index);
    to->set_key(failure.key);
    to->set_code(failure.status.raw_code());
    to->set_message(std::string(failure.status.message()));
  }
  message.set_finished(finished);
  return message;
}

v1::CacheStats ToMessage(const KeyspaceStats& stats) {
  v1::CacheStats message;
  message.set_name(stats.name);
  message.set_near_hits(static_cast<int64_t>(stats.near_hits));
  message.set_store_hits(static_cast<int64_t>(stats.store_hits));
  message.set_misses(static_cast<int64_t>(stats.misses));
  message.set_get_errors(static_cast<int64_t>(stats.get_errors));
  const uint64_t hits = stats.near_hits + stats.store_hits;
  if (hits + stats.misses > 0) {
    message.set_hit_ratio(static_cast<double>(hits) / static_cast<double>(hits + stats.misses));
  }
  message.set_sets(static_cast<int64_t>(stats.sets));
  message.set_sets_aborted(static_cast<int64_t>(stats.sets_aborted));
  message.set_set_errors(static_cast<int64_t>(stats.set_errors));
  message.set_touches(static_cast<int64_t>(stats.touches));
  message.set_invalidated_keys(static_cast<int64_t>(stats.invalidated_keys));
  message.set_invalidated_all(static_cast<int64_t>(stats.invalidated_all));
  message.set_refused(static_cast<int64_t>(stats.refused));
  message.set_near_entries(static_cast<int64_t>(stats.near.entries));
  message.set_near_bytes(static_cast<int64_t>(stats.near.bytes));
  message.set_near_capacity_bytes(static_cast<int64_t>(stats.near.capacity_bytes));
  v1::NearEvictions* evictions = message.mutable_near_evictions();
  evictions->set_capacity(static_cast<int64_t>(stats.near.evicted));
  evictions->set_expired(static_cast<int64_t>(stats.near.expired));
  evictions->set_invalidated(static_cast<int64_t>(stats.near.erased));
  evictions->set_aged(static_cast<int64_t>(stats.near_aged));
  evictions->set_oversized(static_cast<int64_t>(stats.near.oversized));
  Fill(stats.near_hit_latency, message.mutable_near_hit_latency());
  Fill(stats.store_hit_latency, message.mutable_store_hit_latency());
  Fill(stats.miss_latency, message.mutable_miss_latency());
  Fill(stats.set_latency, message.mutable_set_latency());
  return message;
}

v1::StoreStats ToMessage(const StoreInfo& info, bool exclusive) {
  v1::StoreStats message;
  message.set_kind(info.kind);
  message.set_state(StateName(info.state));
  message.set_detail(info.detail);
  message.set_round_trip_us(info.round_trip_micros);
  message.set_keys(info.keys);
  message.set_used_memory_bytes(info.used_memory_bytes);
  message.set_max_memory_bytes(info.max_memory_bytes);
  message.set_eviction_policy(info.eviction_policy);
  message.set_evictions(info.evictions);
  message.set_redis_version(info.redis_version);
  message.set_coherence_mode(exclusive ? "exclusive" : "age");
  message.set_disconnects(info.disconnects);
  message.set_unreadable_entries(info.unreadable_entries);
  return message;
}

}  // namespace larder
