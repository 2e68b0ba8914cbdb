// The binary form of an entry in a store outside this process. docs/envelope.md describes it byte by byte.
#ifndef LARDER_SERVER_STORE_ENVELOPE_H_
#define LARDER_SERVER_STORE_ENVELOPE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "core/entry.h"
#include "server/store/zstd_codec.h"

namespace larder {

// Where the fields stand. Scripts that run inside Redis rely on these; they never change between formats.
inline constexpr size_t kEnvelopePositionOffset = 8;  // generation and epoch: the store puts them in
inline constexpr size_t kEnvelopeVersionOffset = 24;  // the first byte after them
inline constexpr size_t kEnvelopeHeaderBytes = 56;

// An entry ready to be stored: header, then content type, then body. Kept apart so that a large value is copied once
// only, into the command. `body` views `compressed`, or the entry's value, which must outlive this.
struct Envelope {
  std::string header;  // kEnvelopeHeaderBytes and the content type
  std::optional<std::string> compressed;
  std::string_view raw;
  std::string_view body() const { return compressed.has_value() ? std::string_view(*compressed) : raw; }
};

// `ttl_ms` is the time to live from now, `age_ms` the entry's age now. The value is compressed if it has at least
// `compress_from_bytes` (0: never) and that saves an eighth or more.
Envelope MakeEnvelope(const Entry& entry, int64_t ttl_ms, int64_t age_ms, size_t compress_from_bytes, ZstdCodec& codec);

enum class EnvelopeFault {
  kForeign,      // not written by Larder
  kTruncated,    // shorter or longer than it says
  kNewerFormat,  // of a format or with a flag that this release does not know
  kCorrupt,      // contradicts itself
  kTooLarge,     // the value is above the limit
};
std::string_view EnvelopeFaultName(EnvelopeFault fault);

// How the bytes came here.
struct EnvelopeContext {
  int64_t pttl_ms = 0;         // what was left of its time to live, as the store said
  int64_t sent_nanos = 0;      // when the store was asked, on this process's clock
  size_t max_value_bytes = 0;  // larger values are refused before anything is allocated for them
};

// The entry in `bytes`, or why there is none. Total: any bytes may be given; allocates only what the value takes.
// Expiry counts from `sent_nanos`, which is never later than the store's own.
std::variant<EntryRef, EnvelopeFault> DecodeEnvelope(std::string_view bytes, const EnvelopeContext& context,
                                                     ZstdCodec& codec);

}  // namespace larder

#endif  // LARDER_SERVER_STORE_ENVELOPE_H_
