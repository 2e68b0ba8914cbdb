#include "server/store/zstd_codec.h"

#include <zstd.h>

#include <utility>

namespace larder {
namespace {

// The fastest of the ordinary levels: values are compressed on the path of a Set.
constexpr int kLevel = 1;

// Takes one out of `idle`, or null if there is none.
template <typename T>
T TakeOne(std::vector<T>& idle) {
  if (idle.empty()) return nullptr;
  T taken = std::move(idle.back());
  idle.pop_back();
  return taken;
}

}  // namespace

ZstdCodec::ZstdCodec() = default;
ZstdCodec::~ZstdCodec() = default;

void ZstdCodec::FreeCompressor::operator()(ZSTD_CCtx_s* context) const { ZSTD_freeCCtx(context); }
void ZstdCodec::FreeDecompressor::operator()(ZSTD_DCtx_s* context) const { ZSTD_freeDCtx(context); }

std::optional<std::string> ZstdCodec::Compress(std::string_view raw, size_t max_bytes) {
  Compressor context;
  {
    MutexLock lock(&mutex_);
    context = TakeOne(compressors_);
  }
  if (context == nullptr) {
    context.reset(ZSTD_createCCtx());
    if (context == nullptr) return std::nullopt;
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kLevel);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  }
  std::string frame(max_bytes, '\0');
  const size_t size = ZSTD_compress2(context.get(), frame.data(), frame.size(), raw.data(), raw.size());
  {
    MutexLock lock(&mutex_);
    compressors_.push_back(std::move(context));
  }
  if (ZSTD_isError(size)) return std::nullopt;
  frame.resize(size);
  return frame;
}

std::optional<size_t> ZstdCodec::RawSize(std::string_view frame) {
  if (ZSTD_findFrameCompressedSize(frame.data(), frame.size()) != frame.size()) return std::nullopt;
  const unsigned long long size = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR) return std::nullopt;
  return static_cast<size_t>(size);
}

bool ZstdCodec::Decompress(std::string_view frame, char* out, size_t size) {
  Decompressor context;
  {
    MutexLock lock(&mutex_);
    context = TakeOne(decompressors_);
  }
  if (context == nullptr) context.reset(ZSTD_createDCtx());
  if (context == nullptr) return false;
  const size_t unpacked = ZSTD_decompressDCtx(context.get(), out, size, frame.data(), frame.size());
  MutexLock lock(&mutex_);
  decompressors_.push_back(std::move(context));
  return unpacked == size;
}

}  // namespace larder
