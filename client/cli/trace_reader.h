// Traces of object ids, read as a stream.
#ifndef LARDER_CLIENT_CLI_TRACE_READER_H_
#define LARDER_CLIENT_CLI_TRACE_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace larder {

// A file of little-endian 32-bit ids; compressed with zstd if its name ends in `.zst`. Holds a few hundred KiB however
// long the file is. Not thread-safe; calls block on the disk. Every error names the file.
class TraceReader {
 public:
  // NOT_FOUND if the file cannot be opened or read.
  static absl::StatusOr<std::unique_ptr<TraceReader>> Open(const std::string& path);
  ~TraceReader();
  TraceReader(const TraceReader&) = delete;
  TraceReader& operator=(const TraceReader&) = delete;

  // Fills `ids` from its start and returns how many it filled; fewer than there is room for only at the end of what
  // can be read, 0 at the end of the file. DATA_LOSS if the compressed data is damaged or cut short, or if bytes are
  // left over that make no whole id; whatever whole ids came before are handed out first.
  absl::StatusOr<size_t> Read(std::span<uint32_t> ids);

  // How many ids the file says it has, where it says so. For showing progress only.
  std::optional<uint64_t> expected_ids() const { return expected_ids_; }

 private:
  class Source;
  class PlainSource;
  class ZstdSource;

  TraceReader(std::string path, std::unique_ptr<Source> source);
  absl::Status Refill();

  const std::string path_;
  const std::unique_ptr<Source> source_;
  std::optional<uint64_t> expected_ids_;
  std::string bytes_;  // read and not yet handed out, from `position_` on
  size_t position_ = 0;
  bool at_end_ = false;
  uint64_t ids_read_ = 0;
  absl::Status status_;  // the error that reading ended with
};

}  // namespace larder

#endif  // LARDER_CLIENT_CLI_TRACE_READER_H_
