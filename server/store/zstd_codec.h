// zstd with contexts that are used again.
#ifndef LARDER_SERVER_STORE_ZSTD_CODEC_H_
#define LARDER_SERVER_STORE_ZSTD_CODEC_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/mutex.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace larder {

// Compresses and decompresses single zstd frames that carry their size and checksum. Thread-safe; works on the
// caller's thread, with no lock held.
class ZstdCodec {
 public:
  ZstdCodec();
  ~ZstdCodec();
  ZstdCodec(const ZstdCodec&) = delete;
  ZstdCodec& operator=(const ZstdCodec&) = delete;

  // The frame, or nothing if it would be larger than `max_bytes`.
  std::optional<std::string> Compress(std::string_view raw, size_t max_bytes);

  // The size that the frame says it has unpacked, if `frame` is one whole frame and says so.
  static std::optional<size_t> RawSize(std::string_view frame);

  // True if `frame` unpacked to exactly `size` bytes, now at `out`, and its checksum holds.
  bool Decompress(std::string_view frame, char* out, size_t size);

 private:
  struct FreeCompressor {
    void operator()(ZSTD_CCtx_s* context) const;
  };
  struct FreeDecompressor {
    void operator()(ZSTD_DCtx_s* context) const;
  };
  using Compressor = std::unique_ptr<ZSTD_CCtx_s, FreeCompressor>;
  using Decompressor = std::unique_ptr<ZSTD_DCtx_s, FreeDecompressor>;

  Mutex mutex_;
  // As many as were ever in use at once.
  std::vector<Compressor> compressors_ ABSL_GUARDED_BY(mutex_);
  std::vector<Decompressor> decompressors_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder

#endif  // LARDER_SERVER_STORE_ZSTD_CODEC_H_
