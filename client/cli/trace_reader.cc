#include "client/cli/trace_reader.h"

#include <sys/stat.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

constexpr size_t kChunkBytes = size_t{128} << 10;

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

struct DecoderDeleter {
  void operator()(ZSTD_DCtx* decoder) const { ZSTD_freeDCtx(decoder); }
};

// As many bytes as there are, up to `size`; fewer only at the end of the file.
absl::StatusOr<size_t> ReadFile(std::FILE* file, char* out, size_t size) {
  const size_t got = std::fread(out, 1, size, file);
  if (std::ferror(file) != 0) return absl::NotFoundError(std::strerror(errno));
  return got;
}

uint32_t DecodeId(const char* bytes) {
  const auto at = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(bytes[i])); };
  return at(0) | at(1) << 8 | at(2) << 16 | at(3) << 24;
}

}  // namespace

// Where the bytes of the ids come from. Errors do not name the file; TraceReader adds that.
class TraceReader::Source {
 public:
  virtual ~Source() = default;
  // Appends at least one byte to `bytes`, or returns false at the end.
  virtual absl::StatusOr<bool> Append(std::string* bytes) = 0;
  virtual std::optional<uint64_t> expected_bytes() const = 0;
};

class TraceReader::PlainSource final : public Source {
 public:
  explicit PlainSource(File file) : file_(std::move(file)) {}

  absl::StatusOr<bool> Append(std::string* bytes) override {
    const size_t before = bytes->size();
    bytes->resize(before + kChunkBytes);
    const absl::StatusOr<size_t> got = ReadFile(file_.get(), bytes->data() + before, kChunkBytes);
    bytes->resize(before + (got.ok() ? *got : 0));
    if (!got.ok()) return got.status();
    return *got > 0;
  }

  std::optional<uint64_t> expected_bytes() const override {
    struct stat info {};
    if (fstat(fileno(file_.get()), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  const File file_;
};

class TraceReader::ZstdSource final : public Source {
 public:
  explicit ZstdSource(File file) : file_(std::move(file)), decoder_(ZSTD_createDCtx()), input_(kChunkBytes, '\0') {}

  // Reads the first chunk, which may say how long the contents are.
  absl::Status Start() {
    if (absl::Status status = ReadInput(); !status.ok()) return status;
    const unsigned long long size = ZSTD_getFrameContentSize(input_.data(), window_.size);
    if (size != ZSTD_CONTENTSIZE_ERROR && size != ZSTD_CONTENTSIZE_UNKNOWN) expected_bytes_ = size;
    return absl::OkStatus();
  }

  absl::StatusOr<bool> Append(std::string* bytes) override {
    const size_t before = bytes->size();
    bytes->resize(before + kChunkBytes);
    ZSTD_outBuffer output = {bytes->data() + before, kChunkBytes, 0};
    absl::Status status;
    while (status.ok() && output.pos == 0 && !Exhausted()) status = Step(&output);
    bytes->resize(before + output.pos);
    if (!status.ok()) return status;
    return output.pos > 0;
  }

  std::optional<uint64_t> expected_bytes() const override { return expected_bytes_; }

 private:
  // Between frames, and no more input: a clean end.
  bool Exhausted() const { return input_ended_ && window_.pos == window_.size && !inside_frame_; }

  absl::Status Step(ZSTD_outBuffer* output) {
    if (window_.pos == window_.size && !input_ended_) {
      if (absl::Status status = ReadInput(); !status.ok() || input_ended_) return status;
    }
    const size_t input_before = window_.pos;
    const size_t hint = ZSTD_decompressStream(decoder_.get(), output, &window_);
    if (ZSTD_isError(hint)) {
      return absl::DataLossError(absl::StrCat("the compressed data is damaged: ", ZSTD_getErrorName(hint)));
    }
    inside_frame_ = hint != 0;
    if (input_ended_ && inside_frame_ && output->pos == 0 && window_.pos == input_before) {
      return absl::DataLossError("the compressed data ends in the middle");
    }
    return absl::OkStatus();
  }

  absl::Status ReadInput() {
    const absl::StatusOr<size_t> got = ReadFile(file_.get(), input_.data(), input_.size());
    if (!got.ok()) return got.status();
    window_ = {input_.data(), *got, 0};
    input_ended_ = *got == 0;
    return absl::OkStatus();
  }

  const File file_;
  const std::unique_ptr<ZSTD_DCtx, DecoderDeleter> decoder_;
  std::string input_;
  ZSTD_inBuffer window_ = {nullptr, 0, 0};  // the part of `input_` that is not yet decoded
  bool input_ended_ = false;
  bool inside_frame_ = false;
  std::optional<uint64_t> expected_bytes_;
};

absl::StatusOr<std::unique_ptr<TraceReader>> TraceReader::Open(const std::string& path) {
  File file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) return absl::NotFoundError(absl::StrCat(path, ": ", std::strerror(errno)));
  std::unique_ptr<Source> source;
  if (std::string_view(path).ends_with(".zst")) {
    auto zstd = std::make_unique<ZstdSource>(std::move(file));
    if (const absl::Status status = zstd->Start(); !status.ok()) {
      return absl::NotFoundError(absl::StrCat(path, ": ", status.message()));
    }
    source = std::move(zstd);
  } else {
    source = std::make_unique<PlainSource>(std::move(file));
  }
  return std::unique_ptr<TraceReader>(new TraceReader(path, std::move(source)));
}

TraceReader::TraceReader(std::string path, std::unique_ptr<Source> source)
    : path_(std::move(path)), source_(std::move(source)) {
  if (const std::optional<uint64_t> bytes = source_->expected_bytes()) expected_ids_ = *bytes / sizeof(uint32_t);
}

TraceReader::~TraceReader() = default;

absl::Status TraceReader::Refill() {
  bytes_.erase(0, position_);
  position_ = 0;
  const absl::StatusOr<bool> more = source_->Append(&bytes_);
  if (!more.ok()) return absl::Status(more.status().code(), absl::StrCat(path_, ": ", more.status().message()));
  at_end_ = !*more;
  if (at_end_ && !bytes_.empty()) {
    return absl::DataLossError(absl::StrCat(path_, ": ", bytes_.size(), " bytes are left over after ", ids_read_,
                                            " ids of 4 bytes: the file is cut short, or holds no ids"));
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> TraceReader::Read(std::span<uint32_t> ids) {
  size_t filled = 0;
  while (filled < ids.size() && status_.ok() && !at_end_) {
    const size_t count = std::min((bytes_.size() - position_) / sizeof(uint32_t), ids.size() - filled);
    for (size_t i = 0; i < count; ++i, position_ += sizeof(uint32_t)) {
      ids[filled++] = DecodeId(bytes_.data() + position_);
    }
    ids_read_ += count;
    if (filled < ids.size()) status_ = Refill();
  }
  if (filled == 0 && !status_.ok()) return status_;
  return filled;
}

}  // namespace larder
