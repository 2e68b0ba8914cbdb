#include "client/cli/trace_reader.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zstd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

std::string Encode(const std::vector<uint32_t>& ids) {
  std::string bytes;
  for (const uint32_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(id >> shift & 0xFF));
  }
  return bytes;
}

std::string Compress(const std::string& bytes) {
  std::string compressed(ZSTD_compressBound(bytes.size()), '\0');
  compressed.resize(ZSTD_compress(compressed.data(), compressed.size(), bytes.data(), bytes.size(), 1));
  return compressed;
}

// Enough ids, different enough, for several chunks of compressed and plain bytes.
std::vector<uint32_t> ManyIds() {
  std::vector<uint32_t> ids;
  uint32_t id = 1;
  for (int i = 0; i < 200'000; ++i) ids.push_back(id = id * 1'664'525 + 1'013'904'223);
  return ids;
}

class TraceReaderTest : public ::testing::Test {
 protected:
  TraceReaderTest() {
    std::string name = (std::filesystem::temp_directory_path() / "larder-trace-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~TraceReaderTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& bytes) const {
    const std::filesystem::path path = folder_ / name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path.string();
  }

  // Everything that can be read, in pieces of `piece`, and the error that ended it.
  static std::vector<uint32_t> ReadToEnd(TraceReader& reader, size_t piece, absl::Status* status) {
    std::vector<uint32_t> all;
    std::vector<uint32_t> ids(piece);
    for (;;) {
      const absl::StatusOr<size_t> got = reader.Read(ids);
      *status = got.status();
      if (!got.ok() || *got == 0) return all;
      all.insert(all.end(), ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(*got));
    }
  }

  std::filesystem::path folder_;
};

TEST_F(TraceReaderTest, ReadsPlainIdsInPiecesOfAnySize) {
  const std::vector<uint32_t> ids = ManyIds();
  const std::string path = Write("t.u32", Encode(ids));
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{1000}, size_t{1'000'000}}) {
    const auto reader = TraceReader::Open(path).value();
    EXPECT_EQ(reader->expected_ids(), ids.size());
    absl::Status status;
    ASSERT_EQ(ReadToEnd(*reader, piece, &status), ids) << piece;
    EXPECT_TRUE(status.ok());
  }
}

TEST_F(TraceReaderTest, ReadsCompressedIds) {
  const std::vector<uint32_t> ids = ManyIds();
  const auto reader = TraceReader::Open(Write("t.u32.zst", Compress(Encode(ids)))).value();
  EXPECT_EQ(reader->expected_ids(), ids.size());
  absl::Status status;
  EXPECT_EQ(ReadToEnd(*reader, 1000, &status), ids);
  EXPECT_TRUE(status.ok());
}

TEST_F(TraceReaderTest, ReadsOneFrameAfterAnother) {
  // The second frame begins within an id.
  const std::string bytes = Encode({1, 0x01020304, 0xFFFFFFFF});
  const std::string path = Write("t.u32.zst", Compress(bytes.substr(0, 5)) + Compress(bytes.substr(5)));
  const auto reader = TraceReader::Open(path).value();
  absl::Status status;
  EXPECT_EQ(ReadToEnd(*reader, 2, &status), (std::vector<uint32_t>{1, 0x01020304, 0xFFFFFFFF}));
  EXPECT_TRUE(status.ok());
}

TEST_F(TraceReaderTest, ReadsHighlyCompressedIds) {
  // Far more output than input: what the decoder holds back must come out after the input has ended.
  const std::vector<uint32_t> ids(3'000'000, 42);
  const auto reader = TraceReader::Open(Write("t.u32.zst", Compress(Encode(ids)))).value();
  absl::Status status;
  EXPECT_EQ(ReadToEnd(*reader, 4096, &status), ids);
  EXPECT_TRUE(status.ok());
}

TEST_F(TraceReaderTest, AnEmptyFileHasNoIds) {
  const auto reader = TraceReader::Open(Write("t.u32", "")).value();
  absl::Status status;
  EXPECT_TRUE(ReadToEnd(*reader, 10, &status).empty());
  EXPECT_TRUE(status.ok());
}

TEST_F(TraceReaderTest, RefusesLeftOverBytesByNameAfterTheWholeIds) {
  for (const size_t extra : {size_t{1}, size_t{2}, size_t{3}}) {
    const std::string bytes = Encode({7, 8}) + std::string(extra, 'x');
    for (const std::string& path : {Write("t.u32", bytes), Write("t.u32.zst", Compress(bytes))}) {
      const auto reader = TraceReader::Open(path).value();
      absl::Status status;
      EXPECT_EQ(ReadToEnd(*reader, 10, &status), (std::vector<uint32_t>{7, 8}));
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
      EXPECT_EQ(status.message(), absl::StrCat(path, ": ", extra,
                                               " bytes are left over after 2 ids of 4 bytes: the file is cut short, or "
                                               "holds no ids"));
    }
  }
}

TEST_F(TraceReaderTest, RefusesACompressedFileThatIsCutShort) {
  const std::string whole = Compress(Encode(ManyIds()));
  for (const size_t size : {whole.size() - 1, whole.size() / 2, size_t{6}}) {
    const std::string path = Write("t.u32.zst", whole.substr(0, size));
    const auto reader = TraceReader::Open(path).value();
    absl::Status status;
    ReadToEnd(*reader, 1000, &status);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << size;
    EXPECT_EQ(status.message(), absl::StrCat(path, ": the compressed data ends in the middle"));
  }
}

TEST_F(TraceReaderTest, RefusesWhatIsNotCompressed) {
  const std::string path = Write("t.u32.zst", Encode({1, 2, 3}));
  const auto reader = TraceReader::Open(path).value();
  absl::Status status;
  EXPECT_TRUE(ReadToEnd(*reader, 10, &status).empty());
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(status.message(), absl::StrCat(path, ": the compressed data is damaged: Unknown frame descriptor"));
}

TEST_F(TraceReaderTest, NamesAFileThatCannotBeRead) {
  const std::string missing = (folder_ / "none.u32").string();
  EXPECT_EQ(TraceReader::Open(missing).status(), absl::NotFoundError(missing + ": No such file or directory"));
  const auto folder = TraceReader::Open(folder_.string()).value();
  uint32_t id = 0;
  EXPECT_EQ(folder->Read({&id, 1}).status(), absl::NotFoundError(folder_.string() + ": Is a directory"));
}

}  // namespace
}  // namespace larder
