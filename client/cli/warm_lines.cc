#include "client/cli/warm_lines.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/lines/entry_line.h"

namespace larder {
namespace {

v1::WarmRequest ToRequest(EntryLine line) {
  v1::WarmRequest entry;
  entry.set_key(std::move(line.key));
  entry.set_value(std::move(line.value));
  entry.set_content_type(std::move(line.content_type));
  if (line.ttl_ms.has_value()) entry.set_ttl_ms(*line.ttl_ms);
  if (line.ttl_class.has_value()) entry.set_ttl_class(*std::move(line.ttl_class));
  if (line.stale_for_ms.has_value()) entry.set_stale_for_ms(*line.stale_for_ms);
  for (std::string& tag : line.tags) entry.add_tags(std::move(tag));
  entry.set_sliding(line.sliding);
  entry.set_absent(line.absent);
  return entry;
}

absl::StatusOr<v1::WarmRequest> ReadEntry(std::string_view text, size_t max_entry_bytes) {
  absl::StatusOr<EntryLine> line = ParseEntryLine(text);
  if (!line.ok()) return line.status();
  v1::WarmRequest entry = ToRequest(*std::move(line));
  if (entry.ByteSizeLong() > max_entry_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("value: the entry takes ", entry.ByteSizeLong(), " bytes; at most ",
                                                   max_entry_bytes, " fit in a message"));
  }
  return entry;
}

}  // namespace

absl::StatusOr<v1::WarmRequest> ParseWarmLine(uint64_t line_number, std::string_view text, size_t max_entry_bytes) {
  absl::StatusOr<v1::WarmRequest> entry = ReadEntry(text, max_entry_bytes);
  if (entry.ok()) return entry;
  return absl::InvalidArgumentError(absl::StrCat("line ", line_number, ": ", entry.status().message()));
}

void LineIndex::Add(uint64_t line) {
  const bool follows = size_ > 0 && LineOf(size_ - 1) + 1 == line;
  if (!follows) runs_.push_back({size_, line});
  ++size_;
}

uint64_t LineIndex::LineOf(int64_t index) const {
  if (index < 0 || index >= size_) return 0;
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), index,
                                      [](int64_t wanted, const Run& run) { return wanted < run.first_index; });
  const Run& run = *(after - 1);
  return run.first_line + static_cast<uint64_t>(index - run.first_index);
}

}  // namespace larder
