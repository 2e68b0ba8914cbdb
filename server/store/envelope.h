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
inline constexpr size_t kEnvelopeHeaderBytes = 96;

// An entry ready to be stored: header, tags, content type, then body. Kept apart so that a large value is copied once
// only, into the command. `body` views `compressed`, or the entry's value, which must outlive this.
struct Envelope {
  std::string header;  // kEnvelopeHeaderBytes, the tags and the content type
  std::optional<std::string> compressed;
  std::string_view raw;
  std::string_view body() const { return compressed.has_value() ? std::string_view(*compressed) : raw; }
};

// `now_nanos` is on the clock of the entry's times. The value is compressed if it has at least `compress_from_bytes`
// (0: never) and that saves an eighth or more.
Envelope MakeEnvelope(const Entry& entry, int64_t now_nanos, size_t compress_from_bytes, ZstdCodec& codec);

// What the store is to give the entry to live, in ms; at least 1.
int64_t EnvelopeTtlMillis(const Entry& entry, int64_t now_nanos);

// The placeholder of a lease on a key that has no entry (COHERENCE E2): `token` stands for its version, too.
std::string MakePlaceholder(uint64_t token, int64_t lease_ms);

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
  int64_t pttl_ms = 0;         // what was left of its time to live, as the store said just before it gave the bytes
  int64_t sent_nanos = 0;      // when the store was asked, on this process's clock
  size_t max_value_bytes = 0;  // larger values are refused before anything is allocated for them; heads are not
  std::string_view key = {};   // the entry gets it (Entry::key); heads do not
};

// The entry in `bytes`, null if they are a placeholder, or why there is none. Total: any bytes may be given; allocates
// only what the value takes. Expiry counts from `sent_nanos`, which is never later than the store's own.
std::variant<EntryRef, EnvelopeFault> DecodeEnvelope(std::string_view bytes, const EnvelopeContext& context,
                                                     ZstdCodec& codec);

// What stands before the body.
struct EnvelopeHead {
  bool is_placeholder = false;
  EntryRef entry;  // without its value
};

// How many of the first bytes DecodeEnvelopeHead needs, by those that are there: kEnvelopeHeaderBytes at least.
size_t EnvelopeHeadBytes(std::string_view bytes);

// `bytes` are the first of `size` that are stored.
std::variant<EnvelopeHead, EnvelopeFault> DecodeEnvelopeHead(std::string_view bytes, size_t size,
                                                             const EnvelopeContext& context);

}  // namespace larder

#endif  // LARDER_SERVER_STORE_ENVELOPE_H_
