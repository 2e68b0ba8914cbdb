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
constexpr uint8_t kFlagPlaceholder = 2;
constexpr uint8_t kFlagAbsent = 4;
constexpr uint8_t kKnownFlags = kFlagZstd | kFlagPlaceholder | kFlagAbsent;

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
constexpr size_t kStaleOffset = 56;
constexpr size_t kLeaseTokenOffset = 64;
constexpr size_t kLeaseLeftOffset = 72;
constexpr size_t kSlidingOffset = 80;
constexpr size_t kTagsSizeOffset = 88;
constexpr size_t kLeaseMarkOffset = 90;

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

int64_t MillisOf(std::string_view bytes, size_t offset) { return GetBigEndian<int64_t>(bytes, offset); }

void PutMillis(std::string& header, size_t offset, int64_t millis) {
  PutBigEndian(header, offset, static_cast<uint64_t>(std::clamp<int64_t>(millis, 0, kMaxMillis)));
}

uint8_t FlagsOf(std::string_view bytes) { return static_cast<uint8_t>(bytes[kFlagsOffset]); }
size_t TagsSizeOf(std::string_view bytes) { return GetBigEndian<uint16_t>(bytes, kTagsSizeOffset); }
size_t ContentTypeSizeOf(std::string_view bytes) { return GetBigEndian<uint16_t>(bytes, kContentTypeSizeOffset); }

std::string_view TagsOf(std::string_view bytes) { return bytes.substr(kEnvelopeHeaderBytes, TagsSizeOf(bytes)); }
std::string_view ContentTypeOf(std::string_view bytes) {
  return bytes.substr(kEnvelopeHeaderBytes + TagsSizeOf(bytes), ContentTypeSizeOf(bytes));
}

std::string MakeHeader(uint8_t flags, uint64_t version) {
  std::string header(kEnvelopeHeaderBytes, '\0');
  header.replace(0, kMagic.size(), kMagic);
  header[kFormatOffset] = static_cast<char>(kFormat);
  header[kFlagsOffset] = static_cast<char>(flags);
  PutBigEndian(header, kVersionOffset, version);
  return header;
}

// Every moment of an entry's life is told by what is left of it, as the store says, so that no two wall clocks are ever
// compared.
EntryMeta MetaOf(std::string_view bytes, const EnvelopeContext& context) {
  const int64_t ttl_ms = MillisOf(bytes, kTtlOffset);
  // What was left may be that of another record, which this one has replaced since.
  const int64_t left_ms = std::clamp<int64_t>(context.pttl_ms, 0, ttl_ms);
  const int64_t age_ms = MillisOf(bytes, kAgeOffset) + ttl_ms - left_ms;
  const int64_t lease_left_ms = MillisOf(bytes, kLeaseLeftOffset);
  EntryMeta meta;
  meta.version = GetBigEndian<uint64_t>(bytes, kVersionOffset);
  meta.generation = GetBigEndian<uint64_t>(bytes, kGenerationOffset);
  meta.epoch = GetBigEndian<uint64_t>(bytes, kEpochOffset);
  meta.created_nanos = context.sent_nanos - age_ms * kNanosPerMilli;
  meta.expires_nanos = context.sent_nanos + left_ms * kNanosPerMilli;
  meta.stale_nanos = meta.expires_nanos - MillisOf(bytes, kStaleOffset) * kNanosPerMilli;
  meta.read_nanos = context.sent_nanos;
  if (lease_left_ms > 0 && left_ms > lease_left_ms) {
    meta.leased_nanos = meta.expires_nanos - lease_left_ms * kNanosPerMilli;
  }
  meta.sliding_nanos = MillisOf(bytes, kSlidingOffset) * kNanosPerMilli;
  meta.absent = (FlagsOf(bytes) & kFlagAbsent) != 0;
  return meta;
}

std::optional<EnvelopeFault> CheckMagic(std::string_view bytes) {
  const size_t seen = std::min(bytes.size(), kMagic.size());
  if (seen == 0 || bytes.substr(0, seen) != kMagic.substr(0, seen)) return EnvelopeFault::kForeign;
  if (bytes.size() > kFormatOffset) {
    const auto format = static_cast<uint8_t>(bytes[kFormatOffset]);
    if (format == 0) return EnvelopeFault::kForeign;
    if (format > kFormat) return EnvelopeFault::kNewerFormat;
  }
  if (bytes.size() < kEnvelopeHeaderBytes) return EnvelopeFault::kTruncated;
  if ((FlagsOf(bytes) & ~kKnownFlags) != 0) return EnvelopeFault::kNewerFormat;
  return std::nullopt;
}

bool IsSoundPlaceholder(std::string_view bytes) {
  return FlagsOf(bytes) == kFlagPlaceholder && GetBigEndian<uint32_t>(bytes, kBodySizeOffset) == 0 &&
         GetBigEndian<uint64_t>(bytes, kVersionOffset) == GetBigEndian<uint64_t>(bytes, kLeaseTokenOffset);
}

// Of the first `bytes` of `size`; those before the body must be there if anything is found right.
std::optional<EnvelopeFault> CheckHead(std::string_view bytes, size_t size) {
  if (std::optional<EnvelopeFault> fault = CheckMagic(bytes)) return fault;
  const size_t head_size = EnvelopeHeadBytes(bytes);
  const size_t body_size = GetBigEndian<uint32_t>(bytes, kBodySizeOffset);
  if (size != head_size + body_size || bytes.size() < head_size) return EnvelopeFault::kTruncated;
  const size_t raw_size = GetBigEndian<uint32_t>(bytes, kRawSizeOffset);
  const uint8_t flags = FlagsOf(bytes);
  if ((flags & kFlagZstd) == 0 && raw_size != body_size) return EnvelopeFault::kCorrupt;
  if ((flags & kFlagPlaceholder) != 0 && !IsSoundPlaceholder(bytes)) return EnvelopeFault::kCorrupt;
  for (const size_t offset : {kTtlOffset, kAgeOffset, kStaleOffset, kLeaseLeftOffset, kSlidingOffset}) {
    if (GetBigEndian<uint64_t>(bytes, offset) > kMaxMillis) return EnvelopeFault::kCorrupt;
  }
  if (GetBigEndian<uint64_t>(bytes, kVersionOffset) == 0) return EnvelopeFault::kCorrupt;
  if (!TagList::IsWellFormed(TagsOf(bytes))) return EnvelopeFault::kCorrupt;
  return std::nullopt;
}

}  // namespace

int64_t EnvelopeTtlMillis(const Entry& entry, int64_t now_nanos) {
  return std::max<int64_t>(1, (entry.meta().expires_nanos - now_nanos) / kNanosPerMilli);
}

Envelope MakeEnvelope(const Entry& entry, int64_t now_nanos, size_t compress_from_bytes, ZstdCodec& codec) {
  const EntryMeta& meta = entry.meta();
  Envelope envelope;
  envelope.raw = entry.value();
  const size_t raw_size = envelope.raw.size();
  if (compress_from_bytes != 0 && raw_size >= compress_from_bytes) {
    envelope.compressed = codec.Compress(envelope.raw, raw_size - raw_size / 8);
  }
  const int flags = (envelope.compressed.has_value() ? kFlagZstd : 0) | (meta.absent ? kFlagAbsent : 0);
  std::string& header = envelope.header;
  header = MakeHeader(static_cast<uint8_t>(flags), meta.version);
  PutBigEndian(header, kContentTypeSizeOffset, static_cast<uint16_t>(entry.content_type().size()));
  PutBigEndian(header, kGenerationOffset, meta.generation);
  PutBigEndian(header, kEpochOffset, meta.epoch);
  const int64_t ttl_ms = EnvelopeTtlMillis(entry, now_nanos);
  PutMillis(header, kTtlOffset, ttl_ms);
  PutMillis(header, kAgeOffset, (now_nanos - meta.created_nanos) / kNanosPerMilli);
  PutBigEndian(header, kRawSizeOffset, static_cast<uint32_t>(raw_size));
  PutBigEndian(header, kBodySizeOffset, static_cast<uint32_t>(envelope.body().size()));
  // One that is never stale, too, is stale at its end.
  const int64_t stale_nanos = std::clamp(meta.stale_nanos, now_nanos, std::max(now_nanos, meta.expires_nanos));
  const int64_t stale_ms = (meta.expires_nanos - stale_nanos) / kNanosPerMilli;
  // COHERENCE E5: only what was stale already may look as if an invalidation had made it so, however short its fresh
  // life is in whole milliseconds.
  PutMillis(header, kStaleOffset, stale_nanos > now_nanos ? std::min(stale_ms, ttl_ms - 1) : stale_ms);
  PutMillis(header, kSlidingOffset, meta.sliding_nanos / kNanosPerMilli);
  PutBigEndian(header, kTagsSizeOffset, static_cast<uint16_t>(entry.tags().encoded().size()));
  header.append(entry.tags().encoded()).append(entry.content_type());
  return envelope;
}

std::string MakePlaceholder(uint64_t token, int64_t lease_ms) {
  std::string header = MakeHeader(kFlagPlaceholder, token);
  PutMillis(header, kTtlOffset, lease_ms);
  PutBigEndian(header, kLeaseTokenOffset, token);
  header[kLeaseMarkOffset] = 1;
  return header;
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
  if (std::optional<EnvelopeFault> fault = CheckHead(bytes, bytes.size())) return *fault;
  if ((FlagsOf(bytes) & kFlagPlaceholder) != 0) return EntryRef();
  const size_t raw_size = GetBigEndian<uint32_t>(bytes, kRawSizeOffset);
  if (raw_size > context.max_value_bytes) return EnvelopeFault::kTooLarge;
  const std::string_view tags = TagsOf(bytes);
  const std::string_view content_type = ContentTypeOf(bytes);
  const std::string_view body = bytes.substr(EnvelopeHeadBytes(bytes));
  const EntryMeta meta = MetaOf(bytes, context);
  if ((FlagsOf(bytes) & kFlagZstd) == 0) return Entry::Create(meta, content_type, body, tags, context.key);
  if (ZstdCodec::RawSize(body) != raw_size) return EnvelopeFault::kCorrupt;
  EntryRef entry = Entry::CreateUninitialized(meta, content_type, raw_size, tags, context.key);
  if (!codec.Decompress(body, entry->mutable_value(), raw_size)) return EnvelopeFault::kCorrupt;
  return entry;
}

size_t EnvelopeHeadBytes(std::string_view bytes) {
  if (bytes.size() < kEnvelopeHeaderBytes) return kEnvelopeHeaderBytes;
  return kEnvelopeHeaderBytes + TagsSizeOf(bytes) + ContentTypeSizeOf(bytes);
}

std::variant<EnvelopeHead, EnvelopeFault> DecodeEnvelopeHead(std::string_view bytes, size_t size,
                                                             const EnvelopeContext& context) {
  if (std::optional<EnvelopeFault> fault = CheckHead(bytes, size)) return *fault;
  EntryMeta meta = MetaOf(bytes, context);
  const bool is_placeholder = (FlagsOf(bytes) & kFlagPlaceholder) != 0;
  if (is_placeholder) meta.leased_nanos = meta.expires_nanos;
  return EnvelopeHead{is_placeholder, Entry::Create(meta, ContentTypeOf(bytes), {}, TagsOf(bytes))};
}

}  // namespace larder
