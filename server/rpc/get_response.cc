#include "server/rpc/get_response.h"

#include <string>
#include <utility>

#include "core/clock.h"
#include "server/rpc/encoding.h"
#include "server/rpc/fill_token.h"

namespace larder {
namespace {

using Response = v1::GetResponse;

static_assert(Response::kValueFieldNumber < 16 && v1::BatchGetResponse::kIncarnationFieldNumber < 16,
              "every tag takes one byte");

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

// As protobuf has an int64: a negative one takes ten bytes.
uint8_t* PutInt64Field(int field, int64_t value, uint8_t* at) {
  return PutVarintField(field, static_cast<uint64_t>(value), at);
}

size_t BytesFieldSize(size_t size) { return size == 0 ? 0 : 1 + VarintSize(size) + size; }

uint8_t* PutLease(const GetAnswer& answer, uint8_t* at) {
  const std::string token = EncodeFillToken(*answer.lease);
  std::array<uint8_t, 64> lease;  // a token has 24 bytes
  uint8_t* end = PutBytesField(v1::Lease::kTokenFieldNumber, token, lease.data());
  end = PutInt64Field(v1::Lease::kTtlMsFieldNumber, answer.lease_nanos / kNanosPerMilli, end);
  const auto size = static_cast<size_t>(end - lease.data());
  *at++ = static_cast<uint8_t>(TagOf(Response::kLeaseFieldNumber, WireType::kLengthDelimited));
  return PutBytes({reinterpret_cast<const char*>(lease.data()), size}, PutVarint(size, at));
}

void AppendResult(GetResponseWriter&& result, AnswerWriter* to) {
  uint8_t* at = to->Extend(1 + VarintSize(result.size()));
  *at++ = static_cast<uint8_t>(TagOf(v1::BatchGetResponse::kResultsFieldNumber, WireType::kLengthDelimited));
  PutVarint(result.size(), at);
  result.Write(to);
}

}  // namespace

GetResponseWriter::GetResponseWriter(GetAnswer answer, uint64_t incarnation) : answer_(std::move(answer)) {
  if (answer_.entry) {
    PutEntry();
  } else {
    front_size_ = static_cast<size_t>(PutVarintField(Response::kStatusFieldNumber, v1::STATUS_MISS, front_.data()) -
                                      front_.data());
  }
  PutBack(incarnation);
}

GetResponseWriter::GetResponseWriter(v1::Status status) {
  front_size_ =
      static_cast<size_t>(PutVarintField(Response::kStatusFieldNumber, status, front_.data()) - front_.data());
}

void GetResponseWriter::PutEntry() {
  const Entry& entry = *answer_.entry;
  content_type_ = entry.content_type();
  value_ = entry.value();
  uint8_t* at = front_.data();
  at = PutVarintField(Response::kStatusFieldNumber, entry.meta().absent ? v1::STATUS_ABSENT : v1::STATUS_HIT, at);
  at = PutVarintField(Response::kTierFieldNumber, WireTier(answer_.tier), at);
  at = PutVarintField(Response::kFreshnessFieldNumber, answer_.stale ? v1::FRESHNESS_STALE : v1::FRESHNESS_FRESH, at);
  at = PutInt64Field(Response::kAgeMsFieldNumber, answer_.age_nanos / kNanosPerMilli, at);
  at = PutInt64Field(Response::kTtlMsFieldNumber, MillisLeft(answer_.ttl_nanos), at);
  at = PutFixed64Field(Response::kVersionFieldNumber, entry.meta().version, at);
  front_size_ = static_cast<size_t>(at - front_.data());
}

void GetResponseWriter::PutBack(uint64_t incarnation) {
  uint8_t* at = back_.data();
  if (answer_.lease.has_value()) at = PutLease(answer_, at);
  if (answer_.entry) {
    at = PutInt64Field(Response::kHardTtlMsFieldNumber, MillisLeft(answer_.hard_ttl_nanos), at);
    at = PutVarintField(Response::kDegradedFieldNumber, answer_.degraded ? 1 : 0, at);
  } else if (answer_.as_of.has_value()) {
    at = PutBytesField(Response::kAsOfFieldNumber, EncodeFillToken(*answer_.as_of), at);
  }
  at = PutFixed64Field(Response::kIncarnationFieldNumber, incarnation, at);
  if (answer_.entry) {
    at = PutVarintField(Response::kSlidingFieldNumber, answer_.entry->meta().sliding_nanos != 0 ? 1 : 0, at);
  }
  back_size_ = static_cast<size_t>(at - back_.data());
}

size_t GetResponseWriter::content_type_size() const { return BytesFieldSize(content_type_.size()); }

size_t GetResponseWriter::value_prefix_size() const { return value_.empty() ? 0 : 1 + VarintSize(value_.size()); }

void GetResponseWriter::Write(AnswerWriter* to) {
  uint8_t* at = to->Extend(piece_size());
  at = PutBytes({reinterpret_cast<const char*>(front_.data()), front_size_}, at);
  at = PutBytesField(Response::kContentTypeFieldNumber, content_type_, at);
  at = PutBytes({reinterpret_cast<const char*>(back_.data()), back_size_}, at);
  if (copies_value()) {
    PutBytesField(Response::kValueFieldNumber, value_, at);
    return;
  }
  *at++ = static_cast<uint8_t>(TagOf(Response::kValueFieldNumber, WireType::kLengthDelimited));
  PutVarint(value_.size(), at);
  to->AppendValue(std::move(answer_.entry));
}

AnswerWriter WriteBatch(std::vector<BatchGetItem> items, size_t max_bytes, uint64_t incarnation) {
  // What is kept free for each key that is still to come: a result that says RETRY and nothing else.
  constexpr size_t kSmallResultBytes = 4;
  const size_t tail_bytes = incarnation == 0 ? 0 : 1 + sizeof(incarnation);
  size_t used = items.size() * kSmallResultBytes + tail_bytes;
  AnswerWriter writer;
  for (BatchGetItem& item : items) {
    if (!item.available) {
      AppendResult(GetResponseWriter(v1::STATUS_UNAVAILABLE), &writer);
      continue;
    }
    GetResponseWriter result(std::move(item.answer), 0);
    const size_t framed = 1 + VarintSize(result.size()) + result.size();
    if (used - kSmallResultBytes + framed > max_bytes) {
      AppendResult(GetResponseWriter(v1::STATUS_RETRY), &writer);
      continue;
    }
    used += framed - kSmallResultBytes;
    AppendResult(std::move(result), &writer);
  }
  if (tail_bytes != 0) {
    PutFixed64Field(v1::BatchGetResponse::kIncarnationFieldNumber, incarnation, writer.Extend(tail_bytes));
  }
  return writer;
}

}  // namespace larder
