#include "server/store/envelope.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/clock.h"

namespace larder {
namespace {

constexpr std::string_view kMagic("\x89LDR", 4);
constexpr uint8_t kFormat = 1;
constexpr uint8_t kFlagZstd = 1;
constexpr uint8_t kKnownFlags = kFlagZstd;

constexpr size_t kFormatOffset = 4;
constexpr size_t kFlagsOffset = 5;
constexpr size_t kContentTypeSizeOffset = 6;
constexpr size_t kGenerationOffset = kEnvelopePositionOffset;
constexpr size_t kEpochOffset = 16;
constexpr size_t kVersionOffset = kEnvelopeVersionOffset;
constexpr size_t kTtlOffset = 32;
constexpr size_t kAgeOffset = 40;
constexpr size_t kRawSizeOffset = 48;
constexpr size_t kBodySizeOffset = 52;

// A hundred years: above it a time is not one that was written, and sums of two stay within 64 bits of nanoseconds.
constexpr int64_t kMaxMillis = 100LL * 366 * 24 * 3600 * 1000;

template <typename T>
void PutBigEndian(std::string& out, size_t offset, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    out[offset + i] = static_cast<char>(static_cast<uint8_t>(value >> (8 * (sizeof(T) - 1 - i))));
  }
}

template <typename T>
T GetBigEndian(std::string_view bytes, size_t offset) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value = value << 8 | static_cast<uint8_t>(bytes[offset + i]);
  return static_cast<T>(value);
}

// Takes what is left of the life from the store, so that no two wall clocks are ever compared.
EntryMeta MetaOf(std::string_view bytes, const EnvelopeContext& context) {
  const auto ttl_ms = GetBigEndian<int64_t>(bytes, kTtlOffset);
  const auto age_at_touch_ms = GetBigEndian<int64_t>(bytes, kAgeOffset);
  const int64_t left_ms = std::clamp<int64_t>(context.pttl_ms, 0, kMaxMillis);
  const int64_t age_ms = age_at_touch_ms + std::max<int64_t>(0, ttl_ms - left_ms);
  EntryMeta meta;
  meta.version = GetBigEndian<uint64_t>(bytes, kVersionOffset);
  meta.generation = GetBigEndian<uint64_t>(bytes, kGenerationOffset);
  meta.epoch = GetBigEndian<uint64_t>(bytes, kEpochOffset);
  meta.created_nanos = context.sent_nanos - age_ms * kNanosPerMilli;
  meta.expires_nanos = context.sent_nanos + left_ms * kNanosPerMilli;
  meta.read_nanos = context.sent_nanos;
  return meta;
}

std::optional<EnvelopeFault> CheckHeader(std::string_view bytes, size_t max_value_bytes) {
  const size_t seen = std::min(bytes.size(), kMagic.size());
  if (seen == 0 || bytes.substr(0, seen) != kMagic.substr(0, seen)) return EnvelopeFault::kForeign;
  if (bytes.size() > kFormatOffset) {
    const auto format = static_cast<uint8_t>(bytes[kFormatOffset]);
    if (format == 0) return EnvelopeFault::kForeign;
    if (format > kFormat) return EnvelopeFault::kNewerFormat;
  }
  if (bytes.size() < kEnvelopeHeaderBytes) return EnvelopeFault::kTruncated;
  const auto flags = static_cast<uint8_t>(bytes[kFlagsOffset]);
  if ((flags & ~kKnownFlags) != 0) return EnvelopeFault::kNewerFormat;
  const size_t content_type_size = GetBigEndian<uint16_t>(bytes, kContentTypeSizeOffset);
  const size_t body_size = GetBigEndian<uint32_t>(bytes, kBodySizeOffset);
  if (bytes.size() != kEnvelopeHeaderBytes + content_type_size + body_size) return EnvelopeFault::kTruncated;
  const size_t raw_size = GetBigEndian<uint32_t>(bytes, kRawSizeOffset);
  if (raw_size > max_value_bytes) return EnvelopeFault::kTooLarge;
  if ((flags & kFlagZstd) == 0 && raw_size != body_size) return EnvelopeFault::kCorrupt;
  if (GetBigEndian<uint64_t>(bytes, kTtlOffset) > kMaxMillis) return EnvelopeFault::kCorrupt;
  if (GetBigEndian<uint64_t>(bytes, kAgeOffset) > kMaxMillis) return EnvelopeFault::kCorrupt;
  if (GetBigEndian<uint64_t>(bytes, kVersionOffset) == 0) return EnvelopeFault::kCorrupt;
  return std::nullopt;
}

}  // namespace

Envelope MakeEnvelope(const Entry& entry, int64_t ttl_ms, int64_t age_ms, size_t compress_from_bytes,
                      ZstdCodec& codec) {
  Envelope envelope;
  envelope.raw = entry.value();
  const size_t raw_size = envelope.raw.size();
  if (compress_from_bytes != 0 && raw_size >= compress_from_bytes) {
    envelope.compressed = codec.Compress(envelope.raw, raw_size - raw_size / 8);
  }
  std::string& header = envelope.header;
  header.assign(kEnvelopeHeaderBytes, '\0');
  header.replace(0, kMagic.size(), kMagic);
  header[kFormatOffset] = static_cast<char>(kFormat);
  header[kFlagsOffset] = static_cast<char>(envelope.compressed.has_value() ? kFlagZstd : 0);
  PutBigEndian(header, kContentTypeSizeOffset, static_cast<uint16_t>(entry.content_type().size()));
  PutBigEndian(header, kGenerationOffset, entry.meta().generation);
  PutBigEndian(header, kEpochOffset, entry.meta().epoch);
  PutBigEndian(header, kVersionOffset, entry.meta().version);
  PutBigEndian(header, kTtlOffset, static_cast<uint64_t>(std::clamp<int64_t>(ttl_ms, 0, kMaxMillis)));
  PutBigEndian(header, kAgeOffset, static_cast<uint64_t>(std::clamp<int64_t>(age_ms, 0, kMaxMillis)));
  PutBigEndian(header, kRawSizeOffset, static_cast<uint32_t>(raw_size));
  PutBigEndian(header, kBodySizeOffset, static_cast<uint32_t>(envelope.body().size()));
  header.append(entry.content_type());
  return envelope;
}

std::string_view EnvelopeFaultName(EnvelopeFault fault) {
  switch (fault) {
    case EnvelopeFault::kForeign:
      return "foreign";
    case EnvelopeFault::kTruncated:
      return "truncated";
    case EnvelopeFault::kNewerFormat:
      return "of a newer format";
    case EnvelopeFault::kCorrupt:
      return "corrupt";
    case EnvelopeFault::kTooLarge:
      return "too large";
  }
  return "unknown";
}

std::variant<EntryRef, EnvelopeFault> DecodeEnvelope(std::string_view bytes, const EnvelopeContext& context,
                                                     ZstdCodec& codec) {
  if (std::optional<EnvelopeFault> fault = CheckHeader(bytes, context.max_value_bytes)) return *fault;
  const size_t content_type_size = GetBigEndian<uint16_t>(bytes, kContentTypeSizeOffset);
  const size_t raw_size = GetBigEndian<uint32_t>(bytes, kRawSizeOffset);
  const std::string_view content_type = bytes.substr(kEnvelopeHeaderBytes, content_type_size);
  const std::string_view body = bytes.substr(kEnvelopeHeaderBytes + content_type_size);
  const EntryMeta meta = MetaOf(bytes, context);
  if ((static_cast<uint8_t>(bytes[kFlagsOffset]) & kFlagZstd) == 0) return Entry::Create(meta, content_type, body);
  if (ZstdCodec::RawSize(body) != raw_size) return EnvelopeFault::kCorrupt;
  EntryRef entry = Entry::CreateUninitialized(meta, content_type, raw_size);
  if (!codec.Decompress(body, entry->mutable_value(), raw_size)) return EnvelopeFault::kCorrupt;
  return entry;
}

}  // namespace larder
